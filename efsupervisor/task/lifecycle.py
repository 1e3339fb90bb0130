"""The life of one task's program, as data.

A worker has a *phase* (what is going on with the program) and a *goal* (what is wanted).  Everything that happens is classified into one Event first
(efsupervisor.task.policy judges an exit); then this table says the next phase and what is to be done, in order.  `step` is pure and total; the
worker performs the effects in one place, and their results come back as events.

    IDLE      nothing runs and nothing is left of the last life
    PREPARING the hook `before_start` runs, if there is one
    SPAWNING  forked; the child has not executed the program yet
    STARTING  executed; it has not lived `startsecs` yet, or is not ready yet where a readiness is configured
    RUNNING   it has, or is
    ENDING    the program died by itself: its tree is swept, its output drained, its life closed
    WAITING   a delay before the next start
    PARTING   it is to stop; the grace period runs, the hook `before_stop` first, if there is one
    STOPPING  the stop signal was sent to the whole tree; the grace period runs
    KILLING   SIGKILL was sent to the whole tree
    CLOSING   dead after a stop: swept, drained, closed
    REST      the worker's work is done; the task is STOPPED, EXITED or FATAL and the worker ends

A stop wish never interrupts the closing of a life (ENDING, CLOSING): the result of that closing is judged with the goal as it is then.  Every waiting
phase owns one deadline: STARTING startsecs or the start time-out, WAITING its delay, PARTING and STOPPING share the grace period; the others wait for
the kernel.  Hooks have limits of their own, which are shorter.

docs/lifecycle.rst is made from this file, and tests/unit/task/test_lifecycle.py walks every reachable pair.
"""

from __future__ import annotations

import enum
from typing import NamedTuple

from efsupervisor.states import State


class Phase(enum.Enum):
    """What is going on with the program."""

    IDLE = enum.auto()
    PREPARING = enum.auto()
    SPAWNING = enum.auto()
    STARTING = enum.auto()
    RUNNING = enum.auto()
    ENDING = enum.auto()
    WAITING = enum.auto()
    PARTING = enum.auto()
    STOPPING = enum.auto()
    KILLING = enum.auto()
    CLOSING = enum.auto()
    REST = enum.auto()


class Event(enum.Enum):
    """What can happen, already classified."""

    ACT = enum.auto()
    """Somebody wants it to run."""
    TRM = enum.auto()
    """Somebody wants it stopped."""
    DONE_WITH = enum.auto()
    """A job whose consumers have all finished."""
    HURRY = enum.auto()
    """A second wish to stop: no more grace."""
    PREPARED = enum.auto()
    """Everything is ready for the program to be started."""
    EXECUTED = enum.auto()
    """The child executed the program."""
    REFUSED = enum.auto()
    """There is not even a child: no such user, a hook that failed, or the machine is short of processes, descriptors, memory."""
    LASTED = enum.auto()
    """It lived `startsecs`, or it is ready."""
    UNWELL = enum.auto()
    """It is not ready in time, not alive any more, runs too long or uses too much: it is ended, and judged as failed."""
    PARTED = enum.auto()
    """Nothing stands before the stop signal any more."""
    DIED = enum.auto()
    """The program is dead."""
    AGAIN = enum.auto()
    """The life is closed; start the next one now."""
    LATER = enum.auto()
    """The life is closed; start the next one after a delay."""
    ENOUGH = enum.auto()
    """The life is closed; it is to rest (EXITED, or STOPPED when that was the goal)."""
    HOPELESS = enum.auto()
    """The life is closed; too many failures (FATAL)."""
    DUE = enum.auto()
    """The delay before the next start is over."""
    GRACE_OVER = enum.auto()
    """The grace period is over."""


class Effect(enum.Enum):
    """What the worker has to do."""

    PREPARE = enum.auto()
    SPAWN = enum.auto()
    STARTED = enum.auto()
    PART = enum.auto()
    ARM_STARTSECS = enum.auto()
    ARM_DELAY = enum.auto()
    ARM_GRACE = enum.auto()
    DISARM = enum.auto()
    SIGNAL = enum.auto()
    KILL = enum.auto()
    CLOSE_LIFE = enum.auto()
    REST = enum.auto()


class Step(NamedTuple):
    """The next phase and what is to be done, in this order."""

    phase: Phase
    effects: tuple[Effect, ...] = ()


_P, _E, _X = Phase, Event, Effect
_STOP = Step(_P.STOPPING, (_X.DISARM, _X.SIGNAL, _X.ARM_GRACE))
_PART = Step(_P.PARTING, (_X.DISARM, _X.ARM_GRACE, _X.PART))
_CUT = Step(_P.KILLING, (_X.DISARM, _X.SIGNAL, _X.KILL))
_DIES = Step(_P.ENDING, (_X.DISARM, _X.CLOSE_LIFE))
_KILLED = Step(_P.KILLING, (_X.DISARM, _X.KILL))
_CLOSED = Step(_P.CLOSING, (_X.DISARM, _X.CLOSE_LIFE))
_START = Step(_P.PREPARING, (_X.DISARM, _X.PREPARE))
_DELAY = Step(_P.WAITING, (_X.DISARM, _X.ARM_DELAY))
_RESTS = Step(_P.REST, (_X.DISARM, _X.REST))

TABLE: dict[Phase, dict[Event, Step]] = {
    _P.IDLE: {_E.ACT: _START, _E.TRM: _RESTS},
    _P.PREPARING: {_E.PREPARED: Step(_P.SPAWNING, (_X.SPAWN,)), _E.REFUSED: _DIES, _E.TRM: _CLOSED, _E.DONE_WITH: _CLOSED},
    _P.SPAWNING: {
        _E.EXECUTED: Step(_P.STARTING, (_X.ARM_STARTSECS,)),
        _E.REFUSED: _DIES,
        _E.DIED: _DIES,
        _E.TRM: _STOP,
        _E.DONE_WITH: _STOP,
    },
    _P.STARTING: {
        _E.LASTED: Step(_P.RUNNING, (_X.DISARM, _X.STARTED)),
        _E.DIED: _DIES,
        _E.TRM: _PART,
        _E.DONE_WITH: _PART,
        _E.UNWELL: _PART,
    },
    _P.RUNNING: {_E.DIED: _DIES, _E.TRM: _PART, _E.DONE_WITH: _PART, _E.UNWELL: _PART},
    _P.ENDING: {_E.AGAIN: _START, _E.LATER: _DELAY, _E.ENOUGH: _RESTS, _E.HOPELESS: _RESTS},
    _P.WAITING: {_E.DUE: _START, _E.ACT: _START, _E.TRM: _RESTS, _E.DONE_WITH: _RESTS},
    _P.PARTING: {_E.PARTED: Step(_P.STOPPING, (_X.SIGNAL,)), _E.DIED: _CLOSED, _E.GRACE_OVER: _CUT, _E.HURRY: _CUT},
    _P.STOPPING: {_E.DIED: _CLOSED, _E.GRACE_OVER: _KILLED, _E.HURRY: _KILLED},
    _P.KILLING: {_E.DIED: _CLOSED, _E.HURRY: Step(_P.KILLING, (_X.KILL,))},
    _P.CLOSING: {_E.AGAIN: _START, _E.LATER: _DELAY, _E.ENOUGH: _RESTS, _E.HOPELESS: _RESTS},
    _P.REST: {},
}
"""Phase, then event, then step.  A pair that is not here changes nothing (a wish that is fulfilled already, an event that came too late)."""


def step(phase: Phase, event: Event) -> Step:
    """The next phase and effects; the same phase and none for a pair that changes nothing."""
    return TABLE[phase].get(event, Step(phase))


_SHOWN = {
    _P.IDLE: State.STOPPED,
    _P.PREPARING: State.STARTING,
    _P.SPAWNING: State.STARTING,
    _P.STARTING: State.STARTING,
    _P.RUNNING: State.RUNNING,
    _P.ENDING: State.STARTING,
    _P.WAITING: State.BACKOFF,
    _P.PARTING: State.STOPPING,
    _P.STOPPING: State.STOPPING,
    _P.KILLING: State.STOPPING,
    _P.CLOSING: State.STOPPING,
}


def shown(phase: Phase) -> State:
    """The public state of a phase; REST has three and is told by its verdict."""
    return _SHOWN[phase]
