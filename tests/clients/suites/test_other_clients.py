"""Issue 12.3: dropbear's client, which knows no encrypt-then-MAC, and Ruby's net-ssh, which knows no Curve25519 on Debian."""

import subprocess
import textwrap

from rig import keys
from rig.case import ServerCase
from rig.files import MIB, make, sha256
from rig.servers import PASSWORDS

NET_SFTP = """
    require 'net/sftp'
    host, port, user, key, password, from, name, back = ARGV
    options = { port: port.to_i, config: false, verify_host_key: :never, use_agent: false, timeout: 60, non_interactive: true }
    options.merge!(password.empty? ? { keys: [key], keys_only: true, auth_methods: ['publickey'] }
                                   : { password: password, auth_methods: ['password'] })
    Net::SFTP.start(host, user, options) do |sftp|
      sftp.upload!(from, name)
      sftp.download!(name, back)
      puts sftp.dir.entries('.').map(&:name)
    end
"""


class NetSsh(ServerCase):
    SHARED = "old_clients"

    def test_net_ssh_puts_gets_and_lists(self):
        for password in ("", PASSWORDS["alice"]):
            with self.subTest(password=bool(password)):
                there, sent = self.local.name, make(self.local / "file", 3 * MIB)
                script = self.local / "net_sftp.rb"
                script.write_text(textwrap.dedent(NET_SFTP))
                place = [self.server.host, self.server.port, "alice", keys.key("rsa"), password]
                listed = self.run_program("ruby", script, *place, self.local / "file", there, self.local / "back")
                self.assertIn(there, listed.stdout.splitlines())
                self.assertEqual(sent, sha256(self.local / "back"))


class Dropbear(ServerCase):
    def test_openssh_sftp_over_dropbear(self):
        sent = make(self.local / "file", 3 * MIB)
        converted = self.local / "dropbear-key"
        self.run_program("dropbearconvert", "openssh", "dropbear", keys.key("ecdsa"), converted)
        # sftp passes options that dropbear doesn't know.
        program = self.local / "dbclient"
        arguments = f"-y -y -T -i {converted} -p {self.server.port} -s alice@{self.server.host} sftp"
        program.write_text(f"#!/bin/sh\nexec dbclient {arguments}\n")
        program.chmod(0o700)
        batch = f"put {self.local}/file dropbear\nget dropbear {self.local}/back\n"
        done = subprocess.run(
            ["sftp", "-b", "-", "-S", str(program), f"alice@{self.server.host}"],
            input=batch.encode(),
            capture_output=True,
            timeout=120,
            env={"HOME": str(self.local), "PATH": "/usr/bin:/bin"},
        )
        self.assertEqual(0, done.returncode, done.stderr)
        self.assertEqual(sent, sha256(self.local / "back"))
