"""SSH keys of the users, made by ssh-keygen once for each run."""

import functools
import subprocess
import tempfile
from pathlib import Path

KINDS = {
    "ed25519": ["-t", "ed25519"],
    # JSch reads PEM only.
    "ecdsa": ["-t", "ecdsa", "-b", "256", "-m", "PEM"],
    "rsa": ["-t", "rsa", "-b", "2048", "-m", "PEM"],
}


@functools.cache
def _directory():
    # The cache keeps it until the interpreter ends, which removes it.
    return tempfile.TemporaryDirectory(prefix="wharfinger-keys-")


def key(kind="ed25519"):
    """Returns a private key that the servers accept for alice and bob."""
    return _make(kind, kind)


def strange_key():
    """Returns a private key that no server accepts."""
    return _make("strange", "ed25519")


@functools.cache
def putty_key():
    """Returns the same private key in PuTTY's format."""
    path = Path(f"{key()}.ppk")
    subprocess.run(["puttygen", key(), "-O", "private", "-o", path], check=True, stdin=subprocess.DEVNULL)
    return path


def public_keys():
    """Returns the public half of `key`, of each kind."""
    return [Path(f"{key(kind)}.pub") for kind in KINDS]


@functools.cache
def _make(name, kind):
    path = Path(_directory().name) / name
    subprocess.run(
        ["ssh-keygen", "-q", "-N", "", "-C", name, "-f", path, *KINDS[kind]], check=True, stdin=subprocess.DEVNULL
    )
    return path
