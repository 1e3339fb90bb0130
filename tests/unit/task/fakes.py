"""Stand-ins for what a worker lends: a loop whose time moves when it is told, a seat, errands that end when the test says so."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from efsupervisor.conf.schema import TaskSpec
from efsupervisor.messages import Wiring
from efsupervisor.reactor import Timer
from efsupervisor.task.errand import Outcome
from efsupervisor.task.spawn import Plan


class Loop:
    """Timers only."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.timers: list[Timer] = []
        self.watched: dict[int, Callable[[int], None]] = {}
        self.deferred: list[Callable[[], None]] = []

    def monotonic(self) -> float:
        return self.now

    def after(self, delay_s: float, callback: Callable[[], None]) -> Timer:
        self.timers.append(Timer(self.now + delay_s, callback))
        return self.timers[-1]

    def watch(self, fd: int, _events: int, callback: Callable[[int], None]) -> None:
        self.watched[fd] = callback

    def forget(self, fd: int) -> None:
        self.watched.pop(fd, None)

    def defer(self, callback: Callable[[], None]) -> None:
        self.deferred.append(callback)

    def run(self, seconds: float) -> None:
        """Let time pass; every timer runs when it is due."""
        until = self.now + seconds
        while due := sorted(timer for timer in self.timers if timer.callback is not None and timer.deadline <= until):
            first = due[0]
            self.timers.remove(first)
            self.now = max(self.now, first.deadline)
            if first.callback is not None:
                first.callback()
        self.now = until

    @property
    def armed(self) -> int:
        """Timers that will still run."""
        return sum(timer.callback is not None for timer in self.timers)


class FakeSeat:
    """What is said to it is kept."""

    def __init__(self, **spec: Any) -> None:
        self.spec = TaskSpec(name="t", command=["true"], **spec)
        self.wiring = Wiring(spec=self.spec, task_dir="/var/tasks/abcdefghijkl", namespace="n")
        self.reactor = self.system = Loop()
        self.health: dict[str, str] = {}
        self.alerts: list[tuple[str, str]] = []
        self.said: list[tuple[str, str]] = []
        self.dirtied = 0

    def dirty(self) -> None:
        self.dirtied += 1

    def alert(self, what: str, sentence: str) -> None:
        self.alerts.append((what, sentence))

    def say(self, level: str, sentence: str) -> None:
        self.said.append((level, sentence))


class FakeErrand:
    """One that was sent."""

    def __init__(self, what: Plan, name: str, timeout_s: float, done: Callable[[Outcome], None]) -> None:
        self.what = what
        self.name = name
        self.timeout_s = timeout_s
        self.done: Callable[[Outcome], None] | None = done

    def end(self, sentence: str = "") -> None:
        """It ended, well or with this."""
        done, self.done = self.done, None
        assert done is not None
        done(Outcome(sentence))


class FakeErrands:
    """Errands that wait for the test."""

    def __init__(self) -> None:
        self.sent: list[FakeErrand] = []
        self.shortened: list[float] = []

    def send(self, what: Plan, name: str, timeout_s: float, done: Callable[[Outcome], None]) -> FakeErrand:
        self.sent.append(FakeErrand(what, name, timeout_s, done))
        return self.sent[-1]

    def cancel(self, errand: FakeErrand) -> None:
        errand.done = None

    def shorten(self, _errand: FakeErrand, limit_s: float) -> None:
        self.shortened.append(limit_s)
