"""OpenSSH's own clients, without the personal settings of the user who runs the tests."""

import atexit
import functools
import os
import re
import subprocess
import tempfile
from pathlib import Path

from . import keys
from .process import connections, until

TIMEOUT = 300.0


def quote(name):
    """Quotes a name for sftp's command line, so that no character in it is special."""
    return re.sub(r"([^\w./-])", r"\\\1", name)


class OpenSsh:
    """sftp, scp and ssh, as one user of one server."""

    def __init__(self, server, user=None, key=None, password=None):
        self.server = server
        self.user = user or server.user
        self.options = ["-F", "/dev/null"]
        settings = ["StrictHostKeyChecking=no", "UserKnownHostsFile=/dev/null", "GlobalKnownHostsFile=/dev/null"]
        settings += ["LogLevel=ERROR", "IdentityAgent=none", "IdentitiesOnly=yes", "ConnectTimeout=30"]
        self.environment = dict(os.environ, LC_ALL="C.UTF-8")
        if password is None:
            settings += ["BatchMode=yes", "PreferredAuthentications=publickey"]
            self.options += ["-i", str(key or keys.key())]
        else:
            settings += ["PreferredAuthentications=password", "NumberOfPasswordPrompts=1", "PubkeyAuthentication=no"]
            self.environment |= {"SSH_ASKPASS": _askpass(), "SSH_ASKPASS_REQUIRE": "force", "PASSWORD": password}
        for setting in settings:
            self.options += ["-o", setting]

    @property
    def place(self):
        return f"{self.user}@{self.server.host}"

    def sftp_arguments(self, *options):
        # `-b` sets BatchMode, in which ssh asks for no password. Of two settings ssh takes the first.
        batch_mode = [] if "SSH_ASKPASS" not in self.environment else ["-o", "BatchMode=no"]
        return ["sftp", *batch_mode, *options, *self.options, "-P", str(self.server.port), "-b", "-", self.place]

    def sftp(self, *commands, options=(), check=True, timeout=TIMEOUT):
        """Runs a batch of sftp's commands, up to the first that fails. Returns its output as text."""
        return self._run(self.sftp_arguments(*options), check, timeout, "\n".join(commands) + "\n")

    def put_and_kill(self, file, path, sent):
        """Starts an upload and kills the client after it has `sent` this many bytes. Waits for the end of its
        connection."""
        before = connections(self.server.port)
        # At 64 Mbit/s no long upload ends before the kill.
        client = subprocess.Popen(
            self.sftp_arguments("-q", "-l", "64000"),
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=self.environment,
        )
        client.stdin.write(f"put {file} {path}\n".encode())
        client.stdin.flush()
        until(lambda: _bytes_read(client.pid) > sent, f"{sent} bytes on their way")
        client.kill()
        client.communicate(timeout=60)
        until(lambda: connections(self.server.port) <= before, "the end of the connection")

    def scp(self, *paths, options=(), check=True, timeout=TIMEOUT):
        """Runs scp. `remote` makes remote paths."""
        return self._run(["scp", *options, *self.options, "-P", str(self.server.port), *paths], check, timeout)

    def ssh(self, *arguments, check=True, timeout=TIMEOUT, stdin=""):
        return self._run(["ssh", *self.options, "-p", str(self.server.port), *arguments], check, timeout, stdin)

    def remote(self, path):
        return f"{self.place}:{path}"

    def _run(self, arguments, check, timeout, stdin=""):
        done = subprocess.run(
            list(map(str, arguments)),
            input=stdin.encode(),
            capture_output=True,
            timeout=timeout,
            env=self.environment,
        )
        output, errors = done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace")
        # In batch mode sftp echoes each command.
        output = "".join(line for line in output.splitlines(True) if not line.startswith("sftp> "))
        if check and done.returncode != 0:
            raise AssertionError(f"{arguments[0]} ended with {done.returncode}: {stdin}\n{output}\n{errors}")
        return subprocess.CompletedProcess(arguments, done.returncode, output, errors)


def _bytes_read(pid):
    """Returns the number of bytes that a process has read from files and sockets."""
    with open(f"/proc/{pid}/io") as io:
        return int(io.readline().split()[1])


@functools.cache
def _askpass():
    """Returns a program that answers ssh's password prompt with the password in the environment."""
    with tempfile.NamedTemporaryFile("w", prefix="wharfinger-askpass-", delete=False) as program:
        program.write("#!/bin/sh\nprintf '%s\\n' \"$PASSWORD\"\n")
    path = Path(program.name)
    path.chmod(0o700)
    atexit.register(path.unlink)
    return str(path)
