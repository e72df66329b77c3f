#!/usr/bin/env python3
"""Sends packets that no client should send, before and after login: identifications, KEXINITs, requests for services,
logins and global requests, each changed at random places. The server must still admit good clients and no others, panic
in no thread, and keep no memory of the packets. `tests/soak/run login-packets` runs it."""

import os
import random
import socket
import struct
import sys
import threading
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/clients"))
sys.dont_write_bytecode = True

import paramiko  # noqa: E402

from rig import keys, paramiko_client  # noqa: E402
from rig.fake_aws import FakeAws  # noqa: E402
from rig.servers import Serve  # noqa: E402

SECONDS = float(os.environ.get("WHARFINGER_SOAK_SECONDS", "20"))
SEED = int(os.environ.get("WHARFINGER_SOAK_SEED", str(random.SystemRandom().getrandbits(63))))
# Limit on the server's growth after its first rounds, in MiB.
MEMORY_MIB = 48
SETTINGS = """
login_burst = 1000000
login_rate = 1000000
max_unauthenticated = 10000
max_unauthenticated_per_source = 10000
"""


def text(value):
    value = value if isinstance(value, bytes) else value.encode()
    return struct.pack(">I", len(value)) + value


def names(*lists):
    return b"".join(text(",".join(names)) for names in lists)


CIPHERS = ["aes256-gcm@openssh.com", "aes128-ctr"]
MACS = ["hmac-sha2-256"]
KEXINIT = (
    b"\x14"
    + bytes(16)
    + names(["curve25519-sha256", "kex-strict-c-v00@openssh.com"], ["ssh-ed25519"], CIPHERS, CIPHERS, MACS, MACS)
    + names(["none"], ["none"], [], [])
    + bytes(5)
)


def packet(payload):
    padding = 8 - (5 + len(payload)) % 8
    padding += 8 if padding < 4 else 0
    return struct.pack(">IB", 1 + len(payload) + padding, padding) + payload + bytes(padding)


def login(method, rest=b"", user="alice", service="ssh-connection"):
    return b"\x32" + text(user) + text(service) + text(method) + rest


KEY = paramiko.Ed25519Key.from_private_key_file(str(keys.key())).asbytes()
SECURITY_KEY = text("sk-ssh-ed25519@openssh.com") + text(bytes(32)) + text("ssh:")
CERTIFICATE = text("ssh-ed25519-cert-v01@openssh.com") + text(bytes(32)) + text(bytes(32)) + bytes(60)


def offer(algorithm, key, signature=None):
    rest = bytes([signature is not None]) + text(algorithm) + text(key)
    return login("publickey", rest + (text(signature) if signature is not None else b""))


BEFORE = [
    b"\x05" + text("ssh-userauth"),
    b"\x05" + text("ssh-connection"),
    login("none"),
    login("none", user=b"caf\xe9"),
    login("password", b"\0" + text("not the password")),
    login("password", b"\0" + text(b"caf\xe9")),
    login("password", b"\1" + text("not the password") + text("a new one")),
    login("keyboard-interactive", text("") + text("")),
    b"\x3d" + struct.pack(">I", 1) + text("not the password"),
    offer("ssh-ed25519", KEY),
    offer("ssh-ed25519", KEY, text("ssh-ed25519") + text(bytes(64))),
    offer("sk-ssh-ed25519@openssh.com", SECURITY_KEY, text("sk-ssh-ed25519@openssh.com") + text(bytes(64)) + bytes(5)),
    offer("ssh-ed25519-cert-v01@openssh.com", CERTIFICATE),
    offer("ssh-ed448", text("ssh-ed448") + text(bytes(57))),
    b"\x50" + text("hostkeys-prove-00@openssh.com") + b"\1" + text(KEY),
    b"\x50" + text("keepalive@openssh.com") + b"\1",
    KEXINIT,
    b"\x15",
    b"\x02" + text("ignored"),
    b"\x5a" + text("session") + struct.pack(">III", 0, 1 << 20, 1 << 15),
]
AFTER = [
    *BEFORE,
    b"\x61" + struct.pack(">I", 2),
    b"\x60" + struct.pack(">I", 2),
    b"\x62" + struct.pack(">I", 2) + text("subsystem") + b"\1" + text("sftp"),
    b"\x5e" + struct.pack(">I", 2) + text(b"\0\0\0\x05\x01\0\0\0\x03"),
]


class Fuzz:
    def __init__(self, server, seed):
        self.server, self.random = server, random.Random(seed)
        self.sent = self.good = 0

    def mutated(self, payload):
        data = bytearray(payload)
        for _ in range(self.random.choice((0, 0, 1, 1, 2, 4))):
            at = self.random.randrange(len(data) + 1)
            what = self.random.randrange(5)
            if what == 0 and at < len(data):
                data[at] ^= 1 << self.random.randrange(8)
            elif what == 1 and at < len(data):
                data[at] = self.random.choice((0, 1, 0x7F, 0x80, 0xFF))
            elif what == 2:
                del data[at:]
            elif what == 3:
                data[at:at] = self.random.randbytes(self.random.randrange(1, 9))
            elif at + 4 <= len(data):
                data[at : at + 4] = struct.pack(">I", self.random.choice((0, 1, len(data), 1 << 20, 0xFFFFFFFF)))
        return bytes(data)

    def in_the_clear(self):
        """Sends a mutated identification and KEXINIT, in pieces."""
        words = self.mutated(b"SSH-2.0-OpenSSH_9.2p1\r\n") + self.mutated(packet(self.mutated(KEXINIT)))
        with socket.create_connection((self.server.host, self.server.port), timeout=60) as client:
            try:
                while words:
                    cut = self.random.randrange(1, len(words) + 1)
                    client.sendall(words[:cut])
                    words = words[cut:]
                client.shutdown(socket.SHUT_WR)
                while client.recv(65536):
                    pass
            except OSError:
                pass
        self.sent += 1

    def encrypted(self, is_logged_in):
        """Sends mutated packets after a good key exchange, or after a good login."""
        if is_logged_in:
            transport = paramiko_client.connect(self.server)
            self.good += 1
        else:
            transport = paramiko.Transport((self.server.host, self.server.port))
            transport.start_client(timeout=60)
            transport._send_message(paramiko.Message(BEFORE[0]))
        corpus = AFTER if is_logged_in else BEFORE
        try:
            for _ in range(self.random.randrange(1, 12)):
                payload = self.mutated(self.random.choice(corpus))
                # paramiko may refuse to send an empty packet.
                if payload:
                    transport._send_message(paramiko.Message(payload))
                    self.sent += 1
        except (OSError, EOFError, paramiko.SSHException):
            pass
        transport.close()

    def round(self):
        shape = self.random.randrange(4)
        if shape == 0:
            self.in_the_clear()
        else:
            self.encrypted(is_logged_in=shape == 1)

    def check(self):
        """Checks that a good client can log in, and that no other has."""
        assert paramiko_client.sftp(transport := paramiko_client.connect(self.server)).normalize(".") == "/"
        transport.close()
        self.good += 1
        said = self.server.process.log_text()
        assert self.server.process.running, said[-3000:]
        assert "panicked" not in said, said[said.index("panicked") - 500 :][:3000]
        logins = [line for line in said.splitlines() if "INFO login " in line]
        assert logins and all('method="publickey"' in line for line in logins), logins[-1:]


def main():
    print(f"login-packets: seed {SEED}, {SECONDS:.0f} s", flush=True)
    # paramiko logs the reason of each broken connection.
    threading.excepthook = lambda _: None
    paramiko.util.logging.getLogger("paramiko").setLevel(paramiko.util.logging.CRITICAL)
    s3 = FakeAws()
    server = Serve(s3.store(), ssh_settings=SETTINGS)
    fuzz, begun, rounds, memory = Fuzz(server, SEED), time.monotonic(), 0, None
    try:
        while time.monotonic() - begun < SECONDS:
            fuzz.round()
            rounds += 1
            if rounds % 50 == 0:
                fuzz.check()
                memory = memory or server.process.memory_mib()
        fuzz.check()
        grown = server.process.memory_mib() - (memory or server.process.memory_mib())
        assert grown <= MEMORY_MIB, f"{grown:.0f} MiB more after {rounds} rounds"
    finally:
        server.close()
        s3.close()
    print(f"login-packets: {rounds} connections, {fuzz.sent} packets, {fuzz.good} good logins, {grown:+.0f} MiB")


if __name__ == "__main__":
    main()
