"""sshfs: the server as a directory, used by everyday programs."""

import contextlib
import os
import shutil
import sqlite3
import subprocess
import time
import zipfile

from rig.case import ServerCase
from rig.files import MIB, content, make, make_tree, sha256, tree
from rig.sshfs import mounted


class Sshfs:
    def setUp(self):
        super().setUp()
        self.there = self.remote_directory()
        self.mount = self.mounted("mount")

    def mounted(self, name):
        return mounted(self, self.there, name)

    def shell(self, command, status=0):
        """Runs a shell command in the mounted directory. `$L` is the local directory."""
        done = subprocess.run(
            ["bash", "-c", command],
            cwd=self.mount,
            env=dict(os.environ, L=str(self.local), LC_ALL="C"),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
        )
        self.assertEqual(status, done.returncode, f"{command}\n{done.stdout}\n{done.stderr}")
        return done

    def test_files_go_in_and_out(self):
        sent = make(self.local / "file", 3 * MIB + 1)
        self.shell("cp $L/file new && cat new > $L/back && echo hello > greeting && touch empty")
        self.assertEqual(sent, sha256(self.local / "back"))
        # Another client sees the same files.
        with self.sftp() as sftp:
            self.assertEqual({"new": 3 * MIB + 1, "greeting": 6, "empty": 0}, sizes(sftp, self.there))
        self.assertRegex(self.shell("ls -l").stdout, rf"(?m)^-rw.* {3 * MIB + 1} .* new$")
        self.shell("cp $L/file greeting && cmp $L/file greeting")

    def test_20_mib_by_dd(self):
        sent = make(self.local / "file", 20 * MIB)
        self.shell("dd if=$L/file of=new bs=64k && dd if=new of=$L/back bs=1M")
        self.assertEqual(sent, sha256(self.local / "back"))

    def test_two_files_at_once(self):
        sent = [make(self.local / name, 12 * MIB, seed=name) for name in ("one", "two")]
        self.shell("cp $L/one one & one=$!; cp $L/two two && wait $one")
        self.shell("cp one $L/back-one & one=$!; cp two $L/back-two && wait $one")
        self.assertEqual(sent, [sha256(self.local / name) for name in ("back-one", "back-two")])

    def test_a_tree(self):
        made = make_tree(self.local / "tree")
        self.shell("cp -r $L/tree . && cp -r tree $L/back && rm -r tree && test -z \"$(ls)\"")
        self.assertEqual(made, tree(self.local / "back"))

    def test_directories_and_renames(self):
        self.shell("mkdir a a/b && echo x > a/b/file && rmdir a/b", status=1)
        self.shell("mv a/b/file moved && echo other > b && mv b moved && rmdir a/b a && test \"$(cat moved)\" = other")
        self.assertEqual(["moved"], self.sftp().listdir(self.there))
        self.shell("rm moved && test -z \"$(ls)\"")

    def test_files_are_changed_in_place(self):
        self.shell("echo as it was > file && echo more >> file && printf AS | dd of=file bs=1 conv=notrunc")
        self.assertEqual("AS it was\nmore\n", self.shell("cat file").stdout)
        self.shell("truncate -s 2 file && truncate -s 4 file")
        (self.local / "expected").write_bytes(b"AS\0\0")
        self.shell("cmp $L/expected file")
        large = bytearray(content(20 * MIB))
        (self.local / "large").write_bytes(large)
        self.shell("cp $L/large . && printf new | dd of=large bs=1 seek=9000001 conv=notrunc && echo end >> large")
        large[9_000_001:9_000_004] = b"new"
        (self.local / "expected").write_bytes(large + b"end\n")
        self.shell("cmp $L/expected large")

    def test_a_database_and_an_archive(self):
        self.shell("echo one > one && echo two > two && tar cf archive one && tar rf archive two")
        self.assertEqual("one\ntwo\n", self.shell("tar tf archive").stdout)
        with contextlib.closing(sqlite3.connect(self.mount / "database")) as database:
            database.execute("create table t (a)")
            for turn in range(3):
                database.executemany("insert into t values (?)", [(turn,)] * 1000)
                database.commit()
        with contextlib.closing(sqlite3.connect(self.mount / "database")) as database:
            database.execute("delete from t where a = 1")
            database.commit()
            self.assertEqual([(2000,)], database.execute("select count(*) from t").fetchall())
            self.assertEqual([("ok",)], database.execute("pragma integrity_check").fetchall())

    # S154: CREAT without WRITE, APPEND and TRUNC opens a file that is there for reading, and makes no new version …
    def test_a_lock_file(self):
        self.assertEqual("held\n", self.shell("flock lock echo held").stdout)
        self.assertEqual({"lock": 0}, sizes(self.sftp(), self.there))
        self.shell("echo kept > lock && flock -s lock true && test \"$(cat lock)\" = kept")

    def test_a_directory_is_zipped(self):
        make_tree(self.local / "tree")
        # zip writes an entry, and then its beginning again.
        (self.local / "tree/below/large").unlink()
        sent = tree(self.local / "tree")
        self.shell("cp -r $L/tree .")
        # The zip format refuses a time before 1980.
        shutil.make_archive(self.mount / "archive", "zip", self.mount / "tree")
        with zipfile.ZipFile(self.mount / "written.zip", "w") as archive:
            for path in [self.mount / "tree", *(self.mount / "tree").rglob("*")]:
                archive.write(path, path.relative_to(self.mount / "tree"))
        for name in ("archive", "written"):
            with zipfile.ZipFile(self.mount / f"{name}.zip") as archive:
                archive.extractall(self.local / name)
            self.assertEqual(sent, tree(self.local / name))

    def test_a_directory_of_today_is_not_old(self):
        self.shell("mkdir today")
        self.assertEqual("", self.shell("find . -mtime +1").stdout)
        self.assertLess(abs(os.stat(self.mount / "today").st_mtime - time.time()), 25 * 3600)

    def test_rsync_with_times_comes_to_rest(self):
        make_tree(self.local / "tree")
        for number, path in enumerate((self.local / "tree").rglob("*")):
            os.utime(path, (1_000_000_000 + number, 1_000_000_000 + number))
        rsync = "rsync -rt --itemize-changes $L/tree/ tree/"
        self.assertIn("small", self.shell(rsync).stdout)
        for mount in ("second", "third"):
            # A new mount knows nothing of the times that the last one set.
            self.mount = self.mounted(mount)
            self.assertEqual("", self.shell(rsync).stdout)

    def test_times(self):
        self.shell("echo x > file && touch -d @1000000001 file && test \"$(stat -c %Y file)\" = 1000000001")


class SshfsOnWharfinger(Sshfs):
    """The server refuses requests that it doesn't support with a sentence, and leaves the file unchanged."""

    def test_links_and_owners_are_refused(self):
        self.shell("echo as it was > file")
        for command in ("ln -s file link", "ln file link", "chown 5 file"):
            with self.subTest(command=command):
                self.shell(command, status=1)
        self.assertEqual("as it was\n", self.shell("cat file").stdout)
        self.assertEqual(["file"], self.sftp().listdir(self.there))


class SshfsOnDemo(SshfsOnWharfinger, ServerCase):
    SHARED = "demo"


class SshfsOnSshd(Sshfs, ServerCase):
    """Runs with `--sshd` only."""

    SHARED = "sshd"


def sizes(sftp, directory):
    return {entry.filename: entry.st_size for entry in sftp.listdir_attr(directory)}
