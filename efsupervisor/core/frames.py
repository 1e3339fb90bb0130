"""Replies that are longer than a frame: cut into several, or said shorter.  Pure.

Rows are made one by one while frames leave, so a client that does not read holds up one frame of memory, whatever the number of tasks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

import msgspec

from efsupervisor.core.registry import ALL
from efsupervisor.errors import Code
from efsupervisor.messages import MAX_FRAME, DoneReply, Outcome, Reply, StatusReply, TaskStatus

ROOM = MAX_FRAME - (4 << 10)
"""Bytes of rows or outcomes in one frame; the rest is for what surrounds them."""

R = TypeVar("R")
F = TypeVar("F")
_json = msgspec.json.Encoder()


def paged(rows: Iterable[R], frame: Callable[[list[R], bool], F]) -> Iterator[F]:
    """Frame after frame, each below the limit.  frame(rows, more): makes one; more: another follows."""
    part: list[R] = []
    size = 0
    for each in rows:
        length = len(_json.encode(each)) + 1
        if part and size + length > ROOM:
            yield frame(part, True)
            part, size = [], 0
        part.append(each)
        size += length
    yield frame(part, False)


def fitting(rows: list[R]) -> list[R]:
    """As many of the first rows as one frame takes; at least one."""
    size = 0
    for number, each in enumerate(rows):
        size += len(_json.encode(each)) + 1
        if number and size > ROOM:
            return rows[:number]
    return rows


def status_frames(request_id: str, rows: Iterable[TaskStatus], *, ending: bool = False) -> Iterator[StatusReply]:
    """StatusReply after StatusReply, all but the last with `more`."""
    return paged(rows, lambda part, more: StatusReply(id=request_id, tasks=part, more=more, ending=ending))


def done_frames(request_id: str, outcomes: list[Outcome]) -> list[Reply]:
    """One DoneReply with what fits: failures first and whole, then what went well, then a count of what is left out."""
    ranked = sorted(outcomes, key=lambda outcome: outcome.ok)
    kept: list[Outcome] = []
    size = 0
    for number, outcome in enumerate(ranked):
        size += len(_json.encode(outcome)) + 1
        if size > ROOM:
            left = ranked[number:]
            bad = next((one for one in left if not one.ok), None)
            sentence = f"and {len(left)} more tasks" + ("" if bad is None else ", not all of them as asked; see their status")
            kept.append(Outcome(task=ALL, ok=bad is None, code=bad.code if bad else Code.OK, sentence=sentence))
            break
        kept.append(outcome)
    if len(kept) == len(outcomes):
        kept = list(outcomes)
    return [DoneReply(id=request_id, outcomes=kept)]
