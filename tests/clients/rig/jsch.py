"""JSch, Java's old SFTP client, through tests/clients/java/JschClient.java."""

import functools
import subprocess
import tempfile
from pathlib import Path

from . import keys, programs

JAR = Path("/usr/share/java/jsch.jar")
SOURCE = Path(__file__).resolve().parents[1] / "java" / "JschClient.java"
REFUSED = 2


class Unavailable(Exception):
    """This machine has no Java, or no JSch."""


def run(server, commands, home, kind="ecdsa", status=0):
    """Runs `commands` on one channel. Returns a line for each, or the reason of a refused login if `status` is
    `REFUSED`."""
    arguments = ["java", "-cp", f"{JAR}:{_classes()}", "JschClient", server.host, server.port, server.user]
    return programs.run([*arguments, keys.key(kind), *commands], home, status=status).stdout.splitlines()


@functools.cache
def _directory():
    return tempfile.TemporaryDirectory(prefix="wharfinger-java-")


@functools.cache
def _classes():
    if not JAR.exists():
        raise Unavailable("there is no JSch: the Debian package is libjsch-java")
    target = _directory().name
    try:
        subprocess.run(["javac", "-cp", JAR, "-d", target, SOURCE], check=True, capture_output=True, timeout=120)
    except FileNotFoundError:
        raise Unavailable("there is no Java compiler: the Debian package is default-jdk-headless") from None
    return target
