"""fsspec's `sftp` file system, as pandas, Dask and Airflow use it."""

import fsspec

from rig import keys
from rig.case import ServerCase
from rig.fake_aws import PUTS, FakeAwsCase
from rig.files import MIB, content, make, make_tree, sha256, tree
from rig.process import until


def settings(server):
    return {
        "host": server.host,
        "port": server.port,
        "username": server.user,
        "key_filename": str(keys.key()),
        # paramiko gets no second try after a refused key.
        "look_for_keys": False,
        "allow_agent": False,
        "skip_instance_cache": True,
    }


class Fsspec:
    def setUp(self):
        super().setUp()
        self.there = f"{self.sftp().normalize('.').rstrip('/')}/{self.remote_directory()}"
        self.files = fsspec.filesystem("sftp", **settings(self.server))
        self.addCleanup(self.files.client.close)

    def test_files_and_directories(self):
        data = content(2 * MIB)
        self.files.makedirs(f"{self.there}/a/b", exist_ok=True)
        with self.files.open(f"{self.there}/a/b/file", "wb") as file:
            file.write(data)
        with self.files.open(f"{self.there}/a/b/file", "rb") as file:
            file.seek(MIB)
            self.assertEqual(data[MIB:], file.read())
        self.assertEqual(len(data), self.files.info(f"{self.there}/a/b/file")["size"])
        self.assertEqual([f"{self.there}/a/b/file"], self.files.glob(f"{self.there}/*/b/f*"))
        self.files.mv(f"{self.there}/a/b/file", f"{self.there}/a/moved")
        self.assertEqual(data, self.files.cat(f"{self.there}/a/moved"))
        self.files.rm(f"{self.there}/a/moved")
        self.files.rmdir(f"{self.there}/a/b")
        self.assertEqual([], self.files.ls(f"{self.there}/a"))
        with self.assertRaises(FileNotFoundError):
            self.files.info(f"{self.there}/none")

    def test_put_and_get(self):
        sent = make(self.local / "file", 12 * MIB)
        self.files.put(str(self.local / "file"), f"{self.there}/file")
        self.files.get(f"{self.there}/file", str(self.local / "back"))
        self.assertEqual(sent, sha256(self.local / "back"))

    def test_a_tree_comes_down(self):
        made = make_tree(self.local / "tree")
        for path in made:
            if made[path] is None:
                self.files.makedirs(f"{self.there}/up/{path}", exist_ok=True)
            else:
                self.files.makedirs(f"{self.there}/up/{path}".rpartition("/")[0], exist_ok=True)
                self.files.put(str(self.local / "tree" / path), f"{self.there}/up/{path}")
        self.files.get(f"{self.there}/up", str(self.local / "back"), recursive=True)
        self.assertEqual(made, tree(self.local / "back"))

    def test_appending_and_changing_in_place(self):
        self.files.pipe(f"{self.there}/file", b"as it was")
        with self.files.open(f"{self.there}/file", "ab") as file:
            file.write(b" and is")
        with self.files.open(f"{self.there}/file", "r+b") as file:
            file.write(b"AS")
        self.assertEqual(b"AS it was and is", self.files.cat(f"{self.there}/file"))


class FsspecOnDemo(Fsspec, ServerCase):
    SHARED = "demo"


class FsspecOnAFailingBucket(FakeAwsCase):
    """fsspec ignores the CLOSE, and learns of a failed upload when it opens the next file."""

    def setUp(self):
        super().setUp()
        self.s3.objects.clear()
        self.files = fsspec.filesystem("sftp", **settings(self.server))
        self.addCleanup(self.files.client.close)

    def fail_with(self, failure):
        self.s3.fail(failure, PUTS, key="*.csv")

    def open_and_write(self, path):
        with fsspec.open(f"sftp://{self.server.host}{path}", "wb", **settings(self.server)) as file:
            file.write(b"x")

    def test_a_bucket_that_is_slow_down_for_ever_is_heard_of_at_the_second_file(self):
        self.fail_with("SlowDown")
        self.open_and_write("/first.csv")
        # Sessions of one user share the knowledge of failures.
        with self.assertRaisesRegex(OSError, "^Failure: "):
            self.files.pipe_file("/second.csv", b"x")
        self.assertEqual({}, self.s3.objects)
        self.s3.heal()
        until(self.writes_again, "a file that is stored", timeout=10)
        self.assertEqual(["tenants/acme/again.csv"], list(self.s3.objects))

    def test_a_bucket_that_denies_is_heard_of_at_the_third_file(self):
        self.fail_with("AccessDenied")
        for path in ("/first.csv", "/second.csv"):
            self.files.pipe_file(path, b"x")
        with self.assertRaisesRegex(PermissionError, "Permission denied: "):
            self.files.pipe_file("/third.csv", b"x")
        # The denial may concern this session only, so other sessions are admitted.
        self.s3.heal()
        self.open_and_write("/other.csv")
        self.assertEqual(["tenants/acme/other.csv"], list(self.s3.objects))

    def writes_again(self):
        try:
            self.files.pipe_file("/again.csv", b"x")
        except OSError:
            return False
        return True


class FsspecOnSshd(Fsspec, ServerCase):
    """Runs with `--sshd` only."""

    SHARED = "sshd"
