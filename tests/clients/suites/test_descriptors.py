"""A server without a free file descriptor accepts no connection, and continues as soon as it has one."""

import resource
import socket
from pathlib import Path

from rig.case import ServerCase
from rig.fake_aws import FakeAws
from rig.files import make, sha256
from rig.process import connections
from rig.servers import Serve

# Descriptors beyond those of an idle server: enough for a session and its requests to the store.
ROOM = 24
COMPLAINT = "no connection can be accepted at the moment"


class Descriptors(ServerCase):
    SHARED = None

    @classmethod
    def start(cls):
        s3 = FakeAws()
        cls.addClassCleanup(s3.close)
        # Only descriptors may run out, so the limits on strangers are high.
        limits = 'max_unauthenticated = 10000\nmax_unauthenticated_per_source = 10000\nlogin_burst = 10000'
        return Serve(s3.store(), ssh_settings=limits)

    def test_accepting_goes_on_when_descriptors_are_free_again(self):
        session = self.sftp()
        process = self.server.process
        process.until(lambda: connections(self.server.port) == 1, "the end of all other connections")
        limit = len(list(Path(f"/proc/{process.pid}/fd").iterdir())) + ROOM
        resource.prlimit(process.pid, resource.RLIMIT_NOFILE, (limit, limit))
        # The kernel accepts the connections that the server can't.
        silent = [self.connect_silently() for _ in range(2 * ROOM)]
        process.until(lambda: COMPLAINT in process.log_text(), "the server's complaint")
        self.assertIn("Too many open files", process.log_text())
        self.assertEqual("/", session.normalize("."), "who is in stays in")
        self.assertEqual(1, process.log_text().count(COMPLAINT), "one line for one shortage")
        for connection in silent:
            connection.close()
        sent = make(self.local / "file", 100)
        self.openssh.sftp(f"put {self.local}/file", f"get file {self.local}/back")
        self.assertEqual(sent, sha256(self.local / "back"))

    def connect_silently(self):
        connection = socket.create_connection((self.server.host, self.server.port), timeout=60)
        self.addCleanup(connection.close)
        return connection


class DescriptorLimit(ServerCase):
    SHARED = None

    @classmethod
    def start(cls):
        s3 = FakeAws()
        cls.addClassCleanup(s3.close)
        few = (resource.RLIMIT_NOFILE, (256, 1024))
        return Serve(s3.store(), preexec_fn=lambda: resource.setrlimit(*few))

    def test_the_server_raises_its_limit_and_says_if_that_is_not_enough(self):
        process = self.server.process
        self.assertEqual((1024, 1024), resource.prlimit(process.pid, resource.RLIMIT_NOFILE))
        self.assertIn("few file descriptors", process.log_text())
