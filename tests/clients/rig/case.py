"""A test that runs against a server, with its own directory on both sides."""

import tempfile
import unittest
from pathlib import Path

from . import paramiko_client, programs
from .openssh import OpenSsh
from .servers import shared


class ServerCase(unittest.TestCase):
    """A class of tests for one server, which `start` chooses. Many classes share the servers of `SHARED`."""

    SHARED = "demo"
    server = None

    @classmethod
    def start(cls):
        return shared(cls.SHARED)

    def setUp(self):
        cls = type(self)
        if cls.server is None or not cls.server.process.running:
            cls.server = cls.start()
        local = tempfile.TemporaryDirectory(prefix="wharfinger-local-")
        self.addCleanup(local.cleanup)
        self.local = Path(local.name)

    def tearDown(self):
        self.assertTrue(self.server.process.running, "the server ended")

    @classmethod
    def tearDownClass(cls):
        if cls.server is not None and cls.SHARED is None:
            cls.server.close()
        cls.server = None

    @classmethod
    def lasting_directory(cls):
        """Returns a directory for files that outlive a server. It is removed after the class."""
        directory = tempfile.TemporaryDirectory(prefix="wharfinger-lasting-")
        cls.addClassCleanup(directory.cleanup)
        return Path(directory.name)

    @property
    def openssh(self):
        return OpenSsh(self.server)

    def connect(self, **options):
        """Returns a paramiko transport that is logged in. It is closed at the end of the test."""
        transport = paramiko_client.connect(self.server, **options)
        self.addCleanup(transport.close)
        return transport

    def sftp(self, **options):
        """Returns a paramiko SFTP client on its own connection."""
        return paramiko_client.sftp(self.connect(**options))

    def run_program(self, *arguments, **options):
        """Calls `programs.run` with the test's local directory as home."""
        return programs.run(arguments, self.local, **options)

    def remote_directory(self):
        """Creates a directory on the server. Returns its name, relative to the directory in which sessions start."""
        name = f"{type(self).__name__}.{self._testMethodName}"
        self.sftp().mkdir(name)
        return name
