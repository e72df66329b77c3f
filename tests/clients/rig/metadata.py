"""AWS's sources of credentials for a process: the metadata of a container, of an EC2 instance, and STS for a web
identity. One server on loopback plays all three, and records the requests."""

import json
import threading
from datetime import datetime, timedelta, timezone
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs

AUTHORIZATION = "a container's token"
IMDS_TOKEN = "a session of IMDSv2"
WEB_IDENTITY_TOKEN = "a.web.identity"
ROLE = "arn:aws:iam::123456789012:role/server"


class Metadata:
    """Serves `credentials`, in the form of boto3."""

    def __init__(self, credentials):
        self.credentials = credentials
        self.asked = []
        metadata = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                metadata.answer(self, None)

            def do_PUT(self):
                metadata.answer(self, b"")

            def do_POST(self):
                metadata.answer(self, self.rfile.read(int(self.headers["content-length"])))

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.endpoint = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()

    def answer(self, request, body):
        self.asked.append(f"{request.command} {request.path}")
        status, text = self._answer(request, body)
        request.send_response(status)
        request.send_header("content-length", str(len(text)))
        request.send_header("x-aws-ec2-metadata-token-ttl-seconds", "21600")
        request.end_headers()
        request.wfile.write(text.encode())

    def _answer(self, request, body):
        instance = "/latest/meta-data/iam/security-credentials/"
        match request.command, request.path:
            case "GET", "/container" if request.headers["authorization"] == AUTHORIZATION:
                return 200, json.dumps(self._as_metadata())
            case "PUT", "/latest/api/token":
                return 200, IMDS_TOKEN
            case "GET", path if path == instance and request.headers["x-aws-ec2-metadata-token"] == IMDS_TOKEN:
                return 200, "server"
            case "GET", path if path == instance + "server" and request.headers["x-aws-ec2-metadata-token"] == IMDS_TOKEN:
                return 200, json.dumps(self._as_metadata() | {"Code": "Success", "Type": "AWS-HMAC"})
            case "POST", "/" if self._is_web_identity(body):
                return 200, self._as_sts()
        return 404, ""

    def _is_web_identity(self, body):
        form = {name: values[0] for name, values in parse_qs(body.decode()).items()}
        expected = {"Action": "AssumeRoleWithWebIdentity", "RoleArn": ROLE, "WebIdentityToken": WEB_IDENTITY_TOKEN}
        return expected.items() <= form.items()

    def _expiration(self):
        return (datetime.now(timezone.utc) + timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M:%SZ")

    def _as_metadata(self):
        return {
            "AccessKeyId": self.credentials["AccessKeyId"],
            "SecretAccessKey": self.credentials["SecretAccessKey"],
            "Token": self.credentials["SessionToken"],
            "Expiration": self._expiration(),
        }

    def _as_sts(self):
        kept = "".join(
            f"<{name}>{self.credentials[name]}</{name}>" for name in ("AccessKeyId", "SecretAccessKey", "SessionToken")
        )
        return (
            '<AssumeRoleWithWebIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/">'
            f"<AssumeRoleWithWebIdentityResult><Credentials>{kept}<Expiration>{self._expiration()}</Expiration>"
            "</Credentials></AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>"
        )
