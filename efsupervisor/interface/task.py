"""Tasks: look at them, start and stop them, add, change and remove them."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from efsupervisor.interface.house import House
from efsupervisor.interface.verb import Names, Verb
from efsupervisor.messages.call import Answer, Done, Tasks
from efsupervisor.messages.core import ActRequest, DoneReply, StatusReply, StatusRequest
from efsupervisor.states import Role


class TaskStatusVerb(Verb, frozen=True, kw_only=True):
    """Show state, pid, uptime, restarts, lag and reason of tasks."""

    name = "task.status"
    console = "shw status"
    command = "status"
    positional = ("names",)
    names: Names = []

    async def run(self, house: House) -> Answer:
        """Rows of the named tasks, of all without a name."""
        replies = await house.ask(StatusRequest(id=house.next_id(), names=self.names))
        return Tasks(rows=[row for reply in replies if isinstance(reply, StatusReply) for row in reply.tasks])


class Act(Verb, frozen=True, kw_only=True):
    """Start tasks.

    Answers when each of them runs, is at rest or has failed; with `wait` off at once.
    """

    name = "act"
    role = Role.OPERATE
    console = "act"
    command = "act"
    positional = ("names",)
    changes = True
    endless = True
    names: Names
    wait: Annotated[bool, Meta(description="answer when it is done, not at once")] = True

    async def run(self, house: House) -> Answer:
        """One outcome for each task."""
        replies = await house.ask(ActRequest(id=house.next_id(), names=self.names, wait=self.wait))
        return Done(rows=[row for reply in replies if isinstance(reply, DoneReply) for row in reply.outcomes])


VERBS = (TaskStatusVerb, Act)
