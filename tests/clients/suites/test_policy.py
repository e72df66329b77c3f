"""The documents of `wharfinger tenant policy`, as their users read them: by cfn-lint, an HCL parser and a shell."""

import json
import os
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

import hcl2

from rig.servers import wharfinger

SERVER = "arn:aws:iam::111122223333:role/wharfinger-server"
ROLE = "arn:aws:iam::444455556666:role/exchange/wharfinger"
# A prefix with the letters that are special in policies, in HCL and in a shell.
ODD = "a*b?c$d%{e}${f}\"g\\h'i/é😀/"

KEY = "arn:aws:kms:eu-central-1:444455556666:key/1234abcd-12ab-34cd-56ef-1234567890ab"
# Tenants whose documents differ in shape: prefix, a further setting of `[storage]`, options of the command.
KINDS = [
    ("sftp/", "", []),
    ("", 'source_vpc_endpoints = ["vpce-0123456789abcdef0"]', [f"--kms-key={KEY}"]),
    (ODD, "", ["--permissions=mkdir"]),
]

CFN_LINT = Path(sys.executable).parent / "cfn-lint"

# Stands for the AWS CLI: records its arguments, and answers from the environment.
AWS = """#!{python}
import json, os, sys
with open(os.environ["CALLS"], "a") as calls:
    calls.write(json.dumps(sys.argv[1:]) + "\\n")
if sys.argv[1:3] == ["sts", "get-caller-identity"]:
    print(os.environ["ACCOUNT"])
if sys.argv[1:3] == ["iam", "get-role"]:
    print(os.environ["ROLE"]) if os.environ["ROLE"] else sys.exit(254)
"""


class TenantPolicy(unittest.TestCase):
    def setUp(self):
        directory = tempfile.TemporaryDirectory(prefix="wharfinger-policy-")
        self.addCleanup(directory.cleanup)
        self.directory = Path(directory.name)
        (self.directory / "tenants").mkdir()
        (self.directory / "wharfinger.toml").write_text(f'server_principal = "{SERVER}"\n')

    def tenant(self, prefix="sftp/", more=""):
        (self.directory / "tenants" / "globex.toml").write_text(
            f"""name = "globex"
[storage]
bucket = "globex-exchange"
prefix = {json.dumps(prefix, ensure_ascii=False)}
region = "eu-central-1"
expected_bucket_owner = "444455556666"
{more}
[storage.assume_role]
role_arn = "{ROLE}"
external_id = "wh-c2a4d0de-3a55-4a25-8a3c-27f2a1c3b9d4"
session_tags = true
source_identity = true
"""
        )

    def command(self, *arguments):
        config = self.directory / "wharfinger.toml"
        return subprocess.run(
            [wharfinger(), "tenant", "--config", config, "policy", "globex", *arguments],
            capture_output=True,
            text=True,
            timeout=60,
        )

    def policy(self, form, *arguments):
        done = self.command("--format", form, *arguments)
        self.assertEqual((0, ""), (done.returncode, "".join(self.faults(done.stderr))))
        return done.stdout

    @staticmethod
    def faults(errors):
        return [line for line in errors.splitlines() if not line.startswith("note: ")]

    def test_cfn_lint_accepts_the_template(self):
        for prefix, more, arguments in KINDS:
            with self.subTest(prefix=prefix):
                self.tenant(prefix, more)
                template = self.directory / "template.json"
                template.write_text(self.policy("cloudformation", *arguments))
                lint = [CFN_LINT, "--regions", "eu-central-1", "--include-checks", "I", "--", template]
                done = subprocess.run(lint, capture_output=True, text=True, timeout=120)
                self.assertEqual((0, ""), (done.returncode, done.stdout))

    def test_terraform_reads_the_same_policies(self):
        for prefix, more, arguments in KINDS:
            with self.subTest(prefix=prefix):
                self.tenant(prefix, more)
                every = json.loads(self.policy("json", *arguments))
                text = self.policy("terraform", *arguments)
                parsed = hcl2.loads(text)
                self.assertEqual(5, len(parsed["resource"]), parsed["resource"])
                documents = self.documents_of(text)
                expected = [every["role"]["trust_policy"], every["permissions_policy"], every["bucket"]["policy"]]
                self.assertEqual(expected, documents)

    @staticmethod
    def documents_of(text):
        """Returns the objects that the configuration gives to `jsonencode`. In them HCL is JSON but for two escapes."""
        parts = text.split("jsonencode(")[1:]
        plain = [part.replace("$${", "${").replace("%%{", "%{") for part in parts]
        return [json.JSONDecoder().raw_decode(part)[0] for part in plain]

    def run_script(self, *arguments, text, account="444455556666", role=""):
        """Runs the script with the stand-in for the AWS CLI. Returns the exit code, and the calls of the AWS CLI."""
        tools, calls = self.directory / "tools", self.directory / "calls"
        tools.mkdir(exist_ok=True)
        (tools / "aws").write_text(AWS.format(python=sys.executable))
        (tools / "aws").chmod(0o755)
        calls.write_text("")
        script = self.directory / "globex.sh"
        script.write_text(text)
        environment = {
            "PATH": f"{tools}:{os.environ['PATH']}",
            "CALLS": str(calls),
            "ACCOUNT": account,
            "ROLE": role,
        }
        done = subprocess.run(
            ["sh", script, *arguments], env=environment, capture_output=True, text=True, timeout=60
        )
        return done, [json.loads(line) for line in calls.read_text().splitlines()]

    @staticmethod
    def option(call, name):
        return call[call.index(name) + 1]

    def test_the_script_makes_the_role_or_brings_it_up_to_date(self):
        for prefix, more, arguments in KINDS:
            with self.subTest(prefix=prefix):
                self.tenant(prefix, more)
                every = json.loads(self.policy("json", *arguments))
                text = self.policy("cli", *arguments)
                done, calls = self.run_script(text=text)
                self.assertEqual((0, f"the role is {ROLE}\n", ""), (done.returncode, done.stdout, done.stderr))
                verbs = [call[1] for call in calls]
                self.assertEqual(["get-caller-identity", "get-role", "create-role", "put-role-policy"], verbs)
                create, put = calls[2:]
                named = self.option(create, "--role-name"), self.option(create, "--path")
                self.assertEqual(("wharfinger", "/exchange/"), named)
                trust = json.loads(self.option(create, "--assume-role-policy-document"))
                self.assertEqual(every["role"]["trust_policy"], trust)
                permissions = self.option(put, "--policy-document")
                self.assertTrue(permissions.isascii(), "IAM takes no character above U+00FF")
                self.assertEqual(every["permissions_policy"], json.loads(permissions))
                done, calls = self.run_script("--configure-bucket", text=text, role=ROLE)
                self.assertEqual(0, done.returncode, done.stderr)
                self.assertEqual(
                    [
                        "get-caller-identity",
                        "get-role",
                        "update-assume-role-policy",
                        "put-role-policy",
                        "put-public-access-block",
                        "put-bucket-policy",
                        "put-bucket-lifecycle-configuration",
                    ],
                    [call[1] for call in calls],
                )
                self.assertEqual(every["bucket"]["policy"], json.loads(self.option(calls[5], "--policy")))
                lifecycle = json.loads(self.option(calls[6], "--lifecycle-configuration"))
                self.assertEqual(every["bucket"]["lifecycle"], lifecycle)

    def test_the_script_changes_nothing_in_another_account(self):
        self.tenant()
        done, calls = self.run_script(text=self.policy("cli"), account="999999999999")
        self.assertEqual(1, done.returncode)
        self.assertIn("of the account 999999999999, and the role belongs to 444455556666", done.stderr)
        self.assertEqual([["sts", "get-caller-identity"]], [call[:2] for call in calls])

    def test_the_script_changes_no_other_role_of_the_name(self):
        self.tenant()
        other = "arn:aws:iam::444455556666:role/wharfinger"
        done, calls = self.run_script(text=self.policy("cli"), role=other)
        refusal = f"another role has this name, {other}: nothing was changed\n"
        self.assertEqual((1, refusal), (done.returncode, done.stderr))
        self.assertEqual(["get-caller-identity", "get-role"], [call[1] for call in calls])

    def test_the_script_refuses_an_argument_that_it_does_not_know(self):
        self.tenant()
        for arguments in [["--configure-buckets"], ["--configure-bucket", "now"]]:
            done, calls = self.run_script(*arguments, text=self.policy("cli"))
            self.assertEqual((2, "usage: sh FILE [--configure-bucket]\n", []), (done.returncode, done.stderr, calls))

    def test_letters_that_a_tool_may_spoil_are_said(self):
        self.tenant("café/")
        self.assertNotIn("note: the prefix", self.command("--format", "terraform").stderr)
        self.tenant("文件/")
        for form in ["terraform", "cloudformation"]:
            self.assertIn("note: the prefix has characters", self.command("--format", form).stderr)
        self.assertNotIn("note: the prefix", self.command("--format", "cli").stderr)

    def test_a_missing_fact_is_said(self):
        self.tenant(more='kms_key = "alias/files"')
        done = self.command()
        self.assertEqual((1, ""), (done.returncode, done.stdout))
        self.assertIn("give it with --kms-key", done.stderr)
        self.tenant()
        (self.directory / "wharfinger.toml").write_text("")
        self.assertIn("set `server_principal`", self.command().stderr)
        self.assertEqual("", self.command("--principal", "111122223333").stdout)
        self.assertIn(SERVER, self.command("--principal", SERVER).stdout)
        self.assertIn("note: if the bucket encrypts with a KMS key", self.command("--principal", SERVER).stderr)
