"""From supervisord's groups of processes to tasks and groups of ours: what each is called, in which order they start, and what is not carried over.

Names.  supervisord knows GROUP:PROCESS.  A task is called by its process's name where no other process and no other group has that name, else
`group.process`; characters that our names may not have become `-`.  A group that is more than one process of its own name is a group of ours too.
What supervisord would call it stays in the task (`process_name`, `group`) for programs and for its own protocol.

Order.  A task's priority is its group's, for groups start in that order and their members within; tasks of one priority start in the order in which
they stand.  Pure.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import msgspec

from efsupervisor.conf.ini.lines import Document
from efsupervisor.conf.ini.options import FREE, SECTIONS, kind_of
from efsupervisor.conf.ini.resolve import Group, Notes
from efsupervisor.conf.names import MAX_NAME, RESERVED, fault, nearest, shown
from efsupervisor.conf.schema import FcgiSpec, GroupSpec, ListenerSpec, TaskSpec
from efsupervisor.system import folded

Key = tuple[str, str]
"""Group and process, as supervisord names them."""
_STANDARD_INTERFACE = "supervisor.rpcinterface:make_main_rpcinterface"


class Carried(NamedTuple):
    """Tasks and groups, and the pools and sockets whose members are none of them."""

    tasks: list[TaskSpec]
    groups: list[GroupSpec]
    listeners: list[ListenerSpec]
    fcgi: list[FcgiSpec]


def carry(groups: Sequence[Group], listeners: Sequence[ListenerSpec], fcgi: Sequence[FcgiSpec], notes: Notes) -> Carried:
    """Everything under the names that it has here."""
    groups = _first_of_each_name(groups, notes)
    kept = {(group.kind, group.name) for group in groups}
    called = names(groups, notes)

    def renamed(members: Iterable[TaskSpec], priority: int | None = None) -> list[TaskSpec]:
        last = {(each.group, each.process_name): each for each in members}
        return [
            msgspec.structs.replace(each, name=called[key], priority=each.priority if priority is None else priority) for key, each in last.items()
        ]

    tasks = [task for group in groups if group.kind in ("group", "program") for task in renamed(group.members, group.priority)]
    priorities = {group.name: group.priority for group in groups}
    shared = [
        msgspec.structs.replace(pool, members=renamed(pool.members, priorities[pool.name])) for pool in fcgi if ("fcgi-program", pool.name) in kept
    ]
    taken = {folded(task.name) for task in [*tasks, *(member for pool in shared for member in pool.members)]}
    return Carried(
        tasks,
        [own for group in groups if group.kind != "eventlistener" if (own := _group(group, called, taken)) is not None],
        [msgspec.structs.replace(pool, members=renamed(pool.members)) for pool in listeners if ("eventlistener", pool.name) in kept],
        shared,
    )


def _first_of_each_name(groups: Sequence[Group], notes: Notes) -> list[Group]:
    """supervisord runs the first group of a name and passes over the others; it says nothing."""
    first: dict[str, Group] = {}
    for group in groups:
        other = first.setdefault(group.name, group)
        if other is not group:
            notes.add("", 0, f"[{group.section}]", f"is not run, as in supervisord: [{other.section}] comes before it and is a group of that name")
    return list(first.values())


def _group(group: Group, called: dict[Key, str], taken: set[str]) -> GroupSpec | None:
    members = list(dict.fromkeys(called[each.group, each.process_name] for each in group.members))
    name = fitting(group.name)
    if not members or members == [name]:
        return None
    while folded(name) in taken:
        name = fitting(f"{name[: MAX_NAME - 6]}-group")
    return GroupSpec(name=name, tasks=members)


def names(groups: Sequence[Group], notes: Notes) -> dict[Key, str]:
    """What each process is called here."""
    keys = list(dict.fromkeys((each.group, each.process_name) for group in groups for each in group.members))
    times = Counter(folded(fitting(process)) for _, process in keys)
    of_groups = {folded(fitting(group.name)): group for group in groups}
    found: dict[Key, str] = {}
    used: set[str] = set()
    for group, process in keys:
        plain = fitting(process)
        other = of_groups.get(folded(plain))
        alone = times[folded(plain)] == 1 and (other is None or (other.name == group and len(other.members) == 1))
        name = plain if alone else fitting(f"{group}.{process}")
        number = 2
        while folded(name) in used:
            name, number = fitting(f"{name[: MAX_NAME - 5]}-{number}"), number + 1
        used.add(folded(name))
        found[group, process] = name
        if name not in (process, f"{group}.{process}"):
            section = next(each.section for each in groups if each.name == group)
            notes.add("", 0, section, f'the process "{shown(process)}" is the task "{name}" here, for names have letters, digits and . _ - inside')
    return found


def fitting(name: str) -> str:
    """The nearest name that we may use."""
    kept = "".join(each if not fault(f"a{each}a") else "-" for each in name)[:MAX_NAME].strip("-_.")
    kept = kept.lstrip("".join(each for each in kept if fault(each))) if fault(kept) else kept
    if not kept or fault(kept):
        return "x"
    return f"{kept}-1" if folded(kept) in RESERVED else kept


# What is not carried over ---------------------------------------------------------------------------------------------------------------------------


def note_what_is_left(document: Document, notes: Notes) -> None:
    """Notes about sections and options that have no effect here."""
    for part in document.parts.values():
        kind = kind_of(part.name)
        if kind in FREE:
            _note_free(kind, part.name, document, notes)
            continue
        if kind not in SECTIONS:
            near = nearest(kind, SECTIONS)
            hint = f"; did you mean [{near}...]?" if near else ""
            notes.add(part.file, part.line, f"[{shown(part.name)}]", f"is no section of supervisord{hint}; it has no effect")
            continue
        for option, value in part.options.items():
            if option not in SECTIONS[kind]:
                near = nearest(option, SECTIONS[kind])
                hint = f"; did you mean {near}?" if near else ""
                notes.add(value.file, value.line, f"{part.name}.{shown(option)}", f"is no option of supervisord{hint}; it has no effect")


def _note_free(kind: str, section: str, document: Document, notes: Notes) -> None:
    part = document.parts[section]
    if kind == "ctlplugin":
        notes.add(part.file, part.line, f"[{shown(section)}]", "adds commands to supervisorctl, which reads them itself; efctl has none of them")
    if kind == "rpcinterface":
        factory = part.options.get("supervisor.rpcinterface_factory")
        if factory is None or factory.text != _STANDARD_INTERFACE:
            notes.add(part.file, part.line, f"[{shown(section)}]", "is code that runs inside supervisord; it is not loaded")
