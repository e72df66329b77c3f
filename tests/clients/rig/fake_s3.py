"""An S3 in this process that a test controls: it fails, delays requests, or has an object of 10 GiB of zeros.

It implements only the requests that the server sends, checks neither signatures nor checksums, and records each
request. Tests of S3's real behaviour use SeaweedFS and the demo's S3.
"""

import contextlib
import hashlib
import re
import socket
import sys
import threading
import urllib.parse
import uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from xml.sax.saxutils import escape

from .case import ServerCase
from .servers import Serve, Store

BUCKET = "vendor"
MODIFIED = ("2026-11-01T12:00:00.000Z", "Sun, 01 Nov 2026 12:00:00 GMT")
ZEROS = bytes(1 << 20)


class Zeros:
    """Zero bytes of any number, which take no memory."""

    def __init__(self, size):
        self.size = size

    def __len__(self):
        return self.size

    def pieces(self, start, end):
        for at in range(start, end, len(ZEROS)):
            yield ZEROS[: min(len(ZEROS), end - at)]


class _Listener(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.connections = set()

    def process_request(self, request, client_address):
        self.connections.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request):
        self.connections.discard(request)
        super().shutdown_request(request)

    def hang_up(self):
        for connection in list(self.connections):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request, client_address):
        # A server that no longer needs an answer closes the connection.
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


class FakeS3:
    """The store. `objects` maps keys to bytes or `Zeros`. `uploads` holds the open multipart uploads."""

    def __init__(self):
        self.objects = {}
        self.uploads = {}
        self.requests = []
        # The ETag of each key's present object, with that object.
        self.etags = {}
        # Called with (method, key, query) before a request is answered. Returns (status, code) to fail it, or None.
        self.fault = lambda method, key, query: None
        self.lock = threading.Lock()
        handler = type("Handler", (_Handler,), {"s3": self})
        self.server = _Listener(("127.0.0.1", 0), handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def store(self):
        return Store(f"http://127.0.0.1:{self.server.server_port}", BUCKET)

    def hang_up(self):
        """Closes all connections, as S3 does with idle ones."""
        self.server.hang_up()

    def close(self):
        self.server.shutdown()
        self.server.server_close()


class FakeS3Case(ServerCase):
    """A class of tests for a server on its own fake S3, `s3`."""

    SHARED = None

    @classmethod
    def start(cls):
        cls.s3 = FakeS3()
        cls.addClassCleanup(cls.s3.close)
        return Serve(cls.s3.store())


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def setup(self):
        # Headers and body are two writes: with Nagle's algorithm the second waits for the peer's delayed ACK.
        self.disable_nagle_algorithm = True
        super().setup()

    def _serve(self):
        path, _, query = self.path.partition("?")
        self.query = dict(urllib.parse.parse_qsl(query, keep_blank_values=True))
        self.key = urllib.parse.unquote(path.lstrip("/")).partition("/")[2]
        body = self._body()
        self.s3.requests.append((self.command, self.key, self.query))
        fault = self.s3.fault(self.command, self.key, self.query)
        if fault:
            return self._fail(*fault)
        return getattr(self, f"_{self.command.lower()}")(body)

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = _serve

    def _get(self, _):
        if not self.key:
            return self._list()
        with self.s3.lock:
            data = self.s3.objects.get(self.key)
        if data is None:
            return self._fail(404, "NoSuchKey")
        etag = self._etag_of(self.key, data)
        if self.headers.get("If-Match", etag) != etag:
            return self._fail(412, "PreconditionFailed")
        start, end, status = 0, len(data), 200
        if wanted := re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", "")):
            start, status = int(wanted[1]), 206
            end = min(len(data), int(wanted[2]) + 1 if wanted[2] else len(data))
            if start >= len(data):
                return self._fail(416, "InvalidRange", {"Content-Range": f"bytes */{len(data)}"})
        headers = {"ETag": etag, "Last-Modified": MODIFIED[1], "Accept-Ranges": "bytes"}
        if status == 206:
            headers["Content-Range"] = f"bytes {start}-{end - 1}/{len(data)}"
        self._head_of_answer(status, end - start, headers)
        if self.command == "GET":
            pieces = data.pieces(start, end) if isinstance(data, Zeros) else [data[start:end]]
            for piece in pieces:
                self.wfile.write(piece)

    _head = _get

    def _put(self, body):
        if "uploadId" in self.query:
            parts = self.s3.uploads.get(self.query["uploadId"])
            if parts is None:
                return self._fail(404, "NoSuchUpload")
            parts[int(self.query["partNumber"])] = body
            return self._answer(200, headers={"ETag": _etag(body)})
        if source := self.headers.get("x-amz-copy-source"):
            body = self.s3.objects.get(urllib.parse.unquote(source.lstrip("/")).partition("/")[2])
            if body is None:
                return self._fail(404, "NoSuchKey")
        if not self._publish(body):
            return self._fail(412, "PreconditionFailed")
        if source:
            facts = f"<ETag>{_etag(body)}</ETag><LastModified>{MODIFIED[0]}</LastModified>"
            return self._xml("CopyObjectResult", facts)
        return self._answer(200, headers={"ETag": _etag(body)})

    def _post(self, body):
        if "uploads" in self.query:
            identity = uuid.uuid4().hex
            self.s3.uploads[identity] = {}
            names = f"<Bucket>{BUCKET}</Bucket><Key>{escape(self.key)}</Key><UploadId>{identity}</UploadId>"
            return self._xml("InitiateMultipartUploadResult", names)
        if "delete" in self.query:
            for key in re.findall(r"<Key>(.*?)</Key>", body.decode()):
                self.s3.objects.pop(key, None)
            return self._xml("DeleteResult", "")
        parts = self.s3.uploads.get(self.query["uploadId"])
        if parts is None:
            return self._fail(404, "NoSuchUpload")
        numbers = map(int, re.findall(r"<PartNumber>(\d+)</PartNumber>", body.decode()))
        data = b"".join(parts[number] for number in numbers)
        if not self._publish(data):
            return self._fail(412, "PreconditionFailed")
        del self.s3.uploads[self.query["uploadId"]]
        return self._xml("CompleteMultipartUploadResult", f"<ETag>{_etag(data)}</ETag><Key>{escape(self.key)}</Key>")

    def _delete(self, _):
        if "uploadId" in self.query:
            self.s3.uploads.pop(self.query["uploadId"], None)
        else:
            self.s3.objects.pop(self.key, None)
            self.s3.etags.pop(self.key, None)
        self._answer(204)

    def _publish(self, data):
        with self.s3.lock:
            if self.headers.get("If-None-Match") == "*" and self.key in self.s3.objects:
                return False
            self.s3.objects[self.key] = data
            return True

    def _list(self):
        prefix, delimiter = self.query.get("prefix", ""), self.query.get("delimiter", "")
        after = self.query.get("continuation-token") or self.query.get("start-after", "")
        limit = int(self.query.get("max-keys", 1000))
        with self.s3.lock:
            keys = sorted(key for key in self.s3.objects if key.startswith(prefix))
        names = {}
        for key in keys:
            inside, cut, _ = key[len(prefix) :].partition(delimiter) if delimiter else (key, "", "")
            names.setdefault(prefix + inside + cut if cut else key, bool(cut))
        rest = [name for name in names if name > after]
        shown = [self._listed(name, names[name]) for name in rest[:limit]]
        more = len(rest) > limit
        token = f"<NextContinuationToken>{escape(rest[limit - 1])}</NextContinuationToken>" if more else ""
        encoding = "<EncodingType>url</EncodingType>" if "encoding-type" in self.query else ""
        about = encoding + f"<Name>{BUCKET}</Name><Prefix>{escape(prefix)}</Prefix><KeyCount>{len(shown)}</KeyCount>"
        about += f"<MaxKeys>{limit}</MaxKeys><IsTruncated>{str(more).lower()}</IsTruncated>{token}"
        self._xml("ListBucketResult", about + "".join(shown))

    def _listed(self, name, is_prefix):
        text = urllib.parse.quote(name) if "encoding-type" in self.query else escape(name)
        if is_prefix:
            return f"<CommonPrefixes><Prefix>{text}</Prefix></CommonPrefixes>"
        data = self.s3.objects.get(name, b"")
        etag = self._etag_of(name, data)
        facts = f"<Size>{len(data)}</Size><ETag>{etag}</ETag><LastModified>{MODIFIED[0]}</LastModified>"
        return f"<Contents><Key>{text}</Key>{facts}<StorageClass>STANDARD</StorageClass></Contents>"

    def _etag_of(self, key, data):
        """Returns the ETag of the object `data`, which is at `key`. A download asks for it with each range."""
        known, etag = self.s3.etags.get(key, (None, None))
        if known is not data:
            etag = _etag(data)
            self.s3.etags[key] = data, etag
        return etag

    def _body(self):
        if self.headers.get("Transfer-Encoding", "").lower() == "chunked":
            body = self._chunks()
        else:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if "aws-chunked" in self.headers.get("Content-Encoding", "") or self.headers.get("x-amz-trailer"):
            body = _without_aws_chunks(body)
        return body

    def _chunks(self):
        body = b""
        while size := int(self.rfile.readline().split(b";")[0], 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        while self.rfile.readline().strip():
            pass
        return body

    def _answer(self, status, body=b"", headers=None):
        self._head_of_answer(status, len(body), headers or {})
        if self.command != "HEAD":
            self.wfile.write(body)

    def _head_of_answer(self, status, length, headers):
        self.send_response(status)
        self.send_header("x-amz-request-id", uuid.uuid4().hex[:16].upper())
        for name, value in headers.items():
            self.send_header(name, value)
        if status != 204:
            self.send_header("Content-Length", str(length))
        self.end_headers()

    def _xml(self, root, content, status=200, headers=None):
        body = f'<?xml version="1.0" encoding="UTF-8"?><{root}>{content}</{root}>'.encode()
        self._answer(status, body, {"Content-Type": "application/xml", **(headers or {})})

    def _fail(self, status, code, headers=None):
        self._xml("Error", f"<Code>{code}</Code><Message>as the test says: {BUCKET}</Message>", status, headers)


def _etag(data):
    name = f"zeros-{len(data)}" if isinstance(data, Zeros) else hashlib.md5(data).hexdigest()
    return f'"{name}"'


def _without_aws_chunks(body):
    data = b""
    while True:
        size, _, body = body.partition(b"\r\n")
        length = int(size.split(b";")[0], 16)
        if length == 0:
            return data
        data, body = data + body[:length], body[length + 2 :]
