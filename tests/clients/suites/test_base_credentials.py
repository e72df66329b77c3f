"""The server's own credentials, with which it assumes roles: an access key, or any source that the AWS tools use. Each
source gives the same temporary credentials, which SeaweedFS's STS accepts for a role."""

import os
import tempfile
from pathlib import Path

from rig.case import ServerCase
from rig.files import LEAST_PART, make, sha256
from rig.metadata import AUTHORIZATION, ROLE, WEB_IDENTITY_TOKEN, Metadata
from rig.seaweedfs import ACCESS_KEY_ID, BUCKET, SECRET_ACCESS_KEY, TENANTS_ROLE, SeaweedFs
from rig.servers import Serve, Store


def temporary():
    """Returns credentials that are useless without their token."""
    sts = SeaweedFs.shared().client("sts")
    return sts.assume_role(RoleArn=TENANTS_ROLE, RoleSessionName="server")["Credentials"]


class BaseCredentials:
    """The tests. Each subclass defines its source."""

    SHARED = None
    # A request that the source must have received, if it is a server.
    ASKED = None

    @classmethod
    def start(cls):
        cls.files = tempfile.TemporaryDirectory(prefix="wharfinger-credentials-")
        cls.metadata = Metadata(temporary())
        environment = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
        environment |= {"HOME": cls.files.name, "AWS_EC2_METADATA_DISABLED": "true"}
        environment |= cls.environment(Path(cls.files.name), cls.metadata)
        store = Store(SeaweedFs.shared().endpoint, BUCKET, access_key_id=None, role_arn=TENANTS_ROLE)
        return Serve(store, prefix=cls.__name__, env=environment)

    @classmethod
    def tearDownClass(cls):
        super().tearDownClass()
        cls.metadata.close()
        cls.files.cleanup()

    def test_what_is_put_comes_back(self):
        for size in (100, 2 * LEAST_PART):
            with self.subTest(size=size):
                sent = make(self.local / "file", size)
                self.openssh.sftp(f"put {self.local}/file", f"get file {self.local}/back", "rm file")
                self.assertEqual(sent, sha256(self.local / "back"))
        if self.ASKED is None:
            self.assertEqual([], self.metadata.asked)
        else:
            self.assertIn(self.ASKED, self.metadata.asked)


class Environment(BaseCredentials, ServerCase):
    @classmethod
    def environment(cls, here, metadata):
        return {
            "AWS_ACCESS_KEY_ID": metadata.credentials["AccessKeyId"],
            "AWS_SECRET_ACCESS_KEY": metadata.credentials["SecretAccessKey"],
            "AWS_SESSION_TOKEN": metadata.credentials["SessionToken"],
        }


class Profile(BaseCredentials, ServerCase):
    @classmethod
    def environment(cls, here, metadata):
        (here / ".aws").mkdir()
        (here / ".aws" / "credentials").write_text(
            "[vendor]\n"
            f"aws_access_key_id = {metadata.credentials['AccessKeyId']}\n"
            f"aws_secret_access_key = {metadata.credentials['SecretAccessKey']}\n"
            f"aws_session_token = {metadata.credentials['SessionToken']}\n"
        )
        return {"AWS_PROFILE": "vendor"}


class WebIdentity(BaseCredentials, ServerCase):
    ASKED = "POST /"

    @classmethod
    def environment(cls, here, metadata):
        (here / "token").write_text(WEB_IDENTITY_TOKEN)
        return {
            "AWS_WEB_IDENTITY_TOKEN_FILE": str(here / "token"),
            "AWS_ROLE_ARN": ROLE,
            "AWS_ENDPOINT_URL_STS": metadata.endpoint,
        }


class Container(BaseCredentials, ServerCase):
    ASKED = "GET /container"

    @classmethod
    def environment(cls, here, metadata):
        return {
            "AWS_CONTAINER_CREDENTIALS_FULL_URI": f"{metadata.endpoint}/container",
            "AWS_CONTAINER_AUTHORIZATION_TOKEN": AUTHORIZATION,
        }


class Instance(BaseCredentials, ServerCase):
    ASKED = "GET /latest/meta-data/iam/security-credentials/server"

    @classmethod
    def environment(cls, here, metadata):
        return {"AWS_EC2_METADATA_DISABLED": "false", "AWS_EC2_METADATA_SERVICE_ENDPOINT": metadata.endpoint}


class AccessKey(BaseCredentials, ServerCase):
    @classmethod
    def start(cls):
        cls.files = tempfile.TemporaryDirectory(prefix="wharfinger-credentials-")
        cls.metadata = Metadata(None)
        store = Store(SeaweedFs.shared().endpoint, BUCKET, ACCESS_KEY_ID, SECRET_ACCESS_KEY, TENANTS_ROLE)
        return Serve(store, prefix=cls.__name__)
