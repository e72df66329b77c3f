"""restic: creates, fills, checks, restores and prunes a repository on the server."""

import json

from rig import command_lines
from rig.case import ServerCase
from rig.files import MIB, make, make_tree, tree


class Restic:
    def setUp(self):
        super().setUp()
        self.there = self.remote_directory()

    def restic(self, *arguments, status=0):
        arguments = command_lines.restic(self.server, self.there, *arguments)
        return self.run_program(*arguments, status=status, RESTIC_PASSWORD="x")

    def test_backup_check_restore_and_prune(self):
        files = self.local / "files"
        first = make_tree(files)
        self.restic("init")
        self.restic("init", status=1)
        self.restic("backup", "files")
        first_id = self.snapshots()[0]
        make(files / "new", 6 * MIB)
        (files / "small").unlink()
        self.restic("backup", "files")
        self.restic("check", "--read-data")
        self.restic("restore", first_id, "--target", "first")
        self.restic("restore", "latest", "--target", "second")
        self.assertEqual(first, tree(self.local / "first" / "files"))
        self.assertEqual(tree(files), tree(self.local / "second" / "files"))
        self.restic("forget", "--keep-last", "1", "--prune")
        self.assertNotIn(first_id, self.snapshots())
        self.restic("check", "--read-data")
        self.assertEqual([], self.sftp().listdir(f"{self.there}/repository/locks"))

    def snapshots(self):
        return [snapshot["id"] for snapshot in json.loads(self.restic("snapshots", "--json").stdout) or []]


class ResticOnDemo(Restic, ServerCase):
    SHARED = "demo"


class ResticOnSshd(Restic, ServerCase):
    """Runs with `--sshd` only."""

    SHARED = "sshd"
