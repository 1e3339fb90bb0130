"""What the saved state consists of, and how one row of it is written: JSON beside a checksum.

SQLite notices a page that lost its shape, not a byte that changed inside a value; a command with one wrong letter would be run.  So every row carries
a CRC-32 of all that it says, and a row that does not fit it is damage.

This module must never touch a file: bytes in, structs out.
"""

from __future__ import annotations

import enum
import zlib
from typing import Any

import msgspec

from efsupervisor.conf.schema import FlowSpec, GroupSpec, ScheduleSpec, TaskSpec
from efsupervisor.states import Goal


class Kind(enum.StrEnum):
    """What a row of the table `saved` is; the words lie on disk."""

    TASK = "task"
    FLOW = "flow"
    GROUP = "group"
    SCHEDULE = "schedule"
    SETTING = "setting"
    INTENT = "intent"
    TIME = "time"
    MARK = "mark"
    SCALE = "scale"
    RUN = "run"


class Intent(msgspec.Struct, frozen=True, kw_only=True):
    """What an operator last wanted of a task.  autostart: as it was configured then, so that a later change of the configuration can be told.
    waits: its start was held when the Core last knew.  ticket: of the wish, as its worker is told it."""

    task: str
    goal: Goal
    autostart: bool
    waits: bool = False
    ticket: str = ""


class Setting(msgspec.Struct, frozen=True, kw_only=True):
    """One setting that was set by command; value as text."""

    key: str
    value: str


class LastTime(msgspec.Struct, frozen=True, kw_only=True):
    """When a schedule was last due and worked, wall clock seconds, and what came of it.  running: the due time whose run is under way, 0 for none;
    waiting: due times whose runs wait for it; skipped: how many times were left out."""

    schedule: str
    wall: float
    outcome: str = ""
    running: float = 0.0
    waiting: tuple[float, ...] = ()
    skipped: int = 0


class FlowRun(msgspec.Struct, frozen=True, kw_only=True):
    """A flow or a group that is run to its end now.  ticket: its id, which the runs of its parts have too.  cause: who wanted it."""

    name: str
    ticket: str
    cause: str = ""
    began: float = 0.0


class Mark(msgspec.Struct, frozen=True, kw_only=True):
    """A number that never goes back."""

    number: int


class Scale(msgspec.Struct, frozen=True, kw_only=True):
    """How many instances of an entry are wanted.  written: what the file said then, so that a later change of it can be told."""

    task: str
    instances: int
    written: int


class Saved(msgspec.Struct, kw_only=True):
    """Everything that was saved by command, each list in the order in which things were added first.

    scales: by short_id of the entry.  settings: dotted key -> text.  intents: by short_id of the task.  times: by short_id of the schedule.
    complete: False when the file was damaged, so that something may be missing: then nothing may be stopped or removed only because it is not here.
    """

    tasks: list[TaskSpec] = []
    flows: list[FlowSpec] = []
    groups: list[GroupSpec] = []
    schedules: list[ScheduleSpec] = []
    settings: dict[str, str] = {}
    intents: dict[str, Intent] = {}
    times: dict[str, LastTime] = {}
    complete: bool = True
    scales: dict[str, Scale] = {}
    runs: list[FlowRun] = []


TYPES: dict[Kind, type[msgspec.Struct]] = {
    Kind.TASK: TaskSpec,
    Kind.FLOW: FlowSpec,
    Kind.GROUP: GroupSpec,
    Kind.SCHEDULE: ScheduleSpec,
    Kind.SETTING: Setting,
    Kind.INTENT: Intent,
    Kind.TIME: LastTime,
    Kind.MARK: Mark,
    Kind.SCALE: Scale,
    Kind.RUN: FlowRun,
}

Key = tuple[Kind, str]


class Kept(msgspec.Struct, frozen=True, gc=False):
    """One row of `saved` in memory.  position: counts up in the order of adding."""

    position: int
    value: bytes


def encode(value: msgspec.Struct) -> bytes:
    """JSON.  Half a surrogate pair, which no JSON can hold (a file name that is not UTF-8), becomes a visible escape."""
    try:
        return msgspec.json.encode(value)
    except UnicodeEncodeError:
        return msgspec.json.encode(_plain(msgspec.to_builtins(value)))


def _plain(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode()
    if isinstance(value, list):
        return [_plain(each) for each in value]
    if isinstance(value, dict):
        return {_plain(key): _plain(each) for key, each in value.items()}
    return value


def checksum(kind: str, key: str | int, position: int, value: bytes) -> int:
    """Of one row, over everything it says."""
    return zlib.crc32(value, zlib.crc32(f"{kind}\0{key}\0{position}\0".encode()))


def collected(kept: dict[Key, Kept], *, complete: bool) -> Saved:
    """All rows as structs, in the order of adding."""
    found = Saved(complete=complete)
    for (kind, key), each in sorted(kept.items(), key=lambda item: item[1].position):
        value = msgspec.json.decode(each.value, type=TYPES[kind])
        match value:
            case TaskSpec():
                found.tasks.append(value)
            case FlowSpec():
                found.flows.append(value)
            case GroupSpec():
                found.groups.append(value)
            case ScheduleSpec():
                found.schedules.append(value)
            case Setting():
                found.settings[value.key] = value.value
            case Intent():
                found.intents[key] = value
            case LastTime():
                found.times[key] = value
            case Scale():
                found.scales[key] = value
            case FlowRun():
                found.runs.append(value)
    return found
