"""Rows about bob's operations while alice or strangers flood the server: how long they take, and whether his renames of
directories succeed."""

import asyncio
import statistics
import time

from . import victim
from .attacker import Attack
from .floods import BIG_BYTES, BIG_FILE, DIRECTORY, ENDS, LISTED_NAMES, SMALL_BYTES, SMALL_FILE
from .objects import seed, zeros
from .servers import pair
from .sftp import MKDIR, NO_ATTRS
from .ssh import string
from .table import Result
from .victim import LONGEST, OPERATIONS, Times, session

FLOODED = (
    "STAT",
    "OPEN/CLOSE",
    "LIST",
    "SETSTAT",
    "unread READs",
    "key exchanges",
    "wrong passwords",
    "1,000 connections",
    "log lines",
)
RENAMED_BESIDE = ("STAT", "OPEN/CLOSE", "LIST", "SETSTAT", "renames")
ROUNDS, ROUND_SECONDS, RENAME_SECONDS = 5, 3.0, 8.0
# A flood that is in place needs this long to be a flood.
RISE = 1.0
MOST_AT_MEDIAN, MOST_AT_P95 = 2.0, 5.0
RENAME_PAUSE = 0.2


def prepare(storage):
    for name in ("first", "second"):
        objects = {f"{name}/acme{SMALL_FILE}": bytes(SMALL_BYTES)}
        for number in range(LISTED_NAMES):
            objects[f"{name}/acme{DIRECTORY}/file-{number}"] = b""
        seed(storage.attackers, objects)
        zeros(storage.attackers, f"{name}/acme{BIG_FILE}", BIG_BYTES)


def turns(number):
    """Returns the order of alone and attacked in a round. It changes, so that a machine that becomes busy hits both."""
    return (False, True) if number % 2 == 0 else (True, False)


def beside(storage, name, is_attacked, measure):
    """Measures on the first server of a new pair while the attack runs. Returns the figures, and the attack."""
    with pair(storage) as (first, second):
        # The first operations of a server are slower.
        victim.measure(first.port, 0)
        with Attack(name, first if is_attacked else second) as attack:
            attack.await_ready()
            time.sleep(RISE)
            return measure(first.port), attack


def measure(storage, name):
    """Returns a row for each operation. Each round has a new pair of servers: a flood's work outlives it."""
    prepare(storage)
    # A password is what its check costs; otherwise a key is what most clients have.
    with_password = name == "wrong passwords"
    rounds, attacks = {False: [], True: []}, {False: [], True: []}
    for number in range(ROUNDS):
        if any(times.failures for measured in rounds[True] for times in measured.values()):
            # The row has failed, and every further round may last as long as its operations may.
            break
        for is_attacked in turns(number):
            times, attack = beside(
                storage, name, is_attacked, lambda port: victim.measure(port, ROUND_SECONDS, with_password)
            )
            rounds[is_attacked].append(times)
            attacks[is_attacked].append(attack)
    weakest = min(attacks[False] + attacks[True], key=Attack.served)
    note = f"alone {attacks[False][-1].note()}; attacked {attacks[True][-1].note()}"
    if not weakest.served():
        note = weakest.note()
    return [judge(name, operation, rounds, weakest.served() > 0, note) for operation in OPERATIONS]


def figures(rounds, operation):
    """Returns the median of the rounds' medians, the 95th percentile of all, and the failures."""
    measured = [times[operation] for times in rounds if times[operation].all]
    if not measured:
        return None, None, ["it was never measured"]
    everything = sorted(duration for times in measured for duration in times.all)
    median = statistics.median(statistics.median(times.all) for times in measured)
    failures = [failure for times in measured for failure in times.failures]
    return median, everything[min(len(everything) - 1, int(len(everything) * 0.95))], failures


def describe(median, p95, failures):
    failed = f", {len(failures)} failed: {failures[0]}" if failures else ""
    return (f"{median * 1000:.1f} / {p95 * 1000:.1f} ms" if median else "") + failed


def judge(name, operation, rounds, did_run, note):
    alone, attacked = figures(rounds[False], operation), figures(rounds[True], operation)
    is_ok, ratios = False, ""
    if alone[0] and attacked[0]:
        at_median, at_p95 = attacked[0] / alone[0], attacked[1] / alone[1]
        is_ok = at_median <= MOST_AT_MEDIAN and at_p95 <= MOST_AT_P95
        ratios = f" = {at_median:.1f} / {at_p95:.1f} x"
    is_ok = is_ok and did_run and not alone[2] and not attacked[2]
    limit = f"{MOST_AT_MEDIAN:.0f} / {MOST_AT_P95:.0f} x"
    return Result(f"flood: {name}: {operation}", describe(*alone), describe(*attacked) + ratios, limit, is_ok, note)


async def rename_often(port):
    """Renames a directory of one file back and forth. Returns the times."""
    # S3 outlives the servers, and so do the directories of earlier rounds.
    times, name = Times(), f"/renamed-{time.monotonic_ns()}"
    here, there = f"{name}-a", f"{name}-b"
    sftp = await session(port)
    await sftp.request(MKDIR, string(here) + NO_ATTRS)
    await sftp.put(f"{here}/file", b"a small file")
    until = time.monotonic() + RENAME_SECONDS
    while time.monotonic() < until:
        failures = len(times.failures)
        await times.measure(sftp.rename(here, there))
        if len(times.failures) == failures:
            here, there = there, here
        await asyncio.sleep(RENAME_PAUSE)
    sftp.disconnect()
    return times


def renames(port):
    try:
        return asyncio.run(asyncio.wait_for(rename_often(port), 4 * LONGEST))
    except ENDS as error:
        times = Times()
        times.failures.append(f"{type(error).__name__} {error}".strip())
        return times


def measure_renames(storage, name):
    prepare(storage)
    columns = []
    for is_attacked in (False, True):
        times, attack = beside(storage, name, is_attacked, renames)
        median = f", median {statistics.median(times.all) * 1000:.0f} ms" if times.all else ""
        failed = f", {len(times.failures)} failed: {times.failures[0]}" if times.failures else ""
        columns.append(f"{len(times.all)} tried{median}{failed}")
    is_ok = bool(times.all) and not times.failures and attack.served() > 0
    return Result(f"renames: {name}", *columns, "all succeed", is_ok, attack.note())
