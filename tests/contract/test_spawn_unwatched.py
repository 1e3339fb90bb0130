"""A child that its worker cannot watch, for want of a descriptor, is ended: it must never run unseen beside its successor."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from efsupervisor.errors import SpawnFailed
from efsupervisor.system import Real, boot_id
from efsupervisor.task.paths import TaskPaths
from efsupervisor.task.spawn import Plan, spawn


class Blind(Real):
    """A machine that gives no pidfd."""

    def __init__(self) -> None:
        super().__init__()
        self.forked: list[int] = []

    def fork(self) -> int:
        pid = super().fork()
        self.forked.append(pid)
        return pid

    def pidfd_open(self, pid: int) -> int:  # type: ignore[override]
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))


def test_a_child_without_a_pidfd_is_killed_and_the_start_counts_as_a_shortage_of_the_machine(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir(mode=0o700)
    system, before = Blind(), set(os.listdir("/proc/self/fd"))
    null = os.open(os.devnull, os.O_RDWR)
    plan = Plan(["sleep", "1000"], {"PATH": os.environ["PATH"]}, "", 0o022, None)
    with pytest.raises(SpawnFailed) as caught:
        spawn(system, TaskPaths(str(tmp_path)), plan, (null, null, null), 1, boot_id())
    os.close(null)
    assert caught.value.transient
    assert os.waitstatus_to_exitcode(os.waitpid(system.forked[0], 0)[1]) == -9
    assert set(os.listdir("/proc/self/fd")) == before
