"""A PostgreSQL of a test's own, which is reached by a socket in its directory and by nothing else."""

import os
import pwd
import signal
import subprocess
import tempfile
from pathlib import Path

from .process import STOP_TIMEOUT, Process


def _program(name):
    """Debian keeps a server's programs where no PATH finds them."""
    found = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))
    if not found:
        raise FileNotFoundError(f"PostgreSQL's {name} isn't there: run ./scripts/test, which installs it")
    return found[-1]


class Postgres:
    """A running server with an empty database."""

    def __init__(self):
        self.directory = tempfile.TemporaryDirectory(prefix="wharfinger-pg-")
        self.here = Path(self.directory.name)
        self.options = {"cwd": self.here}
        if os.geteuid() == 0:
            # It refuses to run as root.
            somebody = pwd.getpwnam("postgres")
            os.chown(self.here, somebody.pw_uid, somebody.pw_gid)
            self.options |= {"user": somebody.pw_uid, "group": somebody.pw_gid, "extra_groups": []}
        arguments = ["--auth=trust", "--username=wharfinger", "--encoding=UTF8", "--locale=C", "--no-sync"]
        subprocess.run(
            [_program("initdb"), "-D", self.here / "data", *arguments],
            check=True,
            capture_output=True,
            timeout=STOP_TIMEOUT,
            **self.options,
        )
        self.start()

    def start(self):
        arguments = ["-D", self.here / "data", "-F", "-c", "listen_addresses=", "-k", self.here]
        self.process = Process([_program("postgres"), *arguments], **self.options)
        self.process.until(lambda: "ready to accept connections" in self.process.log_text(), "PostgreSQL")

    def stop(self):
        """Ends it at once, with all its connections. The database stays."""
        self.process.child.send_signal(signal.SIGQUIT)
        self.process.child.wait(STOP_TIMEOUT)
        self.process.close()

    @property
    def url(self):
        return f"postgres://wharfinger@localhost/postgres?host={self.here}"

    def close(self):
        if self.process.running:
            self.stop()
        self.directory.cleanup()
