"""ministack: an independent S3, STS and IAM on loopback, in its own virtual environment because it depends on another
botocore than the suites.

It judges each request by the policies of its user, role and session, and each AssumeRole by the trust policy. It
differs from AWS in these ways:

- The access key of an account's root needs no right secret.
- AssumeRole doesn't need the permission of the caller's own account, and ignores a source identity.
- A bucket of another account doesn't exist, `x-amz-expected-bucket-owner` is ignored, and HEAD of a missing key is 404
  under any policy.
- It judges a key without a slash at its end.
- It compares the CRC-64/NVME of an upload in parts with one made from those of the parts."""

import atexit
import functools
import json
import os
import tempfile
import urllib.request
from dataclasses import dataclass
from pathlib import Path

import boto3
import botocore.config

from .ports import free_port
from .process import Process
from .servers import ROOT

PROGRAM = ROOT / ".venv-ministack" / "bin" / "ministack"
REGION = "us-east-1"


class Ministack:
    """A running ministack. Each number of twelve digits is an account, and its root's access key."""

    @classmethod
    @functools.cache
    def shared(cls):
        return cls()

    def __init__(self):
        if not PROGRAM.exists():
            raise FileNotFoundError("ministack isn't installed: run ./scripts/test, which does it")
        # The directory is removed with the interpreter, after the process.
        self.directory = tempfile.TemporaryDirectory(prefix="wharfinger-ministack-")
        here = self.directory.name
        port = free_port()
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": here,
            "TMPDIR": here,
            "STATE_DIR": here,
            "BIND_HOST": "127.0.0.1",
            "GATEWAY_PORT": str(port),
            "AUTH": "true",
        }
        self.endpoint = f"http://127.0.0.1:{port}"
        self.process = Process([PROGRAM], cwd=here, env=environment)
        atexit.register(self.process.close)
        self.process.until(self._is_healthy, "ministack")

    def _is_healthy(self):
        try:
            with urllib.request.urlopen(f"{self.endpoint}/_ministack/health", timeout=10) as answer:
                return json.load(answer)["auth"] == "enabled"
        except OSError:
            return False

    def client(self, service, access_key_id, secret_access_key, session_token=None):
        """Returns boto3's client of a `service`. It tries each request once."""
        return boto3.client(
            service,
            endpoint_url=self.endpoint,
            region_name=REGION,
            aws_access_key_id=access_key_id,
            aws_secret_access_key=secret_access_key,
            aws_session_token=session_token,
            config=botocore.config.Config(retries={"total_max_attempts": 1}),
        )

    def account(self, number):
        return Account(self, number)


@dataclass(frozen=True)
class Account:
    """An account. Its root may do everything."""

    ministack: Ministack
    number: str

    def root(self, service):
        return self.ministack.client(service, self.number, "the secret of a root isn't compared")

    def add_user(self, name, policy):
        """Makes a user with this policy. Returns the access key's id and secret, which ministack compares."""
        iam = self.root("iam")
        iam.create_user(UserName=name)
        iam.put_user_policy(UserName=name, PolicyName="permissions", PolicyDocument=json.dumps(policy))
        key = iam.create_access_key(UserName=name)["AccessKey"]
        return key["AccessKeyId"], key["SecretAccessKey"]

    def user_arn(self, name):
        return f"arn:aws:iam::{self.number}:user/{name}"

    def install(self, documents):
        """Makes the role that `wharfinger tenant policy NAME --format json` prints, as the tenant would."""
        iam, role = self.root("iam"), documents["role"]
        iam.create_role(
            RoleName=role["name"],
            Path=role["path"],
            AssumeRolePolicyDocument=json.dumps(role["trust_policy"]),
        )
        self.set_permissions(role["name"], documents["permissions_policy"])

    def set_permissions(self, role_name, policy):
        document = json.dumps(policy)
        self.root("iam").put_role_policy(RoleName=role_name, PolicyName="wharfinger", PolicyDocument=document)

    def set_trust(self, role_name, trust_policy):
        self.root("iam").update_assume_role_policy(RoleName=role_name, PolicyDocument=json.dumps(trust_policy))
