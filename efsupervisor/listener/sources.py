"""Where the events of a pool come from: rows of the Core, the clock, and logs of tasks.

Everything is asked for from a place that is kept in the pool's file, so what happened while a bridge was dead is told by the next one, as far as the
Core still knows it; what it does not is counted and told.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from efsupervisor.errors import EfError
from efsupervisor.journal import Reader
from efsupervisor.listener import kinds
from efsupervisor.listener.kinds import Event
from efsupervisor.listener.pool import Kept
from efsupervisor.messages.core import EventsReply, TaskDetail, TaskStatus
from efsupervisor.system import System
from efsupervisor.task.paths import TaskPaths

BEGIN, END = b"<!--XSUPERVISOR:BEGIN-->", b"<!--XSUPERVISOR:END-->"
PIECE = 32 << 10
YOUNG_S = 10.0
"""A supervisor that is younger than this is told of from its first event on; else a new pool begins with what happens now."""

Names = dict[str, tuple[str, str]]


class Followed(NamedTuple):
    """One log of one task that listeners want."""

    task: str
    folder: str
    channel: str
    whole: bool
    capture: int


def names(details: list[TaskDetail]) -> Names:
    """Process and group of each task, as supervisord would call them."""
    found = {}
    for detail in details:
        spec = detail.spec
        process = spec.process_name if spec.group and spec.process_name else spec.name
        found[spec.name] = (process, spec.group or (detail.groups[0] if detail.groups else process))
    return found


def of_core(kept: Kept, reply: EventsReply, called: Names, wanted: frozenset[str], say: Callable[[str], None]) -> list[Event]:
    """The events of an answer of the Core's; moves the cursor."""
    rows = [row for row in reply.rows if row.seq >= kept.cursor]
    if reply.lost and kept.cursor >= 0 and reply.next > kept.cursor:
        say(f"up to {reply.lost} events happened that the supervisor does not know any more")
    kept.cursor = max(kept.cursor, reply.next)
    return [event for row in rows for event in kinds.of_row(row, called) if event.name in wanted]


def of_clock(kept: Kept, second: int, wanted: frozenset[str]) -> list[Event]:
    """Ticks since the last look; the first look gives none."""
    before, kept.second = kept.second, second
    return [event for event in kinds.ticks(before, second) if event.name in wanted] if before and before <= second else []


def followed(details: list[TaskDetail], wanted: frozenset[str]) -> list[Followed]:
    """Logs that must be read for these subscriptions."""
    found = []
    for detail in details:
        spec, paths = detail.spec, TaskPaths(detail.folder)
        if spec.type == "eventlistener":
            continue
        for channel, folder, enabled, capture in (
            ("stdout", paths.out_journal, spec.stdout_events_enabled, spec.stdout_capture_maxbytes),
            ("stderr", paths.err_journal, spec.stderr_events_enabled, spec.stderr_capture_maxbytes),
        ):
            whole = enabled and f"PROCESS_LOG_{channel.upper()}" in wanted
            capture = capture if f"PROCESS_COMMUNICATION_{channel.upper()}" in wanted else 0
            if whole or capture:
                found.append(Followed(spec.name, folder, channel, whole, capture))
    return found


def of_log(kept: Kept, log: Followed, row: TaskStatus | None, called: Names, system: System) -> list[Event]:
    """What was written since the last look, and what was said between tokens; the first look gives nothing.  A token that is not whole yet is waited
    for, and so is the end of what is said, as long as it fits into its capture."""
    key = f"{log.channel} {log.task}"
    reader = Reader(log.folder, system=system)
    try:
        end = reader.end()
        offset = kept.offsets.get(key, -1)
        if offset < 0:
            kept.offsets[key] = end
            return []
        offset = reader.skip(offset)
        data = reader.read(offset, PIECE + log.capture) if offset < end else b""
    except (EfError, OSError):
        return []
    finally:
        reader.close()
    process, group = called.get(log.task, (log.task, log.task))
    pid = row.pid if row is not None else 0
    found, used = divided(data, log.capture) if log.capture else ([(False, data)], len(data))
    kept.offsets[key] = offset + used
    return [
        kinds.communication(process, group, pid, log.channel, piece[-log.capture :])
        if said
        else kinds.log_event(process, group, pid, log.channel, piece)
        for said, piece in found
        if said or (piece and log.whole)
    ]


def divided(data: bytes, capture: int) -> tuple[list[tuple[bool, bytes]], int]:
    """Pieces of output and of what is said between tokens (True), in order, and how many bytes they are; the rest must be looked at again."""
    found: list[tuple[bool, bytes]] = []
    at = 0
    while at < len(data):
        begin = data.find(BEGIN, at)
        if begin < 0:
            stop = len(data) - _half(data[at:], BEGIN)
            found.append((False, data[at:stop]))
            return found, stop
        end = data.find(END, begin)
        if end < 0 and len(data) - begin <= capture + PIECE // 2:
            found.append((False, data[at:begin]))
            return found, begin
        found.append((False, data[at:begin]))
        stop = end if end >= 0 else len(data)
        found.append((True, data[begin + len(BEGIN) : stop]))
        at = stop + len(END) if end >= 0 else len(data)
    return found, at


def _half(data: bytes, token: bytes) -> int:
    """How many bytes at the end may be the beginning of a token."""
    return next((length for length in range(min(len(data), len(token) - 1), 0, -1) if data.endswith(token[:length])), 0)
