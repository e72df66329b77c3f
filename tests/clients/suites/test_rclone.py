"""rclone: copies and checks, and syncs that transfer only changed files."""

import json
import os
from concurrent.futures import ThreadPoolExecutor
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

from rig import command_lines
from rig.case import ServerCase
from rig.files import MIB, make, make_tree, sha256, tree
from rig.ports import free_port
from rig.process import Process
from rig.programs import NEWEST_RCLONE, RCLONE, TIMEOUT, as_bytes


HALVES = ("left", "right")


class Rclone:
    PROGRAM = RCLONE
    # True from version 1.66 on.
    SETS_DIRECTORIES = False

    def setUp(self):
        super().setUp()
        self.there = self.remote_directory()
        self.here = self.local / "tree"
        self.made = make_tree(self.here)

    def remote(self, path=None, **settings):
        return command_lines.rclone_remote(self.server, path or self.there, **settings)

    def rclone(self, *arguments, status=0):
        return self.run_program(self.PROGRAM, *arguments, status=status, RCLONE_CONFIG=str(self.local / "rclone.conf"))

    def transfers(self, *arguments):
        """Returns the number of files that a command transferred, from its statistics."""
        said = self.rclone(*arguments, "-v", "--use-json-log").stderr.splitlines()
        return next(line["stats"]["transfers"] for line in map(json.loads, reversed(said)) if "stats" in line)

    def listed(self, *options, path=None):
        return sorted(self.rclone("lsf", "-R", *options, self.remote(path)).stdout.splitlines())

    def test_copy_and_check_both_ways(self):
        self.assertEqual(len(self.listed_files()), self.transfers("copy", self.here, self.remote()))
        self.assertEqual(self.listed_files(), self.listed("--files-only"))
        self.rclone("check", self.here, self.remote())
        self.rclone("check", "--download", self.here, self.remote())
        self.rclone("copy", self.remote(), self.local / "back")
        self.assertEqual(self.made, tree(self.local / "back"))

    def test_check_finds_what_differs(self):
        self.rclone("copy", self.here, self.remote())
        (self.here / "small").write_bytes(b"x" * 100)
        self.rclone("check", "--download", self.here, self.remote(), status=1)

    def test_a_second_sync_by_size_transfers_nothing(self):
        self.transfers("sync", self.here, self.remote())
        self.assertEqual(0, self.transfers("sync", "--size-only", self.here, self.remote()))
        make(self.here / "small", 101)
        self.assertEqual(1, self.transfers("sync", "--size-only", self.here, self.remote()))

    def test_a_second_sync_of_what_is_newer_transfers_nothing(self):
        remote = self.remote(set_modtime="false")
        self.transfers("sync", "--update", self.here, remote)
        self.assertEqual(0, self.transfers("sync", "--update", self.here, remote))
        make(self.here / "small", 100, seed=2)
        later = self.sftp().stat(f"{self.there}/small").st_mtime + 60
        os.utime(self.here / "small", (later, later))
        self.assertEqual(1, self.transfers("sync", "--update", self.here, remote))
        self.rclone("check", "--download", self.here, remote)

    def test_a_second_sync_by_times_transfers_nothing(self):
        self.transfers("sync", self.here, self.remote())
        self.assertEqual(0, self.transfers("sync", self.here, self.remote()))
        os.utime(self.here / "small", (1_000_000_000, 1_000_000_000))
        self.transfers("sync", self.here, self.remote())
        self.rclone("copy", self.remote(), self.local / "back")
        self.assertEqual(1_000_000_000, int((self.local / "back" / "small").stat().st_mtime))

    def test_syncs_come_to_rest(self):
        (self.here / "nothing in it").mkdir()
        for number, path in enumerate(self.here.rglob("*")):
            os.utime(path, (1_000_000_000 + number, 1_000_000_000 + number))
        sync = ["sync", "--verbose", "--create-empty-src-dirs", self.here, self.remote()]
        first = self.rclone(*sync).stderr
        self.assertIn("Copied", first)
        self.assertEqual(self.SETS_DIRECTORIES, "Set directory modification time" in first)
        for _ in range(2):
            # Of times: "Updated modification time in destination", "Set directory modification time".
            self.assertNotRegex(self.rclone(*sync).stderr, "Copied|Updated|Set directory|Made directory")

    def test_sync_removes_what_is_gone(self):
        self.rclone("sync", "--create-empty-src-dirs", self.here, self.remote())
        (self.here / "small").unlink()
        self.rclone("sync", self.here, self.remote())
        self.assertEqual(self.listed_files(), self.listed("--files-only"))

    def test_moveto_mkdir_rmdir_and_purge(self):
        self.rclone("copy", self.here, self.remote())
        self.rclone("moveto", self.remote(f"{self.there}/small"), self.remote(f"{self.there}/new/moved"))
        self.rclone("mkdir", self.remote(f"{self.there}/made"))
        self.assertIn("made/", self.listed("--dirs-only"))
        self.rclone("rmdir", self.remote(f"{self.there}/made"))
        self.assertNotIn("made/", self.listed("--dirs-only"))
        self.rclone("copyto", self.remote(f"{self.there}/new/moved"), self.local / "back")
        self.assertEqual(sha256(self.here / "small"), sha256(self.local / "back"))
        self.rclone("rmdir", self.remote(f"{self.there}/new"), status=None)
        self.rclone("purge", self.remote())
        self.assertEqual([], self.sftp().listdir(self.there) if self.there in self.sftp().listdir(".") else [])

    def test_concurrency(self):
        sent = make(self.local / "large", 20 * MIB)
        for settings in ({"concurrency": 1}, {"concurrency": 128}, {"disable_concurrent_writes": "true"}):
            with self.subTest(settings=settings):
                remote = self.remote(f"{self.there}/large", **settings)
                self.rclone("copyto", "--ignore-times", self.local / "large", remote)
                self.rclone("copyto", remote, self.local / "back")
                self.assertEqual(sent, sha256(self.local / "back"))
                (self.local / "back").unlink()

    def test_a_range_of_a_file(self):
        self.rclone("copy", self.here, self.remote())
        large = self.remote(f"{self.there}/below/large")
        said = self.rclone("cat", "--offset", 7 * MIB, "--count", 1000, large).stdout
        self.assertEqual((self.here / "below" / "large").read_bytes()[7 * MIB : 7 * MIB + 1000], as_bytes(said))

    def test_without_shell_type_and_disable_hashcheck(self):
        # rclone tries a shell and half a dozen commands, and works without those that fail.
        remote = self.remote(shell_type=None, disable_hashcheck=None)
        self.assertEqual(len(self.listed_files()), self.transfers("sync", self.here, remote))
        self.assertEqual(0, self.transfers("sync", self.here, remote))
        self.rclone("check", "--download", self.here, remote)

    def listed_files(self):
        return sorted(name for name, fingerprint in tree(self.here).items() if fingerprint is not None)


class RcloneAtOnce(ServerCase):
    """Two concurrent syncs to one tree, by one rclone process. Its connections are a pool, so each request may rely on
    a change that another connection made a moment ago."""

    SHARED = "demo"
    USER = "alice"
    FILES = 48

    def connect(self):
        return super().connect(user=self.USER)

    def setUp(self):
        super().setUp()
        port = free_port()
        arguments = [RCLONE, "rcd", "--rc-no-auth", f"--rc-addr=127.0.0.1:{port}", "--transfers=8", "--checkers=16"]
        environment = dict(os.environ, RCLONE_CONFIG=str(self.local / "rclone.conf"))
        self.rclone = Process(arguments, env=environment)
        self.addCleanup(self.rclone.close)
        self.calls = f"http://127.0.0.1:{port}"
        self.rclone.until(self.is_up, "rclone's listener")
        self.there, self.here = self.remote_directory(), self.local / "tree"
        for number in range(self.FILES):
            self.make(number, size=number * 1000, time=1_000_000_000)
        (self.here / "left" / "empty").mkdir()

    def file(self, number):
        return self.here / HALVES[number % 2] / f"{number % 6}" / f"{number}"

    def make(self, number, size, time):
        file = self.file(number)
        file.parent.mkdir(parents=True, exist_ok=True)
        make(file, size, seed=number)
        os.utime(file, (time + number, time + number))

    def remote(self):
        return command_lines.rclone_remote(self.server, self.there, user=self.USER)

    def is_up(self):
        try:
            return self.call("core/pid")
        except URLError:
            return False

    def call(self, command, **parameters):
        request = Request(f"{self.calls}/{command}", json.dumps(parameters).encode(), method="POST")
        request.add_header("Content-Type", "application/json")
        try:
            with urlopen(request, timeout=TIMEOUT) as answer:
                return json.load(answer)
        except HTTPError as failed:
            self.fail(f"{command} {parameters}: {failed.read().decode()}\n{self.rclone.log_tail()}")

    def sync_at_once(self, *syncs):
        """Runs syncs concurrently. Each is a source, a target, and a pattern of the files to sync."""

        def sync(source, target, pattern):
            rules = {"IncludeRule": [pattern]}
            self.call("sync/sync", srcFs=str(source), dstFs=str(target), createEmptySrcDirs=True, _filter=rules)

        with ThreadPoolExecutor(len(syncs)) as pool:
            list(pool.map(sync, *zip(*syncs)))

    def sync_halves_at_once(self):
        self.sync_at_once(*((self.here, self.remote(), f"/{half}/**") for half in HALVES))

    def assert_all_comes_back(self):
        copies = [self.local / "a", self.local / "b"]
        self.sync_at_once(*((self.remote(), copy, "**") for copy in copies))
        for copy in copies:
            self.assertEqual(tree(self.here), tree(copy))
            self.assertEqual(self.times(self.here), self.times(copy))

    def times(self, root):
        files = (path for path in root.rglob("*") if path.is_file())
        return {str(path.relative_to(root)): int(path.stat().st_mtime) for path in files}

    def test_two_syncs_to_one_tree_and_back(self):
        self.sync_halves_at_once()
        self.assert_all_comes_back()
        # Some files are replaced, with times that differ from the upload's. Some are moved, which empties directories.
        for number in range(self.FILES):
            if number % 6 == 5:
                (self.here / "left" / "moved").mkdir(exist_ok=True)
                self.file(number).rename(self.here / "left" / "moved" / f"{number}")
            elif number % 2:
                self.make(number, size=number * 1000 + 1, time=1_100_000_000)
        (self.here / "right" / "5").rmdir()
        self.sync_halves_at_once()
        self.assert_all_comes_back()


class RcloneAtOnceInABucket(RcloneAtOnce):
    USER = "bob"


class RcloneAtOnceOnSshd(RcloneAtOnce):
    """Runs with `--sshd` only."""

    SHARED = "sshd"
    USER = "root"


class RcloneOnDemo(Rclone, ServerCase):
    SHARED = "demo"


class NewestRcloneOnDemo(Rclone, ServerCase):
    """It also sets the times of directories. It uploads under temporary names, unless an option turns that off."""

    SHARED = "demo"
    PROGRAM = NEWEST_RCLONE
    SETS_DIRECTORIES = True

    def test_inplace_renames_nothing(self):
        for options, renames in (((), True), (("--inplace",), False)):
            said = self.rclone("copy", "--ignore-times", "-vv", *options, self.here, self.remote()).stderr
            self.assertEqual(renames, "renamed to" in said)


class RcloneOnSeaweedFs(Rclone, ServerCase):
    SHARED = "seaweedfs"


class RcloneOnSshd(Rclone, ServerCase):
    """Runs with `--sshd` only."""

    SHARED = "sshd"


class NewestRcloneOnSshd(RcloneOnSshd):
    PROGRAM = NEWEST_RCLONE
    SETS_DIRECTORIES = True
