"""Users of AWS Transfer Family and of SFTPGo are imported, and log in with the credentials that they had.

The JSON of Transfer Family is checked against AWS's own description of it.
"""

import datetime
import json
import os
import re
import subprocess
import tempfile
import unittest
from pathlib import Path

import botocore.session
from botocore.loaders import Loader
from botocore.stub import Stubber

from rig import keys
from rig.case import ServerCase
from rig.fake_aws import BUCKET, FakeAws, FakeAwsCase
from rig.files import LEAST_PART, make, sha256, sha256_of
from rig.openssh import OpenSsh
from rig.ports import free_port
from rig.servers import ROOT, Server, password_hash, wharfinger

DOCUMENTS = ROOT / "src" / "onboarding" / "import" / "documents.rs"
# The structs that have another name than AWS's shape. Each of the three commands has a shape of its own.
SHAPES = {
    "TransferDocument": ["DescribeServerResponse", "ListUsersResponse", "DescribeUserResponse"],
    "HomeDirectoryMapping": ["HomeDirectoryMapEntry"],
    "UserTag": ["Tag"],
}


def members(body):
    """Returns the names in JSON of a struct's fields."""
    fields = re.findall(r'(?:#\[serde\(rename = "(\w+)"\)\]\s+)?pub\(super\) (\w+):', body)
    return {renamed or "".join(word.title() for word in field.split("_")) for renamed, field in fields}


class TransferFamilyShapes(unittest.TestCase):
    def test_each_member_is_in_the_service_model(self):
        shapes = Loader().load_service_model("transfer", "service-2")["shapes"]
        structs = re.findall(r"struct (\w+) \{(.*?)\n\}", DOCUMENTS.read_text(), re.DOTALL)
        self.assertGreater(len(structs), 5)
        for name, body in structs:
            with self.subTest(struct=name):
                known = {member for shape in SHAPES.get(name, [name]) for member in shapes[shape]["members"]}
                self.assertNotEqual(set(), members(body))
                self.assertEqual(set(), members(body) - known)


TRANSFER_SERVER = "s-01234567890abcdef"
SERVERS_ACCOUNT, TENANTS_ACCOUNT = "111122223333", "444455556666"
# The tenant has the name of its bucket.
TENANT = BUCKET


def printed(operation, response, **arguments):
    """Returns the output of a command of `aws transfer`. A response that AWS could not send is an error."""
    transfer = botocore.session.get_session().create_client(
        "transfer", region_name="us-east-1", aws_access_key_id="AK", aws_secret_access_key="secret"
    )
    with Stubber(transfer) as stubber:
        stubber.add_response(operation, response, arguments)
        answer = getattr(transfer, operation)(**arguments)
    answer.pop("ResponseMetadata", None)
    return json.dumps(answer, indent=4, default=datetime.datetime.isoformat) + "\n"


def arn(resource):
    return f"arn:aws:transfer:us-east-1:{TENANTS_ACCOUNT}:{resource}"


def described_server():
    return printed(
        "describe_server",
        {
            "Server": {
                "Arn": arn(f"server/{TRANSFER_SERVER}"),
                "ServerId": TRANSFER_SERVER,
                "Domain": "S3",
                "EndpointType": "PUBLIC",
                "HostKeyFingerprint": "SHA256:0kF0WMrZ5/nRUPOoZ2jWBqs1+cUcsLU4lWBMmxpZ4oE=",
                "IdentityProviderType": "SERVICE_MANAGED",
                "Protocols": ["SFTP"],
                "SecurityPolicyName": "TransferSecurityPolicy-2024-01",
                "State": "ONLINE",
                "UserCount": 2,
            }
        },
        ServerId=TRANSFER_SERVER,
    )


def listed_users(*names):
    users = [{"Arn": arn(f"user/{TRANSFER_SERVER}/{name}"), "UserName": name} for name in names]
    return printed("list_users", {"ServerId": TRANSFER_SERVER, "Users": users}, ServerId=TRANSFER_SERVER)


def described_user(name, kind, **home):
    """Returns the output of `describe-user` for a user with the key of this kind."""
    public_key = {
        "DateImported": datetime.datetime(2025, 3, 1, 12, tzinfo=datetime.UTC),
        "SshPublicKeyBody": Path(f"{keys.key(kind)}.pub").read_text().strip(),
        "SshPublicKeyId": "key-01234567890abcdef",
    }
    user = {
        "Arn": arn(f"user/{TRANSFER_SERVER}/{name}"),
        "UserName": name,
        "Role": f"arn:aws:iam::{TENANTS_ACCOUNT}:role/transfer",
        "SshPublicKeys": [public_key],
        **home,
    }
    response = {"ServerId": TRANSFER_SERVER, "User": user}
    return printed("describe_user", response, ServerId=TRANSFER_SERVER, UserName=name)


def bob():
    targets = {"/": f"/{BUCKET}/home/bob", "/prices": f"/{BUCKET}/shared/prices"}
    mappings = [{"Entry": entry, "Target": target} for entry, target in targets.items()]
    return described_user("bob", "ed25519", HomeDirectoryType="LOGICAL", HomeDirectoryMappings=mappings)


def ann():
    return described_user("ann", "ecdsa", HomeDirectoryType="PATH", HomeDirectory=f"/{BUCKET}/home/ann")


def run(config, *arguments, stdin="", status=0):
    """Runs a command of wharfinger. Returns its stdout and its stderr."""
    done = subprocess.run(
        [wharfinger(), *map(str, arguments), "--config", config],
        input=stdin,
        capture_output=True,
        text=True,
        timeout=60,
    )
    if done.returncode != status:
        raise AssertionError(f"{arguments} ended with {done.returncode}: {done.stdout}\n{done.stderr}")
    return done.stdout, done.stderr


def empty_config(directory, settings=""):
    """Makes a config without tenants. Returns its file."""
    (directory / "tenants").mkdir()
    config = directory / "wharfinger.toml"
    config.write_text(f'control_socket = "{directory}/control.sock"\n{settings}')
    return config


class TransferFamilyFiles(unittest.TestCase):
    def setUp(self):
        directory = tempfile.TemporaryDirectory(prefix="wharfinger-import-")
        self.addCleanup(directory.cleanup)
        self.config = empty_config(Path(directory.name))
        self.file = self.config.parent / "tenants" / f"{TENANT}.toml"

    def run_import(self, *exported, **options):
        more = options.pop("options", ())
        return run(self.config, "import", "transfer-family", "-", *more, stdin="".join(exported), **options)

    def test_a_dry_run_prints_the_file_and_writes_none(self):
        said, notes = self.run_import(described_server(), listed_users("bob", "ann"), bob(), options=["--dry-run"])
        self.assertFalse(self.file.exists())
        self.assertIn(f'name = "{TENANT}"\n', said)
        self.assertIn('{ entry = "/prices", prefix = "shared/prices/" }', said)
        self.assertIn("`ann` is listed, but not described", notes)
        self.assertIn("AWS exports no private host keys", notes)
        # The printed text is the file: only the external ID is another one.
        self.run_import(bob())
        written = re.sub("external_id = .*", "", self.file.read_text())
        self.assertIn(written, re.sub("external_id = .*", "", said))

    def test_users_that_a_file_from_a_partial_export_lacks_are_named(self):
        self.run_import(bob())
        written = self.file.read_text()
        whole = [described_server(), bob(), ann()]
        _, named = self.run_import(*whole, status=1)
        self.assertIn(f"{TENANT}: its file lacks these users, who are left out: ann; add them", named)
        said, _ = self.run_import(*whole, options=["--dry-run"], status=1)
        self.assertIn('[[users]]\nname = "ann"', said)
        # The file's prefix is the whole bucket, because one of bob's mounts is outside his home.
        self.assertIn('prefix = ""\n', written)
        self.assertIn('its prefix ""', said)
        self.assertIn(f'{{ entry = "/{BUCKET}/home/ann", prefix = "home/ann/" }}', said)
        self.assertNotIn('name = "bob"', said)
        self.assertEqual(written, self.file.read_text())

    def test_a_table_to_add_is_below_the_prefix_of_the_file(self):
        self.run_import(described_user("eve", "rsa", HomeDirectory=f"/{BUCKET}/home/eve"), ann())
        self.assertIn('prefix = "home/"\n', self.file.read_text())
        # Their own shared prefix is `home/kim/`, and for both together it is the whole bucket.
        kim = described_user("kim", "ed25519", HomeDirectory=f"/{BUCKET}/home/kim")
        said, _ = self.run_import(kim, options=["--dry-run"], status=1)
        self.assertIn('prefix = "kim/" }', said)
        said, named = self.run_import(kim, bob(), options=["--dry-run"], status=1)
        self.assertIn('prefix = "kim/" }', said)
        self.assertNotIn('name = "bob"', said)
        self.assertIn("who are left out: bob; they have files outside the `prefix` of the file", named)

    def test_a_tenant_of_the_same_name_with_another_role_is_another_one(self):
        self.run_import(ann())
        written = self.file.read_text()
        other = bob().replace(":role/transfer", ":role/another")
        said, named = self.run_import(other, options=["--dry-run"], status=1)
        self.assertIn(f"a tenant `{TENANT}` exists with another role", named)
        self.assertIn("its users are left out: bob", named)
        self.assertNotIn("[[users]]", said)
        self.assertEqual(written, self.file.read_text())

    def test_one_role_in_two_buckets_is_refused_by_name_and_the_others_are_written(self):
        eve = described_user("eve", "rsa", HomeDirectory="/another-bucket/eve")
        for options in (["--dry-run"], []):
            _, named = self.run_import(bob(), eve, options=options, status=1)
            self.assertIn(f"{TENANT} is not imported: the tenant `another-bucket` has the role", named)
            self.assertIn("let the users here have a role of their own", named)
            self.assertIn("its users are left out: bob", named)
        self.assertFalse(self.file.exists())
        self.assertIn('name = "eve"', self.file.with_name("another-bucket.toml").read_text())


def eve():
    """Her session policy has no counterpart, so that she is imported disabled."""
    mappings = [{"Entry": "/", "Target": f"/{BUCKET}/home/eve"}]
    policy = json.dumps({"Version": "2012-10-17", "Statement": []})
    return described_user("eve", "rsa", HomeDirectoryType="LOGICAL", HomeDirectoryMappings=mappings, Policy=policy)


class TransferFamilyMove(ServerCase):
    """A server for an imported tenant, whose role has the documents that `wharfinger tenant policy` prints."""

    SHARED = None

    @classmethod
    def start(cls):
        directory = cls.lasting_directory()
        port = free_port()
        config = empty_config(
            directory,
            f'server_principal = "arn:aws:iam::{SERVERS_ACCOUNT}:user/server"\n'
            f'[ssh]\nlisten = ["127.0.0.1:{port}"]\nhost_keys = {{ directory = "keys", kinds = ["ed25519"] }}\n',
        )
        exported = directory / "export.json"
        exported.write_text(described_server() + listed_users("bob", "ann", "eve") + bob() + ann() + eve())
        said, _ = run(config, "import", "transfer-family", exported)
        assert f"next: `wharfinger tenant policy {TENANT}` prints the trust policy" in said, said
        documents = json.loads(run(config, "tenant", "policy", TENANT, "--format", "json")[0])
        cls.s3 = FakeAws(
            users=[
                {
                    "account": SERVERS_ACCOUNT,
                    "name": "server",
                    "access_key_id": "AKIASERVER",
                    "secret_access_key": "the server's secret",
                }
            ],
            roles=[
                {
                    "account": TENANTS_ACCOUNT,
                    "name": "transfer",
                    "trust": documents["role"]["trust_policy"],
                    "policy": documents["permissions_policy"],
                }
            ],
            buckets=[{"account": TENANTS_ACCOUNT, "name": BUCKET}],
        )
        cls.addClassCleanup(cls.s3.close)
        cls._reach_fake_aws(directory / "tenants" / f"{TENANT}.toml")
        environment = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
        environment |= {"AWS_ACCESS_KEY_ID": "AKIASERVER", "AWS_SECRET_ACCESS_KEY": "the server's secret"}
        return Server([wharfinger(), "serve", "--config", config], port, env=environment)

    @classmethod
    def _reach_fake_aws(cls, file):
        """The tenant is AWS's. Here its hosts are others."""
        endpoint = f'endpoint = "{cls.s3.endpoint}"\n'
        text = file.read_text().replace("\n[storage]\n", f"\n[storage]\n{endpoint}path_style = true\n")
        file.write_text(text.replace("\n[storage.assume_role]\n", f"\n[storage.assume_role]\nsts_{endpoint}"))

    def test_users_log_in_with_their_keys_and_find_their_files(self):
        sent = make(self.local / "file", 2 * LEAST_PART)
        self.s3.objects["shared/prices/list.csv"] = b"1,2,3"
        bob = OpenSsh(self.server, "bob")
        bob.sftp(f"put {self.local}/file", f"get /prices/list.csv {self.local}/list.csv", f"get file {self.local}/back")
        self.assertEqual(sent, sha256_of(self.s3.objects["home/bob/file"]))
        self.assertEqual(sent, sha256(self.local / "back"))
        self.assertEqual(b"1,2,3", (self.local / "list.csv").read_bytes())
        # A home of type PATH: the path that the client had, in which sessions start.
        ann = OpenSsh(self.server, "ann", key=keys.key("ecdsa"))
        self.assertIn(f"/{BUCKET}/home/ann", ann.sftp("pwd").stdout)
        ann.sftp(f"put {self.local}/file /{BUCKET}/home/ann/sent")
        self.assertEqual(sent, sha256_of(self.s3.objects["home/ann/sent"]))

    def test_users_reach_nothing_of_each_other(self):
        self.s3.objects["home/ann/secret"] = b"ann's"
        bob = OpenSsh(self.server, "bob")
        for path in ("/home/ann/secret", f"/{BUCKET}/home/ann/secret", "/../ann/secret"):
            self.assertNotEqual(0, bob.sftp(f"get {path} {self.local}/secret", check=False).returncode)
        ann = OpenSsh(self.server, "ann", key=keys.key("ecdsa"))
        ann.sftp(f"get /{BUCKET}/home/ann/secret {self.local}/secret")
        self.assertEqual(b"ann's", (self.local / "secret").read_bytes())
        refused = OpenSsh(self.server, "bob", key=keys.key("ecdsa")).sftp("ls", check=False)
        self.assertIn("Permission denied", refused.stderr)


    def test_a_user_who_is_imported_disabled_is_refused(self):
        eve = OpenSsh(self.server, "eve", key=keys.key("rsa"))
        self.assertIn("Permission denied", eve.sftp("ls", check=False).stderr)
        # Nothing else is in the way.
        said, _ = run(self.server.process.arguments[-1], "user", "enable", "eve")
        self.assertIn("the server has taken the change", said)
        eve.sftp("ls")


class SftpgoMove(FakeAwsCase):
    """SFTPGo's users are imported while the server runs."""

    def filesystem(self, prefix):
        store = self.s3.store()
        config = {
            "bucket": BUCKET,
            "key_prefix": prefix,
            "region": "us-east-1",
            "access_key": store.access_key_id,
            "access_secret": {"status": "AES-256-GCM", "payload": "encrypted", "key": "key", "mode": 1},
            "endpoint": store.endpoint,
            "force_path_style": True,
        }
        return {"provider": 1, "osconfig": {}, "s3config": config, "gcsconfig": {}, "azblobconfig": {}}

    def user(self, name, **members):
        return {
            "id": 1,
            "status": 1,
            "username": name,
            "home_dir": f"/srv/sftpgo/data/{name}",
            "uid": 0,
            "gid": 0,
            "max_sessions": 0,
            "permissions": {"/": ["*"]},
            "filters": {"hooks": {}, "totp_config": {"secret": {}}},
            "filesystem": self.filesystem(f"sftpgo/{name}/"),
        } | members

    def test_users_log_in_with_their_passwords_and_keys(self):
        public_key = Path(f"{keys.key()}.pub").read_text().strip()
        prices = {"id": 1, "name": "prices", "filesystem": self.filesystem("sftpgo/prices/")}
        bcrypt = "$2a$10$N9qo8uLOickgx2ZMRZoMyeIjZAgcfl7p92ldGxad68LJZdL17lhWy"
        users = [
            self.user("carol", password=password_hash("carol's password")),
            self.user(
                "dave",
                public_keys=[public_key],
                password=bcrypt,
                permissions={"/": ["list", "upload"], "/prices": ["list", "download"], "/sealed": None},
                virtual_folders=[{**prices, "virtual_path": "/prices", "quota_size": -1, "quota_files": -1}],
            ),
            self.user("erin", password=bcrypt),
            self.user("frank", public_keys=[public_key], filesystem={"provider": 0}),
        ]
        dump = json.dumps({"users": users, "groups": [], "folders": [prices], "api_keys": None, "version": 17})
        config = self.server.process.arguments[-1]
        tenants = Path(config).parent / "tenants"
        # The secret is encrypted in the dump: nothing is written without it.
        _, notes = run(config, "import", "sftpgo", "-", stdin=dump, status=1)
        self.assertIn(f"write it to `{TENANT}.secret` in the tenants' directory", notes)
        self.assertIn("its users are left out: carol, dave", notes)
        self.assertFalse((tenants / f"{TENANT}.toml").exists())
        secret = tenants / f"{TENANT}.secret"
        secret.touch(mode=0o600)
        secret.write_text(self.s3.store().secret_access_key)
        said, _ = run(config, "import", "sftpgo", "-", "--dry-run", stdin=dump)
        self.assertIn('password_hash = "hidden: the export has it"', said)
        self.assertNotIn("$argon2id", said)
        said, notes = run(config, "import", "sftpgo", "-", stdin=dump)
        self.assertIn("the server has taken the change", said)
        self.assertIn("`erin` is left out: the hash of its password is one of bcrypt", notes)
        self.assertIn("`dave` is imported with its keys alone", notes)
        self.assertIn("`frank` is left out: its home is on local files, not on S3", notes)
        sent = make(self.local / "file", 100)
        self.s3.objects["sftpgo/prices/list.csv"] = b"1,2,3"
        carol = OpenSsh(self.server, "carol", password="carol's password")
        carol.sftp(f"put {self.local}/file", f"get file {self.local}/back")
        self.assertEqual(sent, sha256_of(self.s3.objects["sftpgo/carol/file"]))
        dave = OpenSsh(self.server, "dave")
        dave.sftp(f"put {self.local}/file", f"get /prices/list.csv {self.local}/list.csv")
        self.assertEqual(b"1,2,3", (self.local / "list.csv").read_bytes())
        sealed = f"put {self.local}/file /sealed/file"
        for beyond in ("get file", f"put {self.local}/file /prices/file", f"put {self.local}/file", sealed):
            self.assertNotEqual(0, dave.sftp(beyond, check=False).returncode, beyond)
