"""The views of docs/reporting.md, read with real drivers while the server runs: ODBC for SQLite and PostgreSQL, and
JDBC."""

import re
import subprocess
from datetime import UTC, datetime, timedelta

from rig import keys
from rig.case import ServerCase
from rig.fake_aws import FakeAws
from rig.files import PART, make, sha256
from rig.ports import free_port
from rig.postgres import Postgres
from rig.process import until
from rig.reports import Jdbc, Odbc, Refused
from rig.servers import ROOT, Serve

PASSWORD = "of-reports"
SIZE = PART + 1
RECORD_TIMEOUT = 60.0


def moment(text):
    """Returns the time in a column. Drivers write it in their own ways, and leave out zeros at its end."""
    whole, _, fraction = text.rstrip("Z").replace("T", " ").partition(".")
    return datetime.fromisoformat(whole).replace(tzinfo=UTC) + timedelta(milliseconds=int(fraction.ljust(3, "0")[:3]))


class Reports:
    SHARED = None

    @classmethod
    def start(cls):
        cls.s3 = FakeAws()
        cls.addClassCleanup(cls.s3.close)
        return Serve(cls.s3.store(), settings=cls.settings())

    def transfer(self, name):
        """Puts a file and gets it back with OpenSSH's sftp. Waits for the record of the session's end."""
        sent = make(self.local / "file", SIZE)
        before = datetime.now(UTC) - timedelta(milliseconds=1)
        self.openssh.sftp(f"put file {name}".replace("file ", f"{self.local}/file "), f"get {name} {self.local}/back")
        self.assertEqual(sent, sha256(self.local / "back"))
        after = datetime.now(UTC)
        query = f"SELECT session FROM transfers_v1 WHERE path = '/{name}'"
        ended = f"SELECT session FROM sessions_v1 WHERE session IN ({query}) AND ended_at IS NOT NULL"
        until(lambda: self.source().rows(ended), "the record of the session's end", RECORD_TIMEOUT)
        return before, after

    def check_views(self, source, name, before, after):
        """Compares the rows in the views with the transfer."""
        self.maxDiff = None
        transfers = source.rows(f"SELECT * FROM transfers_v1 WHERE path = '/{name}' ORDER BY ended_at, transfer_id")
        for transfer, direction in zip(transfers, ("upload", "download"), strict=True):
            self.assertEqual(("acme", "alice", direction), self.of(transfer, "tenant", "user_name", "direction"))
            self.assertEqual(f"tenants/acme/{name}", transfer["object_key"])
            self.assertEqual(f"//{self.s3.endpoint.partition('//')[2]}/vendor", transfer["bucket"])
            self.assertEqual([str(SIZE)] * 2, [transfer["size_bytes"], transfer["transferred_bytes"]])
            self.assertEqual(("done", "", "127.0.0.1"), self.of(transfer, "result", "error", "source_ip"))
            self.check_times(transfer, before, after)
        self.assertEqual(*(transfer["etag"] for transfer in transfers))
        self.assertTrue(transfers[0]["request_id"] and transfers[0]["etag"])
        (session,) = source.rows(f"SELECT * FROM sessions_v1 WHERE session = '{transfers[0]['session']}'")
        self.assertEqual(("acme", "alice", "127.0.0.1"), self.of(session, "tenant", "user_name", "source_ip"))
        self.assertEqual(("publickey", fingerprint()), self.of(session, "method", "key_fingerprint"))
        self.assertIn("OpenSSH", session["client_version"])
        self.assertGreater(len(session["algorithms"].split()), 2)
        self.assertTrue(all(int(session[column]) > SIZE for column in ("received_bytes", "sent_bytes")), session)
        self.assertEqual("", session["reason"])
        self.check_times(session, before, after)
        (login,) = source.rows(f"SELECT * FROM logins_v1 WHERE connection = '{session['connection']}'")
        self.assertEqual(("accepted", "", "alice"), self.of(login, "result", "reason", "user_name"))
        shared = ("tenant", "source_port", "client_version", "algorithms", "method", "key_fingerprint")
        self.assertEqual(self.of(session, *shared), self.of(login, *shared))
        self.assertTrue(before <= moment(login["login_at"]) <= after)

    def check_usage(self, source, before):
        """Compares the sums of a user who has put and got one file."""
        rows = source.rows("SELECT * FROM usage_daily_v1 WHERE user_name = 'alice' ORDER BY day")
        self.assertEqual(str(before.date()), rows[0]["day"])
        expected = {"files_in": 1, "bytes_in": SIZE, "files_out": 1, "bytes_out": SIZE, "logins": 1}
        expected |= {"failed_transfers": 0, "abandoned_transfers": 0}
        self.assertEqual(expected, {column: sum(int(row[column]) for row in rows) for column in expected})

    def check_times(self, row, before, after):
        started, ended = moment(row["started_at"]), moment(row["ended_at"])
        self.assertTrue(before <= started <= ended <= after + timedelta(seconds=5), row)
        self.assertAlmostEqual(int(row["duration_ms"]), (ended - started) / timedelta(milliseconds=1), delta=50)

    @staticmethod
    def of(row, *columns):
        return tuple(row[column] for column in columns)

    def test_each_driver_finds_what_was_transferred(self):
        before, after = self.transfer("report")
        for source in self.sources():
            with self.subTest(source=type(source).__name__):
                self.check_views(source, "report", before, after)
                self.check_usage(source, before)


class ReportsFromSqlite(Reports, ServerCase):
    @classmethod
    def settings(cls):
        return ""

    def source(self):
        ledger = f"{self.server.directory.name}/ledger.db"
        return Odbc(self.local, Driver="SQLite3", Database=ledger, Timeout="10000", BigInt="1")

    def sources(self):
        return [self.source()]


class ReportsFromPostgres(Reports, ServerCase):
    @classmethod
    def settings(cls):
        cls.postgres = Postgres(port=free_port())
        cls.addClassCleanup(cls.postgres.close)
        return f'[ledger]\nurl = "{cls.postgres.url}"'

    @classmethod
    def start(cls):
        server = super().start()
        document = (ROOT / "docs" / "reporting.md").read_text()
        _, _, access = document.partition("\n### PostgreSQL\n")
        cls.postgres.sql(re.search(r"```sql\n(.*?)```", access, re.DOTALL)[1])
        cls.postgres.sql(f"ALTER ROLE wharfinger_report PASSWORD '{PASSWORD}'")
        return server

    def source(self):
        settings = {"Driver": "PostgreSQL Unicode", "Servername": "127.0.0.1", "Port": self.postgres.port}
        return Odbc(self.local, **settings, Database="postgres", UserName="wharfinger_report", Password=PASSWORD)

    def sources(self):
        url = f"jdbc:postgresql://127.0.0.1:{self.postgres.port}/postgres"
        return [self.source(), Jdbc(self.local, url, "wharfinger_report", PASSWORD)]

    def test_the_role_reads_no_table(self):
        for source in self.sources():
            for table in ("transfers", "logins", "tasks", "_sqlx_migrations"):
                with self.subTest(source=type(source).__name__, table=table):
                    with self.assertRaisesRegex(Refused, "permission denied for table"):
                        source.rows(f"SELECT count(*) FROM {table}")


class RetentionInPostgres(ServerCase):
    """A node deletes old records in batches of a thousand, while another runs on the same database."""

    SHARED = None

    @classmethod
    def start(cls):
        cls.s3 = FakeAws()
        cls.addClassCleanup(cls.s3.close)
        cls.postgres = Postgres()
        cls.addClassCleanup(cls.postgres.close)
        return cls.node()

    @classmethod
    def node(cls):
        return Serve(cls.s3.store(), settings=f'[ledger]\nurl = "{cls.postgres.url}"\nretention.refusals_days = 2')

    def test_records_that_are_too_old_are_deleted_and_no_others(self):
        # The end of a day counts as the day.
        self.postgres.sql("""
            INSERT INTO refusals (id, at_ms, node, process, number, kind, result)
            SELECT day || '-' || n, ((extract(epoch FROM now())::bigint / 86400 - day) * 86400 + 86399) * 1000,
            'n', 'p', n, 'request', 'refused' FROM generate_series(0, 4) AS day, generate_series(1, 1500) AS n
        """)
        nodes = [self.node() for _ in range(2)]
        for node in nodes:
            self.addCleanup(node.close)
        count = "SELECT split_part(id, '-', 1), COUNT(*) FROM refusals WHERE process = 'p' GROUP BY 1 ORDER BY 1"
        expected = [[str(day), "1500"] for day in range(3)]
        until(lambda: self.postgres.sql(count) == expected, "the records of three days ago are deleted", 60)


def fingerprint():
    shown = subprocess.run(["ssh-keygen", "-l", "-f", keys.key()], capture_output=True, text=True, check=True).stdout
    return shown.split()[1]
