"""What /proc tells of processes: who carries our mark, who is a worker, whose child is whom.

A process is (pid, start ticks), never a pid alone.  A worker never executes anything, so its environment in /proc is the Core's; a task's program
carries EFS_COOKIE from its first instruction on, and a child of a worker between fork and exec does not.
"""

from __future__ import annotations

import contextlib
import os
import signal
from typing import NamedTuple


class Process(NamedTuple):
    """One process at one moment.  environ is empty for a zombie and for another user's process."""

    pid: int
    ticks: int
    parent: int
    state: str
    name: str


def look(pid: int) -> Process | None:
    """The process with this pid, None when there is none."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            head, _, tail = file.read().rpartition(b")")
    except (FileNotFoundError, ProcessLookupError):
        return None
    fields = tail.split()
    return Process(pid, int(fields[19]), int(fields[1]), fields[0].decode(), head.partition(b"(")[2].decode("utf-8", "replace"))


def everybody() -> list[Process]:
    """All processes of the machine."""
    return [process for name in os.listdir("/proc") if name.isdigit() and (process := look(int(name)))]


def environment(pid: int) -> dict[bytes, bytes]:
    """The environment a process was executed with; empty when it is gone, a zombie or not readable."""
    try:
        with open(f"/proc/{pid}/environ", "rb") as file:
            pairs = file.read().split(b"\0")
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return {}
    return dict(pair.split(b"=", 1) for pair in pairs if b"=" in pair)


def command(pid: int) -> list[str]:
    """The argument list of a process; empty when it is gone."""
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            return [argument.decode("utf-8", "replace") for argument in file.read().split(b"\0")[:-1]]
    except (FileNotFoundError, ProcessLookupError):
        return []


def children(pid: int) -> list[int]:
    """Pids of a process's direct children (of its main thread)."""
    try:
        with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as file:
            return [int(child) for child in file.read().split()]
    except (FileNotFoundError, ProcessLookupError):
        return []


def marked(variable: bytes, value: bytes) -> list[Process]:
    """Living processes that were executed with this variable in their environment."""
    return [process for process in everybody() if process.state not in "ZX" and environment(process.pid).get(variable) == value]


def alive(pid: int, ticks: int | None = None) -> bool:
    """Whether this very process runs (a zombie does not)."""
    process = look(pid) if pid > 1 else None
    return process is not None and process.state not in "ZX" and ticks in (None, process.ticks)


def send(pid: int, number: int) -> bool:
    """A signal through a pidfd; False when the process is gone.  Refuses pids that would hit a group or init."""
    if pid <= 1:
        raise ValueError(f"a signal to pid {pid} would reach processes that are not ours")
    with contextlib.suppress(ProcessLookupError):
        descriptor = os.pidfd_open(pid)
        try:
            signal.pidfd_send_signal(descriptor, number)
        finally:
            os.close(descriptor)
        return True
    return False
