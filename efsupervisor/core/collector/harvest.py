"""Where the results of tasks stand: the lines of their stdout journals, read from any offset, never held.

The journals are the queue: nothing is copied, a position is all that is kept.  A record that a killed program left unfinished is passed over, as it
is for the consumers of a flow.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import NamedTuple

import msgspec

from efsupervisor.core.collector.announcer import Slice, text_or_base64
from efsupervisor.core.collector.cursor import Position
from efsupervisor.journal import Reader
from efsupervisor.journal.framing import DIGITS, netstring_end, terminator
from efsupervisor.messages.call import ResultRow
from efsupervisor.states import Framing
from efsupervisor.system import System

LONGEST = 64 << 10
"""Bytes of one result that are passed on; what is longer is cut and says so."""

_PIECE = 256 << 10


class Line(NamedTuple):
    """One record: where it begins, where the next one does, what it says (at most LONGEST bytes of it), and how long that really is."""

    start: int
    next: int
    data: bytes
    length: int


class Field:
    """One task's journal.  id: the task's short id."""

    def __init__(self, identity: str, name: str, folder: str, system: System) -> None:
        self.id = identity
        self.name = name
        self.folder = folder
        self.reader = Reader(folder, system=system)
        self._system = system
        self._timed = (0, 0, 0)
        self._inode = self._look()

    def replaced(self) -> bool:
        """Whether the folder is another one than when it was first there."""
        now = self._look()
        self._inode = self._inode or now
        return now not in (self._inode, 0)

    def _look(self) -> int:
        try:
            return self._system.stat(self.folder).st_ino
        except FileNotFoundError:
            return 0

    def lines(self, offset: int, end: int) -> Iterator[Line]:
        """Whole records between an offset and `end`; stops where an unfinished one begins that may still grow."""
        while offset < end:
            offset = self.reader.skip(offset)
            marks = [mark for mark in self.reader.fragments(offset) if mark.start < end]
            border = min((mark.start for mark in marks if mark.start >= offset and mark.end > offset), default=end)
            inside = next((mark for mark in marks if mark.start <= offset < mark.end), None)
            if inside is not None:
                if inside.deliver:
                    yield self._cut(offset, inside.end)
                offset = inside.end
                continue
            found = self._next(offset, border, last=border < end)
            if found is None:
                return
            yield found
            offset = found.next

    def wall(self, offset: int) -> float:
        """When the byte at `offset` was written, in seconds, as exactly as the index knows it; the present where it does not."""
        start, end, wall_ns = self._timed
        if not start <= offset < end:
            end, wall_ns = self.reader.time_of(offset)
            self._timed = (offset, end, wall_ns)
        return (wall_ns or self._system.wall_ns()) / 1e9

    def _next(self, offset: int, border: int, *, last: bool) -> Line | None:
        """The record at an offset; None when it has no end yet.  last: at `border` it ends in any case (a fragment follows)."""
        framing = self.reader.framing(offset)
        if framing == Framing.NETSTRING:
            return self._netstring(offset, border, last=last)
        ends = terminator(framing)
        at, kept = offset, b""
        while ends and at < border and (piece := self.reader.read(at, min(_PIECE, border - at))):
            cut = piece.find(ends)
            if cut >= 0:
                kept += piece[: min(cut, LONGEST)]
                return Line(offset, at + cut + 1, kept[:LONGEST], at + cut - offset)
            kept = (kept + piece)[:LONGEST]
            at += len(piece)
        return Line(offset, border, kept, border - offset) if last and at == border else None

    def _netstring(self, offset: int, border: int, *, last: bool) -> Line | None:
        """As `_next`.  What is no netstring waits until its program is started anew; then it is a fragment, and passed over."""
        head = self._read(offset, min(DIGITS + 1, border - offset))
        size = netstring_end(head, 0, len(head))
        if size < 0 or offset + size > border:
            return Line(offset, border, b"", border - offset) if last and size != -2 else None
        begin = head.index(b":") + 1
        length = size - begin - 1
        return Line(offset, offset + size, self._read(offset + begin, min(length, LONGEST)), length)

    def _read(self, offset: int, size: int) -> bytes:
        found = b""
        while len(found) < size and (part := self.reader.read(offset + len(found), size - len(found))):
            found += part
        return found

    def _cut(self, start: int, end: int) -> Line:
        return Line(start, end, self.reader.read(start, min(LONGEST, end - start)), end - start)


class Harvest:
    """The journals of all tasks whose results are collected; a Source for an announcer."""

    def __init__(self, system: System) -> None:
        self._system = system
        self._fields: dict[str, Field] = {}
        self._turn = 0

    def arrange(self, tasks: dict[str, tuple[str, str]]) -> set[str]:
        """The tasks from now on: short id -> (name, folder of the stdout journal).  Ids that left, or whose journal is another one now (the task was
        removed and added again), are returned: their positions mean nothing any more."""
        gone = {identity for identity, field in self._fields.items() if identity not in tasks or field.replaced()}
        for identity in gone:
            self._fields.pop(identity).reader.close()
        for identity, (name, folder) in tasks.items():
            field = self._fields.get(identity)
            if field is None or (field.name, field.folder) != (name, folder):
                self._fields[identity] = Field(identity, name, folder, self._system)
        return gone

    def ends(self) -> Position:
        """Where each journal ends now."""
        return {identity: field.reader.end() for identity, field in self._fields.items()}

    def look(self, position: Position, limit: int, until: Position | None = None) -> Slice:
        """See Source.  The tasks take turns at being first, so that a talkative one leaves room."""
        records: list[bytes] = []
        reached: Position = {}
        lost = 0
        for field in self._in_turn():
            if until is not None and field.id not in until:
                continue
            begin = position.get(field.id, 0)
            first = field.reader.first()
            lost += begin < first and field.id in position
            end = until[field.id] if until is not None else field.reader.end()
            for line in field.lines(max(begin, first), end):
                if len(records) >= limit:
                    break
                records.append(self._record(field, line))
                reached[field.id] = line.next
            if len(records) >= limit:
                break
        return Slice(records, reached, lost if records else 0)

    def waiting(self, position: Position) -> int:
        """Bytes that wait."""
        return sum(max(0, field.reader.end() - max(position.get(field.id, 0), field.reader.first())) for field in self._fields.values())

    def last(self, names: set[str], count: int) -> list[ResultRow]:
        """The last results of the named tasks (all when empty), oldest first for each."""
        rows: list[ResultRow] = []
        for field in self._fields.values():
            if not names or field.name in names:
                reader = Reader(field.folder, system=self._system)
                with contextlib.closing(reader):
                    found = list(field.lines(reader.tail_offset(count), reader.end()))[-count:]
                rows += [ResultRow(task=field.name, offset=line.start, wall=field.wall(line.start), data=line.data) for line in found]
        return rows

    def close(self) -> None:
        """Give every descriptor back."""
        self.arrange({})

    def _in_turn(self) -> list[Field]:
        fields = list(self._fields.values())
        if not fields:
            return []
        self._turn = (self._turn + 1) % len(fields)
        return fields[self._turn :] + fields[: self._turn]

    def _record(self, field: Field, line: Line) -> bytes:
        about: dict[str, object] = {
            "at": field.id,
            "next": line.next,
            "task": field.name,
            "offset": line.start,
            "length": line.length,
            "time": round(field.wall(line.start), 3),
        }
        if line.length > len(line.data):
            about["cut"] = True
        return msgspec.json.encode({**about, **text_or_base64(line.data)})
