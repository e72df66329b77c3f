"""Processes on loopback: each has a log, and ends with the test run at the latest."""

import atexit
import signal
import socket
import subprocess
import tempfile
import time
from collections import deque
from pathlib import Path

START_TIMEOUT = 60.0
STOP_TIMEOUT = 60.0
POLL_INTERVAL = 0.02
LOG_MOMENT = 0.05


def until(probe, what, timeout=START_TIMEOUT, interval=POLL_INTERVAL):
    """Asks `probe` until it answers something true, and returns that. For what has no event to wait for."""
    deadline = time.monotonic() + timeout
    while not (answer := probe()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what}: not within {timeout:.0f} s")
        time.sleep(interval)
    return answer


def free_ports(count):
    """Ports that nobody listened on a moment ago. All are held until the last is known, so that no two are the same."""
    held = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [listener.getsockname()[1] for listener in held]
    for listener in held:
        listener.close()
    return ports


def free_port():
    return free_ports(1)[0]


class Process:
    """A child process whose stdout and stderr go to a log file, unless `stderr` is another."""

    def __init__(self, arguments, stderr=subprocess.STDOUT, **options):
        self.arguments = [str(argument) for argument in arguments]
        with tempfile.NamedTemporaryFile(prefix="wharfinger-log-", delete=False) as log:
            self.log = Path(log.name)
            self.child = subprocess.Popen(
                self.arguments, stdin=subprocess.DEVNULL, stdout=log, stderr=stderr, **options
            )
        atexit.register(self.close)

    @property
    def pid(self):
        return self.child.pid

    @property
    def running(self):
        return self.child.poll() is None

    def log_text(self):
        """The log so far. The server writes it from a thread of its own, so what a client has just done may come a moment
        later: the text is read when nothing was added for that long."""
        size = -1
        for _ in range(20):
            before, size = size, self.log.stat().st_size
            if size == before:
                break
            time.sleep(LOG_MOMENT)
        return self.log.read_text(errors="replace")

    def log_tail(self, lines=60):
        with self.log.open(errors="replace") as log:
            return "".join(deque(log, lines))

    def until(self, probe, what, timeout=START_TIMEOUT):
        """As `until`, and ends early, with the log, when the process does."""

        def alive():
            if not self.running:
                raise RuntimeError(f"{self.arguments[0]} ended with {self.child.returncode}\n{self.log_tail()}")
            return probe()

        try:
            return until(alive, what, timeout)
        except TimeoutError as error:
            raise TimeoutError(f"{error}\n{self.log_tail()}") from None

    def kill(self):
        """Ends it without a chance to clean up."""
        self.child.kill()
        self.child.wait(STOP_TIMEOUT)

    def stop(self):
        """Asks it to end, and returns its exit status."""
        self.child.send_signal(signal.SIGTERM)
        return self.child.wait(STOP_TIMEOUT)

    def close(self):
        atexit.unregister(self.close)
        if self.running:
            self.kill()
        self.log.unlink(missing_ok=True)

    def memory_mib(self, field="VmRSS"):
        """What it holds now (`VmRSS`), or held at most since the last `forget_peak` (`VmHWM`)."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        line = next(line for line in status.splitlines() if line.startswith(field + ":"))
        return int(line.split()[1]) / 1024

    def forget_peak(self):
        """Lets `VmHWM` start again from what is held now."""
        Path(f"/proc/{self.pid}/clear_refs").write_text("5")


def connections(port):
    """How many TCP connections the listener at 127.0.0.1:`port` has not let go of."""
    wanted = f"0100007F:{port:04X}"
    gone = {"06", "07", "0A"}  # TIME_WAIT, CLOSE, LISTEN
    fields = (line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:])
    return sum(1 for _, local, _, state, *rest in fields if local == wanted and state not in gone and rest[5] != "0")
