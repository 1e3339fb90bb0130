"""The chain of causes: what is told, in which order, and where the story ends."""

from __future__ import annotations

from typing import Any

import pytest

from efsupervisor.conf.schema import TaskSpec
from efsupervisor.errors import Code, EfError
from efsupervisor.interface.why import STEPS, Facts, TaskWhy, counted, story
from efsupervisor.messages import core
from efsupervisor.messages.call import Causes
from efsupervisor.states import Goal, State
from tests.unit.interface.fake_house import FakeHouse, run


def status(name: str = "web", state: State = State.RUNNING, goal: Goal = Goal.ACT, **fields: Any) -> core.TaskStatus:
    return core.TaskStatus(name=name, state=state, goal=goal, since=100.0, **fields)


def detail(**fields: Any) -> core.TaskDetail:
    return core.TaskDetail(spec=TaskSpec(name="web", command=["x"], **fields))


def change(wall: float, before: str, after: str, sentence: str = "") -> core.EventRow:
    return core.EventRow(seq=int(wall), wall=wall, what="state", task="web", before=before, after=after, sentence=sentence)


def ended(wall: float, number: int, reason: str, state: str = "BACKOFF") -> core.RunRow:
    return core.RunRow(number=number, task="web", incarnation=number, began=wall - 0.5, ended=wall, reason=reason, state=state, pid=40 + number)


def sentences(facts: Facts) -> list[str]:
    return [cause.sentence for cause in story(facts)]


def test_a_task_that_runs_says_since_when_and_who_asked() -> None:
    facts = Facts(status(), detail(), events=[change(99, "STOPPED", "STARTING", "asked by uid 0 pid 7"), change(100, "STARTING", "RUNNING")])
    assert sentences(facts) == ["it is RUNNING", "STARTING -> RUNNING", "STOPPED -> STARTING: asked by uid 0 pid 7"]


def test_the_way_back_is_newest_first_and_ends_where_somebody_asked_for_something() -> None:
    events = [
        change(10, "RUNNING", "STOPPING", "asked by uid 0 pid 6"),
        change(20, "STOPPED", "STARTING", "asked by uid 0 pid 7"),
        change(21, "STARTING", "BACKOFF", "exit status 1"),
        change(22, "BACKOFF", "STARTING", "asked by uid 0 pid 7"),
        change(23, "STARTING", "FATAL", "exit status 1"),
    ]
    facts = Facts(
        status(state=State.FATAL, reason="exit status 1, 2 starts failed in a row"), events=events, runs=[ended(23, 2, "exit status 1", "FATAL"),
        ended(21, 1, "exit status 1")], last_words=["no such file: web.conf"],
    )  # fmt: skip
    told = story(facts)
    assert told[0].sentence == "it is FATAL: exit status 1, 2 starts failed in a row; it is wanted running"
    assert told[0].lines == ["no such file: web.conf"]
    assert [(cause.wall, cause.sentence) for cause in told[1:]] == [
        (23, "run 2 (pid 42) ended after 0.5 s and the task became FATAL: exit status 1"),
        (22, "BACKOFF -> STARTING: tried again"),
        (21, "run 1 (pid 41) ended after 0.5 s and the task became BACKOFF: exit status 1"),
        (20, "STOPPED -> STARTING: asked by uid 0 pid 7"),
    ]


def test_a_consumer_that_holds_it_back_is_named_with_its_own_trouble() -> None:
    flow = core.FlowRow(flow="f", producer="web", consumers=["slow"], lag_bytes=64, max_lag=64, held_back=True)
    facts = Facts(status(blocked_by=["slow"]), others=[status("slow", State.FATAL, reason="gave up")], held=[flow])
    assert sentences(facts)[1] == "it is held back by its consumer slow: 64 bytes wait, 64 may; slow is FATAL: gave up"


@pytest.mark.parametrize(
    ("condition", "other", "waits"),
    [
        ("started", status("db", State.STARTING), False),
        ("started", status("db", State.BACKOFF), True),
        ("ready", status("db", State.STARTING), True),
        ("healthy", status("db", State.RUNNING, health="no answer"), True),
        ("healthy", status("db", State.RUNNING), False),
        ("completed", status("db", State.EXITED, exit_status=256), False),
        ("completed_successfully", status("db", State.EXITED, exit_status=256), True),
        ("completed_successfully", status("db", State.EXITED, exit_status=0), False),
    ],
)
def test_a_dependency_is_named_when_it_is_what_is_waited_for(condition: str, other: core.TaskStatus, waits: bool) -> None:
    facts = Facts(status(state=State.STARTING), detail(depends_on={"db": condition}), [other])
    told = [cause for cause in story(facts) if cause.what == "waits"]
    assert [cause.about for cause in told] == (["db"] if waits else [])


def test_alerts_keep_the_last_lines_and_a_long_story_is_cut() -> None:
    alert = core.EventRow(seq=1, wall=200.0, what="message", task="web", sentence="it says", lines=["ouch"])
    facts = Facts(status(health="hung", dead_letters=2), events=[*(change(number, "A", "B") for number in range(50)), alert])
    told = story(facts)
    assert [cause.what for cause in told[:4]] == ["now", "health", "dead-letter", "message"]
    assert told[3].lines == ["ouch"]
    assert len(told) == 3 + STEPS


def test_a_reason_is_said_once_and_equal_last_words_are_counted() -> None:
    facts = Facts(status(state=State.FATAL, reason="exit status 1"), runs=[ended(23, 2, "exit status 1", "FATAL")])
    assert sentences(facts)[1] == "run 2 (pid 42) ended after 0.5 s and the task became FATAL"
    assert counted(["a", "a", "b", "a"]) == ["a (2 times)", "b", "a"]


class FakeCore:
    """A Core with one task that waits for another."""

    def __init__(self) -> None:
        self.events = [change(20, "STOPPED", "STARTING", "asked by uid 0 pid 7")]

    def __call__(self, request: Any) -> list[core.Reply]:
        match request:
            case core.StatusRequest(names=["all"]):
                return [core.StatusReply(id=request.id, tasks=[status(), status("db")])]
            case core.StatusRequest():
                return [core.StatusReply(id=request.id, tasks=[status(name, State.BACKOFF, reason="exit status 9") for name in request.names])]
            case core.SpecsRequest():
                return [core.SpecsReply(id=request.id, tasks=[detail(depends_on={"db": "ready"})])]
            case core.FlowsRequest():
                return [core.FlowsReply(id=request.id, rows=[])]
            case core.HistoryRequest():
                return [core.HistoryReply(id=request.id, rows=[])]
            case core.EventsRequest(since=None):
                return [core.EventsReply(id=request.id, rows=[], next=21)]
            case core.EventsRequest():
                return [core.EventsReply(id=request.id, rows=self.events, next=21)]
        raise EfError("it has no log", Code.SYSTEM)


def test_the_verb_gathers_it_all_even_when_there_is_no_log() -> None:
    answer = run(TaskWhy(task="web"), FakeHouse(FakeCore()))
    assert isinstance(answer, Causes)
    assert [row.sentence for row in answer.rows] == [
        "it is BACKOFF: exit status 9; it is wanted running",
        "it depends on db (ready), and db is BACKOFF: exit status 9",
        "STOPPED -> STARTING: asked by uid 0 pid 7",
    ]


def test_one_task_must_be_named() -> None:
    with pytest.raises(EfError, match="stands for 2 tasks"):
        run(TaskWhy(task="all"), FakeHouse(FakeCore()))
