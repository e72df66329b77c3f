"""paramiko: prefetch, pipelined writes, and the file modes and calls of a Python program."""

import io
import stat

from rig import paramiko_client
from rig.case import ServerCase
from rig.files import LEAST_PART, MIB, PART, content, make, sha256, sha256_of
from rig.frames import (
    APPEND,
    CREATE,
    NO_ATTRIBUTES,
    OP_UNSUPPORTED,
    OPEN,
    READ_FLAG,
    READLINK,
    SETSTAT,
    SYMLINK,
    WRITE_FLAG,
    Frames,
    number,
    text,
)
from rig.process import connections, until


class ParamikoCalls:
    """Tests for any SFTP server, so OpenSSH's own server can prove them."""

    def test_prefetch_of_64_mib(self):
        there, sftp = self.remote_directory(), self.sftp()
        sent = make(self.local / "large", 64 * MIB)
        sftp.put(self.local / "large", f"{there}/large")
        # `get` prefetches the whole file with READs of 32 KiB.
        sftp.get(f"{there}/large", self.local / "back")
        self.assertEqual(sent, sha256(self.local / "back"))

    def test_pipelined_writes(self):
        there, sftp, data = self.remote_directory(), self.sftp(), content(20 * MIB)
        with sftp.open(f"{there}/file", "wb") as file:
            file.set_pipelined(True)
            for at in range(0, len(data), 100_001):
                file.write(data[at : at + 100_001])
        self.assertEqual(sha256_of(data), self.fingerprint(sftp, f"{there}/file"))

    def test_readv_in_any_order(self):
        there, sftp, data = self.remote_directory(), self.sftp(), content(12 * MIB)
        with sftp.open(f"{there}/file", "wb") as file:
            file.set_pipelined(True)
            file.write(data)
        wanted = [(10 * MIB, 1000), (0, 70_000), (5 * MIB - 1, 2), (12 * MIB - 5, 5)]
        with sftp.open(f"{there}/file", "rb") as file:
            for (offset, size), piece in zip(wanted, file.readv(wanted)):
                self.assertEqual(data[offset : offset + size], piece)
            file.seek(12 * MIB + 1)
            self.assertEqual(b"", file.read(10))

    def test_putfo_with_its_confirmation_and_getfo(self):
        there, sftp, data, back = self.remote_directory(), self.sftp(), content(9 * MIB), io.BytesIO()
        # paramiko asks for the size after its CLOSE, and fails unless it equals the bytes sent.
        attributes = sftp.putfo(io.BytesIO(data), f"{there}/file", file_size=len(data), confirm=True)
        self.assertEqual(len(data), attributes.st_size)
        self.assertEqual(len(data), sftp.getfo(f"{there}/file", back, max_concurrent_prefetch_requests=16))
        self.assertEqual(data, back.getvalue())

    def test_many_prefetches_at_once(self):
        there, sftp = self.remote_directory(), self.sftp()
        sent = [make(self.local / f"{number}", 3 * MIB, seed=number) for number in range(4)]
        for number in range(4):
            sftp.put(self.local / f"{number}", f"{there}/{number}")
        files = [sftp.open(f"{there}/{number}", "rb") for number in range(4)]
        for file in files:
            file.prefetch(3 * MIB)
        self.assertEqual(sent, [sha256_of(file.read()) for file in files])

    def test_chdir_listdir_iter_and_normalize(self):
        there, sftp = self.remote_directory(), self.sftp()
        for number in range(30):
            sftp.open(f"{there}/{number}", "wb").close()
        sftp.chdir(there)
        self.assertEqual({f"{number}" for number in range(30)}, {entry.filename for entry in sftp.listdir_iter()})
        self.assertEqual(f"{sftp.getcwd()}/7", sftp.normalize("./../" + there + "/7"))

    def test_stat_and_listdir_attr_agree(self):
        there, sftp = self.remote_directory(), self.sftp()
        with sftp.open(f"{there}/file", "wb") as file:
            file.write(b"x" * 1234)
        sftp.mkdir(f"{there}/below")
        for path, is_kind, size in ((f"{there}/file", stat.S_ISREG, 1234), (f"{there}/below", stat.S_ISDIR, None)):
            for attributes in (sftp.stat(path), sftp.lstat(path)):
                self.assertTrue(is_kind(attributes.st_mode))
                if size is not None:
                    self.assertEqual(size, attributes.st_size)
        listed = {entry.filename: entry for entry in sftp.listdir_attr(there)}
        self.assertEqual({"file", "below"}, set(listed))
        self.assertEqual(1234, listed["file"].st_size)
        self.assertTrue(stat.S_ISDIR(listed["below"].st_mode))
        self.assertEqual(int(sftp.stat(f"{there}/file").st_mtime), int(listed["file"].st_mtime))

    # S28: RENAME replaces a file only as `posix-rename@openssh.com`.
    def test_rename_keeps_a_target_and_posix_rename_replaces_it(self):
        there, sftp = self.remote_directory(), self.sftp()
        for name in ("a", "b"):
            with sftp.open(f"{there}/{name}", "wb") as file:
                file.write(name.encode())
        with self.assertRaises(OSError):
            sftp.rename(f"{there}/a", f"{there}/b")
        self.assertEqual(["a", "b"], sorted(sftp.listdir(there)))
        sftp.posix_rename(f"{there}/a", f"{there}/b")
        self.assertEqual(["b"], sftp.listdir(there))
        with sftp.open(f"{there}/b", "rb") as file:
            self.assertEqual(b"a", file.read())

    def test_utime_and_chmod_are_kept_for_the_session(self):
        there, sftp = self.remote_directory(), self.sftp()
        sftp.open(f"{there}/file", "wb").close()
        sftp.utime(f"{there}/file", (1_000_000_000, 1_000_000_001))
        sftp.chmod(f"{there}/file", 0o600)
        attributes = sftp.stat(f"{there}/file")
        self.assertEqual(1_000_000_001, int(attributes.st_mtime))
        self.assertEqual(0o600, attributes.st_mode & 0o777)

    def test_open_modes(self):
        there, sftp = self.remote_directory(), self.sftp()
        with self.assertRaises(FileNotFoundError):
            sftp.open(f"{there}/none", "r")
        with self.assertRaises(FileNotFoundError):
            sftp.open(f"{there}/none", "r+")
        with sftp.open(f"{there}/new", "wx") as file:
            file.write(b"new")
        with self.assertRaises(OSError):
            sftp.open(f"{there}/new", "wx")
        with sftp.open(f"{there}/appended", "a") as file:
            file.write(b"begun")
        with sftp.open(f"{there}/appended", "a+") as file:
            file.write(b"at the end")
            file.seek(2)
            file.write(b", whatever was sought")
        with sftp.open(f"{there}/both", "w+b") as file:
            file.write(b"written and read")
            file.flush()
            file.seek(0)
            self.assertEqual(b"written and read", file.read())
        for name, size in (("new", 3), ("appended", 36), ("both", 16)):
            self.assertEqual(size, sftp.stat(f"{there}/{name}").st_size)

    def test_a_file_is_changed_in_place(self):
        there, sftp = self.remote_directory(), self.sftp()
        for size in (9, 2 * PART + 7):
            with self.subTest(size=size):
                model = bytearray(content(size))
                sftp.putfo(io.BytesIO(model), f"{there}/file")
                with sftp.open(f"{there}/file", "r+b") as file:
                    self.assertEqual(model[:5], file.read(5))
                    file.seek(size // 2)
                    file.write(b"new")
                    file.flush()
                    file.seek(0)
                    model[size // 2 : size // 2 + 3] = b"new"
                    self.assertEqual(model[:100], file.read(100))
                with sftp.open(f"{there}/file", "ab") as file:
                    file.write(b"appended")
                model += b"appended"
                self.assertEqual(model, self.stored(sftp, f"{there}/file"))
                sftp.truncate(f"{there}/file", size - 1)
                with sftp.open(f"{there}/file", "r+b") as file:
                    file.truncate(size + 1)
                self.assertEqual(model[: size - 1] + b"\0\0", self.stored(sftp, f"{there}/file"))

    def test_a_file_that_is_open_for_both_twice_is_read_and_then_changed(self):
        there, sftp = self.remote_directory(), self.sftp()
        model = content(2 * PART + 7)
        sftp.putfo(io.BytesIO(model), f"{there}/file")
        with sftp.open(f"{there}/file", "r+b") as changed, sftp.open(f"{there}/file", "r+b") as read:
            changed.prefetch()
            self.assertEqual(model, changed.read())
            self.assertEqual(model[:100], read.read(100))
            changed.seek(5)
            changed.write(b"new")
        self.assertEqual(model[:5] + b"new" + model[8:], self.stored(sftp, f"{there}/file"))

    def test_a_missing_directory_and_a_file_where_one_should_be(self):
        there, sftp = self.remote_directory(), self.sftp()
        sftp.open(f"{there}/file", "wb").close()
        with self.assertRaises(FileNotFoundError):
            sftp.listdir(f"{there}/none")
        with self.assertRaises(OSError):
            sftp.mkdir(f"{there}/file")
        with self.assertRaises(OSError):
            sftp.rmdir(f"{there}/file")
        with self.assertRaises(OSError):
            sftp.remove(there)
        self.assertEqual(["file"], sftp.listdir(there))

    def stored(self, sftp, path):
        with sftp.open(path, "rb") as file:
            return file.read()

    def fingerprint(self, sftp, path):
        sftp.get(path, self.local / "fingerprint")
        return sha256(self.local / "fingerprint")


class ParamikoOnWharfinger(ParamikoCalls):
    """The server refuses requests that it doesn't support with a sentence, and leaves the file unchanged."""

    def test_links_are_unsupported(self):
        there, client = self.remote_directory(), Frames(self.connect())
        client.start()
        self.assert_unsupported(client.status(SYMLINK, text(f"{there}/file"), text(f"{there}/link")))
        self.assert_unsupported(client.status(READLINK, text(f"{there}/file")))

    def test_rename_of_a_full_directory_moves_what_is_in_it(self):
        there, sftp = self.remote_directory(), self.sftp()
        sftp.mkdir(f"{there}/old")
        sftp.mkdir(f"{there}/old/below")
        with sftp.open(f"{there}/old/below/file", "wb") as file:
            file.write(b"as it was")
        sftp.rename(f"{there}/old", f"{there}/new")
        sftp.posix_rename(f"{there}/new", f"{there}/newer")
        self.assertEqual(["newer"], sftp.listdir(there))
        with sftp.open(f"{there}/newer/below/file", "rb") as file:
            self.assertEqual(b"as it was", file.read())
        sftp.mkdir(f"{there}/empty")
        for rename in (sftp.rename, sftp.posix_rename):
            with self.assertRaises(OSError):
                rename(f"{there}/newer", f"{there}/empty")
        self.assertEqual(["below"], sftp.listdir(f"{there}/newer"))

    def assert_unsupported(self, status):
        code, sentence = status
        self.assertEqual(OP_UNSUPPORTED, code)
        self.assertGreater(len(sentence), 10)

    # S70: An upload whose connection is lost before its CLOSE is never published; a file that was to be changed stays as …
    def test_a_connection_that_is_cut_publishes_nothing(self):
        there = self.remote_directory()
        for size in (1, LEAST_PART, 20 * MIB):
            with self.subTest(size=size):
                transport = self.connect()
                file = paramiko_client.sftp(transport).open(f"{there}/file", "wb")
                file.write(content(size))
                before = connections(self.server.port)
                transport.close()
                until(lambda: connections(self.server.port) < before, "the end of the connection")
                self.assertEqual([], self.sftp().listdir(there))

    def test_eight_clients_at_once(self):
        there = self.remote_directory()
        clients = [self.sftp() for _ in range(8)]
        files = [client.open(f"{there}/{number}", "wb") for number, client in enumerate(clients)]
        for _ in range(4):
            for number, file in enumerate(files):
                file.write(content(MIB, seed=number))
        for file in files:
            file.close()
        for number, client in enumerate(clients):
            self.assertEqual(sha256_of(content(MIB, seed=number) * 4), self.fingerprint(client, f"{there}/{number}"))


class ParamikoOnDemo(ParamikoOnWharfinger, ServerCase):
    SHARED = "demo"


class ParamikoOnSeaweedFs(ParamikoOnWharfinger, ServerCase):
    SHARED = "seaweedfs"


class ParamikoOnSshd(ParamikoCalls, ServerCase):
    """Runs with `--sshd` only."""

    SHARED = "sshd"
