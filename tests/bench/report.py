"""Turns runs into docs/performance.md."""

import dataclasses
import os
import pathlib
import platform
import re
import statistics
import subprocess

# What a transfer may cost with AES-256-GCM, in either direction.
MAX_CPU_SECONDS_PER_GIB = 0.9
GIB_IN_MIB = 1024


@dataclasses.dataclass
class Run:
    """One run of a case."""

    cpu_seconds: float
    wall_seconds: float
    requests: dict


def line(case, runs):
    """What a case came to, for whoever watches."""
    shown = []
    for name in ["Wharfinger", "sshd"]:
        mine = runs[case.name, name]
        shown.append(f"{name} {median(mine, 'cpu_seconds'):.3f} CPU-s, {median(mine, 'wall_seconds'):.3f} s")
    return f"{case.name}: " + "; ".join(shown)


def median(runs, field):
    return statistics.median(getattr(run, field) for run in runs)


def write(runs, arguments):
    """The page, and whether Wharfinger keeps to its limit."""
    large, verdicts = large_rows(runs, arguments.mebibytes)
    small = small_rows(runs, arguments.small_files)
    logins = {name: 1000 * median(runs["login", name], "cpu_seconds") for name in ["Wharfinger", "sshd"]}
    text = PAGE.format(
        limit=MAX_CPU_SECONDS_PER_GIB,
        size=f"{arguments.mebibytes:,} MiB" if arguments.mebibytes != GIB_IN_MIB else "1 GiB",
        large="\n".join(large),
        small="\n".join(small),
        files=arguments.small_files,
        login=f"{logins['Wharfinger']:.0f} ms of CPU time, with sshd {logins['sshd']:.0f} ms",
        runs=arguments.runs,
        **surroundings(),
    )
    return text, all(verdicts)


def large_rows(runs, mebibytes):
    rows, verdicts = [], []
    for case in ["get", "put"]:
        medians = {}
        for name in ["Wharfinger", "sshd"]:
            mine = runs[case, name]
            costs = sorted(run.cpu_seconds * GIB_IN_MIB / mebibytes for run in mine)
            medians[name] = statistics.median(costs)
            speed = mebibytes / median(mine, "wall_seconds")
            share = f"{medians[name] / medians['sshd']:.2f}" if name == "sshd" else "{ratio}"
            rows.append(
                f"| {case} | {name} | {medians[name]:.2f} | {costs[0]:.2f} to {costs[-1]:.2f} | {share} "
                f"| {speed:,.0f} | {requests(mine)} |"
            )
        rows[-2] = rows[-2].format(ratio=f"{medians['Wharfinger'] / medians['sshd']:.2f}")
        verdicts.append(medians["Wharfinger"] <= MAX_CPU_SECONDS_PER_GIB)
    return rows, verdicts


def small_rows(runs, files):
    rows = []
    for case in ["put small", "get small"]:
        for name in ["Wharfinger", "sshd"]:
            mine = runs[case, name]
            cost = 1000 * median(mine, "cpu_seconds") / files
            speed = files / median(mine, "wall_seconds")
            rows.append(f"| {case.split()[0]} | {name} | {cost:.2f} | {speed:,.0f} | {requests(mine)} |")
    return rows


def requests(runs):
    """The requests of the last run, by kind."""
    kinds = {kind: count for kind, count in runs[-1].requests.items() if count and not kind.startswith("bytes_")}
    return ", ".join(f"{count} {kind}" for kind, count in sorted(kinds.items())) or "none"


def surroundings():
    cpuinfo = pathlib.Path("/proc/cpuinfo").read_text()
    model = re.search(r"^model name\s*:\s*(.+)$", cpuinfo, re.MULTILINE)
    return {
        "cpu": f"{os.cpu_count()} × {model.group(1) if model else platform.machine()}",
        "kernel": f"Linux {platform.release()}",
        "openssh": said("ssh", "-V"),
        "rust": said("rustc", "--version"),
    }


def said(*command):
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return (done.stdout + done.stderr).strip()


PAGE = """# Performance

What Wharfinger costs, next to OpenSSH's sshd on the same machine in the same run. This page is written by

    tests/bench/run

which fails when Wharfinger takes more than {limit} CPU-seconds per GiB in either direction.

## Large files

One file of {size} with the stock `sftp -b`, AES-256-GCM, one session a run. Wharfinger stores to and reads from an S3 in
a process of its own that costs nothing (`tests/bench/null_s3`), over plain HTTP; sshd with its sftp-server from and to a
RAM disk. CPU time is that of the server, login included: of the process, and for sshd of its children too.

| | server | CPU-s per GiB, median | range | of sshd | MiB/s | requests to S3 |
|---|---|---|---|---|---|---|
{large}

## Small files

{files} files of 4 KiB in one session, one after the other, as `put *` and `get *` do.

| | server | CPU-ms per file, median | files/s | requests to S3, all files |
|---|---|---|---|---|
{small}

A login that moves nothing takes {login}.

## How it was measured

Medians of {runs} runs after one to warm up, Wharfinger and sshd in turn. Client, servers and the null S3 share the machine
and loopback, so MiB/s and files/s say how they get along on it, not what a network would carry; CPU time is the measure.
The null S3 checks no signature or checksum, but Wharfinger makes them as for S3. TLS to S3 is not in these figures.

- {cpu}, {kernel}
- {openssh}
- {rust}, release profile
"""
