"""Sends a recorded sequence of a client's requests, and compares each reply with the one that the client needs.

A sequence is a list of steps. Paths in it are patterns: the test gives the value of `{target}`.
"""

from dataclasses import dataclass, field

from . import frames
from .frames import attributes, number, text


@dataclass(frozen=True)
class Ask:
    """One request. `answer` is the kind of the reply, or the code of a STATUS. Without `waits` it stays in flight."""

    request: int
    path: str | None
    answer: int
    flags: int | None = None
    attributes: dict | None = None
    target: str | None = None
    extension: str | None = None
    waits: bool = True


@dataclass(frozen=True)
class Upload:
    """WRITEs of the content from `start` on, with at most `window` bytes in flight."""

    block: int
    window: int
    start: int = 0


@dataclass(frozen=True)
class Download:
    """READs with `window` bytes in flight until one returns EOF. Only the file's last reply may be short."""

    block: int
    window: int


@dataclass(frozen=True)
class List:
    """READDIRs until EOF."""


# The codes of STATUS are smaller than the kinds of other replies.
KINDS = {frames.HANDLE, frames.DATA, frames.NAME, frames.ATTRS, frames.EXTENDED_REPLY}


@dataclass
class Replay:
    """One channel, with the names of one file. `content` is uploaded. `received` and `listed` hold the downloaded
    data."""

    channel: object
    names: dict
    content: bytes = b""
    handle: bytes = b""
    received: bytes = b""
    listed: list = field(default_factory=list)
    attributes: dict = field(default_factory=dict)
    sentence: str = ""
    open: dict = field(default_factory=dict)

    def run(self, steps):
        for _ in self.turns(steps):
            pass
        return self

    def turns(self, steps):
        """Pauses after each request and block, so that a test can run several replays in turns."""
        for step in steps:
            match step:
                case Ask():
                    self._ask(step)
                    yield
                case Upload():
                    yield from self._upload(step)
                case Download():
                    yield from self._download(step)
                case List():
                    self._list()
                    yield
        self._settle()

    def _ask(self, step):
        fields = [] if step.extension is None else [text(step.extension)]
        # Requests without a path use the handle.
        fields.append(self.handle if step.path is None else text(step.path.format(**self.names)))
        if step.target is not None:
            fields.append(text(step.target.format(**self.names)))
        if step.flags is not None:
            fields.append(number(step.flags))
        if step.attributes is not None:
            known = {name: len(self.content) if value == "size" else value for name, value in step.attributes.items()}
            fields.append(attributes(**known))
        self.open[self.channel.send(step.request, *fields)] = step
        if step.waits:
            self._settle()

    def _settle(self):
        """Waits for the replies to all requests in flight."""
        while self.open:
            self._answered(self.channel.receive())

    def _answered(self, reply):
        step = self.open.pop(reply.id)
        answer = reply.kind if reply.kind in KINDS else frames.status_of(reply)[0]
        assert answer == step.answer, f"{step}: {reply.kind} {reply.body[:200]}"
        if reply.kind == frames.HANDLE:
            self.handle = reply.body
        elif reply.kind == frames.ATTRS:
            self.attributes = frames.attributes_of(reply.body)[0]
        elif reply.kind == frames.STATUS:
            self.sentence = frames.status_of(reply)[1]

    def _upload(self, step):
        write = Ask(frames.WRITE, None, frames.OK)
        for at in range(step.start, len(self.content), step.block):
            while len(self.open) * step.block >= step.window:
                self._answered(self.channel.receive())
            block = self.content[at : at + step.block]
            self.open[self.channel.send(frames.WRITE, self.handle, number(at, 8), text(block))] = write
            yield

    def _download(self, step):
        self._settle()
        sent, pieces, ended = {}, {}, False
        at = 0
        while sent or not ended:
            while not ended and len(sent) * step.block < step.window:
                sent[self.channel.send(frames.READ, self.handle, number(at, 8), number(step.block))] = at
                at += step.block
            reply = self.channel.receive()
            offset = sent.pop(reply.id)
            if reply.kind == frames.DATA:
                pieces[offset] = reply.body[4:]
            else:
                assert frames.status_of(reply)[0] == frames.EOF, frames.status_of(reply)
                ended = True
            yield
        # FileZilla treats a short reply before the last as an error.
        assert all(len(piece) == step.block for offset, piece in pieces.items() if offset != max(pieces)), "a short one"
        self.received = b"".join(pieces[offset] for offset in sorted(pieces))

    def _list(self):
        self._settle()
        while (reply := self.channel.ask(frames.READDIR, self.handle)).kind == frames.NAME:
            self.listed += frames.names_of(reply)
        assert frames.status_of(reply)[0] == frames.EOF
