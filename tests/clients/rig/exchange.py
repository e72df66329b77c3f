"""A server whose tenant has its role and bucket in another account of ministack. The tenant installed the documents
that `wharfinger tenant policy` prints."""

import json
import subprocess
from pathlib import Path

from . import keys
from .ministack import Ministack
from .ports import free_port
from .process import until
from .recorded_sts import RecordedSts
from .servers import Server, wharfinger
from .tenant_files import replace

SERVERS_ACCOUNT, TENANTS_ACCOUNT = "111122223333", "444455556666"
EXTERNAL_ID = "wh-c2a4d0de-3a55-4a25-8a3c-27f2a1c3b9d4"
ASSUME = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "sts:AssumeRole", "Resource": "*"}]}


def verify(config, *options):
    """Runs `wharfinger tenant verify` for the tenant globex. Returns its report, and its exit status."""
    done = subprocess.run(
        [wharfinger(), "tenant", "verify", "globex", "--json", *options, "--config", config],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=300,
    )
    if not done.stdout:
        raise AssertionError(done.stderr)
    return json.loads(done.stdout), done.returncode


class Exchange(Server):
    """`wharfinger serve` for the tenant globex, with the role and the bucket `name` in the tenant's account. The role
    is installed, and the server isn't started yet."""

    user = "bob"

    def __init__(self, directory, name):
        self.directory, self.name = Path(directory), name
        self.aws = Ministack.shared()
        self.account = self.aws.account(TENANTS_ACCOUNT)
        self.bucket = self.account.root("s3")
        self.bucket.create_bucket(Bucket=name)
        servers = self.aws.account(SERVERS_ACCOUNT)
        self.principal = servers.user_arn(name)
        self.access_key_id, self.secret = servers.add_user(name, ASSUME)
        self.sts = RecordedSts(self.aws.endpoint)
        self.role_arn = f"arn:aws:iam::{TENANTS_ACCOUNT}:role/{name}"
        for directory in ("tenants", "keys"):
            (self.directory / directory).mkdir(mode=0o755)
        self.ssh_port = free_port()
        self.config = self.directory / "wharfinger.toml"
        replace(self.directory / "tenants" / "s3.secret", self.secret)
        replace(
            self.config,
            f'server_principal = "{self.principal}"\n[ssh]\nlisten = ["127.0.0.1:{self.ssh_port}"]\n'
            'host_keys = { directory = "keys", kinds = ["ed25519"] }\n',
        )
        self.write_tenant(EXTERNAL_ID)
        self.account.install(self.documents())

    def start(self):
        super().__init__([wharfinger(), "serve", "--config", self.config], self.ssh_port)
        return self

    def write_tenant(self, external_id):
        public_keys = f'public_keys_file = "{keys.key()}.pub"\n'
        replace(
            self.directory / "tenants" / "globex.toml",
            f"""name = "globex"
[storage]
bucket = "{self.name}"
prefix = "sftp/"
region = "us-east-1"
endpoint = "{self.aws.endpoint}"
path_style = true
checksums = "when_required"
expected_bucket_owner = "{TENANTS_ACCOUNT}"
[storage.assume_role]
role_arn = "{self.role_arn}"
external_id = "{external_id}"
sts_endpoint = "{self.sts.endpoint}"
session_tags = true
accept_role_without_external_id = false
[storage.credentials]
access_key_id = "{self.access_key_id}"
secret_access_key_file = "s3.secret"
[[users]]
name = "bob"
{public_keys}
[[users]]
name = "carol"
permissions = ["read", "list"]
{public_keys}""",
        )

    def command(self, *arguments):
        done = subprocess.run(
            [wharfinger(), *arguments, "--config", self.config],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
        )
        if done.returncode != 0:
            raise AssertionError(f"{arguments}: {done.stderr}")
        return done.stdout

    def documents(self):
        return json.loads(self.command("tenant", "policy", "globex", "--format", "json"))

    def assume(self, external_id, key=None):
        """Assumes the role as the server does, or with another access key. Returns the arguments of
        `Ministack.client`."""
        sts = self.aws.client("sts", *(key or (self.access_key_id, self.secret)))
        tags = [{"Key": "tenant", "Value": "globex"}]
        named = {} if external_id is None else {"ExternalId": external_id}
        answered = sts.assume_role(RoleArn=self.role_arn, RoleSessionName="under-no-policy", Tags=tags, **named)
        granted = answered["Credentials"]
        return {
            "access_key_id": granted["AccessKeyId"],
            "secret_access_key": granted["SecretAccessKey"],
            "session_token": granted["SessionToken"],
        }

    def keys(self):
        return [it["Key"] for it in self.bucket.list_objects_v2(Bucket=self.name).get("Contents", [])]

    def content(self, key):
        return self.bucket.get_object(Bucket=self.name, Key=key)["Body"].read()

    def wait_for_log(self, text):
        until(lambda: text in self.process.log_text(), f"`{text}` in the log")

    def close(self):
        self.sts.close()
        if hasattr(self, "process"):
            super().close()
