"""The transcript of docs/onboarding.md as a new user types it: from an empty directory to a customer's bucket whose role is
proved, and a file in it, on the demo's AWS. Each command runs as printed, with the output that the document shows, with the
AWS CLI and OpenSSH's own client.

Replaced are ports alone: those of the two servers, which the document names, by free ones, and PORT by the port of the AWS
that the demo printed.
"""

import os
import re
import sys
import time
from pathlib import Path

from rig.ports import free_ports
from rig.servers import wharfinger
from rig.transcript import TranscriptCase, commands

# Commands that don't end. Each has a terminal of its own.
DEMO, SERVE = "wharfinger demo", "wharfinger serve --config wharfinger.toml"
MINUTES = 5
AWS_CLI = Path(sys.executable).parent / "aws"


class Onboarding(TranscriptCase):
    def setUp(self):
        super().setUp()
        tools = self.home / "tools"
        tools.mkdir()
        (tools / "wharfinger").symlink_to(wharfinger().resolve(strict=True))
        (tools / "aws").symlink_to(AWS_CLI.resolve(strict=True))
        self.environment["PATH"] = f"{tools}:{os.environ['PATH']}"
        self.replaced |= dict(zip(("2222", "2223"), map(str, free_ports(2))))

    def test_nothing_becomes_a_proved_bucket_within_five_minutes(self):
        began = time.monotonic()
        transcript = commands("docs/onboarding.md", "From nothing to proven")
        verify = [command for command in transcript if command.line.startswith("wharfinger tenant verify globex ")]
        self.assertEqual(["globex: proved"], [command.shown[-1] for command in verify])
        self.assertEqual([DEMO, SERVE], [command.line for command in transcript if command.line in (DEMO, SERVE)])
        for command in transcript:
            if command.line == DEMO:
                demo = self.start(command, ["demo", "--port", self.replaced["2222"]], self.home)
                self.replaced["PORT"] = re.search(r"endpoint http://127\.0\.0\.1:(\d+)", demo.log_text())[1]
            elif command.line == SERVE:
                self.start(command, SERVE.split()[1:], self.directory)
            else:
                self.run_as_printed(command)
        self.assertLess(time.monotonic() - began, MINUTES * 60)
