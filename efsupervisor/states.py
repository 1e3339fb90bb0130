"""The states a task can be in, the goals it can have, and the words for how a program ended.

State and goal are two facts: the state is what is, the goal is what the operator or the configuration wants.  The state names and their numbers are
supervisord's, so that people and monitors that know it read ours.  This module imports nothing of ours.
"""

from __future__ import annotations

import enum


class State(enum.StrEnum):
    """What a task is doing now."""

    STOPPED = "STOPPED"
    STARTING = "STARTING"
    RUNNING = "RUNNING"
    BACKOFF = "BACKOFF"
    STOPPING = "STOPPING"
    EXITED = "EXITED"
    FATAL = "FATAL"
    UNKNOWN = "UNKNOWN"

    @property
    def number(self) -> int:
        """supervisord's number for this state."""
        return _NUMBERS[self]

    @property
    def at_rest(self) -> bool:
        """No program runs and none will be started until somebody asks; such a task needs no worker."""
        return self in _AT_REST


_NUMBERS = {
    State.STOPPED: 0,
    State.STARTING: 10,
    State.RUNNING: 20,
    State.BACKOFF: 30,
    State.STOPPING: 40,
    State.EXITED: 100,
    State.FATAL: 200,
    State.UNKNOWN: 1000,
}
_AT_REST = frozenset({State.STOPPED, State.EXITED, State.FATAL})


DELAY_OVER = "the delay before another try is over"
"""Why a task goes from BACKOFF to STARTING."""


class Goal(enum.StrEnum):
    """What is wanted of a task; EventFlow's own words."""

    ACT = "act"
    TRM = "trm"


class Kind(enum.StrEnum):
    """Whether a task is meant to run for ever or to completion."""

    SERVICE = "service"
    JOB = "job"


class Protocol(enum.StrEnum):
    """How a consumer takes its events; DESIGN section 4."""

    STREAM = "stream"
    EVENT = "event"


class Mode(enum.StrEnum):
    """How consumers of one flow divide its events: each gets all, or each event goes to one."""

    BROAD = "broad"
    SHARE = "share"


class Role(enum.StrEnum):
    """What a caller may do; each includes those before it."""

    VIEW = "view"
    """Look: status, figures, logs."""
    OPERATE = "operate"
    """Start, stop, restart, put events."""
    ADMIN = "admin"
    """Everything: who may configure may run any program as any user the supervisor may become."""

    def includes(self, other: Role) -> bool:
        """Whether who has this role may do what `other` may."""
        return _RANK[self] >= _RANK[other]


_RANK = {Role.VIEW: 0, Role.OPERATE: 1, Role.ADMIN: 2}


class Framing(enum.IntEnum):
    """How one event is told from the next on stdin; numbers are part of the on-disk records."""

    LINES = 0
    NUL = 1
    NETSTRING = 2
