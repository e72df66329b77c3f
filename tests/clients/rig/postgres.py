"""A PostgreSQL for one test. It is reachable by a socket in its directory, and by TCP only if a port is given."""

import os
import pwd
import re
import signal
import subprocess
import tempfile
from pathlib import Path

from .process import STOP_TIMEOUT, Process


def _program(name):
    """Finds a program of the server. Debian installs them outside of every PATH."""
    found = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))
    if not found:
        raise FileNotFoundError(f"PostgreSQL's {name} isn't there: run ./scripts/test, which installs it")
    return found[-1]


class Postgres:
    """A running server with an empty database. With a port it also listens on 127.0.0.1, and asks for passwords
    there."""

    def __init__(self, port=None):
        self.port = port
        self.directory = tempfile.TemporaryDirectory(prefix="wharfinger-pg-")
        self.here = Path(self.directory.name)
        self.options = {"cwd": self.here}
        if os.geteuid() == 0:
            # PostgreSQL refuses to run as root.
            somebody = pwd.getpwnam("postgres")
            os.chown(self.here, somebody.pw_uid, somebody.pw_gid)
            self.options |= {"user": somebody.pw_uid, "group": somebody.pw_gid, "extra_groups": []}
        arguments = ["--auth-local=trust", "--auth-host=scram-sha-256", "--username=wharfinger"]
        arguments += [ "--encoding=UTF8", "--locale=C", "--no-sync"]
        subprocess.run(
            [_program("initdb"), "-D", self.here / "data", *arguments],
            check=True,
            capture_output=True,
            timeout=STOP_TIMEOUT,
            **self.options,
        )
        self.start()

    def start(self):
        addresses = "127.0.0.1" if self.port else ""
        arguments = ["-D", self.here / "data", "-F", "-c", f"listen_addresses={addresses}", "-k", self.here]
        arguments += ["-p", str(self.port)] if self.port else []
        self.process = Process([_program("postgres"), *arguments], **self.options)
        self.process.until(lambda: "ready to accept connections" in self.process.log_text(), "PostgreSQL")

    def stop(self):
        """Stops the server at once, with all its connections. The database stays."""
        self.process.child.send_signal(signal.SIGQUIT)
        self.process.child.wait(STOP_TIMEOUT)
        self.process.close()

    def sql(self, text):
        """Runs statements and returns their rows as lists of texts."""
        options = ["--no-psqlrc", "--quiet", "--no-align", "--tuples-only", "--field-separator=\t", "--set=ON_ERROR_STOP=1"]
        output = self._client("psql", *options, input=text)
        return [line.split("\t") for line in output.splitlines()]

    def dump(self):
        """Returns all tables and rows, as statements that a server of any version accepts."""
        output = self._client("pg_dump", "--inserts", "--no-owner", "--no-privileges")
        # Settings and commands for psql depend on the version.
        output = re.sub(r"^(SET |SELECT pg_catalog\.set_config|\\|--).*\n", "", output, flags=re.M)
        return re.sub(r"\n{2,}", "\n\n", output).strip() + "\n"

    def _client(self, program, *options, input=None):
        arguments = [_program(program), f"--host={self.here}", *self._port("--port={}"), "--username=wharfinger"]
        arguments += [*options, "--dbname=postgres"]
        done = subprocess.run(arguments, input=input, capture_output=True, text=True, timeout=STOP_TIMEOUT)
        if done.returncode != 0:
            raise RuntimeError(f"{program}: {done.stderr}")
        return done.stdout

    @property
    def url(self):
        return f"postgres://wharfinger@localhost{''.join(self._port(':{}'))}/postgres?host={self.here}"

    def _port(self, form):
        return [form.format(self.port)] if self.port else []

    def close(self):
        if self.process.running:
            self.stop()
        self.directory.cleanup()
