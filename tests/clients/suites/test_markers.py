"""A marker never appears before its data, on a slow S3: a client that waits for `data.done` finds all of the data. That
holds even if the writer doesn't wait for CLOSE, as sshfs doesn't."""

import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

from rig import frames
from rig.fake_aws import PUTS, FakeAwsCase
from rig.files import MIB, PART, content, make
from rig.frames import CLOSE, OPEN, STAT, Frames, number, status_of, text
from rig.process import until
from rig.slow_s3 import SlowS3Case
from rig.sshfs import mounted

# Seconds that S3 takes to publish the data. It stores a marker within a few milliseconds.
SLOW = 0.7


class OnSshfs:
    """The root, mounted, in which a batch job runs."""

    def mounted(self):
        self.mount = mounted(self, ".")

    def shell(self, command, says=""):
        """Runs a command that must write `says` to its standard error."""
        done = subprocess.run(
            ["bash", "-c", f"export LC_ALL=C; {command}"],
            cwd=self.mount,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
        )
        self.assertEqual(says, done.stderr, command)

    def write(self, data, path):
        """Returns a command that writes the local file to `path`. It lists the directory before its CLOSE, so that
        sshfs knows the directory. After the CLOSE it sends nothing that would wait for that."""
        return f"{{ cat {self.local / data} && ls >/dev/null; }} >{path}"


class Markers(SlowS3Case, OnSshfs):
    def setUp(self):
        super().setUp()

        def hold(method, key):
            # PUT publishes a small file, POST a file in parts.
            if method in ("PUT", "POST") and key.endswith(".csv"):
                time.sleep(SLOW)

        self.s3.hold = hold

    def size_when(self, poller, marked):
        """Waits until the marker appears or disappears. Returns the size of the data at that moment."""
        until(lambda: marked(poller.listdir()), "the marker", interval=0.002)
        try:
            return poller.stat("data.csv").st_size
        except FileNotFoundError:
            return None

    def test_sshfs(self):
        self.mounted()
        sizes = {"small": MIB, "parts": PART + MIB}
        for data, size in sizes.items():
            make(self.local / data, size)
        # Each command asks for a name and waits for the answer. sshfs sends from several threads, so a request that the
        # program doesn't wait for may overtake the CLOSE.
        jobs = (
            ("small", "touch data.done", lambda names: "data.done" in names),
            ("parts", "touch data.done", lambda names: "data.done" in names),
            ("small", "mkdir data.done", lambda names: "data.done" in names),
            ("small", "mv ready data.done", lambda names: "data.done" in names),
            ("small", "test ! -e stop && rm data.lock", lambda names: "data.lock" not in names),
            ("small", "test ! -e stop && rmdir locked", lambda names: "locked" not in names),
        )
        with closing(self.sftp()) as poller, ThreadPoolExecutor(1) as pool:
            for data, marker, marked in jobs:
                with self.subTest(data=data, marker=marker):
                    self.shell("touch ready data.lock && mkdir locked")
                    job = pool.submit(self.shell, f"{self.write(data, 'data.csv')} && {marker}")
                    self.assertEqual(sizes[data], self.size_when(poller, marked))
                    job.result()
                self.shell("rm -rf *")

    def test_sshfs_over_the_data_of_yesterday(self):
        self.mounted()
        make(self.local / "new", MIB)
        with closing(self.sftp()) as poller:
            with poller.open("data.csv", "wb") as file:
                file.write(b"of yesterday")
            self.shell(f"cp {self.local}/new data.csv && touch data.done")
            self.assertEqual(MIB, self.size_when(poller, lambda names: "data.done" in names))

    def test_a_client_that_waits_for_no_answer(self):
        client, data = Frames(self.connect()), content(MIB)
        client.start()
        handle = client.create("data.csv")
        for offset in range(0, MIB, 128 << 10):
            self.assertEqual(frames.OK, client.write(handle, offset, data[offset : offset + (128 << 10)])[0])
        closed = client.send(CLOSE, handle)
        # OPEN and STAT don't wait. Only requests that change names do.
        flags = number(frames.WRITE_FLAG | frames.CREATE | frames.TRUNCATE)
        opened = client.send(OPEN, text("data.done"), flags, frames.NO_ATTRIBUTES)
        asked = client.send(STAT, text("other"))
        replies = {reply.id: reply for reply in (client.receive(), client.receive())}
        self.assertEqual({opened, asked}, set(replies))
        marked = client.send(CLOSE, frames.handle_of(replies[opened]))
        with closing(self.sftp()) as poller:
            self.assertEqual(MIB, self.size_when(poller, lambda names: "data.done" in names))
        codes = {reply.id: status_of(reply)[0] for reply in (client.receive(), client.receive())}
        self.assertEqual({closed: frames.OK, marked: frames.OK}, codes)


class MarkersOfFailedUploads(FakeAwsCase, OnSshfs):
    """No marker announces data whose upload failed at a CLOSE for which the client doesn't wait."""

    def setUp(self):
        super().setUp()
        self.s3.objects.clear()
        self.s3.fail("AccessDenied", PUTS, key="*.csv", delay_ms=round(SLOW * 1000))
        self.mounted()
        make(self.local / "data", MIB)

    def test_sshfs(self):
        denied = "Permission denied\n"
        for number, (marker, says) in enumerate(
            (
                # Its CLOSE fails, and sshfs ignores that.
                ("touch {0}.done", ""),
                ("mkdir {0}.done", "mkdir: cannot create directory '{0}.done': " + denied),
                ("mv {0}.lock {0}.done", "mv: cannot move '{0}.lock' to '{0}.done': " + denied),
                ("test ! -e stop && rm {0}.lock", "rm: cannot remove '{0}.lock': " + denied),
            )
        ):
            with self.subTest(marker=marker):
                self.shell(f"touch {number}.lock")
                self.shell(f"{self.write('data', f'{number}.csv')} && {marker.format(number)}", says.format(number))
                # This MKDIR comes after the CLOSEs, so they are answered when it is.
                after = ["mkdir", self.mount / f"{number}.after"]
                until(lambda: not subprocess.run(after, capture_output=True).returncode, "the last CLOSE")
                names = [name for name in self.sftp().listdir() if name.startswith(str(number))]
                self.assertEqual([f"{number}.after", f"{number}.lock"], sorted(names))
