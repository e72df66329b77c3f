"""Programs that are SFTP clients, without the personal settings of the user who runs the tests."""

import os
import subprocess
import sys
from pathlib import Path

TIMEOUT = 300.0
# Debian's, and the newest, which is a Python package. Either may come first in PATH.
RCLONE = Path("/usr/bin/rclone")
NEWEST_RCLONE = Path(sys.executable).parent / "rclone"


def run(arguments, home, status=0, stdin="", **environment):
    """Runs a program that must end with `status`, or with any status but 0 if that is None. Returns its output as text.

    `as_bytes` returns output that isn't text.
    """
    done = subprocess.run(
        [str(argument) for argument in arguments],
        input=stdin.encode(),
        capture_output=True,
        timeout=TIMEOUT,
        cwd=home,
        env=dict(os.environ, HOME=str(home), LC_ALL="C.UTF-8", **environment),
    )
    done.stdout, done.stderr = (said.decode("utf-8", "surrogateescape") for said in (done.stdout, done.stderr))
    as_expected = done.returncode != 0 if status is None else done.returncode == status
    if not as_expected:
        said = as_bytes(f"{done.stdout}\n{done.stderr}").decode(errors="replace")
        raise AssertionError(f"{arguments}\nended with {done.returncode}\n{said}")
    return done


def as_bytes(said):
    """Returns a program's output byte for byte."""
    return said.encode("utf-8", "surrogateescape")
