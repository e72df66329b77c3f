"""Attacks of those who have no login, from one address each: key exchanges, wrong passwords, slow and broken
connections. `served` counts what the server did for them."""

import asyncio
import os

from .floods import ENDS, repeat
from .ssh import ECDH_INIT, ECDH_REPLY, IDENTIFICATION, Connection, clear_packet, kexinit, string

EXCHANGES_AT_ONCE, GUESSERS, SLOW, BROKEN = 64, 18, 400, 18
EXCHANGER, GUESSER, SLOW_ADDRESS, BREAKER = "127.12.0.1", "127.12.0.2", "127.12.0.3", "127.12.0.4"
TIMEOUT = 10.0
# How often a slow connection sends a byte.
DRIP = 0.5


async def several(target, once, count):
    await asyncio.gather(*[repeat(target, once, number) for number in range(count)])


async def plain_connection(target, address):
    opening = asyncio.open_connection("127.0.0.1", target.port, local_addr=(address, 0))
    return await asyncio.wait_for(opening, TIMEOUT)


async def key_exchanges(target):
    """Gets one RSA signature after another, with no arithmetic of its own."""
    point = string(b"\x09" + bytes(30) + b"\x01")
    sent = kexinit(b"rsa-sha2-512", is_strict=False), bytes([ECDH_INIT]) + point
    greeting = IDENTIFICATION + b"\r\n" + b"".join(map(clear_packet, sent))

    async def signature(reader):
        await reader.readline()
        while True:
            size = int.from_bytes(await reader.readexactly(4))
            if (await reader.readexactly(size))[1] == ECDH_REPLY:
                return

    async def exchange():
        reader, writer = await plain_connection(target, EXCHANGER)
        try:
            writer.write(greeting)
            await asyncio.wait_for(signature(reader), TIMEOUT)
        finally:
            writer.transport.abort()
        target.count("served")
        target.ready.set()

    async def forever():
        while True:
            try:
                await exchange()
            except (*ENDS, EOFError) as error:
                target.refused(error)

    await asyncio.gather(*[forever() for _ in range(EXCHANGES_AT_ONCE)])


async def wrong_passwords(target):
    async def once(target, number):
        while True:
            connection = await Connection.open(target.port, GUESSER)
            target.count("connections")
            try:
                await connection.ask_for_login()
                for _ in range(5):
                    await connection.password("nobody" if number % 2 else "bob", "wrong")
                    target.count("served")
                    target.ready.set()
            finally:
                connection.close()

    await several(target, once, GUESSERS)


async def slow_connections(target):
    """Dribbles its identification, on connections that never end by themselves."""

    async def once(target, number):
        reader, writer = await plain_connection(target, SLOW_ADDRESS)
        target.count("connections")
        target.count("served")
        target.ready.set()
        try:
            writer.write(b"SSH-2.0-")
            while True:
                writer.write(b"a")
                await writer.drain()
                await asyncio.sleep(DRIP)
        finally:
            writer.transport.abort()

    await several(target, once, SLOW)


async def broken_connections(target):
    """Sends bytes that are no SSH: each connection may be worth a line of the log."""

    async def once(target, number):
        while True:
            reader, writer = await plain_connection(target, BREAKER)
            try:
                writer.write(IDENTIFICATION + b"\r\n" + os.urandom(64))
                await asyncio.wait_for(reader.read(9_999), TIMEOUT)
            finally:
                writer.transport.abort()
            target.count("served")
            target.ready.set()

    await several(target, once, BROKEN)


STRANGERS = {
    "key exchanges": key_exchanges,
    "wrong passwords": wrong_passwords,
    "slow connections": slow_connections,
    "broken connections": broken_connections,
}
