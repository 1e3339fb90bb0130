"""What must be true of flows: their tasks exist, nobody is fed the same events twice, and they close a cycle only where that is meant.

Why a cycle must be said: an event that each task of it passes on goes round for ever, and back pressure can bring a cycle to a standstill.  When
every task of it waits until the next one has taken something, none can go on, for each has its own output to get rid of before it reads.  One flow
of a cycle says `cycle: true`; then the cycle is the author's to bound, and a standstill is found while it runs (see docs/flows.rst).

Only adds findings.  Pure, and linear in the size of the draft: a flow is a node of its own among the tasks, so that 10,000 producers with 10,000
consumers are 20,000 edges to the search for cycles.
"""

from __future__ import annotations

import graphlib
from collections.abc import Iterable

from efsupervisor.conf.draft import Flow, Task, place
from efsupervisor.conf.flows import fed_twice
from efsupervisor.conf.names import shown
from efsupervisor.conf.schema import framing_of
from efsupervisor.states import Mode, Protocol
from efsupervisor.system import folded

MAX_EDGES = 10_000
"""Edges of one flow (each has a folder); what is more is a slip, such as two long lists where a share flow was meant."""
MAX_FEEDING = 127
"""Edges that may end at one task, beside its own input queue: its delivery record has room for so many (task/delivery.py)."""
MAX_CYCLES = 10


def check_flows(flows: list[Flow], tasks: dict[str, Task]) -> None:
    """Add what is wrong with flows and between them."""
    for flow in flows:
        _check_flow(flow, tasks)
    _check_feeding(flows)
    _check_twice(flows)
    _check_cycles(flows, tasks)


def _check_flow(flow: Flow, tasks: dict[str, Task]) -> None:
    for key, names in (("from", flow.spec.producers), ("to", flow.spec.consumers)):
        if key not in flow.at.lines:
            flow.at.add(key, "is missing; name a task or a list of tasks")
        _check_members(flow, key, names, tasks)
    if flow.spec.mode is Mode.SHARE:
        _check_acknowledges(flow, tasks)
        _check_framings(flow, tasks)
    _check_streams(flow, tasks)
    if flow.spec.start.isdigit() and len(flow.spec.producers) > 1:
        flow.at.add("start", f"is an offset in one task's output, and {len(flow.spec.producers)} tasks are producers; make a flow for each")
    edges = len(flow.spec.producers) * (1 if flow.spec.mode is Mode.SHARE else len(flow.spec.consumers))
    if edges > MAX_EDGES:
        flow.at.add("", f"makes {edges:,} edges, each producer with each consumer; at most {MAX_EDGES:,} are possible")


def _check_members(flow: Flow, key: str, names: list[str], tasks: dict[str, Task]) -> None:
    first: dict[str, int] = {}
    for number, name in enumerate(names):
        line, path = place(flow.at, key, number)
        earlier = first.setdefault(folded(name), number)
        if earlier != number and name:
            flow.at.findings.add(line, path, f'names "{shown(name)}" twice; the first time in line {place(flow.at, key, earlier)[0]}')
        elif key == "to" and folded(name) in tasks and tasks[folded(name)].spec.socket:
            flow.at.findings.add(line, path, f'"{shown(name)}" cannot take events: its program finds a listening socket as its stdin (`socket`)')
        elif name and folded(name) not in tasks:
            flow.at.findings.unknown(line, path, f'there is no task "{shown(name)}"', name, (task.spec.name for task in tasks.values()))


def _check_acknowledges(flow: Flow, tasks: dict[str, Task]) -> None:
    """An event of a share group is done when its member says so; who takes a stream says nothing, so each would get everything.
    Said of the first."""
    for number, name in enumerate(flow.spec.consumers):
        task = tasks.get(folded(name))
        if task is not None and (task.spec.input is None or task.spec.input.protocol is Protocol.STREAM):
            line, path = place(flow.at, "to", number)
            why = "takes a stream, and members of a share group acknowledge each event: say input: {protocol: event} in it"
            flow.at.findings.add(line, path, f'"{shown(name)}" {why}')
            return


def _check_framings(flow: Flow, tasks: dict[str, Task]) -> None:
    """Any member of a share group may be given any event, so all must take the same framing."""
    members = [(number, tasks[folded(name)].spec) for number, name in enumerate(flow.spec.consumers) if folded(name) in tasks]
    for number, spec in members[1:]:
        if framing_of(spec) is not framing_of(members[0][1]):
            line, path = place(flow.at, "to", number)
            flow.at.findings.add(line, path, f'"{spec.name}" and "{members[0][1].name}" share events but differ in input.framing')


def _check_streams(flow: Flow, tasks: dict[str, Task]) -> None:
    """A stream is not framed anew, so its consumer must expect what its producers write."""
    producers = [tasks[folded(name)].spec for name in flow.spec.producers if folded(name) in tasks]
    for number, name in enumerate(flow.spec.consumers):
        spec = tasks[folded(name)].spec if folded(name) in tasks else None
        if spec is None or (spec.input is not None and spec.input.protocol is not Protocol.STREAM):
            continue
        for producer in producers:
            if producer.output.framing is not framing_of(spec):
                written, line_path = producer.output.framing.name.lower(), place(flow.at, "to", number)
                sentence = (
                    f'"{spec.name}" takes a stream, which passes as it was written, and "{producer.name}" writes {written} (output.framing): give'
                    f' "{spec.name}" input.framing: {written}, or input.protocol: event, which frames anew'
                )
                flow.at.findings.add(*line_path, sentence)
                break


def _check_feeding(flows: list[Flow]) -> None:
    """A task takes so many edges and no more; said at the flow that brings too many."""
    feeding: dict[str, int] = {}
    for flow in flows:
        for number, name in enumerate(flow.spec.consumers):
            before = feeding.get(folded(name), 0)
            feeding[folded(name)] = before + len(flow.spec.producers)
            if before <= MAX_FEEDING < feeding[folded(name)]:
                line, path = place(flow.at, "to", number)
                count = feeding[folded(name)]
                flow.at.findings.add(line, path, f'"{shown(name)}" would be fed by {count:,} tasks; at most {MAX_FEEDING} are possible')


# Twice ---------------------------------------------------------------------------------------------------------------------------------------------


def _check_twice(flows: list[Flow]) -> None:
    """Each flow that feeds a task what another flow feeds it too, at the first such task."""
    by_name = {folded(flow.spec.name): flow for flow in reversed(flows)}
    for later, earlier, producer, consumer in fed_twice(flow.spec for flow in flows):
        flow, other = by_name[later], by_name[earlier]
        number = [folded(name) for name in flow.spec.consumers].index(consumer)
        line, path = place(flow.at, "to", number)
        pair = f'"{shown(flow.spec.consumers[number])}" has the output of "{shown(producer)}"'
        stands = other.at.findings.place_seen_from(flow.at.findings, other.at.line)
        flow.at.findings.add(line, path, f'{pair} already, by the flow "{shown(other.spec.name)}" in {stands}: every event would come twice')


# Cycles --------------------------------------------------------------------------------------------------------------------------------------------

Node = tuple[str, str]
"""("task", folded name) or ("flow", folded name)."""


WHY_NOT = "events could go round for ever, or all of it stand still when it is full; say `cycle: true` if it is meant"


def _check_cycles(flows: list[Flow], tasks: dict[str, Task]) -> None:
    """Each flow that closes a cycle and does not say so, once.  A cycle is said by any flow of it, so those that say it are left out of the search.
    A search finds one cycle; its flow is taken out and the rest is searched again."""
    left = {folded(flow.spec.name): flow for flow in flows if not flow.spec.cycle}
    order = {name: number for number, name in enumerate(left)}
    for _ in range(MAX_CYCLES):
        cycle = _cycle(left.values())
        if not cycle:
            return
        flow = left.pop(max((name for what, name in cycle if what == "flow"), key=order.__getitem__))
        names = [tasks[name].spec.name if name in tasks else name for what, name in cycle if what == "task"]
        turned = _closed_at(names, {folded(name) for name in flow.spec.consumers})
        flow.at.add("to", f"closes a cycle: {' -> '.join(turned)}; {WHY_NOT}")


def _cycle(flows: Iterable[Flow]) -> list[Node]:
    """The nodes of one cycle, each before what it feeds, the first one not repeated; empty when there is none."""
    sorter: graphlib.TopologicalSorter[Node] = graphlib.TopologicalSorter()
    for flow in flows:
        this = ("flow", folded(flow.spec.name))
        sorter.add(this, *(("task", folded(name)) for name in flow.spec.producers))
        for name in flow.spec.consumers:
            sorter.add(("task", folded(name)), this)
    try:
        sorter.prepare()
    except graphlib.CycleError as error:
        nodes: list[Node] = error.args[1]
        return nodes[:-1]
    return []


def _closed_at(names: list[str], consumers: set[str]) -> list[str]:
    """The cycle told so that it begins and ends with the task that the closing flow feeds."""
    begin = next((number for number, name in enumerate(names) if folded(name) in consumers), 0)
    return [shown(name) for name in (*names[begin:], *names[:begin], names[begin])]
