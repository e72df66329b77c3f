"""A server's config whose tenants and users change while it runs. Each write replaces a file in one step."""

import os
from dataclasses import dataclass, field
from pathlib import Path

from .ports import free_port
from .servers import Server, wharfinger

BROKEN_TENANT = {
    "no TOML": lambda text: text + "\n[[users\n",
    "unknown key": lambda text: 'colour = "red"\n' + text,
    "missing file of keys": lambda text: text + '\n[[users]]\nname = "newcomer"\npublic_keys_file = "missing.pub"\n',
    "missing secret": lambda text: text.replace("s3.secret", "missing.secret"),
    "user without credential": lambda text: text + '\n[[users]]\nname = "newcomer"\n',
    "half-written": lambda text: text[: text.rindex('name = "') + len('name = "x')],
    "empty": lambda _: "",
}
BROKEN_SERVER = {
    "no TOML": lambda text: "[ssh\n" + text,
    "unknown key": lambda text: 'colour = "red"\n' + text,
    "no duration": lambda text: text.replace("reload_grace = ", "reload_grace = 'soon' #"),
    "missing tenants' directory": lambda text: 'tenants_directory = "missing"\n' + text,
    "empty tenants' directory": lambda text: 'tenants_directory = ""\n' + text,
    "missing file": None,
}
# Another tenant that can't be beside this one.
CONFLICTS = {
    "conflict of users": lambda text, tenant: text.replace("rival-user", tenant.users[0].name),
    "conflict of prefixes": lambda text, tenant: text.replace("tenants/rival/", f"{tenant.prefix}below/"),
    "conflict of names": lambda text, tenant: text.replace('name = "rival"', f'name = "{tenant.name}"'),
}


def replace(path, text):
    """Writes a file beside `path` and renames it over it."""
    beside = path.with_name(f".{path.name}.new")
    beside.write_text(text)
    beside.chmod(0o600)
    os.replace(beside, path)


@dataclass
class UserEntry:
    """A user as its tenant's file has it. `mounts` maps entries to prefixes."""

    name: str
    public_keys: list = field(default_factory=list)
    password_hash: str | None = None
    mounts: dict = field(default_factory=dict)
    enabled: bool = True
    is_present: bool = True

    def text(self):
        lines = ["[[users]]", f'name = "{self.name}"', f"enabled = {str(self.enabled).lower()}"]
        if self.public_keys:
            lines.append(f"public_keys = {self.public_keys!r}")
        if self.password_hash:
            lines.append(f'password_hash = "{self.password_hash}"')
        for entry, prefix in self.mounts.items():
            lines += ["[[users.mounts]]", f'entry = "{entry}"', f'prefix = "{prefix}"']
        return "\n".join(lines) + "\n"


@dataclass
class TenantEntry:
    """A tenant's file. `settings` and `storage` are values of its keys, in TOML."""

    name: str
    users: list = field(default_factory=list)
    settings: dict = field(default_factory=dict)
    storage: dict = field(default_factory=dict)
    enabled: bool = True
    is_present: bool = True

    @property
    def prefix(self):
        return f"tenants/{self.name}/"

    def text(self, store):
        settings = "".join(f"{key} = {value}\n" for key, value in self.settings.items())
        storage = "".join(f"{key} = {value}\n" for key, value in self.storage.items())
        users = "\n".join(user.text() for user in self.users if user.is_present)
        return f"""name = "{self.name}"
enabled = {str(self.enabled).lower()}
{settings}
[storage]
bucket = "{store.bucket}"
prefix = "{self.prefix}"
region = "us-east-1"
endpoint = "{store.endpoint}"
path_style = true
{storage}
[storage.credentials]
access_key_id = "{store.access_key_id}"
secret_access_key_file = "s3.secret"

{users}"""


class ServeFiles(Server):
    """`wharfinger serve` on the files below `directory`. `settings` are those of the server's file."""

    def __init__(self, directory, store, settings, tenants):
        self.directory, self.store, self.settings = Path(directory), store, settings
        self.config = self.directory / "wharfinger.toml"
        self.control_socket = self.directory / "wharfinger.sock"
        port = free_port()
        self.ssh = f'[ssh]\nlisten = ["127.0.0.1:{port}"]\nshared_sources = ["127.0.0.1"]\n'
        self.ssh += 'host_keys = { directory = "keys", kinds = ["ed25519"] }\n'
        for name in ("tenants", "keys"):
            (self.directory / name).mkdir(mode=0o755)
        replace(self.directory / "tenants" / "s3.secret", store.secret_access_key)
        self.write_server()
        for tenant in tenants:
            self.write_tenant(tenant)
        super().__init__([wharfinger(), "serve", "--config", self.config], port)

    def server_text(self):
        return "".join(f"{key} = {value}\n" for key, value in self.settings.items()) + self.ssh

    def tenant_path(self, name):
        return self.directory / "tenants" / f"{name}.toml"

    def write_server(self):
        replace(self.config, self.server_text())

    def write_tenant(self, tenant):
        """Writes the tenant's file, or removes it."""
        if tenant.is_present:
            replace(self.tenant_path(tenant.name), tenant.text(self.store))
        else:
            self.tenant_path(tenant.name).unlink(missing_ok=True)

    def break_server(self, kind):
        """Breaks the server's file in one of the ways of `BROKEN_SERVER`, or removes it."""
        if change := BROKEN_SERVER[kind]:
            replace(self.config, change(self.server_text()))
        else:
            self.config.unlink()

    def break_tenant(self, tenant, kind):
        """Breaks the tenant's file in one of the ways of `BROKEN_TENANT`, or adds a file in conflict with it. Returns
        the file's name, and the function that mends it."""
        text = tenant.text(self.store)
        if kind in BROKEN_TENANT:
            path = self.tenant_path(tenant.name)
            replace(path, BROKEN_TENANT[kind](text))
            return path.name, lambda: replace(path, text)
        user = UserEntry("rival-user", tenant.users[0].public_keys, tenant.users[0].password_hash)
        rival = TenantEntry("rival", [user])
        path = self.tenant_path(rival.name)
        replace(path, CONFLICTS[kind](rival.text(self.store), tenant))
        return path.name, path.unlink
