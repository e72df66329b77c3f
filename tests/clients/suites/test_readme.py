"""The tour of README.md as a new user types it: each printed command, and the output that the README shows.

Three things are replaced: the build (`cargo run --release --`) by the built binary, 2222 by a free port, and PORT by
the port of the S3 that the demo printed.
"""

import re
import shutil

from rig.ports import free_port
from rig.servers import ROOT
from rig.transcript import TranscriptCase, commands

BUILD = "cargo run --release -- "


class Tour(TranscriptCase):
    def setUp(self):
        super().setUp()
        self.port = str(free_port())
        self.replaced["2222"] = self.port
        for name in ("LICENSE", "README.md", "config"):
            copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
            copy(ROOT / name, self.directory / name)
        settings = self.directory / "config" / "demo.ssh_config"
        settings.write_text(self.here(settings.read_text()))

    def test_the_tour_goes_as_the_readme_says(self):
        tour = commands("README.md", "Five minutes")
        self.assertGreater(len(tour), 7)
        self.assertIn("reput big.bin", sum((command.typed() for command in tour), []))
        for command in tour:
            if command.line.startswith(BUILD):
                # The README shows the end of the demo's output.
                arguments = command.line.removeprefix(BUILD).split()
                self.demo = self.start(command, [*arguments, "--port", self.port], self.directory)
                self.replaced["PORT"] = re.search(r"endpoint http://127\.0\.0\.1:(\d+)", self.demo.log_text())[1]
            elif command.line.startswith("timeout "):
                self.run_as_printed(command, status=124)
                # A person takes longer to type the next command than the server takes to notice.
                self.demo.until(lambda: "file abandoned" in self.demo.log_text(), "the end of the cut upload")
            else:
                self.run_as_printed(command)
        self.assert_resumed("/big.bin", (self.directory / "big.bin").stat().st_size)

    def assert_resumed(self, path, size):
        """Checks that the resumed upload sent a part of the file, and not all of it."""
        closed = [line for line in self.demo.log_text().splitlines() if "file closed" in line and f'path="{path}"' in line]
        (upload,) = [line for line in closed if "transfer=upload" in line]
        sent = int(re.search(r"\bbytes=(\d+)", upload)[1])
        self.assertTrue(0 < sent < size, upload)
