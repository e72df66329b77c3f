"""The honest user bob, on a connection of his own, and how long his operations take."""

import asyncio
import time

from rig import keys

from .floods import ENDS
from .servers import PASSWORD, VICTIM, VICTIM_ADDRESS
from .sftp import Sftp
from .ssh import load_key

DATA = bytes(range(256)) * 15_625
OPERATIONS = ("put", "get", "STAT", "login")
# An operation that takes longer counts as this long, and as failed.
LONGEST = 15.0
STATS_A_CYCLE = 3
# After a login that failed.
PAUSE = 0.2


class Times:
    """The durations of one kind of operation in one round, in seconds."""

    def __init__(self):
        self.all, self.failures = [], []

    async def measure(self, operation):
        began = time.monotonic()
        try:
            found = await asyncio.wait_for(operation, LONGEST)
        except ENDS as error:
            self.failures.append(f"{type(error).__name__} {error}".strip()[:120])
            self.all.append(LONGEST)
            return None
        self.all.append(time.monotonic() - began)
        return found


async def log_in(port, with_password):
    key, password = (None, PASSWORD) if with_password else (load_key(keys.key()), None)
    return await Sftp.connect(port, VICTIM_ADDRESS, VICTIM, key, password)


async def cycles(port, seconds, with_password):
    """Logs in, puts and gets 4 MB, and asks for the attributes, until the time is over. Returns the times by operation."""
    times = {name: Times() for name in OPERATIONS}
    until, is_first = time.monotonic() + seconds, True
    while is_first or time.monotonic() < until:
        is_first = False
        sftp = await times["login"].measure(log_in(port, with_password))
        if sftp is None:
            await asyncio.sleep(PAUSE)
            continue
        await times["put"].measure(sftp.put("/victim.bin", DATA))
        await times["get"].measure(get_whole(sftp))
        for _ in range(STATS_A_CYCLE):
            await times["STAT"].measure(sftp.stat("/victim.bin"))
        sftp.disconnect()
    return times


async def get_whole(sftp):
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
