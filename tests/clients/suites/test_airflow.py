"""Airflow's SFTPSensor with `newer_than`, on a slow S3: a file is as new as its CLOSE, however long its upload took.
For a file in parts S3 itself reports the creation of the upload."""

import time
from datetime import datetime, timedelta, timezone

from rig import airflow
from rig.files import MIB, PART, content
from rig.process import until
from rig.slow_s3 import SlowS3Case


class Sensor(SlowS3Case):
    def test_a_file_of_several_parts_is_as_new_as_its_close(self):
        begun = []
        self.s3.hold = lambda method, key: begun.append(time.time()) if method == "POST" else None
        self.s3.bytes_per_second = 8 * MIB
        there = self.remote_directory()
        with self.sftp().open(f"{there}/file", "wb") as file:
            file.set_pipelined(True)
            file.write(content(2 * PART))
            # Times have whole seconds. The wait makes the second of the CLOSE differ from the second of the creation.
            until(lambda: begun and time.time() > begun[0] + 2, "more than a second since the upload began")
            file.write(content(PART))
            closed = datetime.fromtimestamp(int(time.time()), timezone.utc)
        future = closed + timedelta(hours=1)
        answers = airflow.sense(self.server, f"/{there}", "file", closed, future, self.local)
        newer, older = ("path", "pattern", "deferred path", "deferred pattern"), ("future path", "future pattern")
        self.assertEqual(dict.fromkeys(newer, True) | dict.fromkeys(older, False), answers)
