"""The real siblings together: they come up, come back, fit into the memory they may have, and carry the last answer of a shutdown."""

from __future__ import annotations

import re
import signal
import socket
import time
from pathlib import Path
from typing import Any

import pytest

from efsupervisor.states import State
from tests.support import processes
from tests.support.supervisor import Supervisor
from tests.support.wait import until

pytestmark = pytest.mark.alone

NAMES = ("middle", "web", "resource", "result")
SLEEPER: dict[str, Any] = {"command": "sleep 100000", "startsecs": 0}
MAX_PSS_KIB = 80 << 10
EFCTL_S = 5.0


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def supervisor(folder: Path) -> Supervisor:
    return Supervisor(folder, {"S": SLEEPER}, supervisor={"services": True, "web": {"port": free_port()}})


def pss_kib(pid: int) -> int:
    found = re.search(r"^Pss:\s+(\d+) kB", Path(f"/proc/{pid}/smaps_rollup").read_text(), re.MULTILINE)
    assert found is not None
    return int(found[1])


def test_the_whole_supervisor_comes_up_healthy_and_fits_into_its_memory(tmp_path: Path) -> None:
    with supervisor(tmp_path) as made:
        for name in ("host", *NAMES):
            made.await_service(name)
        until(lambda: any(process.name == "efs-listener" for process in made.ours()), 20, "the web listener is there")
        until(lambda: not any(row.health for row in made.services().values()), 20, lambda: f"nobody is ill: {made.services()}")
        ours = [process for process in made.ours() if process.name.startswith("efs")]
        assert {process.name for process in ours} >= {"efsupervisord", "efs-host", "efs-listener", *(f"efs-{name}" for name in NAMES)}
        figures = {process.name: pss_kib(process.pid) for process in ours}
        assert sum(figures.values()) <= MAX_PSS_KIB, figures
        assert not any(row.restarts for row in made.services().values())


def test_each_that_is_killed_comes_back_and_efctl_works_meanwhile(tmp_path: Path) -> None:
    with supervisor(tmp_path) as made:
        before, program = {name: made.await_service(name) for name in ("host", *NAMES)}, made.program_pid("S")
        for name in (*NAMES, "host"):
            processes.send(made.services()[name].pid, signal.SIGKILL)
            began = time.monotonic()
            done = made.efctl("status", "S")
            assert done.returncode == 0 and b"RUNNING" in done.stdout, done
            assert time.monotonic() - began < EFCTL_S
            made.await_service(name, before[name])
        for name in NAMES:
            made.await_service(name)
        assert made.program_pid("S") == program


def test_a_middle_interface_that_is_stopped_does_not_hold_up_efctl(tmp_path: Path) -> None:
    with supervisor(tmp_path) as made:
        pid = made.await_service("middle")
        processes.send(pid, signal.SIGSTOP)
        for command in (("status",), ("trm", "S"), ("act", "S")):
            began = time.monotonic()
            assert made.efctl(*command).returncode == 0, command
            assert time.monotonic() - began < EFCTL_S
        made.await_service("middle", pid)
        assert made.row("S").state is State.RUNNING


def test_a_shutdown_by_efctl_is_answered_and_leaves_nothing(tmp_path: Path) -> None:
    with supervisor(tmp_path) as made:
        for name in ("host", *NAMES):
            made.await_service(name)
        began = time.monotonic()
        done = made.efctl("shutdown")
        assert done.returncode == 0, done
        assert time.monotonic() - began < EFCTL_S
        assert made.await_core_end() == 0
        until(lambda: not made.ours(), 1, lambda: f"nothing is left: {made.leaks()}")
        assert " ERROR " not in (made.var / "log" / "efsupervisord.log").read_text()
        made.start()
