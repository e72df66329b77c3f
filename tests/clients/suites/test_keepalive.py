"""The server ends a client that no longer answers, and keeps a client that is silent but answers."""

import signal
import subprocess

from rig.case import ServerCase
from rig.fake_aws import FakeAws
from rig.frames import INIT, VERSION, number
from rig.process import connections
from rig.servers import Serve

# The server asks nothing during the time for a login. It sends the first question after this many seconds, and ends the
# connection after two or three times as many. The other timers of a connection run for minutes.
INTERVAL = 5
DEADLINE = 8 * INTERVAL


class Keepalive(ServerCase):
    SHARED = None

    @classmethod
    def start(cls):
        s3 = FakeAws()
        cls.addClassCleanup(s3.close)
        clocks = f'login_timeout = "{INTERVAL}s"\nkeepalive_interval = "{INTERVAL}s"\nkeepalive_max = 1'
        return Serve(s3.store(), ssh_settings=clocks)

    def test_a_client_that_stopped_is_ended_and_a_silent_one_is_not(self):
        process = self.server.process
        stopped, silent = self.client(), self.client()
        process.until(lambda: self.said("session started") == 2, "two sessions")
        stopped.send_signal(signal.SIGSTOP)
        process.until(lambda: self.said("session ended") == 1, "the end of the stopped client's session", DEADLINE)
        process.until(lambda: connections(self.server.port) == 1, "the end of its connection", DEADLINE)
        self.assertEqual(1, self.said("connection ended"))
        self.assertIn("eepalive", next(line for line in self.lines() if "connection ended" in line))
        silent.stdin.write(number(5) + number(INIT, 1) + number(3))
        silent.stdin.flush()
        self.assertEqual(VERSION, silent.stdout.read(5)[4])

    def client(self):
        """Returns OpenSSH with an SFTP channel that sends nothing."""
        arguments = ["ssh", *self.openssh.options, "-p", str(self.server.port), "-s", self.openssh.place, "sftp"]
        client = subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)

        def end():
            client.kill()
            client.communicate()

        self.addCleanup(end)
        return client

    def said(self, message):
        return sum(message in line for line in self.lines())

    def lines(self):
        return self.server.process.log_text().splitlines()
