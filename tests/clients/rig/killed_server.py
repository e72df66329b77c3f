"""A server that is killed and started again on the same config and the same ledger. S3 outlives it. While it is down, the
ledger's times can be moved, so that leases and the time for which uploads are kept end at once."""

import sqlite3
import time
from collections import Counter
from contextlib import closing

import boto3

from . import keys
from .process import connections, until
from .servers import Server, wharfinger
from .tenant_files import ServeFiles, TenantEntry, UserEntry

# The tables of unfinished work. A server has those that its version knows.
TABLES = ("partial_uploads", "tree_renames", "tasks")
LEASE_ENDS = {"held_until", "lease_until"}
KEEP_ENDS = {"keep_until"}
# A repair that fails is tried again after 20 s.
REPAIR_TIMEOUT = 60.0
# Between two looks at an S3 that is to be quiet.
QUIET_SECONDS = 0.3
# S3 opens an upload, and its row follows at once. On a busy machine that may take a while.
MOST_ROWLESS_SECONDS = 10.0


# The server takes records to the ledger several times a second.
RECORD_TIMEOUT = 30.0
RECORDS = """
    SELECT 'upload', path, COUNT(*) FROM transfers WHERE direction = 'upload' AND result = 'done' GROUP BY path
    UNION ALL SELECT change, path, COUNT(*) FROM changes
    WHERE result = 'done' AND change IN ('remove', 'rename') GROUP BY change, path
"""


class Broken(Exception):
    """A promise that doesn't hold."""


class KilledServer(ServeFiles):
    """The server, with alice of the tenant acme."""

    def __init__(self, directory, store):
        self.store = store
        public_key = keys.public_keys()[0].read_text().strip()
        self.tenant = TenantEntry("acme", [UserEntry("alice", [public_key])])
        self.s3_port = int(store.endpoint.rpartition(":")[2])
        self.s3 = boto3.client(
            "s3",
            endpoint_url=store.endpoint,
            region_name="us-east-1",
            aws_access_key_id=store.access_key_id,
            aws_secret_access_key=store.secret_access_key,
        )
        self.ledger = directory / "ledger.db"
        # The uploads that S3 had opened at a kill without a row in the ledger.
        self.rowless = set()
        super().__init__(directory, store, {}, [self.tenant])

    def start_again(self):
        self.process.close()
        Server.__init__(self, [wharfinger(), "serve", "--config", self.config], self.port)

    def kill(self):
        self.killed = time.time()
        self.process.kill()

    def check_killed(self):
        """Waits until S3 has carried out the last requests of the killed server: a lease outlasts them, and the leases here
        end at once. Then checks that the ledger knows the open uploads."""
        self.s3.close()
        until(lambda: not connections(self.s3_port), "S3 has closed the connections of the killed server")
        self._await_quiet()
        if "panicked" in (log := self.process.log_text()):
            raise Broken(f"the server panicked:\n{log[-4000:]}")
        known = repr(self.rows())
        for upload in self.open_uploads():
            identity = upload["UploadId"]
            if identity in known or identity in self.rowless:
                continue
            self.rowless.add(identity)
            if self.killed - upload["Initiated"].timestamp() > MOST_ROWLESS_SECONDS:
                raise Broken(f"S3 has had an upload for a while that no row of the ledger knows: {upload}")

    # The ledger.

    def rows(self):
        """Returns the rows of unfinished work, by table."""
        with closing(sqlite3.connect(self.ledger, timeout=30)) as ledger:
            tables = [table for table in TABLES if self._columns(ledger, table)]
            return {table: ledger.execute(f"SELECT * FROM {table}").fetchall() for table in tables}

    def end_leases(self):
        """Lets all leases end, as after some time without the server. Call it while the server is down."""
        self._set_to_past(LEASE_ENDS)

    def end_keep_times(self):
        """Lets the time end for which interrupted uploads are kept. Call it while the server is down."""
        self._set_to_past(LEASE_ENDS | KEEP_ENDS)

    def await_repairs(self):
        """Waits until the running server has repaired all renames."""
        until(lambda: not self._renames(), "all renames are repaired", REPAIR_TIMEOUT)

    def await_clean_up(self):
        """Waits until no unfinished work is left, in the ledger or in S3."""
        until(lambda: not any(self.rows().values()), "no unfinished work is left", REPAIR_TIMEOUT)
        left = {upload["UploadId"] for upload in self.open_uploads()} - self.rowless
        if left:
            raise Broken(f"the ledger has no unfinished work, and S3 has the uploads {left}")

    def _renames(self):
        rows = self.rows()
        with closing(sqlite3.connect(self.ledger, timeout=30)) as ledger:
            columns = self._columns(ledger, "tasks")
        tasks = rows.get("tasks", [])
        return rows.get("tree_renames", []) + [row for row in tasks if "rename" in str(row[columns.index("kind")])]

    def _set_to_past(self, ends):
        with closing(sqlite3.connect(self.ledger, timeout=30, isolation_level=None)) as ledger:
            for table in TABLES:
                for column in ends.intersection(self._columns(ledger, table)):
                    # 1 isn't 0, which has a meaning of its own for some.
                    ledger.execute(f"UPDATE {table} SET {column} = 1 WHERE {column} > 1")

    @staticmethod
    def _columns(ledger, table):
        return [name for (name,) in ledger.execute("SELECT name FROM pragma_table_info(?)", (table,))]

    def await_records(self, acknowledged, interrupted):
        """Waits until each acknowledged operation has its record. No operation has two: one that a kill interrupted may
        have one."""
        def is_recorded():
            return not acknowledged - self._records()

        until(is_recorded, "each acknowledged upload and change has its record", RECORD_TIMEOUT)
        if twice := self._records() - acknowledged - interrupted:
            raise Broken(f"these have more records than were carried out: {twice}")

    def _records(self):
        with closing(sqlite3.connect(self.ledger, timeout=30)) as ledger:
            return Counter({(kind, path): number for kind, path, number in ledger.execute(RECORDS)})

    # S3.

    def _await_quiet(self):
        """Waits until S3 changes no more: it carries out a request whose client is gone."""
        found = None
        while found != (found := (self._objects(""), self.open_uploads())):
            time.sleep(QUIET_SECONDS)

    def _objects(self, prefix):
        pages = self.s3.get_paginator("list_objects_v2").paginate(Bucket=self.store.bucket, Prefix=prefix)
        return [(entry["Key"], entry["ETag"]) for page in pages for entry in page.get("Contents", [])]

    def open_uploads(self):
        """Returns the open multipart uploads."""
        pages = self.s3.get_paginator("list_multipart_uploads").paginate(Bucket=self.store.bucket)
        return [upload for page in pages for upload in page.get("Uploads", [])]

    def names_below(self, path):
        """Returns the names below a directory in S3, without those of directories."""
        below = f"{self.tenant.prefix}{path}/"
        found = (key.removeprefix(below) for key, _ in self._objects(below))
        return {name for name in found if name and not name.endswith("/")}
