"""The real sftp and scp, against the demo's S3 and against SeaweedFS: a download equals the upload."""

import os
from concurrent.futures import ThreadPoolExecutor

from rig.case import ServerCase
from rig.files import LEAST_PART, MIB, PART, content, make, make_tree, sha256, tree
from rig.openssh import quote
from rig.seaweedfs import BUCKET, SeaweedFs

ODD_NAMES = [
    "two words",
    "  spaces at both ends  ",
    "single ' quote",
    'double " quote',
    "what?",
    "no. #1",
    "100%",
    "%2e%2e%2f",
    "back\\slash",
    "star*[x]",
    "a+b&c=d;e",
    "-dash",
    "tilde~",
    "Grüße, 世界 🚢",
    "e\u0301 decomposed",
    "x" * 200,
]


class Transfers:
    """Tests for any SFTP server, so OpenSSH's own server can prove them."""

    odd_names = ODD_NAMES

    def test_sizes_around_the_parts(self):
        there, sizes = self.remote_directory(), [0, 1]
        sizes += [part + more for part in (LEAST_PART, PART) for more in (-1, 0, 1)]
        for size in sizes:
            with self.subTest(size=size):
                sent = make(self.local / f"{size}", size)
                self.openssh.sftp(f"put {self.local}/{size} {there}/{size}", f"get {there}/{size} {self.local}/back")
                self.assertEqual(sent, sha256(self.local / "back"))
                self.openssh.scp(self.local / f"{size}", self.openssh.remote(f"{there}/scp-{size}"))
                self.openssh.scp(self.openssh.remote(f"{there}/scp-{size}"), self.local / "scp")
                self.assertEqual(sent, sha256(self.local / "scp"))

    def test_200_mib(self):
        there = self.remote_directory()
        sent = make(self.local / "large", 200 * MIB)
        self.openssh.sftp(f"put {self.local}/large {there}/large", f"get {there}/large {self.local}/back")
        self.assertEqual(sent, sha256(self.local / "back"))

    def test_200_mib_by_scp(self):
        there = self.remote_directory()
        sent = make(self.local / "large", 200 * MIB, seed=1)
        self.openssh.scp(self.local / "large", self.openssh.remote(f"{there}/large"))
        self.openssh.scp(self.openssh.remote(f"{there}/large"), self.local / "back")
        self.assertEqual(sent, sha256(self.local / "back"))

    def test_times_and_mode_survive_put_p_and_get_p(self):
        there = self.remote_directory()
        for size in (5, PART + 1):
            with self.subTest(size=size):
                make(self.local / "old", size)
                (self.local / "old").chmod(0o640)
                os.utime(self.local / "old", (1_000_000_000, 1_000_000_001))
                self.openssh.sftp(f"put -p {self.local}/old {there}/old{size}")
                listing = self.openssh.sftp(f"ls -l {there}/old{size}").stdout
                self.assertIn("2001", listing)
                self.openssh.sftp(f"get -p {there}/old{size} {self.local}/back")
                back = (self.local / "back").stat()
                self.assertEqual(1_000_000_001, int(back.st_mtime))
                self.assertEqual(0o640, back.st_mode & 0o777)

    def test_reget_fetches_the_rest(self):
        there = self.remote_directory()
        sent = make(self.local / "whole", 20 * MIB)
        self.openssh.sftp(f"put {self.local}/whole {there}/whole")
        for have in (0, 1, 3 * MIB + 7, 20 * MIB):
            with self.subTest(have=have):
                (self.local / "part").write_bytes((self.local / "whole").read_bytes()[:have])
                self.openssh.sftp(f"reget {there}/whole {self.local}/part")
                self.assertEqual(sent, sha256(self.local / "part"))

    def test_a_tree_goes_up_and_comes_down(self):
        there = self.remote_directory()
        for name in ("top", "a/one", "a/b/two", "a/b/c/three"):
            (self.local / "tree" / name).parent.mkdir(parents=True, exist_ok=True)
            make(self.local / "tree" / name, 1000, seed=name)
        (self.local / "tree" / "empty").mkdir()
        self.openssh.sftp(f"put -r {self.local}/tree {there}/", f"get -r {there}/tree {self.local}/back")
        self.assertEqual(tree(self.local / "tree"), tree(self.local / "back"))

    def test_a_tree_keeps_its_times(self):
        there = self.remote_directory()
        make_tree(self.local / "tree")
        for path in (self.local / "tree").rglob("*"):
            os.utime(path, (1_000_000_000, 1_000_000_001))
        self.openssh.sftp(f"put -p -r {self.local}/tree {there}/", f"get -p -r {there}/tree {self.local}/back")
        self.assertEqual(tree(self.local / "tree"), tree(self.local / "back"))
        for path in (self.local / "back").rglob("*"):
            self.assertEqual(1_000_000_001, int(path.stat().st_mtime), path)

    def test_ls_of_2500_entries(self):
        there, names = self.remote_directory(), [f"entry-{number:04}" for number in range(2500)]
        (self.local / "many").mkdir()
        for name in names:
            (self.local / "many" / name).touch()
        self.openssh.sftp(f"put -r {self.local}/many {there}/")
        listed = self.openssh.sftp(f"ls -1 {there}/many").stdout.splitlines()
        self.assertEqual(names, [line.rsplit("/", 1)[-1] for line in listed])
        lines = self.openssh.sftp(f"ls -l {there}/many").stdout.splitlines()
        self.assertEqual(2500, len(lines))
        self.assertTrue(all(line.startswith("-") for line in lines), lines[:3])

    def test_rename(self):
        there = self.remote_directory()
        sent = make(self.local / "file", PART + 1)
        self.openssh.sftp(f"put {self.local}/file {there}/old", f"mkdir {there}/below")
        self.openssh.sftp(f"rename {there}/old {there}/new", f"rename {there}/new {there}/below/newer")
        self.assertEqual(["below"], self.names(there))
        self.openssh.sftp(f"get {there}/below/newer {self.local}/back")
        self.assertEqual(sent, sha256(self.local / "back"))

    def test_rename_replaces_a_file(self):
        there = self.remote_directory()
        sent = make(self.local / "file", 10)
        make(self.local / "other", 20)
        self.openssh.sftp(f"put {self.local}/file {there}/a", f"put {self.local}/other {there}/b")
        self.openssh.sftp(f"rename {there}/a {there}/b")
        self.assertEqual(["b"], self.names(there))
        self.openssh.sftp(f"get {there}/b {self.local}/back")
        self.assertEqual(sent, sha256(self.local / "back"))

    def test_a_file_is_copied_on_the_server(self):
        there = self.remote_directory()
        for size in (0, 10, PART, PART + 1, 64 * MIB):
            with self.subTest(size=size):
                sent = make(self.local / "file", size, seed=size)
                self.openssh.sftp(f"put {self.local}/file {there}/a", f"cp {there}/a {there}/b")
                self.openssh.sftp(f"rm {there}/a", f"get {there}/b {self.local}/back", f"cp {there}/b {there}/a")
                self.assertEqual(sent, sha256(self.local / "back"))
                self.assertEqual(["a", "b"], self.names(there))

    def test_a_copy_of_nothing_makes_nothing(self):
        there = self.remote_directory()
        refused = self.openssh.sftp(f"cp {there}/nothing {there}/something", check=False)
        self.assertNotEqual(0, refused.returncode)
        self.assertRegex(refused.stderr, "(?i)no such file|not found")
        self.assertEqual([], self.names(there))

    def test_rename_of_nothing_fails(self):
        there = self.remote_directory()
        refused = self.openssh.sftp(f"rename {there}/nothing {there}/something", check=False)
        self.assertNotEqual(0, refused.returncode)
        self.assertIn("No such file", refused.stderr)

    # S24: RMDIR takes an empty directory, REMOVE a file, and neither anything else.
    def test_rmdir_refuses_what_is_not_empty(self):
        there = self.remote_directory()
        make(self.local / "file", 10)
        self.openssh.sftp(f"mkdir {there}/full", f"put {self.local}/file {there}/full/file")
        refused = self.openssh.sftp(f"rmdir {there}/full", check=False)
        self.assertNotEqual(0, refused.returncode)
        self.assertEqual(["file"], self.names(f"{there}/full"))
        self.openssh.sftp(f"rm {there}/full/file", f"rmdir {there}/full")
        self.assertEqual([], self.names(there))

    def test_mkdir_of_what_is_there_fails(self):
        there = self.remote_directory()
        self.openssh.sftp(f"mkdir {there}/x")
        self.assertNotEqual(0, self.openssh.sftp(f"mkdir {there}/x", check=False).returncode)

    def test_what_is_not_there_is_no_such_file(self):
        there = self.remote_directory()
        for command in ("get {} " + str(self.local / "x"), "rm {}", "ls {}", "rmdir {}", "cd {}"):
            command = command.format(f"{there}/x")
            with self.subTest(command=command):
                refused = self.openssh.sftp(command, check=False)
                self.assertNotEqual(0, refused.returncode)
                self.assertRegex(refused.stderr, "(?i)no such file|not found")
        self.assertFalse((self.local / "x").exists())

    def test_wildcard_get(self):
        there = self.remote_directory()
        for name in ("a.csv", "b.csv", "b.txt", "c.csvx"):
            make(self.local / name, 100, seed=name)
            self.openssh.sftp(f"put {self.local}/{name} {there}/{name}")
        (self.local / "back").mkdir()
        self.openssh.sftp(f"get {there}/*.csv {self.local}/back/")
        wanted = {name: sha256(self.local / name) for name in ("a.csv", "b.csv")}
        self.assertEqual(wanted, tree(self.local / "back"))

    def test_odd_names(self):
        there, names = self.remote_directory(), self.odd_names
        (self.local / "back").mkdir()
        sent = {str(index): make(self.local / f"{index}", 50, seed=name) for index, name in enumerate(names)}
        remote = [quote(f"{there}/{name}") for name in names]
        self.openssh.sftp(*(f"put {self.local}/{index} {path}" for index, path in enumerate(remote)))
        self.assertEqual(sorted(names), self.names(there))
        self.openssh.sftp(*(f"get {path} {self.local}/back/{index}" for index, path in enumerate(remote)))
        self.assertEqual(sent, tree(self.local / "back"))
        self.openssh.sftp(*(f"rename {path} {there}/{index}" for index, path in enumerate(remote)))
        self.assertEqual(sorted(sent), self.names(there))
        self.openssh.sftp(*(f"rename {there}/{index} {path}" for index, path in enumerate(remote)))
        self.openssh.sftp(*(f"rm {path}" for path in remote))
        self.assertEqual([], self.names(there))

    def test_an_upload_replaces_the_file(self):
        there = self.remote_directory()
        for size in (PART + 1, 10, 0, LEAST_PART):
            with self.subTest(size=size):
                sent = make(self.local / "file", size, seed=size)
                self.openssh.sftp(f"put {self.local}/file {there}/file", f"get {there}/file {self.local}/back")
                self.assertEqual(sent, sha256(self.local / "back"))

    def names(self, directory):
        return sorted(self.sftp().listdir(directory))


class WharfingerTransfers(Transfers):
    """Promises of this server only."""

    def test_an_upload_that_is_killed_publishes_nothing(self):
        there = self.remote_directory()
        make(self.local / "large", 64 * MIB)
        self.openssh.put_and_kill(self.local / "large", f"{there}/large", 2 * PART)
        self.assertEqual([], self.names(there))

    def test_reput_goes_on_where_the_file_ends(self):
        there = self.remote_directory()
        for begun, size in ((3 * MIB, 10 * MIB), (20 * MIB + 77, 31 * MIB), (PART + 1, PART + 2), (100, 200)):
            for command in ("reput", "put -a"):
                with self.subTest(begun=begun, size=size, command=command):
                    whole = content(size)
                    (self.local / "begun").write_bytes(whole[:begun])
                    (self.local / "whole").write_bytes(whole)
                    self.openssh.sftp(f"put {self.local}/begun {there}/file")
                    self.openssh.sftp(f"{command} {self.local}/whole {there}/file", f"get {there}/file {self.local}/back")
                    self.assertEqual(sha256(self.local / "whole"), sha256(self.local / "back"))

    def test_what_the_server_does_not_offer_is_refused(self):
        there = self.remote_directory()
        make(self.local / "file", 10)
        self.openssh.sftp(f"put {self.local}/file {there}/file")
        file = f"{there}/file"
        for command in (f"df {there}", f"ln {file} {there}/link", f"chown 5 {file}"):
            with self.subTest(command=command):
                refused = self.openssh.sftp(command, check=False)
                self.assertEqual(1, refused.returncode)
                self.assertRegex(refused.stderr, "(?i)support")
        self.assertEqual(["file"], self.names(there))

    def test_links_are_refused(self):
        there = self.remote_directory()
        refused = self.openssh.sftp(f"symlink {there}/a {there}/b", check=False)
        self.assertNotEqual(0, refused.returncode)
        self.assertEqual([], self.names(there))


class OpenSshOnDemo(WharfingerTransfers, ServerCase):
    SHARED = "demo"


class OpenSshOnSeaweedFs(WharfingerTransfers, ServerCase):
    SHARED = "seaweedfs"
    # SeaweedFS itself treats `\\` as `/`.
    odd_names = [name for name in ODD_NAMES if "\\" not in name]

    # It answers that a full page is the last one if its last name is a marker and the rest lies in that directory.
    def test_rename_of_a_directory_whose_first_page_ends_with_a_marker(self):
        there, s3 = self.remote_directory(), SeaweedFs.shared().client("s3")
        first = ["", *(f"{number:04}" for number in range(998)), "z/"]
        with ThreadPoolExecutor(16) as pool:
            keys = (f"tenants/acme/{there}/old/{name}" for name in [*first, "z/a", "z/b"])
            list(pool.map(lambda key: s3.put_object(Bucket=BUCKET, Key=key, Body=b""), keys))
        self.openssh.sftp(f"rename {there}/old {there}/new")
        self.assertEqual(["new"], self.names(there))
        self.assertEqual(["a", "b"], self.names(f"{there}/new/z"))


class OpenSshOnSshd(Transfers, ServerCase):
    """Runs with `--sshd` only: a test that fails here is wrong."""

    SHARED = "sshd"
