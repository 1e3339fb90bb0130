"""A program that ended while no worker watched it: what is asked of it then finds nothing and harms nobody."""

from __future__ import annotations

import os
import signal
import subprocess

from efsupervisor.system import REAL
from efsupervisor.task import tree
from efsupervisor.task.program import Program
from tests.support.wait import until


def gone(pid: int = 0) -> Program:
    return Program(REAL, incarnation=1, pid=pid, start_ticks=0, pidfd=-1, adopted=True, started=0.0)


def test_a_signal_to_a_program_that_is_gone_reaches_only_what_it_left_behind() -> None:
    cookie = f"EFS_COOKIE=test:{os.getpid()}"
    with subprocess.Popen(["sleep", "60"], env={"PATH": os.environ["PATH"], "EFS_COOKIE": cookie.partition("=")[2]}) as left:
        until(lambda: tree.has_cookie(str(left.pid), cookie.encode()), 10, "the kernel shows its environment: that comes last in an exec")
        gone().signal(signal.SIGTERM, cookie.encode())
        assert left.wait(10) == -signal.SIGTERM


def test_nobody_belongs_to_a_program_whose_pid_is_not_known() -> None:
    assert tree.strays(0, b"EFS_COOKIE=nobody:at all", os.getpid()) == []
