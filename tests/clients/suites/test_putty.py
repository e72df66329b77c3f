"""PuTTY's psftp and pscp, in batch mode and with the host key on the command line."""

import os

from rig import command_lines
from rig.case import ServerCase
from rig.files import MIB, PART, content, make, make_tree, sha256, tree


class Putty:
    @property
    def host_key(self):
        return self.connect().get_remote_server_key().fingerprint

    def psftp(self, *commands, status=0, host_key=None):
        arguments = command_lines.psftp(self.server, host_key or self.host_key)
        return self.run_program(*arguments, stdin="\n".join(commands) + "\n", status=status)

    def pscp(self, *arguments, status=0):
        return self.run_program(*command_lines.pscp(self.server, self.host_key, *arguments), status=status)

    def remote(self, path):
        return f"{self.server.user}@{self.server.host}:{path}"

    def test_psftp_puts_lists_renames_and_gets(self):
        there, sent = self.remote_directory(), make(self.local / "file", PART + 1)
        listing = self.psftp(f"cd {there}", "put file", "ls", "ren file moved", "mkdir below", "mv moved below", "pwd")
        self.assertRegex(listing.stdout, rf"(?m)^-rw.* {PART + 1} .* file\s*$")
        self.psftp(f"get {there}/below/moved back")
        self.assertEqual(sent, sha256(self.local / "back"))
        self.psftp(f"del {there}/below/moved", f"rmdir {there}/below")
        self.assertEqual([], self.sftp().listdir(there))

    def test_psftp_puts_and_gets_a_tree(self):
        there, made = self.remote_directory(), make_tree(self.local / "tree")
        self.psftp(f"put -r tree {there}/up", f"get -r {there}/up back")
        self.assertEqual(made, tree(self.local / "back"))

    def test_psftp_mput_and_mget(self):
        there = self.remote_directory()
        sent = {name: make(self.local / name, 1000, seed=name) for name in ("a.csv", "b.csv")}
        make(self.local / "c.txt", 1000)
        (self.local / "back").mkdir()
        self.psftp(f"cd {there}", "mput *.csv", "lcd back", "mget *.csv")
        self.assertEqual(sent, tree(self.local / "back"))

    def test_psftp_fetches_the_rest(self):
        there, sent = self.remote_directory(), make(self.local / "file", 3 * MIB)
        (self.local / "part").write_bytes((self.local / "file").read_bytes()[:MIB])
        self.psftp(f"put file {there}/file", f"reget {there}/file part")
        self.assertEqual(sent, sha256(self.local / "part"))

    def test_psftp_says_what_failed(self):
        there = self.remote_directory()
        for command in (f"rm {there}/none", f"get {there}/none", f"cd {there}/none", f"rmdir {there}/none"):
            with self.subTest(command=command):
                said = self.psftp(command, status=None)
                self.assertIn("no such file", said.stdout + said.stderr)

    def test_another_host_key_is_not_spoken_to(self):
        said = self.psftp("pwd", host_key=f"SHA256:{43 * 'A'}", status=1)
        self.assertIn("Host key not in manually configured list", said.stderr)

    def test_pscp_both_ways_with_times(self):
        self.copy_both_ways_with_times(MIB)

    def test_pscp_both_ways_with_times_of_a_file_of_two_parts(self):
        # pscp sends the times after the bytes, when the first part is already stored.
        self.copy_both_ways_with_times(PART + 1)

    def copy_both_ways_with_times(self, size):
        there, sent = self.remote_directory(), make(self.local / "file", size)
        os.utime(self.local / "file", (1_000_000_000, 1_000_000_001))
        self.pscp("-sftp", "-p", "file", self.remote(f"{there}/file"))
        self.pscp("-sftp", "-p", self.remote(f"{there}/file"), "back")
        self.assertEqual(sent, sha256(self.local / "back"))
        self.assertEqual(1_000_000_001, int((self.local / "back").stat().st_mtime))

    def test_pscp_replaces_a_file(self):
        there = self.remote_directory()
        for size in (PART + 1, 10):
            sent = make(self.local / "file", size)
            self.pscp("file", self.remote(f"{there}/file"))
        self.pscp(self.remote(f"{there}/file"), "back")
        self.assertEqual(sent, sha256(self.local / "back"))

    def test_pscp_of_a_tree_and_of_a_pattern(self):
        there, made = self.remote_directory(), make_tree(self.local / "tree")
        self.pscp("-r", "tree", self.remote(there))
        self.pscp("-r", self.remote(f"{there}/tree"), "back")
        self.assertEqual(made, tree(self.local / "back"))
        (self.local / "some").mkdir()
        self.pscp("-unsafe", self.remote(f"{there}/tree/s*"), "some")
        self.assertEqual({"small": made["small"]}, tree(self.local / "some"))
        self.assertRegex(self.pscp("-ls", self.remote(f"{there}/tree")).stdout, r"(?m)^-rw.* 100 .* small\s*$")


class PuttyOnWharfinger(Putty):
    """The server refuses requests that it doesn't support with a sentence."""

    def test_reput_goes_on_where_the_file_ends(self):
        there, whole = self.remote_directory(), content(20 * MIB)
        (self.local / "file").write_bytes(whole)
        for begun in (MIB, 9 * MIB + 1):
            (self.local / "begun").write_bytes(whole[:begun])
            self.psftp(f"put begun {there}/file", f"reput file {there}/file", f"get {there}/file back")
            self.assertEqual(sha256(self.local / "file"), sha256(self.local / "back"))

    def test_the_old_scp_protocol_is_refused(self):
        there, _ = self.remote_directory(), make(self.local / "file", 10)
        refused = self.pscp("-scp", "file", self.remote(f"{there}/file"), status=1)
        # pscp may report the end of the channel instead of the sentence before it, with OpenSSH's server too.
        self.assertRegex(refused.stdout + refused.stderr, "sftp connections only|unexpected end-of-file")
        self.assertEqual([], self.sftp().listdir(there))


class PuttyOnDemo(PuttyOnWharfinger, ServerCase):
    SHARED = "demo"


class PuttyOnSshd(Putty, ServerCase):
    """Runs with `--sshd` only."""

    SHARED = "sshd"
