"""How far long work is: counts from the Core's status while an answer is waited for, on one line of stderr.

It asks over a connection of its own and gives the Core LOOK_S each time; a look that fails shows nothing and disturbs nothing.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable

from efsupervisor.cli.client import Client
from efsupervisor.cli.terminal import Progress
from efsupervisor.errors import EfError
from efsupervisor.messages import TaskStatus
from efsupervisor.states import State

LOOK_S = 0.4
AFTER_S = 0.6
"""Work that is over by then shows nothing."""

STOPPED = "stopped"
STARTED = "started"


def reached(row: TaskStatus, goal: str) -> bool:
    """Whether a task needs no more waiting."""
    return row.state.at_rest or (goal == STARTED and row.state is State.RUNNING)


class Watch:
    """Called a few times a second; shows `37 of 200 stopped`.  goal: STOPPED or STARTED."""

    def __init__(self, path: str, names: Iterable[str], goal: str, progress: Progress, now: Callable[[], float] = time.monotonic) -> None:
        self._client = Client(path, answer_s=LOOK_S)
        self._names = [name for name in names if name != "all"]
        self._goal = goal
        self._progress = progress
        self._now = now
        self._from = now() + AFTER_S

    def __call__(self) -> None:
        """Look and show, unless it is too early."""
        if not self._progress.on or self._now() < self._from:
            return
        try:
            rows = self._client.status(self._names)
        except EfError:
            self._progress.clear()
            return
        if len(rows) > 1:
            count = sum(reached(row, self._goal) for row in rows)
            self._progress.show(f"{count} of {len(rows)} {self._goal}")

    def close(self) -> None:
        """End it and leave the line empty."""
        self._progress.clear()
        self._client.close()
