"""The row about honest tenants: 40 of them have the same load, and one has ten times as much.

*Alone* the surplus of the busy one goes to the second server, *attacked* it goes to the first too. The figures are of
the other 39.
"""

import asyncio
import itertools
import statistics
import time

from rig import keys

from .attacker import Attack
from .flood_rows import turns
from .floods import repeat
from .servers import HONEST_TENANTS, honest_user, pair
from .sftp import Sftp
from .ssh import load_key
from .table import Result
from .victim import Times

BUSY, TIMES_AS_BUSY = "a busy tenant", 10
# The pace of one session, and its work: a put, a get and a STAT.
PERIOD, DATA = 2.0, bytes(100_000)
ROUNDS, ROUND_SECONDS = 5, 6.0
OPERATIONS = ("put", "get", "STAT")
MOST = 1.3


async def connect(port, number, key):
    return await Sftp.connect(port, f"127.14.0.{number + 1}", honest_user(number), key)


def work(sftp, name):
    yield "put", sftp.put(name, DATA)
    yield "get", sftp.get(name, len(DATA))
    yield "STAT", sftp.stat(name)


async def busy_tenant(target):
    """The first tenant's surplus: nine more sessions at the same pace."""

    async def once(target, number):
        sftp = await connect(target.port, 0, target.key)
        target.count("connections")
        try:
            while True:
                began = time.monotonic()
                for _, operation in work(sftp, f"/busy-{number}"):
                    await operation
                    target.count("served")
                if target.counts["served"] >= 3 * TIMES_AS_BUSY:
                    target.ready.set()
                await asyncio.sleep(max(0.0, began + PERIOD - time.monotonic()))
        finally:
            sftp.disconnect()

    await asyncio.gather(*[repeat(target, once, number) for number in range(TIMES_AS_BUSY - 1)])


async def honest(sftp, number, until, times):
    """One tenant's session. The tenants begin one after the other in each period."""
    await asyncio.sleep(PERIOD * number / HONEST_TENANTS)
    while time.monotonic() < until:
        began = time.monotonic()
        for name, operation in work(sftp, "/honest"):
            await times[name].measure(operation)
        await asyncio.sleep(max(0.0, began + PERIOD - time.monotonic()))


async def one_round(port):
    """Returns the times of all tenants but the busy one."""
    key = load_key(keys.key())
    sessions = [await connect(port, number, key) for number in range(HONEST_TENANTS)]
    times, busy = ({name: Times() for name in OPERATIONS} for _ in range(2))
    until = time.monotonic() + ROUND_SECONDS
    all_times = itertools.chain([busy], itertools.repeat(times))
    await asyncio.gather(*[honest(*one, until, found) for one, found in zip(zip(sessions, range(HONEST_TENANTS)), all_times)])
    for sftp in sessions:
        sftp.disconnect()
    return times


def measure(storage):
    medians, failures, notes = {False: [], True: []}, [], []
    with pair(storage) as (first, second):
        asyncio.run(one_round(first.port))
        for number in range(ROUNDS):
            for is_attacked in turns(number):
                with Attack(BUSY, first if is_attacked else second) as attack:
                    attack.await_ready()
                    times = asyncio.run(one_round(first.port))
                medians[is_attacked].append({name: statistics.median(times[name].all) for name in OPERATIONS})
                failures += [failure for name in OPERATIONS for failure in times[name].failures]
                notes.append((attack.served(), attack.note()))
    return [judge(name, medians, failures, min(notes)) for name in OPERATIONS]


def judge(name, medians, failures, weakest):
    alone, attacked = (statistics.median(found[name] for found in medians[is_attacked]) for is_attacked in (False, True))
    served, note = weakest
    is_ok = attacked <= MOST * alone and not failures and served > 0
    found = f"{attacked * 1000:.1f} ms = {attacked / alone:.2f} x" + (f", {failures[0]}" if failures else "")
    return Result(f"40 honest tenants: {name}", f"{alone * 1000:.1f} ms", found, f"{MOST} x", is_ok, note)
