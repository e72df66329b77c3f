"""Floods of a tenant that is logged in: cheap requests, as fast as they are answered, from ten connections.

`served` counts answers. A session that the server ends begins again after a second.
"""

import asyncio
import collections
import contextlib
import itertools
import os

from .servers import ATTACKER
from .sftp import (
    CLOSE,
    FOR_READING,
    HANDLE,
    MKDIR,
    NAME,
    NO_ATTRS,
    OPEN,
    OPENDIR,
    READ,
    READDIR,
    SETSTAT,
    STAT,
    Refused,
    Sftp,
    open_body,
)
from .ssh import Closed, Connection, string, strings, u32, u64

CONNECTIONS, CHANNELS = 10, 2
# Objects that the bench puts into the attackers' bucket.
SMALL_FILE, BIG_FILE, DIRECTORY = "/small.bin", "/big.bin", "/listed"
SMALL_BYTES, BIG_BYTES, LISTED_NAMES = 256 << 10, 24 << 20, 200
TIMES = 8
ENDS = (OSError, Closed, Refused, TimeoutError)
# The first 50 connections of 1,000 log in side by side, then the next.
LOGINS_AT_ONCE, THOUSAND = 50, 1_000
# That many are in place soon enough, also on a slow machine.
CONNECTIONS_IN_PLACE = 300


async def repeat(target, once, number):
    """Runs `once` again whenever the server ended it."""
    while True:
        try:
            await once(target, number)
        except ENDS as error:
            target.refused(error)
            await asyncio.sleep(1)


async def many(target, once, count=CONNECTIONS):
    await asyncio.gather(*[repeat(target, once, number) for number in range(count)])


@contextlib.asynccontextmanager
async def connected(target, number):
    connection = await Connection.open(target.port, target.source(number))
    try:
        await connection.log_in(ATTACKER, target.key)
        target.count("connections")
        yield connection
    finally:
        connection.close()


async def answer_with(target, sftp, first, react):
    """Sends the `first` requests, and for each reply those that `react` returns, until the channel ends."""
    due, wake = collections.deque(first), asyncio.Event()

    def replied(kind, number, reply):
        target.count("served")
        target.ready.set()
        due.extend(react(kind, reply))
        wake.set()

    sftp.on_reply, sftp.on_end = replied, wake.set
    while sftp.channel.ended is None:
        requests = list(due)
        due.clear()
        await sftp.post(requests)
        target.count("sent", len(requests))
        if not due:
            wake.clear()
            await wake.wait()
    raise Closed(sftp.channel.ended)


def flood(outstanding, make, react=None):
    """Returns a flood of the requests that `make` returns for each number."""

    async def once(target, number):
        numbers = itertools.count(number * 1_000_000_000)

        def again(kind, reply):
            return react(kind, reply) or [make(next(numbers))] if react else [make(next(numbers))]

        async with connected(target, number) as connection:
            sessions = [await Sftp.start(connection) for _ in range(CHANNELS)]
            first = [[make(next(numbers)) for _ in range(outstanding)] for _ in sessions]
            await asyncio.gather(*[answer_with(target, *one, again) for one in zip(sessions, first)])

    async def run(target):
        await many(target, once)

    return run


def close_what_is_open(kind, reply):
    return [(CLOSE, string(strings(reply, 5, 1)[0]))] if kind == HANDLE else None


def setstat(number):
    return SETSTAT, string(SMALL_FILE) + u32(TIMES) + u32(number % 1_000_000_000) * 2


async def lists(target):
    """Opens, reads and closes a directory, again and again."""

    async def list_forever(sftp):
        while True:
            handle = string(strings(await sftp.request(OPENDIR, string(DIRECTORY)), 5, 1)[0])
            while (await sftp.request(READDIR, handle))[0] == NAME:
                target.count("served")
                target.ready.set()
            await sftp.request(CLOSE, handle)

    async def once(target, number):
        async with connected(target, number) as connection:
            sessions = [await Sftp.start(connection) for _ in range(CHANNELS)]
            await asyncio.gather(*[list_forever(sftp) for sftp in sessions for _ in range(20)])

    await many(target, once)


async def unread_reads(target):
    """Asks for the whole of large files and never reads it. After a second it begins again elsewhere."""

    async def ask(sftp):
        handles = [await sftp.open(BIG_FILE, FOR_READING) for _ in range(8)]
        target.count("served", len(handles))
        target.ready.set()
        for index in range(512):
            offset = index * 7_919 * 261_120 % (BIG_BYTES - 261_120)
            await sftp.post([(READ, string(handles[index % 8]) + u64(offset) + u32(261_120))])

    async def once(target, number):
        async with connected(target, number) as connection:
            sessions = [await Sftp.start(connection, 300_000, reads=False) for _ in range(CHANNELS)]
            await asyncio.gather(*map(ask, sessions))
            await asyncio.sleep(1)

    await many(target, once)


async def thousand_connections(target):
    """Logs in 1,000 times, from as many addresses, and stays. Those that are refused try again."""
    places = asyncio.Semaphore(LOGINS_AT_ONCE)

    async def once(target, number):
        async with places:
            connection = await Connection.open(target.port, target.source(number))
            try:
                await connection.log_in(ATTACKER, target.key)
            except BaseException:
                connection.close()
                raise
        target.count("connections")
        target.count("served")
        if target.counts["connections"] >= CONNECTIONS_IN_PLACE:
            target.ready.set()
        await connection.pump
        connection.close()
        raise Closed(connection.ended)

    await many(target, once, THOUSAND)


async def bad_paths(target):
    """Asks for names that no file can have, in sessions that end soon: each may be worth a line of the log."""

    async def once(target, number):
        async with connected(target, number) as connection:
            while True:
                sftp = await Sftp.start(connection)
                asked = [await sftp.ask(STAT, string(b"\n" * 250 + b"x" * 700)) for _ in range(100)]
                for reply in asked:
                    await reply
                    target.count("served")
                target.ready.set()
                sftp.channel.close()

    await many(target, once)


async def renames(target):
    """Renames directories of one file back and forth."""

    async def once(target, number):
        async with connected(target, number) as connection:
            sftp = await Sftp.start(connection)
            # S3 outlives the servers, and so do the directories of earlier rounds.
            name = f"/moved-{os.getpid()}-{number}"
            here, there = f"{name}-a", f"{name}-b"
            await sftp.request(MKDIR, string(here) + NO_ATTRS)
            while True:
                with contextlib.suppress(Refused):
                    await sftp.rename(here, there)
                here, there = there, here
                target.count("served")
                target.ready.set()

    await many(target, once)


FLOODS = {
    "STAT": flood(1_000, lambda number: (STAT, string(f"/missing-{number}"))),
    "OPEN/CLOSE": flood(100, lambda _: (OPEN, open_body(SMALL_FILE, FOR_READING)), close_what_is_open),
    "LIST": lists,
    "SETSTAT": flood(1_000, setstat),
    "unread READs": unread_reads,
    "1,000 connections": thousand_connections,
    "log lines": bad_paths,
    "renames": renames,
}
