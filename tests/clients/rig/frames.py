"""An SFTP client of single frames over a paramiko channel. It can send any frame, and sees each reply."""

import struct
from collections import namedtuple

INIT, VERSION, OPEN, CLOSE, READ, WRITE, LSTAT, FSTAT = 1, 2, 3, 4, 5, 6, 7, 8
SETSTAT, OPENDIR, READDIR, REMOVE, MKDIR, RMDIR, REALPATH = 9, 11, 12, 13, 14, 15, 16
STAT, RENAME, READLINK, SYMLINK = 17, 18, 19, 20
EXTENDED, STATUS, HANDLE, DATA, NAME, ATTRS, EXTENDED_REPLY = 200, 101, 102, 103, 104, 105, 201
OK, EOF, NO_SUCH_FILE, PERMISSION_DENIED, FAILURE, BAD_MESSAGE, OP_UNSUPPORTED = 0, 1, 2, 3, 4, 5, 8
# OPEN's flags.
READ_FLAG, WRITE_FLAG, APPEND, CREATE, TRUNCATE, EXCLUSIVE = 1, 2, 4, 8, 16, 32
# Flags of ATTRS.
SIZE, OWNER, PERMISSIONS, TIMES = 1, 2, 4, 8
NO_ATTRIBUTES = struct.pack(">I", 0)
TIMEOUT = 120.0

Reply = namedtuple("Reply", "kind id body")


class Ended(Exception):
    """The server closed the channel."""


def text(value):
    """Encodes a string of the protocol."""
    raw = value.encode() if isinstance(value, str) else value
    return struct.pack(">I", len(raw)) + raw


def number(value, width=4):
    return value.to_bytes(width, "big")


def attributes(size=None, permissions=None, times=None):
    """Encodes ATTRS. `times` are the times of access and modification, in seconds."""
    flags, fields = 0, b""
    if size is not None:
        flags, fields = flags | SIZE, fields + number(size, 8)
    if permissions is not None:
        flags, fields = flags | PERMISSIONS, fields + number(permissions)
    if times is not None:
        flags, fields = flags | TIMES, fields + number(times[0]) + number(times[1])
    return number(flags) + fields


class Frames:
    """One SFTP channel."""

    def __init__(self, transport):
        self.channel = transport.open_session(timeout=TIMEOUT)
        self.channel.settimeout(TIMEOUT)
        self.channel.invoke_subsystem("sftp")
        self.last_id = 0

    def start(self, version=3):
        """Sends INIT and returns VERSION."""
        self.send_raw(number(INIT, 1) + number(version))
        return self.receive()

    def send_raw(self, body):
        """Sends a frame with the right length around `body`."""
        self.channel.sendall(number(len(body)) + body)

    def send(self, kind, *fields):
        """Sends a request and returns its id."""
        self.last_id += 1
        self.send_raw(number(kind, 1) + number(self.last_id) + b"".join(fields))
        return self.last_id

    def ask(self, kind, *fields):
        """Sends a request and returns the next reply, which must be its own."""
        wanted = self.send(kind, *fields)
        reply = self.receive()
        assert reply.id == wanted, f"a reply to {reply.id}, not to {wanted}"
        return reply

    def receive(self):
        length = int.from_bytes(self._read(4), "big")
        frame = self._read(length)
        return Reply(frame[0], int.from_bytes(frame[1:5], "big"), frame[5:])

    def status(self, kind, *fields):
        """Sends a request whose reply is a STATUS. Returns its code and its sentence."""
        return status_of(self.ask(kind, *fields))

    def open(self, path, flags):
        """Sends OPEN and returns the handle, as an encoded string."""
        return handle_of(self.ask(OPEN, text(path), number(flags), NO_ATTRIBUTES))

    def create(self, path):
        return self.open(path, WRITE_FLAG | CREATE | TRUNCATE)

    def write(self, handle, offset, data):
        return self.status(WRITE, handle, number(offset, 8), text(data))

    def close_handle(self, handle):
        return self.status(CLOSE, handle)

    def ended(self):
        """Waits until the server closes the channel. Ignores all replies before."""
        try:
            while True:
                self.receive()
        except Ended:
            return True

    def _read(self, count):
        data = b""
        while len(data) < count:
            piece = self.channel.recv(count - len(data))
            if not piece:
                raise Ended
            data += piece
        return data


def status_of(reply):
    assert reply.kind == STATUS, f"a reply of kind {reply.kind}: {reply.body[:100]}"
    length = int.from_bytes(reply.body[4:8], "big")
    return int.from_bytes(reply.body[:4], "big"), reply.body[8 : 8 + length].decode()


def handle_of(reply):
    if reply.kind != HANDLE:
        raise AssertionError(f"no handle, but {status_of(reply)}")
    return reply.body


def attributes_of(body):
    """Decodes ATTRS. Returns the attributes and the bytes after them."""
    flags, at, said = int.from_bytes(body[:4], "big"), 4, {}
    for flag, name, form in (
        (SIZE, "size", ">Q"),
        (OWNER, "owner", ">II"),
        (PERMISSIONS, "permissions", ">I"),
        (TIMES, "times", ">II"),
    ):
        if flags & flag:
            values = struct.unpack_from(form, body, at)
            said[name] = values if len(values) > 1 else values[0]
            at += struct.calcsize(form)
    return said, body[at:]


def names_of(reply):
    """Decodes a NAME. Returns name, long name and attributes of each entry."""
    entries, rest = [], reply.body[4:]
    for _ in range(int.from_bytes(reply.body[:4], "big")):
        name, rest = _string_of(rest)
        line, rest = _string_of(rest)
        said, rest = attributes_of(rest)
        entries.append((name, line, said))
    return entries


def _string_of(body):
    end = 4 + int.from_bytes(body[:4], "big")
    return body[4:end].decode(), body[end:]
