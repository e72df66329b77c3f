"""Jobs and uploads that were cut off, as docs/clients.md says: its script goes on until the file is stored, and jobs that
"stat, else put" need `partial_uploads = "discard"`."""

import re
import subprocess

from rig import frames, keys
from rig.case import ServerCase
from rig.files import MIB, PART, content, make, sha256, sha256_of
from rig.frames import Frames
from rig.process import Process, connections, until
from rig.seaweedfs import SeaweedFs
from rig.servers import ROOT, Serve

SIZE = 60 * MIB


def script():
    """The script, as docs/clients.md prints it."""
    _, _, rest = (ROOT / "docs" / "clients.md").read_text().partition("```sh\n")
    return rest.partition("```")[0]


class UploadScript(ServerCase):
    SHARED = None

    @classmethod
    def start(cls):
        return Serve(SeaweedFs.shared().store(), prefix="upload-script")

    def setUp(self):
        super().setUp()
        (self.local / "upload").write_text(script())
        self.file = self.local / "a file"
        self.sum = make(self.file, SIZE)

    def test_it_goes_on_after_the_server_was_killed(self):
        job = self.run_script()
        self.stored(4 * PART)
        # On the same config, ledger and port.
        self.server.process.kill()
        self.server.process = Process(self.server.process.arguments)
        self.assertEqual(0, job.wait(120), (self.local / "log").read_text())
        with self.sftp().open("a file", "rb") as stored:
            stored.prefetch()
            self.assertEqual(self.sum, sha256_of(stored.read()))
        self.assertLess(self.sent(), SIZE - 3 * PART)

    def test_it_sends_nothing_of_what_is_stored(self):
        self.sftp().put(str(self.file), "a file")
        closed = self.closed()
        self.assertEqual(0, self.run_script().wait(60), (self.local / "log").read_text())
        self.assertEqual(closed, self.closed())

    def tearDown(self):
        super().tearDown()
        self.sftp().remove("a file")

    def run_script(self):
        """Runs it with the settings of the tests, at 100 Mbit/s, so that there is time to kill the server."""
        settings = self.local / "ssh_config"
        settings.write_text(
            f"Host wharf\nHostName 127.0.0.1\nPort {self.server.port}\nIdentityFile {keys.key()}\nIdentitiesOnly yes\n"
            "StrictHostKeyChecking no\nUserKnownHostsFile /dev/null\nLogLevel ERROR\n"
        )
        (self.local / "bin").mkdir()
        sftp = self.local / "bin" / "sftp"
        sftp.write_text(f'#!/bin/sh\nPATH=${{PATH#*:}} exec sftp -F "{settings}" -l 100000 "$@"\n')
        sftp.chmod(0o700)
        with (self.local / "log").open("w") as log:
            job = subprocess.Popen(
                ["sh", "-c", 'PATH="$PWD/bin:$PATH" exec sh upload "a file" alice@wharf'],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=self.local,
            )
        self.addCleanup(job.wait, 60)
        self.addCleanup(job.kill)
        return job

    def stored(self, least):
        def size():
            try:
                return self.sftp().stat("a file").st_size
            except FileNotFoundError:
                return 0

        until(lambda: size() >= least, f"{least} bytes that are stored")

    def closed(self):
        lines = self.server.process.log_text().splitlines()
        return [line for line in lines if "file closed" in line and "a file" in line and "upload" in line]

    def sent(self):
        """How much of the file came in the session that stored it."""
        (line,) = self.closed()
        return int(re.search(r"\bbytes=(\d+)", line)[1])


class StatElsePut(ServerCase):
    SHARED = None

    @classmethod
    def start(cls):
        return Serve(SeaweedFs.shared().store(), prefix="stat-else-put", tenant_settings='partial_uploads = "discard"')

    def test_stat_else_put(self):
        path = f"{self.remote_directory()}/file"
        self.cut_off(path)
        sum = make(self.local / "file", SIZE)
        try:
            self.sftp().stat(path)
        except FileNotFoundError:
            self.sftp().put(str(self.local / "file"), path)
        self.openssh.sftp(f"get {path} {self.local}/back")
        self.assertEqual(sum, sha256(self.local / "back"))

    def cut_off(self, path):
        transport = self.connect()
        before = connections(self.server.port)
        client = Frames(transport)
        client.start()
        handle, data = client.create(path), content(3 * PART)
        for offset in range(0, len(data), 128 << 10):
            self.assertEqual(frames.OK, client.write(handle, offset, data[offset : offset + (128 << 10)])[0])
        transport.close()
        until(lambda: connections(self.server.port) < before, "the end of the connection")
        self.server.process.until(lambda: "file abandoned" in self.server.process.log_text(), "the end of the upload")
