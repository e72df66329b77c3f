"""The server on the remains of commit 6943937: its config, and its ledger. The ledger has an upload whose client was
interrupted, an upload interrupted by `kill -9` of the server, and two renames of directories that the same kill
interrupted."""

import re
import subprocess

from rig.case import ServerCase
from rig.files import PART, content, make, sha256, sha256_of, tree
from rig.process import until
from rig.seaweedfs import BUCKET, SeaweedFs
from rig.servers import ROOT, wharfinger
from rig.upgrade import BASE, LARGE, REST, STREAM, THEN, Postgresql, Site, Snapshot, Sqlite

# The lease of a rename, in seconds. The leases in the snapshot have expired.
LEASE = 60.0
STEPS = "SELECT version FROM _sqlx_migrations ORDER BY version"
KEY = re.compile(r"^#?\s*([a-z_]+) = ", re.MULTILINE)


class Upgrade:
    """The tests of an upgrade, for a ledger of either kind."""

    SHARED = None

    @classmethod
    def start(cls):
        here, endpoint = cls.lasting_directory(), SeaweedFs.shared().endpoint
        cls.s3 = SeaweedFs.shared().client("s3")
        cls.ledger = cls.LEDGER(here)
        cls.addClassCleanup(cls.ledger.close)
        Snapshot(BASE / cls.LEDGER.kind).restore(cls.s3, cls.ledger, endpoint)
        cls.columns_before, cls.steps_before = cls.ledger.columns(), cls.ledger.rows(STEPS)
        return Site(wharfinger(), BASE, here, endpoint, cls.ledger)

    def test_check_takes_the_config_and_names_what_has_another_name_now(self):
        arguments = [wharfinger(), "check", "--config", self.server.config]
        checked = subprocess.run(
            arguments, capture_output=True, text=True, timeout=60, env=self.server.environment, stdin=subprocess.DEVNULL
        )
        said = checked.stdout + checked.stderr
        self.assertEqual(0, checked.returncode, said)
        today = keys_of(ROOT / "config")
        for key in keys_of(self.server.here) - today:
            words = [set(re.findall(r"\w+", line)) for line in said.splitlines()]
            self.assertTrue(any(key in line and today & line for line in words), f"{key}\n{said}")

    def test_users_find_their_files_behind_the_host_key_that_they_know(self):
        alice = self.knowing_the_host_key(self.server.alice)
        alice.sftp(f"get -pr reports {self.local}/reports")
        reports = self.local / "reports"
        for name, mode, data in (
            ("small", 0o600, b"sent with its own time\n"),
            ("late", 0o640, b"given another time and mode\n"),
            ("large", 0o604, content(*LARGE)),
        ):
            with self.subTest(name=name):
                found = (reports / name).stat()
                self.assertEqual((THEN, mode), (int(found.st_mtime), found.st_mode & 0o7777))
                self.assertEqual(sha256_of(data), sha256(reports / name))
        bob = self.knowing_the_host_key(self.server.bob)
        self.assertIn("batch.new", bob.sftp("ls -1").stdout)

    # S118: OPEN without TRUNC resumes it, on any node, and the whole file appears at its CLOSE, if nothing else has …
    def test_uploads_that_were_cut_off_go_on(self):
        for user, name, arguments in (("alice", "partial", REST), ("bob", "stream", STREAM)):
            with self.subTest(user=user):
                sftp, file = getattr(self.server, user), self.local / name
                sent = make(file, *arguments)
                self.assertNotIn(name, sftp.sftp("ls -1").stdout, "it is no file yet")
                sftp.sftp(f"reput {file} {name}")
                sftp.sftp(f"get {name} {self.local}/back")
                self.assertEqual(sent, sha256(self.local / "back"))
                self.assertEqual(arguments[0] - 2 * PART, self.bytes_sent(name))
        until(lambda: not self.ledger.rows("SELECT id FROM partial_uploads"), "no upload that could go on")

    # S35: Metadata, times and modes move along with a directory.
    # S39: After a crash at any moment the rename of a directory is undone (while it copied) or finished (once it …
    def test_renames_that_were_cut_off_are_put_right(self):
        until(lambda: not self.ledger.rows("SELECT id FROM tree_renames"), "renames put right", LEASE)
        self.assertEqual(set(), self.keys("acme/tree.new/"))
        self.assertEqual(set(), self.keys("globex/out/batch/"))
        self.server.alice.sftp(f"get -pr tree {self.local}/tree")
        self.assertEqual(tree_of("tree"), tree(self.local / "tree"))
        self.assertEqual(THEN, int((self.local / "tree" / "04").stat().st_mtime))
        self.server.bob.sftp(f"get -pr batch.new {self.local}/batch")
        self.assertEqual(tree_of("batch"), tree(self.local / "batch"))
        for name, mode in (("01", 0o640), ("below/09", 0o640), ("02", 0o644)):
            self.assertEqual(mode, (self.local / "batch" / name).stat().st_mode & 0o7777, name)

    def test_nodes_of_the_version_before_can_go_on_with_the_tables(self):
        columns = self.ledger.columns()
        for place, facts in self.columns_before.items():
            self.assertEqual(facts, columns.get(place), place)
        # The older version writes rows without the columns that it doesn't know.
        tables = {table for table, _ in self.columns_before}
        for (table, name), (_, may_be_null, default) in columns.items():
            if table in tables and (table, name) not in self.columns_before:
                self.assertTrue(may_be_null in ("1", "YES") or default not in ("", "None"), f"{table}.{name}")

    def test_the_way_back_in_the_documentation_ends_with_the_tables_of_the_version_before(self):
        _, _, upgrade = (ROOT / "docs" / "operations.md").read_text().partition("\n## Upgrade\n")
        _, _, back = upgrade.partition("\n## ")[0].partition("\n### Going back\n")
        database = {"sqlite": "SQLite", "postgresql": "PostgreSQL"}[self.LEDGER.kind]
        headings = (f"First, in {database}", "Then, in both")
        blocks = [re.search(rf"^{heading}:\n\n((?:    .+\n)+)", back, re.MULTILINE) for heading in headings]
        statements = "".join(block[1] for block in blocks)
        self.assertEqual(self.columns_before, self.ledger.columns(after=statements))
        self.assertEqual(self.steps_before, self.ledger.rows(STEPS, after=statements))

    def knowing_the_host_key(self, client):
        """Returns the client, restricted to a server with the fixture's host key."""
        private = self.server.here / "keys" / "ssh_host_ed25519_key"
        public = subprocess.run(["ssh-keygen", "-y", "-f", private], capture_output=True, text=True, check=True).stdout
        known = self.local / "known_hosts"
        known.write_text(f"[{self.server.host}]:{self.server.port} {public}")
        # Of two settings ssh takes the first.
        client.options = ["-o", "StrictHostKeyChecking=yes", "-o", f"UserKnownHostsFile={known}", *client.options]
        return client

    def bytes_sent(self, name):
        """Returns the bytes sent by the session that closed an upload."""
        lines = self.server.process.log_text().splitlines()
        closed = [line for line in lines if "file closed" in line and "upload" in line and name in line]
        self.assertEqual(1, len(closed), closed)
        return int(re.search(r"\bbytes\W+(\d+)", closed[0])[1])

    def keys(self, below):
        prefix = f"upgrade-{self.LEDGER.kind}/{below}"
        found = self.s3.list_objects_v2(Bucket=BUCKET, Prefix=prefix).get("Contents", [])
        return {entry["Key"] for entry in found}


class UpgradeOnSqlite(Upgrade, ServerCase):
    LEDGER = Sqlite


class UpgradeOnPostgresql(Upgrade, ServerCase):
    LEDGER = Postgresql


def keys_of(directory):
    """Returns the keys of all config files in a directory, set or commented out."""
    return {key for file in directory.rglob("*.toml") for key in KEY.findall(file.read_text())}


def tree_of(name):
    """Returns the `tree` of a directory that was renamed."""
    files = {("below/" if number % 3 == 0 else "") + f"{number:02}": f"{name} {number}\n" for number in range(12)}
    return {"below": None} | {path: sha256_of(text.encode()) for path, text in files.items()}
