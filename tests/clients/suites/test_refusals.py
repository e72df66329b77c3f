"""The server refuses SSH's other services politely, and the connection stays usable."""

import asyncio
import socket
import subprocess

import asyncssh
import paramiko

from rig import keys
from rig.case import ServerCase
from rig.frames import VERSION, Frames
from rig.ports import free_port
from rig.process import until

ONLY_SFTP = "This service allows sftp connections only."


class Refusals(ServerCase):
    def setUp(self):
        super().setUp()
        # The target of a forwarded connection.
        self.inner = socket.create_server(("127.0.0.1", 0))
        self.inner.setblocking(False)
        self.addCleanup(self.inner.close)
        self.inner_port = self.inner.getsockname()[1]

    def tearDown(self):
        with self.assertRaises(BlockingIOError, msg="a connection was forwarded"):
            self.inner.accept()
        self.assertIn("/", self.openssh.sftp("pwd").stdout)
        super().tearDown()

    # Issue 14.7: a shell and a command get the answer of OpenSSH's internal-sftp, so that clients show the reason.
    def test_exec(self):
        refused = self.openssh.ssh(self.openssh.place, "ls", check=False)
        self.assertEqual((1, f"{ONLY_SFTP}\n"), (refused.returncode, refused.stdout))

    def test_old_scp(self):
        there = self.remote_directory()
        refused = self.openssh.scp("/etc/hostname", self.openssh.remote(f"{there}/x"), options=["-O"], check=False)
        self.assertEqual(1, refused.returncode)
        # scp takes the first byte for its protocol's, and shows the rest of the line.
        self.assertIn(ONLY_SFTP[1:], refused.stderr)
        self.assertEqual([], self.sftp().listdir(there))

    def test_shell(self):
        refused = self.openssh.ssh("-T", self.openssh.place, check=False)
        self.assertEqual((1, f"{ONLY_SFTP}\n"), (refused.returncode, refused.stdout))

    # The client itself ends then.
    def test_a_terminal(self):
        refused = self.openssh.ssh("-tt", self.openssh.place, check=False)
        self.assertEqual((255, ""), (refused.returncode, refused.stdout))
        self.assertIn("PTY allocation request failed", refused.stderr)

    def test_sftp_by_a_command(self):
        refused = self.openssh.sftp("pwd", options=["-s", "/usr/lib/openssh/sftp-server"], check=False)
        self.assertEqual(255, refused.returncode)

    def test_asyncssh_says_why(self):
        async def run():
            options = {"username": self.server.user, "client_keys": [str(keys.key())], "known_hosts": None}
            async with asyncssh.connect(
                self.server.host, self.server.port, config=None, agent_path=None, **options
            ) as connection:
                for command in ("ls", None):
                    done = await connection.run(command, stdin=asyncssh.DEVNULL, timeout=60)
                    self.assertEqual((1, f"{ONLY_SFTP}\n", ""), (done.exit_status, done.stdout, done.stderr))

        asyncio.run(run())

    def test_paramiko_says_why(self):
        transport = self.connect()
        for ask in (lambda channel: channel.exec_command("ls"), lambda channel: channel.invoke_shell()):
            channel = transport.open_session(timeout=60)
            channel.settimeout(60)
            ask(channel)
            said = channel.makefile().read(), channel.makefile_stderr().read(), channel.recv_exit_status()
            self.assertEqual((f"{ONLY_SFTP}\n".encode(), b"", 1), said)
        self.assertEqual(VERSION, Frames(transport).start().kind)

    def test_another_subsystem(self):
        refused = self.openssh.ssh("-s", self.openssh.place, "netconf", check=False)
        self.assertEqual(255, refused.returncode)
        self.assertIn("subsystem request failed", refused.stderr)

    def test_stdio_forwarding(self):
        refused = self.openssh.ssh("-W", f"127.0.0.1:{self.inner_port}", self.openssh.place, check=False)
        self.assertNotEqual(0, refused.returncode)

    def test_local_forwarding(self):
        port = free_port()
        forwarding = ["-N", "-o", "ExitOnForwardFailure=yes", "-L", f"127.0.0.1:{port}:127.0.0.1:{self.inner_port}"]
        arguments = ["ssh", *self.openssh.options, "-p", str(self.server.port), *forwarding, self.openssh.place]
        client = subprocess.Popen(arguments, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            connection = until(lambda: connected(port), "ssh's own listener")
            with connection:
                connection.settimeout(60)
                self.assertEqual(b"", connection.recv(1))
        finally:
            client.kill()
            client.wait()

    def test_remote_forwarding(self):
        forwarding = ["-N", "-o", "ExitOnForwardFailure=yes", "-R", f"127.0.0.1:0:127.0.0.1:{self.inner_port}"]
        self.assertEqual(255, self.openssh.ssh(*forwarding, self.openssh.place, check=False).returncode)

    def test_x11(self):
        client = self.openssh
        client.environment["DISPLAY"] = "127.0.0.1:99"
        refused = client.ssh("-Y", "-o", "LogLevel=INFO", "-T", client.place, check=False)
        self.assertIn("X11 forwarding request failed", refused.stderr)

    def test_agent_and_environment_harm_nothing(self):
        agent = str(self.local / "agent")
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(agent)
            listener.listen()
            client = self.openssh
            client.environment |= {"SSH_AUTH_SOCK": agent, "LC_SECRET": "x"}
            client.ssh("-A", "-o", "SendEnv=LC_*", "-s", client.place, "sftp")
        transport = self.connect()
        channel = transport.open_session(timeout=60)
        channel.settimeout(60)
        channel.request_forward_agent(lambda _: self.fail("the agent was reached"))
        channel.set_environment_variable("LD_PRELOAD", "/x")
        channel.invoke_subsystem("sftp")
        self.assertIsNotNone(paramiko.SFTPClient(channel).normalize("."))

    def test_a_refusal_leaves_the_connection_as_it_was(self):
        transport = self.connect()
        for ask in (
            lambda channel: channel.invoke_subsystem("x" * 1000),
            lambda channel: channel.invoke_subsystem(""),
        ):
            with self.assertRaises(paramiko.SSHException):
                ask(transport.open_session(timeout=60))
        with self.assertRaises(paramiko.ChannelException):
            transport.open_channel("direct-tcpip", ("127.0.0.1", self.inner_port), ("127.0.0.1", 1), timeout=60)
        with self.assertRaises(paramiko.ChannelException):
            transport.open_channel("tun@openssh.com", timeout=60)
        with self.assertRaises(paramiko.SSHException):
            transport.request_port_forward("127.0.0.1", 0)
        self.assertEqual(VERSION, Frames(transport).start().kind)


def connected(port):
    try:
        return socket.create_connection(("127.0.0.1", port), timeout=10)
    except ConnectionRefusedError:
        return None
