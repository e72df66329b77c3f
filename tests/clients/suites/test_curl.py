"""curl: uploads, downloads, ranges, listings, and the commands of -Q.

The server has the settings of docs/clients.md for old clients. One class uses the defaults.
"""


from rig import command_lines
from rig.case import ServerCase
from rig.files import LEAST_PART, MIB, PART, content, make, sha256
from rig.programs import as_bytes

QUOTE_FAILED, NOT_FOUND, SSH_FAILED = 21, 78, 79


class Curl:
    def curl(self, *arguments, path="", status=0):
        arguments = command_lines.curl(self.server, *arguments, path=f"{self.root}/{path}")
        return self.run_program(*arguments, status=status)


class Transfers(Curl):
    """Tests for any SFTP server, so OpenSSH's own server can prove them."""

    @property
    def root(self):
        return self.sftp().normalize(".").rstrip("/")

    def test_up_and_down(self):
        there = self.remote_directory()
        for size in (0, 1, PART, 20 * MIB + 1):
            with self.subTest(size=size):
                sent = make(self.local / "file", size)
                self.curl("-T", self.local / "file", path=f"{there}/file")
                # curl creates no file for an empty download.
                (self.local / "back").write_bytes(b"")
                self.curl("-o", self.local / "back", path=f"{there}/file")
                self.assertEqual(sent, sha256(self.local / "back"))

    def test_listings(self):
        there = self.remote_directory()
        make(self.local / "file", 1234)
        self.curl("-T", self.local / "file", path=f"{there}/file")
        self.assertRegex(self.curl(path=f"{there}/").stdout, r"(?m)^-rw.* 1234 .* file$")
        names = self.curl("-l", path=f"{there}/").stdout.split()
        self.assertEqual(["file"], [name for name in names if name not in (".", "..")])

    def test_ranges(self):
        there, data = self.remote_directory(), content(PART + 1000)
        (self.local / "file").write_bytes(data)
        self.curl("-T", self.local / "file", path=f"{there}/file")
        for wanted, piece in (
            ("0-0", data[:1]),
            (f"{LEAST_PART - 1}-{LEAST_PART + 1}", data[LEAST_PART - 1 : LEAST_PART + 2]),
            (f"{PART}-", data[PART:]),
            ("-10", data[-10:]),
        ):
            with self.subTest(wanted=wanted):
                self.assertEqual(piece, as_bytes(self.curl("-r", wanted, path=f"{there}/file").stdout))

    def test_a_download_goes_on_where_it_ended(self):
        there, sent = self.remote_directory(), make(self.local / "file", 3 * MIB)
        self.curl("-T", self.local / "file", path=f"{there}/file")
        (self.local / "part").write_bytes((self.local / "file").read_bytes()[:MIB])
        self.curl("-C", "-", "-o", self.local / "part", path=f"{there}/file")
        self.assertEqual(sent, sha256(self.local / "part"))

    def test_directories_are_made_on_the_way(self):
        there, sent = self.remote_directory(), make(self.local / "file", 10)
        for _ in range(2):
            self.curl("--ftp-create-dirs", "-T", self.local / "file", path=f"{there}/a/b/file")
        self.curl("-o", self.local / "back", path=f"{there}/a/b/file")
        self.assertEqual(sent, sha256(self.local / "back"))

    def test_commands(self):
        there = self.remote_directory()
        make(self.local / "file", 10)
        self.curl("-T", self.local / "file", path=f"{there}/file")
        base = f"{self.root}/{there}"
        self.curl("-Q", f"rename {base}/file {base}/moved", "-Q", f"mkdir {base}/made", path=f"{there}/")
        self.assertEqual(["made", "moved"], sorted(self.sftp().listdir(there)))
        # A dash sends the command after the transfer.
        self.curl("-Q", f"-rm {base}/moved", "-Q", f"-rmdir {base}/made", path=f"{there}/")
        self.assertEqual([], self.sftp().listdir(there))
        self.curl("-Q", f"rm {base}/none", path=f"{there}/", status=QUOTE_FAILED)

    def test_what_is_not_there(self):
        self.curl(path=f"{self.remote_directory()}/none", status=NOT_FOUND)


class CurlOnWharfinger(Transfers, ServerCase):
    SHARED = "old_clients"

    def test_going_on_and_appending(self):
        there, whole = self.remote_directory(), content(9 * MIB)
        (self.local / "begun").write_bytes(whole[: 6 * MIB])
        (self.local / "whole").write_bytes(whole)
        (self.local / "rest").write_bytes(whole[6 * MIB :])
        for options, sent in ((["-C", "-"], "whole"), (["--append"], "rest")):
            with self.subTest(options=options):
                self.curl("-T", self.local / "begun", path=f"{there}/file")
                self.curl(*options, "-T", self.local / sent, path=f"{there}/file")
                self.curl("-o", self.local / "back", path=f"{there}/file")
                self.assertEqual(sha256(self.local / "whole"), sha256(self.local / "back"))


class CurlOnDemo(Curl, ServerCase):
    """The default algorithms: Debian 12's libssh2 knows no encrypt-then-MAC."""

    SHARED = "demo"
    root = ""

    # Issue 12.3.
    def test_an_old_libssh2_has_a_mac_in_common(self):
        self.curl()


class CurlOnSshd(Transfers, ServerCase):
    """Runs with `--sshd` only."""

    SHARED = "sshd"
