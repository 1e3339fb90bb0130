"""Queues: what waits in front of tasks.  A task's own input queue is a journal that events are put into by hand or by a schedule."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from efsupervisor.errors import Code, EfError
from efsupervisor.interface.answers import done
from efsupervisor.interface.flow import edges
from efsupervisor.interface.house import House
from efsupervisor.interface.verb import Names, SomeNames, Verb
from efsupervisor.messages.call import Answer, Flows
from efsupervisor.messages.core import ClearRequest, FlowsReply, FlowsRequest, StatusReply, StatusRequest
from efsupervisor.states import Role
from efsupervisor.system import REAL

LOOK_S = 0.25
"""Between two looks at what passes."""

SHARE = 3
"""So many times what a look cost passes before the next: watching a thousand tasks must not keep those waiting who command them."""


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


Directions = Annotated[
    list[Literal["in", "out", "err"]], Meta(max_length=3, description="`in` (given to a task), `out`, `err` (written by it); all without one")
]


class QueueLive(Verb, frozen=True, kw_only=True):
    """Show what passes: what is given to tasks and what they write, each with the beginning of the event.

    It is read from the logs; no task notices.  When more passes than is shown, what is not shown is counted.  An answer says where it ended: `since`
    goes on from there, and without it the view begins now.
    """

    name = "queue.live"
    console = "shw live"
    command = "live"
    positional = ("names",)
    names: Names = []
    directions: Directions = []
    since: Annotated[str, Meta(max_length=60_000, description="where the answer before this one ended; empty for now")] = ""
    limit: Annotated[int, Meta(ge=1, le=1000, description="events that are shown at most")] = 200
    wait_s: Annotated[float, Meta(ge=0, le=4, description="how long to wait for something to pass")] = 1.0

    async def run(self, house: House) -> Answer:
        """What passed since; nothing when nothing did."""
        from efsupervisor.passing.figures import ref_of  # late on purpose: it brings the rooms of tasks and journals
        from efsupervisor.passing.live import DIRECTIONS, Live, streams  # late on purpose, with it

        replies = await house.ask(StatusRequest(id=house.next_id(), names=self.names))
        tasks = [task.name for reply in replies if isinstance(reply, StatusReply) for task in reply.tasks]
        if self.names and not tasks:
            raise EfError("there are no such tasks to watch", Code.NO_SUCH_TASK)
        refs = [ref_of(row, house.var) for row in await edges(house, [], own=True)]
        every = streams(tasks, refs, [each for each in DIRECTIONS if each in (self.directions or DIRECTIONS)])
        waited, since, rest_s = 0.0, self.since, LOOK_S if self.since and self.wait_s else 0.0
        while True:
            if rest_s:  # also before the first look: who watches asks again as soon as he has an answer
                await house.pause(rest_s)
                waited += rest_s
            began = REAL.monotonic()
            found = await house.slowly(lambda since=since: Live(house.var, REAL).look(every, tasks, since, self.limit))  # type: ignore[misc]
            cost_s = (REAL.monotonic() - began) * SHARE
            if found.rows or waited >= self.wait_s:
                if self.wait_s:
                    await house.pause(cost_s)
                return found
            since, rest_s = found.next, max(LOOK_S, cost_s)


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


VERBS = (QueueShow, QueueLive, QueueClear)
