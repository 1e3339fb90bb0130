"""How one helper process is kept alive: every phase, every thing that may happen, and what follows.  Pure.

It holds for the service host, kept by the Core, and for each sibling, kept by the host.  A helper is *wanted* or not; that is the goal, and it is
not in this table: whoever asks the table says DIED or GONE for a death, by whether the helper is still wanted.

    OFF -> STARTING -> RUNNING -> LEAVING -> OFF                          told to leave, and it did
           STARTING, RUNNING -> ABORTING -> KILLED -> WAITING             no sign of life: a stack dump, then SIGKILL
           any life -> WAITING -> STARTING                                it died: another one, after a delay when it keeps dying

Each phase that waits owns one deadline (`Rhythm`); its end is SILENT for the phases of life, LATE for those of an ending, DUE for WAITING.
"""

from __future__ import annotations

import enum
import os
import signal
from typing import NamedTuple

from efsupervisor.core.tasks import delay_s
from efsupervisor.states import State

QUICK_S = 1.0
"""A life shorter than this is a quick death, however it ended."""

OWN_FAULT_S = 5.0
"""So is one shorter than this that nobody ended with SIGKILL."""


class Phase(enum.Enum):
    """Where a helper is.  state: how people are told."""

    OFF = State.STOPPED, "off"
    STARTING = State.STARTING, "starting"
    RUNNING = State.RUNNING, "running"
    LEAVING = State.STOPPING, "leaving"
    ABORTING = State.STOPPING, "aborting"
    KILLED = State.STOPPING, "killed"
    WAITING = State.BACKOFF, "waiting"

    @property
    def state(self) -> State:
        """The state in a ServiceRow."""
        return self.value[0]


class Input(enum.Enum):
    """What may happen."""

    WANTED = "wanted"
    UNWANTED = "unwanted"
    HEARD = "heard"
    SILENT = "silent"
    LATE = "late"
    DIED = "died"
    """It is dead, or could not be forked, and is wanted."""
    GONE = "gone"
    """It is dead and not wanted."""
    DUE = "due"


class Effect(enum.Enum):
    """What is to be done."""

    FORK = "fork"
    TELL = "tell to leave"
    ABORT = "SIGABRT"
    KILL = "SIGKILL"


class Step(NamedTuple):
    """What follows: the next phase, and at most one effect."""

    phase: Phase
    effect: Effect | None = None


_BORN = Step(Phase.STARTING, Effect.FORK)
_LEAVES = Step(Phase.LEAVING, Effect.TELL)
_ABORTS = Step(Phase.ABORTING, Effect.ABORT)
_KILLS = Step(Phase.KILLED, Effect.KILL)
_WAITS = Step(Phase.WAITING)
_ENDS = Step(Phase.OFF)

TABLE: dict[Phase, dict[Input, Step]] = {
    Phase.OFF: {Input.WANTED: _BORN},
    Phase.STARTING: {
        Input.UNWANTED: _LEAVES,
        Input.HEARD: Step(Phase.RUNNING),
        Input.SILENT: _ABORTS,
        Input.DIED: _WAITS,
        Input.GONE: _ENDS,
    },
    Phase.RUNNING: {Input.UNWANTED: _LEAVES, Input.SILENT: _ABORTS, Input.DIED: _WAITS, Input.GONE: _ENDS},
    Phase.LEAVING: {Input.LATE: _KILLS, Input.DIED: _BORN, Input.GONE: _ENDS},
    Phase.ABORTING: {Input.LATE: _KILLS, Input.DIED: _WAITS, Input.GONE: _ENDS},
    Phase.KILLED: {Input.DIED: _WAITS, Input.GONE: _ENDS},
    Phase.WAITING: {Input.UNWANTED: _ENDS, Input.DUE: _BORN},
}
"""What is not here changes nothing."""


def step(phase: Phase, happened: Input) -> Step:
    """What follows; the phase itself when nothing does."""
    return TABLE[phase].get(happened, Step(phase))


class Rhythm(NamedTuple):
    """Seconds.  period: between two signs of life.  deadline: how late one may be.  start: until the first (or those two together, when they are
    more).  leave: from the word to leave to SIGKILL.  abort: from SIGABRT to SIGKILL.  look: before a verdict the loop turns for so long, so that
    signs that lie unread are read."""

    period: float = 2.0
    deadline: float = 4.0
    start: float = 7.0
    leave: float = 2.0
    abort: float = 0.3
    look: float = 0.25

    def wait(self, phase: Phase, quick_deaths: int) -> tuple[float, Input] | None:
        """How long a phase may last since it was entered (or, in RUNNING, since the last sign of life), and what happens then."""
        match phase:
            case Phase.STARTING:
                return max(self.start, self.period + self.deadline), Input.SILENT
            case Phase.RUNNING:
                return self.period + self.deadline, Input.SILENT
            case Phase.LEAVING:
                return self.leave, Input.LATE
            case Phase.ABORTING:
                return self.abort, Input.LATE
            case Phase.WAITING:
                return delay_s(quick_deaths), Input.DUE
            case Phase.OFF | Phase.KILLED:
                return None


def sibling_rhythm(heartbeat_s: float, deadline_s: float) -> Rhythm:
    """How the host judges a sibling."""
    return Rhythm(period=heartbeat_s, deadline=deadline_s)


def host_rhythm(heartbeat_s: float, deadline_s: float) -> Rhythm:
    """How the Core judges the host; it has its siblings to end before it leaves."""
    return Rhythm(period=heartbeat_s, deadline=deadline_s, leave=Rhythm().leave + 1.0)


def until_beat_s(now: float, heartbeat_s: float) -> float:
    """Until the next sign of life: all of them fall on the same instants of the monotonic clock, so that who listens to several wakes up once."""
    return heartbeat_s - now % heartbeat_s


def is_quick(lived_s: float, status: int | None) -> bool:
    """Whether a death counts towards the delay.  status: the wait status, None when it is not known."""
    from_outside = status is not None and os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL
    return lived_s < (QUICK_S if from_outside else OWN_FAULT_S)
