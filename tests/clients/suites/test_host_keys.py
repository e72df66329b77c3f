"""Issue 12.1: the server announces its host keys and proves them, once a connection, so that clients learn new ones."""

import struct

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding

import paramiko

from rig.case import ServerCase
from rig.fake_aws import FakeAws
from rig.servers import Serve

PROVE = "hostkeys-prove-00@openssh.com"


class HostKeys(ServerCase):
    SHARED = None

    @classmethod
    def start(cls):
        s3 = FakeAws()
        cls.addClassCleanup(s3.close)
        return Serve(s3.store())

    def known_hosts(self, *kinds):
        """Writes a file that knows only these kinds of the server's keys."""
        path = self.local / "known_hosts"
        keys = [
            self.run_program("ssh-keyscan", "-p", self.server.port, "-t", kind, self.server.host).stdout.strip()
            for kind in kinds
        ]
        path.write_text("\n".join(keys) + "\n")
        return path

    def test_openssh_learns_the_other_key(self):
        path = self.known_hosts("ed25519")
        self.assertNotIn("ssh-rsa", path.read_text())
        # Of two settings ssh takes the first.
        settings = ["UserKnownHostsFile=" + str(path), "StrictHostKeyChecking=yes", "UpdateHostKeys=yes"]
        options = [word for setting in settings for word in ("-o", setting)]
        self.openssh.sftp("pwd", options=options)
        self.assertIn("ssh-rsa", path.read_text())
        only_rsa = [*options, "-o", "HostKeyAlgorithms=rsa-sha2-512"]
        self.assertIn("/", self.openssh.sftp("pwd", options=only_rsa).stdout)

    def test_the_proof_is_given_once_and_for_announced_keys_alone(self):
        rsa, ed25519 = self.announced("ssh-rsa"), self.announced("ssh-ed25519")
        transport = self.connect()
        answer = transport.global_request(PROVE, data=(rsa, ed25519))
        self.assertIsNotNone(answer)
        self.verify_rsa(transport, rsa, answer.get_binary())
        proof = paramiko.Ed25519Key(data=ed25519)
        self.assertTrue(proof.verify_ssh_sig(self.signed(transport, ed25519), paramiko.Message(answer.get_binary())))
        for later in range(3):
            self.assertIsNone(transport.global_request(PROVE, data=(ed25519,)), later)
        for asked in ((paramiko.ECDSAKey.generate().asbytes(),), (ed25519, ed25519), (b"",)):
            with self.subTest(asked=asked):
                self.assertIsNone(self.connect().global_request(PROVE, data=asked))
        self.assertIn("/", self.openssh.sftp("pwd").stdout)

    def announced(self, kind):
        options = paramiko.Transport((self.server.host, self.server.port))
        self.addCleanup(options.close)
        names = ("rsa-sha2-512",) if kind == "ssh-rsa" else (kind,)
        options.get_security_options().key_types = names
        options.start_client(timeout=60)
        return options.get_remote_server_key().asbytes()

    @staticmethod
    def signed(transport, key):
        fields = (PROVE.encode(), transport.session_id, key)
        return b"".join(struct.pack(">I", len(field)) + field for field in fields)

    def verify_rsa(self, transport, key, signature):
        """Verifies an RSA signature. paramiko's own check accepts only the name of a negotiated host key."""
        message = paramiko.Message(signature)
        self.assertEqual("rsa-sha2-512", message.get_text())
        public = paramiko.RSAKey(data=key).key
        public.verify(message.get_binary(), self.signed(transport, key), padding.PKCS1v15(), hashes.SHA512())
