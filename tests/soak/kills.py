"""kill -9 of the server at random moments of uploads, of resumed uploads and of renames. It starts again on the same ledger
each time, and S3 outlives it.

- Each acknowledged file has the bytes of its upload. A file whose CLOSE was not sent isn't there.
- No rename is half done: after its repair a file, or all files of a directory, have the old name, or all have the new one.
- Each acknowledged upload, removal and rename has exactly one record in the ledger.
- An interrupted upload can be resumed. When the time is over for which it is kept, S3 has no multipart upload of it, and the
  ledger has no row. The exception is an upload that S3 opened in the moment of the kill, before its row.

The script moves the times in the ledger while the server is down, so that leases end at once.

    kills.py [--kills N] [--seconds N] [--seed N]

It ends after N kills, or else after N seconds (WHARFINGER_SOAK_SECONDS, 20). `WHARFINGER` names the binary, or else it is
the debug build.
"""

import argparse
import collections
import os
import random
import sys
import tempfile
import threading
import time
from pathlib import Path

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "clients"))

from rig.kill_worker import CLOSE, KINDS, Worker, run_all  # noqa: E402
from rig.killed_server import Broken, KilledServer  # noqa: E402
from rig.servers import Demo  # noqa: E402

WORKERS = 4
# Of the kills: those that hit the repairs after the kill before, and those after which all times end.
HITS_REPAIRS, ENDS_KEEP_TIMES = 0.15, 0.2
# The first seconds of a server, in which it repairs.
REPAIR_SECONDS = 1.0
# The operations that are interrupted on purpose, and how often. Others are in flight then too.
INTERRUPTED = {"put in parts": 1, CLOSE: 2, "resume": 1, "put": 2, "rename directory": 4, "rename file": 4, "remove": 1}
# The kill interrupts one of the first operations of its kind.
OPERATIONS = (1, 3)
# A long run says how far it is.
KILLS_PER_LINE = 50
# The longest wait for such an operation.
MOST_WAIT = 3.0


class Soak:
    def __init__(self, options, directory, store):
        self.options, self.chance = options, random.Random(options.seed)
        self.server = KilledServer(directory, store)
        self.counts = collections.Counter()
        # The operations that were acknowledged, and those that a kill interrupted, as their records have them.
        self.acknowledged, self.interrupted = collections.Counter(), collections.Counter()
        # The usual time of each kind of operation, in seconds.
        self.durations = dict.fromkeys([*KINDS, CLOSE], 0.5)
        self.is_killing, self.begun = threading.Event(), {kind: threading.Event() for kind in self.durations}
        self.workers = [Worker(number, options.seed, self) for number in range(WORKERS)]

    def begins(self, kind):
        self.begun[kind].set()

    def ends(self, kind, seconds):
        self.counts[kind] += 1
        self.durations[kind] += (seconds - self.durations[kind]) / 4

    def run(self):
        began, kills, reported = time.monotonic(), 0, 0
        while kills < self.options.kills if self.options.kills else time.monotonic() - began < self.options.seconds:
            self.work_until_kill()
            kills += 1
            while self.chance.random() < HITS_REPAIRS:
                self.server.end_leases()
                self.server.start_again()
                time.sleep(self.chance.uniform(0, REPAIR_SECONDS))
                self.server.kill()
                self.server.check_killed()
                kills += 1
                self.counts["kills of repairs"] += 1
            self.start_again()
            if kills >= reported + KILLS_PER_LINE:
                reported = kills
                print(f"kills: {kills} kills after {time.monotonic() - began:.0f} s", flush=True)
        self.finish()
        self.report(kills, time.monotonic() - began)

    def work_until_kill(self):
        """Lets the workers work, and kills the server at a random moment of an operation of a random kind."""
        self.is_killing.clear()
        ready = threading.Semaphore(0)
        killer = threading.Thread(target=self.kill_once_ready, args=(ready,))
        killer.start()
        try:
            run_all(self.workers, lambda worker: worker.run(ready.release))
        finally:
            self.is_killing.set()
            ready.release(WORKERS)
            killer.join()
        self.server.check_killed()
        pending = [worker.pending for worker in self.workers if worker.pending]
        self.interrupted.update(Worker.record_of(operation) for operation in pending)

    def kill_once_ready(self, ready):
        """Kills the server in an operation, once all workers have checked what the last kill left."""
        kind = self.chance.choices(list(INTERRUPTED), INTERRUPTED.values())[0]
        for _ in self.workers:
            ready.acquire()
        for _ in range(self.chance.randint(*OPERATIONS)):
            self.begun[kind].clear()
            self.begun[kind].wait(MOST_WAIT)
        self.is_killing.wait(self.chance.uniform(0, 1.1 * self.durations[kind]))
        self.is_killing.set()
        self.server.kill()

    def start_again(self):
        ends_keep_times = self.chance.random() < ENDS_KEEP_TIMES
        if ends_keep_times:
            self.server.end_keep_times()
        else:
            self.server.end_leases()
        self.server.start_again()
        self.server.await_repairs()
        self.server.await_records(self.acknowledged, self.interrupted)
        if ends_keep_times:
            self.server.await_clean_up()
            run_all(self.workers, Worker.forget_interrupted)
            self.counts["ends of all times"] += 1

    def finish(self):
        """Checks that nothing is left when all times are over, and then everything."""
        self.server.kill()
        self.server.check_killed()
        self.server.end_keep_times()
        self.server.start_again()
        self.server.await_repairs()
        self.server.await_clean_up()
        run_all(self.workers, Worker.forget_interrupted)
        run_all(self.workers, Worker.check_all)
        self.server.await_records(self.acknowledged, self.interrupted)

    def report(self, kills, seconds):
        hits = ", ".join(
            f"{hit} of {kind} ({self.counts[f'done: {kind}']} done)"
            for kind in KINDS
            if (hit := self.counts[f"interrupted: {kind}"])
        )
        print(
            f"kills: {kills} kills in {seconds:.0f} s, {self.counts['kills of repairs']} of them in the first second; "
            f"interrupted: {hits}; carried out: {sum(self.counts[kind] for kind in KINDS)}, "
            f"{self.counts['resume']} of them resumed with {self.counts['resumed bytes'] >> 20} MiB stored before; "
            f"{sum(self.acknowledged.values())} acknowledged files and changes are on record; "
            f"{len(self.server.rowless)} uploads had no row at the kill",
            flush=True,
        )


def parse():
    options = argparse.ArgumentParser()
    options.add_argument("--kills", type=int, default=int(os.environ.get("WHARFINGER_SOAK_KILLS", 0)))
    options.add_argument("--seconds", type=float, default=float(os.environ.get("WHARFINGER_SOAK_SECONDS", 20)))
    seed = os.environ.get("WHARFINGER_SOAK_SEED", random.SystemRandom().randrange(1 << 32))
    options.add_argument("--seed", type=int, default=int(seed))
    return options.parse_args()


def main():
    options = parse()
    print(f"kills: seed {options.seed}", flush=True)
    storage = Demo()
    try:
        with tempfile.TemporaryDirectory(prefix="wharfinger-config-") as directory:
            soak = Soak(options, Path(directory), storage.store())
            try:
                soak.run()
            finally:
                soak.server.close()
    except (Broken, TimeoutError) as broken:
        print(f"kills: {broken}, seed {options.seed}", flush=True)
        return 1
    finally:
        storage.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
