"""SIGTERM: transfers may finish, new connections are refused, and unfinished uploads aren't published."""

import signal
import socket

from rig import frames, paramiko_client
from rig.case import ServerCase
from rig.fake_aws import FakeAws
from rig.frames import Frames
from rig.process import until
from rig.servers import Demo, Serve


class Stop(ServerCase):
    SHARED = None

    @classmethod
    def start(cls):
        cls.s3 = FakeAws()
        cls.addClassCleanup(cls.s3.close)
        return cls.serve("5m")

    @classmethod
    def serve(cls, drain_timeout, tenant_settings=""):
        settings = f'drain_timeout = "{drain_timeout}"'
        return Serve(cls.s3.store(), settings=settings, tenant_settings=tenant_settings)

    def tearDown(self):
        # The tests end the server.
        self.server.close()

    def test_a_transfer_finishes(self):
        client = Frames(self.connect())
        client.start()
        handle = client.create("file")
        self.assertEqual(frames.OK, client.write(handle, 0, b"begun ")[0])
        self.server.process.child.send_signal(signal.SIGTERM)
        until(lambda: not self.listens(), "the end of the listener")
        self.assertEqual(frames.OK, client.write(handle, 6, b"and ended")[0])
        self.assertEqual(frames.OK, client.close_handle(handle)[0])
        client.channel.get_transport().close()
        self.assertEqual(0, self.server.process.child.wait(60))
        self.assertEqual(b"begun and ended", self.s3.objects["tenants/acme/file"])

    def test_a_transfer_that_takes_too_long_is_cut_off(self):
        for partial_uploads, kept in (("discard", 0), ("resumable", 1)):
            with self.subTest(partial_uploads=partial_uploads):
                self.server.close()
                type(self).server = self.serve("1s", f'partial_uploads = "{partial_uploads}"')
                self.s3.objects.clear()
                client = Frames(self.connect())
                client.start()
                handle = client.create("late")
                for offset in range(0, 20 << 20, 128 << 10):
                    self.assertEqual(frames.OK, client.write(handle, offset, bytes(128 << 10))[0])
                self.assertEqual(0, self.server.process.stop())
                self.assertEqual({}, self.s3.objects)
                # Not assertEqual of the uploads, which would print megabytes.
                self.assertEqual(kept, len(self.s3.uploads()))

    def test_the_demo_ends_on_both_signals(self):
        for number in (signal.SIGINT, signal.SIGTERM):
            with self.subTest(number=number):
                demo = Demo()
                demo.process.child.send_signal(number)
                self.assertEqual(0, demo.process.child.wait(60), demo.process.log_tail())
                demo.close()

    # Issue 12.9: SIGHUP, USR1 and USR2 don't kill the server.
    # Issue 17.1: SIGHUP reloads the config of a server that has config files.
    def test_signals_that_mean_something_to_others_end_nothing(self):
        for server, reloads in ((self.server, True), (Demo(), False)):
            with self.subTest(server=type(server).__name__):
                transport = paramiko_client.connect(server)
                self.addCleanup(transport.close)
                sftp = paramiko_client.sftp(transport)
                for name in ("SIGHUP", "SIGUSR1", "SIGUSR2"):
                    line = f'signal ignored signal="{name}"'
                    if reloads and name == "SIGHUP":
                        line = "config reloaded"
                    for _ in range(3):
                        server.process.child.send_signal(signal.Signals[name])
                        self.assertEqual("/", sftp.normalize("/"))
                    server.process.until(lambda line=line: line in server.process.log_text(), name)
                ignored = server.process.log_text().count("signal ignored")
                self.assertEqual(2 if reloads else 3, ignored, "each is said once")
                transport.close()
                self.assertEqual(0, server.process.stop())
                self.assertTrue(server.process.log_tail(1).rstrip().endswith("stopped"), server.process.log_tail())
                server.close()

    def listens(self):
        try:
            socket.create_connection((self.server.host, self.server.port), timeout=10).close()
        except OSError:
            return False
        return True
