"""A raw SSH client on asyncio, for clients that no library lets one be: every packet, window and source is the caller's.

It knows one algorithm of each kind, and no key exchange after the first: a server asks for another after 1 GiB or an hour.
"""

import asyncio
import hashlib
import os
import socket
import struct

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_ssh_private_key

IDENTIFICATION = b"SSH-2.0-attacks"
DISCONNECT, SERVICE_REQUEST, SERVICE_ACCEPT, KEXINIT, NEWKEYS, ECDH_INIT, ECDH_REPLY = 1, 5, 6, 20, 21, 30, 31
AUTH_REQUEST, AUTH_FAILURE, AUTH_SUCCESS, GLOBAL_REQUEST, REQUEST_FAILURE = 50, 51, 52, 80, 82
CHANNEL_OPEN, CHANNEL_OPENED, CHANNEL_REFUSED, WINDOW_ADJUST, CHANNEL_DATA = 90, 91, 92, 93, 94
CHANNEL_EOF, CHANNEL_CLOSE, CHANNEL_REQUEST, CHANNEL_SUCCESS, CHANNEL_FAILURE = 96, 97, 98, 99, 100
ANSWERS = {SERVICE_ACCEPT, AUTH_FAILURE, AUTH_SUCCESS}
LARGEST_DATA = 32_768
WIDE_WINDOW = 0x7FFF_FFFF
# For the steps up to the login, and for the opening of a channel.
TIMEOUT = 60.0


class Closed(Exception):
    """The server ended or refused the connection, the login or the channel."""


def u32(number):
    return struct.pack(">I", number)


def u64(number):
    return struct.pack(">Q", number)


def string(data):
    data = data.encode() if isinstance(data, str) else data
    return struct.pack(">I", len(data)) + data


def mpint(data):
    data = data.lstrip(b"\0")
    return string(b"\0" + data if data and data[0] & 0x80 else data)


def strings(data, offset, count):
    """Returns the next `count` strings of a packet."""
    found = []
    for _ in range(count):
        (length,) = struct.unpack_from(">I", data, offset)
        found.append(data[offset + 4 : offset + 4 + length])
        offset += 4 + length
    return found


def clear_packet(payload):
    padding = 8 - (5 + len(payload)) % 8
    padding += 8 if padding < 4 else 0
    return struct.pack(">IB", 1 + len(payload) + padding, padding) + payload + bytes(padding)


def kexinit(host_key, is_strict=True):
    gcm, mac = b"aes128-gcm@openssh.com", b"hmac-sha2-256-etm@openssh.com"
    exchanges = b"curve25519-sha256" + (b",kex-strict-c-v00@openssh.com" if is_strict else b"")
    lists = [exchanges, host_key, gcm, gcm, mac, mac, b"none", b"none", b"", b""]
    return bytes([KEXINIT]) + os.urandom(16) + b"".join(map(string, lists)) + bytes(5)


class Sealer:
    """One direction of AES-GCM, as RFC 5647 has it."""

    def __init__(self, key, nonce):
        self.cipher, self.fixed, self.counter = AESGCM(key), nonce[:4], int.from_bytes(nonce[4:])

    def nonce(self):
        nonce = self.fixed + u64(self.counter)
        self.counter += 1
        return nonce

    def seal(self, payload):
        padding = 16 - (1 + len(payload)) % 16
        padding += 16 if padding < 4 else 0
        body = bytes([padding]) + payload + bytes(padding)
        length = u32(len(body))
        return length + self.cipher.encrypt(self.nonce(), body, length)

    def open(self, length, sealed):
        return self.cipher.decrypt(self.nonce(), sealed, length)


class Connection:
    """A connection after its key exchange. `close` drops it without a word."""

    def __init__(self, reader, writer):
        self.reader, self.writer = reader, writer
        self.outward = self.inward = self.session_id = None
        self.answers, self.channels, self.ended, self.pump = asyncio.Queue(), {}, None, None

    @classmethod
    async def open(cls, port, source, host_key=b"ssh-ed25519"):
        opening = asyncio.open_connection("127.0.0.1", port, local_addr=(source, 0), limit=1 << 22)
        connection = cls(*await asyncio.wait_for(opening, TIMEOUT))
        try:
            await asyncio.wait_for(connection.exchange_keys(host_key), TIMEOUT)
        except BaseException:
            connection.close()
            raise
        connection.pump = asyncio.create_task(connection.receive_all())
        return connection

    # Packets.

    def send(self, payload):
        if self.ended is not None:
            raise Closed(self.ended)
        self.writer.write(self.outward.seal(payload) if self.outward else clear_packet(payload))

    async def receive(self):
        try:
            length = await self.reader.readexactly(4)
            size = int.from_bytes(length)
            if self.inward:
                body = self.inward.open(length, await self.reader.readexactly(size + 16))
            else:
                body = await self.reader.readexactly(size)
        except (EOFError, OSError) as error:
            raise Closed("the server hung up") from error
        payload = body[1 : len(body) - body[0]]
        if payload[0] == DISCONNECT:
            raise Closed(f"disconnected: {strings(payload, 5, 1)[0].decode(errors='replace')}")
        return payload

    async def receive_kind(self, kind):
        while (payload := await self.receive())[0] != kind:
            pass
        return payload

    async def exchange_keys(self, host_key):
        self.writer.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        ours, secret = kexinit(host_key), X25519PrivateKey.generate()
        point = secret.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        self.writer.write(IDENTIFICATION + b"\r\n")
        self.send(ours)
        theirs_name = (await self.reader.readline()).rstrip(b"\r\n")
        if not theirs_name:
            raise Closed("the server hung up before its identification")
        theirs = await self.receive_kind(KEXINIT)
        self.send(bytes([ECDH_INIT]) + string(point))
        key, their_point, _ = strings(await self.receive_kind(ECDH_REPLY), 1, 3)
        shared = mpint(secret.exchange(X25519PublicKey.from_public_bytes(their_point)))
        hashed = [IDENTIFICATION, theirs_name, ours, theirs, key, point, their_point]
        self.session_id = hashlib.sha256(b"".join(map(string, hashed)) + shared).digest()
        self.send(bytes([NEWKEYS]))

        def derive(letter, size):
            return hashlib.sha256(shared + self.session_id + letter + self.session_id).digest()[:size]

        self.outward = Sealer(derive(b"C", 16), derive(b"A", 12))
        await self.receive_kind(NEWKEYS)
        self.inward = Sealer(derive(b"D", 16), derive(b"B", 12))

    async def receive_all(self):
        """Hands every packet to those who wait for it, until the connection ends."""
        try:
            while True:
                self.dispatch(await self.receive())
        except Closed as closed:
            self.end(str(closed))

    def dispatch(self, payload):
        kind = payload[0]
        if kind == CHANNEL_DATA:
            number, length = struct.unpack_from(">II", payload, 1)
            self.channels[number].received(payload[9 : 9 + length])
        elif kind == WINDOW_ADJUST:
            number, more = struct.unpack_from(">II", payload, 1)
            self.channels[number].widened(more)
        elif kind in ANSWERS:
            self.answers.put_nowait(payload)
        elif CHANNEL_OPENED <= kind <= CHANNEL_FAILURE:
            self.channels[struct.unpack_from(">I", payload, 1)[0]].told(payload)
        elif kind == GLOBAL_REQUEST and strings(payload, 1, 1)[0] == b"keepalive@openssh.com":
            self.send(bytes([REQUEST_FAILURE]))

    def end(self, why):
        if self.ended is None:
            self.ended = why
            self.answers.put_nowait(None)
            for channel in self.channels.values():
                channel.end(why)

    def close(self):
        if self.pump:
            self.pump.cancel()
        self.writer.transport.abort()
        self.end("closed by this client")

    # Login.

    async def answer(self):
        payload = await asyncio.wait_for(self.answers.get(), TIMEOUT)
        if payload is None:
            self.answers.put_nowait(None)
            raise Closed(self.ended)
        return payload

    async def ask_for_login(self):
        self.send(bytes([SERVICE_REQUEST]) + string("ssh-userauth"))
        await self.answer()

    async def password(self, user, password):
        """Returns true if the server accepts the password."""
        asked = [user, "ssh-connection", "password"]
        self.send(bytes([AUTH_REQUEST]) + b"".join(map(string, asked)) + b"\0" + string(password))
        return (await self.answer())[0] == AUTH_SUCCESS

    async def log_in(self, user, key=None, password=None):
        """Logs in with an ed25519 key, or else with a password."""
        await self.ask_for_login()
        if not (await self.password(user, password) if key is None else await self.key(user, key)):
            raise Closed("the login was refused")

    async def key(self, user, key):
        algorithm = string("ssh-ed25519")
        blob = algorithm + string(key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw))
        asked = b"".join(map(string, [user, "ssh-connection", "publickey"]))
        body = bytes([AUTH_REQUEST]) + asked + b"\1" + algorithm + string(blob)
        signature = key.sign(string(self.session_id) + body)
        self.send(body + string(algorithm + string(signature)))
        return (await self.answer())[0] == AUTH_SUCCESS

    # Channels.

    async def channel(self, window=WIDE_WINDOW, reads=True):
        """Opens a channel. With `reads`, the window is widened again as the server's data arrives."""
        number = next(number for number in range(1 << 16) if number not in self.channels)
        channel = self.channels[number] = Channel(self, number, window, reads)
        self.send(bytes([CHANNEL_OPEN]) + string("session") + u32(number) + u32(window) + u32(LARGEST_DATA))
        answer = await channel.answer()
        if answer[0] != CHANNEL_OPENED:
            raise Closed("the channel was refused")
        channel.remote, channel.outward_window = struct.unpack_from(">II", answer, 5)
        return channel


class Channel:
    """A channel. `on_data` gets the bytes that arrive."""

    def __init__(self, connection, number, window, reads):
        self.connection, self.number, self.reads = connection, number, reads
        self.window = self.inward_window = window
        self.remote = self.outward_window = 0
        self.answers, self.wider, self.ended = asyncio.Queue(), asyncio.Event(), None
        self.on_data = self.on_end = lambda _: None

    async def answer(self):
        payload = await asyncio.wait_for(self.answers.get(), TIMEOUT)
        if payload is None:
            self.answers.put_nowait(None)
            raise Closed(self.ended)
        return payload

    async def subsystem(self, name):
        asked = string("subsystem") + b"\1" + string(name)
        self.connection.send(bytes([CHANNEL_REQUEST]) + u32(self.remote) + asked)
        if (await self.answer())[0] != CHANNEL_SUCCESS:
            raise Closed("the subsystem was refused")

    async def send(self, data):
        """Sends as the server's window and TCP let it."""
        view = memoryview(data)
        while view:
            while not self.outward_window and self.ended is None:
                self.wider.clear()
                await self.wider.wait()
            if self.ended is not None:
                raise Closed(self.ended)
            part = view[: min(LARGEST_DATA, self.outward_window)]
            self.outward_window -= len(part)
            self.connection.send(bytes([CHANNEL_DATA]) + u32(self.remote) + u32(len(part)) + part)
            await self.connection.writer.drain()
            view = view[len(part) :]

    def close(self):
        """Asks for the end of the channel. Its number is used again once the server agreed."""
        self.connection.send(bytes([CHANNEL_CLOSE]) + u32(self.remote))

    def received(self, data):
        self.on_data(data)
        self.inward_window -= len(data)
        if self.reads and self.inward_window < self.window // 2:
            more, self.inward_window = self.window - self.inward_window, self.window
            self.connection.send(bytes([WINDOW_ADJUST]) + u32(self.remote) + u32(more))

    def widened(self, more):
        self.outward_window += more
        self.wider.set()

    def told(self, payload):
        if payload[0] in (CHANNEL_EOF, CHANNEL_CLOSE):
            self.end("the server ended the channel")
            if payload[0] == CHANNEL_CLOSE:
                self.connection.channels.pop(self.number, None)
        elif payload[0] in (CHANNEL_OPENED, CHANNEL_REFUSED, CHANNEL_SUCCESS, CHANNEL_FAILURE):
            self.answers.put_nowait(payload)

    def end(self, why):
        if self.ended is None:
            self.ended = why
            self.answers.put_nowait(None)
            self.wider.set()
            self.on_end(why)


def load_key(path):
    with open(path, "rb") as file:
        return load_ssh_private_key(file.read(), None)
