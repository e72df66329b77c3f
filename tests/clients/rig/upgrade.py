"""The remains of a server of an older version: its config, its ledger, and S3's objects and open uploads.
`tests/clients/upgrade/make` writes them. A test restores them, and starts the present server on them."""

import hashlib
import json
import os
import sqlite3
import time
from contextlib import closing

from .files import MIB, PART, content
from .openssh import OpenSsh
from .postgres import Postgres
from .ports import free_port
from .seaweedfs import BUCKET, SECRET_ACCESS_KEY
from .servers import ROOT, Server

FIXTURES = ROOT / "tests" / "clients" / "upgrade"
# The oldest version from which an upgrade is supported.
BASE = FIXTURES / "6943937"
BOBS_PASSWORD = "bob-of-the-upgrade-fixture"
# Arguments of `content` for the long files: a whole one of alice's, and interrupted uploads of alice and bob.
LARGE, REST, STREAM = (10 * MIB, 1), (20 * MIB, 2), (20 * MIB, 3)
# Bytes that were sent of the interrupted uploads: two parts and a remainder.
SENT = 2 * PART + MIB
# The time that alice set on files, in 2001.
THEN = 1_000_000_001
# Longer than the lease of a rename, which is a minute, so the lease has expired when the next server starts.
AWAY_SECONDS = 120


class Sqlite:
    """A ledger in a file beside the config."""

    kind = "sqlite"
    line = 'url = "sqlite:ledger.db"'

    def __init__(self, directory):
        self.file = directory / "ledger.db"

    def run(self, script):
        with self._open() as ledger:
            ledger.executescript(script)

    def rows(self, query, after=""):
        """Returns the rows as lists of texts, as they would be `after` some statements. The statements are undone."""
        with self._open() as ledger:
            ledger.execute("BEGIN")
            for statement in after.split(";"):
                ledger.execute(statement)
            return [[str(value) for value in row] for row in ledger.execute(query)]

    def dump(self):
        with self._open() as ledger:
            return "\n".join(ledger.iterdump()) + "\n"

    def columns(self, after=""):
        """Returns type, nullability and default of each column, by table and name."""
        rows = self.rows(
            'SELECT tables.name, columns.name, columns.type, NOT columns."notnull", columns.dflt_value '
            "FROM sqlite_master AS tables, pragma_table_info(tables.name) AS columns WHERE tables.type = 'table'",
            after,
        )
        return {(table, name): facts for table, name, *facts in rows}

    def close(self):
        pass

    def _open(self):
        return closing(sqlite3.connect(self.file, isolation_level=None, timeout=30))


class Postgresql:
    """A ledger in a PostgreSQL server."""

    kind = "postgresql"
    line = 'url_file = "ledger.url"'

    def __init__(self, directory):
        self.postgres = Postgres()
        _write_secret(directory / "ledger.url", self.postgres.url)
        self.run, self.dump, self.close = self.postgres.sql, self.postgres.dump, self.postgres.close

    def rows(self, query, after=""):
        return self.postgres.sql(f"BEGIN; {after}; {query}; ROLLBACK")

    def columns(self, after=""):
        rows = self.rows(
            "SELECT table_name, column_name, data_type, is_nullable, column_default "
            "FROM information_schema.columns WHERE table_schema = 'public'",
            after,
        )
        return {(table, name): facts for table, name, *facts in rows}


class Site(Server):
    """A server on a fixture's config and a ledger. It can be started again."""

    def __init__(self, binary, fixture, here, endpoint, ledger):
        self.fixture, self.here, self.ledger = fixture, here, ledger
        port = free_port()
        values = {"@port@": str(port), "@endpoint@": endpoint, "@kind@": ledger.kind, "@ledger@": ledger.line}
        _write_config(fixture / "config", here, values)
        self.config = here / "wharfinger.toml"
        self.environment = dict(os.environ, GLOBEX_SECRET_ACCESS_KEY=SECRET_ACCESS_KEY)
        super().__init__([binary, "serve", "--config", self.config], port, env=self.environment)

    @property
    def alice(self):
        """sftp with the key that alice had at the time."""
        key = self.here / "alice"
        _write_secret(key, (self.fixture / "alice").read_text())
        return OpenSsh(self, user="alice", key=key)

    @property
    def bob(self):
        return OpenSsh(self, user="bob", password=BOBS_PASSWORD)


def _write_config(source, directory, values):
    for file in (path for path in source.rglob("*") if path.is_file()):
        text = file.read_text()
        for name, value in values.items():
            text = text.replace(name, value)
        _write_secret(directory / file.relative_to(source), text)
    _write_secret(directory / "tenants" / "acme.secret", SECRET_ACCESS_KEY)


def _write_secret(path, text):
    path.parent.mkdir(exist_ok=True)
    path.touch(mode=0o600)
    path.write_text(text)


class Snapshot:
    """The contents of a ledger and of S3 at one moment: a dump of the ledger, and `s3.json`, which describes S3."""

    def __init__(self, directory):
        self.dump = (directory / "ledger.sql").read_text()
        self.s3 = json.loads((directory / "s3.json").read_text())

    @staticmethod
    def write(directory, ledger, s3, prefix, endpoint, contents):
        """Takes the snapshot. `contents` holds the arguments of `content` for data that is too long to store."""
        directory.mkdir(parents=True, exist_ok=True)
        (directory / "ledger.sql").write_text(ledger.dump())
        known = {tuple(arguments): content(*arguments) for arguments in contents}
        described = {
            "endpoint": endpoint,
            "made_at": int(time.time()),
            "objects": _describe_objects(s3, prefix, known),
            "uploads": _describe_uploads(s3, prefix, known, ledger),
        }
        (directory / "s3.json").write_text(_one_entry_a_line(described))

    def restore(self, s3, ledger, endpoint):
        """Restores it into another S3 and an empty ledger, as if the server had stopped two minutes ago."""
        self._put_objects(s3)
        names = {self._host(self.s3["endpoint"]): self._host(endpoint)}
        for upload in self.s3["uploads"]:
            names[upload["upload_id"]] = self._begin_upload(s3, upload)
        dump = self.dump
        for old, new in names.items():
            assert old in dump, f"{old} isn't in the dump"
            dump = dump.replace(old, new)
        ledger.run(dump)
        since = int(time.time()) - self.s3["made_at"]
        ledger.run(
            f"UPDATE late_attributes SET set_at = set_at + {since};"
            f"UPDATE tree_renames SET held_until = held_until + {since - AWAY_SECONDS};"
            f"UPDATE partial_uploads SET held_until = held_until + {since - AWAY_SECONDS}, "
            f"keep_until = CASE keep_until WHEN 0 THEN 0 ELSE keep_until + {since} END;"
        )

    @staticmethod
    def _host(endpoint):
        return f"//{endpoint.partition('//')[2]}/{BUCKET}"

    def _put_objects(self, s3):
        # A copy must not be older than its original.
        for found in sorted(self.s3["objects"], key=lambda found: found["modified"]):
            place = {"Bucket": BUCKET, "Key": found["key"]}
            if "parts" in found:
                upload_id = self._begin_upload(s3, found)
                parts = [{"PartNumber": n, "ETag": part["etag"]} for n, part in enumerate(found["parts"], 1)]
                stored = s3.complete_multipart_upload(**place, UploadId=upload_id, MultipartUpload={"Parts": parts})
            else:
                stored = s3.put_object(**place, Body=found["text"].encode(), Metadata=found["metadata"])
            assert stored["ETag"] == found["etag"], f"{found['key']}: {stored['ETag']}"

    def _begin_upload(self, s3, upload):
        """Creates an upload with its recorded parts and returns its id."""
        place = {"Bucket": BUCKET, "Key": upload["key"]}
        place["UploadId"] = s3.create_multipart_upload(**place, Metadata=upload["metadata"])["UploadId"]
        data, begin = content(*upload["content"]), 0
        for number, part in enumerate(upload["parts"], 1):
            stored = s3.upload_part(**place, PartNumber=number, Body=data[begin : begin + part["bytes"]])
            assert stored["ETag"] == part["etag"], f"{upload['key']}: {stored['ETag']}"
            begin += part["bytes"]
        return place["UploadId"]


def _describe_objects(s3, prefix, known):
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix=prefix)
    found = [entry["Key"] for page in pages for entry in page.get("Contents", [])]
    return [_describe_object(s3, key, known) for key in found]


def _describe_object(s3, key, known):
    got = s3.get_object(Bucket=BUCKET, Key=key)
    data = got["Body"].read()
    described = {"key": key, "etag": got["ETag"], "modified": got["LastModified"].isoformat(), "metadata": got["Metadata"]}
    count = int(got["ETag"].strip('"').partition("-")[2] or 0)
    if count == 0:
        return described | {"text": data.decode()}
    heads = (s3.head_object(Bucket=BUCKET, Key=key, PartNumber=number) for number in range(1, count + 1))
    sizes = [head["ContentLength"] for head in heads]
    return described | _parts(list(zip(sizes, _etags(data, sizes))), known)


def _describe_uploads(s3, prefix, known, ledger):
    rows = dict(ledger.rows("SELECT upload_id, object FROM partial_uploads"))
    found = s3.list_multipart_uploads(Bucket=BUCKET, Prefix=prefix).get("Uploads", [])
    uploads = []
    for upload in found:
        place = {"Bucket": BUCKET, "Key": upload["Key"], "UploadId": upload["UploadId"]}
        parts = s3.list_parts(**place)["Parts"]
        described = {"key": upload["Key"], "upload_id": upload["UploadId"]}
        # S3 also stores the metadata, but doesn't return it.
        described["metadata"] = json.loads(rows.pop(upload["UploadId"]))
        uploads.append(described | _parts([(part["Size"], part["ETag"]) for part in parts], known))
    assert not rows, f"the ledger names uploads that S3 doesn't: {rows}"
    return uploads


def _parts(parts, known):
    """Describes parts, given as (size, ETag), with the arguments of the `content` that they hold."""
    sizes, etags = zip(*parts)
    arguments = next(arguments for arguments, data in known.items() if _etags(data, sizes) == list(etags))
    return {"content": list(arguments), "parts": [{"bytes": size, "etag": etag} for size, etag in parts]}


def _etags(data, sizes):
    etags, begin = [], 0
    for size in sizes:
        etags.append(f'"{hashlib.md5(data[begin : begin + size]).hexdigest()}"')
        begin += size
    return etags


def _one_entry_a_line(described):
    fields = []
    for name, value in described.items():
        entries = ",\n".join(f"  {json.dumps(entry)}" for entry in value) if isinstance(value, list) else None
        fields.append(f" {json.dumps(name)}: " + (json.dumps(value) if entries is None else f"[\n{entries}\n ]"))
    return "{\n" + ",\n".join(fields) + "\n}\n"
