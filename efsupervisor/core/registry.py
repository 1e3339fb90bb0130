"""The tasks the Core knows, by name, by short id and by the pid of their program; and what a person's word for tasks means.

Names are compared in their folded form, so `Import` and `import` are one task.  The registry owns the order in which tasks are started: priority,
then the order in which they were written.

Where tasks are named, a word is looked up as a task, then as a group, then as `all`, then as a pattern (`*`, `?`, `[...]`).  A group is a list of
names and patterns, never of groups; what it stands for is looked up at each use, so tasks that come and go are in it and out of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from fnmatch import fnmatchcase

from efsupervisor.conf.schema import GroupSpec
from efsupervisor.core.tasks import Task
from efsupervisor.errors import Code
from efsupervisor.messages import Outcome
from efsupervisor.system import folded, short_id

ALL = "all"
"""Stands for every task where a name is accepted."""

_PATTERN = frozenset("*?[")


class Registry:
    """Every task that is configured or still runs.  groups: by folded name, kept by whoever changes the configuration."""

    def __init__(self) -> None:
        self.groups: dict[str, GroupSpec] = {}
        self._by_id: dict[str, Task] = {}
        self._by_program: dict[int, Task] = {}
        self._count = 0

    def __len__(self) -> int:
        return len(self._by_id)

    def __iter__(self) -> Iterator[Task]:
        return iter(list(self._by_id.values()))

    def add(self, task: Task) -> None:
        """Take a task in; its place in the order is behind those of its priority."""
        self._count += 1
        task.order = (task.spec.priority, self._count)
        self._by_id[task.paths.id] = task

    def drop(self, task: Task) -> None:
        """Forget a task."""
        self._by_id.pop(task.paths.id, None)
        self._unindex(task)

    def by_id(self, identity: str) -> Task | None:
        """The task with this short id."""
        return self._by_id.get(identity)

    def by_name(self, name: str) -> Task | None:
        """The task of this name in any of its spellings."""
        return self._by_id.get(short_id(name)) or next((task for task in self._by_id.values() if folded(task.name) == folded(name)), None)

    def ordered(self) -> list[Task]:
        """All tasks in the order of starts and listings."""
        return sorted(self._by_id.values(), key=lambda task: task.order)

    def reorder(self, task: Task) -> None:
        """The task's priority changed: its place among those of the new one is by age."""
        task.order = (task.spec.priority, task.order[1])

    def named(self, names: Iterable[str]) -> tuple[list[Task], list[Outcome]]:
        """The tasks that were meant, each once, and an outcome for each word that is nobody's."""
        found: dict[str, Task] = {}
        unknown: list[Outcome] = []
        for name in dict.fromkeys(names):
            meant, why = self._meant(name)
            found.update((task.paths.id, task) for task in meant)
            if why is not None:
                unknown.append(why)
        return list(found.values()), unknown

    def members(self, group: GroupSpec) -> list[Task]:
        """The tasks that a group stands for now, each once, in the group's order."""
        found = (task for word in group.tasks for task in self._task_or_pattern(word))
        return list({task.paths.id: task for task in found}.values())

    def groups_of(self, task: Task) -> list[str]:
        """Names of the groups that a task is in."""
        return [group.name for group in self.groups.values() if any(_fits(word, task) for word in group.tasks)]

    def _meant(self, word: str) -> tuple[list[Task], Outcome | None]:
        task = self.by_name(word)
        if task is not None:
            return [task], None
        group = self.groups.get(folded(word))
        if group is not None:
            members = self.members(group)
            return members, None if members else _nobody(word, "this group has no tasks now")
        if folded(word) == ALL:
            return self.ordered(), None
        if not _PATTERN.isdisjoint(word):
            matching = self._task_or_pattern(word)
            return matching, None if matching else _nobody(word, "no task matches this pattern")
        return [], self._unknown(word)

    def _task_or_pattern(self, word: str) -> list[Task]:
        task = self.by_name(word)
        if task is not None:
            return [task]
        if folded(word) == ALL:
            return self.ordered()
        if _PATTERN.isdisjoint(word):
            return []
        pattern = folded(word)
        return [each for each in self.ordered() if fnmatchcase(folded(each.name), pattern)]

    def _unknown(self, name: str) -> Outcome:
        from efsupervisor.conf.names import nearest  # late on purpose: difflib is for somebody's slip, not for every worker's memory

        near = nearest(name, [task.name for task in self._by_id.values()] + [group.name for group in self.groups.values()])
        return _nobody(name, "no task has this name" + (f"; did you mean {near}?" if near else ""))

    def reported(self, task: Task) -> None:
        """The task's report is new: keep the index by program right."""
        pid = task.report.pid
        if task.indexed_pid != pid:
            self._unindex(task)
            if pid:
                self._by_program[pid] = task
                task.indexed_pid = pid

    def _unindex(self, task: Task) -> None:
        if self._by_program.get(task.indexed_pid) is task:
            del self._by_program[task.indexed_pid]
        task.indexed_pid = 0

    def by_program(self, pid: int, start_ticks: int) -> Task | None:
        """The task whose program this process is; a pid alone is nobody."""
        task = self._by_program.get(pid)
        return task if task is not None and task.report.start_ticks == start_ticks else None


def _nobody(word: str, sentence: str) -> Outcome:
    return Outcome(task=word[:64], ok=False, code=Code.NO_SUCH_TASK, sentence=sentence)


def _fits(word: str, task: Task) -> bool:
    """Whether a group's word stands for this task, among others."""
    pattern, name = folded(word), folded(task.name)
    return pattern in (name, ALL) or (not _PATTERN.isdisjoint(word) and fnmatchcase(name, pattern))
