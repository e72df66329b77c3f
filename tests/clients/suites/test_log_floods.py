"""Floods of the log: a client that causes lines at will, and a reader of stderr that has stopped."""

import fcntl
import json
import os
import re
import signal
import socket
import threading
import time

from rig import frames
from rig.case import ServerCase
from rig.fake_aws import FakeAws, FakeAwsCase
from rig.files import make
from rig.frames import Frames
from rig.process import until
from rig.servers import Serve

# Burst and rate in lines a second (src/events/limits.rs).
SOURCE, RECORDS, PROGRESS, FAILURES = (100, 10), (1000, 60), (100, 20), (100, 10)
SUPPRESSED = r"log lines suppressed {} lines=(\d+)"
PIPE_BYTES = 4096


class LogFloods(FakeAwsCase):
    def setUp(self):
        # A new server has full buckets, and no line of another test.
        type(self).server = None
        super().setUp()
        self.addCleanup(self.server.close)
        self.began = time.monotonic()

    def tearDown(self):
        # The tests end the server, to get all of its lines.
        pass

    # Issue 12.8: every line that a client can cause has a token bucket.
    def test_opens_and_closes(self):
        self.s3.objects["tenants/acme/file"] = b"x"
        client = self.frames()
        asked = 3000
        for _ in range(asked // 100):
            for _ in range(100):
                client.send(frames.OPEN, frames.text("/file"), frames.number(frames.READ_FLAG), frames.NO_ATTRIBUTES)
            handles = [frames.handle_of(client.receive()) for _ in range(100)]
            for handle in handles:
                client.send(frames.CLOSE, handle)
            for _ in range(100):
                client.receive()
        client.channel.get_transport().close()
        self.server.process.stop()
        written = self.assert_bounded("file opened", PROGRESS) + self.assert_bounded("file closed", RECORDS)
        # The end of the session may have had no token.
        written += self.lines("session ended") - 1
        self.assertEqual(2 * asked, written + self.suppressed("tenant=acme user=alice"))

    def test_failures(self):
        asked = 0
        transport = self.connect()
        # Each session may fail 100 times, and then once a second.
        for _ in range(5):
            client = Frames(transport)
            client.start()
            for _ in range(200):
                client.send(frames.MKDIR, frames.text("/"), frames.NO_ATTRIBUTES)
                client.send(frames.STAT, frames.text("\n" * 250 + "x" * 700))
                asked += 2
            for _ in range(400):
                client.receive()
            client.channel.close()
        transport.close()
        self.server.process.stop()
        failed = self.assert_bounded("(?:change|request) failed", FAILURES)
        counted = self.server.process.log_text()
        by_session = sum(map(int, re.findall(r"session ended .* suppressed=(\d+)", counted)))
        self.assertEqual(asked, failed + by_session + self.suppressed("tenant=acme user=alice"))

    def test_strangers(self):
        asked = 300
        for _ in range(asked):
            with socket.create_connection((self.server.host, self.server.port), timeout=60) as stranger:
                # No key exchange begins with these bytes.
                stranger.sendall(b"SSH-2.0-x\r\n" + b"\xff" * 64)
                while stranger.recv(4096):
                    pass
        self.server.process.stop()
        ended = self.assert_bounded("connection ended", SOURCE)
        self.assertEqual(asked, ended + self.suppressed("source=127.0.0.1"))

    def test_the_count_comes_by_itself(self):
        client = self.frames()
        self.s3.objects["tenants/acme/file"] = b"x"
        for _ in range(3 * PROGRESS[0]):
            client.close_handle(client.open("/file", frames.READ_FLAG))
        self.server.process.until(lambda: self.suppressed("tenant=acme user=alice"), "the count")
        self.assertTrue(self.server.process.running)

    def frames(self):
        client = Frames(self.connect())
        client.start()
        return client

    def assert_bounded(self, message, rate):
        """Returns the number of lines with this message. It must be within the bucket's burst and rate since the test
        began."""
        burst, per_second = rate
        lines, seconds = self.lines(message), time.monotonic() - self.began
        self.assertLessEqual(lines, burst + per_second * seconds)
        # Logins and sessions take tokens from the same buckets.
        self.assertGreaterEqual(lines, burst - 10)
        return lines

    def lines(self, message):
        """Returns the number of lines with this message."""
        return len(re.findall(rf"(?m) (?:INFO|WARN) {message} ", self.server.process.log_text()))

    def suppressed(self, of):
        """Returns the number of suppressed lines that the log reports."""
        return sum(map(int, re.findall(SUPPRESSED.format(of), self.server.process.log_text())))


class StoppedReader(ServerCase):
    """A server whose stderr is a tiny pipe, which is read only when a test does so."""

    SHARED = None

    @classmethod
    def start(cls):
        cls.s3 = FakeAws()
        cls.addClassCleanup(cls.s3.close)
        cls.pipe, stderr = os.pipe()
        fcntl.fcntl(cls.pipe, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
        try:
            # With this level, a second produces minutes' worth of lines.
            environment = dict(os.environ, RUST_LOG="trace")
            return Serve(cls.s3.store(), settings='[log]\nformat = "json"', stderr=stderr, env=environment)
        finally:
            os.close(stderr)

    def setUp(self):
        type(self).server = None
        super().setUp()
        self.addCleanup(self.server.close)

    def tearDown(self):
        # Some tests end the server.
        pass

    # Issue 12.8: a stopped reader of stderr blocks nothing, and the lost lines are counted.
    def test_clients_go_on_and_the_loss_is_counted(self):
        make(self.local / "file", 16 << 20)
        for number in range(2):
            self.openssh.sftp(f"put {self.local}/file /{number}", f"get /{number} {self.local}/back")
            self.assertEqual((self.local / "file").read_bytes(), (self.local / "back").read_bytes())
        lines = self.read()
        count = self.wait_for(lines, "log lines dropped")
        self.assertEqual("WARN", count["level"])
        self.assertGreater(count["lines"], 0)
        # The log continues.
        self.openssh.sftp("mkdir /after")
        self.assertEqual("/after", self.wait_for(lines, "changed")["path"])
        self.server.process.child.send_signal(signal.SIGTERM)
        self.wait_for(lines, "stopped")
        self.assertEqual(0, self.server.process.child.wait(60))

    def test_the_server_stops_while_nobody_reads(self):
        self.openssh.sftp("pwd")
        self.assertEqual(0, self.server.process.stop())
        os.close(self.pipe)

    def test_the_reader_may_go(self):
        os.close(self.pipe)
        self.openssh.sftp("mkdir /x", "rmdir /x")
        self.assertEqual(0, self.server.process.stop())

    def read(self):
        """Returns the list of lines, which grows as they arrive."""
        lines = []

        def read():
            with os.fdopen(self.pipe, "rb") as pipe:
                lines.extend(pipe)

        threading.Thread(target=read, daemon=True).start()
        return lines

    def wait_for(self, lines, message):
        """Waits for a line with this message. Returns the first as an object."""
        wanted = f'"message":"{message}"'.encode()
        return json.loads(until(lambda: [line for line in lines[:] if wanted in line], message)[0])
