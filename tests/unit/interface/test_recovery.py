"""A recovery: the second instance, what is done with it in which order, and that nothing of it stays."""

from __future__ import annotations

import time
from typing import Any

import msgspec
import pytest

from efsupervisor.conf.schema import InputSpec, TaskSpec
from efsupervisor.errors import Code, EfError
from efsupervisor.interface.recovery import MARK, RecoveryRun, RecoveryShow, instance, stem
from efsupervisor.messages import core
from efsupervisor.messages.call import Recovered, Tasks
from efsupervisor.states import Goal, Kind, Protocol, State
from tests.unit.interface.fake_house import FakeHouse, run

LIVE = TaskSpec(name="import", command=["x"], environment={"A": "1"}, input=InputSpec(protocol=Protocol.EVENT, window=8))


class FakeCore:
    """A Core that runs second instances for some looks.  looks: how many until it is at rest; None: for ever."""

    def __init__(self, looks: int | None = 3) -> None:
        self.tasks: dict[str, TaskSpec] = {"import": LIVE}
        self.looks = looks
        self.done: list[str] = []
        self.fail: EfError | None = None

    def __call__(self, request: Any) -> list[core.Reply]:
        match request:
            case core.SpecsRequest():
                names = request.names or list(self.tasks)
                if names[0] not in self.tasks:
                    raise EfError("no task has this name", Code.NO_SUCH_TASK)
                rows = [core.TaskDetail(spec=self.tasks[name], origin="file" if name == "import" else "added") for name in names]
                return [core.SpecsReply(id=request.id, tasks=rows)]
            case core.StatusRequest():
                return [core.StatusReply(id=request.id, tasks=[self._row(name) for name in request.names])]
            case core.ReadRequest():
                return [core.ReadReply(id=request.id, offset=0, data=request.stream.encode(), next=3, end=3)]
        self.done.append(type(request).__name__)
        if isinstance(request, core.AddTaskRequest):
            self.tasks[request.spec.name] = request.spec
        elif isinstance(request, core.DelTaskRequest):
            del self.tasks[request.names[0]]
        elif isinstance(request, core.PutRequest) and self.fail is not None:
            raise self.fail
        elif isinstance(request, core.TrmRequest):
            self.looks = 0
        return [core.DoneReply(id=request.id, outcomes=[core.Outcome(task="t", ok=True)])]

    def _row(self, name: str) -> core.TaskStatus:
        if name not in self.tasks:
            raise EfError("no task has this name", Code.NO_SUCH_TASK)
        if self.looks is not None:
            self.looks -= 1
        ended = self.looks is not None and self.looks < 0
        state = State.EXITED if ended else State.RUNNING
        return core.TaskStatus(name=name, state=state, goal=Goal.ACT, incarnation=1, exit_status=0 if ended else None, acknowledged=1)


def test_the_second_instance_is_a_job_of_its_own_on_one_event() -> None:
    second = instance(LIVE, "id", 100.0)
    assert second.command == LIVE.command
    assert (second.kind, second.autostart, second.restarts, second.startsecs) == (Kind.JOB, False, "false", 0.0)
    assert second.input == InputSpec(protocol=Protocol.EVENT, window=1, stdin="eof", max_deliveries=1, on_poison="drop")
    assert second.environment == {"A": "1", MARK: "100"}
    assert second.name.startswith("import-recovery-")


def test_its_name_is_a_name_whatever_the_tasks_is_and_the_same_for_the_same_call() -> None:
    long = msgspec.structs.replace(LIVE, name="a" * 39 + "." + "b" * 24)
    assert len(instance(long, "id", 0).name) <= 64
    assert "." not in instance(long, "id", 0).name
    assert instance(LIVE, "one", 0).name == instance(LIVE, "one", 9).name != instance(LIVE, "two", 0).name


def test_a_task_that_takes_no_events_is_refused_before_anything_is_done() -> None:
    fake = FakeCore()
    fake.tasks["import"] = msgspec.structs.replace(LIVE, input=None)
    with pytest.raises(EfError, match="takes no events") as refused:
        run(RecoveryRun(task="import", text="e"), FakeHouse(fake))
    assert refused.value.code is Code.BAD_STATE and fake.done == []


def test_it_is_added_given_the_event_started_read_and_removed() -> None:
    fake = FakeCore()
    house = FakeHouse(fake)
    answer = run(RecoveryRun(task="import", text="e"), house)
    assert isinstance(answer, Recovered)
    assert (answer.task, answer.ended, answer.exit_status, answer.acknowledged, answer.out, answer.err) == ("import", True, 0, True, b"out", b"err")
    assert fake.done == ["AddTaskRequest", "PutRequest", "ActRequest", "DelTaskRequest"]
    assert list(fake.tasks) == ["import"]
    assert [request for request in house.asked if "import" in getattr(request, "names", [])] == [core.SpecsRequest(id="call.2", names=["import"])]


def test_one_that_does_not_end_is_stopped_and_that_is_told() -> None:
    fake = FakeCore(looks=None)
    answer = run(RecoveryRun(task="import", text="e", timeout_s=0.001), FakeHouse(fake))
    assert isinstance(answer, Recovered)
    assert not answer.ended
    assert fake.done == ["AddTaskRequest", "PutRequest", "ActRequest", "TrmRequest", "DelTaskRequest"]


def test_it_is_removed_when_the_event_cannot_be_put() -> None:
    fake = FakeCore()
    fake.fail = EfError("too large", Code.TOO_LARGE)
    with pytest.raises(EfError, match="too large"):
        run(RecoveryRun(task="import", text="e"), FakeHouse(fake))
    assert list(fake.tasks) == ["import"]


def test_an_unknown_task_is_said_and_nothing_is_added() -> None:
    fake = FakeCore()
    with pytest.raises(EfError) as raised:
        run(RecoveryRun(task="nobody", text="e"), FakeHouse(fake))
    assert raised.value.code is Code.NO_SUCH_TASK
    assert fake.done == []


def test_what_a_dead_middle_interface_left_over_is_removed_by_the_next_one() -> None:
    fake = FakeCore()
    old = instance(LIVE, "old", time.time() - 1)
    fresh = instance(LIVE, "fresh", time.time() + 100)
    fake.tasks |= {old.name: old, fresh.name: fresh}
    run(RecoveryRun(task="import", text="e"), FakeHouse(fake))
    assert list(fake.tasks) == ["import", fresh.name]


def test_a_call_that_comes_again_goes_on_with_what_the_first_one_made() -> None:
    fake = FakeCore()
    house = FakeHouse(fake)
    first = instance(LIVE, "call", time.time() + 100)

    def core_of(request: Any) -> list[core.Reply]:
        if isinstance(request, core.AddTaskRequest):
            raise EfError("there is one of this name", Code.EXISTS)
        return fake(request)

    fake.tasks[first.name] = first
    house = FakeHouse(core_of)
    assert isinstance(run(RecoveryRun(task="import", text="e"), house), Recovered)
    assert list(fake.tasks) == ["import"]


def test_recoveries_that_are_under_way_are_shown() -> None:
    fake = FakeCore()
    assert run(RecoveryShow(), FakeHouse(fake)) == Tasks(rows=[])
    fresh = instance(LIVE, "fresh", time.time() + 100)
    fake.tasks[fresh.name] = fresh
    shown = run(RecoveryShow(names=["import"]), FakeHouse(fake))
    assert isinstance(shown, Tasks)
    assert [row.name for row in shown.rows] == [fresh.name]
    assert run(RecoveryShow(names=["other"]), FakeHouse(fake)) == Tasks(rows=[])
    assert fresh.name.startswith(stem("import"))
