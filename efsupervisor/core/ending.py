"""The end of the Core.

A shutdown asks in one turn for the stop of every task, so all stop in parallel but for those that others depend on (core/ordering.py), and ends the
loop when nothing is left that runs.
A second wish takes the grace period away.  Nothing waits without a limit: when a program cannot be killed the Core says which, ends with a status of
its own, and leaves core.json without the clean mark, so that the next Core looks for what still runs.

An *essential* task that has ended for good, and not because somebody stopped it, is a wish for a shutdown too; its exit status becomes ours.

Order: tasks, then the siblings (an answer may leave through one of them), then the saved state and the loop.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING

from efsupervisor.core.tasks import Task
from efsupervisor.errors import TABLE, Code
from efsupervisor.reactor import Timer
from efsupervisor.states import Goal, State

if TYPE_CHECKING:
    from efsupervisor.core.core import Core

EXIT_LEFT_BEHIND = TABLE[Code.TIMEOUT].exit_status
"""Exit status of a shutdown whose limit was reached with something still running."""

LIMIT_SLACK_S = 10.0
"""What a stop may need beyond the longest way of grace and drain periods one after the other, before the Core hurries it."""

HURRIED_S = 5.0
"""What the kernel may need to end what was killed."""


def ended_for_all(task: Task) -> bool:
    """It is essential and has come to its end by itself."""
    return task.spec.essential and task.goal is Goal.ACT and task.resting and task.report.state in (State.EXITED, State.FATAL)


def status_after(task: Task) -> int:
    """The exit status that tells how an essential task ended: its own, as a shell shows it.  A task that failed never gives 0."""
    status = task.report.exit_status
    said = 0 if status is None else 128 + os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)
    failed = task.report.state is State.FATAL or status is None
    return TABLE[Code.TASK_FAILED].exit_status if failed and not said else said


class Ending:
    """One Core's end.  under_way: it was asked for.  reached: nothing is supervised any more.  hurry: no more grace for a task's worker."""

    def __init__(self, core: Core, hurry: Callable[[Task], None]) -> None:
        self._core = core
        self._hurry_task = hurry
        self.under_way = False
        self.reached = False
        self.exit_status = 0
        self._hurried = False
        self._left: set[Task] = set()
        self._limit: Timer | None = None
        self._on_end: list[Callable[[], None]] = []

    def begin(self, asked_by: str, on_end: Callable[[], None] | None = None) -> None:
        """Stop every task at once, then the siblings, then the loop.  Asked again: without grace.  on_end is called when the tasks are stopped."""
        core = self._core
        if on_end is not None:
            self._on_end.append(on_end)
        if self.reached:
            self._tell_end()
            self._core.services.hurry()
            return
        if self.under_way:
            self._hurry(f"asked again by {asked_by}")
            return
        self.under_way = True
        running = [task for task in self._core.registry if not task.resting]
        self._left = set(running)
        self._core.tale.supervisor("STOPPING")
        self._core.log.info(f"shutting down, asked by {asked_by}: {len(running)} tasks to stop")
        self._limit = self._core.reactor.after(self._limit_s(running), lambda: self._hurry("the limit of the shutdown is reached"))
        for task in core.ordering.downwards(running):
            core.stop_for_good(task, f"shutdown ({asked_by})")
        self._end_if_done()

    def end_with(self, task: Task) -> None:
        """An essential task has ended."""
        self.exit_status = status_after(task)
        self._core.log.warning(f"task {task.name} is essential and has ended ({task.report.state}): everything ends, with status {self.exit_status}")
        self.begin(f"essential task {task.name}")

    def _limit_s(self, running: list[Task]) -> float:
        own = self._core.ordering.graph.longest({task.paths.id: task.spec.stopwaitsecs + task.spec.drain_s for task in running})
        return self._core.config.supervisor.shutdown_s or own + LIMIT_SLACK_S

    def _hurry(self, why: str) -> None:
        if self._limit is not None:
            self._limit.cancel()
        self._limit = self._core.reactor.after(HURRIED_S, self._give_up)
        if not self._hurried:
            self._core.log.warning(f"shutdown: no more grace: {why}")
        self._hurried = True
        self._core.ordering.hurry()
        for task in self._core.registry:
            self._hurry_task(task)

    def _give_up(self) -> None:
        self.reached = True
        left = ", ".join(task.name for task in sorted(self._left, key=lambda task: task.order))
        self._core.log.error(f"shutdown: ended with something still running, the next start takes it over: {left}")
        self.exit_status = EXIT_LEFT_BEHIND
        self._stop()

    def rested(self, task: Task) -> None:
        """One more is at rest."""
        self._left.discard(task)
        self._end_if_done()

    def _end_if_done(self) -> None:
        if self.under_way and not self._left and not self.reached:
            self.reached = True
            try:
                self._core.home.leave_clean()
            except OSError as error:
                self._core.log.error(f"core.json could not be written: {error}; the next start will take this end for a crash")
            self._core.log.info("everything is stopped")
            self._stop()

    def _stop(self) -> None:
        if self._limit is not None:
            self._limit.cancel()
        self._core.tale.close()
        self._tell_end()
        self._core.services.leave(self._finish)  # the last, for an answer may leave through one of them

    def _tell_end(self) -> None:
        callbacks, self._on_end = self._on_end, []
        for callback in callbacks:
            callback()

    def _finish(self) -> None:
        self._core.store.close()
        self._core.reactor.stop()
