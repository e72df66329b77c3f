"""One attack in a process of its own, under `nice -n 19`.

The process prints a line once the attack is in place, goes on until its standard input ends, and then prints its counts.
"""

import asyncio
import json
import logging
import select
import subprocess
import sys
import time
from pathlib import Path

from rig import keys

COUNTED = ("sent", "served", "connections", "refused")
NICE = ["nice", "-n", "19"]
READY_TIMEOUT = 60.0
STOP_TIMEOUT = 20.0


class Target:
    """The server as an attack sees it, and what the attack counts: `served` requests, `connections`, and errors."""

    def __init__(self, port, key, has_one_source):
        self.port, self.key, self.has_one_source = port, key, has_one_source
        self.counts, self.errors = dict.fromkeys(COUNTED, 0), {}
        self.ready = asyncio.Event()

    def source(self, number):
        """Returns the address of the attacker's connection with this number."""
        number = 0 if self.has_one_source else number
        return f"127.11.{number // 200}.{number % 200 + 1}"

    def count(self, what, more=1):
        self.counts[what] += more

    def refused(self, error):
        self.count("refused")
        name = f"{type(error).__name__}: {error}"[:80]
        self.errors[name] = self.errors.get(name, 0) + 1


async def run(attack, port, key, has_one_source):
    target = Target(port, key, has_one_source)
    # Replies that no task waits for any more, and connections that the server ended, are no errors of an attack.
    logging.getLogger("asyncio").setLevel(logging.CRITICAL)
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: None)
    task = asyncio.create_task(attack(target))
    task.add_done_callback(lambda _: target.ready.set())
    await target.ready.wait()
    print("ready", flush=True)
    await asyncio.to_thread(sys.stdin.read)
    if task.done() and not task.cancelled() and task.exception():
        target.refused(task.exception())
    task.cancel()
    print(json.dumps({**target.counts, "errors": target.errors}), flush=True)


class Attack:
    """An attack on a server, for a `with` block. Afterwards `counts` has what it achieved."""

    def __init__(self, name, server, has_one_source=False):
        script = Path(__file__).resolve().parents[1] / "attacks.py"
        command = [*NICE, sys.executable, script, "--attack", name, str(server.port), keys.key()]
        command += ["--one-source"] if has_one_source else []
        self.counts, self.seconds, self.began = {}, 0.0, time.monotonic()
        self.child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def __enter__(self):
        return self

    def is_ready(self):
        """True once the attack is in place, or has ended."""
        return bool(select.select([self.child.stdout], [], [], 0)[0])

    def await_ready(self):
        select.select([self.child.stdout], [], [], READY_TIMEOUT)

    def __exit__(self, *_):
        self.seconds = time.monotonic() - self.began
        self.child.stdin.close()
        try:
            self.child.wait(STOP_TIMEOUT)
        except subprocess.TimeoutExpired:
            self.child.kill()
            self.child.wait()
        line = self.child.stdout.read().rpartition("ready\n")[2]
        self.child.stdout.close()
        self.counts = json.loads(line) if line.startswith("{") else {}

    def served(self):
        return self.counts.get("served", 0)

    def note(self):
        """Says what it achieved, and the most frequent reason for which it was refused."""
        if not self.served():
            return f"attack didn't run: {self.counts or 'it ended without counts'}"
        words = [f"{self.counts[what]:,} {what}" for what in COUNTED if self.counts[what]]
        words[-1] += f" in {self.seconds:.0f} s"
        errors = self.counts["errors"]
        if errors:
            words.append(f"most often by {max(errors, key=errors.get)!r}")
        return ", ".join(words)
