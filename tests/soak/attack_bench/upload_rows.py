"""Rows about uploads: bob's start while alice holds all memory, or while her bucket answers nothing; and 160 small files
that one session opens before it closes the first."""

import asyncio

from .attacker import Attack
from .servers import pair
from .sftp import CLOSE, FOR_WRITING, OPEN, STATUS, WRITE, expect, handle_of, open_body
from .ssh import string, u64
from .table import Result
from .victim import ENDS, LONGEST, VICTIM, session, start_of_upload

ROUNDS, START_LIMIT = 5, 2.0
UPLOADED = bytes(1 << 20)
PARALLEL_FILES = 160
DEAD = {"delay_ms": 600_000}


async def starts(port):
    """Returns how long five uploads took to start, in seconds, the longest last; and the first failure."""
    found = []
    for _ in range(ROUNDS):
        try:
            found.append(await asyncio.wait_for(start_of_upload(port, UPLOADED), 2 * LONGEST))
        except ENDS as error:
            return found, f"{type(error).__name__} {error}".strip()
    return found, None


def describe(found, failure):
    times = [f"{start:.2f}" for start, _ in found]
    return " ".join([f"start {' '.join(times)} s," if times else "", failure or "all stored"]).strip()


def measure_start(storage, name):
    faults = [DEAD] if "dead bucket" in name else []
    with pair(storage) as (first, second):
        columns = []
        for server in (second, first):
            storage.attackers.set_faults(*faults)
            with Attack(name, server) as attack:
                attack.await_ready()
                found, failure = asyncio.run(starts(first.port))
            storage.attackers.heal()
            columns.append(describe(found, failure))
            if not attack.served():
                break
    is_ok = attack.served() > 0 and failure is None and max(start for start, _ in found) <= START_LIMIT
    alone, attacked = [*columns, "not measured"][:2]
    return Result(f"upload: {name}", alone, attacked, f"{START_LIMIT:.0f} s", is_ok, attack.note())


async def open_many(port):
    """Opens all files, then writes and closes each. Returns the number that ended well."""
    sftp = await session(port)
    paths = [f"/parallel-{number}" for number in range(PARALLEL_FILES)]
    asked = [await sftp.ask(OPEN, open_body(path, FOR_WRITING)) for path in paths]
    handles = [string(handle_of(await reply)) for reply in asked]
    for kind, rest in ((WRITE, u64(0) + string(b"a small file")), (CLOSE, b"")):
        for reply in [await sftp.ask(kind, handle + rest) for handle in handles]:
            expect(await reply, STATUS)
    for path in paths:
        if await sftp.get(path, 12) != b"a small file":
            raise OSError(f"{path} has other bytes")
    sftp.disconnect()
    return len(handles)


def measure_many_opens(storage):
    row, limit = f"{PARALLEL_FILES} OPENs before the first CLOSE", "all stored"
    with pair(storage) as (first, _):
        try:
            number = asyncio.run(asyncio.wait_for(open_many(first.port), 4 * LONGEST))
        except ENDS as error:
            return Result(row, "", f"{type(error).__name__} {error}", limit, False)
    return Result(row, "", f"{number} stored", limit, True, f"one session of {VICTIM}")
