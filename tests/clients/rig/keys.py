"""SSH keys of the users, made by ssh-keygen once for each run."""

import functools
import subprocess
import tempfile
from pathlib import Path

KINDS = {
    "ed25519": ["-t", "ed25519"],
    # JSch reads no other form than PEM.
    "ecdsa": ["-t", "ecdsa", "-b", "256", "-m", "PEM"],
    "rsa": ["-t", "rsa", "-b", "2048", "-m", "PEM"],
}


@functools.cache
def _directory():
    # Kept by the cache until the interpreter ends, which removes it.
    return tempfile.TemporaryDirectory(prefix="wharfinger-keys-")


def key(kind="ed25519"):
    """A private key that the servers know as alice's and bob's."""
    return _make(kind, kind)


def strange_key():
    """A private key that nobody knows."""
    return _make("strange", "ed25519")


@functools.cache
def putty_key():
    """The same private key in PuTTY's form."""
    path = Path(f"{key()}.ppk")
    subprocess.run(["puttygen", key(), "-O", "private", "-o", path], check=True, stdin=subprocess.DEVNULL)
    return path


def public_keys():
    """The public half of `key`, of each kind."""
    return [Path(f"{key(kind)}.pub") for kind in KINDS]


@functools.cache
def _make(name, kind):
    path = Path(_directory().name) / name
    subprocess.run(
        ["ssh-keygen", "-q", "-N", "", "-C", name, "-f", path, *KINDS[kind]], check=True, stdin=subprocess.DEVNULL
    )
    return path
