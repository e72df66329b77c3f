"""A test that runs against a server, with a directory of its own on both sides."""

import tempfile
import unittest
from pathlib import Path

from . import paramiko_client, programs
from .openssh import OpenSsh
from .servers import shared


class ServerCase(unittest.TestCase):
    """A class of tests for one server. `start` says which; those of `SHARED` serve many classes."""

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
        """A directory for what outlives a server, gone when the class is done."""
        directory = tempfile.TemporaryDirectory(prefix="wharfinger-lasting-")
        cls.addClassCleanup(directory.cleanup)
        return Path(directory.name)

    @property
    def openssh(self):
        return OpenSsh(self.server)

    def connect(self, **options):
        """A paramiko transport that is logged in; closed at the test's end."""
        transport = paramiko_client.connect(self.server, **options)
        self.addCleanup(transport.close)
        return transport

    def sftp(self, **options):
        """A paramiko SFTP client on a connection of its own."""
        return paramiko_client.sftp(self.connect(**options))

    def run_program(self, *arguments, **options):
        """As `programs.run`, at home in the test's local directory."""
        return programs.run(arguments, self.local, **options)

    def remote_directory(self):
        """The name of a new directory on the server, relative to where sessions start."""
        name = f"{type(self).__name__}.{self._testMethodName}"
        self.sftp().mkdir(name)
        return name
