"""Signals to a tree of processes: never to a pid that may be somebody else's; and who adopts whom."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
from typing import Any

import pytest

from efsupervisor.task import tree
from efsupervisor.task.program import Program
from efsupervisor.task.record import ProgramRecord


class Processes:
    """A machine with processes: pid to start time; `changes` happens between the look and the signal."""

    def __init__(self, running: dict[int, int], changes: dict[int, int | None] | None = None) -> None:
        self.running = dict(running)
        self.changes = changes or {}
        self.signalled: list[tuple[int, int]] = []
        self.open: set[int] = set()

    def start_ticks(self, pid: int) -> int | None:
        return self.running.get(pid)

    def pidfd_open(self, pid: int) -> int:
        if pid not in self.running:
            raise ProcessLookupError
        if pid in self.changes:
            then = self.changes[pid]
            if then is None:
                del self.running[pid]
            else:
                self.running[pid] = then
        self.open.add(pid)
        return pid

    def pidfd_signal(self, pidfd: int, number: int) -> bool:
        self.signalled.append((pidfd, number))
        return True

    def close(self, fd: int) -> None:
        self.open.remove(fd)

    def wall_ns(self) -> int:
        return 50 * 10**9

    def monotonic(self) -> float:
        return 1000.0


def machine(*arguments: Any) -> Any:
    return Processes(*arguments)


def test_a_process_is_signalled_through_a_pidfd_that_is_closed_again() -> None:
    system = machine({7: 100})
    tree.signal_one(system, 7, signal.SIGTERM, member=True)
    assert (system.signalled, system.open) == ([(7, signal.SIGTERM)], set())


@pytest.mark.parametrize("pid", [-1, 0, 1])
def test_nothing_at_or_below_pid_1_is_ever_signalled(pid: int) -> None:
    system = machine({pid: 100})
    tree.signal_one(system, pid, signal.SIGKILL, member=True)
    assert system.signalled == []


@pytest.mark.parametrize(
    ("running", "changes"), [({}, {}), ({7: 100}, {7: 101}), ({7: 100}, {7: None})], ids=["gone before", "another one since", "gone since"]
)
def test_a_pid_that_is_not_the_process_that_was_meant_is_left_alone(running: dict[int, int], changes: dict[int, int | None]) -> None:
    system = machine(running, changes)
    tree.signal_one(system, 7, signal.SIGKILL, member=True)
    assert (system.signalled, system.open) == ([], set())


def test_the_processes_of_a_session_are_found_but_for_the_caller_and_a_session_of_nobody() -> None:
    with subprocess.Popen(["sleep", "60"], start_new_session=True) as sleeper:  # not our own session: its leader may live outside our pid namespace
        try:
            assert tree.strays(sleeper.pid, b"EFS_COOKIE=none", os.getpid()) == [sleeper.pid]
            assert tree.strays(sleeper.pid, b"EFS_COOKIE=none", own=sleeper.pid) == []
            assert tree.strays(0, b"EFS_COOKIE=none", os.getpid()) == []
        finally:
            sleeper.kill()


def test_a_process_without_children_and_one_that_is_gone_have_none() -> None:
    assert tree.children(2**22 + 7) == []
    assert tree.descendants(2**22 + 7) == []


def test_a_chain_of_children_is_followed_to_its_end_parents_first(monkeypatch: pytest.MonkeyPatch) -> None:
    family = {1: [2, 3], 2: [4], 4: [5], 3: []}
    monkeypatch.setattr(tree, "children", lambda pid: family.get(pid, []))
    assert tree.descendants(1) == [2, 3, 4, 5]


# Adoption ------------------------------------------------------------------------------------------------------------------------------------------


def record(**more: Any) -> ProgramRecord:
    return ProgramRecord(**({"incarnation": 3, "boot_id": "b", "pid": 7, "start_ticks": 100, "started_wall": 20.0} | more))


def test_a_recorded_program_is_adopted_with_the_time_it_has_lived(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("efsupervisor.task.program._ticks_of_any", lambda pid: 100)
    system = machine({7: 100})
    program = Program.adopt(system, record())
    assert program is not None
    assert (program.pid, program.adopted, program.started, program.runs()) == (7, True, 970.0, True)
    program.close()
    assert system.open == set()


def test_a_program_that_cannot_be_looked_at_now_is_not_taken_for_dead(monkeypatch: pytest.MonkeyPatch) -> None:
    system = machine({7: 100})

    def short(_pid: int) -> int:
        raise OSError(errno.EMFILE, "too many open files")

    monkeypatch.setattr(system, "pidfd_open", short)
    with pytest.raises(OSError, match="too many"):
        Program.adopt(system, record())


def test_a_program_whose_clock_was_set_back_has_lived_no_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("efsupervisor.task.program._ticks_of_any", lambda pid: 100)
    program = Program.adopt(machine({7: 100}), record(started_wall=99.0))
    assert program is not None
    assert program.started == 1000.0


def test_a_pid_that_was_given_to_another_process_is_not_adopted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("efsupervisor.task.program._ticks_of_any", lambda pid: 101)
    system = machine({7: 101})
    assert Program.adopt(system, record()) is None
    assert system.open == set()
    assert Program.adopt(machine({}), record()) is None
