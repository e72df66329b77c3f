"""asyncssh: concurrent operations on one channel, and its helpers for trees and patterns."""

import asyncio
import os

import asyncssh

from rig import keys
from rig.case import ServerCase
from rig.files import LEAST_PART, MIB, make, make_tree, sha256, tree

TIMEOUT = 300.0


class Asyncssh:
    def run_with_sftp(self, work):
        """Runs `work(sftp)` against a new connection, with a deadline."""

        async def connected():
            async with asyncio.timeout(TIMEOUT):
                async with asyncssh.connect(
                    self.server.host,
                    self.server.port,
                    username=self.server.user,
                    client_keys=[str(keys.key())],
                    known_hosts=None,
                    config=None,
                    agent_path=None,
                ) as connection:
                    async with connection.start_sftp_client() as sftp:
                        await work(sftp)

        asyncio.run(connected())

    def test_parallel_puts_and_gets(self):
        there = self.remote_directory()
        sizes = [0, 1, 100_000, LEAST_PART, 9 * MIB] * 4
        sent = [make(self.local / f"{number}", size, seed=number) for number, size in enumerate(sizes)]

        async def work(sftp):
            each = range(len(sizes))
            await asyncio.gather(*(sftp.put(str(self.local / f"{n}"), f"{there}/{n}") for n in each))
            await asyncio.gather(*(sftp.get(f"{there}/{n}", str(self.local / f"back-{n}")) for n in each))

        self.run_with_sftp(work)
        self.assertEqual(sent, [sha256(self.local / f"back-{number}") for number in range(len(sizes))])

    def test_many_stats_at_once(self):
        there = self.remote_directory()

        async def work(sftp):
            async def write(number):
                async with sftp.open(f"{there}/{number}", "wb") as file:
                    await file.write(b"x" * number)

            await asyncio.gather(*(write(number) for number in range(50)))
            stats = await asyncio.gather(*(sftp.stat(f"{there}/{number % 50}") for number in range(500)))
            self.assertEqual([number % 50 for number in range(500)], [stat.size for stat in stats])
            missing = await asyncio.gather(*(sftp.exists(f"{there}/none-{number}") for number in range(100)))
            self.assertFalse(any(missing))

        self.run_with_sftp(work)

    def test_mput_and_mget_by_patterns(self):
        there = self.remote_directory()
        sent = {name: make(self.local / name, MIB, seed=name) for name in ("a.csv", "b.csv")}
        make(self.local / "c.txt", 10)
        (self.local / "back").mkdir()

        async def work(sftp):
            await sftp.mput(str(self.local / "*.*"), there)
            await sftp.mget(f"{there}/*.csv", str(self.local / "back"))

        self.run_with_sftp(work)
        self.assertEqual(["a.csv", "b.csv", "c.txt"], sorted(self.sftp().listdir(there)))
        self.assertEqual(sent, tree(self.local / "back"))

    def test_a_tree_both_ways_with_its_times(self):
        there, made = self.remote_directory(), make_tree(self.local / "tree")
        os.utime(self.local / "tree" / "small", (1_000_000_000, 1_000_000_001))

        async def work(sftp):
            await sftp.put(str(self.local / "tree"), there, recurse=True, preserve=True)
            await sftp.get(f"{there}/tree", str(self.local / "back"), recurse=True, preserve=True)

        self.run_with_sftp(work)
        self.assertEqual(made, tree(self.local / "back"))
        self.assertEqual(1_000_000_001, int((self.local / "back" / "small").stat().st_mtime))

    def test_makedirs_glob_rename_and_rmtree(self):
        there = self.remote_directory()

        async def work(sftp):
            await sftp.makedirs(f"{there}/a/b/c", exist_ok=True)
            await sftp.makedirs(f"{there}/a/b/c", exist_ok=True)
            for name in ("one.csv", "two.csv", "three.txt"):
                async with sftp.open(f"{there}/a/b/c/{name}", "wb") as file:
                    await file.write(name.encode())
            found = await sftp.glob(f"{there}/a/*/c/*.csv")
            self.assertEqual([f"{there}/a/b/c/one.csv", f"{there}/a/b/c/two.csv"], sorted(found))
            await sftp.rename(f"{there}/a/b/c/one.csv", f"{there}/a/one.csv")
            with self.assertRaises(asyncssh.SFTPError):
                await sftp.rename(f"{there}/a/b/c/two.csv", f"{there}/a/one.csv")
            await sftp.posix_rename(f"{there}/a/b/c/two.csv", f"{there}/a/one.csv")
            self.assertEqual(len("two.csv"), await sftp.getsize(f"{there}/a/one.csv"))
            await sftp.rmtree(f"{there}/a")
            self.assertFalse(await sftp.exists(f"{there}/a"))

        self.run_with_sftp(work)

    def test_a_file_is_changed_in_place(self):
        there = self.remote_directory()

        async def work(sftp):
            async with sftp.open(f"{there}/file", "wb") as file:
                await file.write(b"as it was")
            async with sftp.open(f"{there}/file", "ab") as file:
                await file.write(b" and is")
            async with sftp.open(f"{there}/file", "r+b") as file:
                await file.write(b"AS")
            async with sftp.open(f"{there}/file", "rb") as file:
                self.assertEqual(b"AS it was and is", await file.read())
            await sftp.truncate(f"{there}/file", 5)
            self.assertEqual(5, await sftp.getsize(f"{there}/file"))

        self.run_with_sftp(work)



class AsyncsshOnDemo(Asyncssh, ServerCase):
    SHARED = "demo"


class AsyncsshOnSeaweedFs(Asyncssh, ServerCase):
    SHARED = "seaweedfs"


class AsyncsshOnSshd(Asyncssh, ServerCase):
    """Runs with `--sshd` only."""

    SHARED = "sshd"
