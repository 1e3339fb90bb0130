"""What `depends_on` must be: names of tasks or groups that exist, without a cycle, and not too many.  Only adds findings; pure."""

from __future__ import annotations

from efsupervisor.conf.depend import cycle, edges
from efsupervisor.conf.draft import Draft, Task
from efsupervisor.conf.names import shown
from efsupervisor.system import folded

MAX_EDGES = 100_000
"""Dependencies of one configuration; more are a slip, such as two groups of a thousand that depend on each other's members."""
MAX_CYCLES = 10


def check_dependencies(draft: Draft, tasks: dict[str, Task]) -> None:
    """A finding for each name that stands for nothing, and for each task that closes a cycle."""
    asking = [task for task in draft.tasks if task.spec.depends_on]
    if not asking:
        return
    groups = {folded(group.spec.name): group.spec.name for group in draft.groups}
    words = [*(task.spec.name for task in tasks.values()), *groups.values()]
    for task in asking:
        for name in task.spec.depends_on:
            if folded(name) not in tasks and folded(name) not in groups:
                task.at.findings.unknown(
                    task.at.line_of(f"depends_on.{name}"), f"{task.at.path}.depends_on", f'there is no task or group "{shown(name)}"', name, words
                )
    found = edges([task.spec for task in tasks.values()], [group.spec for group in draft.groups])
    if (count := sum(map(len, found.values()))) > MAX_EDGES:
        asking[-1].at.add("depends_on", f"is one of {count:,} dependencies; at most {MAX_EDGES:,} are possible")
        return
    order = {folded(task.spec.name): number for number, task in enumerate(draft.tasks)}
    for _ in range(MAX_CYCLES):
        names = cycle(found)
        if not names:
            return
        last = max(names, key=lambda name: order.get(name, -1))
        begin = names.index(last)
        around = " -> ".join(shown(tasks[name].spec.name) for name in (*names[begin:], *names[:begin], last))
        tasks[last].at.add("depends_on", f"closes a cycle: {around}; none of them could ever be started")
        del found[last]
