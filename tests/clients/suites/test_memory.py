"""Memory stays bounded, whatever a client asks for, and one greedy client holds up no other.

The bound is the growth of the debug build's resident set over that of the idle server, across all tests of a class. It
is `max_buffer_bytes`, plus `UNCOUNTED_MIB` for memory that isn't counted there: buffers of twenty connections' SSH and
HTTP, and the allocator's reserve after a peak (about 70 MiB were measured). Each test asks for 500 MiB to 10 GiB.
"""

import asyncio
import os
import threading
from concurrent.futures import ThreadPoolExecutor

import asyncssh
import paramiko

from rig import frames, keys, paramiko_client
from rig.case import ServerCase
from rig.fake_aws import FakeAws, Zeros
from rig.files import KIB, LEAST_PART, MIB, content, make, sha256_of
from rig.frames import Frames, number
from rig.process import connections, until
from rig.servers import Serve

GIB = 1 << 30
UNCOUNTED_MIB = 128
# Limit on the memory kept at the end. 64 MiB are idle buffers for the next upload.
KEPT_MIB = 130
TIMEOUT = 600.0


class Memory(ServerCase):
    SHARED = None
    budget_mib = 64

    @classmethod
    def start(cls):
        cls.s3 = FakeAws()
        cls.addClassCleanup(cls.s3.close)
        server = Serve(cls.s3.store(), settings=f'max_buffer_bytes = "{cls.budget_mib}MiB"\nupload_wait = "5m"')
        # The cost of the first connection must not count.
        with paramiko_client.connect(server) as transport:
            paramiko_client.sftp(transport).listdir()
        cls.idle_mib = server.process.memory_mib()
        return server

    def setUp(self):
        super().setUp()
        self.s3.objects["tenants/acme/huge"] = Zeros(10 * GIB)
        self.s3.objects["tenants/acme/large"] = Zeros(64 * MIB)
        self.server.process.forget_peak()

    def tearDown(self):
        grown = self.server.process.memory_mib("VmHWM") - self.idle_mib
        self.assertLess(grown, self.budget_mib + UNCOUNTED_MIB, "the server's growth in MiB")
        super().tearDown()

    def read_large(self, sftp):
        """Reads 64 MiB at full pace. This shows that other clients are served, and gives the greedy client's requests
        time."""
        with sftp.open("large", "rb") as file:
            file.prefetch(64 * MIB)
            read = 0
            while data := file.read(256 * KIB):
                self.assertFalse(data.strip(b"\0"))
                read += len(data)
        self.assertEqual(64 * MIB, read)

    def test_prefetch_of_10_gib_that_is_left(self):
        transport = self.connect()
        file = paramiko_client.sftp(transport).open("huge", "rb")
        others = set(threading.enumerate())
        # 327,680 READs of 32 KiB. A thread of paramiko sends them while the test reads the first ones.
        file.prefetch(10 * GIB)
        (sender,) = set(threading.enumerate()) - others
        for _ in range(16):
            self.assertEqual(bytes(MIB), file.read(MIB))
        self.read_large(self.sftp())
        sender.join(TIMEOUT)
        self.assertFalse(sender.is_alive(), "the server took in the READs")
        self.assertEqual(bytes(MIB), file.read(MIB))
        self.read_large(self.sftp())
        transport.close()
        self.read_large(self.sftp())

    def test_4000_reads_and_no_ear(self):
        greedy = Frames(self.connect())
        greedy.start()
        handle = greedy.open("huge", frames.READ_FLAG)
        for index in range(4000):
            greedy.send(frames.READ, handle, number(index * 255 * KIB, 8), number(255 * KIB))
        self.read_large(self.sftp())
        self.read_large(self.sftp())

    def test_4000_reads_without_an_order_and_no_ear(self):
        greedy = Frames(self.connect())
        greedy.start()
        handle = greedy.open("huge", frames.READ_FLAG)
        for index in range(4000):
            # No two READs are neighbours in their ids or their offsets.
            greedy.last_id += 1
            offset = index * 7919 % 4000 * 2 * MIB
            greedy.send(frames.READ, handle, number(offset, 8), number(255 * KIB))
        self.read_large(self.sftp())
        self.read_large(self.sftp())

    def test_small_requests_without_end_and_no_ear(self):
        greedy = Frames(self.connect())
        greedy.start()
        try:
            for _ in range(200_000):
                greedy.send(frames.REALPATH, frames.text("x" * 200))
        except (OSError, EOFError, paramiko.SSHException):
            pass  # Closed, or held up until it listens: both bound it.
        self.read_large(self.sftp())

    def test_a_stalled_channel_leaves_its_sibling_at_full_pace(self):
        transport = self.connect()
        stalled = Frames(transport)
        stalled.start()
        handle = stalled.open("huge", frames.READ_FLAG)
        for index in range(1000):
            stalled.send(frames.READ, handle, number(index * 255 * KIB, 8), number(255 * KIB))
        self.read_large(paramiko_client.sftp(transport))
        # A client that reads again gets the replies to all its requests.
        for _ in range(1000):
            reply = stalled.receive()
            self.assertEqual((frames.DATA, 4 + 255 * KIB), (reply.kind, len(reply.body)))

    def test_many_downloads_at_once(self):
        clients = [Frames(self.connect()) for _ in range(20)]
        for client in clients:
            client.start()
            handle = client.open("huge", frames.READ_FLAG)
            for index in range(100):
                client.send(frames.READ, handle, number(index * 255 * KIB, 8), number(255 * KIB))
        for client in clients:
            for _ in range(100):
                self.assertEqual(4 + 255 * KIB, len(client.receive().body))


class LittleUploadMemory(Memory):
    """Memory for four parts, and more concurrent uploads than that."""

    budget_mib = 20

    def test_64_interleaved_uploads_on_one_channel(self):
        files = [content(LEAST_PART + MIB if index % 4 == 0 else 300 * KIB, seed=index) for index in range(64)]

        async def upload(sftp, index):
            async with sftp.open(f"upload-{index}", "wb") as file:
                # In pieces, so that the admitted uploads take turns.
                for at in range(0, len(files[index]), 100 * KIB):
                    await file.write(files[index][at : at + 100 * KIB])

        async def work():
            async with asyncio.timeout(TIMEOUT):
                async with asyncssh.connect(
                    self.server.host, self.server.port, username="alice", client_keys=[str(keys.key())],
                    known_hosts=None, config=None, agent_path=None,
                ) as connection, connection.start_sftp_client() as sftp:
                    await asyncio.gather(*(upload(sftp, index) for index in range(64)))

        asyncio.run(work())
        for index, sent in enumerate(files):
            self.assertEqual(sha256_of(sent), sha256_of(self.s3.objects[f"tenants/acme/upload-{index}"]))
        self.assertFalse(self.s3.uploads())


class WrongPasswords(ServerCase):
    """Issue 12.6: however many passwords are tried, they take only the memory of the concurrent checks."""

    SHARED = None

    @classmethod
    def start(cls):
        s3 = FakeAws()
        cls.addClassCleanup(s3.close)
        return Serve(s3.store())

    def guess(self, passwords):
        """Runs 100 clients from 20 addresses, 40 at a time, which try `passwords` passwords each. Returns the
        refusals."""
        refused = []
        places = asyncio.Semaphore(40)

        class Guesser(asyncssh.SSHClient):
            def __init__(self):
                self.asked = 0

            def password_auth_requested(self):
                self.asked += 1
                refused.append(self.asked > 1)
                return "wrong" if self.asked <= passwords else None

        async def client(index):
            async with places:
                with self.assertRaises(asyncssh.PermissionDenied):
                    await asyncssh.connect(
                        self.server.host, self.server.port, local_addr=(f"127.0.2.{1 + index % 20}", 0),
                        username="alice" if index % 5 == 0 else f"nobody-{index}", client_factory=Guesser,
                        known_hosts=None, config=None, agent_path=None, client_keys=None,
                        preferred_auth="password", login_timeout=TIMEOUT,
                    )

        async def work():
            async with asyncio.timeout(TIMEOUT):
                await asyncio.gather(*(client(index) for index in range(100)))

        asyncio.run(work())
        until(lambda: connections(self.server.port) == 0, "the end of all connections")
        return sum(refused)

    def test_500_wrong_passwords_from_20_addresses(self):
        # The cost of 100 connections must not count.
        self.assertEqual(0, self.guess(passwords=0))
        before = self.server.process.memory_mib()
        self.assertEqual(500, self.guess(passwords=5))
        log = self.server.process.log_text()
        self.assertEqual(500, log.count("unknown user") + log.count("wrong password"))
        # The limit is `password_checks`, on half of the cores at most.
        checks = min(4, (len(os.sched_getaffinity(0)) + 1) // 2)
        self.assertLessEqual(self.server.process.memory_mib() - before, 21 * checks, "the server's growth in MiB")


class AfterTransfers(ServerCase):
    """Issue 12.6: memory returns to the system after transfers. glibc's allocator kept 334 MiB after these."""

    SHARED = None

    @classmethod
    def start(cls):
        cls.s3 = FakeAws()
        cls.addClassCleanup(cls.s3.close)
        return Serve(cls.s3.store())

    def test_12_clients_that_put_and_get(self):
        make(self.local / "file", 64 * MIB)
        self.s3.objects["tenants/acme/large"] = Zeros(64 * MIB)
        self.openssh.sftp("pwd")
        idle = self.server.process.memory_mib()

        def transfer(index):
            self.openssh.sftp(f"put {self.local}/file file-{index}", "get large /dev/null")

        with ThreadPoolExecutor(12) as clients:
            list(clients.map(transfer, range(12)))
        self.server.process.until(
            lambda: self.server.process.memory_mib() - idle < KEPT_MIB, f"memory of {idle:.0f} + {KEPT_MIB} MiB"
        )


class UploadsThatWait(ServerCase):
    """If there is no memory for another upload, its WRITE gets a sentence in time."""

    SHARED = None

    @classmethod
    def start(cls):
        cls.s3 = FakeAws()
        cls.addClassCleanup(cls.s3.close)
        return Serve(cls.s3.store(), settings='max_buffer_bytes = "20MiB"\nupload_wait = "1s"')

    def test_the_third_large_upload_is_told_that_the_server_is_busy(self):
        client = Frames(self.connect())
        client.start()
        large = [client.create(f"upload-{index}") for index in range(3)]
        piece = bytes(200_000)
        for handle in large:
            self.assertEqual(frames.OK, client.write(handle, 0, piece)[0])
        for handle in large[:2]:
            self.assertEqual(frames.OK, client.write(handle, len(piece), piece)[0])
        code, sentence = client.write(large[2], len(piece), piece)
        self.assertEqual(frames.FAILURE, code)
        self.assertIn("busy", sentence)
        self.assertEqual([frames.OK, frames.OK, frames.FAILURE], [client.close_handle(handle)[0] for handle in large])
        self.assertEqual(frames.OK, client.close_handle(client.create("later"))[0])
        names = ["later", "upload-0", "upload-1"]
        self.assertEqual([f"tenants/acme/{name}" for name in names], sorted(self.s3.objects))
