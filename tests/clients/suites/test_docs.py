"""The documents match the repository: the tests that docs/clients.md names exist, links have targets, and the policies
of docs/onboarding.md hold exactly the actions that sessions need."""

import json
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
    def test_the_customers_role_allows_what_sessions_need_and_no_more(self):
        documents = re.findall(r"```json\n(.*?)```", (ROOT / "docs" / "onboarding.md").read_text(), re.DOTALL)
        trust, permissions, server = (json.loads(document)["Statement"] for document in documents)
        self.assertEqual(["sts:AssumeRole"] * 2, [statement["Action"] for statement in trust + server])
        objects, listing, uploads = permissions
        table = (ROOT / "src" / "cloud" / "iam_policy" / "actions.rs").read_text()
        cells = (row.split("|") for row in re.findall(r"^//! \| (`.*) \|$", table, re.MULTILINE))
        needed = {f"s3:{action}" for row in cells for cell in row[2:] for action in re.findall(r"`(\w+)`", cell)}
        self.assertGreater(len(needed), 7)
        self.assertEqual(sorted(needed), objects["Action"])
        self.assertEqual("s3:ListBucket", listing["Action"])
        self.assertEqual({"StringLike": {"s3:prefix": "sftp/*"}}, listing["Condition"])
        self.assertIn(f'FIND_UPLOADS: &str = "{uploads["Action"]}"', table)
