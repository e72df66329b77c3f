"""A store that sends a later piece of a file first: the client gets its replies in order, and the whole file."""

import threading
import time

from rig.fake_s3 import FakeS3Case, Zeros
from rig.files import MIB, PART

SIZE = 5 * PART
# OpenSSH requests the bytes behind this piece before it has the piece, and the server has prefetched them.
LATE = 3 * PART - MIB
# Much longer than the server needs to send the bytes that it has. No event shows that it sent them, because it must
# not.
SECONDS = 0.5


class LatePiece(Zeros):
    """Zeros of which one piece arrives after the bytes behind it."""

    def __init__(self, size):
        super().__init__(size)
        self.behind_it_is_sent = threading.Event()
        self.was_late = False

    def pieces(self, start, end):
        if start <= LATE < end:
            yield from super().pieces(start, LATE)
            self.was_late = self.behind_it_is_sent.wait(60)
            time.sleep(SECONDS)
            yield from super().pieces(LATE, end)
        else:
            yield from super().pieces(start, end)
            if start > LATE:
                self.behind_it_is_sent.set()


class ReplyOrder(FakeS3Case):
    # scp before OpenSSH 9.4 truncates its file at the first reply that another overtakes, and exits with 0.
    def test_a_piece_that_comes_late_cuts_no_file_of_scp_off(self):
        file = self.s3.objects["tenants/acme/file"] = LatePiece(SIZE)
        back = self.local / "back"
        self.openssh.scp(self.openssh.remote("file"), back)
        self.assertTrue(file.was_late)
        self.assertEqual(SIZE, back.stat().st_size)
        self.assertFalse(any(back.read_bytes()))
