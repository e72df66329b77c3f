"""The server's control socket, as docs/operations.md describes it."""

import json
import socket

VERSION = 1
TIMEOUT = 60.0


def ask(path, request, **fields):
    """Sends one request. Returns the lines of the answer, parsed."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(TIMEOUT)
        connection.connect(str(path))
        connection.sendall(json.dumps({"version": VERSION, "request": request, **fields}).encode() + b"\n")
        with connection.makefile("r", encoding="utf-8") as lines:
            answers = [json.loads(line) for line in lines]
    if not answers or answers[-1]["answer"] == "error":
        raise RuntimeError(f"the control socket answered {answers} to {request}")
    return answers
