"""Clients that transfer files all the time while reloads take the rights of their users. Each checks what its user may
expect."""

import asyncio
import collections
import contextlib
import logging
import random
import time

import asyncssh

from .files import KIB, MIB, PART
from .reload_people import Broken

LARGE = PART + MIB
POOL = random.Random(17).randbytes(2 * LARGE)
FAILURES = (asyncssh.Error, OSError)
# A login that begins this long after the file of a new tenant came succeeds.
MOST_LOGIN = 5.0
MOST_TRIES = 4
# The kinds of transfers, and how often each is chosen.
KINDS = {"small": 8, "large": 1, "slow": 5, "read": 4, "names": 1}


class WrongContent(asyncssh.Error):
    """A file has other bytes than its upload."""

    def __init__(self, path):
        super().__init__(0, f"{path} has other content than its upload")


class Disconnects(logging.Handler):
    """The sentences of SSH_MSG_DISCONNECT by connection. asyncssh tells them to its log alone."""

    def __init__(self):
        super().__init__()
        self.sentences = {}
        logger = logging.getLogger("asyncssh")
        logger.setLevel(logging.DEBUG)
        logger.propagate = False
        logger.addHandler(self)
        logging.getLogger("asyncssh.sftp").setLevel(logging.WARNING)

    def emit(self, record):
        connection, found, sentence = record.getMessage().partition("Received disconnect: ")
        if found:
            self.sentences[connection] = sentence


DISCONNECTS = Disconnects()


class Session(asyncssh.SSHClient):
    """A login of a person, up to the end of its connection."""

    def __init__(self, person):
        self.person, self.index = person, len(person.revocations)
        self.version, self.credential, self.began = person.version, person.credential, time.time()
        self.logged_in = self.ended = self.error = None
        # True if the client ends it.
        self.is_left = self.is_unsure = False
        self.closed = asyncio.Event()

    def connection_made(self, conn):
        self.prefix = conn.logger.process("", {})[0]

    def connection_lost(self, exc):
        self.ended, self.error = time.time(), exc
        self.sentence = DISCONNECTS.sentences.pop(self.prefix, None)
        self.closed.set()

    @property
    def losses(self):
        return self.person.revocations[self.index :]

    @property
    def is_excused(self):
        return self.is_unsure or bool(self.losses)

    @property
    def certain_loss(self):
        return next((loss for loss in self.losses if loss.is_certain), None)

    @property
    def deadline(self):
        loss = self.certain_loss
        # The login may have been accepted after a reload that it had begun before.
        return max(loss.deadline, self.logged_in + loss.deadline - loss.done) if loss else float("inf")

    def lost_before(self, moment):
        loss = self.certain_loss
        return loss is not None and max(loss.done, self.logged_in) < moment


class Clients:
    """The clients of `people`, at the address of `server`."""

    def __init__(self, server, people, seed):
        self.server, self.people, self.seed = server, people, seed
        self.sessions, self.running, self.is_over = set(), asyncio.Event(), False
        self.counts, self.ends = collections.Counter(), collections.defaultdict(list)
        self.slowest_new = 0.0

    def all(self):
        """Returns the tasks of all clients."""
        return [self.client(person, random.Random(f"{self.seed}/{person.entry.name}")) for person in self.people]

    async def connect(self, session):
        person = session.person
        connection, _ = await asyncssh.create_connection(
            lambda: session,
            self.server.host,
            self.server.port,
            username=person.entry.name,
            known_hosts=None,
            config=None,
            agent_path=None,
            kex_algs=["curve25519-sha256"],
            encryption_algs=["aes128-gcm@openssh.com"],
            login_timeout=60,
            **session.credential,
        )
        session.logged_in = time.time()
        return connection

    async def log_in(self, person):
        """Returns the session and its connection, or `None` if the server refuses the login as it must."""
        session, may_log_in = Session(person), person.may_log_in
        try:
            connection = await self.connect(session)
        except FAILURES as error:
            if session.version == person.version and session.version % 2 == 0 and may_log_in:
                raise Broken(f"the login of {person.entry.name} failed: {error!r}") from error
            self.counts["refused logins"] += 1
            return None
        while person.version % 2:
            await asyncio.sleep(0.02)
        session.is_unsure = session.version != person.version
        if not session.is_unsure and not may_log_in:
            raise Broken(f"{person.entry.name} could log in, although it may not")
        if session.is_unsure and person.may_log_in and session.credential is person.credential:
            # The reload may have given the rights back.
            session.index = len(person.revocations)
        self.counts["logins"] += 1
        self.sessions.add(session)
        return session, connection

    async def client(self, person, chance):
        """Transfers files as `person` all the time."""
        await asyncio.sleep(chance.random() * 2)
        while not self.is_over:
            await self.running.wait()
            if self.is_over:
                return
            entered = await self.log_in(person)
            if entered is None:
                await asyncio.sleep(chance.uniform(0.2, 1))
                continue
            session, connection = entered
            try:
                await self.use(session, connection, chance)
                await self.linger(session, connection)
            finally:
                session.is_left = not session.closed.is_set()
                connection.close()
                await connection.wait_closed()
                self.sessions.discard(session)
            self.note_end(session)

    async def use(self, session, connection, chance):
        """Transfers files until the load pauses, a request fails, or at random."""
        person = session.person
        began = time.time()
        try:
            sftp = await connection.start_sftp_client()
            while self.running.is_set() and chance.random() > 0.01:
                if person.base is None:
                    await asyncio.sleep(0.1)
                    continue
                began = time.time()
                await self.transfer(session, sftp, chance)
                if session.lost_before(began):
                    raise Broken(f"a request of {person.entry.name} succeeded after its rights were lost")
                if not session.certain_loss and session.losses and session.losses[-1].done < began:
                    # The session outlived the change of its mounts.
                    session.index = len(person.revocations)
        except FAILURES as error:
            if not session.is_excused:
                took = time.time() - began
                raise Broken(f"a transfer of {person.entry.name} failed after {took:.1f} s: {error!r}") from error
            self.counts["interrupted transfers"] += 1

    async def transfer(self, session, sftp, chance):
        person = session.person
        kind = chance.choices(list(KINDS), list(KINDS.values()))[0]
        name = f"{person.base}{person.entry.name}-{kind}"
        size = {"small": chance.randint(0, 64 * KIB), "large": LARGE, "slow": LARGE}.get(kind, KIB)
        offset = chance.randrange(len(POOL) - size)
        self.counts[kind] += 1
        if kind == "names":
            await put_and_compare(session, sftp, name, offset, size)
            with contextlib.suppress(asyncssh.SFTPNoSuchFile):
                await sftp.remove(f"{name}2")
            await sftp.rename(name, f"{name}2")
            await sftp.remove(f"{name}2")
        elif kind == "read":
            await sftp.stat(person.base)
            if person.stored:
                path, (offset, size) = chance.choice(list(person.stored.items()))
                await compare(sftp, path, offset, size, pause=chance.choice([0, 0.5]))
        else:
            person.stored.pop(name, None)
            pause = chance.uniform(0.1, 0.5) if kind == "slow" else 0
            await put(session, sftp, name, offset, size, pause)
            if not person.entry.mounts:
                person.stored[name] = (offset, size)
            await compare(sftp, name, offset, size)

    async def linger(self, session, connection):
        """Waits for the end of a session that lost its rights. Its requests must be refused."""
        while session.certain_loss and not session.closed.is_set():
            began = time.time()
            try:
                async with connection.start_sftp_client() as sftp:
                    await sftp.stat("/")
            except FAILURES:
                pass
            else:
                if session.lost_before(began):
                    raise Broken(f"a STAT of {session.person.entry.name} succeeded after its rights were lost")
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(session.closed.wait(), 0.3)

    def note_end(self, session):
        """Checks the end of a session that the server ended."""
        name = session.person.entry.name
        if session.is_left and session.sentence is None:
            return
        if not session.is_excused:
            raise Broken(f"the server ended the session of {name}: {session.sentence} {session.error!r}")
        if session.sentence is None:
            # The client was sending: the system discarded what the server had said.
            self.counts["ended without a sentence"] += 1
        else:
            causes = [loss.cause for loss in session.person.revocations if loss.done > session.began]
            said = [cause for cause in causes if session.sentence.startswith(cause)]
            if not said:
                raise Broken(f"the server told {name}, {session.sentence}, and not one of {causes}")
            self.counts[f"ended: {said[0]}"] += 1
        if loss := session.certain_loss:
            if session.ended > session.deadline:
                raise Broken(f"the session of {name} ended {session.ended - loss.done:.1f} s after: {loss.cause}")
            self.ends[loss.grace].append(max(0, session.ended - max(loss.done, session.logged_in)))

    # The users of new tenants.

    async def log_in_as_new(self, new, renamed):
        """Logs in repeatedly, beginning at once, until the server lets the new user in."""
        tries, session = set(), None
        while session is None:
            waited = time.time() - renamed
            if waited < MOST_LOGIN and len(tries) < MOST_TRIES:
                tries.add(asyncio.create_task(self.try_as_new(new)))
            elif not tries:
                raise Broken(f"a login of a new tenant's user fails {waited:.1f} s after its file came")
            done, tries = await asyncio.wait(tries, timeout=0.25)
            session = next((one.result() for one in done if one.result()), None)
        await asyncio.gather(*tries)
        self.slowest_new = max(self.slowest_new, session.logged_in - renamed)
        self.counts["new tenants"] += 1
        new.is_known = True

    async def try_as_new(self, new):
        """Returns the session, or `None` if the server refuses the login."""
        session = Session(new)
        try:
            connection = await self.connect(session)
        except FAILURES:
            return None
        try:
            async with connection, connection.start_sftp_client() as sftp:
                await put_and_compare(session, sftp, "/small", 0, KIB)
        except FAILURES as error:
            raise Broken(f"the first transfer of a new tenant failed: {error!r}") from error
        return session

    async def watch(self):
        while not self.is_over:
            now = time.time()
            for session in self.sessions:
                if not session.closed.is_set() and now > session.deadline:
                    loss, name = session.certain_loss, session.person.entry.name
                    raise Broken(f"the session of {name} is open {now - loss.done:.1f} s after: {loss.cause}")
            await asyncio.sleep(0.25)


def content(offset, size):
    return POOL[offset : offset + size]


async def put(session, sftp, path, offset, size, pause=0):
    data = content(offset, size)
    async with sftp.open(path, "wb") as file:
        for at in range(0, size, MIB if pause else size + 1):
            await file.write(data[at : at + MIB] if pause else data)
            await asyncio.sleep(pause)
    if session.closed.is_set():
        # asyncssh sends no CLOSE without a connection, and says nothing.
        raise asyncssh.ConnectionLost("the connection ended before CLOSE")


async def compare(sftp, path, offset, size, pause=0):
    data = content(offset, size)
    async with sftp.open(path, "rb") as file:
        if pause:
            for at in range(0, size, MIB):
                if await file.read(MIB, at) != data[at : at + MIB]:
                    raise WrongContent(path)
                await asyncio.sleep(pause)
        elif await file.read() != data:
            raise WrongContent(path)


async def put_and_compare(session, sftp, path, offset, size):
    await put(session, sftp, path, offset, size)
    await compare(sftp, path, offset, size)
