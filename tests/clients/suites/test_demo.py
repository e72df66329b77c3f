"""The demo's command line: logins with `--key`, and errors about a port or a key that can't be used."""

import socket
import subprocess
import unittest

from rig import keys
from rig.case import ServerCase
from rig.openssh import OpenSsh
from rig.ports import free_port
from rig.servers import PASSWORDS, wharfinger


class DemoKeys(ServerCase):
    SHARED = "demo"

    def test_a_key_lets_both_users_in(self):
        for user in PASSWORDS:
            with self.subTest(user=user):
                self.assertIn("/", OpenSsh(self.server, user).sftp("pwd").stdout)
                refused = OpenSsh(self.server, user, key=keys.strange_key()).sftp("pwd", check=False)
                self.assertEqual(255, refused.returncode)

    # Issue 14.8: Java clients without BouncyCastle know no Ed25519.
    def test_a_client_that_knows_only_ecdsa_host_keys_connects(self):
        options = ["-o", "HostKeyAlgorithms=ecdsa-sha2-nistp256"]
        self.assertIn("/", self.openssh.sftp("pwd", options=options).stdout)


class DemoRefusals(unittest.TestCase):
    def test_a_taken_port_is_named_with_the_way_out(self):
        with socket.create_server(("127.0.0.1", 0)) as other:
            port = other.getsockname()[1]
            self.assert_ends("--port", port, saying=f"port {port} is taken: choose another with --port")

    def test_a_file_that_is_no_public_key_is_refused(self):
        private = keys.key()
        for file, sentence in (
            (__file__, f"{__file__} is no public key: "),
            ("/dev/null", "/dev/null is no public key: "),
            (private, f"{private} is no public key: this is a private key: give the .pub file instead"),
            ("/nowhere/key.pub", "can't read the public key /nowhere/key.pub: "),
        ):
            with self.subTest(file=file):
                self.assert_ends("--port", free_port(), "--key", file, saying=sentence)

    def assert_ends(self, *options, saying):
        """Checks that the demo doesn't start, and gives the reason in one line on stderr."""
        arguments = map(str, [wharfinger(), "demo", *options])
        done = subprocess.run(arguments, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60)
        self.assertEqual(1, done.returncode, done.stderr)
        self.assertEqual("", done.stdout)
        (error,) = [line for line in done.stderr.splitlines() if line.startswith("wharfinger: ")]
        self.assertTrue(error.startswith(f"wharfinger: {saying}"), error)
