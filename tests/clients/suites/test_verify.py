"""`wharfinger tenant verify`, judged by ministack and SeaweedFS: accounts that are right, and accounts that are wrong in one
way."""

import json
import signal
import subprocess
import tempfile
import unittest
from pathlib import Path

from rig import keys
from rig.exchange import Exchange, verify
from rig.seaweedfs import ACCESS_KEY_ID, BUCKET, SECRET_ACCESS_KEY, TENANTS_ROLE, SeaweedFs
from rig.servers import wharfinger
from rig.tenant_files import replace

# ministack ignores `x-amz-expected-bucket-owner`.
IGNORED = {"owner"}


def everyone(trust_policy, principal):
    """Returns the trust policy with everyone in the place of the principal."""
    text = json.dumps(trust_policy)
    if json.dumps(principal) not in text:
        raise AssertionError(text)
    return json.loads(text.replace(json.dumps(principal), '"*"'))


class VerifiedAccount(unittest.TestCase):
    def setUp(self):
        directory = tempfile.TemporaryDirectory(prefix="wharfinger-verify-")
        self.addCleanup(directory.cleanup)
        name = self._testMethodName.removeprefix("test_").replace("_", "-")
        self.exchange = Exchange(Path(directory.name), f"verified-{name}")
        self.addCleanup(self.exchange.close)
        self.name, self.account = self.exchange.name, self.exchange.account
        self.documents = self.exchange.documents()
        self.other = f"{self.name}-other"
        self.exchange.bucket.create_bucket(Bucket=self.other)

    def verify(self, *options):
        """Returns the steps that failed, by their names, and those that weren't proved for another reason."""
        self.report, status = verify(self.exchange.config, "--other-bucket", self.other, *options)
        failed = {it["step"]: it for it in self.report["steps"] if it["outcome"] == "failed"}
        self.assertEqual((0, True) if not failed else (1, False), (status, self.report["proved"]))
        for it in failed.values():
            self.assertTrue(it["cause"] and it["cure"], it)
        return failed, {it["step"] for it in self.report["steps"] if it["outcome"] in ("accepted", "not_tried")}

    def test_an_account_that_is_right(self):
        self.exchange.bucket.put_object(Bucket=self.name, Key="sftp/own", Body=b"own")
        failed, others = self.verify()
        self.assertEqual((IGNORED, {"checksum"}), (set(failed), others))
        self.assertEqual(25, len(self.report["steps"]))
        self.assertEqual(([], ["sftp/own"]), (self.report["left"], self.exchange.keys()))
        failed, others = self.verify("--read-only")
        self.assertEqual((IGNORED, set()), (set(failed), others))
        self.assertEqual(["sftp/own"], self.exchange.keys())

    def test_a_trust_policy_without_the_external_id(self):
        for statement in self.documents["role"]["trust_policy"]["Statement"]:
            del statement["Condition"]
        self.account.set_trust(self.name, self.documents["role"]["trust_policy"])
        failed, _ = self.verify()
        self.assertEqual({"no_external_id", "wrong_external_id"} | IGNORED, set(failed))
        self.assertIn("must name the server alone, and require `sts:ExternalId`", failed["no_external_id"]["cure"])

    def test_a_trust_policy_that_admits_everyone(self):
        # Unlike AWS, ministack asks the role's own policy too.
        ask = {"Effect": "Allow", "Action": "sts:*", "Resource": "*"}
        self.documents["permissions_policy"]["Statement"].append(ask)
        self.account.set_permissions(self.name, self.documents["permissions_policy"])
        self.assertEqual(IGNORED, set(self.verify()[0]))
        self.account.set_trust(self.name, everyone(self.documents["role"]["trust_policy"], self.exchange.principal))
        failed, _ = self.verify()
        self.assertEqual({"other_identity"} | IGNORED, set(failed))
        self.assertIn("admits more than the server", failed["other_identity"]["cause"])

    def test_a_policy_without_an_action(self):
        for action, step in (("s3:DeleteObject", "delete"), ("s3:AbortMultipartUpload", "abort"), ("s3:GetObject", "get")):
            with self.subTest(action):
                policy = json.loads(json.dumps(self.documents["permissions_policy"]))
                for statement in policy["Statement"]:
                    statement["Action"] = [it for it in statement["Action"] if it != action] or ["s3:GetObjectVersion"]
                self.account.set_permissions(self.name, policy)
                failed, _ = self.verify()
                self.assertIn(f"must allow {action} below the tenant's prefix", failed[step]["cure"])

    def test_a_policy_for_another_prefix(self):
        policy = json.dumps(self.documents["permissions_policy"]).replace("sftp/", "ftp/")
        self.account.set_permissions(self.name, json.loads(policy))
        failed, _ = self.verify()
        self.assertEqual({"listing", "put", "multipart", "abort"}, set(failed) - {"clean_up"} - IGNORED)
        self.assertIn("must allow s3:ListBucket below the tenant's prefix", failed["listing"]["cure"])
        self.assertEqual(([], []), (self.report["left"], self.exchange.keys()))

    def test_a_public_bucket(self):
        bucket = self.exchange.bucket
        bucket.delete_public_access_block(Bucket=self.name)
        everyone_reads = {
            "Effect": "Allow",
            "Principal": "*",
            "Action": ["s3:GetObject"],
            "Resource": f"arn:aws:s3:::{self.name}/*",
        }
        document = json.dumps({"Version": "2012-10-17", "Statement": [everyone_reads]})
        bucket.put_bucket_policy(Bucket=self.name, Policy=document)
        failed, _ = self.verify()
        self.assertEqual({"public_access"} | IGNORED, set(failed))
        self.assertIn("block public access", failed["public_access"]["cure"])

    def test_one_that_is_ended_cleans_up(self):
        command = [wharfinger(), "tenant", "verify", "globex", "--config", self.exchange.config]
        for end in ("signal", "closed pipe"):
            with self.subTest(end):
                streams = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
                with subprocess.Popen(command, **streams, text=True) as process:
                    self.assertIn("the server's identity", process.stdout.readline())
                    if end == "signal":
                        process.send_signal(signal.SIGTERM)
                        self.assertIn("globex: stopped\n", process.stdout.read())
                    else:
                        process.stdout.close()
                    errors = process.stderr.read()
                    self.assertEqual(1, process.wait(timeout=60), errors)
                self.assertNotIn("panicked", errors)
                self.assertEqual([], self.exchange.keys())
                uploads = self.exchange.bucket.list_multipart_uploads(Bucket=self.name)
                self.assertEqual([], uploads.get("Uploads", []))

    def test_a_role_that_is_not_there(self):
        iam = self.account.root("iam")
        iam.delete_role_policy(RoleName=self.name, PolicyName="wharfinger")
        iam.delete_role(RoleName=self.name)
        failed, others = self.verify()
        self.assertIn("can't be assumed", failed["role"]["cause"])
        self.assertIn("put", others)


class SecondOpinion(unittest.TestCase):
    """SeaweedFS holds to session policies, and ignores external IDs."""

    def test_a_session_reaches_its_prefix_alone(self):
        weed = SeaweedFs.shared()
        directory = tempfile.TemporaryDirectory(prefix="wharfinger-verify-")
        self.addCleanup(directory.cleanup)
        config = Path(directory.name) / "wharfinger.toml"
        (config.parent / "tenants").mkdir()
        replace(config, "")
        replace(config.parent / "tenants" / "s3.secret", SECRET_ACCESS_KEY)
        replace(
            config.parent / "tenants" / "globex.toml",
            f"""name = "globex"
[storage]
bucket = "{BUCKET}"
prefix = "verified/"
region = "us-east-1"
endpoint = "{weed.endpoint}"
path_style = true
[storage.assume_role]
role_arn = "{TENANTS_ROLE}"
external_id = "wh-no-store-but-aws-asks-for-it"
sts_endpoint = "{weed.endpoint}"
[storage.credentials]
access_key_id = "{ACCESS_KEY_ID}"
secret_access_key_file = "s3.secret"
[[users]]
name = "bob"
public_keys_file = "{keys.key()}.pub"
""",
        )
        weed.client("s3").create_bucket(Bucket="not-globex")
        report, status = verify(config, "--other-bucket", "not-globex")
        open_role = {"no_external_id": "accepted", "wrong_external_id": "accepted", "other_identity": "accepted"}
        outcomes = {it["step"]: it["outcome"] for it in report["steps"] if it["outcome"] != "proved"}
        self.assertEqual({"identity": "not_tried"} | open_role, outcomes)
        self.assertEqual((0, [], 24), (status, report["left"], len(report["steps"])))
