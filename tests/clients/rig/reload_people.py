"""Users and tenants whose config changes at random while their clients transfer files, and what a server owes them."""

import time
from dataclasses import dataclass, field

import asyncssh

from .servers import PASSWORDS, password_hash
from .tenant_files import TenantEntry, UserEntry

# The users of a tenant that is never removed: those whom no reload touches, and the others.
MIXED_TENANTS, STEADY_USERS, TOUCHED_USERS = 4, 7, 3
# All users of these tenants are touched.
MOVING_TENANTS, MOVING_USERS = 2, 5
MOST_NEW_TENANTS = 2
# `reload_grace`, and the time beyond it.
GRACE = 2.0
MOST_LATE = 5.0
# For the end of a disabled user's session, on a busy machine.
AT_ONCE = 3.0


class Broken(Exception):
    """A promise that doesn't hold."""


@dataclass
class Revocation:
    """A reload that takes the rights of a user's sessions."""

    cause: str
    grace: float = GRACE
    # A removed mount ends only sessions that have open files there.
    is_certain: bool = True
    began: float = 0.0
    done: float = float("inf")

    @property
    def deadline(self):
        return self.done + (self.grace + MOST_LATE if self.grace else AT_ONCE)


@dataclass
class Person:
    """A user, its file's entry and its client's credential."""

    tenant: TenantEntry
    entry: UserEntry
    credential: dict
    is_steady: bool
    revocations: list = field(default_factory=list)
    # True after the first login of a new tenant's user.
    is_known: bool = False
    # Odd while a reload changes the user.
    version: int = 0
    # The files whose CLOSE was answered, with their place in POOL.
    stored: dict = field(default_factory=dict)

    @property
    def may_log_in(self):
        entry, tenant = self.entry, self.tenant
        return entry.is_present and entry.enabled and tenant.is_present and tenant.enabled

    @property
    def base(self):
        """The directory of its files, or `None` while its mount is removed."""
        return ("/desk/" if "/desk" in self.entry.mounts else None) if self.entry.mounts else "/"


def new_key():
    key = asyncssh.generate_private_key("ssh-ed25519")
    return key, key.export_public_key().decode().strip()


class People:
    """All users. Each change of the config returns the tenants whose files it changes, and the losses of users by name:
    a `Revocation`, or `None` if the user has other rights now."""

    def __init__(self, chance):
        self.chance, self.numbers, self.new = chance, 0, []
        self.hashes = [password_hash(password) for password in PASSWORDS.values()]
        self.spare_keys = [new_key()[1]]
        self.mixed = [TenantEntry(f"mixed{number}") for number in range(MIXED_TENANTS)]
        self.moving = [TenantEntry(f"moving{number}") for number in range(MOVING_TENANTS)]
        self.all = []
        for tenant in self.mixed:
            users = range(STEADY_USERS + TOUCHED_USERS)
            self.all += [self.person(tenant, index, index < STEADY_USERS) for index in users]
        for tenant in self.moving:
            self.all += [self.person(tenant, index, False) for index in range(MOVING_USERS)]

    @property
    def tenants(self):
        """The tenants whose users' clients transfer files all the time."""
        return self.mixed + self.moving

    def person(self, tenant, index, is_steady):
        person = Person(tenant, UserEntry(f"{tenant.name}-{index}"), {}, is_steady)
        tenant.users.append(person.entry)
        # One in five touched users has a password; one in three has mounts.
        self.give_credential(person, has_password=not is_steady and index % 5 == 4)
        if not is_steady and index % 3 == 2:
            person.entry.mounts = {"/desk": self.mount_prefix(person), "/rest": f"{person.entry.name}/rest/"}
        return person

    def mount_prefix(self, person):
        self.numbers += 1
        return f"{person.entry.name}/{self.numbers}/"

    def give_credential(self, person, has_password):
        if has_password:
            old = person.entry.password_hash
            index = 1 - self.hashes.index(old) if old else 0
            person.entry.password_hash = self.hashes[index]
            person.credential = {"password": list(PASSWORDS.values())[index], "client_keys": None}
        else:
            key, public_key = new_key()
            person.entry.public_keys = [public_key]
            person.credential = {"client_keys": [key]}

    def touched(self, is_wanted):
        return [person for person in self.all if not person.is_steady and is_wanted(person)]

    def change_user(self, _):
        absent = self.touched(lambda one: not one.entry.is_present or not one.entry.enabled)
        present = self.touched(lambda one: one.may_log_in)
        if absent and (not present or self.chance.random() < len(absent) / 10):
            person = self.chance.choice(absent)
            person.entry.is_present = person.entry.enabled = True
            return [person.tenant], {person.entry.name: None}
        if not present:
            return [], {}
        person = self.chance.choice(present)
        entry = person.entry
        match self.chance.choice(["remove", "remove", "disable", "credential", "mount"]):
            case "disable":
                entry.enabled = False
                loss = Revocation("the user or its tenant was disabled", grace=0.0)
            case "credential":
                self.give_credential(person, entry.password_hash is not None)
                loss = Revocation("the credential of this login was removed")
            case "mount" if entry.mounts:
                if person.base and self.chance.random() < 0.5:
                    del entry.mounts["/desk"]
                else:
                    entry.mounts["/desk"] = self.mount_prefix(person)
                loss = Revocation("a directory with open files was removed or moved", is_certain=False)
            case _:
                entry.is_present = False
                loss = Revocation("the user was removed")
        return [person.tenant], {entry.name: loss}

    def change_tenant(self, changed):
        tenant = self.chance.choice(self.moving)
        if tenant in changed:
            # A user of it has another loss already.
            return [], {}
        names = [user.name for user in tenant.users]
        if not (tenant.is_present and tenant.enabled):
            tenant.is_present = tenant.enabled = True
            return [tenant], dict.fromkeys(names)
        if self.chance.random() < 0.5:
            tenant.enabled, loss = False, Revocation("the user or its tenant was disabled", grace=0.0)
        else:
            tenant.is_present, loss = False, Revocation("the user was removed")
        # A user who is already removed or disabled has lost its sessions.
        present = [user.name for user in tenant.users if user.is_present and user.enabled]
        return [tenant], dict.fromkeys(names) | {name: Revocation(**vars(loss)) for name in present}

    def change_settings(self, _):
        """Changes settings and other users around people whom no reload may touch."""
        tenant, chance = self.chance.choice(self.mixed), self.chance
        tenant.settings = {
            "max_object_bytes": f'"{chance.randint(100, 600)}GiB"',
            "max_rename_objects": str(chance.randint(10_000, 90_000)),
            "fetch_ahead": chance.choice(["true", "false"]),
            "partial_uploads": chance.choice(['"resumable"', '"discard"']),
        }
        tenant.storage = {
            "checksums": chance.choice(['"crc64nvme"', '"when_required"']),
            "payload_signing": chance.choice(['"signed"', '"unsigned"']),
        }
        user = chance.choice(tenant.users[:STEADY_USERS])
        user.password_hash = chance.choice(self.hashes)
        user.public_keys = user.public_keys[:1] + chance.choice([[], self.spare_keys])
        extra = UserEntry(f"{tenant.name}-extra{chance.randrange(3)}", password_hash=chance.choice(self.hashes))
        tenant.users = [one for one in tenant.users if one.name != extra.name]
        if chance.random() < 0.7:
            tenant.users.append(extra)
        return [tenant], {}

    def add_or_remove_tenant(self, _):
        old = [new for new in self.new if new.is_known]
        if len(self.new) >= MOST_NEW_TENANTS and old:
            new = self.chance.choice(old)
            self.new.remove(new)
            new.tenant.is_present = False
            return [new.tenant], {}
        return ([self.new_tenant().tenant], {}) if len(self.new) < MOST_NEW_TENANTS else ([], {})

    def new_tenant(self):
        self.numbers += 1
        new = self.person(TenantEntry(f"new{self.numbers}"), 0, True)
        self.new.append(new)
        return new

    def change(self):
        """Changes some at random, and notes that a reload begins. Returns the tenants whose files it changes, and the
        function to call after the reload."""
        tenants, losses = [], {}
        likely = [(self.change_user, 0.8), (self.change_tenant, 0.12), (self.change_settings, 0.6)]
        for change, likelihood in [*likely, (self.add_or_remove_tenant, 0.25)]:
            if self.chance.random() < likelihood:
                changed, lost = change(tenants)
                tenants += [tenant for tenant in changed if tenant not in tenants]
                losses |= lost
        touched = [person for person in self.all if person.entry.name in losses]
        for person in touched:
            person.version += 1
            if loss := losses[person.entry.name]:
                loss.began = time.time()
                person.revocations.append(loss)

        def finish():
            for person in touched:
                if loss := losses[person.entry.name]:
                    loss.done = time.time()
                person.version += 1

        return tenants, finish
