"""JSch 0.1, as old Java programs use it, with the algorithms that docs/clients.md adds for it."""

from rig import jsch
from rig.case import ServerCase
from rig.files import MIB, PART, content, make, sha256


class Jsch(ServerCase):
    def jsch(self, *commands, **options):
        try:
            return jsch.run(self.server, commands, self.local, **options)
        except jsch.Unavailable as reason:
            self.skipTest(str(reason))


class JschWithOldAlgorithms(Jsch):
    SHARED = "old_clients"

    def test_put_get_list_rename_and_remove(self):
        there, sent = self.remote_directory(), make(self.local / "file", 2 * PART + 1)
        done = self.jsch(
            f"mkdir {there}/a",
            f"put file {there}/a/file",
            f"get {there}/a/file back",
            f"mtime {there}/a/file 1000000000",
            f"stat {there}/a/file",
            f"ls {there}/a",
            f"rename {there}/a/file {there}/moved",
            f"rmdir {there}/a",
            f"ls {there}",
            f"rm {there}/moved",
        )
        stat, listed, moved = f"{2 * PART + 1} 1000000000", ". .. file", ". .. moved"
        self.assertEqual(["ok"] * 4 + [stat, listed] + ["ok"] * 2 + [moved, "ok"], done)
        self.assertEqual(sent, sha256(self.local / "back"))
        self.assertEqual([], self.sftp().listdir(there))

    def test_rename_replaces_a_file(self):
        # JSch renames with posix-rename@openssh.com if the server has it.
        there = self.remote_directory()
        make(self.local / "one", 10)
        sent = make(self.local / "two", 20)
        puts = [f"put {name} {there}/{name}" for name in ("one", "two")]
        self.assertEqual(["ok"] * 4, self.jsch(*puts, f"rename {there}/two {there}/one", f"get {there}/one back"))
        self.assertEqual(sent, sha256(self.local / "back"))

    def test_resuming_and_appending(self):
        there, whole = self.remote_directory(), content(9 * MIB)
        (self.local / "begun").write_bytes(whole[: 6 * MIB])
        (self.local / "whole").write_bytes(whole)
        (self.local / "rest").write_bytes(whole[6 * MIB :])
        target = f"{there}/file"
        for command in ("resume whole", "append rest"):
            answers = self.jsch(f"put begun {target}", f"{command} {target}", f"get {target} back")
            self.assertEqual(["ok"] * 3, answers, command)
            self.assertEqual(sha256(self.local / "whole"), sha256(self.local / "back"))

    def test_an_rsa_key_is_refused_because_jsch_signs_with_sha_1(self):
        self.assertEqual(["Auth fail"], self.jsch("ls .", kind="rsa", status=jsch.REFUSED))


class JschWithDefaultAlgorithms(Jsch):
    SHARED = "demo"

    def test_there_is_no_algorithm_in_common(self):
        self.assertEqual(["Algorithm negotiation fail"], self.jsch("ls .", status=jsch.REFUSED))
