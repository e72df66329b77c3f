"""Issue 12.2: every refused login leaves a line that names the client and the reason."""

import contextlib
import json
import socket
import time

import paramiko

from rig import keys, paramiko_client
from rig.case import ServerCase
from rig.fake_aws import FakeAws
from rig.frames import NO_ATTRIBUTES, OPEN, READ_FLAG, Frames, number, text
from rig.openssh import OpenSsh
from rig.paramiko_client import TIMEOUT
from rig.process import until
from rig.servers import PASSWORDS, Serve


class RefusedLogins(ServerCase):
    SHARED = None

    @classmethod
    def start(cls):
        s3 = FakeAws()
        cls.addClassCleanup(s3.close)
        return Serve(s3.store(), settings='[log]\nformat = "json"', user_settings='permissions = ["write", "list"]')

    def setUp(self):
        super().setUp()
        self.before = len(self.lines())

    def lines(self):
        whole = self.server.process.log_text().rpartition("\n")[0]
        return [json.loads(line) for line in whole.splitlines()]

    def line(self, message, **fields):
        """Waits for the line that this test's client caused."""
        wanted = {"message": message} | fields

        def said():
            return [line for line in self.lines()[self.before :] if wanted.items() <= line.items()]

        return until(said, f"{wanted}")[-1]

    def refused(self, *options, **attempt):
        self.assertEqual(255, OpenSsh(self.server, **attempt).sftp("pwd", options=options, check=False).returncode)

    def assert_openssh(self, line):
        self.assertTrue(line["client"].startswith("SSH-2.0-OpenSSH_"), line)

    def test_no_key_exchange_in_common(self):
        self.refused("-o", "KexAlgorithms=ecdh-sha2-nistp256")
        line = self.line("connection ended")
        self.assert_openssh(line)
        for said in ("no key exchange in common", "the client offers ecdh-sha2-nistp256", "`key_exchanges`"):
            self.assertIn(said, line["reason"])

    def test_no_cipher_mac_or_host_key_in_common(self):
        attempts = {
            ("Ciphers=aes256-cbc",): ("no cipher in common", "aes256-cbc", "`ciphers`"),
            ("Ciphers=aes256-ctr", "MACs=hmac-sha1"): ("no MAC in common", "hmac-sha1", "`macs`"),
            ("HostKeyAlgorithms=ecdsa-sha2-nistp256",): ("no host key algorithm in common", "`kinds`"),
        }
        for settings, said in attempts.items():
            with self.subTest(settings):
                self.before = len(self.lines())
                self.refused(*(word for setting in settings for word in ("-o", setting)))
                line = self.line("connection ended")
                self.assert_openssh(line)
                for words in said:
                    self.assertIn(words, line["reason"])

    def test_a_long_list_of_algorithms_does_not_hide_the_setting(self):
        words = ",".join(["ecdh-sha2-nistp256", "ecdh-sha2-nistp384", "ecdh-sha2-nistp521"])
        transport = paramiko.Transport((self.server.host, self.server.port))
        self.addCleanup(transport.close)
        transport._preferred_kex = tuple(words.split(",")) + tuple(f"kex-{number:04}@example.com" for number in range(200))
        with self.assertRaises((paramiko.SSHException, EOFError)):
            transport.start_client(timeout=TIMEOUT)
        self.assertIn("`key_exchanges` of [ssh.algorithms] decides", self.line("connection ended")["reason"])

    def test_an_endless_identification(self):
        with socket.create_connection((self.server.host, self.server.port), timeout=60) as client:
            client.sendall(b"x" * 9000)
            while client.recv(4096):
                pass
        self.assertIn("identification is too long", self.line("connection ended")["reason"])

    def test_a_health_check_that_says_nothing_has_no_line(self):
        socket.create_connection((self.server.host, self.server.port), timeout=60).close()
        self.openssh.sftp("pwd")
        self.line("session ended")
        self.assertEqual([], [line for line in self.lines()[self.before :] if line["message"] == "connection ended"])

    # R10: a key that signs only with SHA-1.
    def test_a_key_limited_to_ssh_rsa(self):
        self.refused("-o", "PubkeyAcceptedAlgorithms=ssh-rsa", key=keys.key("rsa"))
        line = self.line("login refused")
        self.assert_openssh(line)
        self.assertEqual(("alice", "none"), (line["user"], line["method"]))
        self.assertIn("left after none: it offered no key and no password", line["reason"])
        self.assertIn("curve25519", line["algorithms"])

    def test_an_unknown_key_has_its_fingerprint(self):
        self.refused(key=keys.strange_key())
        line = self.line("login refused")
        fingerprint = self.run_program("ssh-keygen", "-lf", keys.strange_key()).stdout.split()[1]
        self.assertEqual(("publickey", "unknown key", fingerprint), (line["method"], line["reason"], line["fingerprint"]))
        self.assert_openssh(line)

    def test_a_login_has_its_key_client_and_algorithms(self):
        self.openssh.sftp("pwd")
        line = self.line("login")
        fingerprint = self.run_program("ssh-keygen", "-lf", keys.key()).stdout.split()[1]
        self.assertEqual(fingerprint, line["fingerprint"])
        self.assert_openssh(line)
        self.assertRegex(line["algorithms"], r"^\S+ ssh-ed25519 aes\d+-gcm@openssh\.com$")

    def begin(self):
        transport = paramiko_client.begin(self.server)
        self.addCleanup(transport.close)
        return transport

    def test_a_client_that_leaves_before_it_asks(self):
        self.begin().close()
        line = self.line("connection ended")
        self.assertEqual("the client left before it asked to log in", line["reason"])
        self.assertTrue(line["client"].startswith("SSH-2.0-paramiko_"), line)

    # Issue 12.1: new keys are exchanged only after login.
    def test_no_keys_are_exchanged_again_before_login(self):
        transport = self.begin()
        transport._send_kex_init()
        line = self.line("connection ended")
        self.assertEqual("the client began another key exchange before its login", line["reason"])
        with self.assertRaises((paramiko.SSHException, EOFError, OSError)):
            transport.auth_password("alice", PASSWORDS["alice"])

    def test_a_wrong_signature(self):
        transport, known = self.begin(), paramiko.Ed25519Key.from_private_key_file(str(keys.key()))
        stranger = paramiko.Ed25519Key.from_private_key_file(str(keys.strange_key()))
        known.sign_ssh_data = lambda data, algorithm=None: stranger.sign_ssh_data(data)
        with self.assertRaises(paramiko.AuthenticationException):
            transport.auth_publickey("alice", known)
        self.assertEqual("wrong ssh-ed25519 signature", self.line("login refused")["reason"])

    def test_an_accepted_key_that_does_not_sign(self):
        transport, known = self.begin(), paramiko.Ed25519Key.from_private_key_file(str(keys.key()))
        self.ask(transport, "publickey", b"\0" + text("ssh-ed25519") + text(known.asbytes()))
        transport.close()
        line = self.line("login refused")
        fingerprint = self.run_program("ssh-keygen", "-lf", keys.key()).stdout.split()[1]
        self.assertEqual(("alice", fingerprint), (line["user"], line["fingerprint"]))
        self.assertEqual("the key was accepted, and the client did not sign with it", line["reason"])

    def ask(self, transport, method, rest=b"", user="alice"):
        """Sends a login request without waiting for the answer. The next request follows it."""
        service = paramiko.Message()
        service.add_byte(b"\x05")
        service.add_string("ssh-userauth")
        request = b"\x32" + text(user) + text("ssh-connection") + text(method) + rest
        transport.packetizer.send_message(service)
        transport.packetizer.send_message(paramiko.Message(request))
        # The answer to this request shows that the server has answered all earlier ones.
        time.sleep(0.5)

    def test_each_name_for_which_a_key_was_offered(self):
        stranger = paramiko.Ed25519Key.from_private_key_file(str(keys.strange_key()))
        transport = self.begin()
        for user in ("root", "admin", "admin", "oracle"):
            self.ask(transport, "publickey", b"\0" + text("ssh-ed25519") + text(stranger.asbytes()), user=user)
        transport.close()
        self.line("login refused", user="oracle")
        lines = [(line["user"], line["reason"]) for line in self.lines()[self.before :] if "refused" in line["message"]]
        again = "unknown user; so were 1 more that it offered"
        self.assertEqual([("root", "unknown user"), ("admin", again), ("oracle", "unknown user")], lines)

    def test_an_agent_with_too_many_keys(self):
        transport = self.begin()
        with self.assertRaises((paramiko.SSHException, EOFError, OSError)):
            for _ in range(40):
                stranger = paramiko.ECDSAKey.generate()
                with contextlib.suppress(paramiko.AuthenticationException):
                    transport.auth_publickey("alice", stranger)
        line = self.line("login refused")
        self.assertEqual("alice", line["user"])
        self.assertRegex(line["reason"], r"^unknown key; so were \d+ more that it offered: too many for one connection$")
        self.assertTrue(line["fingerprint"].startswith("SHA256:"))

    def test_a_certificate(self):
        key = self.local / "key"
        self.run_program("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", self.local / "authority")
        key.write_text(keys.key().read_text())
        key.chmod(0o600)
        public = self.local / "key.pub"
        public.write_text(keys.key().with_suffix(".pub").read_text())
        self.run_program("ssh-keygen", "-q", "-s", self.local / "authority", "-I", "id", "-n", "alice", public)
        certificate = ["-o", f"CertificateFile={self.local}/key-cert.pub"]
        # OpenSSH continues with the key itself.
        self.assertIn("/", OpenSsh(self.server, key=key).sftp("pwd", options=certificate).stdout)
        line = self.line("login refused", reason="certificates are not accepted")
        fingerprint = self.run_program("ssh-keygen", "-lf", keys.key()).stdout.split()[1]
        self.assertEqual((fingerprint, "publickey"), (line["fingerprint"], line["method"]))

    def test_answers_that_are_no_password(self):
        for answers in ([], ["one", "two"]):
            with self.subTest(answers=answers):
                self.before, transport = len(self.lines()), self.begin()
                with self.assertRaises(paramiko.AuthenticationException):
                    transport.auth_interactive("alice", lambda *_, answers=answers: answers)
                line = self.line("login refused")
                self.assertEqual("keyboard-interactive", line["method"])
                self.assertEqual("the answer to the prompt is not one password in UTF-8", line["reason"])

    def test_another_service_than_the_login(self):
        transport = self.begin()
        transport.packetizer.send_message(paramiko.Message(b"\x05" + text("ssh-connection")))
        until(lambda: not transport.is_active(), "the end of the connection")
        self.line("connection ended", reason="the client left before it asked to log in")

    # R10: an OPEN that exceeds the user's permissions, with any flags. Every combination of flags has a meaning.
    def test_a_refused_open(self):
        client = Frames(self.connect())
        client.start()
        for flags in (0, READ_FLAG):
            with self.subTest(flags=flags):
                self.before = len(self.lines())
                client.status(OPEN, text("/file"), number(flags), NO_ATTRIBUTES)
                line = self.line("request failed", request="OPEN", path="/file")
                self.assertIn("you may not download from here", line["error"])
