"""What must be true between the parts of a configuration: names, flows, and keys that exclude each other.

Works on a Draft, the parts as they were read with the lines where they stand, and only adds findings.  A part that was not readable takes part with
its defaults, so that one mistake is not reported twice.  Pure, and linear in the size of the draft: a flow is a node of its own among the tasks, so
that 10,000 producers with 10,000 consumers are 20,000 edges to the search for cycles.
"""

from __future__ import annotations

import graphlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import msgspec

from efsupervisor.conf.fields import Section
from efsupervisor.conf.findings import Findings
from efsupervisor.conf.names import fault, shown
from efsupervisor.conf.schema import FlowSpec, SupervisorSpec, TaskSpec
from efsupervisor.states import Framing, Mode, Protocol
from efsupervisor.system import folded

MAX_EDGES = 10_000
"""Edges of one flow (each has a folder); what is more is a slip, such as two long lists where a share flow was meant."""
MAX_CYCLES = 10
MAX_SPEC = 64 << 10
"""Bytes of one task as it travels to its worker: half a frame, so that its edges fit beside it (efsupervisor.messages.MAX_FRAME)."""


@dataclass(frozen=True)
class Task:
    """A task and where it stands."""

    spec: TaskSpec
    at: Section


@dataclass(frozen=True)
class Flow:
    """A flow and where it stands."""

    spec: FlowSpec
    at: Section


@dataclass(frozen=True)
class Draft:
    """A configuration that was read but not yet checked."""

    supervisor: SupervisorSpec
    tasks: list[Task] = field(default_factory=list)
    flows: list[Flow] = field(default_factory=list)


def check(draft: Draft, findings: Findings) -> None:
    """Add everything that is wrong between the parts."""
    _check_names(draft.tasks, "task", findings)
    _check_names(draft.flows, "flow", findings)
    tasks = known_tasks(draft)
    for task in draft.tasks:
        _check_task(task, findings)
    for flow in draft.flows:
        _check_flow(flow, tasks, findings)
    _check_cycles(draft.flows, tasks, findings)


def known_tasks(draft: Draft) -> dict[str, Task]:
    """The tasks by folded name; of two with one name the first."""
    return {folded(task.spec.name): task for task in reversed(draft.tasks)}


def _check_names(parts: Sequence[Task | Flow], what: str, findings: Findings) -> None:
    first: dict[str, Task | Flow] = {}
    for part in parts:
        name = part.spec.name
        if reason := fault(name):
            findings.add(part.at.line, part.at.path, reason)
        other = first.setdefault(folded(name), part)
        if other is not part:
            same = f'the same name as "{shown(other.spec.name)}" in line {other.at.line}'
            findings.add(part.at.line, part.at.path, f"is {same}: {what} names are compared without regard to case and width")


def _check_task(task: Task, findings: Findings) -> None:
    spec, at = task.spec, task.at
    if not spec.command and "command" not in at.lines:
        findings.add(at.line, f"{at.path}.command", "is missing; say which program to run")
    if (length := len(msgspec.json.encode(spec))) > MAX_SPEC:
        findings.add(at.line, at.path, f"takes {length:,} bytes, at most {MAX_SPEC:,} are possible; put long arguments and variables into a file")
    if spec.redirect_stderr and spec.input is not None and spec.input.protocol is Protocol.EVENT:
        reason = "cannot be used with input.protocol: event, because the program acknowledges its events on stderr"
        findings.add(at.line_of("redirect_stderr"), f"{at.path}.redirect_stderr", reason)
    if spec.backoff_max_s < spec.backoff_s:
        key = "backoff_max_s" if "backoff_max_s" in at.lines else "backoff_s"
        reason = f"the longest delay, backoff_max_s ({spec.backoff_max_s:g} s), is shorter than the first, backoff_s ({spec.backoff_s:g} s)"
        findings.add(at.line_of(key), f"{at.path}.{key}", reason)


def _check_flow(flow: Flow, tasks: dict[str, Task], findings: Findings) -> None:
    for key, names in (("from", flow.spec.producers), ("to", flow.spec.consumers)):
        if key not in flow.at.lines:
            findings.add(flow.at.line, f"{flow.at.path}.{key}", "is missing; name a task or a list of tasks")
        _check_members(flow, key, names, tasks, findings)
    if flow.spec.mode is Mode.SHARE:
        _check_framings(flow, tasks, findings)
    edges = len(flow.spec.producers) * (1 if flow.spec.mode is Mode.SHARE else len(flow.spec.consumers))
    if edges > MAX_EDGES:
        findings.add(flow.at.line, flow.at.path, f"makes {edges:,} edges, each producer with each consumer; at most {MAX_EDGES:,} are possible")


def _check_members(flow: Flow, key: str, names: list[str], tasks: dict[str, Task], findings: Findings) -> None:
    first: dict[str, int] = {}
    for number, name in enumerate(names):
        line, path = _place(flow, key, number)
        earlier = first.setdefault(folded(name), number)
        if earlier != number and name:
            findings.add(line, path, f'names "{shown(name)}" twice; the first time in line {_place(flow, key, earlier)[0]}')
        elif name and folded(name) not in tasks:
            findings.unknown(line, path, f'there is no task "{shown(name)}"', name, (task.spec.name for task in tasks.values()))


def _place(flow: Flow, key: str, number: int) -> tuple[int, str]:
    """Line and path of one name of a list, or of the single name."""
    item = f"{key}[{number}]"
    if item in flow.at.lines:
        return flow.at.lines[item], f"{flow.at.path}.{item}"
    return flow.at.line_of(key), f"{flow.at.path}.{key}"


def _check_framings(flow: Flow, tasks: dict[str, Task], findings: Findings) -> None:
    """Any member of a share group may be given any event, so all must take the same framing."""
    members = [(number, tasks[folded(name)].spec) for number, name in enumerate(flow.spec.consumers) if folded(name) in tasks]
    for number, spec in members[1:]:
        if _framing(spec) is not _framing(members[0][1]):
            line, path = _place(flow, "to", number)
            findings.add(line, path, f'"{spec.name}" and "{members[0][1].name}" share events but differ in input.framing')


def _framing(spec: TaskSpec) -> Framing:
    return spec.input.framing if spec.input else Framing.LINES


# Cycles --------------------------------------------------------------------------------------------------------------------------------------------

Node = tuple[str, str]
"""("task", folded name) or ("flow", folded name)."""


def _check_cycles(flows: list[Flow], tasks: dict[str, Task], findings: Findings) -> None:
    """Each flow that closes a cycle, once.  A search finds one cycle; its flow is taken out and the rest is searched again."""
    left = {folded(flow.spec.name): flow for flow in flows}
    for _ in range(MAX_CYCLES):
        cycle = _cycle(left.values())
        if not cycle:
            return
        flow = left.pop(max((name for what, name in cycle if what == "flow"), key=lambda name: left[name].at.line))
        names = [tasks[name].spec.name if name in tasks else name for what, name in cycle if what == "task"]
        turned = _closed_at(names, {folded(name) for name in flow.spec.consumers})
        findings.add(flow.at.line_of("to"), f"{flow.at.path}.to", f"closes a cycle: {' -> '.join(turned)}; events would go round for ever")


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
