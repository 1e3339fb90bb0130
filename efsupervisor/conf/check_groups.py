"""What groups and schedules must name: tasks that exist, patterns that match one, and for schedules groups and `all`.

Only adds findings.  Pure; a pattern is compared with every task, so the number of patterns of one configuration is limited.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Iterable

from efsupervisor.conf.draft import Draft, Schedule, Task, place
from efsupervisor.conf.fields import Section
from efsupervisor.conf.names import EVERYTHING, shown
from efsupervisor.system import folded

MAX_PATTERNS = 2_000
_WILD = frozenset("*?[")


def is_pattern(name: str) -> bool:
    """Whether this stands for every task that it matches; no name has such characters."""
    return bool(_WILD & set(name))


def matches(pattern: str, names: Iterable[str]) -> bool:
    """Whether a pattern matches one of these folded names."""
    return any(fnmatch.fnmatchcase(name, folded(pattern)) for name in names)


class _Known:
    """What a name may stand for, and the patterns that were compared already."""

    def __init__(self, tasks: dict[str, Task], groups: Iterable[str] = (), *, everything: bool = False, what: str = "") -> None:
        self._tasks = tasks
        self._words = [*(task.spec.name for task in tasks.values()), *groups]
        self._folded = {*map(folded, self._words), *((EVERYTHING,) if everything else ())}
        self._what = what or ("task or group" if everything else "task")
        self._patterns: dict[str, bool] = {}

    def check(self, at: Section, key: str, names: list[str]) -> None:
        """A finding for each name of a key that stands for nothing."""
        for number, name in enumerate(names):
            line, path = place(at, key, number)
            if is_pattern(name):
                if reason := self._fault(name):
                    at.findings.add(line, path, reason)
            elif name and folded(name) not in self._folded:
                at.findings.unknown(line, path, f'there is no {self._what} "{shown(name)}"', name, self._words)

    def _fault(self, pattern: str) -> str:
        if pattern not in self._patterns:
            if len(self._patterns) >= MAX_PATTERNS:
                return f"is one pattern too many: a configuration has at most {MAX_PATTERNS:,} of them here"
            self._patterns[pattern] = matches(pattern, self._tasks)
        return "" if self._patterns[pattern] else f'no task matches "{shown(pattern)}"'


def check_groups(draft: Draft, tasks: dict[str, Task]) -> None:
    """A group has another name than any task, and members that exist."""
    known = _Known(tasks)
    for group in draft.groups:
        task = tasks.get(folded(group.spec.name))
        if task is not None:
            where = task.at.findings.place_seen_from(group.at.findings, task.at.line)
            group.at.add("", f'has the name of the task "{shown(task.spec.name)}" in {where}; a group and a task may not share one')
        if "tasks" not in group.at.lines:
            group.at.add("tasks", "is missing; name a task, a pattern or a list of them")
        known.check(group.at, "tasks", group.spec.tasks)


def check_schedules(draft: Draft, tasks: dict[str, Task]) -> None:
    """A schedule says when, does something, and what it names exists."""
    groups = [group.spec.name for group in draft.groups]
    known = _Known(tasks, groups, everything=True)
    runnable = _Known(tasks, [*groups, *(flow.spec.name for flow in draft.flows)], everything=True, what="flow, task or group")
    fed = {folded(name) for flow in draft.flows for name in flow.spec.consumers}
    for schedule in draft.schedules:
        _check_schedule(schedule)
        known.check(schedule.at, "act", schedule.spec.act)
        known.check(schedule.at, "trm", schedule.spec.trm)
        runnable.check(schedule.at, "run", schedule.spec.run)
        _check_target(schedule, tasks, fed)


def _check_schedule(schedule: Schedule) -> None:
    at = schedule.at
    if "cron" not in at.lines:
        at.add("cron", "is missing; say when, as in `0 3 * * *` for three o'clock each night")
    if not {"act", "trm", "put", "task", "run"} & at.lines.keys():
        at.add("", "does nothing; say what is to happen with act, trm, run, or task and put")
    if schedule.spec.overlap == "replace" and schedule.spec.missed == "all":
        at.add("overlap", "replace would end each run that `missed: all` makes for the next one; say missed: once")
    if "put" in at.lines and "task" not in at.lines:
        at.add("put", "needs `task`, whose input queue it goes into")
    if "task" in at.lines and "put" not in at.lines:
        at.add("task", "needs `put`, the event that goes into its input queue")


def _check_target(schedule: Schedule, tasks: dict[str, Task], fed: set[str]) -> None:
    name, at = schedule.spec.task, schedule.at
    task = tasks.get(folded(name))
    if task is not None and task.spec.input is None and folded(name) not in fed:
        at.add("task", f'"{shown(task.spec.name)}" takes no events: it has no `input:` and no flow ends at it')
    elif name and task is None:
        words = [each.spec.name for each in tasks.values()]
        at.findings.unknown(at.line_of("task"), f"{at.path}.task", f'there is no task "{shown(name)}"', name, words)
