"""A store that refuses, throttles or is full: the client gets a sentence without its names, and can continue."""

from rig import frames
from rig.fake_aws import BUCKET, PUTS, FakeAwsCase, Zeros
from rig.files import LEAST_PART, MIB, content
from rig.frames import Frames, number, status_of, text

# The sentence of each answer of S3.
TOLD = f"as the test says: {BUCKET}"
SECRETS = (BUCKET, "tenants", "AKIATOLDTONOBODY", "arn:", "127.0.0.1", "http", "RequestId", "as the test says")


class StorageErrors(FakeAwsCase):
    def setUp(self):
        super().setUp()
        self.s3.objects.clear()
        self.s3.objects["tenants/acme/file"] = content(100)
        self.s3.objects["tenants/acme/large"] = Zeros(100 * MIB)
        self.s3.heal()
        self.client = Frames(self.connect())
        self.client.start()

    def tearDown(self):
        # The session is still usable, and so is its store.
        self.recover()
        self.assertEqual(frames.ATTRS, self.client.ask(frames.STAT, text("file")).kind)
        super().tearDown()

    def assert_sentence(self, status, *codes):
        code, sentence = status
        self.assertIn(code, codes)
        self.assertGreater(len(sentence), 10)
        for secret in SECRETS:
            self.assertNotIn(secret, sentence)

    def test_a_bucket_that_refuses_everything(self):
        self.refuse()
        refused = (frames.PERMISSION_DENIED, frames.FAILURE)
        for kind, fields in (
            (frames.STAT, [text("file")]),
            (frames.OPEN, [text("file"), number(frames.READ_FLAG), frames.NO_ATTRIBUTES]),
            (frames.REMOVE, [text("file")]),
            (frames.MKDIR, [text("directory"), frames.NO_ATTRIBUTES]),
            (frames.RENAME, [text("file"), text("other")]),
        ):
            with self.subTest(kind=kind):
                self.assert_sentence(self.client.status(kind, *fields), *refused)
        self.assert_sentence(self.listing(), *refused)
        handle = self.client.create("new")
        self.client.write(handle, 0, b"x")
        self.assert_sentence(self.client.close_handle(handle), *refused)
        self.assertEqual({"tenants/acme/file", "tenants/acme/large"}, set(self.s3.objects))

    def test_a_store_that_is_full(self):
        for size in (10, 3 * LEAST_PART):
            self.recover()
            self.s3.fail("InsufficientStorage", PUTS, message=TOLD)
            with self.subTest(size=size):
                self.assert_sentence(self.upload("new", size), frames.FAILURE)
                self.assertNotIn("tenants/acme/new", self.s3.objects)

    def test_a_store_that_is_slow_down_for_a_while_is_waited_for(self):
        reads = ["GetObject", "ListObjectsV2"]
        slow_down = {"failure": "SlowDown", "message": TOLD}
        self.s3.set_faults(
            {**slow_down, "operations": PUTS, "times": 2},
            {**slow_down, "operations": reads, "times": 2},
            {**slow_down, "operations": ["HeadObject"], "times": 1},
        )
        self.assertEqual(frames.OK, self.upload("new", 10)[0])
        self.assertEqual(frames.ATTRS, self.client.ask(frames.STAT, text("file")).kind)
        handle = self.client.open("file", frames.READ_FLAG)
        reply = self.client.ask(frames.READ, handle, number(0, 8), number(1000))
        self.assertEqual(self.s3.objects["tenants/acme/file"], reply.body[4:])

    def test_a_store_that_is_slow_down_for_ever(self):
        self.s3.fail("SlowDown", message=TOLD)
        self.assert_sentence(self.client.status(frames.STAT, text("file")), frames.FAILURE)
        self.assert_sentence(self.upload("new", 10), frames.FAILURE)
        self.assertNotIn("tenants/acme/new", self.s3.objects)

    def test_a_store_that_fails_in_mid_download(self):
        handle = self.client.open("large", frames.READ_FLAG)
        self.assertEqual(frames.DATA, self.client.ask(frames.READ, handle, number(0, 8), number(1000)).kind)
        self.refuse()
        reply = self.client.ask(frames.READ, handle, number(80 * MIB, 8), number(1000))
        self.assert_sentence(status_of(reply), frames.PERMISSION_DENIED, frames.FAILURE)
        self.client.close_handle(handle)

    def test_an_object_that_changes_under_a_download(self):
        handle = self.client.open("large", frames.READ_FLAG)
        self.assertEqual(frames.DATA, self.client.ask(frames.READ, handle, number(0, 8), number(1000)).kind)
        self.s3.objects["tenants/acme/large"] = Zeros(101 * MIB)
        reply = self.client.ask(frames.READ, handle, number(80 * MIB, 8), number(1000))
        self.assert_sentence(status_of(reply), frames.FAILURE)
        self.client.close_handle(handle)

    def test_a_failed_upload_is_aborted_unless_it_can_go_on(self):
        for part, kept in ((1, 0), (2, 1)):
            with self.subTest(part=part):
                self.s3.fail("AccessDenied", part_number=part, message=TOLD)
                self.assert_sentence(self.upload("new", 4 * LEAST_PART), frames.PERMISSION_DENIED, frames.FAILURE)
                self.assertNotIn("tenants/acme/new", self.s3.objects)
                # Not assertEqual of the uploads, which would print megabytes.
                self.assertEqual(kept, len(self.s3.uploads()))

    def refuse(self):
        self.s3.fail("AccessDenied", message=TOLD)

    def recover(self):
        """Ends the store's failures. A stored object then shows the server that the store works."""
        self.s3.heal()
        self.assertEqual(frames.OK, self.client.status(frames.MKDIR, text("recovered"), frames.NO_ATTRIBUTES)[0])
        self.assertEqual(frames.OK, self.client.status(frames.RMDIR, text("recovered"))[0])

    def upload(self, path, size):
        """Uploads this many bytes. Returns the status of the CLOSE, which must fail if a WRITE failed."""
        handle, piece = self.client.create(path), bytes(128 << 10)
        failed = None
        for offset in range(0, size, len(piece)):
            status = self.client.write(handle, offset, piece[: size - offset])
            failed = failed or (status if status[0] != frames.OK else None)
        closed = self.client.close_handle(handle)
        if failed:
            self.assertNotEqual(frames.OK, closed[0])
        return failed or closed

    def listing(self):
        reply = self.client.ask(frames.OPENDIR, text("."))
        if reply.kind == frames.STATUS:
            return status_of(reply)
        # `.` and `..` need no store, so they may come first.
        while (answer := self.client.ask(frames.READDIR, reply.body)).kind == frames.NAME:
            pass
        return status_of(answer)
