"""The four queues of the Core - act_task, trm_task, add_task, del_task - worked in the order in which the requests arrived.

One entry is one task, so a request that names a thousand is a thousand entries, and a small one that came before it is not overtaken nor one that
came after it starved: `Core` works a bounded number in each turn of its loop.  A ticket drawn at arrival keeps the order between the queues.  Entries
are data; nothing waits in here. """

from __future__ import annotations

import enum
from collections import deque
from collections.abc import Callable
from typing import NamedTuple

MAX_ENTRIES = 200_000
"""Entries that may wait; a request that would exceed it is refused as a whole."""


class Queue(enum.Enum):
    """The four queues, by EventFlow's names."""

    ACT = "act_task"
    TRM = "trm_task"
    ADD = "add_task"
    DEL = "del_task"


class Entry(NamedTuple):
    """One task to be worked.  work: what the queue does to it; called once, from the loop."""

    queue: Queue
    work: Callable[[], None]


class Queues:
    """Entries in order of arrival over all four queues."""

    def __init__(self) -> None:
        self._waiting: dict[Queue, deque[tuple[int, Entry]]] = {queue: deque() for queue in Queue}
        self._ticket = 0

    def __len__(self) -> int:
        return sum(map(len, self._waiting.values()))

    def has_room(self, count: int) -> bool:
        """Whether `count` more entries are allowed."""
        return len(self) + count <= MAX_ENTRIES

    def put(self, entry: Entry) -> None:
        """Behind everything that has arrived."""
        self._ticket += 1
        self._waiting[entry.queue].append((self._ticket, entry))

    def pop(self) -> Entry | None:
        """The entry that arrived first, None when all queues are empty."""
        heads = [(waiting[0][0], queue) for queue, waiting in self._waiting.items() if waiting]
        if not heads:
            return None
        _, queue = min(heads, key=lambda head: head[0])
        return self._waiting[queue].popleft()[1]
