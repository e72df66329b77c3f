"""Strangers' passwords (issue 12.6): however many are tried from however many addresses, the server keeps at most 21
MiB for each concurrent check. A user with the right password can log in meanwhile.

Twenty addresses try random passwords: of existing and of unknown users, empty, overlong, and under impossible names.
Some clients disconnect before their answer. `WHARFINGER` names the binary, or else it is the debug build. The time is
WHARFINGER_SOAK_SECONDS (20), the seed WHARFINGER_SOAK_SEED.
"""

import asyncio
import os
import random
import sys
import time
from pathlib import Path

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "clients"))

import asyncssh  # noqa: E402
from rig.fake_aws import FakeAws  # noqa: E402
from rig.process import connections, until  # noqa: E402
from rig.servers import PASSWORDS, Serve  # noqa: E402

SECONDS = float(os.environ.get("WHARFINGER_SOAK_SECONDS", 20))
SEED = int(os.environ.get("WHARFINGER_SOAK_SEED", random.SystemRandom().randrange(1 << 32)))
ADDRESSES = 20
CLIENTS_PER_ADDRESS = 2
# The limit is `password_checks`, on half of the cores at most.
CHECKS = min(4, (len(os.sched_getaffinity(0)) + 1) // 2)
MIB_PER_CHECK = 21
NAMES = ["alice", "bob", "nobody", "no name", "x" * 2_000]
WRONG = ["wrong", "", "x" * 1_024, "x" * 1_025, "x" * 20_000]


class Guesser(asyncssh.SSHClient):
    """Tries this many wrong passwords, then disconnects."""

    def __init__(self, counts, chance, tries):
        self.counts, self.chance, self.left = counts, chance, tries

    def password_auth_requested(self):
        self.left -= 1
        if self.left < 0:
            return None
        self.counts["tried"] += 1
        return self.chance.choice(WRONG)


def connect(server, address, user, **options):
    return asyncssh.connect(
        server.host,
        server.port,
        local_addr=(address, 0),
        username=user,
        known_hosts=None,
        client_keys=None,
        config=None,
        agent_path=None,
        preferred_auth="password",
        login_timeout=60,
        **options,
    )


async def stranger(server, address, chance, end, counts, most_tries):
    while time.monotonic() < end:
        tries = chance.randint(0, most_tries)
        guess = connect(
            server, address, chance.choice(NAMES), client_factory=lambda: Guesser(counts, chance, tries)
        )
        try:
            # One in five disconnects before its answer.
            async with asyncio.timeout(chance.choice([0.3, 60, 60, 60, 60])):
                await guess
        except (OSError, asyncssh.Error, TimeoutError):
            counts["left"] += 1
        else:
            raise SystemExit(f"wrong-passwords: a stranger got in, seed {SEED}")


async def user(server, end, logins):
    """Logs in repeatedly, from its own address."""
    while time.monotonic() < end:
        began = time.monotonic()
        async with connect(server, "127.0.0.7", "bob", password=PASSWORDS["bob"]):
            logins.append(time.monotonic() - began)
        await asyncio.sleep(1)


async def watch(server, end, seen):
    while time.monotonic() < end:
        seen.append(server.process.memory_mib())
        await asyncio.sleep(0.2)


async def strangers(server, chance, seconds, counts, most_tries, *beside):
    end = time.monotonic() + seconds
    addresses = [f"127.0.2.{1 + index % ADDRESSES}" for index in range(ADDRESSES * CLIENTS_PER_ADDRESS)]
    await asyncio.gather(
        *(stranger(server, address, chance, end, counts, most_tries) for address in addresses),
        *(work(server, end, found) for work, found in beside),
    )


def settled(server):
    """Returns the memory that the server keeps after all clients are gone."""
    until(lambda: connections(server.port) == 0, "the end of all connections")
    time.sleep(3)
    return server.process.memory_mib()


def main():
    print(f"wrong-passwords: seed {SEED}", flush=True)
    chance, s3 = random.Random(SEED), FakeAws()
    server = Serve(s3.store())
    logins, memory, counts = [], [], {"tried": 0, "left": 0}
    # The cost of the connections must not count.
    asyncio.run(strangers(server, chance, 5, counts, 0, (watch, memory)))
    before = settled(server)
    memory.clear()
    asyncio.run(strangers(server, chance, SECONDS, counts, 5, (user, logins), (watch, memory)))
    grown, bound = settled(server) - before, MIB_PER_CHECK * CHECKS
    busy = server.process.log_text().count("too many password checks are waiting")
    print(
        f"wrong-passwords: {counts['tried']} passwords tried, {busy} refused as busy; {grown:.1f} MiB kept of "
        f"{bound} (at the peak {max(memory) - before:.1f}); {len(logins)} logins, the slowest in {max(logins):.1f} s"
    )
    server.close()
    s3.close()
    return 0 if grown <= bound and logins else 1


if __name__ == "__main__":
    sys.exit(main())
