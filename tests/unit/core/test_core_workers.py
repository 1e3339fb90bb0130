"""Talk with workers that die in the middle of it: a send may end the very link it is made on, and costs nobody else anything."""

from __future__ import annotations

import errno
import os
import signal
import socket
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from efsupervisor import messages
from efsupervisor.conf.schema import TaskSpec
from efsupervisor.core.descriptors import SIGNALS, Descriptors
from efsupervisor.core.fifos import Fifos
from efsupervisor.core.puts import Puts
from efsupervisor.core.registry import Registry
from efsupervisor.core.sockets import Sockets
from efsupervisor.core.tasks import Link, Put, Task
from efsupervisor.core.workers import Workers
from efsupervisor.log import Log
from efsupervisor.messages import AskReaped, HoldInput, PutEvent, Reaped, ReleaseInput, Report, ToWorker, Wiring
from efsupervisor.reactor import Reactor
from efsupervisor.states import Goal, State
from efsupervisor.system import REAL
from efsupervisor.task.paths import TaskPaths
from tests.unit.task.table import Clock


class Office:
    """The Core's part that talks, one task, and the socket of its worker."""

    def __init__(self, folder: str) -> None:
        self.reactor = Reactor(Clock())
        self.descriptors = Descriptors()
        self.reports: list[Task] = []
        self.asked: list[tuple[int, int]] = []
        arguments: dict[str, Any] = {
            "version": "0",
            "deadline_s": 5.0,
            "on_report": self.reports.append,
            "on_rest": lambda task: None,
            "on_alert": lambda *more: None,
            "leave": lambda: None,
            "status_of": self._status_of,
        }
        fifos = Fifos(REAL, self.descriptors)
        log = Log(os.devnull, REAL)
        sockets = Sockets(REAL, self.descriptors, log, Registry())
        self.workers = Workers(self.reactor, REAL, log, lambda name: None, self.descriptors, fifos, sockets, **arguments)  # type: ignore[arg-type,return-value]
        spec = TaskSpec(name="t", command=["true"])
        report = Report(state=State.RUNNING, goal=Goal.ACT)
        self.task = Task(spec=spec, wiring=Wiring(spec=spec, task_dir=folder, namespace="n"), paths=TaskPaths(folder), report=report, goal=Goal.ACT)
        ours, self.peer = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.link = Link(pid=os.getpid(), pidfd=os.pidfd_open(os.getpid()), born=0.0)
        self.workers._attach(self.task, self.link, ours)

    def _status_of(self, pid: int, start_ticks: int) -> int:
        """As the reaper does: it tells the worker what it reaped, over the same line."""
        self.asked.append((pid, start_ticks))
        if self.link.channel is not None:
            self.link.channel.send(Reaped(pid=pid, start_ticks=start_ticks, status=0))
        return 0

    def says(self, message: object) -> None:
        """The worker's word."""
        self.peer.send(messages.encode(message))  # type: ignore[arg-type]

    def heard(self) -> list[object]:
        """What the worker was told."""
        self.peer.setblocking(False)
        found = []
        try:
            while data := self.peer.recv(messages.MAX_FRAME):
                found.append(messages.decode(data, ToWorker))
        except BlockingIOError:
            pass
        return found

    def close(self) -> None:
        if self.link.channel is not None:
            self.link.channel.close()
        self.peer.close()
        if self.link.pidfd >= 0:
            os.close(self.link.pidfd)
        self.workers._turnstile.close()
        self.reactor.close()


@pytest.fixture
def office(tmp_path: Any) -> Iterator[Office]:
    """One worker is connected."""
    made = Office(str(tmp_path))
    yield made
    made.close()


QUESTIONS = [AskReaped(pid=7, start_ticks=1), HoldInput(incarnation=1, path="/nowhere"), ReleaseInput(incarnation=1)]


@pytest.mark.parametrize("question", QUESTIONS, ids=lambda question: type(question).__name__)
def test_a_worker_that_asks_and_dies_ends_its_link_and_nothing_else(office: Office, question: object) -> None:
    office.says(question)
    office.peer.close()
    for _ in range(3):
        office.reactor.turn(0.0)
    assert office.link.channel is None
    assert office.link.closed


def test_a_question_for_an_exit_status_is_answered(office: Office) -> None:
    office.says(AskReaped(pid=7, start_ticks=1))
    office.reactor.turn(0.0)
    assert office.asked == [(7, 1)]
    assert office.heard()[-1] == Reaped(pid=7, start_ticks=1, status=0)


def test_puts_given_again_to_a_worker_that_dies_meanwhile_stay_where_they_are(office: Office) -> None:
    puts = Puts(lambda *more: 0, lambda *more: 0, REAL)
    for number in range(3):
        office.task.puts[f"id{number}"] = Put(b"x", lambda done: None)
    office.peer.close()
    puts.again(office.task, office.link)
    assert office.link.channel is None
    assert list(office.task.puts) == ["id0", "id1", "id2"]


def test_puts_are_given_again_once_in_their_order(office: Office) -> None:
    puts = Puts(lambda *more: 0, lambda *more: 0, REAL)
    for number in range(3):
        office.task.puts[f"id{number}"] = Put(b"%d" % number, lambda done: None)
    for _ in range(2):
        puts.again(office.task, office.link)
    assert office.heard() == [PutEvent(put_id=f"id{number}", data=b"%d" % number) for number in range(3)]


# Bursts --------------------------------------------------------------------------------------------------------------------------------------------


class Burst:
    """A type of task that notes what is asked of it, and whose fork the machine refuses."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, str]] = []
        self.held: list[bool] = []

    def row(self, _name: str) -> Any:
        """As the table of types gives it."""
        return SimpleNamespace(helper=lambda system: SimpleNamespace(prepare=self.prepare), task=self.task)

    def prepare(self, wiring: Wiring) -> None:
        """Folders."""
        self.calls.append(("prepare", wiring.spec.name))

    def task(self, wiring: Wiring, system: object) -> Any:
        """The Core's handle."""

        def act(leave: object) -> None:
            self.calls.append(("fork", wiring.spec.name))
            self.held.append(set(SIGNALS) <= signal.pthread_sigmask(signal.SIG_BLOCK, []))
            raise OSError(errno.EAGAIN, "no more processes")

        return SimpleNamespace(act=act)


def test_a_burst_is_prepared_as_a_whole_before_the_first_fork_and_our_signals_wait_meanwhile(office: Office, tmp_path: Path) -> None:
    """What the Core touches between two forks is copied for each child, so nothing is done there."""
    burst = Burst()
    office.workers._types = burst.row
    names = ["a", "b", "c"]
    for name in names:
        spec = TaskSpec(name=name, command=["true"])
        folder = str(tmp_path / name)
        task = Task(spec=spec, wiring=Wiring(spec=spec, task_dir=folder, namespace="n"), paths=TaskPaths(folder), report=office.task.report)
        office.workers.fork_soon(task)
    office.reactor.turn(0.0)
    assert burst.calls == [("prepare", name) for name in names] + [("fork", name) for name in names]
    assert burst.held == [True] * 3
    assert not set(SIGNALS) & signal.pthread_sigmask(signal.SIG_BLOCK, [])
    assert len(office.reports) == 3, "each says that it waits for a worker"
