"""What `depends_on` stands for: names of tasks and groups as edges between tasks, and the cycles in them.

A group stands for each task that it names, `instances` of one entry included.  A name that is nobody's stays an edge to nobody: whoever looks at it
says so.  Pure, and linear in the number of edges.
"""

from __future__ import annotations

import graphlib
from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase

from efsupervisor.conf.schema import GroupSpec, TaskSpec
from efsupervisor.system import folded

STARTED, READY, HEALTHY, COMPLETED, COMPLETED_SUCCESSFULLY = "started", "ready", "healthy", "completed", "completed_successfully"
CONDITIONS = (STARTED, READY, HEALTHY, COMPLETED, COMPLETED_SUCCESSFULLY)
ALL = "all"

Edges = dict[str, dict[str, tuple[str, str]]]
"""Folded name of a task -> folded name of each task it depends on -> (that name as it is written, condition)."""


def edges(tasks: Iterable[TaskSpec], groups: Iterable[GroupSpec]) -> Edges:
    """What each task that depends on something depends on, in the order in which it was written."""
    listed = list(tasks)
    if not any(spec.depends_on for spec in listed):
        return {}
    known = {folded(spec.name): spec.name for spec in listed}
    members = _Members({folded(group.name): group for group in groups}, known)
    found: Edges = {}
    for spec in listed:
        for name, condition in spec.depends_on.items():
            for each in members.of(folded(name)):
                found.setdefault(folded(spec.name), {}).setdefault(each, (known.get(each, name), condition))
    return found


class _Members:
    """What a name stands for; each group is looked up once."""

    def __init__(self, groups: Mapping[str, GroupSpec], known: Mapping[str, str]) -> None:
        self._groups = groups
        self._known = known
        self._found: dict[str, list[str]] = {}

    def of(self, name: str) -> list[str]:
        if name in self._known or name not in self._groups:
            return [name]
        if name not in self._found:
            self._found[name] = [each for word in self._groups[name].tasks for each in self._word(folded(word))]
        return self._found[name]

    def _word(self, word: str) -> list[str]:
        if word in self._known:
            return [word]
        return [name for name in self._known if word == ALL or fnmatchcase(name, word)]


def cycle(found: Edges) -> list[str]:
    """Folded names of one cycle, each before what it depends on, the first one not repeated; empty when there is none."""
    try:
        graphlib.TopologicalSorter({name: list(needs) for name, needs in found.items()}).prepare()
    except graphlib.CycleError as error:
        names: list[str] = error.args[1]
        return names[:0:-1]
    return []
