"""Replies that wait, as data: which client asked what, and which tasks have yet to come where it wants them.

No thread and no call stack waits.  Whenever something about a task changes, `changed` asks the one judgement (tasks.settled) for each request that
waits for it; the request whose last task is settled gets its reply.  Whether the one who asked is still there is
not its business: an answer to somebody who left is remembered for when it asks again (core/memory.py). """

from __future__ import annotations

from collections.abc import Callable

from efsupervisor.core.tasks import Task, settled
from efsupervisor.messages import Outcome
from efsupervisor.states import Goal


class Pending:
    """One request.  `unworked` entries are still in a queue; `waits_for` were worked and are not settled.  completed: jobs must end."""

    __slots__ = ("_reply", "completed", "outcomes", "unworked", "waits_for", "wish")

    def __init__(
        self, wish: Goal, unworked: int, outcomes: list[Outcome], reply: Callable[[list[Outcome]], None], *, completed: bool = False
    ) -> None:
        self.completed = completed
        self.wish = wish
        self.unworked = unworked
        self.outcomes = outcomes
        self.waits_for: set[Task] = set()
        self._reply = reply

    def finish_if_complete(self) -> bool:
        """Reply when nothing is missing any more."""
        if self.unworked or self.waits_for:
            return False
        self._reply(self.outcomes)
        return True


class Waiting:
    """All requests that wait, found by task."""

    def __init__(self) -> None:
        self._by_task: dict[Task, list[Pending]] = {}

    def worked(self, pending: Pending, task: Task) -> None:
        """A queue has worked this task for this request: from now on its state counts."""
        pending.unworked -= 1
        outcome = settled(pending.wish, task, completed=pending.completed)
        if outcome is not None:
            pending.outcomes.append(outcome)
        else:
            pending.waits_for.add(task)
            self._by_task.setdefault(task, []).append(pending)
        pending.finish_if_complete()

    def refused(self, pending: Pending, outcome: Outcome) -> None:
        """A queue refused a task for this request."""
        pending.unworked -= 1
        pending.outcomes.append(outcome)
        pending.finish_if_complete()

    def changed(self, task: Task) -> None:
        """Something about the task is new: reply to whom it settles."""
        pendings = self._by_task.get(task)
        if not pendings:
            return
        for pending in list(pendings):
            outcome = settled(pending.wish, task, completed=pending.completed)
            if outcome is not None:
                pendings.remove(pending)
                pending.waits_for.discard(task)
                pending.outcomes.append(outcome)
                pending.finish_if_complete()
        if not pendings:
            self._by_task.pop(task, None)

    def __len__(self) -> int:
        return len({pending for pendings in self._by_task.values() for pending in pendings})
