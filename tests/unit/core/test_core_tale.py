"""What happened is told once, with its cause; whoever waits for it is answered."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from efsupervisor.conf.schema import TaskSpec
from efsupervisor.core.events import Found
from efsupervisor.core.tale import Tale, cause_of
from efsupervisor.core.tasks import Task
from efsupervisor.core.timetable import in_words
from efsupervisor.messages import Alert, Outcome, Report, Wiring
from efsupervisor.reactor import Reactor
from efsupervisor.states import Goal, State
from efsupervisor.system import short_id
from efsupervisor.task.paths import TaskPaths
from tests.support.stores import Clock, opened


def make(name: str, folder: Path) -> Task:
    spec = TaskSpec(name=name, command=["true"])
    task_dir = str(folder / short_id(name))
    report = Report(state=State.STOPPED, goal=Goal.TRM)
    return Task(spec=spec, wiring=Wiring(spec=spec, task_dir=task_dir, namespace="n"), paths=TaskPaths(task_dir), report=report)


class Stage:
    """A tale on a clock that stands still, with a store on disk."""

    def __init__(self, folder: Path) -> None:
        self.clock = Clock()
        self.reactor = Reactor(self.clock)
        self.store = opened(folder)
        self.lines: list[str] = []
        log: Any = SimpleNamespace(echo=self.lines.append, warning=self.lines.append)
        self.tale = Tale(self.reactor, self.clock, log, self.store)
        self.task = make("a", folder)
        self.answers: list[Found] = []

    def becomes(self, state: State, **more: Any) -> None:
        self.task.report = msgspec.structs.replace(self.task.report, state=state, **more)
        self.tale.reported(self.task)

    def wait(self, key: object = ("client", "1"), since: int = 0, wait_s: float = 10.0, **more: Any) -> None:
        names, what = frozenset(more.get("names", ())), frozenset(more.get("what", ()))
        self.tale.wait(key, since or self.tale.events.next, 100, names, what, wait_s, self.answers.append)

    def passes(self, seconds: float) -> None:
        self.clock.now += seconds
        self.reactor.turn(0.0)


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    return Stage(tmp_path)


def test_a_state_that_is_reported_twice_is_told_once(stage: Stage) -> None:
    first = stage.tale.events.next
    for _ in range(3):
        stage.becomes(State.STARTING, pid=7)
    stage.becomes(State.RUNNING, pid=7)
    rows = stage.tale.events.since(first).rows
    assert [(row.before, row.after, row.pid) for row in rows] == [("STOPPED", "STARTING", 7), ("STARTING", "RUNNING", 7)]
    assert len(stage.lines) == 2


@pytest.mark.parametrize(
    ("before", "state", "reason", "goal", "cause"),
    [
        (State.STOPPED, State.STARTING, "", Goal.ACT, "asked by ada"),
        (State.STOPPING, State.STARTING, "", Goal.ACT, "asked by ada"),
        (State.FATAL, State.STARTING, "", Goal.ACT, "asked by ada"),
        (State.BACKOFF, State.STARTING, "", Goal.ACT, "the delay before another try is over"),
        (State.RUNNING, State.STARTING, "", Goal.ACT, "killed by SIGKILL"),
        (State.RUNNING, State.STARTING, "exit status 3", Goal.ACT, "exit status 3"),
        (State.STARTING, State.RUNNING, "", Goal.ACT, ""),
        (State.RUNNING, State.STOPPING, "", Goal.TRM, "asked by ada"),
        (State.STOPPING, State.STOPPED, "", Goal.TRM, "asked by ada"),
        (State.RUNNING, State.EXITED, "", Goal.ACT, ""),
        (State.STARTING, State.FATAL, "no such file", Goal.ACT, "no such file"),
    ],
)
def test_a_cause_is_what_the_worker_says_and_else_who_asked(tmp_path: Path, before: State, state: State, reason: str, goal: Goal, cause: str) -> None:
    task = make("a", tmp_path)
    task.goal, task.asked_by = goal, "ada"
    task.report = msgspec.structs.replace(task.report, state=state, reason=reason, exit_status=9)
    assert cause_of(task, before) == cause


def test_an_alert_has_its_own_time_when_it_was_told_late(stage: Stage) -> None:
    first = stage.tale.events.next
    stage.tale.alerted(stage.task, Alert(what="health", sentence="the disk is full", wall=5.0))
    stage.tale.alerted(stage.task, Alert(what="message", sentence="x", event=b"e", lines=["l"]))
    late, now = stage.tale.events.since(first).rows
    assert (late.what, late.wall, late.task) == ("health", 5.0, "a")
    assert (now.event, now.lines) == (b"e", ["l"]) and now.wall > 5.0


def test_who_waits_is_answered_in_the_turn_in_which_something_happens(stage: Stage) -> None:
    stage.wait()
    stage.passes(1.0)
    assert stage.answers == []
    stage.becomes(State.STARTING)
    stage.becomes(State.RUNNING)
    stage.passes(0.0)
    assert [[row.after for row in found.rows] for found in stage.answers] == [["STARTING", "RUNNING"]]
    stage.passes(100.0)
    assert len(stage.answers) == 1


def test_who_waits_for_another_task_or_kind_is_not_answered_by_this(stage: Stage) -> None:
    stage.wait(("c", "1"), names=["b"])
    stage.wait(("c", "2"), what=["message"])
    stage.becomes(State.STARTING)
    stage.passes(0.0)
    assert stage.answers == []
    stage.tale.alerted(stage.task, Alert(what="message", sentence="x"))
    stage.passes(0.0)
    assert [row.what for found in stage.answers for row in found.rows] == ["message"]


def test_a_wait_ends_with_nothing_when_its_time_is_over(stage: Stage) -> None:
    stage.wait(("c", "1"), wait_s=1.0)
    stage.wait(("c", "2"), wait_s=1.9)
    stage.passes(1.5)
    assert [found.rows for found in stage.answers] == [[]]
    stage.passes(1.0)
    assert len(stage.answers) == 2


def test_what_is_there_already_is_answered_at_once_and_so_is_who_does_not_wait(stage: Stage) -> None:
    first = stage.tale.events.next
    stage.becomes(State.STARTING)
    stage.wait(since=first)
    stage.wait(wait_s=0.0)
    assert [len(found.rows) for found in stage.answers] == [1, 0]


def test_a_connection_that_ended_is_answered_no_more(stage: Stage) -> None:
    gone, stays = object(), object()
    stage.wait((gone, "1"))
    stage.wait((gone, "2"))
    stage.wait((stays, "1"))
    stage.tale.gone_client(gone)
    stage.becomes(State.STARTING)
    stage.passes(0.0)
    assert len(stage.answers) == 1


def test_what_came_of_a_schedule_is_one_sentence_with_failures_first() -> None:
    good, bad = Outcome(task="a", ok=True, sentence="RUNNING, pid 3"), Outcome(task="b", ok=False, sentence="FATAL: exit status 1")
    assert in_words([good]) == "a: RUNNING, pid 3"
    assert in_words([good, good]) == "2 as wanted"
    assert in_words([good, bad]) == "1 of 2 not as wanted: b: FATAL: exit status 1"
