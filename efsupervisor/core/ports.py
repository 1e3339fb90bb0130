"""What the Core asks of a task type: the shape of `efsupervisor.task`'s classes, as protocols.

The Core never names a class of a task; it looks the type up by the spec's `type` and calls these.  Tests give it types of their own.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Protocol

from efsupervisor.messages import Wiring
from efsupervisor.system import Real


class Forked(Protocol):
    """A new worker: its pid (our child) and our end of the socketpair."""

    @property
    def pid(self) -> int: ...
    @property
    def sock(self) -> socket.socket: ...


class ActingTask(Protocol):
    """DefaultTask as the Core sees it."""

    listening: int

    def act(self, leave_core: Callable[[], None]) -> Forked: ...


class PreparingHelper(Protocol):
    """DefaultTaskHelper as the Core sees it."""

    def prepare(self, wiring: Wiring) -> None: ...


class RemovingHelper(Protocol):
    """DefaultTaskDelHelper as the Core sees it."""

    def remove(self, task_dir: str) -> None: ...


class TaskType(Protocol):
    """One row of the type table."""

    @property
    def task(self) -> Callable[[Wiring, Real], ActingTask]: ...
    @property
    def helper(self) -> Callable[[Real], PreparingHelper]: ...
    @property
    def del_helper(self) -> Callable[[Real], RemovingHelper]: ...


TypeTable = Callable[[str], TaskType]
"""Name of a type to its row; EfError for a name that is not registered."""
