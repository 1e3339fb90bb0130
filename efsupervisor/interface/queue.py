"""Queues: what waits in front of tasks.  A task's own input queue is a journal that events are put into by hand or by a schedule."""

from __future__ import annotations

from efsupervisor.interface.answers import done
from efsupervisor.interface.house import House
from efsupervisor.interface.verb import Names, SomeNames, Verb
from efsupervisor.messages.call import Answer, Flows
from efsupervisor.messages.core import ClearRequest, FlowsReply, FlowsRequest, StatusReply, StatusRequest
from efsupervisor.states import Role


class QueueShow(Verb, frozen=True, kw_only=True):
    """Show what waits in front of tasks: the lag of each flow that ends at them, and of their own input queues."""

    name = "queue.show"
    console = "shw queue"
    command = "queue ls"
    positional = ("names",)
    names: Names = []

    async def run(self, house: House) -> Answer:
        """A row for each edge that ends at the named tasks, at any without a name."""
        replies = await house.ask(FlowsRequest(id=house.next_id()))
        rows = [row for reply in replies if isinstance(reply, FlowsReply) for row in reply.rows]
        if not self.names:
            return Flows(rows=rows)
        named = await house.ask(StatusRequest(id=house.next_id(), names=self.names))
        wanted = {task.name for reply in named if isinstance(reply, StatusReply) for task in reply.tasks}
        return Flows(rows=[row for row in rows if wanted.intersection(row.consumers)])


class QueueClear(Verb, frozen=True, kw_only=True):
    """Skip what waits in the own input queues of tasks that are at rest."""

    name = "queue.clear"
    role = Role.OPERATE
    console = "del queue"
    command = "queue clear"
    positional = ("names",)
    changes = True
    names: SomeNames

    async def run(self, house: House) -> Answer:
        """One outcome for each task."""
        return done(await house.ask(ClearRequest(id=house.next_id(), names=self.names)))


VERBS = (QueueShow, QueueClear)
