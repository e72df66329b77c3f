"""A real load balancer, haproxy, in front of a server that accepts its PROXY headers."""

import tempfile
from pathlib import Path

from .ports import free_port
from .servers import Serve, Server

SETTINGS = 'proxy_protocol = "require"\nproxy_from = ["127.0.0.1"]'


class ServeBehindHaproxy(Serve):
    """`wharfinger serve`, which accepts PROXY headers from 127.0.0.1."""

    header = b"PROXY UNKNOWN\r\n"

    def __init__(self, store, **options):
        super().__init__(store, ssh_settings=SETTINGS, **options)


class Haproxy(Server):
    """haproxy in front of `server`, with these options for that server."""

    user = "alice"

    def __init__(self, server, options):
        self.directory = tempfile.TemporaryDirectory(prefix="wharfinger-haproxy-")
        port = free_port()
        config = Path(self.directory.name) / "haproxy.cfg"
        config.write_text(
            f"global\n  log stdout format raw local0\n"
            f"defaults\n  mode tcp\n  log global\n  option log-health-checks\n  timeout connect 10s\n  timeout client 1m\n  timeout server 1m\n"
            f"listen sftp\n  bind 127.0.0.1:{port}\n  server wharfinger {server.host}:{server.port} {options}\n"
        )
        super().__init__(["/usr/sbin/haproxy", "-db", "-f", config], port)

    def close(self):
        super().close()
        self.directory.cleanup()
