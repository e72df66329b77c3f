"""`default_chain = true`: the server finds its credentials as the AWS tools do, here in its environment."""

import os

from rig.case import ServerCase
from rig.files import LEAST_PART, make, sha256
from rig.seaweedfs import ACCESS_KEY_ID, BUCKET, SECRET_ACCESS_KEY, SeaweedFs
from rig.servers import Serve, Store


def serve(secret_access_key):
    """Returns a server in front of SeaweedFS whose credentials are only in its environment."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    environment |= {"AWS_ACCESS_KEY_ID": ACCESS_KEY_ID, "AWS_SECRET_ACCESS_KEY": secret_access_key}
    store = Store(SeaweedFs.shared().endpoint, BUCKET, access_key_id=None)
    return Serve(store, prefix="default-chain", env=environment)


class DefaultChain(ServerCase):
    SHARED = None

    @classmethod
    def start(cls):
        return serve(SECRET_ACCESS_KEY)

    def test_what_is_put_comes_back(self):
        for size in (100, 2 * LEAST_PART):
            with self.subTest(size=size):
                sent = make(self.local / "file", size)
                self.openssh.sftp(f"put {self.local}/file", f"get file {self.local}/back", "rm file")
                self.assertEqual(sent, sha256(self.local / "back"))


class WrongDefaultChain(ServerCase):
    SHARED = None

    @classmethod
    def start(cls):
        return serve("another secret")

    def test_the_secret_is_the_environments(self):
        make(self.local / "file", 100)
        self.assertEqual(1, self.openssh.sftp(f"put {self.local}/file", check=False).returncode)
        self.assertIn("SignatureDoesNotMatch", self.server.process.log_text())
