"""Turns rows into docs/performance.md."""

import os
import pathlib
import platform
import re

from cases import said

BESIDE = ["sshd", "rclone", "bare"]


def line(row):
    """The result of a case as a line for the terminal."""
    shown = "; ".join(f"{name} {told}" for name, told in row.shown.items())
    return f"{'met   ' if row.met else 'MISSED'} {row.case} ({row.target}): {shown}"


def page(rows, arguments):
    table = [
        " | ".join([f"| {row.case}", row.target, mark(row), *(row.shown.get(name, "") for name in BESIDE)]) + " |"
        for row in rows
    ]
    return PAGE.format(table="\n".join(table), runs=arguments.runs, **surroundings())


def mark(row):
    told = row.shown["Wharfinger"]
    return told if row.met else f"**missed**: {told}"


def surroundings():
    cpuinfo = pathlib.Path("/proc/cpuinfo").read_text()
    model = re.search(r"^model name\s*:\s*(.+)$", cpuinfo, re.MULTILINE)
    return {
        "cpu": f"{os.cpu_count()} × {model.group(1) if model else platform.machine()}",
        "kernel": f"Linux {platform.release()}",
        "openssh": said("ssh", "-V"),
        "rclone": said("rclone", "version").splitlines()[0],
        "rust": said("rustc", "--version"),
    }


PAGE = """# Performance

What Wharfinger costs and how fast it is, next to its targets, to OpenSSH's sshd and to `rclone serve sftp`, on the same
machine in the same run. This page is written by

    tests/bench/run

| case | target | Wharfinger | sshd | rclone | bare loop |
|---|---|---|---|---|---|
{table}

## How it was measured

The client is the stock `sftp -b`, with AES-256-GCM (AES-128-GCM to rclone, which knows no other). Wharfinger and rclone store to and read from an S3 in a process of its
own that costs nothing (`tests/bench/null_s3`), over plain HTTP; sshd with its sftp-server from and to a RAM disk, with no S3
behind it. "30 ms and 80 MB/s" is S3's shape: so long until the first byte of each answer, and so fast each connection. Round
trips are the wall time in units of 30 ms. CPU time and memory are those of the server, login included: of the process, and
for sshd of its children too. rclone is told to cache nothing but what it can't do without.

The bare loop (`tests/bench/bare`) is the least that the same bytes can cost on the machine: one thread with blocking
calls, one client and one connection to the null S3, which does only what can't be left out: receive, open or seal
AES-256-GCM, take the checksum (put), send. No SSH, no SFTP, no signature, nobody else to serve. CPU time depends on the
machine and on what else its host does: compare it with the others' of the same run, not with another run's.

Large files, listings: medians of {runs} runs after one to warm up; the other cases: one run. Client, servers and the null S3
share the machine and loopback, so MiB/s say how they get along on it, not what a network would carry; CPU time is the
steadiest measure. The null S3 checks no signature or checksum, but Wharfinger makes them as for S3. TLS to S3 is not in
these figures.

- {cpu}, {kernel}
- {openssh}
- {rclone}
- {rust}, release profile
"""
