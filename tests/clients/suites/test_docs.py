"""The documents match the repository: the tests that docs/clients.md names exist, links have targets, and the policies
of docs/onboarding.md are those that the command prints."""

import json
import re
import tempfile
import unittest
from pathlib import Path

from rig import programs
from rig.servers import ROOT, wharfinger

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


def headings(document):
    """Returns the anchors of a document, as GitHub makes them."""
    text = re.sub(r"^ *```.*?^ *```", "", document.read_text(), flags=re.MULTILINE | re.DOTALL)
    titles = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


class Links(unittest.TestCase):
    def test_every_link_within_the_repository_leads_somewhere(self):
        documents = [ROOT / "README.md", ROOT / "CHANGELOG.md", *(ROOT / "docs").glob("*.md"), *ROOT.glob("*/README.md")]
        followed = 0
        for document in documents:
            for target in re.findall(r"\]\(([^)\s]+)\)", document.read_text()):
                if re.match(r"\w+:", target):
                    continue
                followed += 1
                with self.subTest(document=document.name, target=target):
                    path, _, anchor = target.partition("#")
                    file = (document.parent / path) if path else document
                    self.assertTrue(file.exists(), "there is no such file")
                    if anchor:
                        self.assertIn(anchor, headings(file))
        self.assertGreater(followed, 40)


class Onboarding(unittest.TestCase):
    def test_the_documents_are_those_of_the_command(self):
        document = (ROOT / "docs" / "onboarding.md").read_text()
        trust, permissions, server = map(json.loads, re.findall(r"```json\n(.*?)```", document, re.DOTALL))
        (tenant,) = re.findall(r"```toml\n(.*?)```", document, re.DOTALL)
        (principal,) = re.findall(r"`(server_principal = .*?)`", document)
        with tempfile.TemporaryDirectory(prefix="wharfinger-onboarding-") as directory:
            config, tenants = Path(directory) / "wharfinger.toml", Path(directory) / "tenants"
            config.write_text(principal)
            tenants.mkdir()
            (tenants / "globex.toml").write_text(tenant)
            printed = programs.run([wharfinger(), "tenant", "policy", "globex", "--config", config], directory)
        documents = json.loads(printed.stdout)
        self.assertEqual(documents["role"]["trust_policy"], trust)
        self.assertEqual(documents["permissions_policy"], permissions)
        self.assertEqual(documents["role"]["server_policy"], server)
