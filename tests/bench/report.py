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

This page compares Wharfinger's cost and speed with its targets, with OpenSSH's sshd and with `rclone serve sftp`, on the
same machine in the same run. This command writes it:

    tests/bench/run

| case | target | Wharfinger | sshd | rclone | bare loop |
|---|---|---|---|---|---|
{table}

## How it was measured

The client is the stock `sftp -b`, with AES-256-GCM (AES-128-GCM for rclone, which knows no other). Wharfinger and rclone
store to and read from an S3 in a separate process that costs nothing (`tests/bench/null_s3`), over plain HTTP. sshd and its
sftp-server use a RAM disk, without S3. "30 ms and 80 MB/s" is S3's shape: the time until the first byte of each answer, and
the rate of each connection. Round trips are the wall time in units of 30 ms. CPU time and memory are the server's, login
included: those of its process, and for sshd also of its children. rclone caches nothing beyond what it needs to work.

The bare loop (`tests/bench/bare`) is the lowest possible cost of the same bytes on the machine. It is one thread with
blocking calls, one client and one connection to the null S3, and does only the necessary work: receive, open or seal
AES-256-GCM, take the checksum (put), send. It has no SSH, no SFTP, no signature and no other client. CPU time depends on
the machine and on the other work of its host: compare columns of the same run, not different runs.

Large files and listings are medians of {runs} runs after one to warm up, and checks and reloads of thousands of tenants are
medians of {runs} runs; the other cases are one run. A check or a reload is the wall time of the command `wharfinger check`
or `wharfinger reload`; the reload finds one changed file. Client, servers and the null S3 share the machine and loopback,
so MiB/s show the throughput of all of them together, not of a network; CPU time is the steadiest measure. The null S3
checks no signature or checksum, but Wharfinger makes them as for S3. These figures don't include TLS to S3.

- {cpu}, {kernel}
- {openssh}
- {rclone}
- {rust}, release profile
"""
