"""ssh-audit finds no failure on the default listener. It warns only of key exchanges that aren't post-quantum, and of
the two MACs for older clients."""

import json
import subprocess
import sys
from pathlib import Path

from rig.case import ServerCase
from rig.fake_aws import FakeAws
from rig.servers import Serve

EXPECTED = ("kex", "warn", "does not provide protection against post-quantum attacks")
# Issue 12.3: Debian's curl, dropbear and net-ssh know no other MACs.
EXPECTED_MACS = [
    ("mac", name, "warn", "using encrypt-and-MAC mode") for name in ("hmac-sha2-256", "hmac-sha2-512")
]


class SshAudit(ServerCase):
    # The demo also has an ECDSA key.
    SHARED = None

    @classmethod
    def start(cls):
        s3 = FakeAws()
        cls.addClassCleanup(s3.close)
        return Serve(s3.store())

    def test_no_failure_and_no_other_warning(self):
        audit = Path(sys.executable).parent / "ssh-audit"
        target = [self.server.host, "--port", str(self.server.port)]
        arguments = [audit, "--json", "--skip-rate-test", *target]
        report = json.loads(subprocess.run(arguments, capture_output=True, timeout=120).stdout)
        found = [
            (kind, algorithm["algorithm"], severity, note)
            for kind in ("kex", "key", "enc", "mac")
            for algorithm in report[kind]
            for severity in ("fail", "warn")
            for note in algorithm.get("notes", {}).get(severity, [])
        ]
        unexpected = [finding for finding in found if (finding[0], *finding[2:]) != EXPECTED]
        self.assertEqual(EXPECTED_MACS, sorted(unexpected))
        self.assertEqual([], report.get("cves", []))
        names = {kind: [algorithm["algorithm"] for algorithm in report[kind]] for kind in ("kex", "key", "enc", "mac")}
        self.assertEqual("mlkem768x25519-sha256", names["kex"][0])
        self.assertIn("kex-strict-s-v00@openssh.com", names["kex"])
        self.assertEqual({"ssh-ed25519", "rsa-sha2-256", "rsa-sha2-512"}, set(names["key"]))
        self.assertEqual(["none"], [name for name in report["compression"] if name])
