"""What must be true between the parts of a configuration: names, flows, and keys that exclude each other.

Works on a Draft, the parts as they were read with the places where they stand, and only adds findings.  A part that was not readable takes part with
its defaults, so that one mistake is not reported twice.  Pure, and linear in the size of the draft.  Flows are in check_flows.py, groups and
schedules in check_groups.py, the daemon itself in check_supervisor.py.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from efsupervisor.conf import endpoint
from efsupervisor.conf.check_depend import check_dependencies
from efsupervisor.conf.check_flows import check_flows
from efsupervisor.conf.check_groups import check_groups, check_schedules
from efsupervisor.conf.check_supervisor import check_supervisor
from efsupervisor.conf.draft import Draft, Flow, Group, Schedule, Task, known_tasks
from efsupervisor.conf.names import fault, shown
from efsupervisor.conf.schema import AliveSpec
from efsupervisor.states import Framing, Protocol
from efsupervisor.system import folded

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
    check_flows(draft.flows, tasks)
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
    if spec.socket and spec.input is not None:
        at.add("socket", "cannot be used with input: the program finds the socket as its stdin")
    if not spec.socket.startswith("unix://"):
        for key in ("socket_mode", "socket_owner"):
            if getattr(spec, key):
                at.add(key, "is for a socket of unix:// only")
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
