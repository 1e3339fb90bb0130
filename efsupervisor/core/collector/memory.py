"""Samples in bounded memory: the last ones of the node and of each task, the same number for every task.

A sample of a task is kept as nine packed floats.  With more tasks each keeps fewer: all together never hold more than MAX_SAMPLES.
"""

from __future__ import annotations

import struct
from collections import deque
from collections.abc import Collection, Iterator

import msgspec

from efsupervisor.messages.call import NodeSample, TaskFigures, TaskSample

MAX_SAMPLES = 100_000
LEAST = 2
ROW = 200

_FIELDS = TaskSample.__struct_fields__
_PACKED = struct.Struct(f"<{len(_FIELDS)}d")
_KINDS = {field.name: field.type for field in msgspec.structs.fields(TaskSample)}


class Memory:
    """keep: how many samples of each are wanted."""

    def __init__(self, keep: int) -> None:
        self._keep = keep
        self._node: deque[NodeSample] = deque(maxlen=keep)
        self._tasks: dict[str, deque[bytes]] = {}

    def configure(self, keep: int) -> None:
        """Another number; what is too old goes with the next sample."""
        self._keep = keep
        self._node = deque(self._node, maxlen=keep)

    def node(self, sample: NodeSample) -> None:
        """One more of the node."""
        self._node.append(sample)

    def task(self, name: str, sample: TaskSample) -> None:
        """One more of a task."""
        kept = self._tasks.setdefault(name, deque())
        kept.append(_PACKED.pack(*(getattr(sample, field) for field in _FIELDS)))
        room = min(self._keep, max(LEAST, MAX_SAMPLES // len(self._tasks)))
        while len(kept) > room:
            kept.popleft()

    def only(self, names: Collection[str]) -> None:
        """Forget every task that is not among these."""
        for name in set(self._tasks) - set(names):
            del self._tasks[name]

    def last_of_node(self, count: int) -> list[NodeSample]:
        """The last samples of the node, oldest first."""
        return list(self._node)[-count:]

    def last_of_tasks(self, names: Collection[str], count: int) -> list[TaskFigures]:
        """The last samples of the named tasks (all when empty), oldest first for each."""
        wanted = [name for name in self._tasks if not names or name in names]
        return [figures for name in wanted for figures in self._of(name, count)]

    def _of(self, name: str, count: int) -> Iterator[TaskFigures]:
        """The last samples of one task, ROW of them at most in one row, so that a row fits into a frame."""
        samples = [_unpacked(packed) for packed in list(self._tasks[name])[-count:]]
        for start in range(0, len(samples), ROW):
            yield TaskFigures(task=name, samples=samples[start : start + ROW])


def _unpacked(packed: bytes) -> TaskSample:
    values = zip(_FIELDS, _PACKED.unpack(packed), strict=True)
    return TaskSample(**{name: int(value) if _KINDS[name] is int else value for name, value in values})
