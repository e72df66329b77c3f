"""docs/clients.md names the test that holds each line: those names exist."""

import re
import unittest
from pathlib import Path

from rig.servers import ROOT

SUITES = Path(__file__).resolve().parent


class ClientsDocument(unittest.TestCase):
    def test_every_test_that_it_names_exists(self):
        document = (ROOT / "docs" / "clients.md").read_text()
        sources = {path.stem: path.read_text() for path in SUITES.glob("test_*.py")}
        tests = {name for source in sources.values() for name in re.findall(r"def (test_\w+)", source)}
        named = re.findall(r"`(test_\w+)(…?)`", document)
        self.assertGreater(len(named), 20)
        for name, dots in named:
            with self.subTest(name=name):
                begins = any(test.startswith(name) for test in tests) if dots else name in tests
                self.assertTrue(begins or name in sources)

    def test_every_client_is_either_tested_or_said_not_to_be(self):
        document = (ROOT / "docs" / "clients.md").read_text()
        table = document.partition("## For customers")[2].partition("\n\n")[2].partition("\n\n")[0]
        rows = table.splitlines()[2:]
        self.assertGreater(len(rows), 10)
        for row in rows:
            with self.subTest(row=row):
                self.assertTrue("`test_" in row or "not tested" in row)
