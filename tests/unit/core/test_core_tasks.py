"""The judgements about one task: deaths of workers, wishes, delays, status rows."""

from __future__ import annotations

import pytest

from efsupervisor.conf.schema import TaskSpec
from efsupervisor.core.tasks import MAX_REASON, Link, Next, Task, after_death, confirms, delay_s, row, settled
from efsupervisor.errors import Code
from efsupervisor.messages import Report, Wiring
from efsupervisor.states import Goal, State
from efsupervisor.task.paths import TaskPaths

ACT, TRM = Goal.ACT, Goal.TRM


def report(state: State, goal: Goal = ACT, **more: object) -> Report:
    return Report(state=state, goal=goal, **more)  # type: ignore[arg-type]


def task(shown: Report, goal: Goal = ACT, *, unconfirmed: bool = False, with_worker: bool = True) -> Task:
    spec = TaskSpec(name="t", command=["true"])
    made = Task(spec=spec, wiring=Wiring(spec=spec, task_dir="/t", namespace="n"), paths=TaskPaths("/t"), report=shown, goal=goal)
    made.unconfirmed = unconfirmed
    made.link = Link(pid=7, pidfd=-1, born=0.0) if with_worker else None
    return made


@pytest.mark.parametrize(
    ("goal", "unconfirmed", "final", "saved", "alive", "expected"),
    [
        # it said its last word
        (ACT, False, report(State.EXITED), None, False, Next.REST),
        (TRM, False, report(State.STOPPED, TRM), None, False, Next.REST),
        (ACT, True, report(State.STOPPED, TRM), None, False, Next.REPLACE),  # started again while it was ending
        (TRM, True, report(State.EXITED), None, False, Next.REST),  # stopped while it was ending by itself
        (ACT, False, report(State.EXITED), None, True, Next.REPLACE),  # the record names a living program: somebody must look
        # it died without one
        (ACT, False, None, report(State.RUNNING), True, Next.REPLACE),
        (ACT, False, None, report(State.RUNNING), False, Next.REPLACE),
        (TRM, True, None, report(State.RUNNING), True, Next.REPLACE),
        (ACT, False, None, None, False, Next.REPLACE),
        # it died between writing its last word and sending it: a job that has run is not run again
        (ACT, False, None, report(State.EXITED), False, Next.REST),
        (TRM, True, None, report(State.STOPPED, TRM), False, Next.REST),
        # it died before it could begin: what is saved is older than the wish
        (ACT, True, None, report(State.EXITED), False, Next.REPLACE),
        (ACT, True, None, report(State.STOPPED, TRM), False, Next.REPLACE),
    ],
)
def test_the_death_of_a_worker_is_followed_by_rest_or_by_a_new_worker(
    goal: Goal, unconfirmed: bool, final: Report | None, saved: Report | None, alive: bool, expected: Next
) -> None:
    assert after_death(goal, unconfirmed=unconfirmed, final=final, saved=saved, program_is_alive=alive) is expected


def test_what_is_saved_of_an_earlier_life_says_nothing_of_the_one_that_was_told_of() -> None:
    """A worker took over a life that its predecessor had only begun, told of it, and died before it wrote anything."""
    saved = Report(state=State.EXITED, goal=Goal.ACT, incarnation=4, final=True)
    for incarnation, expected in ((4, Next.REST), (5, Next.REPLACE)):
        found = after_death(Goal.ACT, unconfirmed=False, final=None, saved=saved, program_is_alive=False, incarnation=incarnation)
        assert found is expected


def test_a_worker_that_keeps_dying_is_replaced_at_once_and_then_ever_later_up_to_five_seconds() -> None:
    assert [delay_s(times) for times in range(9)] == [0.0, 0.0, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 5.0]
    assert delay_s(10**6) == 5.0


@pytest.mark.parametrize(
    ("goal", "shown", "expected"),
    [
        (ACT, report(State.STARTING), True),
        (ACT, report(State.STOPPED, ACT), False),  # a new worker repeats what the last one left
        (ACT, report(State.EXITED, ACT, final=True), True),
        (ACT, report(State.STOPPING, TRM), False),
        (TRM, report(State.STOPPING, TRM), True),
        (TRM, report(State.STOPPED, TRM, final=True), True),
    ],
)
def test_a_report_confirms_a_wish_only_when_its_worker_can_have_heard_of_it(goal: Goal, shown: Report, expected: bool) -> None:
    assert confirms(goal, shown) is expected


@pytest.mark.parametrize(
    ("case", "ok", "code"),
    [
        (task(report(State.RUNNING, pid=5)), True, Code.OK),
        (task(report(State.EXITED, exit_status=0), with_worker=False), True, Code.OK),
        (task(report(State.EXITED, exit_status=256), with_worker=False), False, Code.TASK_FAILED),
        (task(report(State.EXITED, exit_status=None), with_worker=False), False, Code.TASK_FAILED),
        (task(report(State.FATAL, reason="no such file"), with_worker=False), False, Code.TASK_FAILED),
        (task(report(State.STOPPING, TRM), TRM), False, Code.BAD_STATE),
    ],
)
def test_a_start_is_settled_by_running_by_an_end_or_by_somebody_elses_stop(case: Task, ok: bool, code: Code) -> None:
    outcome = settled(ACT, case)
    assert outcome is not None
    assert (outcome.ok, outcome.code) == (ok, code)


@pytest.mark.parametrize(
    "case",
    [
        task(report(State.STARTING)),
        task(report(State.BACKOFF)),
        task(report(State.RUNNING), unconfirmed=True),
        task(report(State.EXITED, exit_status=0), unconfirmed=True),
    ],
)
def test_a_start_that_is_under_way_or_unheard_is_not_settled(case: Task) -> None:
    assert settled(ACT, case) is None


def test_a_start_that_waits_in_vain_is_answered_and_one_that_only_waits_is_not() -> None:
    waiting = task(report(State.STARTING), unconfirmed=True, with_worker=False)
    waiting.waits = "waits for db (ready)"
    assert settled(ACT, waiting) is None
    waiting.waits, waiting.stuck = "waits for db (ready), which is FATAL", True
    outcome = settled(ACT, waiting)
    assert outcome is not None and (outcome.ok, outcome.code) == (False, Code.TASK_FAILED)
    assert outcome.sentence == "waits for db (ready), which is FATAL; it goes on waiting"
    assert waiting.unmanned and not waiting.resting


def test_a_stop_that_waits_for_others_is_still_to_come() -> None:
    held = task(report(State.RUNNING))
    held.stops_for, held.stops_after = "me", "stops when app has stopped"
    assert settled(TRM, held) is None
    assert row(held, 1.0).reason == "stops when app has stopped"


def test_a_stop_is_settled_at_rest_and_not_before() -> None:
    assert settled(TRM, task(report(State.STOPPING, TRM), TRM)) is None
    assert settled(TRM, task(report(State.STOPPED, TRM, final=True), TRM, unconfirmed=True)) is None
    stopped = settled(TRM, task(report(State.STOPPED, TRM), TRM, with_worker=False))
    assert stopped is not None and stopped.ok


def test_a_stop_that_somebody_else_undid_says_so() -> None:
    undone = settled(TRM, task(report(State.STARTING), ACT))
    assert undone is not None
    assert undone.code is Code.BAD_STATE


def test_a_row_is_bounded_whatever_a_program_or_a_flow_put_into_it() -> None:
    shown = row(task(report(State.BACKOFF, reason="x" * 100_000, blocked_by=[f"consumer-{n}" for n in range(5000)])), 3.0)
    assert len(shown.reason) < MAX_REASON + 10
    assert shown.blocked_by[-1] == "and 4950 more"


def test_a_task_without_a_program_has_no_uptime() -> None:
    assert row(task(report(State.EXITED, pid=0)), 99.0).uptime_s == 0.0
    assert row(task(report(State.RUNNING, pid=9)), 99.0).uptime_s == 99.0
