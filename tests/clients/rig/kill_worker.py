"""A client that uploads, resumes, renames and removes files until its server is killed, and then checks what is left."""

import contextlib
import logging
import random
import threading
import time
from dataclasses import dataclass

import paramiko

from . import frames, paramiko_client
from .files import MIB, content, sha256_of
from .frames import Frames
from .killed_server import Broken

# The operations of workers with an even number, and those of the others. Each is as likely as the next.
LONG = ("put in parts", "resume", "resume", "remove")
SHORT = ("put", "rename directory", "rename file", "remove")
KINDS = ("put in parts", "resume", "put", "rename directory", "rename file", "remove")
# The changes of the tree, as records have them.
CHANGES = {"remove": "remove", "rename file": "rename", "rename directory": "rename"}
# The end of a long upload.
CLOSE = "close"
SMALL, LARGE = (1, 300_000), (8 * MIB, 40 * MIB)
# A long upload pauses for at most this time. The ledger notes its progress every two seconds.
MOST_PAUSE = 3.0
TREE_FILES = (30, 100)
WRITE_BYTES = 128 << 10
# Small files that are uploaded at the same time.
AT_ONCE = 25
NEW_FILE, EXISTING_FILE = frames.WRITE_FLAG | frames.CREATE | frames.TRUNCATE, frames.WRITE_FLAG | frames.CREATE
# The files of a directory that are read after each kill. In the end all are.
FILES_OF_TREE = 10
# A worker removes files when it has more.
MOST_SMALL, MOST_LARGE = 12, 2
# From the end of the connection to the news that the server was killed.
NEWS_TIMEOUT = 5.0
# paramiko logs each lost connection.
logging.getLogger("paramiko").addHandler(logging.NullHandler())
LOST = (frames.Ended, EOFError, OSError, paramiko.SSHException)


@dataclass
class Operation:
    """The operation that the worker waits for. `path` and `target` are what it changes; `data` is what it uploads."""

    kind: str
    path: str
    target: str | None = None
    data: tuple | None = None
    is_closing: bool = False


class Worker:
    """One client in a directory of its own. `files` has the arguments of `content` of each file that was acknowledged,
    `trees` the files of each directory."""

    def __init__(self, number, seed, soak):
        self.name, self.soak, self.server = f"worker-{number}", soak, soak.server
        self.chance = random.Random(f"{seed}/{number}")
        self.files, self.trees, self.interrupted, self.changed = {}, {}, {}, set()
        self.pending = None
        self.numbers, self.kinds = 0, SHORT if number % 2 else LONG
        # The functions that choose an operation and carry it out, by kind.
        self.operations = {
            "put in parts": (self.a_long_put, self.put),
            "resume": (self.a_resume, self.resume),
            "put": (self.a_put, self.put),
            "rename directory": (self.a_directory_rename, self.rename),
            "rename file": (self.a_file_rename, self.rename),
            "remove": (self.a_removal, self.remove),
        }

    # Rounds: from one start of the server to its next kill.

    def run(self, is_ready):
        """Checks what the last kill left, calls `is_ready`, and works until the next kill."""
        with contextlib.ExitStack() as stack:
            try:
                self.connect(stack)
                if not self.trees:
                    self.put_tree()
                self.check_pending()
                self.check_files(self.changed, FILES_OF_TREE)
                self.changed.clear()
                is_ready()
                while not self.soak.is_killing.is_set():
                    self.operate()
            except LOST as error:
                # The checks may also find that a file is missing, which is no news of a kill.
                if not self.soak.is_killing.wait(NEWS_TIMEOUT):
                    raise Broken(f"{self.name} failed: {error!r}, in {self.pending}") from error

    def connect(self, stack):
        transport = paramiko_client.connect(self.server)
        stack.callback(transport.close)
        self.client = Frames(transport)
        self.client.start()
        self.reader = paramiko_client.sftp(transport)

    def put_tree(self):
        tree, path = {}, self.new_path("tree")
        for directory in (self.name, path, f"{path}/deep", f"{path}/deep/deep"):
            self.reader.mkdir(directory)
        for number in range(self.chance.randint(*TREE_FILES)):
            tree[f"{'deep/' * (number % 3)}{number:03}"] = number, f"{path}/{number}"
        self.put_many({f"{path}/{name}": content(*arguments) for name, arguments in tree.items()})
        self.soak.acknowledged.update(("upload", f"/{path}/{name}") for name in tree)
        self.trees[path] = tree

    def put_many(self, files):
        """Uploads small files, many at a time."""
        names = list(files)
        for begin in range(0, len(names), AT_ONCE):
            batch = names[begin : begin + AT_ONCE]
            opens = {
                self.client.send(frames.OPEN, frames.text(name), frames.number(NEW_FILE), frames.NO_ATTRIBUTES): name
                for name in batch
            }
            replies = [self.client.receive() for _ in batch]
            for reply in replies:
                handle, data = frames.handle_of(reply), files[opens[reply.id]]
                self.client.send(frames.WRITE, handle, frames.number(0, 8), frames.text(data))
                self.client.send(frames.CLOSE, handle)
            for _ in range(2 * len(batch)):
                self.check(frames.status_of(self.client.receive()))

    def operate(self):
        kind = self.chance.choice(self.kinds)
        choose, carry_out = self.operations[kind]
        operation = choose()
        if operation is None:
            return
        started = time.monotonic()
        self.pending = operation
        self.soak.begins(kind)
        carry_out(operation)
        self.soak.acknowledged[self.record_of(operation)] += 1
        self.finish(operation, True)
        self.soak.ends(kind, time.monotonic() - started)

    # The choice of an operation.

    def a_put(self):
        small = self.paths("small")
        is_new = not small or self.chance.random() < 0.5
        path = self.new_path("small") if is_new else self.chance.choice(small)
        return Operation("put", path, data=self.new_data(self.chance.randint(*SMALL)))

    def a_long_put(self):
        size = min(self.chance.randint(*LARGE), self.chance.randint(*LARGE))
        return Operation("put in parts", self.new_path("large"), data=self.new_data(size))

    def a_resume(self):
        if not self.interrupted:
            return None
        path = self.chance.choice(list(self.interrupted))
        return Operation("resume", path, data=self.interrupted[path])

    def a_directory_rename(self):
        return Operation("rename directory", self.chance.choice(list(self.trees)), target=self.new_path("tree"))

    def a_file_rename(self):
        word = self.chance.choice(("small", "large"))
        paths = self.paths(word)
        return Operation("rename file", self.chance.choice(paths), target=self.new_path(word)) if paths else None

    def a_removal(self):
        for word, most in (("small", MOST_SMALL), ("large", MOST_LARGE)):
            if len(paths := self.paths(word)) > most:
                return Operation("remove", self.chance.choice(paths))
        return None

    def paths(self, word):
        return [path for path in self.files if f"/{word}-" in path]

    def new_path(self, word):
        self.numbers += 1
        return f"{self.name}/{word}-{self.numbers}"

    def new_data(self, size):
        self.numbers += 1
        return size, f"{self.name}/{self.numbers}"

    # The requests of an operation.

    def put(self, operation):
        self.upload(operation, NEW_FILE, 0)

    def resume(self, operation):
        """Continues as `reput` of OpenSSH does."""
        begun = self.size(operation.path)
        if begun is None:
            return self.put(operation)
        self.soak.counts["resumed bytes"] += begun
        return self.upload(operation, EXISTING_FILE, begun)

    def rename(self, operation):
        self.check(self.client.status(frames.RENAME, frames.text(operation.path), frames.text(operation.target)))

    def remove(self, operation):
        self.check(self.client.status(frames.REMOVE, frames.text(operation.path)))

    def upload(self, operation, flags, begin):
        data, is_long = content(*operation.data), operation.kind != "put"
        handle = self.client.open(operation.path, flags)
        pause = self.chance.randint(begin, len(data))
        for offset in range(begin, len(data), WRITE_BYTES):
            if is_long and offset <= pause < offset + WRITE_BYTES:
                self.soak.is_killing.wait(self.chance.uniform(0, MOST_PAUSE))
            self.check(self.client.write(handle, offset, data[offset : offset + WRITE_BYTES]))
        operation.is_closing, started = True, time.monotonic()
        if is_long:
            self.soak.begins(CLOSE)
        self.check(self.client.close_handle(handle))
        if is_long:
            self.soak.ends(CLOSE, time.monotonic() - started)

    def check(self, status):
        if status[0] != frames.OK:
            raise Broken(f"{self.pending} failed: {status}")

    # The outcome of an operation.

    def finish(self, operation, is_done):
        """Records that the operation was carried out, or left no trace."""
        self.pending = None
        if operation.kind in ("put", "put in parts", "resume"):
            if is_done:
                self.files[operation.path] = operation.data
                self.interrupted.pop(operation.path, None)
            elif operation.kind != "put":
                self.interrupted[operation.path] = operation.data
            self.changed.add(operation.path)
        elif operation.kind == "remove":
            if is_done:
                del self.files[operation.path]
        else:
            names = self.trees if operation.kind == "rename directory" else self.files
            name = operation.target if is_done else operation.path
            names[name] = names.pop(operation.path)
            self.changed.add(name)

    @staticmethod
    def record_of(operation):
        """Returns the operation as its record has it."""
        return CHANGES.get(operation.kind, "upload"), f"/{operation.path}"

    def check_pending(self):
        """Finds out whether the operation that the kill interrupted was carried out."""
        operation = self.pending
        if operation is None:
            return
        self.soak.counts[f"interrupted: {operation.kind}"] += 1
        if operation.kind == "rename directory":
            is_done = self.is_renamed(operation, self.server.names_below)
        elif operation.kind == "rename file":
            is_done = self.is_renamed(operation, lambda path: self.listed() & {path})
        elif operation.kind == "remove":
            is_done = operation.path not in self.listed()
        else:
            is_done = self.is_published(operation)
        self.soak.counts[f"{'done' if is_done else 'undone'}: {operation.kind}"] += 1
        self.finish(operation, is_done)

    @staticmethod
    def is_renamed(operation, look):
        old, new = look(operation.path), look(operation.target)
        if bool(old) == bool(new):
            raise Broken(f"{operation} is half done: {sorted(old)} and {sorted(new)}")
        return bool(new)

    def is_published(self, operation):
        """True if the new file is there. If it isn't, the file from before must be, or none."""
        found = self.read(operation.path) if operation.path in self.listed() else None
        before = self.files.get(operation.path)
        if found == sha256_of(content(*operation.data)) and operation.is_closing:
            return True
        if found == (before and sha256_of(content(*before))):
            return False
        raise Broken(f"{operation} left neither the file from before nor the new one")

    # Checks.

    def check_files(self, paths, most_of_tree=None):
        """Checks the bytes of these files, and of at most so many files of each of these directories."""
        for path in paths:
            if path in self.trees:
                self.check_tree(path, most_of_tree)
            elif path in self.files and self.read(path) != sha256_of(content(*self.files[path])):
                raise Broken(f"{path} isn't {self.files[path]}")
        if self.listed() != (names := {*self.files, *self.trees}):
            raise Broken(f"{self.name} has the names {self.listed()}, not {names}")

    def check_tree(self, path, most):
        tree = self.trees[path]
        if (names := self.server.names_below(path)) != set(tree):
            raise Broken(f"{path} has the names {names}, not {set(tree)}")
        for name in self.chance.sample(sorted(tree), min(len(tree), most or len(tree))):
            if self.read(f"{path}/{name}") != sha256_of(content(*tree[name])):
                raise Broken(f"{path}/{name} has other bytes")

    def check_all(self):
        """Checks everything, with a session of its own."""
        with contextlib.ExitStack() as stack:
            self.connect(stack)
            self.check_pending()
            self.check_files({*self.files, *self.trees})

    def forget_interrupted(self):
        """Checks that nothing is left of interrupted uploads, whose time is over."""
        with contextlib.ExitStack() as stack:
            self.connect(stack)
            self.check_pending()
            for path in self.interrupted:
                if (size := self.size(path)) is not None:
                    raise Broken(f"{path} is over, and has {size} bytes")
            self.interrupted.clear()

    def listed(self):
        return {f"{self.name}/{name}" for name in self.reader.listdir(self.name)}

    def size(self, path):
        """Returns the size of a file, or the number of stored bytes of an interrupted upload, or `None`."""
        reply = self.client.ask(frames.STAT, frames.text(path))
        if reply.kind == frames.ATTRS:
            return frames.attributes_of(reply.body)[0]["size"]
        if (status := frames.status_of(reply))[0] != frames.NO_SUCH_FILE:
            raise Broken(f"STAT of {path} failed: {status}")
        return None

    def read(self, path):
        with self.reader.open(path, "rb") as file:
            file.prefetch()
            return sha256_of(file.read())


def run_all(workers, function):
    """Runs a function of all workers at the same time. Raises the first error."""
    errors = []

    def run(worker):
        try:
            function(worker)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=run, args=(worker,), daemon=True) for worker in workers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]
