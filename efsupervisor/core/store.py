"""The saved state: what was added by command, what was wanted, what happened.  DESIGN section 6; the file is described in docs/state.rst.

Truth is in memory, the file follows.  A mutator changes memory and marks a row as unwritten; `flush` writes all that is unwritten in one transaction.
So the file is always an earlier state as a whole, a change that is made twice costs one write, and a disk that is full or a file that somebody locked
costs nothing but an `ailment`: everything stays in memory, is tried again, and is written when it clears.  The same memory makes the file anew when
it is found damaged, or gone, while we run.

    mutator -> memory -> wake -> flush -> file         one transaction; synchronous=FULL when a command's row is in it
                          ^        |
                          +-- RETRY_S when it fails

Who calls: the Core's one thread.  Give `wake` (the reactor's `after`), call `flush()` before a command is answered.  After a fork the child calls
nothing but `abandon`.

This module must never block on a lock, nor raise into the Core for what the disk or the file does; only the listings (`history`, `alerts`) say by an
EfError that they cannot be read.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Protocol

from efsupervisor.conf.schema import FlowSpec, GroupSpec, ScheduleSpec, TaskSpec
from efsupervisor.core.store_rows import Saved
from efsupervisor.messages import EventRow, RunRow
from efsupervisor.states import Goal
from efsupervisor.system import Real


class Says(Protocol):
    """The daemon's log."""

    def info(self, sentence: str) -> None: ...
    def warning(self, sentence: str) -> None: ...
    def error(self, sentence: str) -> None: ...


class Store:
    """One open state file.  ailment: a sentence while it cannot be written (the Core shows it in ServicesReply.ailments and in health), else empty.
    wake(delay_s, callback): calls `callback` once after so many seconds; assign `reactor.after` before the loop runs; until then call `flush` yourself.
    """

    ailment: str
    wake: Callable[[float, Callable[[], None]], object]

    @classmethod
    def open(cls, path: str, *, system: Real, log: Says, history: int = 100_000, alerts: int = 10_000) -> Store:
        """Open or make the file (0600) and its folder (0700); at most a second, whatever it holds.

        What is damaged is set aside as `state.sqlite.damaged-<time>` and said in the log; what can be read of it is in the new file.  A disk that is
        full or cannot be written: what is there is read, `ailment` is set.
        EfError: REFUSED (a link, a foreign file, not ours alone), VERSION (a newer efsupervisor wrote it), SYSTEM (another process has locked it for
        itself, or it cannot even be read); then nothing may be started, because what is saved is not known.
        """
        raise NotImplementedError

    def saved(self) -> Saved:
        """What is saved now (memory, not the file)."""
        raise NotImplementedError

    # What changes: at once in memory, on disk at the next flush.  Names are compared as `short_id` does. -----------------------------------------

    def put_task(self, spec: TaskSpec) -> None:
        """Add or replace; a replaced one keeps its place in the order."""

    def del_task(self, name: str) -> None:
        """Forget the task, its intent too; harmless when it is not there (so are the others)."""

    def put_flow(self, spec: FlowSpec) -> None:
        """Add or replace."""

    def del_flow(self, name: str) -> None:
        """Forget."""

    def put_group(self, spec: GroupSpec) -> None:
        """Add or replace."""

    def del_group(self, name: str) -> None:
        """Forget."""

    def put_schedule(self, spec: ScheduleSpec) -> None:
        """Add or replace; the last time it was due stays known."""

    def del_schedule(self, name: str) -> None:
        """Forget, its last time too."""

    def set_setting(self, key: str, value: str | None) -> None:
        """Save one setting; None forgets it."""

    def set_intent(self, task: str, goal: Goal, *, autostart: bool) -> None:
        """An operator wants this of the task; autostart: as it is configured now."""

    def forget_intent(self, task: str) -> None:
        """Nobody wants anything of it any more."""

    def scheduled(self, schedule: str, wall: float, outcome: str = "") -> None:
        """A schedule was due at `wall` and is dealt with (also when it was skipped).  Flush before acting, so that a crash cannot make it run twice."""

    def ran(self, row: RunRow) -> RunRow:
        """One ended run for the history; given back with its number, which counts up and is never used twice."""
        raise NotImplementedError

    def alert(self, row: EventRow) -> None:
        """Keep an alert (core/events.py gives it its number)."""

    def retain(self, history: int, alerts: int) -> None:
        """How many rows of each are kept from now on (settings may change at run time)."""

    # Numbers ---------------------------------------------------------------------------------------------------------------------------------------

    def mark(self, name: str) -> int:
        """A saved number that never goes back; 0 when it was never set.  This is what the file holds, not what waits."""
        raise NotImplementedError

    def set_mark(self, name: str, number: int) -> None:
        """Save a number; a lower one than the present is ignored."""

    # Writing ---------------------------------------------------------------------------------------------------------------------------------------

    def flush(self) -> bool:
        """Write what is unwritten; whether everything that came before is on disk now.  Bounded work; sets or clears `ailment`."""
        raise NotImplementedError

    def close(self) -> None:
        """Flush all and close.  The file is one file again (no -wal) unless somebody else reads it."""

    def abandon(self) -> None:
        """In a forked child: close the inherited descriptors and nothing else; the parent's locks and file stay as they are."""

    # Reading ---------------------------------------------------------------------------------------------------------------------------------------

    def history(self, names: Collection[str] = (), limit: int = 50, before: int | None = None) -> list[RunRow]:
        """Ended runs of these tasks (of all when empty), newest first, what waits to be written included.  EfError SYSTEM when it cannot be read."""
        raise NotImplementedError

    def alerts(self, since: int = 0, limit: int = 200) -> list[EventRow]:
        """Alerts from number `since` on, oldest first, what waits to be written included.  EfError SYSTEM when they cannot be read."""
        raise NotImplementedError
