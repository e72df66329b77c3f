"""The attack bench (issue 19): what tenants and strangers can take from others. It prints a table, and fails if a row
misses its limit.

*Alone* is a victim's operation on the first server while the attack runs against the second, *attacked* is the same
while it runs against the first: the attack's cost to the machine is in both. Attackers have a process of their own under
`nice -n 19`. Figures are medians of five rounds, in which the two take turns.

    attacks.py [--row WORD]... [--list]

WHARFINGER_SOAK_SECONDS below 300 (the default is 20) runs the rows of SHORT alone: those that compare no times and are
soon done. `--row` runs the rows whose names have the word, however long they take; so does WHARFINGER_SOAK_ROW.
`WHARFINGER` and `FAKE_AWS` name the binaries, or else they are the debug builds. Nothing else should run beside it.
"""

import argparse
import asyncio
import functools
import os
import signal
import sys
import time
from pathlib import Path

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "clients"))

from attack_bench import attacker, flood_rows, honest_rows, log_rows, memory_rows, upload_rows  # noqa: E402
from attack_bench.floods import FLOODS  # noqa: E402
from attack_bench.hoards import HOARDS, OTHERS  # noqa: E402
from attack_bench.servers import Storage  # noqa: E402
from attack_bench.ssh import load_key  # noqa: E402
from attack_bench.strangers import STRANGERS  # noqa: E402
from attack_bench.table import failed, show  # noqa: E402

SECONDS = float(os.environ.get("WHARFINGER_SOAK_SECONDS", 20))
ALL_SECONDS = 300.0
# The time for which an attack on memory stays after it is in place.
MEMORY_HOLD = 10.0 if SECONDS >= ALL_SECONDS else 2.0
SHORT = ("memory: half-sent frames", "memory: slow connections")
ATTACKS = {**FLOODS, **STRANGERS, **HOARDS, **OTHERS, honest_rows.BUSY: honest_rows.busy_tenant}


def rows():
    """Returns all rows of the table: their names, and the functions that measure them, given the storage."""
    found = {}
    for name in memory_rows.ATTACKS:
        found[f"memory: {name}"] = functools.partial(memory_rows.measure, name=name, hold=MEMORY_HOLD)
    for name in OTHERS:
        found[f"upload: {name}"] = functools.partial(upload_rows.measure_start, name=name)
    for name in flood_rows.FLOODED:
        found[f"flood: {name}"] = functools.partial(flood_rows.measure, name=name)
    for name in flood_rows.RENAMED_BESIDE:
        found[f"renames: {name}"] = functools.partial(flood_rows.measure_renames, name=name)
    for name in log_rows.LINES:
        found[f"log: {name}"] = functools.partial(log_rows.measure, name=name)
    found["40 honest tenants"] = honest_rows.measure
    found["160 OPENs before the first CLOSE"] = upload_rows.measure_many_opens
    return found


def chosen(words):
    """Returns the rows that have one of the words; without words, those for which there is time."""
    words = words or (SHORT if SECONDS < ALL_SECONDS else ("",))
    return {name: measure for name, measure in rows().items() if any(word in name for word in words)}


def run(measured):
    """Measures the rows, one after the other. Returns their results."""
    storage, results = Storage(), []
    try:
        for name, measure in measured.items():
            began = time.monotonic()
            try:
                found = measure(storage)
            except Exception as error:  # A row that can't be measured has failed, and the others go on.
                found = failed(name, "", f"it couldn't be measured: {type(error).__name__} {error}")
            found = found if isinstance(found, list) else [found]
            for result in found:
                print(f"attacks: {' | '.join(result.cells())} | {result.note}", flush=True)
            print(f"attacks: {name}: {time.monotonic() - began:.0f} s", flush=True)
            results += found
    finally:
        storage.close()
    return results


def parse():
    options = argparse.ArgumentParser()
    named = os.environ.get("WHARFINGER_SOAK_ROW")
    options.add_argument("--row", action="append", default=[named] if named else [])
    options.add_argument("--list", action="store_true")
    options.add_argument("--attack", nargs=3, metavar=("NAME", "PORT", "KEY"), help="used by the bench itself")
    options.add_argument("--one-source", action="store_true", help="used by the bench itself")
    return options.parse_args()


def main():
    options = parse()
    if options.attack:
        name, port, key = options.attack
        asyncio.run(attacker.run(ATTACKS[name], int(port), load_key(key), options.one_source))
        return 0
    measured = chosen(options.row)
    if options.list:
        print(*measured, sep="\n")
        return 0
    # The servers end with the bench, also if it is asked to end early.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    results = run(measured)
    # Without a row there is no proof.
    return 1 if show(results) or not results else 0


if __name__ == "__main__":
    sys.exit(main())
