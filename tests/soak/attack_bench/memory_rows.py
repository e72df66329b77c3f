"""Rows about memory: what ten hostile connections of one tenant can make the server hold."""

import asyncio
import time

from .attacker import READY_TIMEOUT, Attack
from .floods import BIG_BYTES, BIG_FILE, SMALL_BYTES, SMALL_FILE
from .hoards import HOARDS, LONG_DIRECTORY, LONG_NAMES, SLOW_FILE
from .objects import seed, zeros
from .servers import MemoryCgroup, one_server
from .strangers import STRANGERS
from .table import Result
from .victim import session

ABOVE_BUDGET_MIB, ABOVE_IDLE_MIB, MOST_PEAK_MIB = 128, 64, 1_024
CALM = 60.0
# Far above the limits, the server is stopped: the machine has other work.
TOO_MUCH_MIB = 1_500
SERVER, PREFIX = "memory", "memory/acme"
STRANGERS_FOR_MEMORY = ("key exchanges", "wrong passwords", "slow connections")
ATTACKS = {**HOARDS, **{name: STRANGERS[name] for name in STRANGERS_FOR_MEMORY}}


async def visit(port):
    """One honest session, so that idle means a server that has worked."""
    sftp = await session(port)
    await sftp.put("/visit.bin", bytes(100_000))
    await sftp.get("/visit.bin", 100_000)
    sftp.disconnect()


def prepare(storage, name):
    """Stores the files of the attack."""
    objects = {f"{PREFIX}{SMALL_FILE}": bytes(SMALL_BYTES)}
    for number in range(LONG_NAMES if name == "directories" else 0):
        objects[f"{PREFIX}{LONG_DIRECTORY}/{'n' * 200}{number:05}"] = b""
    seed(storage.attackers, objects)
    zeros(storage.attackers, f"{PREFIX}{BIG_FILE}", BIG_BYTES)
    storage.attackers.set_faults({"key": f"*{SLOW_FILE}*", "delay_ms": 600_000})


def watch(server, seconds, until=lambda: False):
    """Waits, but no longer than until the server's memory is far above all limits."""
    end = time.monotonic() + seconds
    while time.monotonic() < end and not until() and server.memory_mib() < TOO_MUCH_MIB:
        time.sleep(0.1)


def seconds_until_calm(server, idle):
    """Returns how long it takes until the memory is near idle again, and the memory then."""
    began = time.monotonic()
    while (now := server.memory_mib()) > idle + ABOVE_IDLE_MIB and time.monotonic() - began < CALM:
        time.sleep(0.2)
    return time.monotonic() - began, now


def measure(storage, name, hold):
    """Runs the attack on a server of its own, whose memory is limited too if that can be. Returns the row."""
    prepare(storage, name)
    cgroup = MemoryCgroup(MOST_PEAK_MIB << 20)
    try:
        with one_server(storage, SERVER, cgroup.path) as server:
            return judge(server, name, hold, cgroup.words)
    finally:
        cgroup.close()


def judge(server, name, hold, where):
    asyncio.run(visit(server.port))
    time.sleep(1)
    idle, budget = server.memory_mib(), server.budget_mib()
    most, most_calm = min(budget + ABOVE_BUDGET_MIB, MOST_PEAK_MIB), idle + ABOVE_IDLE_MIB
    words = f"{most:.0f} MiB, {most_calm:.0f} in {CALM:.0f} s"
    row = f"memory: {name}"
    server.process.forget_peak()
    attack = Attack(name, server)
    try:
        with attack:
            watch(server, READY_TIMEOUT, attack.is_ready)
            watch(server, hold)
        took, calm = seconds_until_calm(server, idle)
        peak = server.memory_mib("VmHWM")
    except (OSError, StopIteration):
        # A process that has ended has no figures any more.
        status = server.process.child.wait(10)
        return Result(row, f"{idle:.0f} MiB", f"server ended with {status}", words, False, f"{attack.note()}; {where}")
    is_ok = peak <= most and calm <= most_calm and attack.served() > 0
    found = f"{peak:.0f} MiB, {calm:.0f} after {took:.0f} s"
    return Result(row, f"{idle:.0f} MiB", found, words, is_ok, f"{attack.note()}; {where}")
