"""Where a consumer's events come from: one source for each edge, reading the producer's journal.

A source knows where the next event begins and never hands out half a record.  Records end at a newline or where the producer's journal has a fragment
mark: what a killed program left unfinished is skipped, what a program that ended normally left without a newline is a record.  Data is read before
the marks: a mark is written before any byte that follows it, so no record can be glued together from two lives.

A source never blocks and holds one buffer; `release` gives it back when the flow is idle.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from efsupervisor.journal import Reader
from efsupervisor.messages import InEdge
from efsupervisor.system import Real
from efsupervisor.task.delivery import TERMINATED, EdgeState, Run

BUFFER_BYTES = 256 << 10
FEW_BYTES = 32 << 10
SCAN_READS = 64


class Batch(NamedTuple):
    """Events for the wire and the run that describes them."""

    data: bytes | memoryview
    run: Run


class Oversize(NamedTuple):
    """A record that is longer than max_event; its end is known."""

    offset: int
    length: int


class Source:
    """One `broad` edge.  index: the edge's place in the delivery record; state: cursor and next, shared with it."""

    def __init__(self, edge: InEdge, index: int, state: EdgeState, *, max_event: int, system: Real, lost: Callable[[str], None]) -> None:
        self.edge = edge
        self.index = index
        self.state = state
        self.reader = Reader(edge.journal, system=system)
        self.hungry = False
        """More can be had by calling again at once (a long scan was cut into turns)."""
        self._max_event = max_event
        self._lost = lost
        self._buffer = b""
        self._at = state.next
        self._scanned = state.next
        self._complete_to = state.next
        self._fragments: list[tuple[int, int, bool]] = []

    def rewired(self, edge: InEdge, index: int, max_event: int) -> None:
        """The same edge, said anew: its limits may be others, its place in the record too."""
        self.edge = edge
        self.index = index
        self._max_event = max_event

    # What both protocols use ----------------------------------------------------------------------------------------------------------------------

    def end(self) -> int:
        """Where the journal ends now."""
        return self.reader.end()

    def drained(self) -> bool:
        """Nothing is left that could become an event."""
        self._refill(FEW_BYTES)
        self._pass_fragments()
        return self.state.next >= self.reader.end()

    def rewind(self, offset: int) -> None:
        """Go on at this offset."""
        self.state.next = offset
        self._scanned = self._complete_to = offset
        self.release()

    def release(self) -> None:
        """Give the buffer back."""
        self._buffer = b""
        self._at = self.state.next

    def close(self) -> None:
        """Close the journal."""
        self.reader.close()

    def content(self, offset: int, length: int) -> bytes:
        """Bytes of the journal that are known to be there."""
        parts = []
        while length > 0:
            part = self.reader.read(offset, length)
            if not part:
                break
            parts.append(part)
            offset += len(part)
            length -= len(part)
        return b"".join(parts)

    def remember(self, run: Run) -> None:
        """Find the sizes of a run's events again, after the record was loaded."""
        data = self.content(run.offset, run.length)
        sizes = [len(part) + 1 for part in data.split(b"\n")]
        sizes = sizes if run.flags & TERMINATED else sizes[:-1]
        run.lengths[:] = sizes[: len(run.lengths)]

    def record_start(self, offset: int, floor: int = 0) -> int:
        """Start of the record that holds this byte, not below `floor`."""
        return self.reader.record_start(offset, floor)

    def _pass_fragments(self) -> None:
        """Skip fragments that are not events, when we stand at one."""
        for start, end, deliver in self._fragments:
            if start <= self.state.next < end and not deliver:
                self.rewind(end)

    def _horizon(self) -> tuple[int, int] | None:
        """(start, end) of the first fragment that counts as a record, at or after next."""
        return next(((start, end) for start, end, deliver in self._fragments if end > self.state.next and deliver), None)

    def _limit(self) -> int:
        """The offset up to which ordinary records may reach: the next fragment's start, whatever kind it is."""
        return min((start for start, _end, _deliver in self._fragments if start >= self.state.next), default=1 << 62)

    def _refill(self, size: int) -> bool:
        """Read on; True when something was added or skipped, or a mark was found."""
        at_end = self._at + len(self._buffer)
        data = self.reader.read(at_end, size)
        if not data:
            onward = self.reader.skip(at_end)
            if onward > at_end:
                self._leap(onward)
                return True
        marked = self._load_fragments()
        if not data:
            return marked
        used = self.state.next - self._at
        self._buffer = self._buffer[used:] + data if used < len(self._buffer) else data[used - len(self._buffer) :]
        self._at = self.state.next
        return True

    def _leap(self, onward: int) -> None:
        """Over a hole that a power loss left, or over what retention removed before it was read (which is told)."""
        if self.state.next < self.reader.first() <= onward:
            missed = onward - self.state.next
            self._lost(f"{missed} bytes of {self.edge.producer or 'its own input queue'} were removed by retention before they were read")
            self.state.dropped += missed
        self.rewind(onward)
        self._load_fragments()

    def _load_fragments(self) -> bool:
        """Read the marks; True when there are other ones than before."""
        found = self.reader.fragments(self.state.next)
        if not found and not self._fragments:
            return False
        before, self._fragments = self._fragments, [(fragment.start, fragment.end, fragment.deliver) for fragment in found]
        return before != self._fragments

    def drop_to(self, max_lag: int) -> int:
        """`overflow: drop-oldest`: skip forward to the record that begins max_lag before the end; the number of bytes skipped."""
        end = self.reader.end()
        if end - self.state.next <= max_lag:
            return 0
        target = self.reader.record_start(end - max_lag)
        skipped = max(0, target - self.state.next)
        if skipped:
            self.state.dropped += skipped
            self.rewind(target)
        return skipped

    # event -----------------------------------------------------------------------------------------------------------------------------------------

    def take(self, room: int, limit: int) -> Batch | Oversize | None:
        """At most `room` whole events and, unless the first alone is longer, at most `limit` bytes; None when there is none now.  `state.next` moves
        past them.  An Oversize is only shown: the caller passes it with `rewind(offset + length)`."""
        self.hungry = False
        while True:
            self._pass_fragments()
            found = self._find(room, limit)
            if found is not None:
                return found
            if len(self._buffer) - (self.state.next - self._at) > self._max_event:
                return self._oversize()
            if not self._refill(FEW_BYTES if len(self._buffer) < FEW_BYTES else BUFFER_BYTES):
                return None

    def _find(self, room: int, limit: int) -> Batch | Oversize | None:
        position = self.state.next - self._at
        stop = min(len(self._buffer), self._limit() - self._at) if self._fragments else len(self._buffer)
        if position >= stop:
            return self._fragment_record() if self._fragments else None
        if room == 1:
            cut = self._buffer.find(b"\n", position, stop)
        else:
            cut = self._buffer.rfind(b"\n", position, min(stop, position + limit))
            if cut < 0:
                cut = self._buffer.find(b"\n", position, stop)
        if cut < 0:
            return None
        data = self._buffer[position : cut + 1]
        if room == 1 or len(data) > limit:
            sizes = [len(data)]
        else:
            sizes = [len(part) + 1 for part in data[:-1].split(b"\n")]
            if len(sizes) > room:
                del sizes[room:]
                data = data[: sum(sizes)]
        if len(data) > self._max_event and len(sizes) == 1:
            return Oversize(self.state.next, len(data))
        run = Run(self.index, self.state.next, len(data), sizes)
        self.state.next += len(data)
        return Batch(data, run)

    def _fragment_record(self) -> Batch | Oversize | None:
        horizon = self._horizon()
        if horizon is None or horizon[0] != self.state.next:
            return None
        start, end = horizon
        if end - start > self._max_event:
            return Oversize(start, end - start)
        data = self.content(start, end - start) + b"\n"
        self.rewind(end)
        return Batch(data, Run(self.index, start, end - start, [len(data)], flags=TERMINATED))

    def _oversize(self) -> Oversize | None:
        """Look for the end of a record that is too long, without keeping it."""
        end = self._scan()
        self._buffer, self._at = b"", self.state.next
        return None if end is None else Oversize(self.state.next, end - self.state.next)

    def _scan(self) -> int | None:
        """Where the record at `next` ends, None when that is not known yet."""
        self._scanned = max(self._scanned, self.state.next)
        for _ in range(SCAN_READS):
            data = self.reader.read(self._scanned, BUFFER_BYTES)
            self._load_fragments()
            limit = self._limit()
            cut = data.find(b"\n", 0, max(0, limit - self._scanned))
            if cut >= 0:
                return self._scanned + cut + 1
            if self._scanned + len(data) >= limit:
                return next(end for start, end, _deliver in self._fragments if start == limit) if limit == self.state.next else limit
            if not data:
                return None
            self._scanned += len(data)
        self.hungry = True
        return None

    # stream -----------------------------------------------------------------------------------------------------------------------------------------

    def piece(self, limit: int, *, raw_tail: bool) -> Batch | None:
        """At most `limit` bytes that belong to whole records; the piece may end inside one, then `at_boundary` is false and the next piece goes on.
        raw_tail: a last record without newline is passed as it is, else it is given one."""
        self.hungry = False
        state = self.state
        if state.next >= self._complete_to and not self._more():
            return None
        if state.next >= self._complete_to:
            return self._tail(raw_tail)
        position = state.next - self._at
        if position >= len(self._buffer):
            self._buffer, self._at, position = self.reader.read(state.next, BUFFER_BYTES), state.next, 0
        size = min(limit, self._complete_to - state.next, len(self._buffer) - position)
        run = Run(self.index, state.next, size, [])
        data = memoryview(self._buffer)[position : position + size]
        state.next += size
        return Batch(data, run)

    def at_boundary(self) -> bool:
        """The last piece ended at a record's end, so another edge may follow."""
        return self.state.next >= self._complete_to

    def find_boundary(self) -> None:
        """After a take-over: `next` may lie inside a record whose beginning was put already; where does it end?  Only whole records are begun, so its
        end is in the journal."""
        if self.state.next and self.reader.record_start(self.state.next) != self.state.next:
            self._load_fragments()
            end = self._scan()
            while end is None and self.hungry:
                end = self._scan()
            self._complete_to = self.state.next if end is None else end

    def _more(self) -> bool:
        """Learn how far whole records reach now; False when there is nothing new."""
        self.release()
        while self._refill(BUFFER_BYTES):
            self._pass_fragments()
            position = self.state.next - self._at
            stop = min(len(self._buffer), self._limit() - self._at) if self._fragments else len(self._buffer)
            cut = self._buffer.rfind(b"\n", position, stop)
            if cut >= 0:
                self._complete_to = self._at + cut + 1
                return True
            if position < stop:
                end = self._scan()
                self._complete_to = self.state.next if end is None else end
                return end is not None
            if self._at_tail():
                return True
            self.release()  # a fragment was passed over: read on behind it
        self._pass_fragments()
        return self._at_tail()

    def _at_tail(self) -> bool:
        """A fragment that counts as a record begins here."""
        horizon = self._horizon()
        return horizon is not None and horizon[0] == self.state.next

    def _tail(self, raw: bool) -> Batch | None:
        horizon = self._horizon()
        if horizon is None or horizon[0] != self.state.next:
            return None
        start, end = horizon
        data = self.content(start, end - start)
        self.rewind(end)
        if raw:
            return Batch(data, Run(self.index, start, end - start, []))
        return Batch(data + b"\n", Run(self.index, start, end - start, [], flags=TERMINATED))
