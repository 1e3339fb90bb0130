"""What happened, with a number each: transitions in memory, alerts in the store, and who waits for the next.

Numbers count up and are never used twice in one var/.  The file holds a mark that is always above every number given: it is raised by SLACK when half
of it is used, so that a crash skips numbers rather than repeat them, and it is set to the exact number at a clean end.  A store that was found
damaged may have lost its mark; then numbers go on above the milliseconds since 2026, which no count of events reaches.  One limit remains: while the
file cannot be written for more than SLACK events, and then the Core is killed, numbers may come again; that is why the store's ailment is shown.

Lost.  `since` says how many numbers between the asked one and the first that is kept are not kept any more: exact 0 when nothing can be missing, else
an upper bound, for skipped numbers and events the asker would not have wanted are counted too.

A long poll is data: a Waiter with a deadline.  `publish` moves those it concerns to a list; the Core answers them once a turn, so a storm of events
costs each of them one answer.

This module must never talk to a client, nor keep time; it is pure but for the store it is given.
"""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Collection, Hashable, Iterator
from typing import NamedTuple, Protocol

import msgspec

from efsupervisor.core.store_rows import encode
from efsupervisor.messages import EventRow
from efsupervisor.system import folded

STATE = "state"
SUPERVISOR, GROUP = "supervisor", "group"
PASSING = frozenset({STATE, SUPERVISOR, GROUP})
"""Kinds that are kept in memory only."""
ALERT = "alert"
"""Asked for, it stands for everything that is no transition."""
SLACK = 1 << 16
EPOCH_WALL = 1_767_225_600.0
"""2026-01-01T00:00:00Z."""

MAX_WAITERS = 1000
FRAME_ROOM = 96 << 10
"""Bytes of events in one answer; a frame takes a third more."""

MAX_ROW = 48 << 10
MAX_LINES = 50
"""Lines of an alert that are kept when not all of them fit."""


class AlertStore(Protocol):
    """What is needed of the store; see Store."""

    ailment: str

    @property
    def newest_alert(self) -> int: ...
    @property
    def lost_alert(self) -> int: ...
    def alert(self, row: EventRow) -> None: ...
    def alerts(self, since: int = 0, limit: int = 200) -> list[EventRow]: ...
    def mark(self, name: str) -> int: ...
    def set_mark(self, name: str, number: int, *, exactly: bool = False) -> None: ...
    def flush(self) -> bool: ...


class Found(NamedTuple):
    """An answer to EventsRequest.  rows: in order.  next: where to go on.  lost: how many between `since` and here are kept no more, at most."""

    rows: list[EventRow]
    next: int
    lost: int


class Waiter(NamedTuple):
    """Somebody who waits for an event.  key: of the caller's choice (connection, request id).  names, what: as for `since`; empty means all.
    deadline: monotonic seconds."""

    key: Hashable
    since: int
    limit: int
    names: Collection[str]
    what: Collection[str]
    deadline: float


class _Transition(msgspec.Struct, frozen=True, gc=False):
    """One row of the ring: an EventRow without what only alerts have, a third smaller, and nothing for the collector to look at."""

    seq: int
    wall: float
    task: str
    sentence: str
    before: str
    after: str
    pid: int
    facts: str = ""
    what: str = STATE

    def row(self) -> EventRow:
        return EventRow(
            seq=self.seq, wall=self.wall, what=self.what, task=self.task, sentence=self.sentence, before=self.before, after=self.after, pid=self.pid,
            facts=self.facts,
        )  # fmt: skip


class _Filter:
    """names: compared as names are; what: kinds."""

    def __init__(self, names: Collection[str], what: Collection[str]) -> None:
        self._names = frozenset(map(folded, names))
        self._what = frozenset(what)

    def __call__(self, row: EventRow | _Transition) -> bool:
        wanted = not self._what or row.what in self._what or (ALERT in self._what and row.what not in PASSING)
        return wanted and (not self._names or folded(row.task) in self._names)

    @property
    def states(self) -> bool:
        return not self._what or not PASSING.isdisjoint(self._what)

    @property
    def alerts(self) -> bool:
        return not self._what or not PASSING.issuperset(self._what)


class Events:
    """The ring and the numbers of one Core.  keep: transitions in memory.  now_wall: for the numbers after a lost mark.  complete: Saved.complete."""

    def __init__(self, store: AlertStore, *, keep: int = 10_000, now_wall: float = 0.0, complete: bool = True) -> None:
        self._store = store
        self._ring: deque[_Transition] = deque(maxlen=keep)
        self._next = max(store.mark("event"), store.newest_alert) + 1
        if not complete and not store.mark("event"):
            self._next = max(self._next, int((now_wall - EPOCH_WALL) * 1000))
        self._lost_state = self._next - 1
        self._waiters: dict[Hashable, tuple[Waiter, _Filter]] = {}
        self._answerable: dict[Hashable, Waiter] = {}
        self._store.set_mark("event", self._next + SLACK)

    @property
    def next(self) -> int:
        """The number the next event will get (EventsRequest.since None means this)."""
        return self._next

    def publish(
        self, what: str, task: str, wall: float, *, sentence: str = "", before: str = "", after: str = "", pid: int = 0, event: bytes = b"",
        lines: Collection[str] = (), facts: str = "",
    ) -> EventRow:  # fmt: skip
        """Number and keep one event.  what: `state` for a transition (kept in memory), else an alert (kept in the store)."""
        said = EventRow(seq=self._numbered(), wall=wall, what=what, task=task, sentence=sentence, before=before, after=after, pid=pid, facts=facts)
        row = fitting(msgspec.structs.replace(said, event=event, lines=list(lines)) if event or lines else said)
        if what in PASSING:
            if len(self._ring) == self._ring.maxlen and self._ring:
                self._lost_state = self._ring[0].seq
            self._ring.append(_Transition(row.seq, wall, task, row.sentence, before, after, pid, facts, what))
        else:
            self._store.alert(row)
        self._ring_the_bell(row)
        return row

    def _numbered(self) -> int:
        number = self._next
        if number >= self._store.mark("event"):
            self._store.set_mark("event", number + SLACK)
            if not self._store.ailment:
                self._store.flush()
        elif number + SLACK // 2 >= self._store.mark("event"):
            self._store.set_mark("event", number + SLACK)
        self._next += 1
        return number

    def since(self, since: int, limit: int = 200, names: Collection[str] = (), what: Collection[str] = ()) -> Found:
        """Events from number `since` on, at most `limit` and at most what one frame takes.  names: tasks (already resolved by the caller), what:
        kinds; empty means all.  since 0: from the oldest that is kept, and nothing counts as lost.  EfError SYSTEM as Store.alerts."""
        wanted = _Filter(names, what)
        limit = max(1, limit)
        rows = list(itertools.islice(self._transitions(since, wanted), limit))
        if wanted.alerts:
            rows = sorted([*rows, *self._alerts(since, limit, wanted)], key=lambda row: row.seq)
        rows, whole = _one_frame(rows, limit)
        following = self._next if whole and len(rows) < limit else rows[-1].seq + 1
        return Found(rows, following, self._lost(since, wanted, rows))

    def _transitions(self, since: int, wanted: _Filter) -> Iterator[EventRow]:
        return (kept.row() for kept in self._ring if kept.seq >= since and wanted(kept)) if wanted.states else iter(())

    def _alerts(self, since: int, limit: int, wanted: _Filter) -> list[EventRow]:
        found: list[EventRow] = []
        while since <= self._store.newest_alert and len(found) < limit:
            page = self._store.alerts(since, limit)
            found += filter(wanted, page)
            if len(page) < limit:
                break
            since = page[-1].seq + 1
        return found[:limit]

    def _lost(self, since: int, wanted: _Filter, rows: list[EventRow]) -> int:
        lost = max(self._lost_state if wanted.states else 0, self._store.lost_alert if wanted.alerts else 0)
        if since <= 0 or lost < since:
            return 0
        return lost - since + 1 - sum(row.seq <= lost for row in rows)

    # Who waits -------------------------------------------------------------------------------------------------------------------------------------

    def wait(self, waiter: Waiter) -> bool:
        """Remember who waits; False (answer at once with what there is) when too many do."""
        if len(self._waiters) >= MAX_WAITERS and waiter.key not in self._waiters:
            return False
        self._waiters[waiter.key] = waiter, _Filter(waiter.names, waiter.what)
        return True

    def published(self) -> list[Waiter]:
        """Those for whom something has come since they began to wait; they wait no more.  Answer each with `since(...)`; call it once a turn."""
        ready = list(self._answerable.values())
        self._answerable.clear()
        return ready

    def expired(self, now: float) -> list[Waiter]:
        """Those whose deadline has passed; they wait no more.  Answer each with `since(...)`, which finds nothing."""
        late = [waiter for waiter, _ in self._waiters.values() if waiter.deadline <= now]
        for waiter in late:
            del self._waiters[waiter.key]
        return late

    def gone(self, key: Hashable) -> None:
        """Forget who waits by this key; harmless."""
        self._waiters.pop(key, None)
        self._answerable.pop(key, None)

    def deadline(self) -> float | None:
        """When `expired` should be called next, None for never."""
        return min((waiter.deadline for waiter, _ in self._waiters.values()), default=None)

    def _ring_the_bell(self, row: EventRow) -> None:
        for waiter in [waiter for waiter, wanted in self._waiters.values() if wanted(row)]:
            del self._waiters[waiter.key]
            self._answerable[waiter.key] = waiter

    def close(self) -> None:
        """Save the exact number, so that the next Core goes on without a gap.  Before Store.close."""
        self._store.set_mark("event", self._next - 1, exactly=True)


def _one_frame(rows: list[EventRow], limit: int) -> tuple[list[EventRow], bool]:
    """As many of the rows as one answer takes, at least one; whether that is all."""
    room = FRAME_ROOM
    for index, row in enumerate(rows):
        room -= len(encode(row))
        if index and (room < 0 or index >= limit):
            return rows[:index], False
    return rows, True


def fitting(row: EventRow) -> EventRow:
    """The event, with as much of its texts as fits into MAX_ROW."""
    room = MAX_ROW
    while len(encode(row)) > MAX_ROW:
        room //= 2
        lines = [line[-max(1, room // MAX_LINES) :] for line in row.lines[-MAX_LINES:]]
        row = msgspec.structs.replace(row, sentence=row.sentence[:room], event=row.event[:room], lines=lines)
    return row
