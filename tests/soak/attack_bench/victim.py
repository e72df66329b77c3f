"""The honest user bob, on a connection of his own, and how long his operations take."""

import asyncio
import statistics
import time

from rig import keys

from .floods import ENDS
from .servers import PASSWORD, VICTIM, VICTIM_ADDRESS
from .sftp import Sftp
from .ssh import Connection, load_key

DATA = bytes(range(256)) * 15_625
OPERATIONS = ("put", "get", "STAT", "login")
# An operation that takes longer counts as this long, and as failed.
LONGEST = 15.0
STATS_A_CYCLE = 3


class Times:
    """The durations of one kind of operation in one round, in seconds."""

    def __init__(self):
        self.all, self.failures = [], []

    async def measure(self, operation):
        began = time.monotonic()
        try:
            return await asyncio.wait_for(operation, LONGEST)
        except ENDS as error:
            self.failures.append(f"{type(error).__name__} {error}".strip()[:120])
            return None
        finally:
            self.all.append(time.monotonic() - began if not self.failures else LONGEST)

    def median(self):
        return statistics.median(self.all)

    def p95(self):
        return sorted(self.all)[min(len(self.all) - 1, int(len(self.all) * 0.95))]


async def log_in(port, with_password):
    connection = await Connection.open(port, VICTIM_ADDRESS)
    try:
        if with_password:
            await connection.log_in(VICTIM, password=PASSWORD)
        else:
            await connection.log_in(VICTIM, key=load_key(keys.key()))
        return await Sftp.start(connection)
    except BaseException:
        connection.close()
        raise


async def cycles(port, seconds, with_password):
    """Logs in, puts and gets 4 MB, and asks for the attributes, until the time is over. Returns the times by operation."""
    times = {name: Times() for name in OPERATIONS}
    until, is_first = time.monotonic() + seconds, True
    while is_first or time.monotonic() < until:
        is_first = False
        sftp = await times["login"].measure(log_in(port, with_password))
        if sftp is None:
            continue
        await times["put"].measure(sftp.put("/victim.bin", DATA))
        await times["get"].measure(whole(sftp))
        for _ in range(STATS_A_CYCLE):
            await times["STAT"].measure(sftp.stat("/victim.bin"))
        sftp.disconnect()
    return times


async def whole(sftp):
    if await sftp.get("/victim.bin", len(DATA)) != DATA:
        raise OSError("the file has other bytes")


def measure(port, seconds, with_password=False):
    return asyncio.run(cycles(port, seconds, with_password))


async def session(port):
    """Returns a session of bob's for rows of their own."""
    return await asyncio.wait_for(log_in(port, False), LONGEST)


async def start_of_upload(port, data):
    """Returns how long a login, and then the start and the whole of an upload take, in seconds."""
    sftp = await session(port)
    try:
        began, started = time.monotonic(), []
        await sftp.put("/victim.bin", data, lambda: started.append(time.monotonic() - began))
        return started[0], time.monotonic() - began
    finally:
        sftp.disconnect()
