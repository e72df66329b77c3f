"""Reload under load (issue 17): 50 sessions transfer files while the config is reloaded 200 times a minute, half of the
times with a broken file. Users, tenants, mounts and credentials come and go at random.

- No request of a user fails whose rights no reload took.
- A session that lost its rights ends within `reload_grace` and 5 s, as the client and `wharfinger sessions` see it. The
  session of a disabled user ends at once. Its requests are refused until then, and so are logins.
- A broken file is told, and changes nothing.
- The users of a tenant whose file is new can log in within 5 s, with and without `watch_config`.
- After the last reload the idle server has at most 16 MiB more memory than after the first quarter of the reloads, not
  counting that of password checks; not one descriptor more; nor one thread, in runs of 30 s or more.
- S3 has every upload whose CLOSE was answered.

`WHARFINGER` names the binary, or else it is the debug build. The time is WHARFINGER_SOAK_SECONDS (20), without the two
pauses in which the server becomes idle, and without the rest of the first 8 s, for which the load goes on before the
first pause. The seed is WHARFINGER_SOAK_SEED.
"""

import asyncio
import contextlib
import datetime
import hashlib
import json
import os
import random
import signal
import sys
import tempfile
import time
from pathlib import Path

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "clients"))

from rig.control import ask  # noqa: E402
from rig.fake_aws import FakeAws  # noqa: E402
from rig.process import connections  # noqa: E402
from rig.reload_clients import KINDS, Clients, content  # noqa: E402
from rig.reload_people import GRACE, Broken, People  # noqa: E402
from rig.servers import wharfinger  # noqa: E402
from rig.tenant_files import BROKEN_SERVER, BROKEN_TENANT, CONFLICTS, ServeFiles, TenantEntry  # noqa: E402

SECONDS = float(os.environ.get("WHARFINGER_SOAK_SECONDS", 20))
SEED = int(os.environ.get("WHARFINGER_SOAK_SEED", random.SystemRandom().randrange(1 << 32)))
RELOADS = max(8, round(SECONDS * 200 / 60))
MOST_MEMORY_MIB = 16
# The load before the first measure, so that each kind of transfer has run.
WARM_UP = 8.0
# Idle buffers of uploads go back to the system after 10 s, and blocking threads end then.
SETTLE = 12.0
COMPARES_THREADS = SECONDS >= 30
# For the end of all sessions, when their clients have left.
IDLE_TIMEOUT = 60.0


class Soak:
    def __init__(self, directory, storage):
        self.chance, self.storage = random.Random(SEED), storage
        self.people = People(self.chance)
        settings = {"reload_grace": f'"{GRACE:.0f}s"', "watch_config": "true"}
        self.server = ServeFiles(directory, storage.store(), settings, self.people.tenants)
        self.clients = Clients(self.server, self.people.all, SEED)
        self.counts = self.clients.counts
        self.slowest_reload = self.seconds = 0.0

    # Reloads.

    async def reload(self, is_valid):
        """Changes the config at random, and reloads it. Returns the logins of new tenants that must succeed now."""
        how = self.chance.choice([self.by_signal, self.by_command, self.by_socket])
        if not is_valid and self.chance.random() < 0.3:
            await self.reload_broken_server(how)
            return []
        changed, finish = self.people.change()
        broken, mend = (None, lambda: None) if is_valid else self.break_tenant(changed)
        renamed = time.time()
        for tenant in changed:
            self.server.write_tenant(tenant)
        found = await how()
        expected = ("reloaded", {broken} if broken else set())
        if found != expected:
            raise Broken(f"{how.__name__} gave {found}, not {expected}")
        finish()
        mend()
        return [self.clients.log_in_as_new(one, renamed) for one in self.people.new if one.tenant in changed]

    def break_tenant(self, changed):
        """Breaks a file whose tenant this reload doesn't change. Returns its name and the function that mends it."""
        victim = self.chance.choice([one for one in self.people.tenants if one not in changed and one.is_present])
        kind = self.chance.choice([*BROKEN_TENANT, *CONFLICTS])
        self.counts[f"broken: {kind}"] += 1
        return self.server.break_tenant(victim, kind)

    async def reload_broken_server(self, how):
        """Breaks the server's file. The change of a tenant's file must not count."""
        kind = self.chance.choice(list(BROKEN_SERVER))
        self.counts[f"broken server: {kind}"] += 1
        tenant = self.chance.choice(self.people.mixed)
        self.server.write_tenant(TenantEntry(**vars(tenant) | {"users": tenant.users[1:]}))
        self.server.break_server(kind)
        if how == self.by_signal and (await self.status())["config"]["reload_problems"]["count"]:
            # The state before and after the signal would look the same.
            how = self.by_socket
        found = await how()
        self.server.write_server()
        self.server.write_tenant(tenant)
        if found != ("refused", set()):
            raise Broken(f"{how.__name__} of a broken server file ({kind}) gave {found}")

    async def by_socket(self):
        *files, last = await self.ask("reload")
        names = {Path(one["file"]).name for one in files}
        return ("reloaded" if last["answer"] == "reloaded" else "refused"), names

    async def by_command(self):
        command = [wharfinger(), "reload", "--config", self.server.config]
        child = await asyncio.create_subprocess_exec(
            *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
        )
        said, problems = (text.decode() for text in await child.communicate())
        lines = [line for line in problems.splitlines() if " was refused: the tenant " in line]
        names = {Path(line.partition(" was refused: ")[0]).name for line in lines}
        is_done = said.startswith("the config was reloaded")
        if child.returncode != (0 if is_done and not names else 1):
            raise Broken(f"`wharfinger reload` ended with {child.returncode}: {said}{problems}")
        if not is_done and "nothing was changed" not in problems:
            raise Broken(f"`wharfinger reload` doesn't say that nothing was changed: {problems}")
        return ("reloaded" if is_done else "refused"), names

    async def by_signal(self):
        before = (await self.status())["config"]
        os.kill(self.server.process.pid, signal.SIGHUP)
        end = time.time() + 30
        while time.time() < end:
            config = (await self.status())["config"]
            if config["loaded_at"] != before["loaded_at"]:
                return "reloaded", {Path(name).name for name in config["refused_files"]["names"]}
            if config["reload_problems"]["count"] and not before["reload_problems"]["count"]:
                return "refused", set()
            await asyncio.sleep(0.02)
        raise Broken("SIGHUP caused no reload within 30 s")

    async def ask(self, request, **fields):
        try:
            return await asyncio.to_thread(ask, self.server.control_socket, request, **fields)
        except (OSError, RuntimeError) as error:
            raise Broken(f"the control socket gave no answer to {request}: {error!r}") from error

    async def status(self):
        return (await self.ask("status"))[0]

    async def reload_often(self):
        """Carries out all reloads, with a pause after a quarter of them and after the last. Returns the server's
        resources in both."""
        kinds = [True, False] * (RELOADS // 2) + [True] * (RELOADS % 2)
        self.chance.shuffle(kinds)
        resources, logins = [], []
        began, paused = time.time(), 0.0
        for number, is_valid in enumerate(kinds, 1):
            await asyncio.sleep(began + paused + (number - 1) * SECONDS / RELOADS - time.time())
            started = time.time()
            logins += [asyncio.create_task(login) for login in await self.reload(is_valid)]
            self.slowest_reload = max(self.slowest_reload, time.time() - started)
            if number in (RELOADS // 4, RELOADS):
                self.seconds = time.time() - began - paused
                started = time.time()
                await asyncio.sleep(began + WARM_UP - started)
                await asyncio.gather(*logins)
                logins.clear()
                resources.append(await self.idle_resources())
                paused += time.time() - started
        return resources

    async def add_watched_tenant(self):
        """Adds a tenant without asking for a reload."""
        new = self.people.new_tenant()
        renamed = time.time()
        self.server.write_tenant(new.tenant)
        await self.clients.log_in_as_new(new, renamed)

    # Looks.

    async def watch_server(self):
        """Compares the sessions that the server lists with the rights of their users."""
        people = {person.entry.name: person for person in self.people.all}
        while not self.clients.is_over:
            asked = time.time()
            for listed in await self.list_sessions():
                since = datetime.datetime.fromisoformat(listed["since"]).timestamp()
                person = people.get(listed["user"])
                for loss in person.revocations if person else []:
                    if loss.is_certain and since < loss.began and loss.deadline < asked:
                        late = asked - loss.done
                        raise Broken(f"the server lists a session of {listed['user']} {late:.1f} s after: {loss.cause}")
            self.counts["lists of sessions"] += 1
            await asyncio.sleep(0.5)

    async def list_sessions(self):
        if self.counts["lists of sessions"] % 4:
            return (await self.ask("sessions"))[:-1]
        command = [wharfinger(), "sessions", "--json", "--config", self.server.config]
        child = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
        said, _ = await child.communicate()
        if child.returncode:
            raise Broken(f"`wharfinger sessions` ended with {child.returncode}")
        return json.loads(said)

    async def idle_resources(self):
        """Pauses the load and returns what the idle server has."""
        self.clients.running.clear()
        end = time.time() + IDLE_TIMEOUT
        while True:
            status = await self.status()
            used = {name: status[name] for name in ("sessions", "transfers", "buffer_bytes")}
            # The buffers of password checks stay for the next ones, for a minute.
            used["buffer_bytes"] -= status["password_check_bytes"]
            used["connections"] = connections(self.server.port)
            if not any(used.values()):
                break
            if time.time() > end:
                raise Broken(f"without load the server has {used}")
            await asyncio.sleep(0.1)
        samples, end = [], time.time() + SETTLE
        while time.time() < end:
            # The store's idle connections are no leak.
            self.storage.hang_up()
            self.storage.forget_requests()
            await asyncio.sleep(0.5)
            samples.append((self.descriptors(), len(os.listdir(f"/proc/{self.server.process.pid}/task"))))
        descriptors, threads = map(min, zip(*samples))
        # A check more at the same time costs 19 MiB for a minute, which is no leak.
        memory = self.server.process.memory_mib() - (await self.status())["password_check_bytes"] / (1 << 20)
        self.clients.running.set()
        return {"memory": memory, "descriptors": descriptors, "threads": threads}

    def descriptors(self):
        """Returns the number of the server's descriptors, without the ledger's: its pool opens a file when all are in
        use, up to a limit."""
        names = []
        for descriptor in Path(f"/proc/{self.server.process.pid}/fd").iterdir():
            with contextlib.suppress(FileNotFoundError):
                names.append(os.readlink(descriptor))
        return sum("/ledger.db" not in name for name in names)

    def check_storage(self):
        objects = self.storage.objects
        sizes = objects.sizes()
        for person in self.people.all:
            for path, (offset, size) in person.stored.items():
                wanted = size, hashlib.sha256(content(offset, size)).hexdigest()
                key = person.tenant.prefix + path.lstrip("/")
                found = (sizes[key], hashlib.sha256(objects[key]).hexdigest()) if key in sizes else None
                if found != wanted:
                    raise Broken(f"{path} of {person.entry.name} was closed with {wanted}, and S3 has {found}")

    # The whole.

    async def run(self):
        """Returns the resources of the idle server after a quarter of the reloads, and after the last."""
        # asyncssh leaves failures of interrupted transfers to the loop too.
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: None)
        self.clients.running.set()
        work = [self.reload_all(), self.clients.watch(), self.watch_server(), *self.clients.all()]
        tasks = [asyncio.create_task(one) for one in work]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
            for task in done:
                task.result()
            if "task panicked" in self.server.process.log_text():
                raise Broken("a task of the server panicked")
        finally:
            if name := os.environ.get("WHARFINGER_SOAK_LOG"):
                Path(name).write_text(self.server.process.log_text())
            # A transfer that is cancelled waits for its connection.
            self.server.close()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        self.check_storage()
        return tasks[0].result()

    async def reload_all(self):
        await asyncio.sleep(2)
        await self.add_watched_tenant()
        self.server.settings["watch_config"] = "false"
        self.server.write_server()
        await self.by_socket()
        resources = await self.reload_often()
        self.clients.is_over = True
        return resources

    def judge(self, before, after):
        """Compares the resources, and prints the result."""
        grown = after["memory"] - before["memory"]
        if grown > MOST_MEMORY_MIB:
            raise Broken(f"the idle server has {grown:.1f} MiB more after {RELOADS} reloads than after {RELOADS // 4}")
        for kind in ("descriptors", "threads") if COMPARES_THREADS else ("descriptors",):
            if after[kind] > before[kind]:
                raise Broken(f"the idle server has {after[kind]} {kind} after {RELOADS} reloads, {before[kind]} before")
        counts, graced, disabled = self.counts, self.clients.ends[GRACE], self.clients.ends[0.0]
        print(
            f"reload: {RELOADS} reloads in {self.seconds:.0f} s, the slowest in {self.slowest_reload:.1f} s; "
            f"{sum(counts[kind] for kind in KINDS)} transfers, {counts['large'] + counts['slow']} of them in parts; "
            f"{counts['logins']} logins; {len(graced)} sessions ended up to {max(graced, default=0):.1f} s after their "
            f"rights, {len(disabled)} of disabled users up to {max(disabled, default=0):.1f} s; "
            f"{counts['new tenants']} new tenants, the first login up to {self.clients.slowest_new:.1f} s after the "
            f"file; {grown:+.1f} MiB, {after['descriptors'] - before['descriptors']:+} descriptors, "
            + (f"{after['threads'] - before['threads']:+} threads" if COMPARES_THREADS else "threads not compared"),
            flush=True,
        )


async def prove(directory, storage):
    soak = Soak(directory, storage)
    try:
        soak.judge(*await soak.run())
    finally:
        if os.environ.get("WHARFINGER_SOAK_COUNTS"):
            print(json.dumps(soak.counts, indent=1, sort_keys=True), flush=True)


def main():
    print(f"reload: seed {SEED}", flush=True)
    storage = FakeAws()
    try:
        with tempfile.TemporaryDirectory(prefix="wharfinger-config-") as directory:
            asyncio.run(prove(directory, storage))
    except Broken as broken:
        print(f"reload: {broken}, seed {SEED}", flush=True)
        return 1
    finally:
        storage.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
