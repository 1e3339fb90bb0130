"""The live view: what was given to tasks and what they wrote, since a position, bounded however much it is.

A stream is one direction of one task: what a flow (or the own input queue) gave it, its stdout, its stderr.  Each look reads the end of every stream
that moved, shows the last few events of it and counts the rest: whoever watches sees the present, and is told how much went by unseen.  When more
streams moved than there is room for, those that were left out keep their place and come first in the next look.

What was given is taken from delivery records and claims logs: the same bytes of the producer's journal that the program was given.  The time of an
event is that of the look which saw it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from efsupervisor.errors import Code, EfError
from efsupervisor.journal import Reader
from efsupervisor.journal.claimlog import HEADER, RECORD, Kind, generation_of, parse
from efsupervisor.journal.framing import cut, payload, terminator
from efsupervisor.messages.call import Passed, Passing
from efsupervisor.passing.edges import Ref, about, paths
from efsupervisor.passing.place import MAX_STREAMS, key, packed, unpacked
from efsupervisor.passing.records import Budget, count, framing_at
from efsupervisor.states import Mode
from efsupervisor.system import Real
from efsupervisor.task.delivery import Delivery, saved

IN, OUT, ERR = "in", "out", "err"
DIRECTIONS = (IN, OUT, ERR)
BEGINNING = 200
"""Bytes of an event that are shown."""

WINDOW = 64 << 10
"""Bytes at the end of a stream in which its last events are looked for."""

ROOM = 48 << 10
"""Bytes of rows in one answer, as they travel; the position beside them takes as much at most."""

_ROW = 256
"""Of a row beside its data, with names of the usual length."""
MAX_CLAIM_BYTES = 1 << 20
"""Of a claims log that are read at once; what is older has gone by."""


class Stream(NamedTuple):
    """One stream.  ref: the edge of what was given; None for what the task wrote."""

    task: str
    direction: str
    ref: Ref | None = None

    @property
    def key(self) -> bytes:
        """What stands for it in a position."""
        return key(f"{self.direction}/{self.ref.id if self.ref else ''}/{self.task}")


class Event(NamedTuple):
    """An event that was found.  task: empty for the stream's own."""

    data: bytes
    length: int
    task: str = ""


class Found(NamedTuple):
    """What is new in a stream: the last events, how many before them are not shown (-1: some), and where it ends now."""

    events: list[Event]
    missed: int
    end: int


NONE_YET = -1


def streams(tasks: Sequence[str], refs: Iterable[Ref], directions: Sequence[str]) -> list[Stream]:
    """The streams of the named tasks, what was given before what was written.  The claims of a share group are one stream, that of its first member
    which is named.  EfError when they are too many."""
    wanted = frozenset(tasks)
    feeding: dict[str, list[Ref]] = {}
    for ref in refs:
        members = [name for name in ref.consumers if name in wanted]
        for name in members[:1] if ref.mode is Mode.SHARE else members:
            feeding.setdefault(name, []).append(ref)
    found = [
        Stream(task, direction, ref)
        for task in tasks
        for direction in directions
        for ref in (feeding.get(task, []) if direction == IN else [None])
    ]
    if len(found) > MAX_STREAMS:
        raise EfError(f"{len(found)} streams are too many to watch at once, {MAX_STREAMS} can be: name tasks, or one direction", Code.USAGE)
    return found


class Live:
    """One look.  var: the supervisor's folder."""

    def __init__(self, var: str, system: Real) -> None:
        self._var = var
        self._system = system
        self._budget = Budget(16 << 20)
        self._records: dict[str, Delivery] = {}

    def look(self, every: Sequence[Stream], tasks: Sequence[str], since: str, limit: int) -> Passing:
        """What is new in these streams, at most `limit` events.  tasks: whose events of a share group are shown."""
        before, turn = unpacked(since)
        after: dict[bytes, int] = {}
        moved: list[tuple[Stream, int]] = []
        for stream in every:
            start = before.get(stream.key, NONE_YET)
            end = self._end(stream)
            after[stream.key] = end if start == NONE_YET else start
            if start not in (NONE_YET, end):
                moved.append((stream, start))
        rows: list[Passed] = []
        served, room = 0, ROOM
        moved = moved[turn % len(moved) :] + moved[: turn % len(moved)] if moved else []
        share = max(1, limit // max(1, len(moved)))
        wanted = frozenset(tasks)
        for stream, start in moved:
            if room <= 0 or len(rows) >= limit:
                break
            found = _fitting(self._found(stream, start, min(share, limit - len(rows)), wanted), room)
            new = list(self._rows(stream, found))
            rows += new
            room -= sum(len(row.data) * 4 // 3 + _ROW for row in new)
            after[stream.key] = found.end
            served += 1
        return Passing(rows=rows, next=packed(after, (turn + served) if served < len(moved) else 0))

    def _rows(self, stream: Stream, found: Found) -> Iterator[Passed]:
        wall, producer, missed = self._system.wall_ns() / 1e9, stream.ref.producer if stream.ref else "", found.missed
        for event in found.events:
            task = event.task or stream.task
            yield Passed(wall=wall, direction=stream.direction, task=task, data=event.data, length=event.length, missed=missed, producer=producer)
            missed = 0
        if missed:
            yield Passed(wall=wall, direction=stream.direction, task=stream.task, missed=missed, producer=producer)

    # Where a stream is ----------------------------------------------------------------------------------------------------------------------------

    def _journal(self, stream: Stream) -> str:
        if stream.ref is not None:
            return stream.ref.journal
        at = paths(self._var, stream.task)
        return at.out_journal if stream.direction == OUT else at.err_journal

    def _end(self, stream: Stream) -> int:
        if stream.ref is None:
            with contextlib.closing(Reader(self._journal(stream), system=self._system)) as reader:
                return reader.end()
        if stream.ref.mode is Mode.SHARE:
            return self._claims(stream.ref, NONE_YET)[1]
        state = self._record(stream.task).edge(stream.ref.id)
        return state.next if state is not None else 0

    def _record(self, task: str) -> Delivery:
        if task not in self._records:
            self._records[task] = saved(paths(self._var, task).delivery, self._system)
        return self._records[task]

    def _claims(self, ref: Ref, start: int) -> tuple[bytes | None, int]:
        """(bytes of the claims log behind a place, the place of its end).  A place is the file's generation and an offset in it.  None: the file is
        another one now, so what came between is not known.  NONE_YET: only the end is asked for."""
        try:
            with open(f"{ref.folder}/claims", "rb") as file:
                generation = (generation_of(file.read(HEADER.size)) or 0) & 0xFFF
                size = file.seek(0, 2)
                end = HEADER.size + (size - HEADER.size) // RECORD.size * RECORD.size if size >= HEADER.size else 0
                place = generation << 36 | end
                if start == NONE_YET:
                    return b"", place
                if start >> 36 != generation or start & ((1 << 36) - 1) > end:
                    return None, place
                file.seek(start & ((1 << 36) - 1))
                return file.read(min(MAX_CLAIM_BYTES, end - (start & ((1 << 36) - 1)))), min(place, start + MAX_CLAIM_BYTES)
        except FileNotFoundError:
            return b"", 0

    # What is new in it ----------------------------------------------------------------------------------------------------------------------------

    def _found(self, stream: Stream, start: int, share: int, wanted: frozenset[str]) -> Found:
        with contextlib.closing(Reader(self._journal(stream), system=self._system)) as reader:
            if stream.ref is not None and stream.ref.mode is Mode.SHARE:
                return self._claimed(stream.ref, reader, start, share, wanted)
            stop = self._end(stream) if stream.ref is not None else reader.end()
            framing = framing_at(reader, start)
            end = terminator(framing)
            return self._written(reader, start, stop, share, end) if end else _walked(reader, start, stop, share, framing)

    def _written(self, reader: Reader, start: int, stop: int, share: int, end: bytes) -> Found:
        """The last whole events in a stretch of a journal; one without its end comes with a later look."""
        if stop <= start:  # given again after the program died, or the log was begun anew
            return Found([], 0, stop)
        at = max(start, stop - WINDOW)
        data = b"".join(_read(reader, at, stop))
        last = data.rfind(end) + 1
        if not last:
            return Found([], 0, start)
        begin = 0 if at == start else data.find(end) + 1
        if begin == last:  # one event that began before the window
            record = max(start, reader.record_start(at))
            beginning = reader.read(record, min(BEGINNING, at + last - record)).rstrip(end)
            return Found([Event(beginning, at + last - 1 - record)], count(reader, start, record, end, self._budget).events, at + last)
        whole = data[begin:last].split(end)[:-1]
        shown = whole[-share:]
        before = count(reader, start, at + begin, end, self._budget).events if begin else 0
        return Found([Event(record[:BEGINNING], len(record)) for record in shown], before + len(whole) - len(shown), at + last)

    def _claimed(self, ref: Ref, reader: Reader, start: int, share: int, wanted: frozenset[str]) -> Found:
        """What members of a group claimed since.  The claims of others than the wanted tasks are passed over."""
        data, place = self._claims(ref, start)
        if data is None:
            return Found([], -1, place)
        facts = about(ref)
        names = {seat.member: seat.name for seat in (*facts.departed, *facts.consumers)}
        claims = [record for record in parse(data) if record.kind == Kind.CLAIM and names.get(record.member, "") in wanted]
        events = []
        for record in claims[-share:]:
            offset, length, _framing = record.claim
            said = payload(framing_at(reader, offset), reader.read(offset, min(length, BEGINNING + 1)))[:BEGINNING]
            events.append(Event(said, max(len(said), length - 1), names[record.member]))
        return Found(events, len(claims) - len(events), place)


def _walked(reader: Reader, start: int, stop: int, share: int, framing: int) -> Found:
    """The last of events that can only be walked from one to the next (netstrings); a stretch that is too long for that is passed over."""
    if stop - start > WINDOW:
        return Found([], -1, max(start, reader.record_start(stop)))
    data = b"".join(_read(reader, start, stop))
    found, at = list[Event](), 0
    for size in cut(framing, data, 0, len(data), len(data), len(data)):
        said = payload(framing, data[at : at + size])
        found.append(Event(said[:BEGINNING], len(said)))
        at += size
    return Found(found[-share:], max(0, len(found) - share), start + at)


def _fitting(found: Found, room: int) -> Found:
    """Without the first events when all of them do not fit; they are missed then."""
    kept: list[Event] = []
    for event in reversed(found.events):
        room -= len(event.data) * 4 // 3 + _ROW
        if room < 0 and kept:
            break
        kept.append(event)
    left = len(found.events) - len(kept)
    return found._replace(events=kept[::-1], missed=found.missed if found.missed < 0 else found.missed + left)


def _read(reader: Reader, start: int, stop: int) -> Iterator[bytes]:
    while start < stop and (piece := reader.read(start, stop - start)):
        start += len(piece)
        yield piece
