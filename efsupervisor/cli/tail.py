"""`efctl tail` and `efctl log`: what tasks wrote, and what they write from now on.

A terminal gets neutral text unless `raw`; several tasks are shown line by line with their names before each, in a colour for each.  As JSON each
line is an object {task, stream, offset, text}: one array, or one object a line while following.
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
        self._held = b""
        self._held_at = 0

    def begin(self) -> None:
        """Show what is asked for, up to where the journal ends now."""
        piece = self._read(self._wish.since, self._wish.lines)
        end = piece.end
        self._held_at = piece.offset
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
            self._held, self._held_at = b"", piece.offset
        self._show(piece)
        return bool(piece.data)

    def finish(self) -> None:
        """Give out what was held back."""
        self._write(b"", final=True)

    def _notice(self, sentence: str) -> None:
        self._out.flush()
        sys.stderr.write(f"efctl: {self._name}: {sentence}\n")

    def _show(self, piece: Read) -> None:
        self._offset = piece.next
        self._write(piece.data, final=False)

    def _write(self, data: bytes, *, final: bool) -> None:
        if self._wish.as_json:
            self._as_json(data, final=final)
            return
        for filter_ in self._shape:
            data = filter_(data, final=final)
        if data:
            self._out.write(data)

    def _as_json(self, data: bytes, *, final: bool) -> None:
        *lines, self._held = (self._held + data).split(b"\n")
        if final and self._held:
            lines.append(self._held)
        for line in lines:
            row = {"task": self._name, "stream": self._wish.stream, "offset": self._held_at, "text": line.decode("utf-8", "backslashreplace")}
            self._held_at += len(line) + 1
            if self._wish.follow:
                self._out.write(msgspec.json.encode(row) + b"\n")
            else:
                self.rows.append(row)


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
