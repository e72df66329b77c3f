"""Attacks on memory: ten connections of one tenant, ten channels each, hold what a client can make grow. So do a hundred.

An attack is in place once every channel has sent everything, or after PLACING seconds. It then stays. `served` counts
requests that were sent, and channels that they are on count as connections.
"""

import asyncio
import itertools

from .floods import BIG_BYTES, BIG_FILE, ENDS, SMALL_FILE
from .servers import ATTACKER
from .sftp import (
    CHUNK,
    FOR_READING,
    FOR_WRITING,
    FSTAT,
    HANDLE,
    OPEN,
    OPENDIR,
    READ,
    READDIR,
    STAT,
    WRITE,
    Sftp,
    open_body,
)
from .ssh import WIDE_WINDOW, Connection, string, strings, u32, u64

CONNECTIONS, CHANNELS, HANDLES = 10, 10, 256
MANY_CONNECTIONS = 100
PLACING = 20.0
LONG_DIRECTORY, LONG_NAMES = "/long", 2_000
# S3 never answers for this name, where the bench says so.
SLOW_FILE = "/never-answered"
SMALL_WINDOW = 4_000
KEEP_ALIVE, HOLDING = 5.0, 8.0


async def hoard(
    target, fill, window=WIDE_WINDOW, reads=True, connections=CONNECTIONS, channels=CHANNELS, placing=PLACING
):
    """Opens all channels, and runs `fill` on each. The attack is in place after `placing` seconds at the latest."""

    async def channel(connection, number):
        try:
            sftp = await Sftp.start(connection, window, reads)
            await fill(target, sftp, number)
        except ENDS as error:
            target.refused(error)

    async def connect(number):
        try:
            connection = await Connection.open(target.port, target.source(number))
            await connection.log_in(ATTACKER, target.key)
        except ENDS as error:
            target.refused(error)
            return
        target.count("connections")
        await asyncio.gather(*[channel(connection, number * channels + index) for index in range(channels)])

    work = asyncio.gather(*[connect(number) for number in range(connections)])
    await asyncio.wait([work], timeout=placing)
    target.ready.set()
    await asyncio.Event().wait()


async def post(target, sftp, requests, at_once=64):
    """Sends requests in pieces of this many."""
    requests = iter(requests)
    while piece := list(itertools.islice(requests, at_once)):
        await sftp.post(piece)
        target.count("served", len(piece))


async def opened(target, sftp, kind, bodies):
    """Sends requests that open something. Returns the handles that the server gave."""
    asked = [await sftp.ask(kind, body) for body in bodies]
    handles = []
    for reply in asked:
        if (answer := await reply)[0] == HANDLE:
            handles.append(strings(answer, 5, 1)[0])
            target.count("served")
    return handles


async def opens(target, sftp, number):
    await opened(target, sftp, OPEN, [open_body(SMALL_FILE, FOR_READING)] * HANDLES)


async def reads(target, sftp, number):
    handles = await opened(target, sftp, OPEN, [open_body(BIG_FILE, FOR_READING)] * 16)
    places = ((handle, index) for index in range(4_096 // 16) for handle in handles)
    await post(
        target,
        sftp,
        (
            (READ, string(handle) + u64(index * 7_919 * 261_120 % (BIG_BYTES - 261_120)) + u32(261_120))
            for handle, index in places
        ),
    )


async def directories(target, sftp, number):
    handles = await opened(target, sftp, OPENDIR, [string(LONG_DIRECTORY)] * HANDLES)
    await post(target, sftp, [(READDIR, string(handle)) for handle in handles])


async def replies(target, sftp, number, count=90_000):
    await post(target, sftp, [(WRITE, string(u32(7)) + u64(0) + string(""))] * count)


async def fewer_replies(target, sftp, number):
    await replies(target, sftp, number, 20_000)


async def half_frames(target, sftp, number):
    await sftp.channel.send(u32(262_000) + bytes([WRITE]) + u32(1) + bytes(261_000))
    target.count("served")


async def outstanding(target, sftp, number):
    """Lets requests wait, with long paths, behind one that S3 doesn't answer."""
    path = "/" + "/".join(["d" * 240] * 3)
    await post(target, sftp, [(STAT, string(SLOW_FILE))])
    await post(target, sftp, ((STAT, string(f"{path}/{index}")) for index in range(4_096)))


async def uploads(target, sftp, number):
    """Leaves each upload just short of a part."""
    paths = (f"/hoard-{number}-{index}" for index in range(25))
    handles = await opened(target, sftp, OPEN, [open_body(path, FOR_WRITING) for path in paths])
    for index in range(20):
        body = u64(index * 255_000) + string(bytes(255_000))
        await post(target, sftp, ((WRITE, string(handle) + body) for handle in handles), 1)


async def hold_uploads(target):
    """Holds upload memory for as long as the server lets it: a byte first, then all but a part, and FSTATs as signs of
    life."""

    async def fill(target, sftp, number, handles):
        for index in range(12):
            handles.append(string(await sftp.open(f"/held-{number}-{index}", FOR_WRITING)))
            await post(target, sftp, [(WRITE, handles[-1] + u64(0) + string(b"x"))])
        for handle in list(handles):
            await post(target, sftp, ((WRITE, handle + u64(1 + n * CHUNK) + string(bytes(CHUNK))) for n in range(150)))

    async def keep(target, sftp, number):
        handles = []
        filling = asyncio.create_task(fill(target, sftp, number, handles))
        while sftp.channel.ended is None:
            await asyncio.sleep(KEEP_ALIVE)
            await sftp.post([(FSTAT, handle) for handle in handles])
        await filling

    await hoard(target, keep, channels=1, placing=HOLDING)


async def stuck_uploads(target, sftp, number):
    """An upload of 15 MB to a bucket that answers nothing, as far as the server lets it."""
    handle = string(await sftp.open(f"/stuck-{number}", FOR_WRITING))
    writes = ((WRITE, handle + u64(index * 250_000) + string(bytes(250_000))) for index in range(60))
    await post(target, sftp, writes, 1)


async def stuck_stats(target, sftp, number):
    """STATs in a bucket that answers nothing."""
    await post(target, sftp, ((STAT, string(f"/stuck-{number}-{index}")) for index in range(1_000)))


def of(fill, **options):
    async def run(target):
        await hoard(target, fill, **options)

    return run


HOARDS = {
    "mass OPENs": of(opens),
    "unread ranges": of(reads, window=300_000, reads=False),
    "directories": of(directories, window=16_000, reads=False),
    "unread replies": of(replies, window=SMALL_WINDOW, reads=False),
    "half-sent frames": of(half_frames),
    "uploads": of(uploads),
    "outstanding requests": of(outstanding),
    "half-sent frames of 100 connections": of(half_frames, connections=MANY_CONNECTIONS),
    "unread replies of 100 connections": of(
        fewer_replies, window=SMALL_WINDOW, reads=False, connections=MANY_CONNECTIONS, channels=1
    ),
    "outstanding requests of 100 connections": of(outstanding, connections=MANY_CONNECTIONS, channels=1),
}
OTHERS = {
    "held uploads": hold_uploads,
    "uploads to a dead bucket": of(stuck_uploads, placing=HOLDING),
    "STATs to a dead bucket": of(stuck_stats, placing=HOLDING),
}
