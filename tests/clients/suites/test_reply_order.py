"""A store that sends a later piece of a file first: the client gets its replies in order, and the whole file."""

from rig.fake_aws import FakeAwsCase, Zeros
from rig.files import MIB, PART

SIZE = 5 * PART
# OpenSSH requests the bytes behind this piece before it has the piece, and the server has prefetched them.
LATE = 3 * PART - MIB
# Much longer than the store needs for the bytes behind it.
DELAY_MS = 3000


class ReplyOrder(FakeAwsCase):
    # scp before OpenSSH 9.4 truncates its file at the first reply that another overtakes, and exits with 0.
    def test_a_piece_that_comes_late_cuts_no_file_of_scp_off(self):
        self.s3.objects["tenants/acme/file"] = Zeros(SIZE)
        self.s3.set_faults({"operations": ["GetObject"], "range_with": LATE, "delay_ms": DELAY_MS})
        back = self.local / "back"
        self.openssh.scp(self.openssh.remote("file"), back)
        self.assertEqual(SIZE, back.stat().st_size)
        self.assertFalse(any(back.read_bytes()))
        self.assertTrue(self.was_late(), self.s3.record())

    def was_late(self):
        """Returns true if the store served bytes behind the piece before the piece."""
        ranges = [request["range"] for request in self.s3.record() if request["operation"] == "GetObject"]
        bounds = [tuple(map(int, text.removeprefix("bytes=").split("-"))) for text in ranges]
        late = next(index for index, (first, last) in enumerate(bounds) if first <= LATE <= last)
        return any(first > LATE for first, _ in bounds[:late])
