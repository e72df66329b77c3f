"""The tour of README.md as a new user types it: each printed command, and the output that the README shows.

Three things are replaced: the build (`cargo run --release --`) by the built binary, 2222 by a free port, and PORT by
the port of the S3 that the demo printed.
"""

import os
import re
import shutil
import subprocess
import tempfile
import unittest
from dataclasses import dataclass, field
from pathlib import Path

from rig.ports import free_port
from rig.process import Process
from rig.servers import ROOT, wharfinger

BUILD = "cargo run --release -- "
PROMPT, SFTP_PROMPT = "$ ", "sftp> "
# Prefixes of variables that would change how a client reaches the demo.
FOREIGN = ("AWS_", "RCLONE_", "SSH_")


@dataclass
class Command:
    """A command of the tour, and the lines that the README shows below it."""

    line: str
    shown: list[str] = field(default_factory=list)

    def typed(self):
        """Returns the lines for sftp's own prompt. sftp echoes input that isn't a terminal's, so they are output
        too."""
        return [line.removeprefix(SFTP_PROMPT) for line in self.shown if line.startswith(SFTP_PROMPT)]


def commands(section):
    """Returns the commands of the console blocks below a heading of the README."""
    _, _, rest = (ROOT / "README.md").read_text().partition(f"\n## {section}\n")
    found = []
    for block in re.findall(r"^```console\n(.*?)^```", rest.partition("\n## ")[0], re.MULTILINE | re.DOTALL):
        for line in block.splitlines():
            if line.startswith(PROMPT):
                found.append(Command(line.removeprefix(PROMPT)))
            elif found[-1].line.endswith("\\") and not found[-1].shown:
                found[-1].line += "\n" + line
            else:
                found[-1].shown.append(line)
    return found


def comparable(lines):
    """Makes lines independent of the day and of the terminal's width."""
    dated = (re.sub(r"\b[A-Z][a-z]{2} +\d{1,2} +(\d\d:\d\d|\d{4})\b", "DATE", line) for line in lines)
    return [" ".join(line.split()) for line in dated]


class Tour(unittest.TestCase):
    def setUp(self):
        self.port = free_port()
        self.demo = None
        directory = tempfile.TemporaryDirectory(prefix="wharfinger-tour-")
        self.addCleanup(directory.cleanup)
        self.clone = Path(directory.name)
        for name in ("LICENSE", "README.md", "config"):
            copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
            copy(ROOT / name, self.clone / name)
        settings = self.clone / "config" / "demo.ssh_config"
        settings.write_text(settings.read_text().replace("Port 2222", f"Port {self.port}"))
        own = {name: value for name, value in os.environ.items() if not name.startswith(FOREIGN)}
        self.environment = own | {"HOME": directory.name, "LC_ALL": "C.UTF-8"}

    def test_the_tour_goes_as_the_readme_says(self):
        tour = commands("Five minutes")
        self.assertGreater(len(tour), 7)
        self.assertIn("reput big.bin", sum((command.typed() for command in tour), []))
        for command in tour:
            run = self.start if command.line.startswith(BUILD) else self.run_as_printed
            run(command)
        self.assert_resumed("/big.bin", (self.clone / "big.bin").stat().st_size)

    def start(self, command):
        """Starts the demo in its own terminal. The README shows the end of its output."""
        arguments = command.line.removeprefix(BUILD).split()
        self.demo = Process([wharfinger(), *arguments, "--port", self.port], cwd=self.clone, env=self.environment)
        self.addCleanup(self.demo.close)
        for line in command.shown:
            shown = line.replace("2222", str(self.port))
            self.demo.until(lambda: shown in self.demo.log_text().splitlines(), f"the line {shown!r}")

    def run_as_printed(self, command):
        line = command.line
        if "PORT" in line:
            line = line.replace("PORT", re.search(r"endpoint http://127\.0\.0\.1:(\d+)", self.demo.log_text())[1])
        done = subprocess.run(
            ["bash", "-c", line],
            input="".join(typed + "\n" for typed in command.typed()),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=120,
            cwd=self.clone,
            env=self.environment,
        )
        said = f"{line}\n{done.stdout}\n{self.demo.log_tail() if self.demo else ''}"
        self.assertEqual(comparable(command.shown), comparable(done.stdout.splitlines()), said)
        if line.startswith("timeout "):
            self.assertEqual(124, done.returncode, "the upload was to be cut off, and was over")
            # A person takes longer to type the next command than the server takes to notice.
            self.demo.until(lambda: "file abandoned" in self.demo.log_text(), "the end of the upload that was cut off")
        else:
            self.assertEqual(0, done.returncode, said)

    def assert_resumed(self, path, size):
        """Checks that the resumed upload sent a part of the file, and not all of it."""
        closed = [line for line in self.demo.log_text().splitlines() if "file closed" in line and f'path="{path}"' in line]
        (upload,) = [line for line in closed if "transfer=upload" in line]
        sent = int(re.search(r"\bbytes=(\d+)", upload)[1])
        self.assertTrue(0 < sent < size, upload)
