"""What happened, with a number each: transitions in memory, alerts in the store, and who waits for the next.

Shape first; see the docstrings.  Pure but for the store it is given.
"""

from __future__ import annotations

from collections.abc import Collection, Hashable
from typing import NamedTuple

from efsupervisor.core.store import Store
from efsupervisor.messages import EventRow


class Found(NamedTuple):
    """An answer to EventsRequest.  rows: in order.  next: where to go on.  lost: how many between `since` and here are kept no more, at most."""

    rows: list[EventRow]
    next: int
    lost: int


class Waiter(NamedTuple):
    """Somebody who waits for an event.  key: of the caller's choice (connection, request id).  deadline: monotonic seconds."""

    key: Hashable
    since: int
    limit: int
    names: frozenset[str]
    what: frozenset[str]
    deadline: float


class Events:
    """The ring and the numbers of one Core."""

    def __init__(self, store: Store, *, keep: int = 10_000) -> None:
        raise NotImplementedError

    @property
    def next(self) -> int:
        """The number the next event will get (EventsRequest.since None means this)."""
        raise NotImplementedError

    def publish(
        self, what: str, task: str, wall: float, *, sentence: str = "", before: str = "", after: str = "", pid: int = 0, event: bytes = b"",
        lines: Collection[str] = (),
    ) -> EventRow:  # fmt: skip
        """Number and keep one event.  what: `state` for a transition (kept in memory), else an alert (kept in the store)."""
        raise NotImplementedError

    def since(self, since: int, limit: int = 200, names: Collection[str] = (), what: Collection[str] = ()) -> Found:
        """Events from number `since` on, at most `limit` and at most what one frame takes.  names: tasks (already resolved by the caller), what: kinds;
        empty means all.  since 0: from the oldest that is kept, and nothing counts as lost.  EfError SYSTEM as Store.alerts."""
        raise NotImplementedError

    def wait(self, waiter: Waiter) -> bool:
        """Remember who waits; False (answer at once with what there is) when too many do."""
        raise NotImplementedError

    def published(self) -> list[Waiter]:
        """Those for whom something has come since they began to wait; they wait no more.  Answer each with `since(...)`; call it once a turn."""
        raise NotImplementedError

    def expired(self, now: float) -> list[Waiter]:
        """Those whose deadline has passed; they wait no more.  Answer each with `since(...)`, which finds nothing."""
        raise NotImplementedError

    def gone(self, key: Hashable) -> None:
        """Forget who waits by this key; harmless."""

    def deadline(self) -> float | None:
        """When `expired` should be called next, None for never."""
        raise NotImplementedError

    def close(self) -> None:
        """Save the exact number, so that the next Core goes on without a gap.  Before Store.close."""
