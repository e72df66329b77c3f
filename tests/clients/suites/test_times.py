"""Times that clients set after CLOSE: every session sees them, on every node and after a kill. An outage of the
database that holds them stops no client."""

import os
import sqlite3
import subprocess
from contextlib import closing

from rig import keys, paramiko_client
from rig.case import ServerCase
from rig.files import PART, content, make
from rig.postgres import Postgres
from rig.process import until
from rig.programs import RCLONE
from rig.seaweedfs import SeaweedFs
from rig.servers import Serve

TIMEOUT = 300.0
# In 2001, so it differs from every upload's time.
THEN = 1_000_000_000
DOWN = "the ledger doesn't answer"


def serve(url, prefix):
    """Starts a node whose ledger is at this URL."""
    return Serve(SeaweedFs.shared().store(), prefix=prefix, settings=f'[ledger]\nurl = "{url}"\n')


class LateTimes(ServerCase):
    """Tests and helpers for any database."""

    SHARED = None

    def put(self, name, data, time=None):
        with closing(self.sftp()) as client:
            with client.open(name, "wb") as file:
                file.write(data)
            if time is not None:
                client.utime(name, (time, time))

    def times(self, name, server=None):
        """Returns the times that STAT and READDIR show to a new session."""
        with closing(self.sftp_on(server or self.server)) as client:
            listed = {entry.filename: entry.st_mtime for entry in client.listdir_attr(".")}
            return client.stat(name).st_mtime, listed[name]

    def sftp_on(self, server):
        transport = paramiko_client.connect(server)
        self.addCleanup(transport.close)
        return paramiko_client.sftp(transport)

    def assert_all_goes_on(self, name):
        """Checks upload, download, listing and times of a session while the database is down."""
        data = content(PART + 1)
        with closing(self.sftp()) as client:
            with client.open(name, "wb") as file:
                file.write(data)
            client.utime(name, (THEN, THEN))
            self.assertEqual(THEN, client.stat(name).st_mtime, "its own")
            with client.open(name, "rb") as file:
                self.assertEqual(data, file.read())
            self.assertIn(name, client.listdir("."))
            client.rename(name, f"{name}.renamed")
            self.assertEqual(THEN, client.stat(f"{name}.renamed").st_mtime)
            client.remove(f"{name}.renamed")
            self.assertNotIn(f"{name}.renamed", client.listdir("."))

    def warnings(self):
        """Returns the number of warnings about the questions of sessions. The writer of records has one of its own."""
        lines = self.server.process.log_text().splitlines()
        return sum(DOWN in line and 'kind="records"' not in line for line in lines)


class TimesInSqlite(LateTimes):
    @classmethod
    def start(cls):
        cls.ledger = cls.lasting_directory() / "ledger.db"
        return cls.restart()

    @classmethod
    def restart(cls):
        return serve(f"sqlite:{cls.ledger}", "times-sqlite")

    def restart_after_a_kill(self):
        self.server.process.kill()
        self.server.close()
        type(self).server = self.restart()

    # S89: Times and modes that come later are kept in the journal, which is SQL, by bucket, key and ETag: every …
    def test_paramikos_utime_lasts(self):
        self.put("utime", b"x", THEN)
        self.assertEqual((THEN, THEN), self.times("utime"))
        self.restart_after_a_kill()
        self.assertEqual((THEN, THEN), self.times("utime"))
        self.put("utime", b"x")
        self.assertTrue(min(self.times("utime")) > THEN, "it was replaced, by the same bytes")

    def test_an_orderly_stop_leaves_one_file_with_all_in_it(self):
        self.put("stopped", b"x", THEN)
        self.assertIn("ledger.db-wal", os.listdir(self.ledger.parent))
        self.assertEqual(0, self.server.process.stop())
        self.assertEqual({"ledger.db", "ledger.db.spool"}, set(os.listdir(self.ledger.parent)))
        self.assertEqual([], os.listdir(self.ledger.parent / "ledger.db.spool"), "the ledger has all records")
        self.server.close()
        type(self).server = self.restart()
        self.assertEqual((THEN, THEN), self.times("stopped"))

    def test_rclone_copies_with_times_and_then_has_nothing_to_do(self):
        tree = self.local / "tree"
        (tree / "below").mkdir(parents=True)
        for number, name in enumerate(("empty", "small", "below/large")):
            make(tree / name, (0, 100, 2 * PART)[number])
            os.utime(tree / name, (THEN + number, THEN + number))
        there = self.remote_directory()
        self.rclone("copy", tree, there)
        expected = self.listing(tree)
        self.assertEqual(expected, self.rclone("lsf", "-R", "--files-only", "--format", "pt", there))
        self.restart_after_a_kill()
        self.assertEqual(expected, self.rclone("lsf", "-R", "--files-only", "--format", "pt", there))
        self.assertNotIn("Copied", self.rclone("sync", "--verbose", tree, there))
        os.utime(tree / "small", (THEN + 9, THEN + 9))
        self.rclone("sync", tree, there)
        self.assertEqual(self.listing(tree), self.rclone("lsf", "-R", "--files-only", "--format", "pt", there))

    # S99: While the journal is down nothing fails but the rename of a directory that holds something, and resuming …
    def test_while_another_program_locks_the_file_all_goes_on(self):
        self.put("before", b"x", THEN)
        with closing(sqlite3.connect(self.ledger, isolation_level=None)) as other:
            other.execute("BEGIN EXCLUSIVE")
            warned = self.warnings()
            self.assert_all_goes_on("locked")
            self.assertEqual((THEN, THEN), self.times("before"), "readers don't wait for a writer")
            self.assertEqual(warned + 1, self.warnings(), self.server.process.log_tail())
            other.execute("ROLLBACK")
        until(lambda: self.put("after", b"x", THEN) or self.times("after") == (THEN, THEN), "times are kept again")

    def listing(self, tree):
        return self.run_rclone("lsf", "-R", "--files-only", "--format", "pt", tree)

    def rclone(self, *arguments):
        """Runs rclone. Its last argument is a directory on the server."""
        settings = f"host={self.server.host},port={self.server.port},user={self.server.user},key_file={keys.key()}"
        remote = f":sftp,{settings},shell_type=none,disable_hashcheck=true:{arguments[-1]}"
        return self.run_rclone(*arguments[:-1], remote)

    def run_rclone(self, *arguments):
        environment = dict(os.environ, HOME=str(self.local), RCLONE_CONFIG=str(self.local / "rclone.conf"), TZ="UTC")
        done = subprocess.run(
            [RCLONE, *map(str, arguments)],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=TIMEOUT,
            env=environment,
        )
        self.assertEqual(0, done.returncode, f"{arguments}\n{done.stdout}\n{done.stderr}")
        return done.stdout if arguments[0] == "lsf" else done.stderr


class TimesInPostgres(LateTimes):
    @classmethod
    def start(cls):
        cls.postgres = Postgres()
        cls.addClassCleanup(cls.postgres.close)
        return serve(cls.postgres.url, "times-postgres")

    # S89: Times and modes that come later are kept in the journal, which is SQL, by bucket, key and ETag: every …
    # S99: While the journal is down nothing fails but the rename of a directory that holds something, and resuming …
    def test_nodes_share_them_and_an_outage_stops_nobody(self):
        another = serve(self.postgres.url, "times-postgres")
        self.addCleanup(another.close)
        self.put("shared", b"x", THEN)
        self.assertEqual((THEN, THEN), self.times("shared", another))
        self.postgres.stop()
        self.assert_all_goes_on("down")
        self.assertTrue(min(self.times("shared", another)) > THEN, "what S3 says")
        # One warning for reads and one for writes.
        self.assertEqual(2, self.warnings(), self.server.process.log_tail())
        self.postgres.start()
        until(lambda: self.times("shared", another) == (THEN, THEN), "times are shown again")
        until(lambda: self.put("after", b"x", THEN) or self.times("after", another) == (THEN, THEN), "and kept")
