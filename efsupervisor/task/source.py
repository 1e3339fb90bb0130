"""Where a consumer's events come from: one source for each edge, reading the producer's journal.

A source knows where the next event begins and never hands out half a record.  Records end as the producer's journal says
(efsupervisor.journal.framing; lines at a newline) or where it has a fragment mark: what a killed program left unfinished is skipped, what a
program that ended normally left without its end is a record.  Data is read before the marks: a mark is written before any byte that follows it,
so no record can be glued together from two lives.

What is no netstring cannot be divided: the source stays there and says so once, until the producer's program is started anew, which makes a fragment
of it.

With `reframe` the events of `take` are framed as the consumer wants them; then their sizes on the wire (Run.lengths) are others than in the journal
(Run.spans).  A payload that the consumer's framing cannot carry is shown as Unfit, and passed like an Oversize.

A source never blocks and holds one buffer; `release` gives it back when the flow is idle.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from efsupervisor.errors import JournalError
from efsupervisor.journal import Reader
from efsupervisor.journal.framing import BROKEN, DIGITS, cut, last_border, netstring_end, payload, terminator, wrap
from efsupervisor.messages import InEdge
from efsupervisor.states import Framing
from efsupervisor.system import Real
from efsupervisor.task.delivery import FROM, TERMINATED, TO, EdgeState, Run

BUFFER_BYTES = 256 << 10
FEW_BYTES = 32 << 10
SCAN_READS = 64


class Batch(NamedTuple):
    """Events for the wire and the run that describes them."""

    data: bytes | memoryview
    run: Run


class Oversize(NamedTuple):
    """A record that is longer than max_event; its end is known.  why: it is not too long, but the consumer's framing cannot carry it."""

    offset: int
    length: int
    why: str = ""


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
        self._told_broken = -1
        self.reframe = -1
        """The framing that `take` gives events (states.Framing); -1: the journal's own, whatever it is."""
        self.broken: Callable[[str], None] = lost
        """Called once for what is no netstring."""

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
        if not run.lengths:
            return
        data = self.content(run.offset, run.length)
        events = len(run.lengths)
        torn = run.flags & TERMINATED
        spans = cut(run.framing & FROM, data, 0, len(data), events - torn, len(data)) if events > torn else []
        run.spans[:] = [*spans, len(data) - sum(spans)] if torn else spans
        if len(run.spans) != events:
            who = self.edge.producer or "its own input queue"
            raise JournalError(f"the journal of {who} holds other events at {run.offset} than were given")
        records = self.records(run)
        run.lengths[:] = [len(record) for record in records]
        run.wire = sum(run.lengths)

    def records(self, run: Run, count: int = 0) -> list[bytes]:
        """A run's events as they are on the wire, all of them or the first `count`."""
        spans = run.spans[:count] if count else run.spans
        data, at, found = self.content(run.offset, sum(spans)), 0, []
        for span in spans:
            found.append(reframed(data[at : at + span], run.framing & FROM, run.framing >> TO))
            at += span
        return found

    def payload(self, run: Run) -> bytes:
        """What the first event of a run says."""
        return payload(run.framing & FROM, self.content(run.offset, run.spans[0])) if run.spans else b""

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
        next_ = self.state.next
        return min((start for start, end, _deliver in self._fragments if start >= next_ and end > next_), default=1 << 62)

    def _framing(self) -> int:
        """How the record at `next` is framed."""
        return self.reader.framing(self.state.next)

    def _is_broken(self, framing: int, position: int, stop: int) -> bool:
        """What begins at `position` of the buffer is no record; said once."""
        if framing == BROKEN or (framing == Framing.NETSTRING and position < stop and netstring_end(self._buffer, position, stop) == -2):
            if self._told_broken != self.state.next:
                self._told_broken = self.state.next
                who = self.edge.producer or "its own input queue"
                self.broken(
                    f"what {who} wrote at offset {self.state.next} is no netstring: nothing behind it can be told apart and it is held back until the"
                    f" program is started anew; if it does not write netstrings, set another output.framing"
                )
            return True
        return False

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
            if len(self._buffer) - (self.state.next - self._at) > self._max_event + DIGITS + 2:
                return self._oversize()
            if not self._refill(FEW_BYTES if len(self._buffer) < FEW_BYTES else BUFFER_BYTES):
                return None

    def _find(self, room: int, limit: int) -> Batch | Oversize | None:
        position = self.state.next - self._at
        stop = min(len(self._buffer), self._limit() - self._at) if self._fragments else len(self._buffer)
        if position >= stop:
            return self._fragment_record() if self._fragments else None
        framing = self._framing()
        sizes = cut(framing, self._buffer, position, stop, room, limit)
        if not sizes:
            self._is_broken(framing, position, stop)
            return None
        if len(sizes) > 1 and max(sizes) > self._max_event:
            del sizes[max(1, next(number for number, size in enumerate(sizes) if size > self._max_event)) :]
        data = self._buffer[position : position + sum(sizes)]
        if self.is_oversize(data, framing) and len(sizes) == 1:
            return Oversize(self.state.next, len(data))
        return self._batch_of(data, sizes, framing)

    def is_oversize(self, record: bytes, framing: int) -> bool:
        """What it says has max_event bytes or more; how it is framed does not count."""
        return len(record) > self._max_event and len(payload(framing, record)) >= self._max_event

    def _batch_of(self, data: bytes, sizes: list[int], framing: int) -> Batch | Oversize:
        """Whole records as events, framed for the consumer; up to the first that cannot be."""
        start, to = self.state.next, framing if self.reframe < 0 else self.reframe
        if to == framing:
            self.state.next += len(data)
            return Batch(data, Run(self.index, start, len(data), sizes, framing | to << TO))
        wire, at = [], 0
        for size in sizes:
            record = wrap(to, payload(framing, data[at : at + size]))
            if record is None:
                break
            wire.append(record)
            at += size
        if not wire:
            return Oversize(start, sizes[0], unfit(to))
        self.state.next += at
        return Batch(b"".join(wire), Run(self.index, start, at, [len(each) for each in wire], framing | to << TO, spans=sizes[: len(wire)]))

    def _fragment_record(self) -> Batch | Oversize | None:
        horizon = self._horizon()
        if horizon is None or horizon[0] != self.state.next:
            return None
        start, end = horizon
        if end - start > self._max_event:
            return Oversize(start, end - start)
        framing = self._framing()
        to = framing if self.reframe < 0 else self.reframe
        data = wrap(to, self.content(start, end - start))
        if data is None:
            return Oversize(start, end - start, unfit(to))
        self.rewind(end)
        return Batch(data, Run(self.index, start, end - start, [len(data)], framing | to << TO, TERMINATED, spans=[end - start]))

    def _oversize(self) -> Oversize | None:
        """Look for the end of a record that is too long, without keeping it."""
        end = self._scan()
        self._buffer, self._at = b"", self.state.next
        return None if end is None else Oversize(self.state.next, end - self.state.next)

    def _scan(self) -> int | None:
        """Where the record at `next` ends, None when that is not known yet."""
        framing = self._framing()
        if framing in (Framing.NETSTRING, BROKEN):
            return self._scan_netstring(framing)
        ends = terminator(framing)
        self._scanned = max(self._scanned, self.state.next)
        for _ in range(SCAN_READS):
            data = self.reader.read(self._scanned, BUFFER_BYTES)
            self._load_fragments()
            limit = self._limit()
            found = data.find(ends, 0, max(0, limit - self._scanned))
            if found >= 0:
                return self._scanned + found + 1
            if self._scanned + len(data) >= limit:
                return self._border(limit)
            if not data:
                return None
            self._scanned += len(data)
        self.hungry = True
        return None

    def _border(self, limit: int) -> int:
        """The end of a record that was never ended: where the first fragment begins, or, when it is one itself, where that ends."""
        return next(end for start, end, _deliver in self._fragments if start == limit and end > start) if limit == self.state.next else limit

    def _scan_netstring(self, framing: int) -> int | None:
        """A netstring says its length, so its end is known before it is there."""
        next_ = self.state.next
        head = self.content(next_, min(DIGITS + 1, max(0, self.reader.end() - next_)))
        size = netstring_end(head, 0, len(head)) if framing != BROKEN else -2
        self._load_fragments()
        limit = self._limit()
        if size == -2:
            self._is_broken(BROKEN, 0, 0)
            return self._border(limit) if limit < 1 << 62 else None
        if size < 0 or next_ + size > limit:
            return self._border(limit) if limit < 1 << 62 and self.reader.end() >= limit else None
        if next_ + size > self.reader.end():
            return None
        return next_ + size if self.content(next_ + size - 1, 1) == b"," else self._scan_netstring(BROKEN)

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

    def end_soon(self) -> None:
        """Hand out the record that is begun, as far as its end is in the buffer, and nothing behind it: then we are at a boundary."""
        end = terminator(self._framing())
        cut = self._buffer.find(end, self.state.next - self._at) if end else -1
        if cut >= 0:
            self._complete_to = min(self._complete_to, self._at + cut + 1)

    def find_boundary(self) -> None:
        """After a take-over: `next` may lie inside a record whose beginning was put already; where does it end?  Only whole records are begun, so its
        end is in the journal."""
        begin = self.reader.record_start(self.state.next) if self.state.next else 0
        if begin != self.state.next:
            self._load_fragments()
            if self._framing() == Framing.NETSTRING:  # its length is said at its beginning
                head = self.content(begin, DIGITS + 1)
                end: int | None = begin + netstring_end(head, 0, len(head))
            else:
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
            framing = self._framing()
            border = last_border(framing, self._buffer, position, stop)
            if border >= 0:
                self._complete_to = self._at + border
                return True
            if self._is_broken(framing, position, stop):
                return False
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
        framing = self._framing()
        self.rewind(end)
        if raw:
            return Batch(data, Run(self.index, start, end - start, []))
        return Batch(data + terminator(framing), Run(self.index, start, end - start, [], framing, flags=TERMINATED))


def reframed(record: bytes, framing: int, to: int) -> bytes:
    """A record as it goes over the wire.  One that was given was found fit before."""
    if framing == to and framing != Framing.NETSTRING and record.endswith(terminator(framing)):
        return record
    if framing == to == Framing.NETSTRING:
        return record
    return wrap(to, payload(framing, record)) or b""


def unfit(to: int) -> str:
    """Why an event cannot be given."""
    held = "a newline" if to == Framing.LINES else "a zero byte"
    return f"it holds {held}, which input.framing {Framing(to).name.lower()} cannot carry"
