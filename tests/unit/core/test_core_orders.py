"""Signals and logs begun anew: what a worker is told, and what is done when there is none."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from efsupervisor.conf.schema import TaskSpec
from efsupervisor.core.orders import Orders
from efsupervisor.core.tasks import Link, Task
from efsupervisor.journal import Reader, Writer
from efsupervisor.messages import ClearLogs, Outcome, OutEdge, Report, SendSignal, Wiring
from efsupervisor.states import Goal, State
from efsupervisor.system import REAL
from efsupervisor.task.paths import TaskPaths


class Line:
    """A worker's channel."""

    def __init__(self) -> None:
        self.sent: list[Any] = []

    def send(self, message: Any) -> None:
        self.sent.append(message)


@pytest.fixture
def task(tmp_path: Path) -> Task:
    spec = TaskSpec(name="t", command=["x"])
    found = Task(
        spec=spec, wiring=Wiring(spec=spec, task_dir=str(tmp_path), namespace="n"), paths=TaskPaths(str(tmp_path)),
        report=Report(state=State.RUNNING, goal=Goal.ACT, pid=7),
    )  # fmt: skip
    found.link = Link(pid=1, pidfd=-1, born=0.0, channel=Line())  # type: ignore[arg-type]
    return found


def line(task: Task) -> Line:
    assert task.link is not None
    return task.link.channel  # type: ignore[return-value]


def written(folder: str) -> bytes:
    reader = Reader(folder, system=REAL)
    data = reader.read(reader.first(), 1000)
    reader.close()
    return data


def test_a_signal_goes_to_the_worker_of_a_program_that_runs(task: Task) -> None:
    orders = Orders(REAL)
    assert orders.signal(task, 10).ok
    assert line(task).sent == [SendSignal(number=10)]
    task.report = Report(state=State.BACKOFF, goal=Goal.ACT)
    assert not orders.signal(task, 10).ok
    assert len(line(task).sent) == 1


def test_an_order_is_given_again_to_a_new_worker_and_answered_once(task: Task) -> None:
    orders, told = Orders(REAL), list[Outcome]()
    orders.clear(task, "o", told.append)
    assert line(task).sent == [ClearLogs(order="o")] and told == []
    task.link = Link(pid=2, pidfd=-1, born=0.0, channel=Line())  # type: ignore[arg-type]
    orders.again(task, task.link)
    assert line(task).sent == [ClearLogs(order="o")]
    task.orders.pop("o")("")
    assert [outcome.ok for outcome in told] == [True]


def test_the_logs_of_a_task_at_rest_are_begun_anew_here(task: Task) -> None:
    writer = Writer(task.paths.out_journal, system=REAL)
    writer.append(b"old\n")
    writer.close()
    orders, told = Orders(REAL), list[Outcome]()
    orders.clear(task, "o", told.append)
    task.link = None
    orders.rested(task)
    assert [outcome.ok for outcome in told] == [True]
    assert written(task.paths.out_journal) == b""
    writer = Writer(task.paths.out_journal, system=REAL)
    writer.append(b"new\n")
    writer.close()
    assert written(task.paths.out_journal) == b"new\n"


def test_what_others_still_read_is_not_cleared_at_rest(task: Task) -> None:
    task.wiring = msgspec.structs.replace(task.wiring, outputs=[OutEdge(id="e", folder="/f", consumers=[])])
    task.link = None
    told = list[Outcome]()
    Orders(REAL).clear(task, "o", told.append)
    assert not told[0].ok and "start it first" in told[0].sentence


def test_a_journal_keeps_what_a_cursor_needs(tmp_path: Path) -> None:
    writer = Writer(str(tmp_path / "j"), system=REAL)
    writer.append(b"one\n")
    writer.clear(0)
    assert written(str(tmp_path / "j")) == b"one\n"
    writer.append(b"two\n")
    writer.clear(writer.end)
    assert written(str(tmp_path / "j")) == b""
    assert writer.end == 8
    writer.close()
