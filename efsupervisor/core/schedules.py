"""When schedules are due.  Pure: the wall clock is an argument, nothing runs here.

Which times those are is cronsim's rule, which is Debian cron's (cron(8)):

- A cron text of five fields whose minute and hour do not begin with `*` names times of the day, and each day has each of them once.  In a night that
  leaves an hour out, a time inside it is due at the first moment after it; in a night that has an hour twice, a time inside it is due the first time.
- Any other (`*/15 * * * *`, six fields with seconds) names a rhythm: it goes by the hours that there are, so an hour that is left out has none and an
  hour that comes twice has them twice.

The clock.  Each schedule has a `floor`: what is due at or before it was dealt with.  `due` looks at the time between the floor and now and raises the
floor to now.  When the clock goes back the floor stays, so no time comes twice, and nothing is due until the clock is past the floor again.  A floor
that lies more than FAR_S ahead is a clock that was wrong and has been set right: it comes down to the present.  When the clock leaps forward, or no
supervisor ran, the times in between are missed: `missed: skip` leaves out those that are more than LATE_S late, `missed: once` runs the latest of
them in place of all, `missed: all` gives each of them, the last MAX_WAITING at most.

cronsim and zoneinfo are loaded with the first schedule, not before: the Core is forked for every worker.

This module must never start a task, nor read a clock or a file but the time zones.
"""

from __future__ import annotations

import functools
import itertools
import math
import os
from collections import deque
from collections.abc import Iterator
from datetime import UTC, datetime, tzinfo
from typing import NamedTuple

from efsupervisor.conf.schema import ScheduleSpec
from efsupervisor.core.overlap import MAX_WAITING
from efsupervisor.system import short_id

LOOK_S = 60.0
"""The Core arms one monotonic timer of at most this and looks again, so that a wall clock that jumps is noticed within it."""

LATE_S = 90.0
"""A time that is dealt with this much later is on time still: one LOOK_S, and a busy machine."""

FAR_S = 26 * 3600.0
"""More than a wrong time zone can make."""

MOST_MISSED = 1000
"""Missed times that are counted; a schedule of every second that was away for a month need not be counted to the end."""

MAX_TEXT = 256
"""Characters of a cron text or the name of a time zone."""

_WINDOWS_S = (3600.0, 86400.0, 40 * 86400.0, 400 * 86400.0)


class Due(NamedTuple):
    """A schedule to run now.  wall: the time that was due, the latest of those that were missed.  missed: how many earlier ones it stands for (under
    `missed: all`, how many older ones are left out).  backlog: it is one of several that are given together."""

    spec: ScheduleSpec
    wall: float
    missed: int
    backlog: bool = False


def fault(spec: ScheduleSpec) -> str:
    """What is wrong with cron or timezone, as a sentence; empty when nothing is."""
    return fault_of(spec.cron, spec.timezone)


def fault_of(cron: str, timezone: str) -> str:
    """The same for the two texts."""
    if len(cron) > MAX_TEXT or len(timezone) > MAX_TEXT:
        return f"a cron text and the name of a time zone have at most {MAX_TEXT} characters"
    try:
        zone = _zone(timezone)
    except ValueError as error:
        return str(error)
    try:
        first = next(_times(cron, zone, 0.0), None)
    except ValueError as error:
        return str(error)
    return f'the cron text "{_shown(cron)}" names no time within 50 years' if first is None else ""


def next_after(spec: ScheduleSpec, wall: float) -> float:
    """The first time strictly after `wall`, 0.0 when there is none (disabled, or never within 50 years).  ValueError as `fault` says."""
    return next(_times(spec.cron, _zone(spec.timezone), wall), 0.0) if spec.enabled else 0.0


def written(spec: ScheduleSpec, wall: float) -> str:
    """A time as the schedule's own clocks show it, ISO 8601."""
    return datetime.fromtimestamp(wall, _zone(spec.timezone)).isoformat()


def _zone(timezone: str) -> tzinfo:
    """Empty: the machine's.  ValueError with a sentence."""
    if not timezone:
        return _machine()
    import zoneinfo  # late: only schedules need it

    try:
        return zoneinfo.ZoneInfo(timezone)
    except (ValueError, OSError, zoneinfo.ZoneInfoNotFoundError):  # OSError: a folder's name, a name that is too long
        raise ValueError(f'no time zone is called "{_shown(timezone)}"; names are like Europe/Berlin or UTC') from None


@functools.lru_cache(maxsize=1)
def _machine() -> tzinfo:
    """The time zone of the machine, with its changes of the year: TZ, or /etc/localtime; read once."""
    import zoneinfo  # late: only schedules need it

    name = os.environ.get("TZ", "").removeprefix(":")
    try:
        if name:
            return zoneinfo.ZoneInfo(name)
        with open("/etc/localtime", "rb") as file:
            return zoneinfo.ZoneInfo.from_file(file, "localtime")
    except (ValueError, OSError, zoneinfo.ZoneInfoNotFoundError):
        return UTC


def _times(cron: str, zone: tzinfo, wall: float) -> Iterator[float]:
    """Times strictly after `wall`, rising.  ValueError with a sentence."""
    from cronsim import CronSim, CronSimError  # late: only schedules need it

    try:
        found = CronSim(cron, datetime.fromtimestamp(math.floor(wall), zone))
    except (CronSimError, ValueError, OverflowError, AssertionError, RecursionError, OSError) as error:
        raise ValueError(_cron_fault(cron, error)) from None
    return _rising(iter(found), wall)


def _rising(found: Iterator[datetime], wall: float) -> Iterator[float]:
    """Only what is after all before it: in a night that leaves an hour out two times of the day may fall together."""
    for each in found:
        at = each.timestamp()
        if at > wall:
            wall = at
            yield at


def _cron_fault(cron: str, error: Exception) -> str:
    text = str(error)
    said = f"its {text.removeprefix('Bad ')} is wrong" if text.startswith("Bad ") else "it has not five fields, or six with seconds first"
    return f'the cron text "{_shown(cron)}" cannot be used: {said}; five fields are minute hour day-of-month month day-of-week'


def _shown(text: str) -> str:
    return text if len(text) <= 60 else text[:60] + "..."


class _Entry:
    """One schedule.  floor: wall time up to which it was dealt with.  next: its next time, 0.0 for none."""

    __slots__ = ("floor", "next", "spec")

    def __init__(self, spec: ScheduleSpec, floor: float) -> None:
        self.spec = spec
        self.floor = floor
        self.next = next_after(spec, floor)


class Schedules:
    """All schedules in force."""

    def __init__(self) -> None:
        self._entries: dict[str, _Entry] = {}

    def put(self, spec: ScheduleSpec, now_wall: float, last_wall: float = 0.0) -> None:
        """Add or replace one; its fault() is empty.  last_wall: up to when it was dealt with (Saved.times), 0 for never: then it begins now, and
        nothing counts as missed.  Save that beginning (Store.scheduled without an outcome), so that the very first time can be missed too."""
        floor = min(last_wall, now_wall + FAR_S) or now_wall
        former = self._entries.get(short_id(spec.name))
        if former is not None:  # what it was dealt with under its former times stays dealt with
            floor = max(floor, former.floor)
        self._entries[short_id(spec.name)] = _Entry(spec, floor)

    def remove(self, name: str) -> None:
        """Forget one; harmless."""
        self._entries.pop(short_id(name), None)

    def next_wall(self, name: str) -> float:
        """Its next time, 0.0 for none."""
        entry = self._entries.get(short_id(name))
        return entry.next if entry is not None else 0.0

    def due(self, now_wall: float) -> list[Due]:
        """What is to run now, in order of time; each time is given once, also when the clock goes back."""
        found = [due for entry in self._entries.values() for due in _dealt_with(entry, now_wall)]
        return sorted(found, key=lambda due: due.wall)

    def look_in_s(self, now_wall: float) -> float:
        """Seconds until `due` should be called again, at most LOOK_S."""
        times = [entry.next for entry in self._entries.values() if entry.next]
        return min(LOOK_S, max(0.0, min(times) - now_wall)) if times else LOOK_S

    def __len__(self) -> int:
        return len(self._entries)


def _dealt_with(entry: _Entry, now_wall: float) -> list[Due]:
    """What of one schedule is to run; its floor is raised to now."""
    if entry.floor > now_wall + FAR_S:
        entry.floor = now_wall
        entry.next = next_after(entry.spec, now_wall)
    if not entry.next or entry.next > now_wall:
        return []
    last, passed = _passed(entry, now_wall)
    entry.floor = max(last[-1], now_wall)
    entry.next = next_after(entry.spec, entry.floor)
    if entry.spec.missed == "all":
        older = passed - len(last)
        return [Due(entry.spec, at, older if at == last[0] else 0, backlog=len(last) > 1) for at in last]
    if entry.spec.missed != "once" and now_wall - last[-1] > LATE_S:
        return []
    return [Due(entry.spec, last[-1], passed - 1)]


def _passed(entry: _Entry, now_wall: float) -> tuple[list[float], int]:
    """The last MAX_WAITING times up to now, and how many there were since the floor; a long absence is looked at from its end."""
    last, passed = deque([entry.next], MAX_WAITING), 1
    for at in _times(entry.spec.cron, _zone(entry.spec.timezone), entry.next):
        if at > now_wall:
            break
        last.append(at)
        passed += 1
        if passed >= MOST_MISSED:
            return _near_the_end(entry, now_wall, list(last)), passed
    return list(last), passed


def _near_the_end(entry: _Entry, now_wall: float, known: list[float]) -> list[float]:
    """The last of very many; fewer than MAX_WAITING where they are far apart."""
    near: list[float] = []
    for window_s in _WINDOWS_S:
        begin = max(known[-1], now_wall - window_s)
        found = _times(entry.spec.cron, _zone(entry.spec.timezone), begin)
        near = list(deque(itertools.takewhile(lambda at: at <= now_wall, found), MAX_WAITING))
        if begin == known[-1]:
            return [*known, *near][-MAX_WAITING:]
        if len(near) == MAX_WAITING:
            break
    return near or known
