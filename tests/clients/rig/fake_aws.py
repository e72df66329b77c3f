"""The crate fake-aws in a process of its own, whose levers a test moves over HTTP: it fails, delays requests, or has an
object of 10 GiB of zeros."""

import json
import os
import tempfile
import urllib.error
import urllib.request
from collections.abc import MutableMapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from .case import ServerCase
from .process import Process
from .servers import ROOT, Serve, Store

BUCKET = "vendor"
# The operations that store bytes: requests whose method is PUT.
PUTS = ["PutObject", "UploadPart", "CopyObject", "UploadPartCopy"]


def program():
    """Returns the binary: `$FAKE_AWS`, or else the debug build."""
    named = os.environ.get("FAKE_AWS")
    target = os.environ.get("CARGO_TARGET_DIR", ROOT / "target")
    return Path(named) if named else Path(target) / "debug" / "fake-aws"


@dataclass(frozen=True)
class Zeros:
    """An object of zero bytes, which take no memory."""

    size: int


class FakeAws:
    """The running services. `objects` maps the keys of the bucket to bytes, and takes `Zeros` too. `settings` are those
    of fake-aws that aren't the default."""

    def __init__(self, **settings):
        self.directory = tempfile.TemporaryDirectory(prefix="wharfinger-fake-aws-")
        user = Store("", BUCKET)
        settings = {
            "users": [
                {
                    "name": "server",
                    "access_key_id": user.access_key_id,
                    "secret_access_key": user.secret_access_key,
                }
            ],
            "buckets": [{"name": BUCKET}],
            "max_bytes": 4 << 30,
        } | settings
        file = Path(self.directory.name) / "settings.json"
        file.write_text(json.dumps(settings))
        self.process = Process([program(), file])
        addresses = json.loads(self.process.until(self._first_line, "the addresses of fake-aws"))
        self.endpoint, self.levers = addresses["endpoint"], addresses["levers"]
        self.objects = Objects(self)

    def _first_line(self):
        line, end, _ = self.process.log.read_text().partition("\n")
        return line if end else None

    def store(self):
        return Store(self.endpoint, BUCKET)

    def lever(self, method, path, body=None):
        """Moves a lever. Returns the bytes of the answer."""
        request = urllib.request.Request(f"{self.levers}/{path}", data=body, method=method)
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=60) as answer:
            return answer.read()

    def set_faults(self, *faults):
        """Injects these faults in place of all earlier ones. A request gets the first that is about it."""
        self.lever("PUT", "faults", json.dumps(faults).encode())

    def fail(self, failure, operations=(), **about):
        """Fails all requests of these operations, or of all operations, in place of all earlier faults."""
        self.set_faults({"failure": failure, "operations": list(operations), **about})

    def fail_files(self, failure):
        """Fails all requests that store a file, in place of all earlier faults. Directories may be created."""
        self.set_faults({"key": "*/"}, {"failure": failure, "operations": PUTS})

    def heal(self):
        self.set_faults()

    def uploads(self):
        """Returns the keys and the ids of the open multipart uploads."""
        return json.loads(self.lever("GET", f"uploads/{BUCKET}"))

    def record(self):
        """Returns the requests, in the order in which they were served."""
        return json.loads(self.lever("GET", "requests"))["record"]

    def forget_requests(self):
        self.lever("DELETE", "requests")

    def hang_up(self):
        """Closes all connections, as S3 does with idle ones."""
        self.lever("POST", "hang-up")

    def close(self):
        self.process.close()
        self.directory.cleanup()


class Objects(MutableMapping):
    """The objects of the bucket by their keys."""

    def __init__(self, aws):
        self.aws = aws

    def _lever(self, method, key, query="", body=None):
        return self.aws.lever(method, f"objects/{BUCKET}/{quote(key, safe='')}{query}", body)

    def sizes(self):
        return json.loads(self.aws.lever("GET", f"objects/{BUCKET}"))

    def __getitem__(self, key):
        try:
            return self._lever("GET", key)
        except urllib.error.HTTPError as error:
            raise KeyError(key) from error

    def __setitem__(self, key, value):
        if isinstance(value, Zeros):
            self._lever("PUT", key, f"?zeros={value.size}")
        else:
            self._lever("PUT", key, body=value)

    def __delitem__(self, key):
        self._lever("DELETE", key)

    def __iter__(self):
        return iter(self.sizes())

    def __len__(self):
        return len(self.sizes())


class FakeAwsCase(ServerCase):
    """A class of tests for a server on its own fake AWS, `s3`."""

    SHARED = None

    @classmethod
    def start(cls):
        cls.s3 = FakeAws()
        cls.addClassCleanup(cls.s3.close)
        return Serve(cls.s3.store())
