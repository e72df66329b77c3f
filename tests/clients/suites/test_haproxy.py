"""Behind a real haproxy, each session has its client's address (issue 12.4)."""

import json
import socket

from rig.case import ServerCase
from rig.fake_aws import FakeAws
from rig.files import make, sha256
from rig.haproxy import Haproxy, ServeBehindHaproxy
from rig.openssh import OpenSsh
from rig.process import until

VERSIONS = ("send-proxy", "send-proxy-v2", "send-proxy-v2 proxy-v2-options crc32c,unique-id")
CLIENT = "127.0.0.7"
FROM_CLIENT = ["-o", f"BindAddress={CLIENT}"]


class BehindHaproxy(ServerCase):
    SHARED = None

    @classmethod
    def start(cls):
        s3 = FakeAws()
        cls.addClassCleanup(s3.close)
        return ServeBehindHaproxy(s3.store(), settings='[log]\nformat = "json"')

    def balancer(self, options):
        balancer = Haproxy(self.server, options)
        self.addCleanup(balancer.close)
        return balancer

    def lines(self, message, since=0):
        whole = self.server.process.log_text().rpartition("\n")[0]
        lines = [json.loads(line) for line in whole.split("\n")[since:]]
        return [line for line in lines if line["message"] == message]

    def test_sessions_have_the_address_of_the_client(self):
        sent = make(self.local / "file", 100_000)
        for version in VERSIONS:
            with self.subTest(version):
                since = self.server.process.log_text().count("\n")
                client = OpenSsh(self.balancer(version))
                commands = [f"put {self.local}/file", f"get file {self.local}/back"]
                client.sftp(*commands, options=FROM_CLIENT)
                self.assertEqual(sent, sha256(self.local / "back"))
                for message in ("login", "session started", "file closed"):
                    addresses = [line["source_ip"] for line in self.lines(message, since)]
                    self.assertEqual({CLIENT}, set(addresses), message)
                # Issue 12.5: the stock client gets AES-GCM behind a PROXY header too.
                for login in self.lines("login", since):
                    self.assertIn("-gcm@openssh.com", login["algorithms"])

    def test_a_full_source_is_one_client_and_not_the_balancer(self):
        balancer = self.balancer("send-proxy-v2")
        for _ in range(20):
            silent = socket.create_connection((balancer.host, balancer.port), source_address=("127.0.0.8", 0))
            self.addCleanup(silent.close)
            self.assertEqual(b"SSH-", silent.recv(4))
        OpenSsh(balancer).sftp("pwd", options=FROM_CLIENT)

    def test_health_checks_leave_no_line(self):
        since = self.server.process.log_text().count("\n")
        for check in ("check inter 500ms check-send-proxy send-proxy-v2", "check inter 500ms send-proxy"):
            balancer = self.balancer(check)
            looked = "Health check for server sftp/wharfinger succeeded"
            balancer.process.until(lambda process=balancer.process: looked in process.log_text(), "a health check")
            OpenSsh(balancer).sftp("pwd", options=FROM_CLIENT)
            balancer.close()
        until(lambda: len(self.lines("login", since)) == 2, "both logins")
        self.assertEqual([], self.lines("connection refused", since) + self.lines("connection ended", since))

    def test_who_goes_around_the_balancer_hears_nothing(self):
        around = (self.server.host, self.server.port)
        with socket.create_connection(around, source_address=(CLIENT, 0), timeout=30) as stranger:
            try:
                self.assertEqual(b"", stranger.recv(1))
            except ConnectionResetError:
                pass
