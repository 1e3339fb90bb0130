"""StreamStdIn: bytes to stdin as fast as the pipe takes them, with a position that is exact after any kill.

Writes are larger than PIPE_BUF, which the kernel may do in part; a part would falsify the register.  So a large write is made only into slots that
are known to be free: a pipe of N slots (one page each) takes a write of n bytes into at most ceil(n / page) slots, and a write's slots are free again
when the program has read to its end.  Where too few are known to be free, a piece of at most PIPE_BUF goes in wholly or not at all, and a full pipe
wakes us when the program reads.

After the program's death its position is C = put - unread(FIFO); the next life begins at the start of the record that holds byte C.  Where the pipe
may have vanished with its last holder (all of ours and the program dead), what was still in the record's extents is given again rather than lost.
"""

from __future__ import annotations

from collections import deque

from efsupervisor.journal.framing import terminator
from efsupervisor.states import Kind
from efsupervisor.system import PIPE_BUF
from efsupervisor.task.delivery import FROM, MAX_RUNS, Run
from efsupervisor.task.source import Source
from efsupervisor.task.stdin import Figures, FlowStdIn

PIECE = 64 << 10
WIDE_PIPE = 1 << 20
PIECES_A_TURN = 64


class Slots:
    """How many slots of a pipe are surely free.  Positions count bytes put into this incarnation's stdin."""

    def __init__(self, capacity: int, put: int, unread: int) -> None:
        self.capacity = capacity
        self._writes: deque[tuple[int, int]] = deque()
        self._used = 0
        self._head = put
        if unread:
            self._writes.append((put, capacity))  # how they lie in the pipe is not known: taken for full until read
            self._used = capacity

    def add(self, start: int, size: int) -> None:
        """A write of `size` bytes went in at position `start`."""
        slots = -(-size // PIPE_BUF)
        self._writes.append((start + size, slots))
        self._used += slots

    def free(self, consumed: int) -> int:
        """Lower bound of the free slots when the program has read up to `consumed`."""
        writes = self._writes
        while writes and writes[0][0] <= consumed:
            self._head, slots = writes.popleft()
            self._used -= slots
        partly = 0
        if writes and writes[0][1] <= self.capacity and consumed > self._head and writes[0][0] - self._head >= PIPE_BUF:
            partly = max(0, (consumed - self._head) // PIPE_BUF - 1)
            partly = min(partly, writes[0][1] - 1) if writes[0][1] < self.capacity else 0
        return self.capacity - self._used + partly


class StreamStdIn(FlowStdIn):
    """The watcher of `protocol: stream`."""

    _slots: Slots | None = None
    _current: Source | None = None
    _records = -1
    """Of a job: records given to this life; -1 when an earlier worker gave some of them."""
    _torn = False
    """The last of them has no end yet."""

    def began(self) -> None:
        """A fresh, empty pipe."""
        self._slots = Slots(self.seat.system.pipe_size(self._fd) // PIPE_BUF, 0, 0)
        self._current = None
        self._records, self._torn = (0 if self.seat.spec.kind is Kind.JOB else -1), False
        super().began()

    def _resume(self) -> None:
        """What is listed beyond `put` was not written: it is pending.  At most one piece is, and it is the end of the last run."""
        state = self.state
        over = state.base + sum(run.wire for run in state.runs) - state.put
        if state.runs:
            run = state.runs[-1]
            self._current = self._source(run.edge)
            if self._current is not None:
                if over > 0:
                    extra = run.wire - run.length
                    data = self._current.content(run.offset + run.length - (over - extra), over - extra) if over > extra else b""
                    self._pending = data + (terminator(run.framing & FROM) if extra else b"")
                self._current.find_boundary()
        if self._fd >= 0:
            system = self.seat.system
            self._slots = Slots(system.pipe_size(self._fd) // PIPE_BUF, state.put, system.unread(self._peek))
        self.pump()

    def rewired(self) -> None:
        """What the program has read already needs no source any more."""
        if self._peek >= 0:
            self._trim()
        super().rewired()

    def _is_needed(self, source: Source) -> bool:
        return super()._is_needed(source) or (source is self._current and not source.at_boundary())

    def pump(self) -> None:
        """Put what fits."""
        if not self._live or self._fd < 0 or self.state.end_given or self._slots is None or self.seat.reactor.watches(self._fd):
            return
        try:
            self._pump()
        except OSError as error:
            self.seat.ill("stdin", f"the delivery record cannot be written: {error.strerror}; tried again each second")
            self.seat.reactor.after(1.0, self.pump)
            return
        self.seat.well("stdin")

    def _pump(self) -> None:
        assert self._slots is not None and self._register is not None
        consumed = self._trim()
        for _ in range(PIECES_A_TURN):
            free = self._slots.free(consumed)
            if not self._pending and not self._load(min(PIECE, max(1, free) * PIPE_BUF)):
                self._idle()
                return
            size = len(self._pending)
            if size > max(1, free) * PIPE_BUF:
                size = max(1, free) * PIPE_BUF
            start = self.state.put
            if not self._register.put(self._pending[:size], self.state):
                self._full()
                return
            self._slots.add(start, size)
            self._pending = self._pending[size:]
            if free <= 1:
                consumed = self._trim()
        self.seat.reactor.defer(self.pump)

    def _full(self) -> None:
        """No room: a wider pipe if there may be one, then wait for the program to read."""
        assert self._slots is not None
        system = self.seat.system
        if self._slots.capacity * PIPE_BUF < WIDE_PIPE:
            capacity = system.pipe_size(self._fd, WIDE_PIPE) // PIPE_BUF
            if capacity > self._slots.capacity:
                self._slots = Slots(capacity, self.state.put, system.unread(self._peek))
                self._slots.capacity = capacity
                self.seat.reactor.defer(self.pump)
                return
        self._hint_now()
        self._wait_for_room()

    def _load(self, limit: int) -> bool:
        """Take the next piece from a source; edges change only between records."""
        self._overflow()
        if len(self.state.runs) >= MAX_RUNS:
            self.seat.reactor.after(0.01, self.pump)
            return False
        sources = self.sources
        if self._current is not None and not self._current.at_boundary():
            order = [self._current]
        else:
            self._turn = (self._turn + 1) % max(1, len(sources))
            order = sources[self._turn :] + sources[: self._turn]
        for source in order:
            batch = source.piece(limit, raw_tail=len(sources) == 1 and source.edge.job)
            if batch is not None:
                self._current = source
                self._extend(batch.run)
                self._pending = batch.data
                if self._records >= 0:
                    self._count(bytes(batch.data))
                return True
        if any(source.hungry for source in order):
            self.seat.reactor.defer(self.pump)
        elif order != sources and len(order) < len(sources) and self._current is not None and self._current.at_boundary():
            self._current = None
        return False

    def _count(self, data: bytes) -> None:
        self._records += data.count(b"\n")
        self._torn = not data.endswith(b"\n")

    def _events_taken(self) -> int:
        return self._records + self._torn if self._records >= 0 else -1

    def _extend(self, run: Run) -> None:
        last = self.state.runs[-1] if self.state.runs else None
        if last is not None and last.edge == run.edge and not last.flags and not run.flags and last.offset + last.length == run.offset:
            last.length += run.length
            last.wire += run.wire
        else:
            self.state.runs.append(run)

    def _trim(self) -> int:
        """Forget extents that the program has read; the position up to which it has."""
        state = self.state
        consumed = state.put - self.seat.system.unread(self._peek)
        while state.runs and state.base + state.runs[0].wire <= consumed:
            state.base += state.runs.popleft().wire
        if state.runs and not state.runs[0].flags:
            read = consumed - state.base
            if read > 0:
                run = state.runs[0]
                run.offset += read
                run.length -= read
                run.wire -= read
                state.base = consumed
        return consumed

    def _idle(self) -> None:
        """Nothing to put: show how far we are, give buffers back, see whether that was all."""
        for source in self.sources:
            source.release() if source.at_boundary() else None
        self._hint_now()
        self._maybe_end()

    def _hint_now(self) -> None:
        self._trim()
        self._settle_cursors()
        self._hint()

    def figures(self) -> Figures:
        """As the program has read by now: nobody tells a worker that its program read something."""
        if self._live and self._peek >= 0:
            self._hint_now()
        return super().figures()

    def close(self, incarnation: int, own_death: bool) -> bool:
        """Cursors go to the start of the record that holds the first byte the program did not read."""
        state = self.state
        if state.incarnation > incarnation:
            return True
        if self._peek >= 0:
            consumed = max(state.base, state.put - self.seat.system.unread(self._peek)) if self._trusted else state.base
            self._rewind_to(consumed)
        self._pending = b""
        self._slots = None
        self._current = None
        self._next_life(incarnation)
        return True

    def _rewind_to(self, consumed: int) -> None:
        state, position = self.state, self.state.base
        firsts: dict[int, int] = {}
        for run in state.runs:
            if position + run.wire > consumed:
                read = max(0, consumed - position)
                firsts.setdefault(run.edge, run.offset + min(read, max(0, run.length - 1)))
            position += run.wire
        for source in self.sources:
            # the first byte that was not read: the next life begins where its record does
            source.state.cursor = source.record_start(firsts.get(source.index, source.state.next))

    def _settle_cursors(self) -> None:
        """As FlowStdIn, but never inside a record (its beginning may be needed again), except one that is longer than any event may be."""
        super()._settle_cursors()
        for source in self.sources:
            edge = source.state
            if edge.cursor and not (edge.cursor == edge.next and source.at_boundary()):
                edge.cursor = source.record_start(edge.cursor, max(0, edge.cursor - self._max_event()))

