"""Issue 12.5: a client that knows AES-GCM gets it, whatever it prefers. Other clients get a cipher that they know."""

import re
import socket
import threading
import time

from rig.case import ServerCase
from rig.fake_aws import FakeAws
from rig.files import MIB, make, sha256
from rig.servers import Serve

GCM = ("aes128-gcm@openssh.com", "aes256-gcm@openssh.com")


class Ciphers(ServerCase):
    SHARED = None
    SETTINGS = ""

    @classmethod
    def start(cls):
        s3 = FakeAws()
        cls.addClassCleanup(s3.close)
        return Serve(s3.store(), ssh_settings=cls.SETTINGS)

    def cipher(self, *options, port=None):
        """Returns the cipher that OpenSSH's client reports with these options."""
        client = self.openssh
        client.options[client.options.index("LogLevel=ERROR")] = "LogLevel=DEBUG1"
        arguments = ["-p", str(port)] if port else []
        said = client.ssh(*arguments, *options, "-s", client.place, "sftp").stderr
        ciphers = re.findall(r"kex: (?:server->client|client->server) cipher: (\S+)", said)
        self.assertEqual(2, len(ciphers), said)
        self.assertEqual(1, len(set(ciphers)), said)
        return ciphers[0]


class ByDefault(Ciphers):
    def test_stock_openssh_gets_gcm(self):
        self.assertIn(self.cipher(), GCM)

    def test_openssh_that_prefers_ctr_gets_gcm(self):
        self.assertIn(self.cipher("-c", "aes256-ctr,aes128-gcm@openssh.com"), GCM)

    def test_openssh_without_gcm_gets_ctr(self):
        self.assertEqual("aes256-ctr", self.cipher("-c", "aes256-ctr"))
        config = self.local / "ssh_config"
        config.write_text("Ciphers aes256-ctr\n")
        self.assertEqual("aes256-ctr", self.cipher("-F", str(config)))

    def test_keys_are_exchanged_strictly_and_anew(self):
        make(self.local / "file", MIB)
        client = self.openssh
        client.options[client.options.index("LogLevel=ERROR")] = "LogLevel=DEBUG3"
        done = client.sftp(f"put {self.local}/file", f"get file {self.local}/back", options=["-o", "RekeyLimit=256K"])
        self.assertEqual(sha256(self.local / "file"), sha256(self.local / "back"))
        self.assertIn("will use strict KEX ordering", done.stderr)
        self.assertGreaterEqual(done.stderr.count("set_newkeys: rekeying"), 4)

    def test_a_client_that_is_a_quarter_of_a_second_away_gets_gcm(self):
        with Far(self.server.port, 0.125) as far:
            self.assertIn(self.cipher(port=far.port), GCM)

    def test_paramiko_gets_in_with_its_own_choice(self):
        self.assertEqual("/", self.sftp().normalize("."))

    def test_one_identification_goes_out_and_our_kexinit_comes_unasked(self):
        with socket.create_connection((self.server.host, self.server.port), timeout=60) as client:
            client.sendall(b"SSH-2.0-waits_for_the_server\r\n")
            began, said = time.monotonic(), b""
            while b"curve25519-sha256" not in said:
                piece = client.recv(4096)
                self.assertTrue(piece, said)
                said += piece
        self.assertEqual(1, said.count(b"SSH-2.0-"))
        self.assertTrue(said.startswith(b"SSH-2.0-Wharfinger\r\n"), said[:40])
        # The server knows nothing about such a client, so it offers everything.
        self.assertIn(b"aes256-gcm@openssh.com,aes128-gcm@openssh.com,aes256-ctr,aes128-ctr", said)
        self.assertLess(time.monotonic() - began, 30)


class WithoutThePreference(Ciphers):
    SETTINGS = "prefer_gcm = false"

    def test_the_client_s_order_decides(self):
        self.assertEqual("aes256-ctr", self.cipher("-c", "aes256-ctr,aes128-gcm@openssh.com"))


class Far:
    """A proxy that delays bytes by `delay` seconds, in both directions."""

    def __init__(self, port, delay):
        self.delay, self.target = delay, port
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]

    def __enter__(self):
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.listener.close()

    def _accept(self):
        try:
            near, _ = self.listener.accept()
        except OSError:
            return
        far = socket.create_connection(("127.0.0.1", self.target))
        for source, sink in ((near, far), (far, near)):
            threading.Thread(target=self._pass_on, args=(source, sink), daemon=True).start()

    def _pass_on(self, source, sink):
        pieces, ended = [], threading.Event()

        def send():
            while not ended.is_set() or pieces:
                if not pieces:
                    time.sleep(0.001)
                    continue
                due, piece = pieces.pop(0)
                time.sleep(max(0, due - time.monotonic()))
                try:
                    sink.sendall(piece)
                except OSError:
                    return
            try:
                sink.shutdown(socket.SHUT_WR)
            except OSError:
                pass

        threading.Thread(target=send, daemon=True).start()
        try:
            while piece := source.recv(65536):
                pieces.append((time.monotonic() + self.delay, piece))
        except OSError:
            pass
        ended.set()


