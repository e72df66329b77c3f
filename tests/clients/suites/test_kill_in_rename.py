"""kill -9 of the server in the middle of the rename of a directory: the next server repairs it."""

import sqlite3
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

from rig.case import ServerCase
from rig.files import content
from rig.process import until
from rig.seaweedfs import BUCKET, SeaweedFs
from rig.servers import Serve

PREFIX = "killed-in-rename"
# The phases of a rename in the ledger.
COPYING, DELETING = 1, 2
DIRECTORIES = 7
# Every directory has a marker. SeaweedFS keeps emptied directories without one for a while.
MARKERS = ("", *(f"{number}/" for number in range(DIRECTORIES)), "0/empty/", "deep/", "deep/er/")
# The minute of a lease, the twenty seconds between two checks, and the work.
REPAIR_TIMEOUT = 240.0
AT_ONCE = 16


class KillInRename(ServerCase):
    SHARED = None

    @classmethod
    def start(cls):
        cls.ledger = cls.lasting_directory() / "ledger.db"
        cls.s3 = SeaweedFs.shared().client("s3")
        return cls.restart()

    @classmethod
    def restart(cls):
        return Serve(SeaweedFs.shared().store(), PREFIX, settings=f'[ledger]\nurl = "sqlite:{cls.ledger}"\n')

    # S39: After a crash at any moment the rename of a directory is undone (while it copied) or finished (once it …
    # S40: Until an interrupted rename is repaired both names may show files, and no byte is missing from both.
    def test_kill_in_mid_rename_leaves_the_old_names_or_the_new_ones(self):
        # Enough files to kill in time, and more than a page of the listing that the repair uses.
        undone, finished = self.make_tree("undone", files=600), self.make_tree("finished", files=1100)

        self.kill_in_rename("finished", DELETING, lambda: not self.has("finished/0/0000"))
        self.assertTrue(self.names("finished"), "it was killed too late")
        self.assertEqual(set(finished), self.names("finished.new"))

        self.kill_in_rename("undone", COPYING, lambda: len(self.names("undone.new")) >= 100)
        self.assertEqual(set(undone), self.names("undone"))
        self.assertLess(self.names("undone.new"), set(undone), "it was killed too late")

        # Both wait for their leases to end at the same time. Meanwhile no name is missing.
        def put_right():
            for directory, tree in (("undone", undone), ("finished", finished)):
                self.assertEqual(set(tree), self.names(directory) | self.names(f"{directory}.new"))
            return not self.renames()

        until(put_right, "all renames are put right", REPAIR_TIMEOUT, interval=2.0)
        self.assertEqual({"undone": undone, "undone.new": {}}, self.trees("undone", "undone.new"))
        self.assertEqual({"finished": {}, "finished.new": finished}, self.trees("finished", "finished.new"))
        self.assertEqual({"undone", "finished.new"}, set(self.sftp().listdir()))

    def kill_in_rename(self, directory, phase, moment):
        """Kills the server at this moment of a rename, which must then be in this phase, and starts the next server."""
        with ThreadPoolExecutor(1) as pool:
            renaming = pool.submit(self.openssh.sftp, f"rename {directory} {directory}.new", check=False)
            until(moment, f"the middle of the rename of {directory}")
            self.server.process.kill()
            self.assertNotEqual(0, renaming.result().returncode)
        self.assertEqual(phase, self.renames()[f"{PREFIX}/acme/{directory}/"])
        self.server.close()
        type(self).server = self.restart()

    def renames(self):
        """Returns the phases of the renames in the ledger, by source."""
        with closing(sqlite3.connect(self.ledger)) as ledger:
            return dict(ledger.execute("SELECT source, phase FROM tree_renames"))

    def make_tree(self, directory, files):
        """Makes a directory whose objects all differ. Returns their bytes by name."""
        tree = dict.fromkeys(MARKERS, b"")
        for number in range(files):
            place = "deep/er" if number % 50 == 0 else str(number % DIRECTORIES)
            tree[f"{place}/{number:04}"] = content(number % 100, seed=f"{directory}/{number}")
        tree["0/0000"] = b"the first"
        with ThreadPoolExecutor(AT_ONCE) as pool:
            puts = [
                pool.submit(self.s3.put_object, Bucket=BUCKET, Key=self.key(directory, name), Body=data)
                for name, data in tree.items()
            ]
        for put in puts:
            put.result()
        return tree

    def trees(self, *directories):
        """Returns the bytes of everything in these directories, by name."""

        def read(place):
            directory, name = place
            return self.s3.get_object(Bucket=BUCKET, Key=self.key(directory, name))["Body"].read()

        trees = {}
        for directory in directories:
            names = sorted(self.names(directory))
            with ThreadPoolExecutor(AT_ONCE) as pool:
                trees[directory] = dict(zip(names, pool.map(read, ((directory, name) for name in names))))
        return trees

    def names(self, directory):
        below = self.key(directory, "")
        pages = self.s3.get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix=below)
        keys = [entry["Key"] for page in pages for entry in page.get("Contents", [])]
        return {key.removeprefix(below) for key in keys}

    def has(self, place):
        directory, _, name = place.partition("/")
        found = self.s3.list_objects_v2(Bucket=BUCKET, Prefix=self.key(directory, name), MaxKeys=1)
        return found["KeyCount"] > 0

    def key(self, directory, name):
        return f"{PREFIX}/acme/{directory}/{name}"
