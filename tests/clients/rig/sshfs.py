"""A directory of the server, mounted with sshfs."""

import os
import subprocess
from pathlib import Path

from .process import Process


class Unavailable(Exception):
    """This machine can't mount. The argument says why."""


def check():
    """Fails if this machine can't mount at all."""
    try:
        os.close(os.open("/dev/fuse", os.O_RDWR))
    except OSError as error:
        raise Unavailable(f"/dev/fuse can't be opened: {error.strerror}") from None


def mounted(case, directory, name="mount"):
    """Mounts `directory` of the case's server in its local directory until the test's end. Skips the test if it
    can't."""
    try:
        mount = Mount(case.openssh, directory, case.local / name)
    except Unavailable as reason:
        case.skipTest(str(reason))
    case.addCleanup(mount.close)
    return mount.point


class Mount:
    """`directory` of the server at `point`, until `close`."""

    def __init__(self, openssh, directory, point, *options):
        check()
        self.point = Path(point)
        self.point.mkdir()
        # sshfs takes ssh's settings one by one, and has long options for ssh's letters.
        settings = [option for option in openssh.options if "=" in option]
        identity = openssh.options[openssh.options.index("-i") + 1]
        arguments = ["sshfs", "-f", "-F", "/dev/null", "-p", openssh.server.port, "-o", f"IdentityFile={identity}"]
        for setting in [*settings, *options]:
            arguments += ["-o", setting]
        place = f"{openssh.place}:{directory}"
        self.process = Process([*arguments, place, self.point], env=openssh.environment)
        try:
            self.process.until(self.point.is_mount, "the mount")
        except RuntimeError as error:
            # A container may have the device but not the permission.
            if "Operation not permitted" in str(error):
                raise Unavailable("mounting is not permitted here") from None
            raise

    def close(self):
        """Unmounts. This waits until sshfs has sent everything."""
        subprocess.run(["fusermount3", "-u", self.point], timeout=60, check=False)
        try:
            self.process.child.wait(60)
        except subprocess.TimeoutExpired:
            subprocess.run(["fusermount3", "-u", "-z", self.point], timeout=60, check=False)
        self.process.close()
