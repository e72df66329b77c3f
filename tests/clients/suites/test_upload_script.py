"""Jobs and interrupted uploads, according to docs/clients.md: its script retries until the file is stored, and jobs
that "stat, else put" need `partial_uploads = "discard"`."""

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
    """Returns the script in docs/clients.md."""
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
        checksum, size, _ = subprocess.check_output(["cksum", self.file], text=True).split(maxsplit=2)
        self.part = f"a file.{checksum}-{size}.part"
        (self.local / "bin").mkdir()

    def test_it_goes_on_after_the_server_was_killed(self):
        self.put_older(PART)
        job = self.run_script()
        self.stored(4 * PART)
        # The new server has the same config, ledger and port.
        self.server.process.kill()
        self.server.process = Process(self.server.process.arguments)
        self.assertEqual(0, job.wait(120), (self.local / "log").read_text())
        self.assert_stored()
        self.assertLess(self.sent(), SIZE - 3 * PART)

    def test_it_replaces_an_older_file_of_the_name(self):
        for size in (PART, SIZE, SIZE + MIB):
            with self.subTest(size=size):
                self.put_older(size)
                self.assertEqual(0, self.run_script().wait(60), (self.local / "log").read_text())
                self.assert_stored()

    def test_it_sends_nothing_of_what_is_stored(self):
        self.sftp().put(str(self.file), self.part)
        closed = self.closed()
        self.assertEqual(0, self.run_script().wait(60), (self.local / "log").read_text())
        self.assertEqual(closed, self.closed())
        self.assert_stored()

    def test_it_sends_nothing_again_if_only_the_answer_to_the_rename_was_lost(self):
        (self.local / "bin" / "sleep").write_text("#!/bin/sh\n")
        (self.local / "bin" / "sleep").chmod(0o700)
        before = len(self.closed())
        job = self.run_script("case $commands in rename*) [ -e lost ] || { : >lost; status=255; } ;; esac")
        self.assertEqual(0, job.wait(60), (self.local / "log").read_text())
        self.assertTrue((self.local / "lost").exists())
        self.assertEqual(before + 1, len(self.closed()))
        self.assert_stored()

    def tearDown(self):
        super().tearDown()
        self.sftp().remove("a file")

    def put_older(self, size):
        """Stores another file under the name."""
        make(self.local / "older", size, 7)
        self.sftp().put(str(self.local / "older"), "a file")

    def assert_stored(self):
        """Checks that the file is complete, and that no other file exists."""
        sftp = self.sftp()
        self.assertEqual(["a file"], sftp.listdir())
        with sftp.open("a file", "rb") as stored:
            stored.prefetch()
            self.assertEqual(self.sum, sha256_of(stored.read()))

    def run_script(self, afterwards=":"):
        """Runs the script with the settings of the tests, at 100 Mbit/s, which leaves time to kill the server. After
        each sftp the shell runs `afterwards`."""
        settings = self.local / "ssh_config"
        settings.write_text(
            f"Host wharf\nHostName 127.0.0.1\nPort {self.server.port}\nIdentityFile {keys.key()}\nIdentitiesOnly yes\n"
            "StrictHostKeyChecking no\nUserKnownHostsFile /dev/null\nLogLevel ERROR\n"
        )
        sftp = self.local / "bin" / "sftp"
        sftp.write_text(
            "#!/bin/sh\ncommands=$(cat)\n"
            f"""printf '%s\\n' "$commands" | PATH=${{PATH#*:}} sftp -F "{settings}" -l 100000 "$@"\nstatus=$?\n"""
            f"{afterwards}\nexit $status\n"
        )
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
                return self.sftp().stat(self.part).st_size
            except FileNotFoundError:
                return 0

        until(lambda: size() >= least, f"{least} bytes that are stored")

    def closed(self):
        lines = self.server.process.log_text().splitlines()
        return [line for line in lines if "file closed" in line and "a file" in line and "upload" in line]

    def sent(self):
        """Returns the bytes of the file that the storing session sent."""
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
