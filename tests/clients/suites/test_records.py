"""The records of a real server in SQLite and in PostgreSQL: who moved what, and what a dead database changes."""

import sqlite3
import threading
import time
from contextlib import closing
from pathlib import Path

from rig.case import ServerCase
from rig.fake_aws import FakeAws
from rig.postgres import Postgres
from rig.process import until
from rig.servers import Serve

# The time for which PostgreSQL is away.
OUTAGE_SECONDS = 8.0
# The server rests after a failed question, and then takes all records at once.
RECORD_TIMEOUT = 60.0
UPLOADERS = 4


class Recorder:
    SHARED = None

    @classmethod
    def start(cls):
        cls.s3 = FakeAws()
        cls.addClassCleanup(cls.s3.close)
        return Serve(cls.s3.store(), settings=cls.settings())

    @property
    def here(self):
        return Path(self.server.directory.name)

    def await_rows(self, query, rows):
        """Waits until a query has these rows."""
        found = []

        def is_there():
            found[:] = self.rows(query)
            return found == rows

        try:
            until(is_there, f"the rows of {query}", RECORD_TIMEOUT)
        except TimeoutError:
            self.assertEqual(rows, found)


class InPostgres(Recorder):
    @classmethod
    def settings(cls):
        cls.postgres = Postgres()
        cls.addClassCleanup(cls.postgres.close)
        return f'[ledger]\nurl = "{cls.postgres.url}"'

    def spool(self):
        return self.here / "spool"

    def rows(self, query):
        return self.postgres.sql(query)


class Records:
    def tearDown(self):
        # The test ends the server.
        self.server.close()

    def test_each_login_transfer_and_change_has_a_row(self):
        with self.sftp() as sftp:
            with sftp.open("a", "wb") as file:
                file.write(b"abc")
            with sftp.open("a", "rb") as file:
                self.assertEqual(b"abc", file.read())
            sftp.rename("a", "b")
            sftp.remove("b")
            with self.assertRaises(OSError):
                sftp.remove("b")
        sftp.get_channel().get_transport().close()
        self.await_rows(
            "SELECT direction, path, object_key, size_bytes, bytes, result FROM transfers ORDER BY id",
            [["upload", "/a", "tenants/acme/a", "3", "3", "done"], ["download", "/a", "tenants/acme/a", "3", "3", "done"]],
        )
        ((upload,), (download,)) = self.rows("SELECT etag FROM transfers ORDER BY id")
        self.assertEqual(upload, download)
        self.await_rows(
            "SELECT change, path, target, result FROM changes ORDER BY id",
            [["rename", "/a", "/b", "done"], ["remove", "/b", "", "done"], ["remove", "/b", "", "refused"]],
        )
        self.await_rows("SELECT event FROM sessions ORDER BY id", [["started"], ["ended"]])
        ((tenant, user, result, client),) = self.rows("SELECT tenant, user_name, result, client FROM logins")
        self.assertEqual(("acme", "alice", "accepted"), (tenant, user, result))
        self.assertIn("paramiko", client)
        self.assertEqual(0, self.server.process.stop())
        self.assertEqual([], list(self.spool().iterdir()), "the ledger has all records")


class RecordsInSqlite(Records, Recorder, ServerCase):
    @classmethod
    def settings(cls):
        return ""

    def spool(self):
        return self.here / "ledger.db.spool"

    def rows(self, query):
        with closing(sqlite3.connect(self.here / "ledger.db", timeout=30)) as ledger:
            rows = ledger.execute(query).fetchall()
        return [["" if cell is None else str(cell) for cell in row] for row in rows]


class RecordsInPostgres(Records, InPostgres, ServerCase):
    pass


class Outage(InPostgres, ServerCase):
    def test_an_outage_of_the_database_fails_no_transfer_and_loses_no_record(self):
        stop, uploaded = threading.Event(), []

        def upload(number):
            with self.sftp() as sftp:
                while not stop.is_set():
                    path = f"u{number}-{len(uploaded)}"
                    with sftp.open(path, "wb") as file:
                        file.write(b"abc")
                    uploaded.append(f"/{path}")

        threads = [threading.Thread(target=upload, args=(number,)) for number in range(UPLOADERS)]
        for thread in threads:
            thread.start()
        until(lambda: len(uploaded) > 20, "uploads before the outage")
        self.postgres.stop()
        in_outage = len(uploaded)
        time.sleep(OUTAGE_SECONDS)
        self.assertGreater(len(uploaded), in_outage + 20, "transfers go on")
        self.postgres.start()
        stop.set()
        for thread in threads:
            thread.join()
        recorded = "SELECT path FROM transfers WHERE result = 'done' AND path LIKE '/u%' ORDER BY path"
        self.await_rows(recorded, [[path] for path in sorted(uploaded)])
        self.assertEqual(len(uploaded), len(set(uploaded)))
        # The numbers of a process have the order of the times, in each session.
        disordered = """
            SELECT session FROM (SELECT session, at_ms, LAG(at_ms) OVER (PARTITION BY session ORDER BY number) AS before
            FROM transfers) AS ordered WHERE before > at_ms
        """
        self.assertEqual([], self.rows(disordered))
