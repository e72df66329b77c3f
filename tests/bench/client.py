"""The stock sftp client, and sessions that only wait."""

import subprocess
import sys
import time

# The same for all servers: sshd's own preference would cost it a tenth of a second for each login.
KEY_EXCHANGE = "curve25519-sha256"


class Client:
    """Logs in with its own key."""

    def __init__(self, home):
        self.key = home / "client_key"
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", self.key], check=True)

    def public_key(self):
        return self.key.with_suffix(".pub").read_text().strip()

    def run(self, server, *commands, limit_seconds=None):
        """Runs the commands in one session and returns its wall time in seconds."""
        begun = time.monotonic()
        process = self._begin(server, *commands)
        try:
            process.wait(limit_seconds)
        except subprocess.TimeoutExpired:
            process.kill()
            raise Failed(f"not within {limit_seconds} s") from None
        self._end(server, process, commands)
        return time.monotonic() - begun

    def run_at_once(self, server, sessions):
        """Runs each list of commands in its own session, all concurrently. Returns the wall time of all."""
        begun = time.monotonic()
        running = [(self._begin(server, *commands), commands) for commands in sessions]
        for process, commands in running:
            self._end(server, process, commands)
        return time.monotonic() - begun

    def idle(self, server):
        """Returns an open session that does nothing until its standard input is closed."""
        line = ["ssh", "-s", "-p", str(server.port), *self._options(server, port=False), self._place(server), "sftp"]
        session = subprocess.Popen(line, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        # INIT of version 3. Once the answer begins, the session is open.
        session.stdin.write(bytes([0, 0, 0, 5, 1, 0, 0, 0, 3]))
        session.stdin.flush()
        if not session.stdout.read(5):
            sys.exit(f"{server.name}: no session")
        return session

    def _begin(self, server, *commands):
        line = ["sftp", "-q", "-b", "-", *self._options(server), self._place(server)]
        pipe = subprocess.PIPE
        process = subprocess.Popen(line, text=True, stdin=pipe, stdout=subprocess.DEVNULL, stderr=pipe)
        process.stdin.write("\n".join(commands) + "\n")
        process.stdin.close()
        return process

    def _end(self, server, process, commands):
        said = process.stderr.read()
        if process.wait() != 0:
            raise Failed(f"{server.name}: {commands} failed:\n{said}")

    def _options(self, server, port=True):
        options = {
            "BatchMode": "yes",
            "IdentitiesOnly": "yes",
            "IdentityFile": self.key,
            "KexAlgorithms": KEY_EXCHANGE,
            "LogLevel": "ERROR",
            "StrictHostKeyChecking": "no",
            "UserKnownHostsFile": "/dev/null",
        }
        if server.cipher:
            options["Ciphers"] = server.cipher
        if port:
            options["Port"] = server.port
        return ["-F", "none", *(word for name, value in options.items() for word in ("-o", f"{name}={value}"))]

    @staticmethod
    def _place(server):
        return f"{server.user}@127.0.0.1"


class Failed(Exception):
    """The client's operation failed."""
