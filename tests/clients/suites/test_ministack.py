"""A tenant's role and bucket in another account, judged by ministack. The tenant installed the documents that
`wharfinger tenant policy` prints, and nothing else."""

import botocore.exceptions

from rig.case import ServerCase
from rig.exchange import ASSUME, EXTERNAL_ID, SERVERS_ACCOUNT, Exchange
from rig.files import LEAST_PART, make, sha256, sha256_of
from rig.openssh import OpenSsh
from rig.process import until

ANOTHER_ID = "wh-7b0d4c56-9b4e-4a53-8f57-3f1f0a6d2c11"
# A key of another tenant in the same bucket, whose prefix begins with that of ours without its slash.
SIBLING = "sftp-archive/secret"
SECRET = b"another's secret"
EVERYTHING = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}


def answer(request, **arguments):
    """Returns `done`, or the code of S3's refusal."""
    try:
        request(**arguments)
        return "done"
    except botocore.exceptions.ClientError as error:
        return error.response["Error"]["Code"]


def attempts(s3, bucket, key, own):
    """Yields the requests on an object that exists, each with its name. `own` is a bucket and a key that the session
    may read and write."""
    here, there = {"Bucket": bucket, "Key": key}, {"Bucket": own[0], "Key": own[1]}
    yield "GetObject", lambda: s3.get_object(**here)
    yield "PutObject", lambda: s3.put_object(**here, Body=b"forged")
    yield "copy from it", lambda: s3.copy_object(**there, CopySource=here)
    yield "copy to it", lambda: s3.copy_object(**here, CopySource=there)
    yield "CreateMultipartUpload", lambda: s3.create_multipart_upload(**here)
    yield "ListObjectsV2", lambda: s3.list_objects_v2(Bucket=bucket, Prefix=key)
    yield "DeleteObject", lambda: s3.delete_object(**here)


class ExchangeCase(ServerCase):
    SHARED = None

    @classmethod
    def start(cls):
        return cls.prepare().start()

    @classmethod
    def prepare(cls):
        exchange = Exchange(cls.lasting_directory(), f"exchange-{cls.__name__.lower()}")
        cls.addClassCleanup(exchange.close)
        return exchange

    def session_of(self, user):
        """Returns an S3 client with the credentials that the server got for a session of this user."""
        OpenSsh(self.server, user).sftp("ls")
        granted = self.server.sts.sessions(f"globex.{user}.")
        self.assertEqual([EXTERNAL_ID], list({it.parameters["ExternalId"] for it in granted}))
        return self.server.aws.client("s3", **granted[-1].credentials)

    def assert_is_jailed(self, s3):
        """Nothing outside the tenant's prefix can be touched."""
        bucket, other = self.server.name, f"{self.server.name}-other"
        root = self.server.bucket
        root.create_bucket(Bucket=other)
        root.put_object(Bucket=bucket, Key="sftp/own", Body=b"own")
        for place, key in ((bucket, SIBLING), (bucket, "secret"), (bucket, "sftp"), (other, "sftp/secret")):
            root.put_object(Bucket=place, Key=key, Body=SECRET)
            for name, attempt in attempts(s3, place, key, (bucket, "sftp/own")):
                self.assertEqual("AccessDenied", answer(attempt), f"{name}, {place}/{key}")
            self.assertEqual(SECRET, root.get_object(Bucket=place, Key=key)["Body"].read())
            root.delete_object(Bucket=place, Key=key)
        for prefix in ({}, {"Prefix": ""}, {"Prefix": "/"}, {"Prefix": "sftp"}, {"Prefix": "sftp-"}):
            self.assertEqual("AccessDenied", answer(s3.list_objects_v2, Bucket=bucket, **prefix), prefix)
        self.assertEqual("AccessDenied", answer(s3.list_buckets))
        for request in (s3.get_bucket_policy, s3.get_bucket_acl, s3.list_object_versions, s3.delete_bucket):
            self.assertEqual("AccessDenied", answer(request, Bucket=bucket), request)

    def outcomes(self, s3):
        """Returns what each attempt on the tenant's own file comes to."""
        own = (self.server.name, "sftp/own")
        self.server.bucket.put_object(Bucket=own[0], Key=own[1], Body=b"own")
        return {name: answer(attempt) for name, attempt in attempts(s3, *own, own)}


class PrintedPolicies(ExchangeCase):
    """The role that the tenant installed from the printed documents."""

    def test_files_go_both_ways(self):
        for size in (0, 100, 2 * LEAST_PART):
            with self.subTest(size=size):
                sent = make(self.local / "file", size)
                self.openssh.sftp("mkdir out", f"put {self.local}/file out/file", f"get out/file {self.local}/back")
                self.assertEqual(sent, sha256(self.local / "back"))
                self.assertEqual(sent, sha256_of(self.server.content("sftp/out/file")))
                self.openssh.sftp("rename out/file out/renamed", "rename out moved")
                listed = self.openssh.sftp("ls -1 moved").stdout
                self.assertEqual(["moved/renamed"], listed.split())
                self.assertEqual(sent, sha256_of(self.server.content("sftp/moved/renamed")))
                self.openssh.sftp("rm moved/renamed", "rmdir moved")
                self.assertEqual([], [key for key in self.server.keys() if key.startswith("sftp/moved")])
        self.assertEqual([], [key for key in self.server.keys() if not key.startswith(("sftp/", SIBLING))])

    def test_the_role_alone_reaches_the_prefix_alone(self):
        # A thief of the server's key and of the tenant's file can get this session.
        s3 = self.server.aws.client("s3", **self.server.assume(EXTERNAL_ID))
        self.assert_is_jailed(s3)
        self.assertEqual({"done"}, set(self.outcomes(s3).values()))

    def test_nobody_gets_the_role_but_the_server_with_the_external_id(self):
        for external_id in (None, "wh-another"):
            self.assertEqual("AccessDenied", answer(lambda: self.server.assume(external_id)))
        stranger = self.server.aws.account("999999999999").add_user(f"stranger-{self.id()}", ASSUME)
        self.assertEqual("AccessDenied", answer(lambda: self.server.assume(EXTERNAL_ID, key=stranger)))
        neighbour = self.server.aws.account(SERVERS_ACCOUNT).add_user(f"neighbour-{self.id()}", ASSUME)
        self.assertEqual("AccessDenied", answer(lambda: self.server.assume(EXTERNAL_ID, key=neighbour)))
        self.assertEqual("done", answer(lambda: self.server.assume(EXTERNAL_ID)))


class WideRole(ExchangeCase):
    """The role's owner gave it everything, so the session policy stands alone."""

    @classmethod
    def start(cls):
        exchange = cls.prepare()
        exchange.account.set_permissions(exchange.name, EVERYTHING)
        return exchange.start()

    def test_a_session_reaches_its_prefix_alone(self):
        s3 = self.session_of("bob")
        self.assert_is_jailed(s3)
        self.assertEqual({"done"}, set(self.outcomes(s3).values()))
        self.assertEqual("AccessDenied", answer(s3.list_multipart_uploads, Bucket=self.server.name))

    def test_a_session_that_may_read_can_do_nothing_else(self):
        s3 = self.session_of("carol")
        self.assert_is_jailed(s3)
        allowed = {name for name, outcome in self.outcomes(s3).items() if outcome == "done"}
        self.assertEqual({"GetObject", "ListObjectsV2"}, allowed)

    def test_the_role_alone_reaches_everything(self):
        s3 = self.server.aws.client("s3", **self.server.assume(EXTERNAL_ID))
        self.assertEqual("done", answer(s3.list_objects_v2, Bucket=self.server.name))


class WrongExternalId(ExchangeCase):
    def test_the_user_gets_in_and_reaches_nothing(self):
        self.server.write_tenant(ANOTHER_ID)
        self.server.command("reload")
        make(self.local / "file", 100)
        refused = self.openssh.sftp(f"put {self.local}/file", check=False)
        self.assertEqual(1, refused.returncode)
        self.assertEqual([], self.server.keys())
        log = self.server.process.log_text()
        self.assertIn("can't be assumed", log)
        for text in (refused.stdout + refused.stderr, log):
            self.assertNotIn(ANOTHER_ID, text)
        self.assertNotIn(self.server.role_arn, refused.stdout + refused.stderr)
        self.server.write_tenant(EXTERNAL_ID)
        self.server.command("reload")
        self.openssh.sftp(f"put {self.local}/file")
        self.assertEqual(["sftp/file"], self.server.keys())


class OpenRole(ExchangeCase):
    """The role's owner forgot the condition, or wrote one that other external IDs satisfy. The server finds it, and
    lets nobody in until the role is mended."""

    CONDITION = None
    GRANTED = "without an external ID"

    @classmethod
    def start(cls):
        exchange = cls.prepare()
        trust = exchange.documents()["role"]["trust_policy"]
        for statement in trust["Statement"]:
            del statement["Condition"]
            if cls.CONDITION:
                statement["Condition"] = cls.CONDITION
        exchange.account.set_trust(exchange.name, trust)
        return exchange.start()

    def test_logins_are_refused_until_the_trust_policy_is_mended(self):
        self.server.wait_for_log("role is open: logins of the tenant's users are unavailable")
        self.assertIn(self.GRANTED, self.server.process.log_text())
        refused = self.openssh.sftp("ls", check=False)
        self.assertEqual(255, refused.returncode)
        self.assertIn("Permission denied", refused.stderr)
        self.server.wait_for_log("the tenant's role is open: its trust policy must require the external ID")
        probes = self.server.sts.sessions("globex.-probe.")
        self.assertEqual(1, len(probes))
        self.assertEqual("AccessDenied", answer(self.server.aws.client("s3", **probes[0].credentials).list_buckets))
        # The verdict is about the role and its external ID. Another ID has none yet, so the server asks at once.
        self.server.write_tenant(ANOTHER_ID)
        self.server.account.set_trust(self.server.name, self.server.documents()["role"]["trust_policy"])
        asked = len(self.server.sts.requests)
        self.server.command("reload")
        self.openssh.sftp("mkdir out")
        until(lambda: len(self.server.sts.requests) >= asked + 3, "two probes and a session")
        self.assertEqual(["sftp/out/"], self.server.keys())
        self.assertEqual(1, len(self.server.sts.sessions("globex.-probe.")))


class RoleOpenToAnyId(OpenRole):
    CONDITION = {"StringLike": {"sts:ExternalId": "wh-*"}}
    GRANTED = "with a wrong external ID"


del ExchangeCase
