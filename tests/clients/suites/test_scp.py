"""OpenSSH's scp, which uses SFTP: one file, many, trees, patterns, `~`, and from one server to another."""

import os

from rig.case import ServerCase
from rig.files import PART, make, make_tree, sha256, tree


class Scp:
    def scp(self, *paths, options=(), check=True):
        return self.openssh.scp(*paths, options=options, check=check)

    def remote(self, path):
        return self.openssh.remote(path)

    def test_times_and_modes(self):
        there = self.remote_directory()
        for size in (5, PART + 1):
            with self.subTest(size=size):
                sent = make(self.local / "file", size)
                (self.local / "file").chmod(0o640)
                os.utime(self.local / "file", (1_000_000_000, 1_000_000_001))
                self.scp(self.local / "file", self.remote(f"{there}/{size}"), options=["-p"])
                self.scp(self.remote(f"{there}/{size}"), self.local / "back", options=["-p"])
                self.assertEqual(sent, sha256(self.local / "back"))
                back = (self.local / "back").stat()
                self.assertEqual((1_000_000_001, 0o640), (int(back.st_mtime), back.st_mode & 0o777))

    def test_a_tree_both_ways(self):
        there, made = self.remote_directory(), make_tree(self.local / "tree")
        self.scp("-r", self.local / "tree", self.remote(there))
        self.scp("-r", self.remote(f"{there}/tree"), self.local / "back")
        self.assertEqual(made, tree(self.local / "back"))

    def test_many_files_and_a_pattern(self):
        there = self.remote_directory()
        sent = {name: make(self.local / name, 1000, seed=name) for name in ("a.csv", "b.csv", "c.txt")}
        self.scp(*(self.local / name for name in sent), self.remote(f"{there}/"))
        self.assertEqual(sorted(sent), sorted(self.sftp().listdir(there)))
        (self.local / "back").mkdir()
        self.scp(self.remote(f"{there}/*.csv"), self.local / "back")
        self.assertEqual({name: sent[name] for name in ("a.csv", "b.csv")}, tree(self.local / "back"))

    def test_from_one_server_to_another_through_the_client(self):
        there, sent = self.remote_directory(), make(self.local / "file", PART + 1)
        self.scp(self.local / "file", self.remote(f"{there}/one"))
        self.scp(self.remote(f"{there}/one"), self.remote(f"{there}/two"), options=["-3"])
        self.scp(self.remote(f"{there}/two"), self.local / "back")
        self.assertEqual(sent, sha256(self.local / "back"))

    def test_onto_a_file_that_is_there(self):
        # scp tries to keep the file's inode: it opens with WRITE and CREAT, without TRUNC, and writes from offset 0. It
        # truncates the rest with an FSETSTAT of the size before its CLOSE.
        there = self.remote_directory()
        for size in (1000, 2000, 500, 0, 2 * PART + 1, 3 * PART, PART, 2 * PART):
            for options in ([], ["-p"]):
                with self.subTest(size=size, options=options):
                    sent = make(self.local / "new", size, seed=str(options))
                    os.utime(self.local / "new", (1_000_000_000, 1_000_000_000 + size))
                    self.scp(self.local / "new", self.remote(f"{there}/file"), options=options)
                    self.scp(self.remote(f"{there}/file"), self.local / "back", options=options)
                    self.assertEqual(sent, sha256(self.local / "back"))
                    if options:
                        self.assertEqual(1_000_000_000 + size, int((self.local / "back").stat().st_mtime))

    # S4: A path that ends in `/`, `.` or `..` is a directory's: no file that has the name is shown, opened, changed, …
    def test_a_directory_that_is_not_there_becomes_no_file(self):
        there = self.remote_directory()
        make(self.local / "file", 10)
        refused = self.scp(self.local / "file", self.remote(f"{there}/new/"), check=False)
        self.assertNotEqual(0, refused.returncode)
        self.assertEqual([], self.sftp().listdir(there))

    def test_what_is_not_there(self):
        refused = self.scp(self.remote(f"{self.remote_directory()}/none"), self.local / "back", check=False)
        self.assertEqual(1, refused.returncode)
        self.assertIn("No such file", refused.stderr)
        self.assertFalse((self.local / "back").exists())


class ScpOnWharfinger(Scp):
    """Home is the directory in which sessions start, and an upload creates missing directories."""

    def test_home(self):
        there, sent = self.remote_directory(), make(self.local / "file", 1000)
        for number, tilde in enumerate(["~", f"~{self.server.user}"]):
            with self.subTest(tilde=tilde):
                self.scp(self.local / "file", self.remote(f"{tilde}/{there}/{number}"))
                self.scp(self.remote(f"{tilde}/{there}/{number}"), self.local / "back")
                self.assertEqual(sent, sha256(self.local / "back"))

    # S23: An upload makes missing parents. A directory without a marker gets one when a session takes something from it, …
    def test_a_file_makes_the_directories_above_it(self):
        there, sent = self.remote_directory(), make(self.local / "file", 1000)
        self.scp(self.local / "file", self.remote(f"{there}/a/b/file"))
        self.scp(self.remote(f"{there}/a/b/file"), self.local / "back")
        self.assertEqual(sent, sha256(self.local / "back"))



class ScpOnDemo(ScpOnWharfinger, ServerCase):
    SHARED = "demo"


class ScpOnSeaweedFs(ScpOnWharfinger, ServerCase):
    SHARED = "seaweedfs"


class ScpOnSshd(Scp, ServerCase):
    """Runs with `--sshd` only."""

    SHARED = "sshd"
