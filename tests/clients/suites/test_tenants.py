"""Tenants are added and removed by command while the server runs: their users can log in at once, and then no more."""

import os
import pty
import subprocess

from rig import keys
from rig.fake_aws import BUCKET, FakeAwsCase
from rig.files import LEAST_PART, make, sha256, sha256_of
from rig.openssh import OpenSsh


class TenantsByCommand(FakeAwsCase):
    def setUp(self):
        super().setUp()
        self.sent = make(self.local / "file", 2 * LEAST_PART)

    def test_a_tenant_is_added_used_and_removed_while_others_work(self):
        other = self.sftp()
        before = self.server.process.pid
        self.assertEqual(255, self.put("carol", check=False).returncode)
        added = self.run_command("add", "initech", *self.storage("initech"), "--user=carol", f"--key={keys.key()}.pub")
        self.assertIn("the tenant initech is added: ", added)
        self.assertIn("the server has taken the change", added)
        self.put("carol")
        self.assertEqual(self.sent, sha256_of(self.s3.objects["tenants/initech/file"]))
        OpenSsh(self.server, "carol").sftp(f"get file {self.local}/back")
        self.assertEqual(self.sent, sha256(self.local / "back"))
        removed = self.run_command("remove", "initech", "--yes")
        self.assertIn("the server has taken the change", removed)
        self.assertIn(f"its objects stay: s3://{BUCKET}/tenants/initech/ at {self.s3.endpoint}", removed)
        refused = self.put("carol", check=False)
        self.assertEqual(255, refused.returncode)
        self.assertIn("Permission denied", refused.stderr)
        self.assertIn("tenants/initech/file", self.s3.objects)
        other.mkdir("the other tenant's session is as before")
        self.assertEqual(before, self.server.process.pid)

    def test_a_terminal_is_asked_for_what_is_missing(self):
        _bucket, _prefix, _region, *others = self.storage("umbrella")
        answers = ["", BUCKET, "no slash", "tenants/umbrella/", "us-east-1", "dave", keys.key(), f"{keys.key()}.pub"]
        added = self.on_terminal(["add", "umbrella", *others], answers)
        self.assertEqual(0, added.returncode, added.stderr)
        # An empty bucket, a prefix without a slash and a private key are asked for again.
        self.assertEqual(2, added.stderr.count("Bucket ("), added.stderr)
        self.assertEqual(2, added.stderr.count("Prefix ("), added.stderr)
        self.assertEqual(2, added.stderr.count("File with the user's public keys: "), added.stderr)
        self.assertIn("dave is its user: ssh-ed25519 SHA256:", added.stdout)
        self.put("dave")
        kept = self.on_terminal(["remove", "umbrella"], ["yes"])
        self.assertEqual(1, kept.returncode)
        self.assertIn("this isn't the tenant's name; nothing was changed", kept.stderr)
        self.put("dave")
        removed = self.on_terminal(["remove", "umbrella"], ["umbrella"])
        self.assertEqual(0, removed.returncode, removed.stderr)
        self.assertIn(f"its objects stay: s3://{BUCKET}/tenants/umbrella/", removed.stderr)
        self.assertEqual(255, self.put("dave", check=False).returncode)

    def storage(self, tenant):
        store = self.s3.store()
        return [
            f"--bucket={BUCKET}",
            f"--prefix=tenants/{tenant}/",
            "--region=us-east-1",
            f"--endpoint={store.endpoint}",
            "--path-style",
            f"--access-key-id={store.access_key_id}",
            # The name of the file that the rig writes.
            "--secret-access-key-file=s3.secret",
        ]

    def command(self, *arguments):
        binary, _, *config = self.server.process.arguments
        return [binary, "tenant", *map(str, arguments), *config]

    def run_command(self, *arguments):
        done = subprocess.run(
            self.command(*arguments), stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60
        )
        self.assertEqual(0, done.returncode, done.stderr)
        return done.stdout

    def on_terminal(self, arguments, answers):
        """Runs a command whose stdin is a terminal, on which the answers are typed."""
        terminal, stdin = pty.openpty()
        try:
            os.write(terminal, "".join(f"{answer}\n" for answer in answers).encode())
            return subprocess.run(self.command(*arguments), stdin=stdin, capture_output=True, text=True, timeout=60)
        finally:
            os.close(stdin)
            os.close(terminal)

    def put(self, user, check=True):
        return OpenSsh(self.server, user).sftp(f"put {self.local}/file file", check=check)
