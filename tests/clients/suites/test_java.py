"""Java's present clients: Apache MINA SSHD with its file system, and sshj. They use trees, concurrent transfers on one
channel, and several ways to read and write. One tenant is in a prefix, the other in its own bucket."""

from rig import java
from rig.case import ServerCase
from rig.fake_aws import FakeAws
from rig.files import KIB, MIB, content, make, make_tree, sha256, sha256_of, tree
from rig.servers import Serve

AT_ONCE = 6


class JavaClient:
    """Tests that both clients pass."""

    SHARED = "demo"
    PROGRAM = None
    USER = "alice"

    def connect(self):
        return super().connect(user=self.USER)

    def java(self, *commands):
        return java.run(self.PROGRAM, self.server, self.USER, commands, self.local)

    def put(self, path, data):
        with self.sftp().open(path, "wb") as file:
            file.set_pipelined(True)
            file.write(data)

    def get(self, path):
        with self.sftp().open(path, "rb") as file:
            return file.read()

    def test_trees_are_written_walked_read_and_deleted(self):
        there, made = self.remote_directory(), make_tree(self.local / "tree")
        done = self.java(
            f"putTree tree {there}/tree",
            f"walk {there}/tree",
            f"getTree {there}/tree back",
            f"deleteTree {there}/tree",
            # The JDK tries to create the deepest directory first, and creates its parents only after a refusal.
            f"makeDirectories {there}/a/b/c",
            f"walk {there}",
            f"deleteTree {there}",
        )
        self.assertEqual(["ok", " ".join(sorted(made)), "ok", "ok", "ok", "a a/b a/b/c", "ok"], done)
        self.assertEqual(made, tree(self.local / "back"))
        self.assertNotIn(there, self.sftp().listdir("."))

    def test_transfers_at_once_on_one_channel(self):
        there, sizes = self.remote_directory(), [0, 1, 100_000, 3 * MIB, 5 * MIB, 9 * MIB]
        sent = [make(self.local / f"up.{number}", size, seed=number) for number, size in enumerate(sizes)]
        done = self.java(f"puts up {there}/file {AT_ONCE}", f"gets {there}/file down {AT_ONCE}")
        self.assertEqual(["ok", "ok"], done)
        self.assertEqual(sent, [sha256(self.local / f"down.{number}") for number in range(AT_ONCE)])


class MinaInAPrefix(JavaClient, ServerCase):
    PROGRAM = "MinaClient"

    def test_a_channel_that_may_write_is_read_beside_downloads(self):
        there = self.remote_directory()
        self.put(f"{there}/changed", bytes(range(256)))
        self.put(f"{there}/large", content(12 * MIB))
        downloads = " ".join([f"{there}/large"] * 4)
        self.assertEqual(["0 failed"], self.java(f"beside {there}/changed {downloads}"))

    def test_channels_that_may_write_stand_beside_each_other_and_beside_readers(self):
        there = self.remote_directory()
        self.put(f"{there}/file", b"as it was")
        (millis,) = self.java(f"channels {there}/file")
        # If such a channel were an upload from the start, each of the 20 readers would wait for 200 ms.
        self.assertRegex(millis, r"^\d+$")
        self.assertLess(int(millis), 3000)
        self.assertEqual(b"AS it was", self.get(f"{there}/file"))


class MinaWithoutBouncyCastle(ServerCase):
    """Issue 14.8: without BouncyCastle MINA knows no Ed25519, for users or for hosts. Spring Integration lacks it."""

    SHARED = "demo"

    def walk(self, server, directory="/", **options):
        commands = [f"walk {directory}"]
        return java.run("MinaClient", server, server.user, commands, self.local, "ecdsa", bouncy_castle=False, **options)

    def test_the_demo_has_a_host_key_for_it(self):
        self.assertEqual(1, len(self.walk(self.server, self.remote_directory())))

    def test_ed25519_alone_is_none(self):
        s3 = FakeAws()
        self.addCleanup(s3.close)
        for kinds, status in (('["ed25519", "rsa"]', 0), ('["ed25519"]', 1)):
            with self.subTest(kinds=kinds):
                server = Serve(s3.store(), ssh_settings=f"host_keys.kinds = {kinds}")
                self.addCleanup(server.close)
                self.walk(server, status=status)


class SshjInAPrefix(JavaClient, ServerCase):
    PROGRAM = "SshjClient"

    # The JDK reads 0 bytes whenever its buffer of 8 KiB is full.
    def test_a_stream_is_read_to_its_end(self):
        there, data = self.remote_directory(), content(200 * KIB)
        self.put(f"{there}/file", data)
        self.assertEqual(["ok"], self.java(f"readAll {there}/file back"))
        self.assertEqual(sha256_of(data), sha256(self.local / "back"))

    def test_a_file_that_may_be_written_is_read_ahead(self):
        there, data = self.remote_directory(), content(12 * MIB)
        self.put(f"{there}/file", data)
        self.assertEqual(["ok"], self.java(f"readAhead {there}/file back"))
        self.assertEqual(sha256_of(data), sha256(self.local / "back"))

    # sshj sends the offsets of the local file on a handle that appends.
    def test_an_upload_from_an_offset_appends(self):
        there, whole, offset = self.remote_directory(), content(300 * KIB), 100 * KIB
        (self.local / "whole").write_bytes(whole)
        stored = (offset, offset - 7, 0)
        for size in stored:
            self.put(f"{there}/{size}", whole[:size])
        self.assertEqual(["ok"] * 3, self.java(*(f"putFrom whole {there}/{size} {offset}" for size in stored)))
        for size in stored:
            with self.subTest(stored=size):
                self.assertEqual(sha256_of(whole[:size] + whole[offset:]), sha256_of(self.get(f"{there}/{size}")))


class MinaInABucket(MinaInAPrefix):
    USER = "bob"


class SshjInABucket(SshjInAPrefix):
    USER = "bob"


class MinaOnSshd(MinaInAPrefix):
    """Runs with `--sshd` only."""

    SHARED = "sshd"
    USER = "root"


class SshjOnSshd(SshjInAPrefix):
    """Runs with `--sshd` only."""

    SHARED = "sshd"
    USER = "root"
