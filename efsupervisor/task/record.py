"""Small files by which processes of ours find each other again: the program record and the worker's last report.

Both are JSON with a version, replaced by rename, so a reader sees a whole one.  They inform; the lock and the pidfd decide.
"""

from __future__ import annotations

import contextlib
import os
from typing import TypeVar

import msgspec

from efsupervisor.errors import JournalError
from efsupervisor.messages import Report
from efsupervisor.states import Goal
from efsupervisor.system import Real, boot_id, write_whole
from efsupervisor.task.paths import TaskPaths

VERSION = 1
T = TypeVar("T")


class ProgramRecord(msgspec.Struct, frozen=True, kw_only=True):
    """Identity of the program of one incarnation, written by the child itself before it executes.  A pid counts only with its start time and boot."""

    version: int = VERSION
    incarnation: int
    boot_id: str
    pid: int
    start_ticks: int
    started_wall: float = 0.0


def write_program(system: Real, paths: TaskPaths, incarnation: int, wall_ns: int, boot: str) -> None:
    """Called by the forked child: records itself."""
    pid = os.getpid()
    record = ProgramRecord(
        incarnation=incarnation, boot_id=boot, pid=pid, start_ticks=system.start_ticks("self") or 0, started_wall=wall_ns / 1e9
    )
    write_whole(system, paths.program, msgspec.json.encode(record))


def read_program(paths: TaskPaths) -> ProgramRecord | None:
    """The record, None when there is none.  JournalError when it is not one of ours."""
    return _read(paths.program, ProgramRecord)


def program_is_alive(system: Real, record: ProgramRecord | None) -> bool:
    """The recorded program runs now: same boot, same pid, same start time, no zombie."""
    return record is not None and record.boot_id == boot_id() and system.start_ticks(record.pid) == record.start_ticks


def write_state(system: Real, paths: TaskPaths, report: Report) -> None:
    """Replace state.json."""
    write_whole(system, paths.state, msgspec.json.encode(report))


def read_state(paths: TaskPaths) -> Report | None:
    """The worker's last report; None when there is none or it is damaged (then the task is judged by its other files)."""
    try:
        return _read(paths.state, Report)
    except JournalError:
        return None


def unfinish(system: Real, paths: TaskPaths) -> None:
    """A task that had finished is to run again: its neighbours must not take the end of its last life for the end of the next.  The Core calls it for
    every task of a command before the first of them is forked.  A full disk leaves the old word; the new worker's first report mends it."""
    report = read_state(paths)
    if report is not None and report.finished:
        with contextlib.suppress(OSError):
            write_state(system, paths, msgspec.structs.replace(report, finished=False, goal=Goal.ACT))


def _read(path: str, kind: type[T]) -> T | None:
    try:
        with open(path, "rb") as file:
            data = file.read()
    except FileNotFoundError:
        return None
    try:
        return msgspec.json.decode(data, type=kind)
    except msgspec.DecodeError as error:
        raise JournalError(f"{path} is damaged: {error}") from error
