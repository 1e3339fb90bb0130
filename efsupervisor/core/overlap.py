"""What becomes of a time of a schedule while the run before is not over.  Pure.

    forbid    it is left out, and counted
    queue     it waits; at most MAX_WAITING times wait for one schedule, one more is left out
    replace   what runs is stopped, and it takes its place

`missed: all` makes a backlog: times that passed while nobody was there, each of which gets its run, one after the other, whatever `overlap` says; the
newest MAX_WAITING of them, the others are left out and counted.

A Line is what one schedule has to do.  It is saved as it is (store_rows.LastTime), before anything of it is done, so that the next Core goes on.
"""

from __future__ import annotations

import enum
from typing import NamedTuple

MAX_WAITING = 100
FORBID, QUEUE, REPLACE = "forbid", "queue", "replace"


class Line(NamedTuple):
    """running: the due time whose run is under way, 0 for none.  waiting: due times in order.  skipped: times that were left out, ever."""

    running: float = 0.0
    waiting: tuple[float, ...] = ()
    skipped: int = 0


class Streak(NamedTuple):
    """Times that were left out one after the other: the last, and how many.  One run that takes a day is in the way of thousands; each is
    counted, and the first and the end of them are told."""

    last: float = 0.0
    times: int = 0

    def grown(self, wall: float) -> Streak:
        """One more."""
        return Streak(wall, self.times + 1)


class Do(enum.Enum):
    """What is to be done about a time that has come."""

    RUN = enum.auto()
    WAIT = enum.auto()
    SKIP = enum.auto()
    REPLACE = enum.auto()


def taken(line: Line, wall: float, overlap: str, *, busy: bool, backlog: bool) -> tuple[Line, Do]:
    """A time has come.  busy: what it would start is under way, by whomever.  backlog: it is one of several that were missed."""
    busy = busy or line.running > 0
    if not busy and not line.waiting:
        return line._replace(running=wall), Do.RUN
    if overlap == REPLACE and not backlog:
        return line._replace(running=wall), Do.REPLACE
    if (overlap == QUEUE or backlog) and len(line.waiting) < MAX_WAITING:
        return line._replace(waiting=(*line.waiting, wall)), Do.WAIT
    return line._replace(skipped=line.skipped + 1), Do.SKIP


def ended(line: Line, wall: float) -> Line:
    """The run of this time is over; harmless when another took its place."""
    return line._replace(running=0.0) if line.running == wall else line


def following(line: Line, *, busy: bool) -> tuple[Line, float]:
    """The next time that waits, when nothing is in its way any more; 0 for none."""
    if busy or line.running or not line.waiting:
        return line, 0.0
    return line._replace(running=line.waiting[0], waiting=line.waiting[1:]), line.waiting[0]
