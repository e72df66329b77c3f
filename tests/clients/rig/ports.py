"""Ports for servers that a test starts.

The kernel gives outgoing connections, and listeners at port 0, a port of its range for them. A port of that range that
was free a moment ago may have an owner when the server starts: these ports are outside it."""

import random
import socket
from pathlib import Path

# Lowest port that services of the system rarely have.
LOWEST = 10_000
# The reservations of this process. Their names among the machine's abstract sockets are known to the Rust tests too.
RESERVED = []


def free_ports(count):
    """Returns ports that no other test on this machine gets while this process runs."""
    candidates = _outside_ephemeral()
    random.SystemRandom().shuffle(candidates)
    free = []
    for port in candidates:
        if _reserve(port):
            free.append(port)
            if len(free) == count:
                return free
    raise RuntimeError("the machine has too few free ports")


def free_port():
    return free_ports(1)[0]


def _reserve(port):
    """Reserves a port for this process. Returns false if it isn't free."""
    reservation = socket.socket(socket.AF_UNIX)
    try:
        reservation.bind(f"\0wharfinger-test-port-{port}")
        socket.create_server(("127.0.0.1", port)).close()
    except OSError:
        reservation.close()
        return False
    RESERVED.append(reservation)
    return True


def _outside_ephemeral():
    first, last = map(int, Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split())
    outside = [port for port in range(LOWEST, 1 << 16) if not first <= port <= last]
    # On a machine whose range is nearly everything, the ports are of that range.
    return outside if len(outside) >= 1_000 else list(range(LOWEST, 1 << 16))
