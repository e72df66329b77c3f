"""SFTP 3 over a raw channel: requests one by one, or in floods that look at no more of a reply than they must."""

import asyncio
import struct

from .ssh import WIDE_WINDOW, Connection, string, strings, u32, u64

INIT, OPEN, CLOSE, READ, WRITE, FSTAT, SETSTAT = 1, 3, 4, 5, 6, 8, 9
OPENDIR, READDIR, MKDIR, STAT, RENAME = 11, 12, 14, 17, 18
STATUS, HANDLE, DATA, NAME, ATTRS = 101, 102, 103, 104, 105
OK = 0
FOR_READING, FOR_WRITING = 0x01, 0x1A
NO_ATTRS = u32(0)
# Of the honest transfers: as OpenSSH has them.
CHUNK, OUTSTANDING = 32_768, 64


class Refused(Exception):
    """A request that failed, with the server's sentence."""


def sentence(reply):
    if reply[0] != STATUS:
        return f"an answer of kind {reply[0]}"
    return strings(reply, 9, 1)[0].decode(errors="replace")


def expect(reply, kind):
    is_ok = reply[0] == kind and (kind != STATUS or struct.unpack_from(">I", reply, 5)[0] == OK)
    if not is_ok:
        raise Refused(sentence(reply))
    return reply


def handle_of(reply):
    return strings(expect(reply, HANDLE), 5, 1)[0]


def frame(kind, number, body):
    return struct.pack(">IBI", 5 + len(body), kind, number) + body


def open_body(path, flags):
    return string(path) + u32(flags) + NO_ATTRS


class Sftp:
    """A session on one channel. `on_reply` gets each reply that no `request` waits for: its kind, id and whole body.
    `on_end` is called when the channel ended."""

    def __init__(self, channel):
        self.channel, self.buffer, self.waiting, self.last = channel, bytearray(), {}, 0
        self.on_reply, self.on_end = lambda kind, number, reply: None, lambda: None
        channel.on_data, channel.on_end = self.received, self.end

    @classmethod
    async def start(cls, connection, window=WIDE_WINDOW, reads=True):
        sftp = cls(await connection.channel(window, reads))
        await sftp.channel.subsystem("sftp")
        version = sftp.waiting[3] = asyncio.get_running_loop().create_future()
        await sftp.channel.send(u32(5) + bytes([INIT]) + u32(3))
        await version
        return sftp

    @classmethod
    async def connect(cls, port, source, user, key=None, password=None, **options):
        """Logs in and starts a session on a connection of its own."""
        connection = await Connection.open(port, source)
        try:
            await connection.log_in(user, key, password)
            return await cls.start(connection, **options)
        except BaseException:
            connection.close()
            raise

    def disconnect(self):
        self.channel.connection.close()

    def received(self, data):
        self.buffer += data
        offset, size = 0, len(self.buffer)
        while size - offset >= 4:
            (length,) = struct.unpack_from(">I", self.buffer, offset)
            if size - offset < 4 + length:
                break
            self.replied(bytes(self.buffer[offset + 4 : offset + 4 + length]))
            offset += 4 + length
        del self.buffer[:offset]

    def replied(self, reply):
        kind, number = struct.unpack_from(">BI", reply)
        waiting = self.waiting.pop(number, None)
        if waiting is None:
            self.on_reply(kind, number, reply)
        elif not waiting.done():
            waiting.set_result(reply)

    def end(self, why):
        for waiting in self.waiting.values():
            if not waiting.done():
                waiting.set_exception(Refused(why))
                # Nobody may be left who waits.
                waiting.exception()
        self.waiting.clear()
        self.on_end()

    # Requests.

    def next_number(self):
        self.last = self.last % 0x7FFF_FFFF + 1
        return self.last

    async def ask(self, kind, body):
        """Sends a request. Returns the future of its reply."""
        number = self.next_number()
        future = self.waiting[number] = asyncio.get_running_loop().create_future()
        await self.channel.send(frame(kind, number, body))
        return future

    async def request(self, kind, body):
        return await (await self.ask(kind, body))

    async def post(self, requests):
        """Sends requests, pairs of kind and body, whose replies go to `on_reply`."""
        await self.channel.send(b"".join(frame(kind, self.next_number(), body) for kind, body in requests))

    async def open(self, path, flags):
        return handle_of(await self.request(OPEN, open_body(path, flags)))

    async def close(self, handle):
        expect(await self.request(CLOSE, string(handle)), STATUS)

    async def stat(self, path):
        return expect(await self.request(STAT, string(path)), ATTRS)

    async def rename(self, source, target):
        expect(await self.request(RENAME, string(source) + string(target)), STATUS)

    async def put(self, path, data, started=None):
        """Uploads a file with WRITEs in flight. Calls `started` at the answer of the first."""
        handle = await self.open(path, FOR_WRITING)
        in_flight = []
        for offset in range(0, len(data), CHUNK):
            body = string(handle) + u64(offset) + string(data[offset : offset + CHUNK])
            in_flight.append(await self.ask(WRITE, body))
            if started and offset == 0:
                expect(await in_flight[0], STATUS)
                started()
            if len(in_flight) >= OUTSTANDING:
                expect(await in_flight.pop(0), STATUS)
        for reply in in_flight:
            expect(await reply, STATUS)
        await self.close(handle)

    async def get(self, path, size):
        """Downloads a file of this size with READs in flight."""
        handle = await self.open(path, FOR_READING)
        offsets, in_flight, parts = iter(range(0, size, CHUNK)), [], []
        while True:
            while len(in_flight) < OUTSTANDING and (offset := next(offsets, None)) is not None:
                in_flight.append(await self.ask(READ, string(handle) + u64(offset) + u32(CHUNK)))
            if not in_flight:
                break
            parts += strings(expect(await in_flight.pop(0), DATA), 5, 1)
        await self.close(handle)
        return b"".join(parts)
