"""Signs of life: every worker is pinged now and then, and one that does not answer in time is killed and replaced.

All workers are asked in the same turn, so the Core wakes once in `ping_s` and not once for each.  A verdict needs two looks: after the deadline the
loop turns once more, so that answers which lie unread in a socket are heard before anybody is judged (the Core itself may have been stopped; the
reactor moves deadlines by that gap, and the unread answers are the rest of it). """

from __future__ import annotations

from collections.abc import Callable, Iterable

from efsupervisor.core.tasks import Link, Task
from efsupervisor.messages import Ping
from efsupervisor.reactor import Reactor, Timer

SECOND_LOOK_S = 0.25


class Watchdog:
    """Owns the rhythm.  tasks: who is asked.  on_silent: called once for each task whose worker gave no sign of life."""

    def __init__(
        self, reactor: Reactor, tasks: Callable[[], Iterable[Task]], on_silent: Callable[[Task, Link], None], *, ping_s: float, deadline_s: float
    ) -> None:
        self._reactor = reactor
        self._tasks = tasks
        self._on_silent = on_silent
        self._ping_s = ping_s
        self._deadline_s = deadline_s
        self._number = 0
        self._timer: Timer | None = None

    def configure(self, *, ping_s: float, deadline_s: float) -> None:
        """Another rhythm; a shorter one begins at once."""
        sooner = ping_s < self._ping_s
        self._ping_s, self._deadline_s = ping_s, deadline_s
        if sooner and self._timer is not None:
            self._timer.cancel()
            self.start()

    def start(self) -> None:
        """First round after one period."""
        self._timer = self._reactor.after(self._ping_s, self.ask)

    def ask(self) -> None:
        """One round.  The next is arranged first, so that no trouble in this one ends the rhythm."""
        self.start()
        self._number += 1
        asked = [(task, task.link) for task in self._tasks() if task.link is not None and _answers(task.link)]
        for _task, link in asked:
            link.asked = self._number
            if link.channel is not None:
                link.channel.send(Ping(number=self._number))
        number = self._number
        if asked:
            self._reactor.after(self._deadline_s, lambda: self._look(asked, number))

    def _look(self, asked: list[tuple[Task, Link]], number: int) -> None:
        silent = [(task, link) for task, link in asked if is_silent(link, number)]
        if silent:
            self._reactor.after(SECOND_LOOK_S, lambda: self._judge(silent, number))

    def _judge(self, silent: list[tuple[Task, Link]], number: int) -> None:
        for task, link in silent:
            if task.link is link and is_silent(link, number):
                self._on_silent(task, link)


def is_silent(link: Link, number: int) -> bool:
    """Whether a worker that was asked with this number owes the answer (it neither ended nor is being killed)."""
    return link.answered < number and not (link.dead or link.killed)


def _answers(link: Link) -> bool:
    return link.channel is not None and not (link.dead or link.killed)
