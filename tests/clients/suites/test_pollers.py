"""Competing pollers: two sessions claim the same files and directories at the same moments. One of them gets each, and
the other is told that it is gone."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

from rig.case import ServerCase
from rig.frames import FAILURE, MKDIR, NO_ATTRIBUTES, NO_SUCH_FILE, OK, REMOVE, RENAME, RMDIR, Frames, text

RACES = 60
POLLERS = 2
TIMEOUT = 120.0


def rename(poller, path, number):
    """Claims the path by a rename to the poller's own name."""
    return poller.status(RENAME, text(path), text(f"{path}.{number}"))


def remove(poller, path, _):
    return poller.status(REMOVE, text(path))


def remove_directory(poller, path, _):
    return poller.status(RMDIR, text(path))


class Pollers:
    USER = "alice"

    def connect(self):
        return super().connect(user=self.USER)

    def frames(self):
        client = Frames(self.connect())
        client.start()
        return client

    def make_files(self, client, paths):
        for path in paths:
            handle = client.create(path)
            self.assertEqual(OK, client.write(handle, 0, path.encode())[0])
            self.assertEqual(OK, client.close_handle(handle)[0])

    def make_directories(self, client, paths):
        for path in paths:
            self.assertEqual(OK, client.status(MKDIR, text(path), NO_ATTRIBUTES)[0])

    def race(self, paths, *claims):
        """Checks that exactly one claim of each path gets OK, and the other `no such file`. Returns the winners'
        numbers."""
        answers = self.answers(paths, *claims)
        codes = Counter(tuple(sorted(code for code, _ in each)) for each in answers)
        self.assertEqual({(OK, NO_SUCH_FILE): RACES}, dict(codes), set(answers))
        return [[code for code, _ in each].index(OK) for each in answers]

    def answers(self, paths, *claims):
        """Lets all pollers claim each path at the same moment. Returns their answers."""
        pollers, together = [self.frames() for _ in claims], Barrier(POLLERS, timeout=TIMEOUT)

        def poll(number):
            answers = []
            for path in paths:
                together.wait()
                answers.append(claims[number](pollers[number], path, number))
            return answers

        with ThreadPoolExecutor(POLLERS) as pool:
            return list(zip(*pool.map(poll, range(POLLERS))))

    def paths(self):
        there = self.remote_directory()
        return there, [f"{there}/{number:02}" for number in range(RACES)]

    def assert_claimed(self, there, paths, winners, below=""):
        """Checks that only the winners' names exist, and that their files are complete."""
        sftp = self.sftp()
        claimed = [f"{path}.{winner}" for path, winner in zip(paths, winners)]
        self.assertEqual(sorted(name.rpartition("/")[2] for name in claimed), sorted(sftp.listdir(there)))
        for path, name in zip(paths, claimed):
            with sftp.open(name + below) as file:
                self.assertEqual((path + below).encode(), file.read())

    def test_files_claimed_by_rename(self):
        there, paths = self.paths()
        self.make_files(self.frames(), paths)
        self.assert_claimed(there, paths, self.race(paths, rename, rename))

    def test_one_file_renamed_to_one_name_by_both(self):
        there, paths = self.paths()
        self.make_files(self.frames(), paths)
        answers = self.answers(paths, *[lambda poller, path, _: rename(poller, path, 0)] * POLLERS)
        for codes in ([code for code, _ in each] for each in answers):
            # The loser finds an existing target or a missing source.
            self.assertIn(sorted(codes), ([OK, NO_SUCH_FILE], [OK, FAILURE]), set(answers))
        self.assert_claimed(there, paths, [0] * RACES)

    def test_files_claimed_by_remove(self):
        there, paths = self.paths()
        self.make_files(self.frames(), paths)
        self.race(paths, remove, remove)
        self.assertEqual([], self.sftp().listdir(there))

    def test_files_claimed_by_rename_and_by_remove(self):
        there, paths = self.paths()
        self.make_files(self.frames(), paths)
        winners = self.race(paths, rename, remove)
        renamed = [path for path, winner in zip(paths, winners) if winner == 0]
        self.assert_claimed(there, renamed, [0] * len(renamed))

    def test_empty_directories_claimed_by_rename_and_by_rmdir(self):
        there, paths = self.paths()
        client = self.frames()
        for claims in ((rename, rename), (remove_directory, remove_directory), (rename, remove_directory)):
            with self.subTest(claims=claims):
                self.make_directories(client, paths)
                winners = self.race(paths, *claims)
                renamed = {f"{path}.{number}" for path, number in zip(paths, winners) if claims[number] is rename}
                self.assertEqual(renamed, {f"{there}/{name}" for name in self.sftp().listdir(there)})
                for path in renamed:
                    self.assertEqual(OK, client.status(RMDIR, text(path))[0])

    def test_full_directories_claimed_by_rename(self):
        there, paths = self.paths()
        client = self.frames()
        self.make_directories(client, paths)
        self.make_files(client, [f"{path}/file" for path in paths])
        self.assert_claimed(there, paths, self.race(paths, rename, rename), below="/file")


class PollersOnSeaweedFs(Pollers, ServerCase):
    SHARED = "seaweedfs"


class PollersInAPrefix(Pollers, ServerCase):
    SHARED = "demo"

    # SeaweedFS takes a quarter of a second for two requests about one key.
    def test_two_files_renamed_to_one_name(self):
        there, paths = self.paths()
        self.make_files(self.frames(), [f"{path}.{number}" for path in paths for number in range(POLLERS)])

        def rename_to_path(poller, path, number):
            return poller.status(RENAME, text(f"{path}.{number}"), text(path))

        answers = self.answers(paths, *[rename_to_path] * POLLERS)
        sftp = self.sftp()
        left = set(sftp.listdir(there))
        for path, codes in zip(paths, ([code for code, _ in each] for each in answers)):
            self.assertEqual([OK, FAILURE], sorted(codes), set(answers))
            loser = codes.index(FAILURE)
            with sftp.open(path) as file:
                self.assertEqual(f"{path}.{1 - loser}".encode(), file.read())
            left -= {path.rpartition("/")[2], f"{path}.{loser}".rpartition("/")[2]}
        self.assertEqual(set(), left)


class PollersInABucket(PollersInAPrefix):
    USER = "bob"


class PollersOnSshd(PollersInAPrefix):
    """Runs with `--sshd` only."""

    SHARED = "sshd"
    USER = "root"
