"""Issue 12.1: a client tries several credentials on one connection, and none of them spoils the next."""

import struct

import paramiko

from rig import keys, paramiko_client
from rig.case import ServerCase
from rig.openssh import OpenSsh
from rig.paramiko_client import TIMEOUT
from rig.servers import PASSWORDS

PASSWORD = PASSWORDS["alice"]


def blob(*fields):
    """Encodes a key as SSH sends it: each field after its length."""
    fields = (field.encode() if isinstance(field, str) else field for field in fields)
    return b"".join(struct.pack(">I", len(field)) + field for field in fields)


# Algorithm and blob of keys that no server accepts. Most of them can't even be decoded.
UNACCEPTABLE_KEYS = {
    "cut short": ("ssh-ed25519", blob("ssh-ed25519", bytes(31))),
    "garbage": ("ssh-ed25519", b"\xff\xff\xff\xff"),
    "empty": ("ssh-ed25519", b""),
    "DSA": ("ssh-dss", blob("ssh-dss", b"\1", b"\1", b"\1", b"\1")),
    "Ed448": ("ssh-ed448", blob("ssh-ed448", bytes(57))),
    "WebAuthn": (
        "webauthn-sk-ecdsa-sha2-nistp256@openssh.com",
        blob("sk-ecdsa-sha2-nistp256@openssh.com", "nistp256", b"\4" + b"\1" * 64, "ssh:"),
    ),
    "a security key": ("sk-ssh-ed25519@openssh.com", blob("sk-ssh-ed25519@openssh.com", bytes(32), "ssh:")),
    "another name than the blob's": ("ssh-ed25519", blob("ssh-rsa", b"\1\0\1", b"\0" + b"\xff" * 256)),
    "RSA of 512 bits": ("rsa-sha2-256", blob("ssh-rsa", b"\1\0\1", b"\0" + b"\xff" * 64)),
    "RSA of 16,384 bits": ("rsa-sha2-256", blob("ssh-rsa", b"\1\0\1", b"\0" + b"\xff" * 2048)),
    "ECDSA beside its curve": ("ecdsa-sha2-nistp256", blob("ecdsa-sha2-nistp256", "nistp256", b"\4" + b"\1" * 64)),
    "an empty certificate": ("ssh-ed25519-cert-v01@openssh.com", blob("ssh-ed25519-cert-v01@openssh.com", "n")),
    "no algorithm's name": ("\x01 \u2028", blob("x")),
}


class UnacceptableKey(paramiko.PKey):
    """A key of these bytes, with this signature."""

    def __init__(self, name, raw, signature):
        self.name, self.raw, self.signature = name, raw, signature

    def asbytes(self):
        return self.raw

    def get_name(self):
        return self.name

    @property
    def algorithm_name(self):
        return self.name

    def sign_ssh_data(self, data, algorithm=None):
        return paramiko.Message(self.signature)


class Credentials(ServerCase):
    def begin(self):
        transport = paramiko_client.begin(self.server)
        self.addCleanup(transport.close)
        return transport

    def assert_gets_in(self, transport):
        self.assertEqual([], transport.auth_password("alice", PASSWORD))

    # R03: paramiko asks for the service again before each try.
    def test_paramiko_with_a_wrong_password_first(self):
        transport = self.begin()
        with self.assertRaises(paramiko.AuthenticationException):
            transport.auth_password("alice", "wrong")
        self.assert_gets_in(transport)

    def test_paramiko_asks_for_the_methods_first(self):
        transport = self.begin()
        with self.assertRaises(paramiko.BadAuthenticationType) as refused:
            transport.auth_none("alice")
        self.assertEqual({"publickey", "password", "keyboard-interactive"}, set(refused.exception.allowed_types))
        self.assert_gets_in(transport)

    def test_paramiko_client_with_a_foreign_key_and_a_password(self):
        client = paramiko.SSHClient()
        self.addCleanup(client.close)
        client.set_missing_host_key_policy(paramiko.AutoAddPolicy())
        client.connect(
            self.server.host,
            self.server.port,
            "alice",
            PASSWORD,
            pkey=paramiko.ECDSAKey.generate(),
            key_filename=str(keys.strange_key()),
            allow_agent=False,
            look_for_keys=False,
            timeout=TIMEOUT,
            auth_timeout=TIMEOUT,
        )
        self.assertEqual("/", client.open_sftp().normalize("."))

    def test_a_key_that_cannot_be_decoded_is_a_refused_key(self):
        for what, (name, raw) in UNACCEPTABLE_KEYS.items():
            with self.subTest(what):
                transport = self.begin()
                key = UnacceptableKey(name, raw, blob(name, "x" * 64))
                with self.assertRaises(paramiko.AuthenticationException):
                    transport.auth_publickey("alice", key)
                self.assert_gets_in(transport)

    def test_a_signature_that_cannot_be_decoded_is_a_refused_one(self):
        known = paramiko.Ed25519Key.from_private_key_file(str(keys.key()))
        for signature in (b"", b"\xff" * 9, blob("ssh-ed25519", b"\0" * 3), blob("ssh-ed25519", b"\0" * 64) + b"behind"):
            with self.subTest(signature=signature):
                transport = self.begin()
                key = UnacceptableKey("ssh-ed25519", known.asbytes(), signature)
                with self.assertRaises(paramiko.AuthenticationException):
                    transport.auth_publickey("alice", key)
                self.assert_gets_in(transport)

    def test_a_password_that_is_not_utf8_is_a_wrong_one(self):
        transport = self.begin()
        with self.assertRaises(paramiko.AuthenticationException):
            transport.auth_password("alice", b"caf\xe9")
        self.assert_gets_in(transport)

    # Issue 12.3.
    def test_keyboard_interactive_asks_for_the_password(self):
        for answers, gets_in in (([PASSWORD], True), (["wrong"], False), ([], False), ([PASSWORD, PASSWORD], False)):
            with self.subTest(answers=answers):
                transport, asked = self.begin(), []

                def answer(title, instructions, prompts, asked=asked, answers=answers):
                    asked.extend(prompts)
                    return answers

                if gets_in:
                    self.assertEqual([], transport.auth_interactive("alice", answer))
                else:
                    with self.assertRaises(paramiko.AuthenticationException):
                        transport.auth_interactive("alice", answer)
                self.assertEqual([("Password: ", False)], asked)

    def test_openssh_by_keyboard_interactive_alone(self):
        alone = ["-o", "PreferredAuthentications=keyboard-interactive"]
        self.assertIn("/", OpenSsh(self.server, password=PASSWORD).sftp("pwd", options=alone).stdout)

    def test_psftp_with_an_unknown_key_of_each_kind(self):
        host_key = self.connect().get_remote_server_key().fingerprint
        for kind in ("ed25519", "ed448", "ecdsa"):
            with self.subTest(kind=kind):
                key = self.local / f"{kind}.ppk"
                no_passphrase = ["--new-passphrase", "/dev/null", "--random-device", "/dev/urandom"]
                self.run_program("puttygen", "-q", "-t", kind, "-o", key, *no_passphrase)
                arguments = ["psftp", "-batch", "-P", self.server.port, "-hostkey", host_key, "-i", key]
                arguments += ["-pw", PASSWORD, "-b", "/dev/stdin", f"alice@{self.server.host}"]
                said = self.run_program(*arguments, stdin="pwd\nquit\n")
                self.assertIn("Remote working directory is /", said.stdout)

