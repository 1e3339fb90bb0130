"""The dead: every child is reaped, and how a program ended is remembered for the worker that will ask.

The Core is a subreaper, so a program whose worker was killed becomes its child, and so do the orphans of programs.  A successor worker adopts such a
program but cannot wait for it: it learns the exit status here, pushed when the Core knows whose it is and on request otherwise.

A process is (pid, start time).  A zombie still has its start time in /proc, so the Core looks at the dead child before it reaps it (waitid with
WNOWAIT), and the number cannot have been given to another process meanwhile.  `unknown` is an answer here, never a guess (DESIGN section 2.5). """

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from typing import NamedTuple

REMEMBERED = 10_000


class Dead(NamedTuple):
    """A reaped child.  start_ticks 0: /proc did not tell."""

    pid: int
    start_ticks: int
    status: int


class Graveyard:
    """(pid, start time) to wait status, of the last REMEMBERED dead."""

    def __init__(self, size: int = REMEMBERED) -> None:
        self._size = size
        self._statuses: dict[tuple[int, int], int] = {}

    def bury(self, dead: Dead) -> None:
        """Remember; forgets the oldest when there are too many."""
        self._statuses[dead.pid, dead.start_ticks] = dead.status
        if len(self._statuses) > self._size:
            del self._statuses[next(iter(self._statuses))]

    def last(self, count: int) -> list[tuple[int, int, int]]:
        """The last `count` of them: pid, start time, wait status."""
        return [(pid, ticks, status) for (pid, ticks), status in list(self._statuses.items())[-count:]]

    def status(self, pid: int, start_ticks: int) -> int | None:
        """The wait status, None when this process is not among the remembered."""
        return self._statuses.get((pid, start_ticks))


class Reaper:
    """Reaps children one by one.  on_dead is told of each."""

    def __init__(self, next_dead: Callable[[], Dead | None], on_dead: Callable[[Dead], None]) -> None:
        self._next_dead = next_dead
        self._on_dead = on_dead
        self.graveyard = Graveyard()

    def reap_one(self) -> bool:
        """Reap one dead child; False when there is none now."""
        dead = self._next_dead()
        if dead is None:
            return False
        self.graveyard.bury(dead)
        self._on_dead(dead)
        return True

    def status(self, pid: int, start_ticks: int) -> int | None:
        """As Graveyard.status, after looking for children that died just now: a worker may see its program's death before we were told of it."""
        status = self.graveyard.status(pid, start_ticks)
        while status is None and self.reap_one():
            status = self.graveyard.status(pid, start_ticks)
        return status


def next_dead_child() -> Dead | None:
    """Reap one dead child of this process, whoever it was; None when there is none now."""
    try:
        seen = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return None
    if seen is None:
        return None
    ticks = _ticks_of_zombie(seen.si_pid)
    try:
        pid, status = os.waitpid(seen.si_pid, os.WNOHANG)
    except ChildProcessError:
        return None
    return Dead(pid, ticks, status) if pid else None


def _ticks_of_zombie(pid: int) -> int:
    with contextlib.suppress(OSError), open(f"/proc/{pid}/stat", "rb") as file:
        return int(file.read().rpartition(b")")[2].split()[19])
    return 0
