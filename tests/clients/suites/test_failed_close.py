"""A store refuses a small file at its CLOSE: some clients tell their users, others don't."""

import asyncio
import io
import time

import asyncssh
import fsspec

from rig import command_lines, java, jsch, keys
from rig.case import ServerCase
from rig.fake_aws import FakeAws
from rig.files import make
from rig.process import until
from rig.programs import RCLONE
from rig.servers import Serve, old_clients
from rig.sshfs import Mount, Unavailable, mounted


class FailedClose(ServerCase):
    SHARED = None

    @classmethod
    def start(cls):
        cls.s3 = FakeAws()
        cls.addClassCleanup(cls.s3.close)
        return Serve(cls.s3.store(), ssh_settings=old_clients())

    def setUp(self):
        super().setUp()
        self.s3.fail_files("AccessDenied")
        make(self.local / "file", 1000)
        self.failed_before = self.failed()

    def tearDown(self):
        # sshfs doesn't wait for the reply.
        until(lambda: self.failed() > self.failed_before, "the failure in the server's log")
        self.assertEqual([], [key for key in self.s3.objects if key[-1] != "/"])
        super().tearDown()

    def failed(self):
        """Returns the number of failed uploads in the server's log, which doesn't depend on the client."""
        return self.server.process.log_text().count("file failed")

    def java(self, program):
        """Returns the answer of a Java client to its upload."""
        (self.local / "file").rename(self.local / "file.0")
        (said,) = java.run(program, self.server, self.server.user, ["puts file file 1"], self.local)
        return said

    @property
    def host_key(self):
        return self.connect().get_remote_server_key().fingerprint


class ClientsThatTell(FailedClose):
    def test_openssh(self):
        for refused in (
            self.openssh.sftp(f"put {self.local}/file file", check=False),
            self.openssh.scp(self.local / "file", self.openssh.remote("file"), check=False),
        ):
            self.assertEqual(1, refused.returncode)
            self.assertIn("close remote: Permission denied", refused.stderr)

    def test_psftp(self):
        refused = self.run_program(*command_lines.psftp(self.server, self.host_key), stdin="put file\n", status=2)
        self.assertIn("error while closing: permission denied", refused.stdout)

    def test_lftp(self):
        refused = self.run_program(*command_lines.lftp(self.server, "put file"), status=1)
        self.assertIn("the storage denied the server access to this", refused.stderr)

    def test_rclone(self):
        remote = command_lines.rclone_remote(self.server, "")
        refused = self.run_program(RCLONE, "--retries=1", "copy", "file", remote, status=1)
        self.assertIn("permission denied", refused.stderr)

    def test_restic(self):
        refused = self.run_program(*command_lines.restic(self.server, "", "init"), status=1, RESTIC_PASSWORD="x")
        self.assertIn("permission denied", refused.stderr)

    def test_jsch(self):
        try:
            (refused,) = jsch.run(self.server, ["put file file"], self.local)
        except jsch.Unavailable as reason:
            self.failed_before = -1
            self.skipTest(str(reason))
        self.assertRegex(refused, "^failed: ")

    def test_mina(self):
        self.assertRegex(self.java("MinaClient"), "^failed: .*PERMISSION_DENIED")

    def test_sshj(self):
        # sshj ignores the CLOSE, and then sets the times of a missing file.
        self.assertRegex(self.java("SshjClient"), "^failed: ")

    def test_asyncssh(self):
        async def put():
            options = {"username": self.server.user, "client_keys": [str(keys.key())], "known_hosts": None}
            place = (self.server.host, self.server.port)
            async with asyncssh.connect(*place, config=None, agent_path=None, **options) as connection:
                async with connection.start_sftp_client() as sftp:
                    await sftp.put(str(self.local / "file"), "file")

        with self.assertRaisesRegex(asyncssh.SFTPError, "denied the server access"):
            asyncio.run(put())

    def test_paramiko_with_its_confirmation(self):
        with self.assertRaises(FileNotFoundError):
            self.sftp().putfo(io.BytesIO(b"x"), "file", confirm=True)


class ClientsThatLookAtTheSize(FailedClose):
    """An older file of the same size exists, and stays."""

    def setUp(self):
        super().setUp()
        self.s3.objects["tenants/acme/file"] = bytes(1000)

    def tearDown(self):
        self.assertEqual(bytes(1000), self.s3.objects.pop("tenants/acme/file"))
        super().tearDown()

    def test_paramiko_confirms_no_older_file(self):
        with self.assertRaisesRegex(OSError, "the last upload of this file failed"):
            self.sftp().put(str(self.local / "file"), "file", confirm=True)


class ClientsThatRemove(FailedClose):
    """After a failed upload they remove the file at the path: also an older one, which the server would have kept."""

    def test_rclone_removes_what_is_there(self):
        self.s3.objects["tenants/acme/file"] = b"older"
        remote = command_lines.rclone_remote(self.server, "")
        self.run_program(RCLONE, "--retries=1", "copy", "file", remote, status=1)


class ClientsThatDoNotTell(FailedClose):
    """They end as if the upload had succeeded. If such a test fails, the client has improved: update clients.md."""

    def test_pscp(self):
        remote = f"{self.server.user}@{self.server.host}:file"
        self.run_program(*command_lines.pscp(self.server, self.host_key, "file", remote))

    def test_curl(self):
        self.run_program(*command_lines.curl(self.server, "-T", "file", path="/file"))
        # Without a file the rename fails, and curl reports that.
        rename = ["-Q", "-rename /file.part /file"]
        self.run_program(*command_lines.curl(self.server, "-T", "file", *rename, path="/file.part"), status=21)

    def test_sshfs(self):
        try:
            mount = Mount(self.openssh, ".", self.local / "mount")
        except Unavailable as reason:
            self.failed_before = -1
            self.skipTest(str(reason))
        self.addCleanup(mount.close)
        self.run_program("cp", "file", mount.point / "file")

    def test_paramiko_without_confirmation(self):
        self.sftp().putfo(io.BytesIO(b"x"), "file", confirm=False)

    def test_sshj_over_an_older_file(self):
        # The times that sshj sets after its CLOSE apply to the older file.
        self.s3.objects["tenants/acme/file.0"] = b"older"
        self.assertEqual("ok", self.java("SshjClient"))
        self.assertEqual(b"older", self.s3.objects.pop("tenants/acme/file.0"))


class NextFile(ServerCase):
    """They ignore the CLOSE, and learn of a failed upload when they open the next file."""

    SHARED = None
    @classmethod
    def start(cls):
        cls.s3 = FakeAws()
        cls.addClassCleanup(cls.s3.close)
        return Serve(cls.s3.store(), ssh_settings=old_clients())

    def setUp(self):
        super().setUp()
        self.s3.fail_files("InsufficientStorage")
        for name in ("one", "two", "three"):
            make(self.local / name, 1000)

    def tearDown(self):
        self.assertEqual([], [key for key in self.s3.objects if key[-1] != "/"])
        self.s3.heal()
        # A client that retries is admitted within two seconds, and its success ends the refusals for all sessions.
        started = time.monotonic()
        until(self.stores, "an upload after the outage")
        self.assertLess(time.monotonic() - started, 5)
        self.s3.objects.clear()
        super().tearDown()

    def stores(self):
        try:
            self.sftp().putfo(io.BytesIO(b"x"), "stored", confirm=False)
        except OSError:
            return False
        return True

    # S181: After an upload failed for its bucket's sake, because S3 gave no answer or an error of its own (5xx) to any …
    def test_curl_hears_of_it_at_the_second_file(self):
        self.run_program(*command_lines.curl(self.server, "-T", "one", path="/one"))
        # "Operation failed".
        self.run_program(*command_lines.curl(self.server, "-T", "two", path="/two"), status=79)

    # S182: After S3 denied (403) a session the uploads of two different names in a row, with nothing stored between, OPEN …
    def test_curl_hears_of_a_denial_at_the_third_file(self):
        self.s3.fail_files("AccessDenied")
        self.run_program(*command_lines.curl(self.server, "-T", "{one,two}", path="/"))
        # "Access denied to remote resource".
        self.run_program(*command_lines.curl(self.server, "-T", "{one,two,three}", path="/"), status=9)

    # S181: After an upload failed for its bucket's sake, because S3 gave no answer or an error of its own (5xx) to any …
    def test_paramiko_and_fsspec_hear_of_it_at_the_second_file(self):
        sftp = self.sftp()
        with sftp.open("one", "wb") as file:
            file.write(b"x")
        with self.assertRaisesRegex(OSError, "Failure: the storage did not take the last upload: the storage is full"):
            sftp.open("two", "wb")
        host = {"host": self.server.host, "port": self.server.port, "username": self.server.user}
        alone = {"look_for_keys": False, "allow_agent": False, "skip_instance_cache": True}
        files = fsspec.filesystem("sftp", key_filename=str(keys.key()), **host, **alone)
        self.addCleanup(files.client.close)
        with self.assertRaisesRegex(OSError, "the storage did not take the last upload"):
            files.pipe_file("/three", b"x")

    # S181: After an upload failed for its bucket's sake, because S3 gave no answer or an error of its own (5xx) to any …
    def test_sshfs_hears_of_it_at_the_second_file(self):
        mount = mounted(self, ".")
        self.run_program("cp", "one", mount / "one")
        # sshfs doesn't wait for the reply.
        until(lambda: "file failed" in self.server.process.log_text(), "the failure in the server's log")
        self.run_program("cp", "two", mount / "two", status=1)


class NameThatIsTaken(ServerCase):
    """A drop box in which no file may be replaced: OPEN fails, so clients that ignore the CLOSE learn of it too."""

    SHARED = None

    @classmethod
    def start(cls):
        cls.s3 = FakeAws()
        cls.addClassCleanup(cls.s3.close)
        return Serve(cls.s3.store(), ssh_settings=old_clients(), user_settings='permissions = ["write", "list"]')

    # S17: Without `overwrite` an upload replaces nothing: where a file is OPEN is refused, and the upload goes with …
    def test_clients_that_do_not_look_at_the_close(self):
        make(self.local / "file", 1000)
        curl = command_lines.curl(self.server, "-T", "file", path="/file")
        self.run_program(*curl)
        (first,) = [body for key, body in self.s3.objects.items() if key.endswith("/file")]
        self.assertEqual(1000, len(first))
        make(self.local / "file", 2000)
        # "Access denied to remote resource".
        self.run_program(*curl, status=9)
        with self.assertRaisesRegex(PermissionError, "Permission denied: a file of this name exists"):
            self.sftp().putfo(io.BytesIO(b"x"), "file", confirm=False)
        refused = self.openssh.sftp(f"put {self.local}/file file", check=False)
        self.assertEqual(1, refused.returncode)
        self.assertEqual(first, self.s3.objects["tenants/acme/file"])
