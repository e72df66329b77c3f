"""Rows about the log: the lines that one source can cause, and whether the server counts those that it leaves out."""

import re
import time
from collections import Counter
from datetime import datetime

from .attacker import Attack
from .floods import SMALL_BYTES, SMALL_FILE
from .objects import seed
from .servers import one_server
from .table import Result

# Lines a second, in any WINDOW seconds.
MOST_LINES, WINDOW = 100.0, 5
SECONDS = 10.0
# The server tells the number of suppressed lines later.
QUIET, LONGEST_WAIT = 5.0, 60.0
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d")
COUNT = re.compile(r"log lines suppressed .*\blines=(\d+)")
# The lines that each answer to the attack is worth, at the least: written, or counted as suppressed.
LINES = {
    "OPEN/CLOSE": 1.0,
    "SETSTAT": 1.0,
    # The start and the end of a session, for 100 requests.
    "log lines": 0.02,
    "broken connections": 1.0,
    "wrong passwords": 1.0,
}
# Of the lines, those that an attack may be short of: its last answers are on their way.
TOLERANCE = 0.9


def await_quiet_log(server):
    end, lines, since = time.monotonic() + LONGEST_WAIT, -1, time.monotonic()
    while time.monotonic() < end and time.monotonic() - since < QUIET:
        if (now := len(server.log_lines())) != lines:
            lines, since = now, time.monotonic()
        time.sleep(0.5)


def rates(lines):
    """Returns the most lines a second in any few seconds, and in any one, by the times that the lines begin with."""
    seconds = Counter(int(datetime.fromisoformat(found[0]).timestamp()) for line in lines if (found := TIME.match(line)))
    most = max((sum(seconds[first + more] for more in range(WINDOW)) for first in list(seconds)), default=0)
    return most / WINDOW, max(seconds.values(), default=0)


def measure(storage, name):
    seed(storage.attackers, {f"log/acme{SMALL_FILE}": bytes(SMALL_BYTES)})
    with one_server(storage, "log") as server:
        before = len(server.log_lines())
        attack = Attack(name, server, has_one_source=True)
        with attack:
            attack.await_ready()
            time.sleep(SECONDS)
        await_quiet_log(server)
        lines = server.log_lines()[before:]
    counted = sum(int(found[1]) for line in lines if (found := COUNT.search(line)))
    rate, burst = rates(lines)
    expected = attack.served() * LINES[name] * TOLERANCE
    is_counted = len(lines) + counted >= expected
    is_ok = rate <= MOST_LINES and is_counted and attack.served() > 0
    found = f"{rate:.0f}/s, {burst} in one second; {counted:,} more counted"
    found += "" if is_counted else f", of at least {expected:,.0f}"
    return Result(f"log: {name}", "", found, f"{MOST_LINES:.0f}/s, the rest counted", is_ok, attack.note())
