"""The log in JSON: one object a line, one name for each thing, and no line that a client wrote."""

import json
import subprocess

import paramiko

from rig import paramiko_client
from rig.case import ServerCase
from rig.fake_aws import FakeAws, FakeAwsCase
from rig.files import make
from rig.postgres import Postgres
from rig.process import until
from rig.servers import Serve

COMMON = {"timestamp", "level", "message"}
WHO = COMMON | {"tenant", "user", "session", "source_ip"}
CLOSED = WHO | {"path", "transfer", "bytes", "size", "duration_ms"}
FORGED = '{"level":"INFO","message":"login","tenant":"globex","user":"root"}'
# Ends its own string, object and line, and adds a line and a field.
HOSTILE = f'mallory","tenant":"globex"}}\n{FORGED}\r\n\u2028\x1b[2K\\'


class JsonLog(ServerCase):
    SHARED = None

    @classmethod
    def start(cls):
        cls.s3 = FakeAws()
        cls.addClassCleanup(cls.s3.close)
        return Serve(cls.s3.store(), settings='[log]\nformat = "json"')

    def tearDown(self):
        self.s3.heal()
        super().tearDown()

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
        self.assertEqual((1000, 1000, "upload"), (closed["bytes"], closed["size"], closed["transfer"]))
        self.assertIs(int, type(closed["duration_ms"]))
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

    # Issue 12.8: expected refusals are no WARN. Failures of storage and denied access are.
    def test_what_clients_try_is_no_warning(self):
        sftp = self.sftp()
        sftp.mkdir("there")
        sftp.mkdir("there/in")
        for attempt, change in (
            (lambda: sftp.mkdir("there"), "mkdir"),
            (lambda: sftp.remove("there"), "remove"),
            (lambda: sftp.rmdir("there"), "rmdir"),
            (lambda: sftp.rename("there", "there/in/it"), "rename"),
        ):
            with self.assertRaises(OSError):
                attempt()
            self.assertEqual("INFO", self.wait_for("change failed", change=change)["level"], change)
        for command in ("uname", "md5sum /there"):
            self.openssh.ssh(self.openssh.place, command, check=False)
            refused = self.wait_for("service refused: only sftp is served", service=f"exec {command}")
            self.assertEqual("INFO", refused["level"])
        self.openssh.ssh("-W", "127.0.0.1:1", self.openssh.place, check=False)
        refused = self.wait_for("service refused: only sftp is served", service="forwarding to 127.0.0.1:1")
        self.assertEqual("WARN", refused["level"])
        self.s3.fail("AccessDenied", key="*denied*")
        with self.assertRaises(OSError):
            sftp.mkdir("denied")
        self.assertEqual("WARN", self.wait_for("change failed", path="/denied")["level"])

    # Issue 12.8: U+2028 and U+202E are escaped in everything that a client chooses.
    def test_no_name_turns_or_breaks_a_line(self):
        name = "invoice\u202egpj.exe\u2028\u2029"
        sftp = self.sftp()
        sftp.mkdir(name)
        with sftp.open(name + "/file", "wb"):
            pass
        sftp.rename(name + "/file", name + "/another")
        self.openssh.ssh(self.openssh.place, "echo \u202e", check=False)
        self.wait_for("service refused: only sftp is served", service="exec echo \\u{202e}")
        shown = "/invoice\\u{202e}gpj.exe\\u{2028}\\u{2029}"
        self.wait_for("changed", change="mkdir", path=shown)
        self.wait_for("file closed", path=shown + "/file")
        self.wait_for("changed", change="rename", path=shown + "/file", target=shown + "/another")
        text = self.server.process.log_text()
        self.assertFalse([character for character in text if character != "\n" and not character.isprintable()])

    # Issue 12.8: fatal errors are JSON if the format is JSON.
    def test_the_error_that_ends_the_server_is_a_line_like_others(self):
        another = subprocess.run(self.server.process.arguments, capture_output=True, text=True, timeout=60)
        self.assertEqual(1, another.returncode)
        *_, last = (json.loads(line) for line in another.stderr.splitlines())
        self.assertEqual(COMMON | {"error"}, set(last))
        self.assertEqual(("ERROR", "server failed"), (last["level"], last["message"]))
        self.assertRegex(last["error"], r"^cannot listen on 127\.0\.0\.1:\d+: Address already in use")

    def test_a_config_that_is_wrong_is_said_in_lines_like_others(self):
        config = self.local / "wharfinger.toml"
        config.write_text('max_buffer_bytes = "much"\nunknown = 1\n[log]\nformat = "json"\n')
        arguments = [self.server.process.arguments[0], "serve", "--config", str(config)]
        done = subprocess.run(arguments, capture_output=True, text=True, timeout=60)
        self.assertEqual(1, done.returncode)
        *problems, last = (json.loads(line) for line in done.stderr.splitlines())
        self.assertGreaterEqual(len(problems), 2)
        for problem in problems:
            self.assertEqual(COMMON | {"error"}, set(problem))
            self.assertEqual(("ERROR", "config problem"), (problem["level"], problem["message"]))
        self.assertEqual(("ERROR", "server failed"), (last["level"], last["message"]))

    def wait_for(self, message, **fields):
        """Waits for a line with this message and these fields. Returns the newest."""
        wanted = {"message": message} | fields

        def said():
            return [line for line in self.lines() if wanted.items() <= line.items()]

        return until(said, message)[-1]

    def lines(self):
        """Returns each complete line of the server's log as an object. No name may occur twice in it."""
        whole = self.server.process.log_text().rpartition("\n")[0]
        return [json.loads(line, object_pairs_hook=self.unambiguous) for line in whole.split("\n")]

    def unambiguous(self, pairs):
        self.assertEqual(len(pairs), len(dict(pairs)), pairs)
        return dict(pairs)

    @staticmethod
    def values(line, last):
        return line["tenant"], line["user"], line["source_ip"], line[last]


class HumanLog(FakeAwsCase):
    # Issue 12.8: `path` is quoted in the human format.
    def test_a_name_with_a_space_can_be_told_from_another_field(self):
        self.sftp().open('a bytes=1 "b"', "wb").close()
        self.server.process.until(
            lambda: r'path="/a bytes=1 \"b\"" transfer=upload bytes=0' in self.server.process.log_text(), "its line"
        )


class LogAfterNotice(FakeAwsCase):
    # Issue 12.8: no line is lost after a NOTICE of PostgreSQL, such as the one that the tables exist already.
    def test_the_line_after_a_notice_is_written(self):
        postgres = Postgres()
        self.addCleanup(postgres.close)
        for start in ("the first", "the second"):
            server = Serve(self.s3.store(), settings=f'[ledger]\nurl = "{postgres.url}"')
            self.addCleanup(server.close)
            server.process.stop()
            lines = [line for line in server.process.log_text().splitlines() if "INFO ledger url=" in line]
            self.assertEqual(1, len(lines), f"{start} start:\n{server.process.log_text()}")
