"""FileZilla's recorded requests: a connection for each transfer, several at once, and times after the CLOSE."""

from recorded import filezilla
from rig import frames
from rig.case import ServerCase
from rig.files import MIB, PART, content
from rig.frames import Frames
from rig.replay import Replay


class FileZilla:
    def setUp(self):
        super().setUp()
        self.there = f"{self.sftp().normalize('.').rstrip('/')}/{self.remote_directory()}"

    def session(self, name="file", data=b"", channel=None):
        """Returns a connection for one file."""
        if channel is None:
            channel = Frames(self.connect())
            self.assertEqual(3, channel.start().id)
        return Replay(channel, {"directory": self.there, "target": f"{self.there}/{name}"}, data)

    def stored(self, name="file"):
        return self.session(name).run(filezilla.DOWNLOAD).received

    def test_files_of_all_sizes_go_up_and_come_down(self):
        for size in (0, 1, 16 << 10, MIB + 1, PART, 2 * PART + 12_345):
            with self.subTest(size=size):
                self.session(f"{size}", content(size)).run(filezilla.UPLOAD)
                self.assertEqual(content(size), self.stored(f"{size}"))

    def test_a_file_is_replaced(self):
        for data in (content(PART + 1), b"short"):
            self.session(data=data).run(filezilla.UPLOAD)
        self.assertEqual(b"short", self.stored())

    def test_a_resumed_upload_goes_on_where_the_file_ends(self):
        whole = content(20 * MIB)
        for begun in (MIB, 9 * MIB + 1):
            with self.subTest(begun=begun):
                self.session(data=whole[:begun]).run(filezilla.UPLOAD)
                resumed = self.session(data=whole).run(filezilla.resumed_upload(begun))
                self.assertEqual(begun, resumed.attributes["size"])
                self.assertEqual(whole, self.stored())

    def test_four_transfers_on_as_many_connections(self):
        files = {f"{number}": content(PART + number, seed=number) for number in range(4)}
        self.all_at_once(
            self.session(name, data).turns([*filezilla.UPLOAD, *filezilla.PRESERVE_TIMES])
            for name, data in files.items()
        )
        downloads = {name: self.session(name) for name in files}
        self.all_at_once(download.turns(filezilla.DOWNLOAD) for download in downloads.values())
        self.assertEqual(files, {name: download.received for name, download in downloads.items()})

    def test_transfers_beside_a_listing(self):
        upload = self.session("new", content(PART + 1)).turns(filezilla.UPLOAD)
        for _ in zip(upload, range(100)):
            pass
        self.session("other", b"x").run(filezilla.UPLOAD)
        listed = {name for name, _, _ in self.session().run(filezilla.LOGIN_AND_LIST).listed}
        self.assertIn("other", listed)
        self.all_at_once([upload])
        self.assertEqual(content(PART + 1), self.stored("new"))

    def test_times_behind_the_close_are_shown(self):
        session = self.session(data=content(PART + 1)).run(filezilla.UPLOAD).run(filezilla.PRESERVE_TIMES)
        reply = session.channel.ask(frames.STAT, frames.text(f"{self.there}/file"))
        self.assertEqual(filezilla.MTIME, frames.attributes_of(reply.body)[0]["times"][1])

    def test_times_behind_the_close_are_shown_to_others(self):
        self.session(data=content(PART + 1)).run(filezilla.UPLOAD).run(filezilla.PRESERVE_TIMES)
        self.assertEqual(filezilla.MTIME, self.sftp().stat(f"{self.there}/file").st_mtime)

    def test_directories_and_renames(self):
        self.session(data=b"x").run(filezilla.UPLOAD).run(filezilla.CHANGES)
        self.assertEqual([], self.sftp().listdir(self.there))

    def all_at_once(self, sessions):
        """Runs all sessions in turns, one step each, until the last has ended."""
        running = list(sessions)
        while running:
            running = [session for session in running if next(session, self) is not self]


class FileZillaOnDemo(FileZilla, ServerCase):
    SHARED = "demo"


class FileZillaOnSeaweedFs(FileZilla, ServerCase):
    SHARED = "seaweedfs"


class FileZillaOnSshd(FileZilla, ServerCase):
    """Runs with `--sshd` only."""

    SHARED = "sshd"
