"""What the Core knows of one task, and the judgements it makes from it.

`Task` is a record: other modules change it, nothing in it acts.  The judgements are pure functions of facts, so that each has a table of cases in the
tests.

Goal and confirmation.  `goal` is what the Core wants.  A wish is *unconfirmed* from the moment it is asked until a worker reports with that goal
(and, when the report is of a task at rest, as its last word).  Two clients, a worker at its very end and a death can all come between a wish and its
effect; a wish that is still unconfirmed when the worker is gone is given to the next worker, one that was confirmed is not given twice.  That is why
a job that ran to its end while somebody killed its worker is not run again. """

from __future__ import annotations

import enum
import os
from collections.abc import Callable
from typing import NamedTuple

import msgspec

from efsupervisor.channel import Channel
from efsupervisor.conf.schema import TaskSpec
from efsupervisor.errors import Code
from efsupervisor.messages import Outcome, PutDone, Report, TaskStatus, Wiring
from efsupervisor.reactor import Timer
from efsupervisor.states import Goal, Kind, State
from efsupervisor.task.paths import TaskPaths
from efsupervisor.task.policy import describe

QUICK_S = 1.0
"""A worker that lived less than this counts as dying quickly."""

BACKOFF_FIRST_S = 0.1
BACKOFF_MAX_S = 5.0
MAX_REASON = 1000
MAX_BLOCKED_BY = 50


class Held(NamedTuple):
    """The write end of one incarnation's stdin, kept so that it does not end while a worker is replaced."""

    incarnation: int
    fd: int


class Put(NamedTuple):
    """An event that a worker has not confirmed yet, and whom to tell."""

    data: bytes
    reply: Callable[[PutDone], None]


class Link(msgspec.Struct, eq=False):
    """One worker process as the Core reaches it.

    channel None: nothing is connected (an adopted worker that does not accept).  pidfd: watched until it dies.  final: its last word, when it said
    one. killed: we sent SIGKILL.  dead, closed: the process is gone; the channel has delivered everything.  asked / answered: numbers of the last
    ping and pong. resent: it was given the puts that its predecessor did not confirm. """

    pid: int
    pidfd: int
    born: float
    channel: Channel | None = None
    adopted: bool = False
    reported: bool = False
    final: Report | None = None
    killed: bool = False
    dead: bool = False
    closed: bool = False
    asked: int = 0
    answered: int = 0
    resent: bool = False
    timer: Timer | None = None


class Task(msgspec.Struct, eq=False):
    """One task.  report: the last word of a worker, or what the Core says in its place.  queued: waits for a fork.  retry: waits for a delay before
    it. fresh: what is queued is a first start from rest, so nothing can be alive yet.  outputs: read ends of the `out` and `err` FIFOs by path, never
    read. configured: it is in the configuration (else it is stopped, then forgotten).  remove: its folder goes when it is at rest.  echoed: the
    state that was last told.  again: who wants it started as soon as it is at rest (a restart).
    note: what its listener's bridge says (NoteRequest).  last_pid: of the last program that a report named.
    orders: what its worker was told to do once (core/orders.py), and whom to tell.  waits: what its start waits for, stuck: which does not come by
    itself; stops_for: who wants it stopped, stops_after: as soon as whom (core/ordering.py).  gone: it was removed, and nothing lists it any more.
    ticket: of the wish to run it, again_ticket: of the one that `again` stands for.  standstill: the cycle of flows that
    it waits in for ever (core/standstill.py)."""

    spec: TaskSpec
    wiring: Wiring
    paths: TaskPaths
    report: Report
    order: tuple[int, int] = (0, 0)
    goal: Goal = Goal.TRM
    asked_by: str = ""
    configured: bool = True
    unconfirmed: bool = False
    link: Link | None = None
    queued: bool = False
    fresh: bool = False
    retry: Timer | None = None
    quick_deaths: int = 0
    troubles: int = 0
    outputs: dict[str, int] = msgspec.field(default_factory=dict)
    held: Held | None = None
    indexed_pid: int = 0
    echoed: State = State.STOPPED
    puts: dict[str, Put] = msgspec.field(default_factory=dict)
    last_pid: int = 0
    note: str = ""
    orders: dict[str, Callable[[str], None]] = msgspec.field(default_factory=dict)
    remove: bool = False
    again: str = ""
    waits: str = ""
    stuck: bool = False
    stops_for: str = ""
    stops_after: str = ""
    gone: bool = False
    ticket: str = ""
    again_ticket: str = ""
    standstill: str = ""

    @property
    def name(self) -> str:
        """The name people gave it."""
        return self.spec.name

    @property
    def resting(self) -> bool:
        """No worker, and none is coming."""
        return self.unmanned and not self.waits

    @property
    def unmanned(self) -> bool:
        """No worker, and none is being forked: nobody else touches its files."""
        return self.link is None and not self.queued and self.retry is None


def silent(task: Task) -> bool:
    """Nobody writes its state any more: there is no worker, or one that has said its last word."""
    return task.resting or (task.link is not None and task.link.final is not None)


def runs(task: Task) -> bool:
    """It is wanted, and its program runs or is about to."""
    return task.goal is Goal.ACT and task.link is not None and task.report.state in (State.RUNNING, State.STARTING)


def served(task: Task, ticket: str) -> bool:
    """Whether this very wish to run a job was fulfilled before, or is being: somebody repeats it who did not hear of it."""
    return bool(ticket) and task.spec.kind is Kind.JOB and task.report.ticket == ticket


def under_way(task: Task) -> bool:
    """A job that runs or is about to; one whose start waits for what does not come by itself is none."""
    coming = bool(task.waits) and not task.stuck
    return task.spec.kind is Kind.JOB and (coming or not (task.unmanned or silent(task)))


def confirms(goal: Goal, report: Report) -> bool:
    """Whether a report shows that its worker knows the goal.  A worker that has only just begun may repeat what the last one left: at rest, but not
    final."""
    return report.goal is goal and (report.final or not report.state.at_rest)


class Next(enum.Enum):
    """What follows the death of a worker."""

    REST = "rest"
    REPLACE = "replace"


def after_death(
    goal: Goal, *, unconfirmed: bool, final: Report | None, saved: Report | None, program_is_alive: bool, incarnation: int = 0
) -> Next:
    """What to do when a worker is gone.

    final: its last word if it said one.  saved: state.json, which has the same content when a worker died between writing it and sending it.
    incarnation: of the life that it told of last; what is saved of an earlier one says nothing of this.
    """
    last = final if final is not None else saved
    at_rest = last is not None and last.state.at_rest and not program_is_alive
    older = saved is not None and saved.incarnation < incarnation
    if final is None and ((unconfirmed and goal is Goal.ACT) or older):
        at_rest = False  # what is saved is older than the wish, or than the life
    if not at_rest:
        return Next.REPLACE
    return Next.REPLACE if goal is Goal.ACT and unconfirmed else Next.REST


def delay_s(times: int) -> float:
    """Delay before a new worker when the `times`-th in a row died quickly (or could not be made): 0, 0.1, 0.2 ... 5 s."""
    return 0.0 if times <= 1 else float(min(BACKOFF_MAX_S, BACKOFF_FIRST_S * 2 ** min(times - 2, 10)))


def settled(wish: Goal, task: Task, *, completed: bool = False) -> Outcome | None:
    """The outcome of a wish, None while it is under way.  completed: of a job its end is wanted, not its start."""
    if wish is Goal.TRM:
        return _stopped(task)
    if task.again:
        return None  # the start is still to come
    if task.goal is Goal.TRM:
        return Outcome(task=task.name, ok=False, code=Code.BAD_STATE, sentence="was stopped by somebody else meanwhile")
    if task.stuck:
        return Outcome(task=task.name, ok=False, code=Code.TASK_FAILED, sentence=f"{clipped(task.waits)}; it goes on waiting")
    report = task.report
    if task.unconfirmed:
        return None
    completed = completed and task.spec.kind is Kind.JOB
    if report.state is State.RUNNING and not completed:
        return Outcome(task=task.name, ok=True, sentence=f"RUNNING, pid {report.pid}")
    return _ended(task.spec, report, completed=completed) if report.state.at_rest else None


def _stopped(task: Task) -> Outcome | None:
    if task.stops_for:
        return None  # the stop is still to come
    if not task.configured and not task.gone:
        return None  # its worker has said its last word and may still be ending: until then the task is listed and its name is not free
    if task.goal is Goal.ACT and not task.report.state.at_rest:
        return Outcome(task=task.name, ok=False, code=Code.BAD_STATE, sentence="was started by somebody else meanwhile")
    if task.report.state.at_rest and (task.resting or not task.unconfirmed):
        return Outcome(task=task.name, ok=True, sentence=task.report.state.value)
    return None


def _ended(spec: TaskSpec, report: Report, *, completed: bool) -> Outcome:
    status = report.exit_status
    expected = status is not None and os.WIFEXITED(status) and os.WEXITSTATUS(status) in spec.exitcodes
    if report.state is State.EXITED and expected:
        times = f", attempt {report.attempt}" if report.attempt > 1 else ""
        return Outcome(task=spec.name, ok=True, sentence=f"completed: {describe(status)}{times}" if completed else "EXITED, as expected")
    reason = clipped(report.reason) or "no reason is known"
    return Outcome(task=spec.name, ok=False, code=Code.TASK_FAILED, sentence=f"{report.state.value}: {reason}")


def row(task: Task, uptime_s: float) -> TaskStatus:
    """One row of a status; bounded, so that many fit into a frame.  uptime_s: age of the program."""
    report = task.report
    return TaskStatus(
        name=task.name,
        state=report.state,
        goal=task.goal,
        pid=report.pid,
        uptime_s=uptime_s if report.pid else 0.0,
        reason=clipped(task.stops_after or report.reason),
        restarts=report.restarts,
        exit_status=report.exit_status,
        exit_known=report.exit_known,
        blocked_by=_some(report.blocked_by),
        kind_of=task.spec.kind.value,
        finished=report.finished,
        lag_bytes=report.lag_bytes,
        outstanding=report.outstanding,
        delivered=report.delivered,
        acknowledged=report.acknowledged,
        dead_letters=report.dead_letters,
        health=clipped("; ".join(filter(None, (task.standstill, report.health, task.note)))),
        worker_pid=task.link.pid if task.link else 0,
        incarnation=report.incarnation,
        since=report.since_wall,
        dropped_bytes=report.dropped_bytes,
        blocked_since=report.blocked_since,
    )


def clipped(text: str) -> str:
    """At most MAX_REASON characters of a sentence that somebody else wrote."""
    return text if len(text) <= MAX_REASON else text[:MAX_REASON] + " ..."


def _some(names: list[str]) -> list[str]:
    return names if len(names) <= MAX_BLOCKED_BY else [*names[:MAX_BLOCKED_BY], f"and {len(names) - MAX_BLOCKED_BY} more"]
