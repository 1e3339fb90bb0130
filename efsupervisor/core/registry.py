"""The tasks the Core knows, by name, by short id and by the pid of their program.

Names are compared in their folded form, so `Import` and `import` are one task.  The registry owns the order in which tasks are started: priority,
then the order in which they were written. """

from __future__ import annotations

from collections.abc import Iterable, Iterator

from efsupervisor.core.tasks import Task
from efsupervisor.errors import Code
from efsupervisor.messages import Outcome
from efsupervisor.system import folded, short_id

ALL = "all"
"""Stands for every task where a name is accepted."""


class Registry:
    """Every task that is configured or still runs."""

    def __init__(self) -> None:
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

    def named(self, names: Iterable[str]) -> tuple[list[Task], list[Outcome]]:
        """The tasks that were meant, each once, and an outcome for each name that is nobody's."""
        found: dict[str, Task] = {}
        unknown: list[Outcome] = []
        for name in dict.fromkeys(names):
            task = self.by_name(name)
            if task is not None:
                found[task.paths.id] = task
            elif folded(name) == ALL:
                found.update((each.paths.id, each) for each in self.ordered())
            else:
                unknown.append(self._unknown(name))
        return list(found.values()), unknown

    def _unknown(self, name: str) -> Outcome:
        from efsupervisor.conf.names import nearest  # late on purpose: difflib is for somebody's slip, not for every worker's memory

        near = nearest(name, (task.name for task in self._by_id.values()))
        hint = f"; did you mean {near}?" if near else ""
        return Outcome(task=name[:64], ok=False, code=Code.NO_SUCH_TASK, sentence=f"no task has this name{hint}")

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
