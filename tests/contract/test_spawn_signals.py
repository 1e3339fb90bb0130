"""A stop signal that meets a child between its fork and its exec: it ends the child, whatever the worker itself makes of that signal."""

from __future__ import annotations

import ctypes
import os
import signal
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from efsupervisor import system as system_module
from efsupervisor.system import Real, boot_id
from efsupervisor.task.paths import TaskPaths
from efsupervisor.task.spawn import Child, Plan, spawn
from tests.support.wait import until


class Halting(Real):
    """A machine on which the child stands still at one fault point until it is let go."""

    def __init__(self, place: str) -> None:
        super().__init__()
        self._place = place
        self.arrived = os.pipe2(os.O_CLOEXEC)
        self.go = os.pipe2(os.O_CLOEXEC)

    def fault(self, name: str) -> None:
        """Say that we are here, then wait."""
        if name == self._place:
            os.write(self.arrived[1], b".")
            os.read(self.go[0], 1)

    def close_all(self) -> None:
        """Close the pipes."""
        for fd in (*self.arrived, *self.go):
            os.close(fd)


@pytest.fixture
def ignoring() -> Iterator[None]:
    """What a worker does with the stop signals."""
    former = {number: signal.signal(number, signal.SIG_IGN) for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)


@contextmanager
def sleeper(system: Real, folder: Path) -> Iterator[Child]:
    """A program that would run for long; it is gone at the end whatever happens."""
    (folder / "run").mkdir(mode=0o700)
    null = os.open(os.devnull, os.O_RDWR)
    plan = Plan(["sleep", "1000"], {"PATH": os.environ["PATH"]}, "", 0o022, None)
    child = spawn(system, TaskPaths(str(folder)), plan, (null, null, null), 1, boot_id())
    try:
        yield child
    finally:
        if system.pidfd_signal(child.pidfd, signal.SIGKILL):
            os.waitid(os.P_PIDFD, child.pidfd, os.WEXITED)
        for fd in (null, child.pidfd, child.failure):
            os.close(fd)


@pytest.mark.usefixtures("ignoring")
@pytest.mark.parametrize("place", ["spawn:record", "spawn:recorded"])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_a_stop_signal_that_comes_before_the_exec_ends_the_child(tmp_path: Path, place: str, number: int) -> None:
    system = Halting(place)
    with sleeper(system, tmp_path) as child:
        assert os.read(system.arrived[0], 1) == b"."
        assert system.pidfd_signal(child.pidfd, number)
        os.write(system.go[1], b".")
        result = until(lambda: os.waitid(os.P_PIDFD, child.pidfd, os.WEXITED | os.WNOHANG), 5, "the child ends")
        assert (result.si_code, result.si_status) == (os.CLD_KILLED, number)
    system.close_all()


@pytest.mark.usefixtures("ignoring")
def test_a_fork_leaves_the_parents_signals_as_they_were(tmp_path: Path) -> None:
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [])
    with sleeper(Real(), tmp_path):
        assert signal.pthread_sigmask(signal.SIG_BLOCK, []) == before


IGNORED = (signal.SIGTERM, signal.SIGPIPE, 32, 33, signal.SIGRTMIN + 3)
CAUGHT = (signal.SIGHUP, signal.SIGCHLD)


@pytest.mark.parametrize("proc", [True, False], ids=["with /proc", "where /proc does not tell"])
def test_every_signal_that_was_ignored_or_caught_is_at_its_default_in_the_child(monkeypatch: pytest.MonkeyPatch, proc: bool) -> None:
    if not proc:
        monkeypatch.setattr(system_module, "small_file", lambda path: b"Groups:\t1 2 3")
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            for number in IGNORED:
                ignore(number)
            for number in CAUGHT:
                signal.signal(number, lambda *_: None)
            before = masks()
            Real().default_signals()
            os.write(writer, f"{before} {masks()}".encode())
        finally:
            os._exit(0)
    os.close(writer)
    with open(reader, "rb") as told:
        before, after = map(int, told.read().split())
    os.waitpid(pid, 0)
    wanted = sum(1 << (number - 1) for number in (*IGNORED, *CAUGHT))
    assert (before & wanted, after) == (wanted, 0)


def ignore(number: int) -> None:
    """Also the signals that the C library keeps for itself."""
    if number in (32, 33):
        call = system_module._SYS_RT_SIGACTION[os.uname().machine]
        action = struct.pack("<QQQQ", 1, 0, 0, 0)  # SIG_IGN
        ctypes.CDLL(None).syscall(ctypes.c_long(call), ctypes.c_long(number), action, None, ctypes.c_long(8))
    else:
        signal.signal(number, signal.SIG_IGN)


def masks() -> int:
    """Every signal that is ignored or caught here."""
    text = Path("/proc/self/status").read_text()
    return int(text.split("SigIgn:")[1].split()[0], 16) | int(text.split("SigCgt:")[1].split()[0], 16)
