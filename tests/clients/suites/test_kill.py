"""kill -9 of the server in mid-upload leaves no object, and acknowledged files stay."""

from rig import frames
from rig.case import ServerCase
from rig.files import LEAST_PART, MIB, content, sha256_of
from rig.frames import Frames
from rig.seaweedfs import SeaweedFs
from rig.servers import Demo, Serve


class Kill:
    SHARED = None

    # S73: A server that is killed loses no file whose CLOSE was answered, and publishes none that was not closed.
    def test_kill_in_mid_upload_leaves_no_object(self):
        acknowledged = content(LEAST_PART + 1)
        client = Frames(self.connect())
        client.start()
        self.upload(client, "whole", acknowledged)
        for path, size in (("one-byte", 1), ("one-part", LEAST_PART), ("parts", 30 * MIB)):
            handle, piece = client.create(path), content(128 << 10)
            for offset in range(0, size, len(piece)):
                self.assertEqual(frames.OK, client.write(handle, offset, piece[: size - offset])[0])
        self.server.process.kill()
        # The restarted server has another port here, and is otherwise the same.
        type(self).server = self.restart()
        self.assertEqual(["whole"], self.sftp().listdir())
        with self.sftp().open("whole", "rb") as file:
            file.prefetch()
            self.assertEqual(sha256_of(acknowledged), sha256_of(file.read()))

    def upload(self, client, path, data):
        handle = client.create(path)
        for offset in range(0, len(data), 128 << 10):
            self.assertEqual(frames.OK, client.write(handle, offset, data[offset : offset + (128 << 10)])[0])
        self.assertEqual(frames.OK, client.close_handle(handle)[0])


class KillOnDemo(Kill, ServerCase):
    @classmethod
    def start(cls):
        cls.data = cls.lasting_directory()
        return cls.restart()

    @classmethod
    def restart(cls):
        return Demo(cls.data)


class KillOnSeaweedFs(Kill, ServerCase):
    @classmethod
    def start(cls):
        return cls.restart()

    @classmethod
    def restart(cls):
        return Serve(SeaweedFs.shared().store(), prefix="killed")
