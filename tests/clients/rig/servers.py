"""The servers that the suites run against, each in its own process."""

import functools
import os
import re
import socket
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from . import keys
from .ports import free_port
from .process import Process
from .seaweedfs import SeaweedFs

ROOT = Path(__file__).resolve().parents[3]
PASSWORDS = {"alice": "alice-demo", "bob": "bob-demo"}
TENANTS = {"acme": "alice", "globex": "bob"}


def wharfinger():
    """Returns the server's binary: `$WHARFINGER`, or else the debug build."""
    named = os.environ.get("WHARFINGER")
    target = os.environ.get("CARGO_TARGET_DIR", ROOT / "target")
    return Path(named) if named else Path(target) / "debug" / "wharfinger"


class Server:
    """An SFTP server on loopback that already answers SSH."""

    # The user of tests for which the user doesn't matter.
    user = "alice"
    # Sent before the server's greeting.
    header = b""
    # True if Wharfinger's own promises hold too, not only those of any SFTP server.
    is_wharfinger = True

    def __init__(self, arguments, port, **options):
        self.host = "127.0.0.1"
        self.port = port
        self.process = Process(arguments, **options)
        self.process.until(self._greets, f"an SSH greeting on port {port}")

    def _greets(self):
        try:
            with socket.create_connection((self.host, self.port), timeout=10) as connection:
                connection.sendall(self.header)
                return connection.recv(4) == b"SSH-"
        except OSError:
            return False

    def close(self):
        self.process.close()


class Demo(Server):
    """`wharfinger demo`, which has its own S3."""

    def __init__(self, data=None):
        port = free_port()
        arguments = [wharfinger(), "demo", "--port", port]
        for public_key in keys.public_keys():
            arguments += ["--key", public_key]
        if data:
            arguments += ["--data", data]
        super().__init__(arguments, port)

    def store(self):
        """Returns its S3, for `Serve` or for a look at it: the vendor's bucket, with an access key that may do
        everything."""
        endpoint = re.search(r"\(endpoint (http://[^ ,]+)", self.process.log_text())[1]
        return Store(endpoint, "wharfinger-demo", "demo", "demo-secret")


@dataclass(frozen=True)
class Store:
    """An S3 for `wharfinger serve`. Without an access key the server looks for credentials itself. With a role its
    sessions use that role."""

    endpoint: str
    bucket: str
    access_key_id: str | None = "AKIATOLDTONOBODY"
    secret_access_key: str = "a secret of the store"
    role_arn: str | None = None


class Serve(Server):
    """`wharfinger serve` with its own config: the tenants `acme` and `globex` in one bucket."""

    def __init__(
        self, store, prefix="tenants", settings="", ssh_settings="", tenant_settings="", user_settings="", **options
    ):
        self.directory = tempfile.TemporaryDirectory(prefix="wharfinger-config-")
        port = free_port()
        here = Path(self.directory.name)
        config = self._write(here, store, prefix, port, settings, ssh_settings, tenant_settings, user_settings)
        super().__init__([wharfinger(), "serve", "--config", config], port, **options)

    def _write(self, here, store, prefix, port, settings, ssh_settings, tenant_settings, user_settings):
        (here / "tenants").mkdir()
        (here / "keys").mkdir()
        _write_secret(here / "tenants" / "s3.secret", store.secret_access_key)
        (here / "tenants" / "users.pub").write_text("".join(key.read_text() for key in keys.public_keys()))
        for tenant, user in TENANTS.items():
            config = _tenant(tenant, user, store, prefix, tenant_settings) + user_settings
            (here / "tenants" / f"{tenant}.toml").write_text(config)
        config = here / "wharfinger.toml"
        config.write_text(
            f'{settings}\n[ssh]\nlisten = ["127.0.0.1:{port}"]\nhost_keys.directory = "keys"\n{ssh_settings}\n'
        )
        return config

    def close(self):
        super().close()
        self.directory.cleanup()


def _write_secret(path, secret):
    path.touch(mode=0o600)
    path.write_text(secret)


def _tenant(tenant, user, store, prefix, settings):
    return f"""
name = "{tenant}"
{settings}

[storage]
bucket = "{store.bucket}"
prefix = "{prefix}/{tenant}/"
region = "us-east-1"
endpoint = "{store.endpoint}"
path_style = true

{_assume_role(store)}
[storage.credentials]
{_credentials(store)}

[[users]]
name = "{user}"
password_hash = "{password_hash(PASSWORDS[user])}"
public_keys_file = "users.pub"
"""


def _assume_role(store):
    if store.role_arn is None:
        return ""
    return f"""
[storage.assume_role]
role_arn = "{store.role_arn}"
external_id = "wh-no-store-but-aws-asks-for-it"
sts_endpoint = "{store.endpoint}"
"""


def _credentials(store):
    if store.access_key_id is None:
        return "default_chain = true"
    return f'access_key_id = "{store.access_key_id}"\nsecret_access_key_file = "s3.secret"'


@functools.cache
def password_hash(password):
    """Returns the output of `wharfinger hash-password`."""
    hashed = subprocess.run(
        [wharfinger(), "hash-password"], input=password, capture_output=True, text=True, timeout=60, check=True
    )
    return hashed.stdout.strip()


class Sshd(Server):
    """OpenSSH's own server on a directory. A test that fails here too is wrong."""

    user = "root"
    is_wharfinger = False

    def __init__(self):
        self.directory = tempfile.TemporaryDirectory(prefix="wharfinger-sshd-")
        here = Path(self.directory.name)
        port = free_port()
        (here / "files").mkdir()
        (here / "authorized_keys").write_text(keys.public_keys()[0].read_text())
        config = here / "sshd_config"
        config.write_text(
            f"ListenAddress 127.0.0.1:{port}\nHostKey {keys.strange_key()}\nAuthorizedKeysFile {here}/authorized_keys\n"
            f"PidFile none\nStrictModes no\nUsePAM no\nPermitRootLogin yes\nMaxStartups 100\n"
            f"Subsystem sftp internal-sftp -d {here}/files\n"
        )
        Path("/run/sshd").mkdir(exist_ok=True)
        super().__init__(["/usr/sbin/sshd", "-D", "-e", "-f", config], port)


_shared = {}


def shared(kind):
    """Returns the running server of this kind, or starts one: `demo`, `seaweedfs`, `old_clients` or `sshd`."""
    server = _shared.get(kind)
    if server is None or not server.process.running:
        server = _shared[kind] = _START[kind]()
    return server


def _serve_seaweedfs():
    return Serve(SeaweedFs.shared().store())


def old_clients():
    """Returns the `ssh_settings` for old clients, as docs/clients.md prints them."""
    _, _, rest = (ROOT / "docs" / "clients.md").read_text().partition("```toml\n[ssh]\n")
    return rest.partition("```")[0]


def _serve_old_clients():
    return Serve(SeaweedFs.shared().store(), prefix="old-clients", ssh_settings=old_clients())


_START = {"demo": Demo, "seaweedfs": _serve_seaweedfs, "old_clients": _serve_old_clients, "sshd": Sshd}
