"""What happens, told once: transitions and alerts as events, ended runs as history, and whoever waits for the next event.

The worker has written a transition to the log itself, for it may be alone; here it gets its number, and the foreground its line.  A transition is
seen as the difference of two reports; those of a time without a Core are missing among the events, and their runs are in the history.

This module must never decide anything about a task.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Hashable

from efsupervisor.core.events import GROUP, SUPERVISOR, Events, Found, Waiter
from efsupervisor.core.history import Runs
from efsupervisor.core.store import Store
from efsupervisor.core.tasks import Task, clipped
from efsupervisor.errors import EfError
from efsupervisor.log import Log
from efsupervisor.messages import Alert, Report, RunRow
from efsupervisor.reactor import Reactor, Timer
from efsupervisor.states import DELAY_OVER, Goal, State
from efsupervisor.system import Real
from efsupervisor.task.policy import describe

STATE = "state"
REMOTE = "remote"
"""An event of somebody outside."""
SKIPPED = "skipped"
"""A time of a schedule at which the run before was not over."""
FAILED = "failed"
"""A flow that was run to its end, but not to a good one."""
LONGEST_WAIT_S = 3600.0

Answer = Callable[[Found], None]


class Tale:
    """Owns the events and the history of one Core."""

    def __init__(self, reactor: Reactor, system: Real, log: Log, store: Store) -> None:
        self._reactor = reactor
        self._system = system
        self._log = log
        self._store = store
        self._runs = Runs(store, system)
        self._answers: dict[Hashable, Answer] = {}
        self._timer: Timer | None = None
        self._deferred = False
        self.events = Events(store, now_wall=self._wall(), complete=store.complete)

    # What happens ---------------------------------------------------------------------------------------------------------------------------------

    def reported(self, task: Task) -> None:
        """A task's report is new."""
        report = task.report
        if report.state is not task.echoed:
            before, task.echoed = task.echoed, report.state
            cause = cause_of(task, before)
            self.events.publish(
                STATE, task.name, report.since_wall or self._wall(), sentence=cause, before=before.value, after=report.state.value, pid=report.pid,
                facts=facts_of(task),
            )  # fmt: skip
            self._soon()
            why = f" ({cause})" if cause else ""
            self._log.echo(f"task {task.name}: {before} -> {report.state}{why}" + (f" pid {report.pid}" if report.pid else ""))
        task.last_pid = report.pid or task.last_pid
        self.take_runs(task)

    def take_runs(self, task: Task) -> None:
        """Lives that ended become history."""
        try:
            self._runs.reported(task)
        except (OSError, EfError) as error:
            self._log.warning(f"task {task.name}: its ended runs could not be taken into the history: {error}")

    def alerted(self, task: Task, alert: Alert) -> None:
        """A worker has something that an operator should hear of; it is in the log already."""
        self._log.echo(f"task {task.name}: {alert.what}: {alert.sentence}")
        self.events.publish(alert.what, task.name, alert.wall or self._wall(), sentence=clipped(alert.sentence), event=alert.event, lines=alert.lines)
        self._soon()

    def failed(self, row: RunRow) -> None:
        """The run of a flow did not end as it should."""
        self.events.publish(FAILED, row.task, row.ended, sentence=row.reason)
        self._soon()

    def skipped(self, task: Task, wall: float, cause: str, sentence: str) -> None:
        """A time of a schedule was left out.  wall: the time that was due."""
        self._log.warning(f"task {task.name}: not run: {cause}: {sentence}")
        self._store.ran(RunRow(number=0, task=task.name, incarnation=0, began=wall, ended=wall, state="SKIPPED", reason=sentence, cause=cause))
        self.events.publish(SKIPPED, task.name, self._wall(), sentence=f"{cause}: {sentence}")
        self._soon()

    def supervisor(self, after: str) -> None:
        """The supervisor itself is RUNNING now, or STOPPING."""
        self.events.publish(SUPERVISOR, "", self._wall(), after=after)
        self._soon()

    def groups(self, before: set[str], after: set[str]) -> None:
        """Groups of tasks came (ADDED) or went (REMOVED)."""
        for group in sorted(before - after):
            self.events.publish(GROUP, group, self._wall(), after="REMOVED")
        for group in sorted(after - before):
            self.events.publish(GROUP, group, self._wall(), after="ADDED")
        if before != after:
            self._soon()

    def emitted(self, kind: str, data: bytes) -> None:
        """Somebody outside has something for event listeners.  kind: a word of the sender's."""
        self.events.publish(REMOTE, "", self._wall(), sentence=clipped(kind), event=data)
        self._soon()

    def forget(self, task: Task) -> None:
        """The task is gone."""
        self._runs.forget(task)

    def _wall(self) -> float:
        return self._system.wall_ns() / 1e9

    # Who waits ------------------------------------------------------------------------------------------------------------------------------------

    def wait(self, key: Hashable, since: int, limit: int, names: frozenset[str], what: frozenset[str], wait_s: float, answer: Answer) -> None:
        """Answer as soon as there is something, at once when there is, with nothing after wait_s."""
        found = self.events.since(since, limit, names, what)
        waiter = Waiter(key, since, limit, names, what, self._reactor.now + max(0.0, min(wait_s, LONGEST_WAIT_S)))
        if found.rows or wait_s <= 0 or not self.events.wait(waiter):
            answer(found)
            return
        self._answers[key] = answer
        self._arm()

    def gone_client(self, client: object) -> None:
        """A connection ended: who waited on it (keys are pairs of connection and request) waits no more."""
        for key in [key for key in self._answers if isinstance(key, tuple) and key[0] is client]:
            del self._answers[key]
            self.events.gone(key)

    def _soon(self) -> None:
        if self._answers and not self._deferred:
            self._deferred = True
            self._reactor.defer(self._serve)

    def _serve(self) -> None:
        self._deferred = False
        for waiter in self.events.published():
            self._answer(waiter)

    def _expire(self) -> None:
        self._timer = None
        for waiter in self.events.expired(self._reactor.now):
            self._answer(waiter)
        self._arm()

    def _answer(self, waiter: Waiter) -> None:
        answer = self._answers.pop(waiter.key, None)
        if answer is not None:
            answer(self.events.since(waiter.since, waiter.limit, waiter.names, waiter.what))

    def _arm(self) -> None:
        """One timer for the next deadline."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        deadline = self.events.deadline()
        if deadline is not None:
            self._timer = self._reactor.after(max(0.0, deadline - self._reactor.now), self._expire)

    def close(self) -> None:
        """The Core ends: the numbers go on where they are."""
        self.events.close()


def cause_of(task: Task, before: State) -> str:
    """Why a task is in its state now: what its worker says, or who asked for it.  before: the state it comes from."""
    report: Report = task.report
    if report.reason:
        return clipped(report.reason)
    if report.state is State.STARTING and before is State.BACKOFF:
        return DELAY_OVER
    if report.state is State.STARTING and before is State.RUNNING:
        return describe(report.exit_status if report.exit_known else None)
    asked = report.state in (State.STARTING, State.STOPPING) or (report.state is State.STOPPED and task.goal is Goal.TRM)
    return f"asked by {task.asked_by}" if asked and task.asked_by else ""


def facts_of(task: Task) -> str:
    """What an event listener is told beside the states: how often it was tried, the pid that is meant, and whether an end was expected."""
    report, pid = task.report, task.report.pid or task.last_pid
    if report.state not in (State.RUNNING, State.STOPPING):
        pid = task.last_pid or report.pid
    status = report.exit_status
    expected = status is not None and os.WIFEXITED(status) and os.WEXITSTATUS(status) in task.spec.exitcodes
    return f"tries:{report.failures} pid:{pid} expected:{int(expected)}"
