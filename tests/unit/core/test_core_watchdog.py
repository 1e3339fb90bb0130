"""Signs of life, with a loop that turns only when the test says so."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from efsupervisor.conf.schema import TaskSpec
from efsupervisor.core.tasks import Link, Task
from efsupervisor.core.watchdog import SECOND_LOOK_S, Watchdog
from efsupervisor.messages import Ping, Report, Wiring
from efsupervisor.states import Goal, State
from efsupervisor.task.paths import TaskPaths


class FakeLoop:
    """Timers only."""

    def __init__(self) -> None:
        self.now = 0.0
        self._timers: list[tuple[float, int, Callable[[], None]]] = []

    def after(self, delay_s: float, callback: Callable[[], None]) -> None:
        self._timers.append((self.now + delay_s, len(self._timers), callback))

    def until(self, moment: float) -> None:
        while due := [timer for timer in self._timers if timer[0] <= moment]:
            timer = min(due, key=lambda each: each[:2])
            self._timers.remove(timer)
            self.now = timer[0]
            timer[2]()
        self.now = moment


class FakeChannel:
    """Keeps the numbers it was asked with."""

    def __init__(self) -> None:
        self.pings: list[int] = []

    def send(self, message: object) -> None:
        assert isinstance(message, Ping)
        self.pings.append(message.number)


class Stage:
    """One task with a worker, a watchdog and what it was told."""

    def __init__(self) -> None:
        self.loop, self.channel, self.silent = FakeLoop(), FakeChannel(), []  # type: ignore[var-annotated]
        spec = TaskSpec(name="t", command=["true"])
        wiring, report = Wiring(spec=spec, task_dir="/t", namespace="n"), Report(state=State.RUNNING, goal=Goal.ACT)
        self.task = Task(spec=spec, wiring=wiring, paths=TaskPaths("/t"), report=report)
        self.link = Link(pid=7, pidfd=-1, born=0.0)
        self.link.channel = self.channel  # type: ignore[assignment]
        self.task.link = self.link
        watchdog = Watchdog(self.loop, lambda: [self.task], self._told, ping_s=30, deadline_s=5)  # type: ignore[arg-type]
        watchdog.start()

    def _told(self, task: Task, link: Link) -> None:
        assert task is self.task
        self.silent.append(link)


@pytest.fixture
def stage() -> Stage:
    return Stage()


def test_a_worker_that_answers_is_asked_again_and_again_and_never_judged(stage: Stage) -> None:
    for period in range(1, 4):
        stage.loop.until(period * 30)
        stage.link.answered = stage.channel.pings[-1]
    stage.loop.until(120)
    assert len(stage.channel.pings) == 4
    assert not stage.silent


def test_a_worker_that_does_not_answer_is_judged_after_the_deadline_and_a_second_look(stage: Stage) -> None:
    stage.loop.until(35)
    assert not stage.silent
    stage.loop.until(35 + SECOND_LOOK_S)
    assert stage.silent == [stage.link]


def test_an_answer_that_lay_unread_is_heard_before_the_verdict(stage: Stage) -> None:
    stage.loop.until(35)
    stage.link.answered = stage.channel.pings[-1]
    stage.loop.until(36)
    assert not stage.silent


def test_a_worker_that_was_replaced_meanwhile_is_not_judged_for_its_predecessor(stage: Stage) -> None:
    stage.loop.until(34)
    stage.task.link = Link(pid=8, pidfd=-1, born=34.0)
    stage.loop.until(50)
    assert not stage.silent


@pytest.mark.parametrize("sign", ["dead", "killed"])
def test_a_worker_that_is_on_its_way_out_is_not_killed_again(stage: Stage, sign: str) -> None:
    stage.loop.until(31)
    setattr(stage.link, sign, True)
    stage.loop.until(50)
    assert not stage.silent


def test_a_task_without_a_worker_costs_nothing_but_the_rhythm_goes_on(stage: Stage) -> None:
    stage.task.link = None
    stage.loop.until(45)
    stage.task.link = stage.link
    stage.loop.until(61)
    assert len(stage.channel.pings) == 1
