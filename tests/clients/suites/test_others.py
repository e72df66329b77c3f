"""rclone and lftp: one way up, one look and one way down for each."""

import os
import subprocess

from rig import keys
from rig.case import ServerCase
from rig.files import LEAST_PART, make, sha256

TIMEOUT = 300.0


class Others:
    def test_rclone(self):
        there = self.remote_directory()
        settings = f"host={self.server.host},port={self.server.port},user={self.server.user},key_file={keys.key()}"
        remote = f":sftp,{settings},shell_type=none,disable_hashcheck=true:{there}"
        (self.local / "tree" / "below").mkdir(parents=True)
        for name, size in (("empty", 0), ("small", 100), ("below/large", 2 * LEAST_PART)):
            make(self.local / "tree" / name, size)
        self.run_client(["rclone", "copy", self.local / "tree", remote])
        listed = self.run_client(["rclone", "lsf", "-R", "--files-only", remote])
        self.assertEqual(["below/large", "empty", "small"], sorted(listed.split()))
        self.run_client(["rclone", "check", "--download", self.local / "tree", remote])
        self.run_client(["rclone", "copy", remote, self.local / "back"])
        for name in ("empty", "small", "below/large"):
            self.assertEqual(sha256(self.local / "tree" / name), sha256(self.local / "back" / name))
        self.run_client(["rclone", "moveto", f"{remote}/small", f"{remote}/moved"])
        self.run_client(["rclone", "delete", remote])
        self.assertEqual("", self.run_client(["rclone", "lsf", "-R", "--files-only", remote]))

    def test_lftp(self):
        there = self.remote_directory()
        sent = make(self.local / "file", 2 * LEAST_PART + 1)
        ssh = "ssh -a -x " + " ".join(self.openssh.options)
        commands = [
            "set cmd:fail-exit yes",
            "set net:max-retries 1",
            f'set sftp:connect-program "{ssh}"',
            f"open -u {self.server.user}, -p {self.server.port} sftp://{self.server.host}",
            f"cd {there}",
            f"put {self.local}/file",
            "cls -1",
            "mv file moved",
            f"get moved -o {self.local}/back",
            "rm moved",
        ]
        output = self.run_client(["lftp", "--norc", "-c", "; ".join(commands)])
        self.assertIn("file", output)
        self.assertEqual(sent, sha256(self.local / "back"))

    def run_client(self, arguments):
        environment = dict(os.environ, HOME=str(self.local), RCLONE_CONFIG=str(self.local / "rclone.conf"))
        done = subprocess.run(
            [str(argument) for argument in arguments],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=TIMEOUT,
            env=environment,
        )
        self.assertEqual(0, done.returncode, f"{arguments}\n{done.stdout}\n{done.stderr}")
        return done.stdout


class OthersOnDemo(Others, ServerCase):
    SHARED = "demo"


class OthersOnSeaweedFs(Others, ServerCase):
    SHARED = "seaweedfs"


class OthersOnSshd(Others, ServerCase):
    """Runs with `--sshd` only."""

    SHARED = "sshd"
