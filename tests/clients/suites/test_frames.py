"""Frames that no client should send, one by one: none harms the server, and each gets the draft's answer."""

import struct

import paramiko

from rig import frames
from rig.case import ServerCase
from rig.files import LEAST_PART, PART, content
from rig.frames import Ended, Frames, number, text


class WireFrames(ServerCase):
    def setUp(self):
        super().setUp()
        self.transport = self.connect()

    def tearDown(self):
        # After any failure of a channel, the next channel of the connection works.
        if self.transport.is_active():
            self.assertEqual(frames.VERSION, Frames(self.transport).start().kind)
        self.assertEqual(frames.VERSION, Frames(self.connect()).start().kind)
        super().tearDown()

    def open_channel(self):
        channel = Frames(self.transport)
        self.assertEqual(frames.VERSION, channel.start().kind)
        return channel

    def test_version_names_only_what_works(self):
        version = Frames(self.transport).start()
        self.assertEqual(3, version.id)
        names, rest = [], version.body
        while rest:
            length = int.from_bytes(rest[:4], "big")
            names.append(rest[4 : 4 + length].decode())
            rest = rest[4 + length :]
        extensions = set(names[::2])
        wanted = {"limits@openssh.com", "posix-rename@openssh.com", "lsetstat@openssh.com", "expand-path@openssh.com"}
        self.assertLessEqual(wanted, extensions)
        self.assertFalse({"fsync@openssh.com", "statvfs@openssh.com", "hardlink@openssh.com"} & extensions)

    def test_limits(self):
        limits = self.open_channel().ask(frames.EXTENDED, text("limits@openssh.com"))
        self.assertEqual(frames.EXTENDED_REPLY, limits.kind)
        packet, read, write, _ = struct.unpack(">QQQQ", limits.body)
        self.assertEqual((255 << 10, 255 << 10), (read, write))
        self.assertGreater(packet, write)

    def test_a_malformed_request_ends_the_channel(self):
        for body in (
            number(frames.OPEN, 1),
            number(frames.OPEN, 1) + b"\0\0",
            number(frames.STAT, 1) + number(7) + number(100) + b"short",
            number(frames.WRITE, 1) + number(7) + text("handle") + number(0, 8) + number(0xFFFFFFFF),
            number(frames.OPEN, 1) + number(7) + text("x") + number(1) + number(0xFFFFFFFF),
        ):
            with self.subTest(body=body):
                channel = self.open_channel()
                channel.send_raw(body)
                self.assertTrue(channel.ended())

    def test_a_length_that_is_no_length_ends_the_channel(self):
        for length in (0, (1 << 20) + 1, 0x7FFFFFFF, 0xFFFFFFFF):
            with self.subTest(length=length):
                channel = self.open_channel()
                before = self.server.process.memory_mib()
                channel.channel.sendall(number(length) + b"\x05")
                self.assertTrue(channel.ended())
                # The server must not allocate memory for an announced length.
                self.assertLess(self.server.process.memory_mib() - before, 64)

    def test_an_unknown_request_is_unsupported(self):
        channel = self.open_channel()
        for kind in (0, 21, 99, 150, 199, 250, 255):
            with self.subTest(kind=kind):
                self.assertEqual(frames.OP_UNSUPPORTED, channel.status(kind, b"whatever")[0])
        unknown = channel.status(frames.EXTENDED, text("what@example.com"), b"x" * 100)
        self.assertEqual(frames.OP_UNSUPPORTED, unknown[0])

    def test_trailing_bytes_after_a_request_are_ignored(self):
        channel, there = self.open_channel(), self.remote_directory()
        self.assertEqual(frames.OK, channel.close_handle(channel.create(f"{there}/old"))[0])
        # sshj sends the flags of version 5 to servers of version 3.
        moved = channel.status(frames.RENAME, text(f"{there}/old"), text(f"{there}/new"), number(1))
        self.assertEqual(frames.OK, moved[0])
        self.assertEqual(["new"], self.sftp().listdir(there))

    # S28: RENAME replaces a file only as `posix-rename@openssh.com`.
    def test_rename_refuses_a_target_that_exists(self):
        channel, there = self.open_channel(), self.remote_directory()
        for name in ("a", "b"):
            channel.close_handle(channel.create(f"{there}/{name}"))
        self.assertEqual(frames.FAILURE, channel.status(frames.RENAME, text(f"{there}/a"), text(f"{there}/b"))[0])
        self.assertEqual({"a", "b"}, set(self.sftp().listdir(there)))

    def test_a_second_init_harms_nobody(self):
        channel = self.open_channel()
        channel.send_raw(number(frames.INIT, 1) + number(3))
        try:
            reply = channel.receive()
            self.assertIn(reply.kind, (frames.VERSION, frames.STATUS))
        except Ended:
            pass

    def test_a_request_before_init_harms_nobody(self):
        channel = Frames(self.transport)
        channel.send(frames.REALPATH, text("."))
        try:
            self.assertIn(channel.receive().kind, (frames.NAME, frames.STATUS))
        except Ended:
            pass

    def test_frames_cut_anywhere_are_put_together(self):
        channel = self.open_channel()
        frame = number(frames.REALPATH, 1) + number(9) + text(".")
        for byte in number(len(frame)) + frame:
            channel.channel.sendall(bytes([byte]))
        self.assertEqual((frames.NAME, 9), channel.receive()[:2])

    def test_bad_handles_are_refused(self):
        channel = self.open_channel()
        for handle in (b"", b"0", b"\xff" * 256):
            with self.subTest(handle=handle[:8]):
                self.assertIn(channel.close_handle(text(handle))[0], (frames.FAILURE, frames.NO_SUCH_FILE))
        handle = channel.create(f"{self.remote_directory()}/once")
        self.assertEqual(frames.OK, channel.close_handle(handle)[0])
        self.assertEqual(frames.FAILURE, channel.close_handle(handle)[0])

    # S1: A path is UTF-8; NUL, other control characters, U+FFFE and U+FFFF are refused.
    def test_names_that_cannot_be(self):
        channel, there = self.open_channel(), self.remote_directory()
        for name in (b"nul\0byte", b"new\nline", b"\x01", b"not \xff utf-8", b"x" * 5000, "\ufffe".encode()):
            with self.subTest(name=name[:12]):
                path = f"{there}/".encode() + name
                reply = channel.ask(frames.OPEN, text(path), number(0b11010), frames.NO_ATTRIBUTES)
                code, sentence = frames.status_of(reply)
                self.assertNotEqual(frames.OK, code)
                self.assertTrue(sentence)
        self.assertEqual([], self.sftp().listdir(there))

    # S61: After a failed WRITE the CLOSE fails too, and nothing is stored.
    def test_a_failed_write_makes_close_fail_and_publishes_nothing(self):
        channel, there = self.open_channel(), self.remote_directory()
        handle, block = channel.create(f"{there}/file"), content(128 << 10)
        for offset in range(0, 2 * PART + LEAST_PART, len(block)):
            self.assertEqual(frames.OK, channel.write(handle, offset, block)[0])
        # The first part is already in S3, so the server can't keep a WRITE over it.
        code, sentence = channel.write(handle, 0, b"again")
        self.assertNotEqual(frames.OK, code)
        self.assertTrue(sentence)
        self.assertNotEqual(frames.OK, channel.close_handle(handle)[0])
        self.assertEqual([], self.sftp().listdir(there))

    # S62: WRITEs may come in any order, as many as a client has in flight; without APPEND the offsets say what the …
    def test_writes_out_of_order_and_over_each_other(self):
        channel, there = self.open_channel(), self.remote_directory()
        handle, whole = channel.create(f"{there}/file"), bytearray(content(1 << 20))
        quarter = len(whole) // 4
        for index in (3, 1, 0, 2):
            piece = bytes(whole[index * quarter : (index + 1) * quarter])
            self.assertEqual(frames.OK, channel.write(handle, index * quarter, piece)[0])
        whole[100:200] = bytes(100)
        self.assertEqual(frames.OK, channel.write(handle, 100, bytes(100))[0])
        self.assertEqual(frames.OK, channel.close_handle(handle)[0])
        with self.sftp().open(f"{there}/file") as file:
            self.assertEqual(bytes(whole), file.read())

    def test_a_size_that_grows_is_seen_while_it_is_uploaded(self):
        channel, there = self.open_channel(), self.remote_directory()
        handle = channel.create(f"{there}/file")
        self.assertEqual(frames.OK, channel.write(handle, 0, b"x" * 1000)[0])
        for reply in (channel.ask(frames.FSTAT, handle), channel.ask(frames.STAT, text(f"{there}/file"))):
            self.assertEqual(frames.ATTRS, reply.kind)
            self.assertEqual(1000, int.from_bytes(reply.body[4:12], "big"))
        self.assertEqual([], self.sftp().listdir(there))
        self.assertEqual(frames.OK, channel.close_handle(handle)[0])

    def test_extended_data_harms_nobody(self):
        channel = self.open_channel()
        # paramiko sends it as a server would send to a client's stderr.
        channel.channel.sendall_stderr(b"x" * 1000)
        self.assertEqual(frames.NAME, channel.ask(frames.REALPATH, text(".")).kind)

    def test_ten_channels_and_no_eleventh(self):
        channels = [self.open_channel() for _ in range(10)]
        with self.assertRaises(paramiko.ChannelException):
            self.transport.open_session(timeout=60)
        for channel in channels:
            self.assertEqual(frames.NAME, channel.ask(frames.REALPATH, text(".")).kind)
        for channel in channels:
            channel.channel.close()

    def test_channels_opened_and_left(self):
        # Opened and closed without a request, far more channels than may be open at once.
        for _ in range(50):
            self.transport.open_session(timeout=60).close()
        left = [self.transport.open_session(timeout=60) for _ in range(9)]
        self.assertEqual(frames.NAME, self.open_channel().ask(frames.REALPATH, text(".")).kind)
        for channel in left:
            channel.close()

    def test_an_odd_subsystem_payload_harms_nobody(self):
        for payload in (b"", b"\0", b"\0\0\0\xffsftp", text("sftp") + b"more", text(b"\xff\xfe")):
            with self.subTest(payload=payload):
                transport = self.connect()
                channel = transport.open_session(timeout=60)
                message = paramiko.Message()
                message.add_byte(b"\x62")  # CHANNEL_REQUEST
                message.add_int(channel.remote_chanid)
                message.add_string("subsystem")
                message.add_boolean(True)
                message.add_bytes(payload)
                transport._send_user_message(message)
                self.assertEqual(frames.VERSION, Frames(self.connect()).start().kind)
