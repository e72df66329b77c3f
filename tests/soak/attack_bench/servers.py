"""The servers of the bench: `wharfinger serve`, each with its own config and ledger, on two S3s that all of them share.

Attackers' tenants have their bucket on one S3, honest tenants theirs on another: S3 itself couples no two buckets, and a
double that both tenants used would. Both servers of a pair use both doubles, so that an attack costs them the same,
whichever server it goes to.
"""

import contextlib
import os
import tempfile
from pathlib import Path

from rig import keys
from rig.control import ask
from rig.fake_aws import FakeAws
from rig.ports import free_port
from rig.servers import Server, password_hash, wharfinger
from rig.tenant_files import TenantEntry, UserEntry

ATTACKER, VICTIM = "alice", "bob"
PASSWORD = "a password of bob"
HONEST_TENANTS = 40
VICTIM_ADDRESS = "127.0.0.7"


def honest_user(number):
    return f"honest-{number}"


class Storage:
    """The two S3s, and the servers' host keys."""

    def __init__(self):
        self.attackers, self.honest = FakeAws(), FakeAws()
        self.host_keys = tempfile.TemporaryDirectory(prefix="wharfinger-host-keys-")

    def close(self):
        self.attackers.close()
        self.honest.close()
        self.host_keys.cleanup()


class BenchServer(Server):
    """`wharfinger serve` with the tenants acme (alice, who attacks), globex (bob) and 40 more. Its keys in S3 begin with
    its name. With a `cgroup`, a directory, it runs in there."""

    def __init__(self, storage, name, cgroup=None):
        self.name, self.storage = name, storage
        self.directory = tempfile.TemporaryDirectory(prefix="wharfinger-attacks-")
        here, port = Path(self.directory.name), free_port()
        self.control_socket = here / "wharfinger.sock"
        (here / "tenants").mkdir()
        (here / "tenants" / "s3.secret").touch(mode=0o600)
        (here / "tenants" / "s3.secret").write_text(storage.honest.store().secret_access_key)
        for tenant, s3 in self.tenants():
            text = tenant.text(s3.store()).replace('prefix = "tenants/', f'prefix = "{name}/')
            (here / "tenants" / f"{tenant.name}.toml").write_text(text)
        config = here / "wharfinger.toml"
        config.write_text(
            f'[ssh]\nlisten = ["127.0.0.1:{port}"]\nhost_keys = {{ directory = "{storage.host_keys.name}" }}\n'
        )
        command = [wharfinger(), "serve", "--config", config]
        if cgroup:
            command = ["sh", "-c", 'echo $$ >"$0/cgroup.procs" && exec "$@"', cgroup, *command]
        super().__init__(command, port)

    def tenants(self):
        public_key = [keys.public_keys()[0].read_text().strip()]
        yield TenantEntry("acme", [UserEntry(ATTACKER, public_key)]), self.storage.attackers
        bob = UserEntry(VICTIM, public_key, password_hash(PASSWORD))
        yield TenantEntry("globex", [bob]), self.storage.honest
        for number in range(HONEST_TENANTS):
            user = UserEntry(honest_user(number), public_key)
            yield TenantEntry(f"honest-{number}", [user]), self.storage.honest

    def status(self):
        return ask(self.control_socket, "status")[0]

    def budget_mib(self):
        return self.status()["max_buffer_bytes"] / (1 << 20)

    def memory_mib(self, field="VmRSS"):
        return self.process.memory_mib(field)

    def log_lines(self):
        return self.process.log_text().splitlines()

    def close(self):
        super().close()
        self.directory.cleanup()


@contextlib.contextmanager
def one_server(storage, name, cgroup=None):
    server = BenchServer(storage, name, cgroup)
    try:
        yield server
    finally:
        server.close()


@contextlib.contextmanager
def pair(storage):
    """Starts the server that has the victim, and the second one, which only ever has an attack."""
    with one_server(storage, "first") as first, one_server(storage, "second") as second:
        yield first, second


class MemoryCgroup:
    """A memory cgroup below this process's own, where the machine lets the bench make one. Otherwise `path` is None, and
    `words` has the reason."""

    def __init__(self, limit_bytes):
        self.path = None
        try:
            self.path, limit = self.make()
            (self.path / limit).write_text(str(limit_bytes))
            self.words = f"in a memory cgroup of {limit_bytes >> 20} MiB ({limit})"
        except OSError as error:
            self.close()
            self.words = f"in no memory cgroup ({error})"

    def make(self):
        """Makes the cgroup. Returns its directory, and the name of the file with the limit."""
        lines = [line.split(":", 2) for line in Path("/proc/self/cgroup").read_text().splitlines()]
        name = f"wharfinger-attacks-{os.getpid()}"
        for _, controllers, path in lines:
            if "memory" in controllers.split(","):
                return self.make_in(Path("/sys/fs/cgroup/memory") / path.lstrip("/"), name), "memory.limit_in_bytes"
        for _, controllers, path in lines:
            if not controllers:
                return self.make_in(Path("/sys/fs/cgroup") / path.lstrip("/"), name), "memory.max"
        raise OSError("this system has no cgroups")

    @staticmethod
    def make_in(parent, name):
        (parent / name).mkdir()
        return parent / name

    def close(self):
        if self.path:
            with contextlib.suppress(OSError):
                self.path.rmdir()
        self.path = None
