"""Scaling, rolling restarts and pids: what is asked of the Core, and what is made of its answers."""

from __future__ import annotations

from typing import Any

import pytest

from efsupervisor.errors import Code, EfError
from efsupervisor.interface.instance import TaskPid, TaskScale
from efsupervisor.interface.task import Restart
from efsupervisor.messages import core
from efsupervisor.messages.call import Done, Text
from efsupervisor.messages.core import Outcome
from efsupervisor.states import Goal, State
from tests.unit.interface.fake_house import FakeHouse, run


def status(**pids: int) -> core.StatusReply:
    rows = [core.TaskStatus(name=name, state=State.RUNNING if pid else State.STOPPED, goal=Goal.ACT, pid=pid) for name, pid in pids.items()]
    return core.StatusReply(id="", tasks=rows)


def worker(failing: str = "") -> Any:
    """A Core with the tasks w0 to w4; a restart of `failing` fails."""

    def answer(request: Any) -> list[Any]:
        if isinstance(request, core.StatusRequest):
            return [status(w0=1, w1=2, w2=3, w3=4, w4=5)]
        code = Code.TASK_FAILED
        rows = [Outcome(task=name, ok=name != failing, code=code if name == failing else Code.OK, sentence="said") for name in request.names]
        return [core.DoneReply(id="", outcomes=rows)]

    return answer


def restarted(house: FakeHouse) -> list[list[str]]:
    return [request.names for request in house.asked if isinstance(request, core.RestartRequest)]


def test_a_rolling_restart_takes_one_after_the_other() -> None:
    house = FakeHouse(worker())
    answer = run(Restart(names=["w*"], rolling=True), house)
    assert isinstance(answer, Done) and [row.ok for row in answer.rows] == [True] * 5
    assert restarted(house) == [["w0"], ["w1"], ["w2"], ["w3"], ["w4"]]
    assert all(request.wait for request in house.asked if isinstance(request, core.RestartRequest))


def test_a_rolling_restart_takes_as_many_at_once_as_may_be_missing() -> None:
    house = FakeHouse(worker())
    run(Restart(names=["w*"], rolling=True, max_unavailable=2), house)
    assert restarted(house) == [["w0", "w1"], ["w2", "w3"], ["w4"]]


def test_the_first_failure_ends_a_rolling_restart_and_the_others_are_told_so() -> None:
    house = FakeHouse(worker("w1"))
    answer = run(Restart(names=["w*"], rolling=True), house)
    assert isinstance(answer, Done)
    assert [(row.task, row.ok) for row in answer.rows] == [("w0", True), ("w1", False), ("w2", False), ("w3", False), ("w4", False)]
    assert answer.rows[-1].sentence == "not restarted: w1 failed"
    assert restarted(house) == [["w0"], ["w1"]]


def test_each_request_of_a_rolling_restart_has_an_id_of_its_own() -> None:
    house = FakeHouse(worker())
    run(Restart(names=["w*"], rolling=True), house)
    assert len({request.id for request in house.asked}) == len(house.asked)


def test_a_rolling_restart_that_does_not_wait_is_refused() -> None:
    with pytest.raises(EfError, match="rolling restart waits"):
        run(Restart(names=["a"], rolling=True, wait=False), FakeHouse(worker()))


def test_what_a_scale_adds_is_started_and_waited_for() -> None:
    def core_says(request: Any) -> list[Any]:
        if isinstance(request, core.ScaleRequest):
            return [core.DoneReply(id="", outcomes=[Outcome(task=name, ok=True, sentence="added") for name in ("w-1", "w-2")])]
        return [core.DoneReply(id="", outcomes=[Outcome(task=name, ok=True, sentence="RUNNING, pid 7") for name in request.names])]

    house = FakeHouse(core_says)
    answer = run(TaskScale(task="w", instances=3), house)
    assert house.asked == [core.ScaleRequest(id="call", task="w", instances=3), core.ActRequest(id="call.2", names=["w-1", "w-2"])]
    assert isinstance(answer, Done) and [row.sentence for row in answer.rows] == ["RUNNING, pid 7"] * 2


def test_a_scale_that_removes_starts_nothing() -> None:
    rows = [Outcome(task="w-1", ok=True, sentence="removed")]
    house = FakeHouse(lambda request: [core.DoneReply(id="", outcomes=rows)])
    assert run(TaskScale(task="w", instances=1), house) == Done(rows=rows)
    assert len(house.asked) == 1


def test_pids_are_lines_and_the_supervisors_own_without_a_name() -> None:
    assert run(TaskPid(names=["all"]), FakeHouse(lambda request: [status(a=7, b=0)])) == Text(text="7\n0\n")
    version = core.VersionReply(id="", version="1", pid=99, since_wall=1.0)
    assert run(TaskPid(), FakeHouse(lambda request: [version])) == Text(text="99\n")


def test_one_task_without_a_program_has_no_pid() -> None:
    with pytest.raises(EfError, match="b is STOPPED: it has no pid") as caught:
        run(TaskPid(names=["b"]), FakeHouse(lambda request: [status(b=0)]))
    assert caught.value.code is Code.BAD_STATE
