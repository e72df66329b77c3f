"""Strangers' key exchanges (issue 12.7): a flood of unfinished key exchanges may at most double the time in which a
logged-in user puts 4 MB. The comparison is the same flood on another, idle server.

The stranger sends a KEXINIT and a public key in about 900 bytes, gets the server's signature, and starts again. It does
no arithmetic. `WHARFINGER` names the binary, or else it is the debug build. WHARFINGER_SOAK_SECONDS (20) is the time of
all floods together. WHARFINGER_SOAK_SOURCES is the number of addresses of the flood: 1, and in 40 s or more also 40,
each for half of the time. The promise holds for one address. For more, the script only prints the ratio.
"""

import asyncio
import itertools
import multiprocessing
import os
import re
import statistics
import struct
import sys
import time
from pathlib import Path

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "clients"))

import asyncssh  # noqa: E402
from rig.servers import PASSWORDS, Demo, Serve, Store  # noqa: E402

SECONDS = float(os.environ.get("WHARFINGER_SOAK_SECONDS", 20))
ROUND_SECONDS = 5.0
# A flood from many addresses also runs if there is time for two rounds of each.
BOTH_SECONDS = 40.0
CONNECTIONS = 64
MANY_SOURCES = 40
VICTIM = "127.0.0.7"
DATA = bytes(4_000_000)
MOST = 2.0


def stranger_address(source):
    return f"127.10.{source // 250}.{source % 250 + 1}"


def string(data):
    return struct.pack(">I", len(data)) + data


def packet(payload):
    padding = 8 - (5 + len(payload)) % 8
    padding += 8 if padding < 4 else 0
    return struct.pack(">IB", 1 + len(payload) + padding, padding) + payload + bytes(padding)


def greeting(host_key):
    """Returns all bytes that the stranger sends: its identification, its KEXINIT, and a point of the curve."""
    gcm, mac = b"aes128-gcm@openssh.com", b"hmac-sha2-256-etm@openssh.com"
    lists = [b"curve25519-sha256", host_key, gcm, gcm, mac, mac, b"none", b"none", b"", b""]
    kexinit = b"\x14" + bytes(16) + b"".join(map(string, lists)) + bytes(5)
    return b"SSH-2.0-x\r\n" + packet(kexinit) + packet(b"\x1e" + string(b"\x09" + bytes(30) + b"\x01"))


async def exchange(port, sent, address):
    """Performs one key exchange, up to the server's signature."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, local_addr=(address, 0))
    try:
        writer.write(sent)
        await asyncio.wait_for(reader.readline(), 10)
        while True:
            length = int.from_bytes(await asyncio.wait_for(reader.readexactly(4), 10), "big")
            if (await asyncio.wait_for(reader.readexactly(length), 10))[1] == 31:
                return
    finally:
        writer.transport.abort()


async def flood(port, sources, seconds, counts):
    end, sent = time.monotonic() + seconds, greeting(b"rsa-sha2-512")

    addresses = itertools.cycle(map(stranger_address, range(sources)))

    async def stranger():
        while time.monotonic() < end:
            try:
                await exchange(port, sent, next(addresses))
                counts[0] += 1
            except (OSError, EOFError, TimeoutError):
                counts[1] += 1

    await asyncio.gather(*[stranger() for _ in range(CONNECTIONS)])


def run_flood(port, sources, seconds, counts):
    asyncio.run(flood(port, sources, seconds, counts))


async def puts(port, until):
    """Returns the time of the login, and of each put after it."""
    began = time.monotonic()
    connection = await asyncssh.connect(
        "127.0.0.1",
        port,
        local_addr=(VICTIM, 0),
        username="alice",
        password=PASSWORDS["alice"],
        known_hosts=None,
        client_keys=None,
        config=None,
        encryption_algs=["aes128-gcm@openssh.com"],
    )
    login, times = time.monotonic() - began, []
    async with connection, connection.start_sftp_client() as sftp:
        while not times or time.monotonic() < until:
            began = time.monotonic()
            async with sftp.open("/victim.bin", "wb", block_size=250_000) as file:
                await file.write(DATA)
            times.append(time.monotonic() - began)
    return login, times


def measure(server, flooded, sources):
    """Measures puts on `server` while this many addresses flood `flooded`."""
    counts = multiprocessing.Array("q", 2)
    stranger = multiprocessing.Process(target=run_flood, args=(flooded.port, sources, ROUND_SECONDS, counts))
    stranger.start()
    time.sleep(0.5)
    login, times = asyncio.run(puts(server.port, time.monotonic() + ROUND_SECONDS - 1))
    stranger.join()
    return login, times, list(counts)


def compare(server, idle, sources, seconds):
    """Returns the factor by which a flood from this many addresses slows puts down."""
    found = {"alone": [], "flooded": []}
    for _ in range(max(1, round(seconds / ROUND_SECONDS / 2))):
        for name, target in (("alone", idle), ("flooded", server)):
            login, times, (exchanges, refused) = measure(server, target, sources)
            found[name] += times
            print(
                f"key-exchanges: {sources} addresses, {name}: login {login * 1000:.0f} ms, {len(times)} puts, median "
                f"{statistics.median(times) * 1000:.0f} ms, max {max(times) * 1000:.0f} ms; "
                f"{exchanges / ROUND_SECONDS:.0f} key exchanges/s, {refused / ROUND_SECONDS:.0f} refused/s",
                flush=True,
            )
    alone, flooded = (statistics.median(found[name]) for name in ("alone", "flooded"))
    ratio = flooded / alone
    print(
        f"key-exchanges: {sources} addresses: put of 4 MB {alone * 1000:.0f} -> {flooded * 1000:.0f} ms: "
        f"{ratio:.2f} x alone"
    )
    return ratio


def numbers_of_sources():
    if named := os.environ.get("WHARFINGER_SOAK_SOURCES"):
        return [int(named)]
    return [1, MANY_SOURCES] if SECONDS >= BOTH_SECONDS else [1]


def main():
    demo = Demo()
    endpoint = re.search(r"endpoint (http://[\d.:]+)", demo.process.log_text())[1]
    store = Store(endpoint, "wharfinger-demo", "demo", "demo-secret")
    server, idle = (Serve(store, prefix=prefix) for prefix in ("victim", "idle"))
    sources = numbers_of_sources()
    ratios = {number: compare(server, idle, number, SECONDS / len(sources)) for number in sources}
    for process in (server, idle, demo):
        process.close()
    return 0 if ratios.get(1, 0) <= MOST else 1


if __name__ == "__main__":
    sys.exit(main())
