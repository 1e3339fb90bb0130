"""When schedules are due.  Pure: the wall clock is an argument, nothing runs here.

Shape first; see the docstrings.
"""

from __future__ import annotations

from typing import NamedTuple

from efsupervisor.conf.schema import ScheduleSpec


class Due(NamedTuple):
    """A schedule to run now.  wall: the time that was due (the latest of those that were missed).  missed: how many earlier ones are skipped by this."""

    spec: ScheduleSpec
    wall: float
    missed: int


LOOK_S = 60.0
"""The Core arms one monotonic timer of at most this and looks again, so that a wall clock that jumps is noticed within it."""


def fault(spec: ScheduleSpec) -> str:
    """What is wrong with cron or timezone, as a sentence; empty when nothing is."""
    return fault_of(spec.cron, spec.timezone)


def fault_of(cron: str, timezone: str) -> str:
    """The same for the two texts."""
    raise NotImplementedError


def next_after(spec: ScheduleSpec, wall: float) -> float:
    """The first time strictly after `wall`, 0.0 when there is none (disabled, or never within 50 years)."""
    raise NotImplementedError


class Schedules:
    """All schedules in force."""

    def __init__(self, now_wall: float) -> None:
        raise NotImplementedError

    def put(self, spec: ScheduleSpec, now_wall: float, last_wall: float = 0.0) -> None:
        """Add or replace one.  last_wall: when it was last due (Saved.times), 0 for never: then it begins now, and nothing counts as missed."""

    def remove(self, name: str) -> None:
        """Forget one; harmless."""

    def next_wall(self, name: str) -> float:
        """Its next time, 0.0 for none."""
        raise NotImplementedError

    def due(self, now_wall: float) -> list[Due]:
        """What is to run now, in order of time; each time is given once, also when the clock goes back."""
        raise NotImplementedError

    def look_in_s(self, now_wall: float) -> float:
        """Seconds until `due` should be called again, at most LOOK_S."""
        raise NotImplementedError
