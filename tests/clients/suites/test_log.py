"""The log in JSON: one object a line, the same names for the same things, and no line that a client wrote."""

import json

import paramiko

from rig import paramiko_client
from rig.case import ServerCase
from rig.fake_s3 import FakeS3
from rig.files import make
from rig.process import until
from rig.servers import Serve

COMMON = {"timestamp", "level", "message"}
WHO = COMMON | {"tenant", "user", "session", "source_ip"}
CLOSED = WHO | {"path", "transfer", "bytes", "duration_ms"}
FORGED = '{"level":"INFO","message":"login","tenant":"globex","user":"root"}'
# It ends its own string, its object and its line, and brings a line and a field along.
HOSTILE = f'mallory","tenant":"globex"}}\n{FORGED}\r\n\u2028\x1b[2K\\'


class JsonLog(ServerCase):
    SHARED = None

    @classmethod
    def start(cls):
        s3 = FakeS3()
        cls.addClassCleanup(s3.close)
        return Serve(s3.store(), settings='[log]\nformat = "json"')

    def test_what_happens_has_its_fields(self):
        transport = self.connect()
        sftp = paramiko_client.sftp(transport)
        with sftp.open('a "file"', "wb") as file:
            file.write(b"x" * 1000)
        transport.close()
        login = self.wait_for("login")
        program = {"fingerprint", "client", "algorithms"}
        self.assertEqual(
            COMMON | program | {"tenant", "user", "source_ip", "source_port", "connection", "method"}, set(login)
        )
        self.assertEqual(("acme", "alice", "127.0.0.1", "publickey"), self.values(login, "method"))
        session = f"{login['connection']}-1"
        started = self.wait_for("session started", session=session)
        closed = self.wait_for("file closed", session=session)
        ended = self.wait_for("session ended", session=session)
        self.assertEqual(WHO, set(started))
        self.assertEqual(CLOSED, set(closed))
        self.assertEqual(("acme", "alice", "127.0.0.1", '/a "file"'), self.values(closed, "path"))
        self.assertEqual((1000, "upload", int), (closed["bytes"], closed["transfer"], type(closed["duration_ms"])))
        self.assertLessEqual(WHO | {"duration_ms", "received_bytes", "sent_bytes"}, set(ended))

    def test_a_copy_names_both_files(self):
        make(self.local / "file", 10)
        self.openssh.sftp(f"put {self.local}/file /one", "cp /one /two")
        copied = self.wait_for("changed", change="copy")
        self.assertEqual(WHO | {"change", "path", "target", "duration_ms"}, set(copied))
        self.assertEqual(("acme", "alice", "127.0.0.1", "/one"), self.values(copied, "path"))
        self.assertEqual("/two", copied["target"])

    def test_a_client_forges_no_line_and_no_field(self):
        before = len(self.lines())
        with self.assertRaises(paramiko.AuthenticationException):
            self.connect(user=HOSTILE, password="wrong")
        refused = self.wait_for("login refused")
        program = {"client", "algorithms"}
        self.assertEqual(COMMON | program | {"user", "source_ip", "connection", "method", "reason"}, set(refused))
        self.assertTrue(refused["user"].startswith("mallory"))
        self.assertTrue(refused["user"].isprintable(), refused["user"])
        with self.assertRaises(OSError):
            self.sftp().stat(HOSTILE)
        failed = self.wait_for("request failed")
        self.assertEqual(WHO | {"request", "path", "error"}, set(failed))
        self.assertTrue(failed["path"].isprintable(), failed["path"])
        for line in self.lines()[before:]:
            self.assertIn(line.get("tenant"), (None, "acme"))
            self.assertNotEqual("root", line.get("user"))

    def wait_for(self, message, **fields):
        """The newest line that says this and has these fields."""
        wanted = {"message": message} | fields

        def said():
            return [line for line in self.lines() if wanted.items() <= line.items()]

        return until(said, message)[-1]

    def lines(self):
        """Each line of the server's log that is whole, as an object without a name that comes twice."""
        whole = self.server.process.log_text().rpartition("\n")[0]
        return [json.loads(line, object_pairs_hook=self.unambiguous) for line in whole.split("\n")]

    def unambiguous(self, pairs):
        self.assertEqual(len(pairs), len(dict(pairs)), pairs)
        return dict(pairs)

    @staticmethod
    def values(line, last):
        return line["tenant"], line["user"], line["source_ip"], line[last]
