"""`efctl tail` and `efctl log`: what tasks wrote, and what they write from now on.

A terminal gets neutral text unless `raw`; several tasks are shown line by line with their names before each, in a colour for each.  Events that are
no lines (output.framing) are shown one a line where anything is done to the text at all; raw and into a pipe they go byte for byte.  As JSON each
event is an object {task, stream, offset, text}: one array, or one object a line while following.
"""

from __future__ import annotations

import os
import select
import sys
from collections.abc import Callable, Iterable, Sequence
from typing import Any, BinaryIO, NamedTuple, Protocol

import msgspec

from efsupervisor.cli import render
from efsupervisor.cli.client import Client
from efsupervisor.cli.terminal import PLAIN, PREFIXES, Look
from efsupervisor.journal.framing import BROKEN, cut, netstring_end, payload
from efsupervisor.states import Framing

FOLLOW_S = 0.2


class Wish(NamedTuple):
    """What is to be shown.  lines: the last so many; since: from this byte on instead."""

    stream: str = "out"
    lines: int = 10
    since: int | None = None
    follow: bool = False
    prefix: bool = False
    raw: bool = False
    as_json: bool = False


class Read(Protocol):
    """A piece of a journal: bytes from offset on, where to go on, where it ended when it was read."""

    @property
    def offset(self) -> int: ...
    @property
    def data(self) -> bytes: ...
    @property
    def next(self) -> int: ...
    @property
    def end(self) -> int: ...
    @property
    def framing(self) -> int: ...


Reader = Callable[[int | None, int], Read]
"""(offset, lines) -> a piece; without an offset the last lines."""


def of_tasks(client: Client, names: Sequence[str], wish: Wish, out: BinaryIO, look: Look = PLAIN) -> int:
    """Tail tasks, as the Core resolves their names, until all is shown, or with `follow` until interrupted."""
    found = [row.name for row in client.status([name for name in names if name != "all"])]

    def reader(task: str) -> Reader:
        return lambda offset, lines: client.read(task, wish.stream, offset=offset, lines=lines)

    return run({name: reader(name) for name in found}, wish, out, look, client.fileno)


def run(readers: dict[str, Reader], wish: Wish, out: BinaryIO, look: Look = PLAIN, connection: Callable[[], int] = lambda: -1) -> int:
    """Tail these journals.  connection: a descriptor that has news when the Core ends, -1 for none."""
    tails = [Tail(name, reader, shape(name, number, readers, wish, look), wish, out) for number, (name, reader) in enumerate(readers.items())]
    for each in tails:
        each.begin()
    while wish.follow:
        news = [each.go_on() for each in tails]
        if not any(news):
            out.flush()
            pause(FOLLOW_S, connection(), out)
    for each in tails:
        each.finish()
    if wish.as_json and not wish.follow:
        rows = [row for each in tails for row in each.rows]
        out.write(msgspec.json.format(msgspec.json.encode(rows), indent=2) + b"\n")
    out.flush()
    return 0


def shape(name: str, number: int, names: Iterable[str], wish: Wish, look: Look) -> list[Callable[..., bytes]]:
    """The filters through which a task's bytes go, one after the other."""
    if wish.as_json:
        return []
    shape: list[Callable[..., bytes]] = [render.Neutral()] if look.terminal and not wish.raw else []
    every = list(names)
    if wish.prefix or len(every) > 1:
        blanks = " " * (max(map(render.width, every)) - render.width(name))
        shape.append(render.Lines((look.paint(f"{name}{blanks} |", PREFIXES[number % len(PREFIXES)]) + " ").encode()))
    return shape


class Tail:
    """Where one journal was read up to, and how it is shown.  rows: its lines for JSON, kept only while it is not followed."""

    def __init__(self, name: str, read: Reader, shape: list[Callable[..., bytes]], wish: Wish, out: BinaryIO) -> None:
        self.rows: list[dict[str, Any]] = []
        self._name = name
        self._read = read
        self._shape = shape
        self._wish = wish
        self._out = out
        self._offset = 0
        self._events = Events()

    def begin(self) -> None:
        """Show what is asked for, up to where the journal ends now."""
        piece = self._read(self._wish.since, self._wish.lines)
        end = piece.end
        if self._wish.since is not None and piece.offset > self._wish.since:
            self._notice(f"{piece.offset - self._wish.since} bytes are no longer there")
        self._show(piece)
        while self._offset < end and self.go_on():
            pass

    def go_on(self) -> bool:
        """Show what came since; False when nothing did."""
        asked = self._offset
        piece = self._read(asked, self._wish.lines)
        if piece.offset > asked:
            self._notice(f"{piece.offset - asked} bytes are no longer there")
        if piece.end < asked:
            self._notice("the log was begun anew")
            piece = self._read(0, self._wish.lines)
        if piece.offset != asked:
            self._events = Events()
        self._show(piece)
        return bool(piece.data)

    def finish(self) -> None:
        """Give out what was held back."""
        self._write(self._events.rest() if self._divides(self._events.framing) else [], b"", final=True)

    def _notice(self, sentence: str) -> None:
        self._out.flush()
        sys.stderr.write(f"efctl: {self._name}: {sentence}\n")

    def _show(self, piece: Read) -> None:
        self._offset = piece.next
        divided = self._events.feed(piece.offset, piece.data, piece.framing) if self._divides(piece.framing) else []
        self._write(divided, piece.data, final=False, framing=piece.framing)

    def _divides(self, framing: int) -> bool:
        return self._wish.as_json or (bool(self._shape) and framing in (Framing.NUL, Framing.NETSTRING))

    def _write(self, events: list[tuple[int, bytes]], data: bytes, *, final: bool, framing: int = 0) -> None:
        if self._wish.as_json:
            self._as_json(events)
            return
        if events or self._divides(framing):
            data = b"".join(event + b"\n" for _offset, event in events)
        for filter_ in self._shape:
            data = filter_(data, final=final)
        if data:
            self._out.write(data)

    def _as_json(self, events: list[tuple[int, bytes]]) -> None:
        for offset, event in events:
            row = {"task": self._name, "stream": self._wish.stream, "offset": offset, "text": event.decode("utf-8", "backslashreplace")}
            if self._wish.follow:
                self._out.write(msgspec.json.encode(row) + b"\n")
            else:
                self.rows.append(row)


class Events:
    """Cuts pieces into events, as their framing says; bytes that cannot be divided are one event a piece."""

    def __init__(self) -> None:
        self.framing = 0
        self._held = b""
        self._at = 0

    def feed(self, offset: int, data: bytes, framing: int) -> list[tuple[int, bytes]]:
        """(offset, what it says) of each event that is whole now."""
        before = self.rest() if framing != self.framing else []
        if not self._held:
            self._at = offset
        self.framing = framing
        self._held += data
        sizes = cut(framing, self._held, 0, len(self._held), max(2, len(self._held)), len(self._held))
        found, at = [], 0
        for size in sizes:
            found.append((self._at + at, payload(framing, self._held[at : at + size])))
            at += size
        self._held = self._held[at:]
        self._at += at
        hopeless = framing == BROKEN or (framing == Framing.NETSTRING and netstring_end(self._held, 0, len(self._held)) == -2)
        return before + found + (self.rest() if hopeless and self._held else [])

    def rest(self) -> list[tuple[int, bytes]]:
        """What has no end yet."""
        held, self._held = self._held, b""
        return [(self._at, held)] if held else []


def pause(seconds: float, connection: int, out: BinaryIO) -> None:
    """Wait for the next look; less when the Core ends.  BrokenPipeError when nobody reads our output any more (a quiet log would not tell)."""
    poll = select.poll()
    if connection >= 0:
        poll.register(connection, select.POLLIN)
    output = _descriptor(out)
    if output >= 0:
        poll.register(output, 0)
    if any(fd == output for fd, _ in poll.poll(seconds * 1000)):
        raise BrokenPipeError


def _descriptor(out: BinaryIO) -> int:
    try:
        return out.fileno()
    except OSError:  # a buffer in memory has none
        return -1


def daemon_log(path: str) -> Reader:
    """A reader of the daemon's own log file.  EfError when it cannot be read."""
    from efsupervisor.errors import Code, EfError  # late on purpose, with what follows
    from efsupervisor.interface.daemon import log_piece  # late on purpose: it brings every verb

    def read(offset: int | None, lines: int) -> Read:
        try:
            return log_piece(path, lines, offset)
        except OSError as error:
            raise EfError(f"the daemon's log {path} cannot be read: {os.strerror(error.errno or 0)}", Code.SYSTEM) from error

    return read
