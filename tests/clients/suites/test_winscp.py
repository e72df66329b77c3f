"""WinSCP's recorded requests: uploads by way of `.filepart`, replacing, resuming, downloads, directories."""

import io

from recorded import winscp
from rig import frames
from rig.case import ServerCase
from rig.files import MIB, PART, content
from rig.frames import Frames
from rig.process import connections, until
from rig.replay import Replay


class WinScp:
    def setUp(self):
        super().setUp()
        self.there = f"{self.sftp().normalize('.').rstrip('/')}/{self.remote_directory()}"

    def replay(self, steps, data=b"", target="file"):
        channel = Frames(self.connect())
        self.assertEqual(3, channel.start(winscp.VERSION).id)
        names = {"directory": self.there, "target": f"{self.there}/{target}"}
        return Replay(channel, names, data).run(steps)

    def stored(self, name="file"):
        received = io.BytesIO()
        self.sftp().getfo(f"{self.there}/{name}", received)
        return received.getvalue()

    def names(self):
        return sorted(self.sftp().listdir(self.there))

    def test_a_large_file_goes_up_by_way_of_its_part(self):
        data = content(2 * PART + 12_345)
        self.replay(winscp.UPLOAD_OF_A_LARGE_FILE, data)
        self.assertEqual(data, self.stored())
        self.assertEqual(["file"], self.names())

    def test_a_large_file_is_replaced(self):
        self.replay(winscp.UPLOAD_OF_A_LARGE_FILE, content(MIB))
        data = content(PART + 1)
        self.replay(winscp.REPLACING_A_LARGE_FILE, data)
        self.assertEqual(data, self.stored())
        self.assertEqual(["file"], self.names())

    def test_times_that_come_last_are_shown(self):
        for steps in (winscp.UPLOAD_OF_A_LARGE_FILE, winscp.REPLACING_A_SMALL_FILE):
            with self.subTest(steps=steps):
                channel = self.replay(steps, content(MIB)).channel
                reply = channel.ask(frames.LSTAT, frames.text(f"{self.there}/file"))
                self.assertEqual((winscp.MTIME,) * 2, frames.attributes_of(reply.body)[0]["times"])

    def test_times_that_come_last_are_shown_to_others(self):
        self.replay(winscp.UPLOAD_OF_A_LARGE_FILE, content(PART + 1))
        self.assertEqual(winscp.MTIME, self.sftp().stat(f"{self.there}/file").st_mtime)

    def test_small_files_go_up_and_are_replaced(self):
        for size in (0, 1, 32 << 10, 100 << 10):
            with self.subTest(size=size):
                name, data = f"{size}", content(size + 1)
                self.replay(winscp.UPLOAD_OF_A_SMALL_FILE, content(size), name)
                self.assertEqual(content(size), self.stored(name))
                self.replay(winscp.REPLACING_A_SMALL_FILE, data, name)
                self.assertEqual(data, self.stored(name))

    def test_rename_by_posix_replaces_a_file(self):
        for name in ("file", "file.new"):
            self.replay(winscp.UPLOAD_OF_A_SMALL_FILE, name.encode(), name)
        self.replay(winscp.RENAME_BY_POSIX)
        self.assertEqual(b"file.new", self.stored())

    def test_downloads_read_beyond_the_end(self):
        for size in (0, 1, 32 << 10, PART + 1, 3 * PART):
            with self.subTest(size=size):
                with self.sftp().open(f"{self.there}/{size}", "wb") as file:
                    file.set_pipelined(True)
                    file.write(content(size))
                done = self.replay(winscp.DOWNLOAD, target=f"{size}")
                self.assertEqual(content(size), done.received)
                self.assertEqual(size, done.attributes["size"])

    def test_login_and_listing(self):
        for name in ("one", "two"):
            self.replay(winscp.UPLOAD_OF_A_SMALL_FILE, b"x" * 10, name)
        listed = self.replay(winscp.LOGIN_AND_LIST).listed
        self.assertEqual({".", "..", "one", "two"}, {name for name, _, _ in listed})
        for name, line, attributes in listed:
            if name == "one":
                self.assertRegex(line, r"^-rw\S+ +\d+ \S+ +\S+ +10 \w{3} [ \d]\d +[\d:]{4,5} one$")
                self.assertEqual(10, attributes["size"])

    def test_directories(self):
        self.replay(winscp.DIRECTORIES, target="made")
        self.assertEqual(["made.moved"], self.names())


class WinScpOnWharfinger(WinScp):
    """Uploads beside an existing part."""

    def test_a_resumed_upload_goes_on_where_the_part_ends(self):
        for begun in (MIB, 9 * MIB + 1):
            with self.subTest(begun=begun):
                whole = content(20 * MIB)
                with self.sftp().open(f"{self.there}/file.filepart", "wb") as file:
                    file.write(whole[:begun])
                self.replay(winscp.resumed_upload(begun), whole)
                self.assertEqual(whole, self.stored())
                self.sftp().remove(f"{self.there}/file")

    def test_an_upload_that_is_cut_goes_on_where_its_part_ends(self):
        data = content(2 * PART)
        # The next attempt finds the part in S3. If S3 has no whole part, the upload starts again.
        for blocks, begun in ((300, PART), (100, None)):
            with self.subTest(blocks=blocks):
                channel = Frames(self.connect())
                channel.start(winscp.VERSION)
                cut = Replay(channel, {"target": f"{self.there}/file"}, data)
                for _ in zip(cut.turns(winscp.UPLOAD_OF_A_LARGE_FILE), range(blocks)):
                    pass
                before = connections(self.server.port)
                channel.channel.get_transport().close()
                until(lambda: connections(self.server.port) < before, "the end of the connection")
                if begun is not None:
                    until(lambda: self.is_there("file.filepart"), "the part that is kept")
                self.replay(winscp.UPLOAD_OF_A_LARGE_FILE if begun is None else winscp.resumed_upload(begun), data)
                self.assertEqual(data, self.stored())
                self.assertEqual(["file"], self.names())
                self.sftp().remove(f"{self.there}/file")

    def is_there(self, name):
        try:
            return self.sftp().stat(f"{self.there}/{name}")
        except FileNotFoundError:
            return None


class WinScpOnDemo(WinScpOnWharfinger, ServerCase):
    SHARED = "demo"


class WinScpOnSeaweedFs(WinScpOnWharfinger, ServerCase):
    SHARED = "seaweedfs"


class WinScpOnSshd(WinScp, ServerCase):
    """Runs with `--sshd` only."""

    SHARED = "sshd"
