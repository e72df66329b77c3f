"""The processes that a benchmark starts: the null S3, Wharfinger, rclone and sshd. Each listens on loopback, measures
its own CPU time and memory, and is stopped at the end of its `with`."""

import getpass
import json
import os
import pathlib
import shutil
import socket
import subprocess
import time
import urllib.request

TICKS = os.sysconf("SC_CLK_TCK")
BUDGET_MIB = 256
PATIENCE_SECONDS = 60


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


class Server:
    """A process that listens on a port of loopback."""

    cipher = "aes256-gcm@openssh.com"

    def start(self, line, port, **options):
        self.port, self.line, self.options = port, [str(word) for word in line], options
        self.process = subprocess.Popen(self.line, **options)
        return self

    def restart(self):
        """Stops the process, whatever it is still doing, and starts it again."""
        self.__exit__()
        self.start(self.line, self.port, **self.options).__enter__()

    def __enter__(self):
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port)).close()
                return self
            except OSError:
                if self.process.poll() is not None or time.monotonic() > deadline:
                    self.__exit__()
                    raise SystemExit(f"{self.process.args[0]} doesn't listen on port {self.port}") from None
                time.sleep(0.05)

    def __exit__(self, *_):
        self.process.terminate()
        try:
            self.process.wait(PATIENCE_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()

    def cpu_seconds(self):
        """CPU time of the process and of the children that it has waited for."""
        stat = pathlib.Path(f"/proc/{self.process.pid}/stat").read_text()
        # The command's name, in parentheses, may hold spaces.
        fields = stat.rpartition(")")[2].split()
        return sum(int(ticks) for ticks in fields[11:15]) / TICKS

    def resident_kib(self):
        """Present memory of the process."""
        return self._status("VmRSS")

    def peak_kib(self):
        """Peak memory since `forget_peak`."""
        return self._status("VmHWM")

    def forget_peak(self):
        pathlib.Path(f"/proc/{self.process.pid}/clear_refs").write_text("5")

    def _status(self, name):
        lines = pathlib.Path(f"/proc/{self.process.pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith(f"{name}:"))

    def settle(self):
        """Waits until the last session has ended and its CPU time is counted."""
        children = pathlib.Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        deadline = time.monotonic() + PATIENCE_SECONDS
        while children.read_text().strip():
            if time.monotonic() > deadline:
                raise SystemExit(f"sessions of {self.process.args[0]} don't end")
            time.sleep(0.01)

    def counts(self):
        """Requests to S3 by kind, and bytes."""
        return {}


class NullS3(Server):
    """The S3 that costs almost nothing: see null_s3/main.rs."""

    def __init__(self, binaries, objects=(), many=(), latency_ms=0, bandwidth_mb_s=0):
        port = free_port()
        line = [binaries / "examples/null_s3", "--listen", f"127.0.0.1:{port}"]
        line += ["--latency-ms", latency_ms, "--bandwidth-mb-s", bandwidth_mb_s]
        for preset in objects:
            line += ["--object", f"bench/{preset}"]
        for preset in many:
            line += ["--many", f"bench/{preset}"]
        self.start(line, port, stdout=subprocess.DEVNULL)

    def counts(self):
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/_counts") as answer:
            return json.load(answer)


def server_settings(port):
    """Returns the text of `wharfinger.toml`."""
    return f"""
        max_buffer_bytes = "{BUDGET_MIB}MiB"
        [log]
        level = "error"
        [ssh]
        listen = ["127.0.0.1:{port}"]
        [ssh.host_keys]
        directory = "host_keys"
        kinds = ["ed25519"]
        """


class Wharfinger(Server):
    """`wharfinger serve` on the null S3, with the reference config except for the settings here."""

    name, user, path = "Wharfinger", "bench", ""

    def __init__(self, binaries, home, public_key, s3):
        port = free_port()
        self.s3 = s3
        home.mkdir()
        config = home / "wharfinger.toml"
        config.write_text(server_settings(port))
        (home / "tenants").mkdir()
        (home / "tenants/bench.toml").write_text(
            f"""
            name = "bench"
            [storage]
            bucket = "bench"
            prefix = "bench/"
            region = "us-east-1"
            endpoint = "http://127.0.0.1:{s3.port}"
            path_style = true
            [storage.credentials]
            access_key_id = "bench"
            secret_access_key_env = "BENCH_SECRET_ACCESS_KEY"
            [[users]]
            name = "{self.user}"
            public_keys = ["{public_key}"]
            """
        )
        environment = dict(os.environ, BENCH_SECRET_ACCESS_KEY="bench")
        # Warnings about the credentials don't matter here. A failure shows in the client.
        environment.pop("RUST_LOG", None)
        self.start([binaries / "wharfinger", "serve", "--config", config], port, env=environment)

    def counts(self):
        return self.s3.counts()


class ManyTenants(Server):
    """`wharfinger serve` with thousands of tenants, whose storage is never asked."""

    users_each = 5

    def __init__(self, binaries, home, public_key, tenants):
        port = free_port()
        self.binary, self.home, self.public_key = binaries / "wharfinger", home, public_key
        self.config = home / "wharfinger.toml"
        (home / "tenants").mkdir(parents=True)
        self.config.write_text(server_settings(port))
        for number in range(tenants):
            self.write(number)
        self.start([self.binary, "serve", "--config", self.config], port)

    def write(self, number, enabled=True):
        """Writes the file of a tenant. Returns the tenant's name."""
        name = f"tenant-{number:05}"
        users = "".join(
            f'[[users]]\nname = "{name}-{user}"\npublic_keys = ["{self.public_key}"]\n' for user in range(self.users_each)
        )
        (self.home / f"tenants/{name}.toml").write_text(
            f"""
            name = "{name}"
            enabled = {str(enabled).lower()}
            [storage]
            bucket = "bench"
            prefix = "{name}/"
            region = "us-east-1"
            [storage.credentials]
            default_chain = true
            """
            + users
        )
        return name

    def ask(self, command):
        """Runs a command of `wharfinger` on the config. Returns its wall time in seconds and its output."""
        begun = time.monotonic()
        line = [self.binary, command, "--config", self.config]
        done = subprocess.run(line, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=True)
        return time.monotonic() - begun, done.stdout


class Rclone(Server):
    """`rclone serve sftp` on the null S3, with as little cache as possible."""

    name, user, path = "rclone", "bench", ""
    # Debian's rclone doesn't know AES-GCM with 256 bits.
    cipher = "aes128-gcm@openssh.com"

    def __init__(self, home, public_key, s3):
        port = free_port()
        self.s3 = s3
        home.mkdir()
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", home / "host_key"], check=True)
        (home / "authorized_keys").write_text(public_key + "\n")
        (home / "rclone.conf").write_text(
            "[bench]\ntype = s3\nprovider = Other\naccess_key_id = bench\nsecret_access_key = bench\n"
            f"endpoint = http://127.0.0.1:{s3.port}\nforce_path_style = true\nno_check_bucket = true\n"
        )
        line = ["rclone", "serve", "sftp", "bench:bench/bench", "--addr", f"127.0.0.1:{port}"]
        line += ["--key", home / "host_key", "--authorized-keys", home / "authorized_keys"]
        line += ["--config", home / "rclone.conf", "--cache-dir", home / "cache", "--vfs-cache-mode", "minimal"]
        environment = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
        self.start(line, port, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def counts(self):
        return self.s3.counts()


class Sshd(Server):
    """OpenSSH's sshd with its sftp-server, on files of the RAM disk."""

    name = "sshd"

    def __init__(self, home, public_key, served):
        port = free_port()
        self.user, self.path = getpass.getuser(), str(served)
        home.mkdir()
        key = home / "sshd_host_key"
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
        (home / "authorized_keys").write_text(public_key + "\n")
        config = home / "sshd_config"
        config.write_text(
            f"""
            ListenAddress 127.0.0.1:{port}
            HostKey {key}
            PidFile none
            UsePAM no
            StrictModes no
            PermitRootLogin yes
            AuthorizedKeysFile {home}/authorized_keys
            MaxStartups 100
            LogLevel FATAL
            Subsystem sftp {sftp_server()}
            """
        )
        if os.geteuid() == 0:
            pathlib.Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
        path = f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin"
        sshd = shutil.which("sshd", path=path) or "/usr/sbin/sshd"
        self.start([sshd, "-D", "-e", "-f", config], port)


def sftp_server():
    for directory in ["/usr/lib/openssh", "/usr/libexec/openssh", "/usr/lib/ssh", "/usr/libexec"]:
        if os.access(f"{directory}/sftp-server", os.X_OK):
            return f"{directory}/sftp-server"
    raise SystemExit("there is no sftp-server: install OpenSSH's server")
