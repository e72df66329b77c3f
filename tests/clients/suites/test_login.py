"""Logins and their views: keys, passwords, and the walls between tenants."""

from rig import keys
from rig.case import ServerCase
from rig.files import make, sha256
from rig.openssh import OpenSsh
from rig.servers import PASSWORDS


class Login:
    def test_each_kind_of_key(self):
        for kind in keys.KINDS:
            with self.subTest(kind=kind):
                self.assertIn("/", OpenSsh(self.server, key=keys.key(kind)).sftp("pwd").stdout)

    def test_passwords(self):
        for user, password in PASSWORDS.items():
            with self.subTest(user=user):
                self.assertIn("/", OpenSsh(self.server, user=user, password=password).sftp("pwd").stdout)

    def test_what_is_wrong_is_refused(self):
        attempts = {
            "a wrong password": {"user": "alice", "password": PASSWORDS["bob"]},
            "an empty password": {"user": "alice", "password": ""},
            "an unknown user's password": {"user": "mallory", "password": PASSWORDS["alice"]},
            "an unknown user's key": {"user": "mallory"},
            "a wrong key": {"user": "alice", "key": keys.strange_key()},
            "another case": {"user": "Alice"},
        }
        for what, attempt in attempts.items():
            with self.subTest(what):
                client = OpenSsh(self.server, **attempt)
                refused = client.sftp("pwd", check=False)
                self.assertEqual(255, refused.returncode)
                self.assertIn("Permission denied", refused.stderr)

    def test_tenants_do_not_see_each_other(self):
        alice, bob = OpenSsh(self.server, "alice"), OpenSsh(self.server, "bob")
        make(self.local / "secret", 100)
        bob.sftp(f"put {self.local}/secret bobs-secret")
        self.assertIn("bobs-secret", bob.sftp("ls -1").stdout)
        self.assertNotIn("bobs-secret", alice.sftp("ls -1").stdout)
        sftp = self.sftp(user="alice")
        for path in (
            "bobs-secret",
            "/bobs-secret",
            "../bobs-secret",
            "../globex/bobs-secret",
            "/globex/bobs-secret",
            "../../tenants/globex/bobs-secret",
            "..//globex//bobs-secret",
        ):
            for attempt in (
                sftp.stat,
                sftp.open,
                sftp.listdir,
                sftp.remove,
                lambda path: sftp.rename(path, "stolen"),
                lambda path: sftp.posix_rename(path, "stolen"),
            ):
                with self.subTest(path=path, attempt=attempt), self.assertRaises(OSError):
                    attempt(path)
        self.assertNotIn("stolen", sftp.listdir())
        for path in ("../globex/planted", "/../globex/planted", "/globex/planted"):
            # Such a file belongs to alice, wherever it is.
            alice.sftp(f"put {self.local}/secret {path}", check=False)
        self.assertNotIn("planted", bob.sftp("ls -1").stdout)
        bob.sftp(f"get bobs-secret {self.local}/back", "rm bobs-secret")
        self.assertEqual(sha256(self.local / "secret"), sha256(self.local / "back"))


class LoginOnDemo(Login, ServerCase):
    SHARED = "demo"


class LoginOnSeaweedFs(Login, ServerCase):
    SHARED = "seaweedfs"
