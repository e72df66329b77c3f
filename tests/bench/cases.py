"""The benchmark's cases. Each moves files with the stock client, and compares the result with its target.

A case gets the servers of one shape of S3 by name, and yields `Row`s. Figures are medians of its runs.
"""

import copy
import dataclasses
import os
import statistics
import subprocess
import time

from client import Failed
from servers import ManyTenants

GIB = 1 << 30
MIB = 1 << 20
LATENCY_S = 0.030


@dataclasses.dataclass
class Run:
    """One run on one server."""

    cpu_seconds: float
    wall_seconds: float
    requests: dict
    peak_kib: int

    def count(self):
        return sum(count for kind, count in self.requests.items() if not kind.startswith("bytes_"))


@dataclasses.dataclass
class Row:
    """A case, its target, the result of each server, and if Wharfinger met the target."""

    case: str
    target: str
    shown: dict
    met: bool


def measure(client, server, *commands, act=None, limit_seconds=None):
    """Measures one run of the commands, or of `act`, on a server."""
    before, counted = server.cpu_seconds(), server.counts()
    server.forget_peak()
    wall = act() if act else client.run(server, *commands, limit_seconds=limit_seconds)
    server.settle()
    requests = {name: count - counted.get(name, 0) for name, count in server.counts().items()}
    requests = {name: count for name, count in requests.items() if count}
    return Run(server.cpu_seconds() - before, wall, requests, server.peak_kib())


def runs(bench, server, *commands, before=None):
    """Measures runs after one that warms up. `before` prepares each of them."""
    taken = []
    for number in range(bench.runs + 1):
        if before:
            before(server)
        run = measure(bench.client, server, *commands)
        if number:
            taken.append(run)
    return taken


def median(taken, field):
    return statistics.median(getattr(run, field) for run in taken)


def kinds(run):
    """The requests of one run, by kind."""
    shown = [f"{count} {kind}" for kind, count in sorted(run.requests.items()) if not kind.startswith("bytes_")]
    return ", ".join(shown) or "none"


def bare(bench, verb, s3):
    """Measures one run of the bare loop: see bare/main.rs."""
    program, many = bench.binaries / "examples/bare", ["--mebibytes", str(bench.mebibytes)]
    line = [program, verb, "--s3", f"127.0.0.1:{s3.port}", *many]
    with subprocess.Popen(line, stdout=subprocess.PIPE, text=True) as relay:
        port, begun = relay.stdout.readline().strip(), time.monotonic()
        subprocess.run([program, "send" if verb == "put" else "take", port, *many], check=True)
        _, status, used = os.wait4(relay.pid, 0)
        wall, relay.returncode = time.monotonic() - begun, os.waitstatus_to_exitcode(status)
    if relay.returncode != 0:
        raise SystemExit(f"the bare loop failed: {line}")
    return Run(used.ru_utime + used.ru_stime, wall, {}, used.ru_maxrss)


def large(bench, fast):
    """put and get of one large file: CPU time, compared with sshd's and the bare loop's."""
    gib = bench.mebibytes / 1024
    for verb, command in (
        ("put", lambda s: f"put {bench.files}/large {s.path}/uploaded"),
        ("get", lambda s: f"get {s.path}/large /dev/null"),
    ):
        shown, costs = {}, {}
        for name, server in fast.items():
            taken = runs(bench, server, command(server))
            costs[name] = median(taken, "cpu_seconds") / gib
            speed = bench.mebibytes / median(taken, "wall_seconds")
            bench.speeds[verb, name] = speed
            shown[name] = f"{costs[name]:.2f} CPU-s/GiB, {speed:,.0f} MiB/s"
        taken = [bare(bench, verb, fast["Wharfinger"].s3) for _ in range(bench.runs + 1)][1:]
        speed = bench.mebibytes / median(taken, "wall_seconds")
        shown["bare"] = f"{median(taken, 'cpu_seconds') / gib:.2f} CPU-s/GiB, {speed:,.0f} MiB/s"
        met = costs["Wharfinger"] <= 0.70 and costs["Wharfinger"] <= 0.5 * costs["sshd"]
        yield Row(f"{verb} {bench.mebibytes:,} MiB", "≤ 0.70 CPU-s/GiB, ≤ 0.5 × sshd", shown, met)


def chosen_cipher(bench, fast):
    """put and get with the client's own list of ciphers, compared with AES-GCM by name: pairs of runs, in turns."""
    named = fast["Wharfinger"]
    stock = copy.copy(named)
    stock.cipher = None
    for verb, command in (("put", f"put {bench.files}/large /uploaded"), ("get", "get /large /dev/null")):
        ratios = []
        for number in range(bench.runs + 1):
            pair = [measure(bench.client, server, command).cpu_seconds for server in (stock, named)]
            if number:
                ratios.append(pair[0] / pair[1])
        ratio = statistics.median(ratios)
        shown = {"Wharfinger": f"{ratio:.2f} × ({min(ratios):.2f} to {max(ratios):.2f})"}
        yield Row(f"{verb} with the stock list of ciphers", "≤ 1.05 × the CPU time with -c aes256-gcm", shown, ratio <= 1.05)


def large_far_away(bench, far):
    """The same with the latency and bandwidth of S3: throughput, compared with that without latency."""
    for verb, command in (
        ("put", lambda s: f"put {bench.files}/large {s.path}/uploaded"),
        ("get", lambda s: f"get {s.path}/large /dev/null"),
    ):
        shown, shares = {}, {}
        for name, server in far.items():
            if name == "sshd":
                continue
            speed = bench.mebibytes / median(runs(bench, server, command(server)), "wall_seconds")
            shares[name] = speed / bench.speeds[verb, name]
            shown[name] = f"{shares[name]:.2f} ×, {speed:,.0f} MiB/s"
        yield Row(f"{verb}, 30 ms and 80 MB/s a connection", "≥ 0.8 × without", shown, shares["Wharfinger"] >= 0.8)


def small(bench, far):
    """Uploads and downloads a tree of small files: requests and round trips for each file."""
    files = bench.small_files

    def told(name, server, *commands):
        # rclone takes a second for each file.
        limit_seconds = 60 if name == "rclone" else None
        try:
            run = measure(bench.client, server, *commands, limit_seconds=limit_seconds)
        except Failed as error:
            return str(error), None
        requests, trips = run.count() / files, run.wall_seconds / files / LATENCY_S
        return f"{requests:.2f} requests, {trips:.2f} round trips", (requests, trips)

    up, down = {}, {}
    for name, server in far.items():
        if name == "sshd":
            continue
        put = f"put -r {bench.files}/small/* {server.path}/tree/"
        up[name] = told(name, server, f"mkdir {server.path}/tree", put)
        down[name] = told(name, server, f"get -r {server.path}/tree {bench.files}/fetched-{name}")
    rows = [
        ("put -r", up, 1.1, "1 request and ≤ 1.1 round trips a file"),
        ("get -r", down, 0.25, "1 request and ≤ 0.25 round trips a file"),
    ]
    for verb, by_name, most, target in rows:
        shown = {name: text for name, (text, _) in by_name.items()}
        requests, trips = by_name["Wharfinger"][1]
        yield Row(f"{verb} of {files:,} files of 10 KiB, 30 ms", target, shown, requests <= 1.02 and trips <= most)


def resumed(bench, fast):
    """Resumes the last hundredth of a large file, down and up: the bytes that move."""
    server, whole = fast["Wharfinger"], 10 * GIB
    have = whole * 99 // 100
    tail = whole - have
    part = bench.files / "part"
    with open(part, "wb") as file:
        file.truncate(have)
    down = measure(bench.client, server, f"reget {server.path}/huge {part}")
    fetched = down.requests.get("bytes_sent", 0)
    os.unlink(part)
    yield Row(
        "reget of the last 1 % of 10 GiB",
        f"≤ {tail:,} bytes fetched",
        {"Wharfinger": f"{fetched:,} bytes"},
        fetched <= tail,
    )
    local = bench.files / "whole"
    with open(local, "wb") as file:
        file.truncate(whole)
    try:
        up = measure(bench.client, server, f"reput {local} {server.path}/broken-off")
        sent, reread = up.requests.get("bytes_received", 0), up.requests.get("bytes_sent", 0)
        shown = f"{sent:,} bytes sent, {reread:,} re-read, {kinds(up)}"
        yield Row(
            "reput of the last 1 % of 10 GiB",
            f"≤ {tail + MIB:,} bytes sent, ≤ 5 MiB re-read",
            {"Wharfinger": shown},
            sent <= tail + MIB and reread <= 5 * MIB,
        )
    except Failed as error:
        yield Row("reput of the last 1 % of 10 GiB", "works", {"Wharfinger": str(error).splitlines()[-1]}, False)
    os.unlink(local)


def listed(bench, fast):
    """A directory of many names: requests, memory and wall time."""
    names, shown, walls = bench.names, {}, {}
    for name, server in fast.items():
        command = f"ls -1 {server.path}/many"
        if name == "rclone":
            # rclone's time grows with the square of the number of names.
            try:
                shown[name] = f"{bench.client.run(server, command, limit_seconds=60):.2f} s"
            except Failed as error:
                shown[name] = str(error)
                # rclone would continue during the next cases.
                server.restart()
            continue
        idle = server.resident_kib()
        taken = runs(bench, server, command)
        walls[name] = median(taken, "wall_seconds")
        shown[name] = f"{walls[name]:.2f} s"
        if name == "Wharfinger":
            grown = (max(run.peak_kib for run in taken) - idle) / 1024
            requests = taken[-1].count()
            shown[name] += f", {requests} requests, {grown:.1f} MiB more than idle"
    met = requests <= names / 1000 + 3 and grown <= 16 and walls["Wharfinger"] <= walls["sshd"]
    yield Row(f"ls -1 of {names:,}", "requests = pages; ≤ 16 MiB more than idle; wall ≤ sshd's", shown, met)


def renamed(bench, far):
    """Renames a directory with many files in it."""
    shown, walls = {}, {}
    for name, server in far.items():
        if name == "sshd":
            continue
        try:
            run = measure(bench.client, server, f"rename {server.path}/ten-thousand {server.path}/renamed")
            walls[name] = run.wall_seconds
            shown[name] = f"{run.wall_seconds:.1f} s, {run.count():,} requests"
        except Failed as error:
            shown[name] = str(error).splitlines()[-1]
        # The next server has nothing left to rename.
        break
    yield Row("rename of a directory of 10,000, 30 ms", "≤ 10 s", shown, walls.get("Wharfinger", 11) <= 10)


def at_once(bench, fast):
    """Eight concurrent clients: CPU time and memory."""
    clients, mebibytes, shown = 8, 128, {}
    for name, server in fast.items():
        sessions = [[f"put {bench.files}/eighth {server.path}/of-{number}"] for number in range(clients)]
        run = measure(bench.client, server, act=lambda: bench.client.run_at_once(server, sessions))
        cost, peak = run.cpu_seconds / (clients * mebibytes / 1024), run.peak_kib / 1024
        shown[name] = f"{cost:.2f} CPU-s/GiB" + (f", {peak:.0f} MiB at most" if name != "sshd" else "")
        if name == "Wharfinger":
            met = cost <= 0.8 and peak <= bench.budget_mib + 64
    yield Row("8 clients put 128 MiB each", f"≤ 0.8 CPU-s/GiB; ≤ {bench.budget_mib} + 64 MiB", shown, met)


def logins(bench, fast):
    """Sessions that do nothing: the cost to open and to keep them."""
    count, idle, shown, walls = bench.logins, bench.idle_sessions, {}, {}
    for name, server in fast.items():
        run = measure(bench.client, server, act=lambda: sum(bench.client.run(server, "pwd") for _ in range(count)))
        cost, walls[name] = 1000 * run.cpu_seconds / count, run.wall_seconds
        shown[name] = f"{cost:.1f} ms"
        if name == "Wharfinger":
            login = cost
            before = server.resident_kib()
            sessions = [bench.client.idle(server) for _ in range(idle)]
            time.sleep(1)
            each = (server.resident_kib() - before) / idle
            for session in sessions:
                session.stdin.close()
                session.wait()
            shown[name] += f"; {each:.0f} KiB"
    yield Row("login; idle session", "≤ 1.5 ms CPU; ≤ 64 KiB", shown, login <= 1.5 and each <= 64)
    shown = {name: f"{wall:.1f} s" for name, wall in walls.items()}
    met = walls["Wharfinger"] <= 1.2 * walls["rclone"]
    yield Row(f"{count} logins, one after the other", "≤ 1.2 × rclone", shown, met)


def reloaded(bench, _):
    """`check`, and a reload that changes one tenant, with thousands of tenants: the wall time of each command."""
    tenants, checks, reloads = bench.tenants, [], []
    home = bench.files.parent / "many-tenants"
    with ManyTenants(bench.binaries, home, bench.client.public_key(), tenants) as server:
        for number in range(bench.runs):
            wall, told = server.ask("check")
            if f"OK, {tenants} tenants with {tenants * server.users_each} users" not in told:
                raise SystemExit(f"check: {told}")
            checks.append(wall)
            name = server.write(number, enabled=False)
            wall, told = server.ask("reload")
            if f"tenants changed (1): {name}\n" not in told:
                raise SystemExit(f"reload: {told}")
            reloads.append(wall)
    check, reload = statistics.median(checks), statistics.median(reloads)
    shown = {"Wharfinger": f"{check:.2f} s; {reload:.2f} s"}
    case = f"check; reload of one changed tenant, of {tenants:,} with {ManyTenants.users_each} users each"
    yield Row(case, "< 2 s each", shown, check < 2 and reload < 2)


def make_files(bench, served):
    """Makes the files that clients send and sshd serves."""
    block = os.urandom(MIB)
    for name, mebibytes in (("large", bench.mebibytes), ("eighth", 128)):
        with open(bench.files / name, "wb") as file:
            for _ in range(mebibytes):
                file.write(block)
    (bench.files / "small").mkdir()
    for number in range(bench.small_files):
        (bench.files / "small" / f"{number:05}").write_bytes(block[:10240])
    os.link(bench.files / "large", served / "large")
    (served / "many").mkdir()
    for number in range(bench.names):
        (served / "many" / f"{number:07}").touch()


def said(*command):
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return (done.stdout + done.stderr).strip()
