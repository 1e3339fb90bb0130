"""Replies that wait, as data."""

from __future__ import annotations

import msgspec

from efsupervisor.conf.schema import TaskSpec
from efsupervisor.core.tasks import Task
from efsupervisor.core.waiting import Pending, Waiting
from efsupervisor.errors import Code
from efsupervisor.messages import Outcome, Report, Wiring
from efsupervisor.states import Goal, State
from efsupervisor.task.paths import TaskPaths


def make(name: str, state: State = State.STARTING) -> Task:
    spec = TaskSpec(name=name, command=["true"])
    report = Report(state=state, goal=Goal.ACT)
    return Task(spec=spec, wiring=Wiring(spec=spec, task_dir="/t", namespace="n"), paths=TaskPaths("/t"), report=report, goal=Goal.ACT)


def becomes(waiting: Waiting, task: Task, state: State) -> None:
    task.report = msgspec.structs.replace(task.report, state=state)
    waiting.changed(task)


class Asker:
    """A client that keeps its replies."""

    def __init__(self) -> None:
        self.replies: list[list[Outcome]] = []

    def asks(self, count: int, outcomes: list[Outcome] | None = None) -> Pending:
        return Pending(Goal.ACT, count, outcomes or [], self.replies.append)


def test_a_request_is_answered_once_when_its_last_task_is_settled() -> None:
    waiting, asker, one, other = Waiting(), Asker(), make("one"), make("other")
    pending = asker.asks(2)
    waiting.worked(pending, one)
    waiting.worked(pending, other)
    becomes(waiting, other, State.RUNNING)
    assert not asker.replies
    becomes(waiting, one, State.RUNNING)
    becomes(waiting, one, State.RUNNING)
    assert [[outcome.task for outcome in reply] for reply in asker.replies] == [["other", "one"]]
    assert len(waiting) == 0


def test_a_task_that_a_queue_has_not_worked_yet_does_not_count_although_it_runs() -> None:
    waiting, asker, early, late = Waiting(), Asker(), make("early", State.RUNNING), make("late", State.RUNNING)
    pending = asker.asks(2)
    waiting.worked(pending, early)
    waiting.changed(late)
    assert not asker.replies
    waiting.worked(pending, late)
    assert len(asker.replies) == 1


def test_a_refused_task_is_part_of_the_answer() -> None:
    waiting, asker, task = Waiting(), Asker(), make("one", State.RUNNING)
    pending = asker.asks(2, [Outcome(task="typo", ok=False, code=Code.NO_SUCH_TASK)])
    waiting.refused(pending, Outcome(task="gone", ok=False, code=Code.BAD_STATE))
    waiting.worked(pending, task)
    assert [outcome.ok for outcome in asker.replies[0]] == [False, False, True]


def test_one_change_answers_everybody_who_waits_for_it() -> None:
    waiting, first, second, task = Waiting(), Asker(), Asker(), make("one")
    waiting.worked(first.asks(1), task)
    waiting.worked(second.asks(1), task)
    becomes(waiting, task, State.FATAL)
    assert not first.replies[0][0].ok
    assert not second.replies[0][0].ok


def test_a_removal_is_answered_when_the_task_is_gone_and_not_at_its_workers_last_word() -> None:
    waiting, asker, task = Waiting(), Asker(), make("going", State.STOPPING)
    task.goal, task.configured = Goal.TRM, False
    waiting.worked(Pending(Goal.TRM, 1, [], asker.replies.append), task)
    becomes(waiting, task, State.STOPPED)
    assert not asker.replies
    task.gone = True
    waiting.changed(task)
    assert [[outcome.ok for outcome in reply] for reply in asker.replies] == [[True]]
