"""What must be true between the parts of a configuration: names, flows, and keys that exclude each other.

Works on a Draft, the parts as they were read with the places where they stand, and only adds findings.  A part that was not readable takes part with
its defaults, so that one mistake is not reported twice.  Pure, and linear in the size of the draft: a flow is a node of its own among the tasks, so
that 10,000 producers with 10,000 consumers are 20,000 edges to the search for cycles.  Groups and schedules are in check_groups.py, the daemon itself
in check_supervisor.py.
"""

from __future__ import annotations

import graphlib
from collections.abc import Iterable, Sequence

import msgspec

from efsupervisor.conf import endpoint
from efsupervisor.conf.check_depend import check_dependencies
from efsupervisor.conf.check_groups import check_groups, check_schedules
from efsupervisor.conf.check_supervisor import check_supervisor
from efsupervisor.conf.draft import Draft, Flow, Group, Schedule, Task, known_tasks, place
from efsupervisor.conf.names import fault, shown
from efsupervisor.conf.schema import AliveSpec, framing_of
from efsupervisor.states import Framing, Mode, Protocol
from efsupervisor.system import folded

MAX_EDGES = 10_000
"""Edges of one flow (each has a folder); what is more is a slip, such as two long lists where a share flow was meant."""
MAX_CYCLES = 10
MAX_SPEC = 64 << 10
"""Bytes of one task as it travels to its worker: half a frame, so that its edges fit beside it (efsupervisor.messages.MAX_FRAME)."""


def check(draft: Draft) -> None:
    """Add everything that is wrong between the parts to the findings of their files."""
    for sentence_of in check_supervisor(draft.supervisor):
        draft.at.add(*sentence_of)
    _check_names(draft.tasks, "task")
    _check_names(draft.flows, "flow")
    _check_names(draft.groups, "group")
    _check_names(draft.schedules, "schedule")
    tasks = known_tasks(draft)
    for task in draft.tasks:
        _check_task(task)
    for flow in draft.flows:
        _check_flow(flow, tasks)
    _check_cycles(draft.flows, tasks)
    check_dependencies(draft, tasks)
    check_groups(draft, tasks)
    check_schedules(draft, tasks)


def _check_names(parts: Sequence[Task | Flow | Group | Schedule], what: str) -> None:
    first: dict[str, Task | Flow | Group | Schedule] = {}
    for part in parts:
        name = part.spec.name
        if reason := fault(name):
            part.at.add("", reason)
        other = first.setdefault(folded(name), part)
        if other is not part:
            same = f'the same name as "{shown(other.spec.name)}" in {other.at.findings.place_seen_from(part.at.findings, other.at.line)}'
            part.at.add("", f"is {same}: {what} names are compared without regard to case and width")


def _check_task(task: Task) -> None:
    spec, at = task.spec, task.at
    if not spec.command and "command" not in at.lines:
        at.add("command", "is missing; say which program to run")
    if (length := len(msgspec.json.encode(spec))) > MAX_SPEC:
        at.add("", f"takes {length:,} bytes, at most {MAX_SPEC:,} are possible; put long arguments and variables into a file")
    if spec.redirect_stderr and spec.input is not None and spec.input.protocol is Protocol.EVENT:
        reason = "cannot be used with input.protocol: event, because the program acknowledges its events on stderr"
        at.add("redirect_stderr", reason)
    if spec.input is not None and spec.input.ack == "echo" and spec.input.framing is not Framing.LINES:
        reason = "repeats an event as a line, and with input.framing: nul or netstring an event may hold newlines: use ack: empty"
        at.add("input.ack", reason)
    if spec.backoff_max_s < spec.backoff_s:
        key = "backoff_max_s" if "backoff_max_s" in at.lines else "backoff_s"
        reason = f"the longest delay, backoff_max_s ({spec.backoff_max_s:g} s), is shorter than the first, backoff_s ({spec.backoff_s:g} s)"
        at.add(key, reason)


    _check_probes(task)


def _check_probes(task: Task) -> None:
    """A probe goes to this machine or to an address that is listed; a section that asks for nothing is a slip."""
    for key, part in (("ready", task.spec.ready), ("alive", task.spec.alive)):
        if part is None:
            continue
        for kind, found in (("tcp", endpoint.tcp(part.tcp)), ("http", endpoint.http(part.http))):
            if found is not None and not found.own and found.address not in part.hosts:
                task.at.add(f"{key}.{kind}", f"goes to {found.host}, which is not this machine; list the address in {key}.hosts if that is meant")
        asks = part.tcp or part.http or part.exec or (part.watchdog_s if isinstance(part, AliveSpec) else part.notify or part.line)
        if not asks:
            task.at.add(key, f"says nothing to look at; write one of tcp, http, exec or {'watchdog_s' if key == 'alive' else 'notify, line'}")


def _check_flow(flow: Flow, tasks: dict[str, Task]) -> None:
    for key, names in (("from", flow.spec.producers), ("to", flow.spec.consumers)):
        if key not in flow.at.lines:
            flow.at.add(key, "is missing; name a task or a list of tasks")
        _check_members(flow, key, names, tasks)
    if flow.spec.mode is Mode.SHARE:
        _check_framings(flow, tasks)
    _check_streams(flow, tasks)
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
        elif name and folded(name) not in tasks:
            flow.at.findings.unknown(line, path, f'there is no task "{shown(name)}"', name, (task.spec.name for task in tasks.values()))


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


# Cycles --------------------------------------------------------------------------------------------------------------------------------------------

Node = tuple[str, str]
"""("task", folded name) or ("flow", folded name)."""


def _check_cycles(flows: list[Flow], tasks: dict[str, Task]) -> None:
    """Each flow that closes a cycle, once.  A search finds one cycle; its flow is taken out and the rest is searched again."""
    left = {folded(flow.spec.name): flow for flow in flows}
    order = {name: number for number, name in enumerate(left)}
    for _ in range(MAX_CYCLES):
        cycle = _cycle(left.values())
        if not cycle:
            return
        flow = left.pop(max((name for what, name in cycle if what == "flow"), key=order.__getitem__))
        names = [tasks[name].spec.name if name in tasks else name for what, name in cycle if what == "task"]
        turned = _closed_at(names, {folded(name) for name in flow.spec.consumers})
        flow.at.add("to", f"closes a cycle: {' -> '.join(turned)}; events would go round for ever")


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
