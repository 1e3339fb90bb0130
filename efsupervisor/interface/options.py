"""From `key=value` pairs to the specs of tasks and flows, by the tables of the configuration file itself: what a key accepts is declared there once.

A dot leads below a section: `input.window=8`, `environment.TZ=UTC`.  The first key below `input` makes the section.  What is wrong is one ConfigError
with a sentence for each finding, as for a file.  Pure: no variable of the environment is replaced and no path is relative to anything, for who says
these pairs is elsewhere.

It is imported late by the verbs that need it: the tables are for who adds a task, and `efctl` builds its commands from the declarations each time.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from efsupervisor.conf import convert
from efsupervisor.conf.check import check
from efsupervisor.conf.convert import Unfit
from efsupervisor.conf.draft import Draft, Task
from efsupervisor.conf.fields import Reading, Section, section
from efsupervisor.conf.findings import Findings
from efsupervisor.conf.names import fault, kept
from efsupervisor.conf.schema import FlowSpec, InputSpec, OutputSpec, SupervisorSpec, TaskSpec
from efsupervisor.conf.tables import FLOW, INPUT, OUTPUT, TASK, TASK_PARTS
from efsupervisor.conf.tree import Entry, Mapping, Node, Scalar, Sequence
from efsupervisor.errors import Code, EfError

SECTIONS = frozenset({"input", "output", "environment", "limits", "secrets", *TASK_PARTS})
LISTS = frozenset({"exitcodes", "no_retry", "depends_on"})
"""Keys whose value is a comma list."""


def task_spec(name: str, settings: dict[str, str], program: list[str], base: TaskSpec | None = None, unset: Iterable[str] = ()) -> TaskSpec:
    """The spec of a task: `base` (or the defaults) without what is unset, with these settings and this program.  ConfigError for what is wrong."""
    if program and "command" in settings:
        raise EfError("the program is said twice: as words and as the setting `command`", Code.USAGE)
    findings = Findings("")
    path = f"tasks.{kept(name)}"
    start = base or TaskSpec(name=kept(name), command=[])
    spec = _without(start, unset, findings, path)
    # whether the type exists is the Core's to say: its table has the types of other distributions
    reading = Reading(findings, "", (settings.get("type", ""), start.type))
    found = section(reading, tree(settings), 0, path, TASK)
    if program:
        _take_program(found, program)
    elif base is not None:
        found.lines.setdefault("command", 0)
    spec = _with(spec, found.values, settings)
    check(Draft(SupervisorSpec(), Section(findings, 0, "supervisor"), tasks=[Task(msgspec.structs.replace(spec, depends_on={}), found)]))
    if findings:
        findings.refuse()
    return spec


def flow_spec(name: str, producers: list[str], consumers: list[str], settings: dict[str, str]) -> FlowSpec:
    """The spec of a flow; whether its tasks exist is the Core's to say.  ConfigError for what is wrong."""
    findings = Findings("")
    path = f"flows.{kept(name)}"
    if reason := fault(kept(name)):
        findings.add(0, path, reason)
    options = {key: field for key, field in FLOW.items() if key not in ("from", "to")}
    values = section(Reading(findings, ""), tree(settings), 0, path, options).values
    if findings:
        findings.refuse()
    return FlowSpec(name=kept(name), producers=[kept(each) for each in producers], consumers=[kept(each) for each in consumers], **values)


def tree(settings: dict[str, str]) -> Mapping:
    """The pairs as the tree that a file with the same keys would have."""
    top: dict[str, Node] = {}
    for key, value in settings.items():
        head, dot, rest = key.partition(".")
        if not dot:
            top.setdefault(head, _value(head, value))
            continue
        below = top.get(head)
        if not isinstance(below, Mapping):
            below = top[head] = Mapping(0, [])
        below.entries.append(Entry(Scalar(0, rest, False), _value(rest, value)))
    return Mapping(0, [Entry(Scalar(0, key, False), node) for key, node in top.items()])


def _value(key: str, text: str) -> Node:
    if key in LISTS:
        return Sequence(0, [Scalar(0, each.strip(), False) for each in text.split(",") if each.strip()])
    return Scalar(0, text, key in SECTIONS)


def _take_program(found: Section, program: list[str]) -> None:
    found.lines["command"] = 0
    try:
        found.values["command"] = [convert.argument(each) for each in program]
        if not program[0]:
            raise Unfit("names no program to run")
    except Unfit as reason:
        found.add("command", str(reason))


def _with(spec: TaskSpec, values: dict[str, Any], settings: dict[str, str]) -> TaskSpec:
    """The spec with new values; of a section only the keys that were written."""
    values = dict(values)
    if "input" in values:
        values["input"] = _merged(spec.input or InputSpec(), values["input"], _written("input", settings))
    if "output" in values:
        values["output"] = _merged(spec.output, values["output"], _written("output", settings))
    for key in TASK_PARTS.keys() & values.keys():
        values[key] = _merged(getattr(spec, key) or type(values[key])(), values[key], _written(key, settings))
    if "environment" in values:
        values["environment"] = spec.environment | values["environment"]
    return msgspec.structs.replace(spec, **values)


def _written(head: str, settings: dict[str, str]) -> list[str]:
    return [key.partition(".")[2] for key in settings if key.startswith(head + ".")]


def _merged(former: Any, said: Any, keys: list[str]) -> Any:
    return msgspec.structs.replace(former, **{key: getattr(said, key) for key in keys if hasattr(said, key)})


def _without(spec: TaskSpec, unset: Iterable[str], findings: Findings, path: str) -> TaskSpec:
    """The spec with the defaults of these keys."""
    blank = TaskSpec(name=spec.name, command=spec.command)
    for key in unset:
        head, _, rest = key.partition(".")
        if key in TASK and key != "command":
            spec = msgspec.structs.replace(spec, **{key: getattr(blank, key)})
        elif head == "environment" and rest:
            spec = msgspec.structs.replace(spec, environment={name: value for name, value in spec.environment.items() if name != rest})
        elif head == "input" and rest in INPUT:
            spec = msgspec.structs.replace(spec, input=_merged(spec.input or InputSpec(), InputSpec(), [rest]))
        elif rest in TASK_PARTS.get(head, ()):
            part = getattr(spec, head)
            spec = spec if part is None else msgspec.structs.replace(spec, **{head: _merged(part, type(part)(), [rest])})
        elif head == "output" and rest in OUTPUT:
            spec = msgspec.structs.replace(spec, output=_merged(spec.output, OutputSpec(), [rest]))
        else:
            findings.unknown(0, path, f"`{key[:64]}` cannot be unset", key, [each for each in TASK if each != "command"])
    return spec
