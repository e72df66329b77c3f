"""Processes on loopback. Each has a log, and ends with the test run at the latest."""

import atexit
import signal
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
    """Polls `probe` until it returns a true value, and returns that. For conditions without an event to wait for."""
    deadline = time.monotonic() + timeout
    while not (answer := probe()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what}: not within {timeout:.0f} s")
        time.sleep(interval)
    return answer


class Process:
    """A child process whose stdout and stderr go to a log file, unless `stderr` is given."""

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
        """Returns the log so far. The server writes it from its own thread, so a line may appear a moment after its
        event: the text is read once nothing was added for that moment."""
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
        """Calls `until`. If the process ends first, it fails early with the log."""

        def alive():
            if not self.running:
                raise RuntimeError(f"{self.arguments[0]} ended with {self.child.returncode}\n{self.log_tail()}")
            return probe()

        try:
            return until(alive, what, timeout)
        except TimeoutError as error:
            raise TimeoutError(f"{error}\n{self.log_tail()}") from None

    def kill(self):
        """Kills the process, which gets no chance to clean up."""
        self.child.kill()
        self.child.wait(STOP_TIMEOUT)

    def stop(self):
        """Asks the process to end and returns its exit status."""
        self.child.send_signal(signal.SIGTERM)
        return self.child.wait(STOP_TIMEOUT)

    def close(self):
        atexit.unregister(self.close)
        if self.running:
            self.kill()
        self.log.unlink(missing_ok=True)

    def memory_mib(self, field="VmRSS"):
        """Returns its present memory (`VmRSS`), or its peak since the last `forget_peak` (`VmHWM`)."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        line = next(line for line in status.splitlines() if line.startswith(field + ":"))
        return int(line.split()[1]) / 1024

    def forget_peak(self):
        """Restarts `VmHWM` from the present memory."""
        Path(f"/proc/{self.pid}/clear_refs").write_text("5")


def connections(port):
    """Returns the number of TCP connections that the listener at 127.0.0.1:`port` has not closed."""
    wanted = f"0100007F:{port:04X}"
    gone = {"06", "07", "0A"}  # TIME_WAIT, CLOSE, LISTEN
    fields = (line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:])
    return sum(1 for _, local, _, state, *rest in fields if local == wanted and state not in gone and rest[5] != "0")
