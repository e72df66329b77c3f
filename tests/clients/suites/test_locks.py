"""Files that programs use as locks: created with EXCL, and held open or closed at once. Other clients are refused, also
on another node, until the file is closed and removed, or until its holder is gone."""

import subprocess
import sys
import time

from rig.case import ServerCase
from rig.files import content
from rig.frames import CREATE, EXCLUSIVE, FAILURE, HANDLE, NO_ATTRIBUTES, NO_SUCH_FILE, OK, OPEN, REMOVE, STAT
from rig.frames import TRUNCATE, WRITE_FLAG, Frames, number, status_of, text
from rig.postgres import Postgres
from rig.process import until
from rig.seaweedfs import SeaweedFs
from rig.servers import Serve
from rig.sshfs import mounted

# Seconds during which no client may take the lock of a killed server.
LEASE = 30.0
# Takes the lock within a second, prints that, and holds it until its input ends. Prints the error if it fails.
SOFT_FILE_LOCK = """
import sys
from filelock import SoftFileLock

try:
    with SoftFileLock("lock", timeout=1):
        print("held", flush=True)
        sys.stdin.read()
except OSError as error:
    print(type(error).__name__, flush=True)
"""


class Locks(ServerCase):
    SHARED = None

    @classmethod
    def start(cls):
        cls.postgres = Postgres()
        cls.addClassCleanup(cls.postgres.close)
        return cls.node()

    @classmethod
    def node(cls):
        settings = f'[ledger]\nurl = "{cls.postgres.url}"\n'
        return Serve(SeaweedFs.shared().store(), prefix="locks", settings=settings)

    def frames(self):
        client = Frames(self.connect())
        client.start()
        return client

    def lock(self, client, path):
        """Returns the handle, or `None` if the OPEN is refused."""
        flags = number(WRITE_FLAG | CREATE | TRUNCATE | EXCLUSIVE)
        reply = client.ask(OPEN, text(path), flags, NO_ATTRIBUTES)
        if reply.kind == HANDLE:
            return reply.body
        self.assertEqual((FAILURE, "Failure: a file or directory of this name exists already"), status_of(reply))
        return None

    # S174: A lock ends with the CLOSE of its handle, also with one that fails, and with its connection; between nodes it …
    def test_a_lock_of_a_server_that_is_killed_ends_with_its_lease(self):
        path = f"{self.remote_directory()}/killed"
        holder = self.frames()
        handle = self.lock(holder, path)
        self.assertEqual(OK, holder.write(handle, 0, content(100))[0])
        first, type(self).server = self.server, self.node()
        other = self.frames()
        for _ in range(20):
            self.assertIsNone(self.lock(other, path))
        self.assertEqual(NO_SUCH_FILE, other.status(STAT, text(path))[0], "it isn't seen before its CLOSE")
        first.process.kill()
        killed = time.monotonic()
        self.assertIsNone(self.lock(other, path))
        handle = until(lambda: self.lock(other, path), "the end of the lease", LEASE + 10)
        self.assertLess(time.monotonic() - killed, LEASE + 5)
        self.assertEqual(OK, other.close_handle(handle)[0])
        first.close()

    # S176: REMOVE of that name by another session, of whatever node, ends the lock and answers OK: the holder's CLOSE then …
    def test_a_lock_that_is_removed_on_another_node_is_lost(self):
        path = f"{self.remote_directory()}/removed"
        another = self.node()
        self.addCleanup(another.close)
        holder = self.frames()
        handle = self.lock(holder, path)
        first, type(self).server = self.server, another
        other = self.frames()
        type(self).server = first
        self.assertIsNone(self.lock(other, path))
        self.assertEqual(OK, other.status(REMOVE, text(path))[0])
        self.assertEqual(NO_SUCH_FILE, other.status(REMOVE, text(path))[0])
        theirs = self.lock(other, path)
        code, sentence = holder.close_handle(handle)
        self.assertEqual(FAILURE, code)
        self.assertIn("another session removed this file", sentence)
        self.assertEqual(OK, other.close_handle(theirs)[0])

    def test_a_lock_that_is_closed_at_once(self):
        path = f"{self.remote_directory()}/closed"
        one, other = self.frames(), self.frames()
        for _ in range(5):
            self.assertEqual(OK, one.close_handle(self.lock(one, path))[0])
            self.assertIsNone(self.lock(other, path))
            self.assertEqual(OK, one.status(REMOVE, text(path))[0])
            one, other = other, one


class SoftFileLocks(ServerCase):
    """Python's `SoftFileLock` over sshfs: on one mount, and on two, as on two machines."""

    def setUp(self):
        super().setUp()
        self.there = self.remote_directory()

    def mounted(self, name):
        return mounted(self, self.there, name)

    def lock(self, mount):
        """Starts a process that tries to take the lock. Returns it with its output."""
        pipe = subprocess.PIPE
        process = subprocess.Popen([sys.executable, "-c", SOFT_FILE_LOCK], cwd=mount, stdin=pipe, stdout=pipe, text=True)
        self.addCleanup(process.stdout.close)
        self.addCleanup(process.wait, 60)
        self.addCleanup(process.stdin.close)
        return process, process.stdout.readline().strip()

    def test_two_soft_file_locks(self):
        one, other = self.mounted("one"), self.mounted("other")
        process, said = self.lock(one)
        self.assertEqual("held", said)
        # sshfs shows its own file. For a file of another mount it gets FAILURE, and reports that as EPERM.
        self.assertEqual("Timeout", self.lock(one)[1])
        self.assertEqual("PermissionError", self.lock(other)[1])
        process.stdin.close()
        self.assertEqual(0, process.wait(60))
        self.assertEqual("held", self.lock(other)[1])
