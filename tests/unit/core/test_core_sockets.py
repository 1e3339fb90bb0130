"""Listening sockets for programs: opened as they are wanted, refused with a sentence, given back when nobody needs them."""

from __future__ import annotations

import os
import socket
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from efsupervisor.conf.schema import TaskSpec
from efsupervisor.core.descriptors import Descriptors
from efsupervisor.core.sockets import Sockets, opened
from efsupervisor.core.tasks import Link, Task
from efsupervisor.errors import EfError
from efsupervisor.log import Log
from efsupervisor.messages import Report, Wiring
from efsupervisor.states import Goal, State
from efsupervisor.system import REAL
from efsupervisor.task.paths import TaskPaths


def task(folder: Path, name: str, named: str, **more: str) -> Task:
    spec = TaskSpec(name=name, command=["x"], socket=named, **more)  # type: ignore[arg-type]
    paths = TaskPaths(str(folder / name))
    report = Report(state=State.RUNNING, goal=Goal.ACT)
    return Task(spec=spec, wiring=Wiring(spec=spec, task_dir=paths.folder, namespace="n"), paths=paths, report=report, queued=True)


@pytest.fixture
def tasks(tmp_path: Path) -> list[Task]:
    named = f"unix://{tmp_path}/web.sock"
    return [task(tmp_path, "a", named), task(tmp_path, "b", named), task(tmp_path, "c", "")]


@pytest.fixture
def sockets(tasks: list[Task]) -> Iterator[Sockets]:
    made = Sockets(REAL, Descriptors(), Log(os.devnull, REAL), tasks)
    yield made
    for each in tasks:
        each.queued, each.link = False, None
    made.sweep()


def connects(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as client:
        try:
            client.connect(str(path))
        except OSError:
            return False
    return True


def test_it_is_opened_once_and_closed_with_the_last_that_needs_it(tmp_path: Path, tasks: list[Task], sockets: Sockets) -> None:
    path = tmp_path / "web.sock"
    sockets.hold(tasks[0], program_is_alive=False)
    sockets.hold(tasks[1], program_is_alive=False)
    assert sockets.held(tasks[0]) == sockets.held(tasks[1]) >= 64 and sockets.held(tasks[2]) == -1
    assert stat.S_IMODE(path.stat().st_mode) == 0o700 and connects(path)
    tasks[0].queued = False
    sockets.sweep()
    assert connects(path)
    tasks[1].queued, tasks[1].again = False, "an operator"
    sockets.sweep()
    assert connects(path), "its restart follows"
    tasks[1].again = ""
    sockets.sweep()
    assert sockets.held(tasks[0]) == -1 and not path.exists()


def test_a_path_that_is_somebody_elses_by_now_stays(tmp_path: Path, tasks: list[Task], sockets: Sockets) -> None:
    path = tmp_path / "web.sock"
    sockets.hold(tasks[0], program_is_alive=False)
    path.unlink()
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(str(path))
        tasks[0].queued = tasks[1].queued = False
        sockets.sweep()
        assert path.exists()


def test_while_an_adopted_worker_may_still_give_it_nobody_opens_another(tmp_path: Path, tasks: list[Task], sockets: Sockets) -> None:
    tasks[0].link = Link(pid=1, pidfd=-1, born=0.0, adopted=True)
    assert sockets.comes(tasks[1]) and not sockets.comes(task(tmp_path, "d", "tcp://127.0.0.1:1"))
    sockets.take(tasks[0], tasks[0].spec.socket, opened(tasks[0].spec))
    tasks[0].link.reported = True
    assert not sockets.comes(tasks[1]) and sockets.held(tasks[1]) >= 64


def test_what_is_given_and_is_no_listening_socket_or_another_one_is_closed(tasks: list[Task], sockets: Sockets) -> None:
    reader, writer = os.pipe()
    sockets.take(tasks[0], tasks[0].spec.socket, writer)
    assert os.read(reader, 1) == b"" and sockets.held(tasks[0]) == -1
    os.close(reader)
    sockets.take(tasks[0], "unix:///another", opened(tasks[0].spec))
    assert sockets.held(tasks[0]) == -1


def test_one_that_only_its_own_living_program_has_is_left_to_it(tmp_path: Path, tasks: list[Task], sockets: Sockets) -> None:
    sockets.hold(tasks[0], program_is_alive=True)
    assert sockets.held(tasks[0]) == -1 and not (tmp_path / "web.sock").exists()


def test_what_cannot_be_opened_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("precious")
    for named, said in (
        (f"unix://{tmp_path}/file", "there is a file of that name that is no socket"),
        (f"unix://{tmp_path}/none/x", "No such file or directory"),
        ("tcp://php.example:9000", "an address or localhost"),
        ("tcp://192.0.2.1:9000", "Cannot assign requested address"),
    ):
        with pytest.raises(EfError, match=said):
            opened(TaskSpec(name="t", command=["x"], socket=named))
    assert (tmp_path / "file").read_text() == "precious"


def test_a_port_that_is_taken_is_tried_again() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        with pytest.raises(OSError, match="cannot be opened"):
            opened(TaskSpec(name="t", command=["x"], socket=f"tcp://127.0.0.1:{other.getsockname()[1]}"))


def test_a_path_longer_than_an_address_may_be_and_a_port_of_ours(tmp_path: Path) -> None:
    deep = tmp_path / ("d" * 120)
    deep.mkdir()
    os.close(opened(TaskSpec(name="t", command=["x"], socket=f"unix://{deep}/s", socket_mode="0660")))
    assert stat.S_IMODE((deep / "s").stat().st_mode) == 0o660
    fd = opened(TaskSpec(name="t", command=["x"], socket="tcp://localhost:48123", socket_backlog=3))
    with socket.socket(fileno=fd) as listener:
        assert listener.getsockname() == ("127.0.0.1", 48123)
