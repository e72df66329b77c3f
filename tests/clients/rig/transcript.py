"""The transcripts in the documents: commands, the output that is shown below each, and a directory to run them in."""

import os
import re
import subprocess
import tempfile
import unittest
from dataclasses import dataclass, field
from pathlib import Path

from .process import Process
from .servers import ROOT, wharfinger

PROMPT, SFTP_PROMPT = "$ ", "sftp> "
TIMEOUT = 120.0
# Prefixes of variables that would change how a program reaches its server.
FOREIGN = ("AWS_", "RCLONE_", "SSH_", "WHARFINGER")
# Text that differs in each run, and the word that stands for it.
RANDOM = [
    (r"\b[A-Z][a-z]{2} +\d{1,2} +(\d\d:\d\d|\d{4})\b", "DATE"),
    (r"\b\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z", "TIME"),
    (r"\(\d+\.\d\d s\)", "(SECONDS)"),
    (r"\bwh-[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\b", "EXTERNAL-ID"),
    (r"\bSHA256:[A-Za-z0-9+/]{43}", "FINGERPRINT"),
]


@dataclass
class Command:
    """A command of a transcript, and the lines that the document shows below it."""

    line: str
    shown: list[str] = field(default_factory=list)

    def typed(self):
        """Returns the lines for sftp's own prompt. sftp echoes input that isn't a terminal's, so they are output
        too."""
        return [line.removeprefix(SFTP_PROMPT) for line in self.shown if line.startswith(SFTP_PROMPT)]


def commands(document, section):
    """Returns the commands of the console blocks below a heading of a document."""
    _, _, rest = (ROOT / document).read_text().partition(f"\n## {section}\n")
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


def comparable(text):
    """Returns the lines of a text without what is random or depends on the day or on the terminal's width."""
    for pattern, word in RANDOM:
        text = re.sub(pattern, word, text)
    return [" ".join(line.split()) for line in text.splitlines()]


class TranscriptCase(unittest.TestCase):
    """Runs the commands of a document as they are printed, in an empty directory."""

    def setUp(self):
        home = tempfile.TemporaryDirectory(prefix="wharfinger-transcript-")
        self.addCleanup(home.cleanup)
        self.home, self.directory = Path(home.name), Path(home.name) / "directory"
        self.directory.mkdir()
        own = {name: value for name, value in os.environ.items() if not name.startswith(FOREIGN)}
        self.environment = own | {"HOME": home.name, "LC_ALL": "C.UTF-8"}
        # Words of the document that another one stands for in this run.
        self.replaced = {}

    def here(self, text):
        """Replaces the words that differ in this run."""
        for word, own in self.replaced.items():
            text = re.sub(rf"\b{word}\b", own, text)
        return text

    def start(self, command, arguments, directory):
        """Starts the server with these arguments, in a terminal of its own. The document shows some lines of its
        output."""
        server = Process([wharfinger(), *arguments], cwd=directory, env=self.environment)
        self.addCleanup(server.close)
        for line in comparable(self.here("\n".join(command.shown))):
            server.until(lambda: line in comparable(server.log_text()), f"the line {line!r}")
        return server

    def run_as_printed(self, command, status=0):
        """Runs a command, whose output must be the one that the document shows."""
        line = self.here(command.line)
        done = subprocess.run(
            ["bash", "-c", line],
            input="".join(typed + "\n" for typed in command.typed()),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=TIMEOUT,
            cwd=self.directory,
            env=self.environment,
        )
        said = f"{line}\n{done.stdout}"
        self.assertEqual(comparable(self.here("\n".join(command.shown))), comparable(done.stdout), said)
        self.assertEqual(status, done.returncode, said)
