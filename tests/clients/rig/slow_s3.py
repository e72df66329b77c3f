"""A TCP proxy in front of an S3, which makes it as slow as a test needs. The demo's S3 and SeaweedFS answer at once, a
real S3 doesn't. The proxy only finds the end of each request and changes no byte, so signatures stay valid."""

import socket
import threading
import time
from dataclasses import replace
from socketserver import StreamRequestHandler, ThreadingTCPServer
from urllib.parse import unquote, urlsplit

from .case import ServerCase
from .servers import Serve, shared

PIECE_BYTES = 64 << 10


class SlowS3:
    """The proxy between a server and `store`."""

    def __init__(self, store):
        self.behind = store
        # Called with (method, key) of each request. The store gets the request when the call returns.
        self.hold = lambda method, key: None
        # Bandwidth of the bodies of each connection. None is unlimited.
        self.bytes_per_second = None
        handler = type("Handler", (_Connection,), {"s3": self})
        self.listener = _Listener(("127.0.0.1", 0), handler)
        threading.Thread(target=self.listener.serve_forever, daemon=True).start()

    def store(self):
        return replace(self.behind, endpoint=f"http://127.0.0.1:{self.listener.server_address[1]}")

    def close(self):
        self.listener.shutdown()
        self.listener.server_close()


class _Listener(ThreadingTCPServer):
    daemon_threads = True
    request_queue_size = 128


class _Connection(StreamRequestHandler):
    disable_nagle_algorithm = True

    def handle(self):
        behind = urlsplit(self.s3.behind.endpoint)
        try:
            with socket.create_connection((behind.hostname, behind.port)) as store:
                store.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, True)
                threading.Thread(target=_copy, args=(store, self.connection), daemon=True).start()
                while head := self._head():
                    self._pass_on(head, store)
        except OSError:
            pass  # Either side hung up: the other sees the same.

    def _head(self):
        """Returns the lines up to the empty one, or nothing at the end of the connection."""
        lines = []
        while (line := self.rfile.readline()).strip():
            lines.append(line)
        return b"".join(lines) + line if line else b""

    def _pass_on(self, head, store):
        method, target, _ = head.decode("latin-1").split(" ", 2)
        self.s3.hold(method, unquote(urlsplit(target).path.lstrip("/")).partition("/")[2])
        store.sendall(head)
        left = _body_bytes(head)
        while left and (piece := self.rfile.read1(min(left, PIECE_BYTES))):
            if self.s3.bytes_per_second:
                time.sleep(len(piece) / self.s3.bytes_per_second)
            store.sendall(piece)
            left -= len(piece)


def _body_bytes(head):
    """Returns the length of the body, which every request to S3 states."""
    for line in head.lower().split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name == b"content-length":
            return int(value)
    return 0


def _copy(source, target):
    try:
        while piece := source.recv(PIECE_BYTES):
            target.sendall(piece)
        target.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass  # As above.


class SlowS3Case(ServerCase):
    """A class of tests for a server whose S3 is the shared demo's, behind the class's own proxy, `s3`."""

    SHARED = None

    @classmethod
    def start(cls):
        cls.s3 = SlowS3(shared("demo").store())
        cls.addClassCleanup(cls.s3.close)
        ledger = cls.lasting_directory() / "ledger.db"
        return Serve(cls.s3.store(), prefix=cls.__name__, settings=f'[ledger]\nurl = "sqlite:{ledger}"\n')

    def setUp(self):
        super().setUp()
        self.s3.hold = lambda method, key: None
        self.s3.bytes_per_second = None
