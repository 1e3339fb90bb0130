"""Flows: which task's output is which task's input."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from efsupervisor.interface.answers import done
from efsupervisor.interface.house import House
from efsupervisor.interface.verb import Settings, SomeNames, TaskName, Verb, WaitDone
from efsupervisor.messages.call import Answer, Arrow, FlowFigures, Flows, Graph
from efsupervisor.messages.core import (
    AddFlowRequest,
    DelFlowRequest,
    FlowRow,
    FlowsReply,
    FlowsRequest,
    RunFlowRequest,
    StatusReply,
    StatusRequest,
)
from efsupervisor.states import Role, State
from efsupervisor.system import REAL

FlowNames = Annotated[list[str], Meta(max_length=100_000, description="flows, patterns with `*`, or `all`")]


class FlowShow(Verb, frozen=True, kw_only=True):
    """Show flows with the lag of each edge."""

    name = "flow.show"
    console = "shw flow"
    command = "flow ls"
    positional = ("names",)
    names: FlowNames = []

    async def run(self, house: House) -> Answer:
        """A row for each edge of the named flows, of all without a name."""
        return Flows(rows=await edges(house, self.names))


class FlowStatus(Verb, frozen=True, kw_only=True):
    """Show how flows are: what comes in and goes out a second, how far consumers are behind, how old the oldest event is, what is in flight.

    Rates are made from two looks that are `over` seconds apart.  Bytes are exact; events are counted, or estimated (`~`) where a queue is long.
    """

    name = "flow.status"
    console = "shw rate"
    command = "flow status"
    positional = ("names",)
    names: FlowNames = []
    over: Annotated[float, Meta(ge=0.1, le=4, description="seconds between the two looks")] = 1.0

    async def run(self, house: House) -> Answer:
        """A row for each edge of the named flows, of all without a name."""
        from efsupervisor.passing.edges import samples  # late on purpose: it brings the rooms of tasks and journals
        from efsupervisor.passing.figures import figures, ref_of  # late on purpose, with it

        first = await edges(house, self.names)
        before = await house.slowly(lambda: samples([ref_of(row, house.var) for row in first], REAL))
        await house.pause(self.over)
        rows = await edges(house, self.names)
        after = await house.slowly(lambda: samples([ref_of(row, house.var) for row in rows], REAL))
        found = await house.slowly(lambda: figures(rows, house.var, before, after, REAL))
        return FlowFigures(rows=found, window_s=self.over)


class FlowGraph(Verb, frozen=True, kw_only=True):
    """Draw flows: tasks with their states, and what runs from which to which."""

    name = "flow.graph"
    console = "shw graph"
    command = "flow graph"
    positional = ("names",)
    names: FlowNames = []

    async def run(self, house: House) -> Answer:
        """An arrow for each edge of the named flows, of all without a name."""
        rows = await edges(house, self.names)
        replies = await house.ask(StatusRequest(id=house.next_id()))
        states = {task.name: task.state for reply in replies if isinstance(reply, StatusReply) for task in reply.tasks}
        return Graph(rows=[_arrow(row, states) for row in rows])


def _arrow(row: FlowRow, states: dict[str, State]) -> Arrow:
    return Arrow(
        flow=row.flow,
        producer=row.producer,
        consumers=row.consumers,
        mode=row.mode,
        producer_state=states.get(row.producer, State.UNKNOWN),
        consumer_states=[states.get(name, State.UNKNOWN) for name in row.consumers],
        lag_bytes=row.lag_bytes,
        held=row.held_back,
    )


async def edges(house: House, names: list[str], *, own: bool = False) -> list[FlowRow]:
    """The edges of flows, of all without a name; with the tasks' own input queues when they are wanted."""
    replies = await house.ask(FlowsRequest(id=house.next_id(), names=names))
    return [row for reply in replies if isinstance(reply, FlowsReply) for row in reply.rows if row.flow or own]


class FlowAdd(Verb, frozen=True, kw_only=True):
    """Add a flow between tasks that exist; it is saved.

    Settings are the keys that a flow has in the configuration file: `mode=share`, `start=begin`, `max_lag=64MiB`, `overflow=drop-oldest`.
    """

    name = "flow.add"
    role = Role.ADMIN
    console = "set flow"
    command = "flow add"
    positional = ("flow", "producers", "consumers")
    aliases = {"from": "producers", "to": "consumers"}
    changes = True
    flow: Annotated[str, Meta(min_length=1, max_length=256, description="name of the flow")]
    producers: Annotated[list[TaskName], Meta(min_length=1, max_length=10_000, description="tasks whose output it takes")]
    consumers: Annotated[list[TaskName], Meta(min_length=1, max_length=10_000, description="tasks whose input it is")]
    settings: Settings = {}
    replace: Annotated[bool, Meta(description="an added flow of this name gets this definition instead")] = False

    async def run(self, house: House) -> Answer:
        """One outcome."""
        from efsupervisor.interface.options import flow_spec  # late on purpose, see there

        spec = flow_spec(self.flow, self.producers, self.consumers, self.settings)
        return done(await house.ask(AddFlowRequest(id=house.next_id(), flow=spec, replace=self.replace)))


class FlowDel(Verb, frozen=True, kw_only=True):
    """Forget added flows; the tasks go on."""

    name = "flow.del"
    role = Role.ADMIN
    console = "del flow"
    command = "flow del"
    positional = ("names",)
    changes = True
    names: SomeNames

    async def run(self, house: House) -> Answer:
        """One outcome for each flow."""
        return done(await house.ask(DelFlowRequest(id=house.next_id(), names=self.names)))


class FlowRun(Verb, frozen=True, kw_only=True):
    """Run a flow, or the jobs of a group, to its end.

    Every part is started: the tasks of the flow and of those that are connected with it through jobs.  Answers when all jobs have come to their end,
    with exit status, time, bytes and events of each; the whole has failed when one of them has.
    """

    name = "flow.run"
    role = Role.OPERATE
    console = "run flow"
    command = "flow run"
    positional = ("flow",)
    changes = True
    endless = True
    flow: Annotated[str, Meta(min_length=1, max_length=256, description="a flow, a group or a pattern that stands for tasks")]
    wait: WaitDone = True

    async def run(self, house: House) -> Answer:
        """One outcome for each part, and one for the whole."""
        return done(await house.ask(RunFlowRequest(id=house.next_id(), flow=self.flow, wait=self.wait)))


VERBS = (FlowShow, FlowStatus, FlowGraph, FlowAdd, FlowDel, FlowRun)
