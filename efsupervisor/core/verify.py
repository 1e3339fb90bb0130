"""What comes by command must be what the file could have said: the same tables, the same rules between the parts, the same sentences.

A spec that arrives as a struct is turned back into the tree that a file with these keys would have, and read by the configuration's own tables;
then the whole configuration that would be in force is checked as a file's is.  So there is one place that knows what a key accepts, and a command
can bring nothing about that a file could not.

The tables cost 600 KiB, so whoever calls this imports it late.  Pure.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable
from typing import Any

import msgspec

from efsupervisor.conf.check import check
from efsupervisor.conf.draft import Draft, Flow, Group, Schedule, Task
from efsupervisor.conf.fields import Field, Reading, Section, section
from efsupervisor.conf.findings import Findings
from efsupervisor.conf.names import kept
from efsupervisor.conf.schema import Config, FlowSpec, GroupSpec, ScheduleSpec, TaskSpec
from efsupervisor.conf.tables import FLOW, GROUP, SCHEDULE, TASK
from efsupervisor.conf.tree import Entry, Mapping, Node, Scalar, Sequence
from efsupervisor.errors import ConfigError
from efsupervisor.system import folded

Part = TaskSpec | FlowSpec | GroupSpec | ScheduleSpec

_WORDS = {"producers": "from", "consumers": "to"}
"""Keys that the file calls otherwise."""
_ALWAYS = frozenset({"command", "producers", "consumers", "tasks", "cron"})
"""Keys without a default that means anything: they are looked at although they are empty."""
_SURE = ("command", "from", "to")
"""Keys that every part has which was verified before."""
_TABLES: dict[type, tuple[str, dict[str, Field]]] = {
    TaskSpec: ("tasks", TASK),
    FlowSpec: ("flows", FLOW),
    GroupSpec: ("groups", GROUP),
    ScheduleSpec: ("schedules", SCHEDULE),
}


def named(part: Any) -> Any:
    """The part with its name in the form in which names are kept."""
    return msgspec.structs.replace(part, name=kept(part.name))


def verify(config: Config, part: Part, types: Iterable[str]) -> None:
    """ConfigError with every finding about `part`, which is in `config`, and about how it fits the rest.

    Tasks come and go under groups and schedules that name them, so of those only the part itself is looked at.
    """
    findings = Findings("")
    title, table = _TABLES[type(part)]
    section(Reading(findings, "", tuple(types)), tree(part), 0, f"{title}.{part.name}", table)
    if not findings:
        check(_draft(config, part, findings))
    if findings:
        raise ConfigError([_without_lines(sentence) for sentence in findings.sentences()])


def _without_lines(sentence: str) -> str:
    """What was not read from a file stands in no line."""
    return sentence.replace("; the first time in line 0", "").replace(" in line 0", "")


def _draft(config: Config, part: Part, findings: Findings) -> Draft:
    def at(each: Part) -> Section:
        """Where it stands: nowhere, under its own path, with the keys that it says something about."""
        keys = _written(each) if each is part else _SURE
        return Section(findings, 0, f"{_TABLES[type(each)][0]}.{each.name}", {}, dict.fromkeys(keys, 0))

    draft = Draft(config.supervisor, Section(findings, 0, "supervisor"))
    draft.tasks = [Task(spec, at(spec)) for spec in config.tasks]
    draft.flows = [Flow(spec, at(spec)) for spec in config.flows]
    known = [group if group is part else GroupSpec(name=group.name, tasks=[]) for group in config.groups]
    draft.groups = [Group(spec, Section(findings, 0, f"groups.{spec.name}", {}, {"tasks": 0})) for spec in known]
    draft.schedules = [Schedule(spec, at(spec)) for spec in config.schedules if spec is part]
    return draft


def _written(part: Part) -> list[str]:
    defaults = {field.name: field.default for field in msgspec.structs.fields(part)}
    return [_WORDS.get(key, key) for key in part.__struct_fields__ if key != "name" and getattr(part, key) != defaults[key] and getattr(part, key)]


def tree(part: msgspec.Struct) -> Mapping:
    """The struct as the mapping that a file would have for it; what is at its default is left out."""
    entries = []
    for field in msgspec.structs.fields(part):
        value = getattr(part, field.name)
        if field.name == "name" or value is None or (field.name not in _ALWAYS and value == _default(field)):
            continue
        entries.append(Entry(Scalar(0, _WORDS.get(field.name, field.name), False), _node(value)))
    return Mapping(0, entries)


def _default(field: Any) -> Any:
    if field.default is not msgspec.NODEFAULT:
        return field.default
    return field.default_factory() if field.default_factory is not msgspec.NODEFAULT else None


def _node(value: Any) -> Node:
    match value:
        case msgspec.Struct():
            return tree(value)
        case dict():
            return Mapping(0, [Entry(Scalar(0, str(key), False), _node(each)) for key, each in value.items()])
        case list() | tuple():
            return Sequence(0, [_node(each) for each in value])
    return Scalar(0, _text(value), False)


def _text(value: Any) -> str:
    """A value as the file would say it.  Nothing is replaced in it: it was said by somebody who is not in this process's environment."""
    if isinstance(value, enum.IntEnum):
        return value.name.lower()
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return f"{value:.9f}"
    return str(value).replace("${", "$${")


def with_own_names(config: Config, part: Any) -> Any:
    """Flows, groups and schedules name tasks as the tasks name themselves."""
    own = {folded(task.name): task.name for task in config.tasks} | {folded(group.name): group.name for group in config.groups}
    lists = [key for key in ("producers", "consumers", "tasks", "act", "trm") if key in part.__struct_fields__]
    changed: dict[str, Any] = {key: [own.get(folded(name), kept(name)) for name in getattr(part, key)] for key in lists}
    if isinstance(part, ScheduleSpec):
        changed["task"] = own.get(folded(part.task), part.task)
    return msgspec.structs.replace(part, **changed)
