"""lftp: mirrors in both directions, downloads in pieces, and uploads that resume at the file's end."""

from rig import command_lines
from rig.case import ServerCase
from rig.files import LEAST_PART, MIB, content, make, make_tree, sha256, tree


class Lftp:
    def lftp(self, *commands, status=0):
        return self.run_program(*command_lines.lftp(self.server, *commands), status=status)

    def test_put_list_move_get_and_remove(self):
        there = self.remote_directory()
        sent = make(self.local / "file", 2 * LEAST_PART + 1)
        commands = [f"cd {there}", f"put {self.local}/file", "cls -1", "mv file moved"]
        output = self.lftp(*commands, f"get moved -o {self.local}/back", "rm moved")
        self.assertIn("file", output.stdout)
        self.assertEqual(sent, sha256(self.local / "back"))
        self.assertEqual([], self.sftp().listdir(there))

    def test_mirror_both_ways(self):
        there, made = self.remote_directory(), make_tree(self.local / "tree")
        self.lftp(f"mirror -R --parallel=3 {self.local}/tree {there}/up")
        self.lftp(f"mirror --parallel=3 {there}/up {self.local}/back")
        self.assertEqual(made, tree(self.local / "back"))

    def test_a_second_mirror_transfers_nothing(self):
        there = self.remote_directory()
        make_tree(self.local / "tree")
        mirror = f"mirror -R --verbose=3 {self.local}/tree {there}/up"
        self.assertIn("Transferring file", self.lftp(mirror).stdout)
        self.assertNotIn("Transferring file", self.lftp(mirror).stdout)

    def test_mirror_removes_what_is_gone(self):
        there = self.remote_directory()
        make_tree(self.local / "tree")
        self.lftp(f"mirror -R {self.local}/tree {there}/up")
        (self.local / "tree" / "small").unlink()
        self.lftp(f"mirror -R --delete {self.local}/tree {there}/up")
        self.assertEqual(["below", "empty"], sorted(self.sftp().listdir(f"{there}/up")))

    def test_pget_and_a_continued_get(self):
        there, sent = self.remote_directory(), make(self.local / "file", 20 * MIB)
        self.lftp(f"put {self.local}/file -o {there}/file")
        self.lftp(f"pget -n 4 {there}/file -o {self.local}/pieces")
        self.assertEqual(sent, sha256(self.local / "pieces"))
        (self.local / "part").write_bytes((self.local / "file").read_bytes()[: 3 * MIB])
        self.lftp(f"get -c {there}/file -o {self.local}/part")
        self.assertEqual(sent, sha256(self.local / "part"))

    def test_a_continued_put(self):
        there, whole = self.remote_directory(), content(20 * MIB)
        (self.local / "file").write_bytes(whole)
        for begun in (3 * MIB, 9 * MIB + 1):
            for command in ("put -c", "reput"):
                with self.subTest(command=command, begun=begun):
                    (self.local / "begun").write_bytes(whole[:begun])
                    self.lftp(f"put {self.local}/begun -o {there}/file")
                    self.lftp(f"{command} {self.local}/file -o {there}/file")
                    self.lftp(f"get {there}/file -o {self.local}/back")
                    self.assertEqual(sha256(self.local / "file"), sha256(self.local / "back"))
                    (self.local / "back").unlink()
        self.assertEqual(["file"], self.sftp().listdir(there))


class LftpOnDemo(Lftp, ServerCase):
    SHARED = "demo"


class LftpOnSeaweedFs(Lftp, ServerCase):
    SHARED = "seaweedfs"


class LftpOnSshd(Lftp, ServerCase):
    """Runs with `--sshd` only."""

    SHARED = "sshd"
