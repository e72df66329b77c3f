"""fsspec's `sftp` file system, as pandas, Dask and Airflow use it."""

import fsspec

from rig import keys
from rig.case import ServerCase
from rig.files import MIB, content, make, make_tree, sha256, tree


class Fsspec:
    def setUp(self):
        super().setUp()
        self.there = f"{self.sftp().normalize('.').rstrip('/')}/{self.remote_directory()}"
        self.files = fsspec.filesystem(
            "sftp",
            host=self.server.host,
            port=self.server.port,
            username=self.server.user,
            key_filename=str(keys.key()),
            # After a refused key paramiko gets no second try.
            look_for_keys=False,
            allow_agent=False,
            skip_instance_cache=True,
        )
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


class FsspecOnSshd(Fsspec, ServerCase):
    """Runs with `--sshd` only."""

    SHARED = "sshd"
