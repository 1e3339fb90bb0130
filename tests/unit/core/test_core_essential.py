"""When the end of a task is the end of everything, and with which status."""

from __future__ import annotations

import pytest

from efsupervisor.conf.schema import TaskSpec
from efsupervisor.core.ending import ended_for_all, status_after
from efsupervisor.core.tasks import Task
from efsupervisor.messages import Report, Wiring
from efsupervisor.states import Goal, State
from efsupervisor.task.paths import TaskPaths


def task(state: State, exit_status: int | None = None, *, essential: bool = True, goal: Goal = Goal.ACT, waits: str = "") -> Task:
    spec = TaskSpec(name="t", command=["x"], essential=essential)
    report = Report(state=state, goal=goal, exit_status=exit_status)
    return Task(spec=spec, wiring=Wiring(spec=spec, task_dir="/t", namespace="n"), paths=TaskPaths("/t"), report=report, goal=goal, waits=waits)


@pytest.mark.parametrize("state", list(State))
def test_only_an_end_by_itself_and_for_good_is_one(state: State) -> None:
    assert ended_for_all(task(state)) is (state in (State.EXITED, State.FATAL))
    assert not ended_for_all(task(state, essential=False))
    assert not ended_for_all(task(state, goal=Goal.TRM)), "somebody wanted it stopped"
    assert not ended_for_all(task(state, waits="its database")), "its start is still to come"


@pytest.mark.parametrize(
    ("state", "exit_status", "said"),
    [
        (State.EXITED, 0, 0),
        (State.EXITED, 3 << 8, 3),
        (State.EXITED, 15, 143),
        (State.EXITED, None, 1),
        (State.FATAL, None, 1),
        (State.FATAL, 0, 1),
        (State.FATAL, 127 << 8, 127),
    ],
)
def test_the_status_is_the_tasks_own_and_never_success_after_a_failure(state: State, exit_status: int | None, said: int) -> None:
    assert status_after(task(state, exit_status)) == said
