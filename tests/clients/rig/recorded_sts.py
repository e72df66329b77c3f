"""A proxy in front of an STS, which records what a server asked for and got: a test then has the credentials of the
server's own sessions. It changes no byte, so signatures stay valid."""

import http.client
import threading
import xml.etree.ElementTree
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl, urlsplit

TIMEOUT = 60.0


@dataclass(frozen=True)
class AssumedRole:
    """A request by its parameters. `credentials` is None if STS granted none."""

    parameters: dict
    credentials: dict | None


class RecordedSts:
    """The proxy between a server and the STS at `behind`. `requests` has the requests in the order of their answers."""

    def __init__(self, behind):
        self.behind, self.requests = behind, []
        handler = type("Handler", (_Connection,), {"sts": self})
        self.listener = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.endpoint = f"http://127.0.0.1:{self.listener.server_address[1]}"
        threading.Thread(target=self.listener.serve_forever, daemon=True).start()

    def sessions(self, name):
        """Returns the granted requests whose session's name begins with `name`."""
        requests = list(self.requests)
        return [it for it in requests if it.credentials and it.parameters["RoleSessionName"].startswith(name)]

    def close(self):
        self.listener.shutdown()
        self.listener.server_close()


class _Connection(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        behind = http.client.HTTPConnection(urlsplit(self.sts.behind).netloc, timeout=TIMEOUT)
        behind.request("POST", self.path, body, dict(self.headers))
        answer = behind.getresponse()
        text = answer.read()
        behind.close()
        self.sts.requests.append(AssumedRole(dict(parse_qsl(body.decode())), _credentials(answer.status, text)))
        self.send_response(answer.status)
        for name in ("content-type", "x-amzn-requestid"):
            if name in answer.headers:
                self.send_header(name, answer.headers[name])
        self.send_header("content-length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_):
        pass


def _credentials(status, text):
    """Returns the arguments of `Ministack.client`."""
    if status != 200:
        return None
    found = {element.tag.partition("}")[2]: element.text for element in xml.etree.ElementTree.fromstring(text).iter()}
    if "SecretAccessKey" not in found:
        return None
    return {
        "access_key_id": found["AccessKeyId"],
        "secret_access_key": found["SecretAccessKey"],
        "session_token": found["SessionToken"],
    }
