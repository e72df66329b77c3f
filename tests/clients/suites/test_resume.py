"""Interrupted uploads: after a killed client or `kill -9` of the server, each client resumes in its own way, on this
node or another. It sends only the rest."""

import re
import time
from pathlib import Path

from rig import command_lines, frames
from rig.case import ServerCase
from rig.files import MIB, PART, content, make, sha256, sha256_of
from rig.frames import Frames
from rig.process import connections, until
from rig.seaweedfs import SeaweedFs
from rig.servers import Demo, Serve

SIZE = 40 * MIB
# Seconds during which no other session may resume the upload of a killed server.
LEASE = 30.0


class Resume:
    SHARED = None

    def cut_off(self, path, data):
        """Starts an upload and drops its connection. Returns the number of stored bytes."""
        transport = self.connect()
        before = connections(self.server.port)
        client = Frames(transport)
        client.start()
        self.write(client, client.create(path), data)
        transport.close()
        until(lambda: connections(self.server.port) < before, "the end of the connection")
        return self.begun(path)

    def begun(self, path, least=1):
        """Returns the number of stored bytes once it is at least this."""
        return until(lambda: (size := self.size(path)) and size >= least and size, f"{path} that was begun")

    def write(self, client, handle, data):
        for offset in range(0, len(data), 128 << 10):
            self.assertEqual(frames.OK, client.write(handle, offset, data[offset : offset + (128 << 10)])[0])

    def size(self, path):
        try:
            return self.sftp().stat(path).st_size
        except FileNotFoundError:
            return None

    def assert_whole(self, path, data, begun):
        """Checks the file, and that the session which closed it sent only the bytes after the first `begun`."""
        name = Path(path).name
        self.assertIn(name, self.sftp().listdir(str(Path(path).parent)))
        with self.sftp().open(path, "rb") as file:
            file.prefetch()
            self.assertEqual(sha256_of(data), sha256_of(file.read()))
        closed = [line for line in self.server.process.log_text().splitlines() if "file closed" in line]
        closed = [line for line in closed if name in line and "upload" in line]
        self.assertEqual(1, len(closed), closed)
        sent, size = (int(re.search(rf"\b{field}\W+(\d+)", closed[0]).group(1)) for field in ("bytes", "size"))
        self.assertEqual((len(data) - begun, len(data)), (sent, size))

    def reput(self, path):
        return self.openssh.sftp(f"reput {self.local}/file {path}", check=False)

    # S118: OPEN without TRUNC resumes it, on any node, and the whole file appears at its CLOSE, if nothing else has …
    def test_reput_after_a_client_that_was_killed(self):
        there, sent = self.remote_directory(), make(self.local / "file", SIZE)
        path = f"{there}/killed-client"
        self.openssh.put_and_kill(self.local / "file", path, 3 * PART)
        begun = self.begun(path)
        self.assertEqual([], self.sftp().listdir(there), "it is no file yet")
        self.assertEqual("", self.reput(path).stderr)
        self.assert_whole(path, content(SIZE), begun)
        self.assertEqual(sent, sha256(self.local / "file"))

    def test_put_c_of_lftp(self):
        path = f"{self.remote_directory()}/lftp"
        make(self.local / "file", SIZE)
        begun = self.cut_off(path, content(SIZE)[: SIZE - 1])
        self.run_program(*command_lines.lftp(self.server, f"put -c {self.local}/file -o {path}"))
        self.assert_whole(path, content(SIZE), begun)

    # S120: TRUNC, EXCL and REMOVE abandon it, and of two uploads that were cut off the newest stays.
    # S121: A first WRITE at offset 0 starts the file over, and so does the size 0. Behind what is stored no hole is left, …
    def test_put_and_scp_begin_anew(self):
        path, file = f"{self.remote_directory()}/anew", self.local / "file"
        puts = {
            "put": lambda: self.openssh.sftp(f"put {file} {path}"),
            # scp opens the file without TRUNC, and truncates it at its end.
            "scp": lambda: self.openssh.scp(file, self.openssh.remote(path)),
        }
        for name, put in puts.items():
            with self.subTest(program=name):
                self.cut_off(path, content(SIZE))
                sent = make(file, 3 * PART, seed=1)
                put()
                self.openssh.sftp(f"get {path} {self.local}/back", f"rm {path}")
                self.assertEqual(sent, sha256(self.local / "back"))
                self.assertIsNone(self.size(path))

    def test_what_is_removed_is_gone(self):
        there = self.remote_directory()
        self.cut_off(f"{there}/removed", content(SIZE))
        self.openssh.sftp(f"rm {there}/removed")
        self.assertIsNone(self.size(f"{there}/removed"))
        make(self.local / "file", SIZE)
        self.assertNotEqual("", self.reput(f"{there}/removed").stderr)


class ResumeOnDemo(Resume, ServerCase):
    @classmethod
    def start(cls):
        return Demo()


class ResumeOnSeaweedFs(Resume, ServerCase):
    @classmethod
    def start(cls):
        cls.ledger = cls.lasting_directory() / "ledger.db"
        return cls.node()

    @classmethod
    def node(cls):
        settings = f'[ledger]\nurl = "sqlite:{cls.ledger}"\n'
        return Serve(SeaweedFs.shared().store(), prefix="resumed", settings=settings)

    # S119: One session at a time uploads it; another's OPEN without TRUNC is refused, for at most 30 seconds after the …
    def test_reput_on_another_node_after_a_kill_of_the_first(self):
        path = f"{self.remote_directory()}/killed-server"
        make(self.local / "file", SIZE)
        client = Frames(self.connect())
        client.start()
        self.write(client, client.create(path), content(SIZE)[: SIZE - 1])
        other = self.node()
        self.addCleanup(other.close)
        first, type(self).server = self.server, other
        begun = self.begun(path, 4 * PART)
        self.assert_refused(path)
        first.process.kill()
        killed = time.monotonic()
        self.assert_refused(path)
        until(lambda: not self.reput(path).stderr, "the end of the lease", LEASE + 10)
        self.assertLess(time.monotonic() - killed, LEASE + 10)
        self.assert_whole(path, content(SIZE), begun)
        first.close()

    def assert_refused(self, path):
        """Checks that another session can't resume the upload. OpenSSH doesn't show the sentence."""
        said = self.server.process.log_text().count("is being uploaded by another session")
        self.assertIn("Failure", self.reput(path).stderr)
        self.assertEqual(said + 1, self.server.process.log_text().count("is being uploaded by another session"))
