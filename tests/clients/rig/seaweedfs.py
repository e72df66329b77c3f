"""SeaweedFS: an independent S3 on loopback, which the suites share."""

import atexit
import base64
import functools
import json
import sys
import tempfile
import urllib.request
from pathlib import Path

import boto3

from .ports import free_ports
from .process import Process

ACCESS_KEY_ID = "wharfinger"
SECRET_ACCESS_KEY = "wharfinger-secret"
BUCKET = "vendor"
# A role that may do everything. Every principal with an account may assume it.
TENANTS_ROLE = "arn:aws:iam::123456789012:role/tenants"
# SeaweedFS chooses ports for listeners without a flag.
LISTENERS = ["s3", "master", "volume", "filer", "admin"]


class SeaweedFs:
    """A running SeaweedFS with an empty bucket."""

    @classmethod
    @functools.cache
    def shared(cls):
        return cls()

    def __init__(self):
        # The directory is removed with the interpreter, after the process.
        self.directory = tempfile.TemporaryDirectory(prefix="wharfinger-seaweedfs-")
        here = Path(self.directory.name)
        ports = free_ports(2 * len(LISTENERS))
        identity = {
            "name": "wharfinger",
            "credentials": [{"accessKey": ACCESS_KEY_ID, "secretKey": SECRET_ACCESS_KEY}],
            "actions": ["Admin", "Read", "Write", "List", "Tagging"],
        }
        (here / "s3.json").write_text(json.dumps({"identities": [identity]}))
        (here / "iam.json").write_text(json.dumps(_roles()))
        listeners = [f"-{name}.port={port}" for name, port in zip(LISTENERS, ports)]
        listeners += [f"-{name}.port.grpc={port}" for name, port in zip(LISTENERS, ports[len(LISTENERS) :])]
        weed = Path(sys.executable).parent / "weed"
        options = ["-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-master.telemetry=false", "-webdav=false"]
        options += ["-admin.ui=false", "-s3.port.iceberg=0", "-s3.port.lance=0", f"-bucket={BUCKET}", f"-dir={here}"]
        options += [f"-s3.iam.config={here}/iam.json", f"-s3.config={here}/s3.json", f"-s3.localSocket={here}/s3.sock"]
        options += [f"-filer.localSocket={here}/filer.sock"]
        self.endpoint, self.master, _, self.filer, _ = (f"http://127.0.0.1:{port}" for port in ports[: len(LISTENERS)])
        self.process = Process([weed, "mini", *listeners, *options], cwd=here, env={"HOME": str(here)})
        atexit.register(self._clean_up, ports[len(LISTENERS) :])
        self.process.until(self._has_bucket, "SeaweedFS with a bucket")

    def _clean_up(self, grpc_ports):
        # An orderly stop takes 12 s, for data that is deleted anyway. A killed process leaves its sockets behind.
        self.process.close()
        for name, port in zip(LISTENERS, grpc_ports):
            Path(f"/tmp/seaweedfs-{name}-grpc-{port}.sock").unlink(missing_ok=True)

    def _has_bucket(self):
        # The bucket is a directory of the filer. The master must have room for a file in it.
        try:
            urllib.request.urlopen(f"{self.filer}/buckets/{BUCKET}/", timeout=10).close()
            with urllib.request.urlopen(f"{self.master}/dir/assign?collection={BUCKET}", timeout=10) as answer:
                return "fid" in json.load(answer)
        except OSError:
            return False

    def store(self):
        from .servers import Store

        return Store(self.endpoint, BUCKET, ACCESS_KEY_ID, SECRET_ACCESS_KEY)

    def client(self, service):
        """Returns boto3's client of a `service`, with full access."""
        return boto3.client(
            service,
            endpoint_url=self.endpoint,
            region_name="us-east-1",
            aws_access_key_id=ACCESS_KEY_ID,
            aws_secret_access_key=SECRET_ACCESS_KEY,
        )


def _roles():
    def document(action, **element):
        return {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": action} | element]}

    # Signing key of the session tokens: at least 32 bytes.
    signing_key = base64.b64encode(b"not a secret: only tests sign with it").decode()
    trust = document("sts:AssumeRole", Principal={"AWS": "*"})
    role = {"roleName": "tenants", "roleArn": TENANTS_ROLE, "attachedPolicies": ["everything"], "trustPolicy": trust}
    return {
        "sts": {"tokenDuration": "1h", "maxSessionLength": "12h", "issuer": "seaweedfs-sts", "signingKey": signing_key},
        "policy": {"defaultEffect": "Deny", "storeType": "memory"},
        "policies": [{"name": "everything", "document": document("s3:*", Resource="*")}],
        "roles": [role],
    }
