"""The history of runs: one row for each life of a program that has ended, whoever watched it end.

The worker's incarnation log (efsupervisor.task.lives) is the truth: it has an entry for each begin and each end, written whether or not a Core
lives.  So the Core does not count ends as it hears of them; when a report shows that a life may have ended, it reads what the log holds beyond the
last row that it has, and a Core that comes back finds in the same way what it missed.

A row is known by (incarnation, time of its end): a task that was deleted and added again counts its lives from one.

Owns no descriptor between calls; never writes to a task's folder.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import NamedTuple, Protocol

from efsupervisor.core.tasks import Task, clipped
from efsupervisor.messages import RunRow
from efsupervisor.system import System
from efsupervisor.task.lives import BEGIN, END, RECORD_BYTES, Life, decode
from efsupervisor.task.policy import describe

RECORDS = 64
"""Records that are read at once, from the end backwards."""

MAX_MISSED = 2000
"""Ended lives of one task that are taken at once; a program that died oftener while no Core lived has the older ones in its log only."""

PAGE = 10
"""Rows that are looked at together for the newest life."""

_SAME_S = 0.001


class Keeper(Protocol):
    """What the store does for it."""

    def ran(self, row: RunRow) -> RunRow: ...
    def history(self, names: tuple[str, ...] = (), limit: int = 50, before: int | None = None) -> list[RunRow]: ...


class Last(NamedTuple):
    """The newest row of a task: its incarnation and the time of its end."""

    incarnation: int
    ended: float


NONE = Last(0, 0.0)


class Runs:
    """Takes ended lives into the store."""

    def __init__(self, store: Keeper, system: System) -> None:
        self._store = store
        self._system = system
        self._last: dict[str, Last] = {}

    def reported(self, task: Task) -> list[RunRow]:
        """A report came: take what ended.  The new rows, oldest first.  OSError or EfError when the log or the store cannot be read."""
        last = self._known(task)
        report = task.report
        if report.incarnation == last.incarnation or (report.incarnation == last.incarnation + 1 and report.pid):
            return []
        return self.look(task)

    def look(self, task: Task) -> list[RunRow]:
        """As reported, without asking whether it is worth it."""
        last = self._known(task)
        ended = missing(self._records(task.paths.lives), last)
        rows = [self._store.ran(row) for row in rows_of(task, ended)]
        if rows:
            self._last[task.paths.id] = Last(rows[-1].incarnation, rows[-1].ended)
        return rows

    def forget(self, task: Task) -> None:
        """The task is gone."""
        self._last.pop(task.paths.id, None)

    def _known(self, task: Task) -> Last:
        last = self._last.get(task.paths.id)
        if last is None:
            last = self._last[task.paths.id] = self._newest(task.name)
        return last

    def _newest(self, name: str) -> Last:
        """The newest row of a life; times of a schedule that were left out have rows too."""
        before: int | None = None
        while rows := self._store.history((name,), PAGE, before):
            found = next((row for row in rows if row.incarnation), None)
            if found is not None:
                return Last(found.incarnation, found.ended)
            before = rows[-1].number
        return NONE

    def _records(self, path: str) -> Iterator[Life]:
        """Valid records, newest first."""
        try:
            fd = self._system.open(path, os.O_RDONLY | os.O_NOFOLLOW)
        except FileNotFoundError:
            return
        try:
            end = self._system.fstat(fd).st_size // RECORD_BYTES
            while end:
                start = max(0, end - RECORDS)
                data = self._system.pread(fd, (end - start) * RECORD_BYTES, start * RECORD_BYTES)
                for number in range(len(data) // RECORD_BYTES - 1, -1, -1):
                    life = decode(data[number * RECORD_BYTES : (number + 1) * RECORD_BYTES])
                    if life is not None:
                        yield life
                end = start
        finally:
            self._system.close(fd)


class Ended(NamedTuple):
    """One life: its begin (None when that record is lost) and its end."""

    begin: Life | None
    end: Life


def missing(newest_first: Iterator[Life], last: Last) -> list[Ended]:
    """Ended lives that came after the last known one, oldest first.  Pure."""
    found: list[Ended] = []
    for life in newest_first:
        if life.kind == END:
            if life.incarnation == last.incarnation and abs(life.wall_ns / 1e9 - last.ended) < _SAME_S:
                break
            if len(found) == MAX_MISSED:
                break
            found.append(Ended(None, life))
        elif life.kind == BEGIN and found and found[-1].begin is None and found[-1].end.incarnation == life.incarnation:
            found[-1] = found[-1]._replace(begin=life)
    return found[::-1]


def rows_of(task: Task, ended: list[Ended]) -> Iterator[RunRow]:
    """Rows without a number.  What became of the task is known of the newest life; of an older one, that it was started again."""
    report = task.report
    for begin, end in ended:
        newest = end is ended[-1].end and report.incarnation <= end.incarnation and not report.pid
        yield RunRow(
            number=0,
            task=task.name,
            incarnation=end.incarnation,
            began=(begin or end).wall_ns / 1e9,
            ended=end.wall_ns / 1e9,
            exit_status=end.status,
            exit_known=end.status is not None,
            state=report.state.value if newest else "STARTING",
            reason=clipped(report.reason) if newest and report.reason else describe(end.status),
            out_bytes=end.out_end - begin.out_end if begin else 0,
            err_bytes=end.err_end - begin.err_end if begin else 0,
            pid=end.pid,
            attempt=end.attempt or (begin.attempt if begin else 0),
            cause=report.cause if begin is None or begin.ticket == report.ticket else "",
            ticket=begin.ticket if begin else "",
            out_from=begin.out_end if begin else end.out_end,
            err_from=begin.err_end if begin else end.err_end,
            in_bytes=end.in_bytes,
            events_in=end.events_in,
            events_out=end.events_out,
        )
