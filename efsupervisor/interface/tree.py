"""The processes of the supervisor: it, its host and siblings, and of each task the worker, the program and every descendant, as a tree.

Who belongs to whom is read from /proc where the supervisor runs, in one pass: parents there (the Core and the workers are subreapers, so whatever
daemonises comes back to one of them), states of tasks from the Core, figures from the collector when it is there.  `grown` is pure.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, NamedTuple

from msgspec import Meta

from efsupervisor.errors import EfError
from efsupervisor.interface.answers import first
from efsupervisor.interface.house import House
from efsupervisor.interface.verb import Names, Verb
from efsupervisor.messages.call import Answer, ResourceQuery, Resources, Tree
from efsupervisor.messages.core import (
    ServiceRow,
    ServicesReply,
    ServicesRequest,
    StatusReply,
    StatusRequest,
    TaskStatus,
    Twig,
    VersionReply,
    VersionRequest,
)

LIMIT = 2000
COMMAND = 200
"""Characters of a command line that are shown."""

_TICK_S = 1 / os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")


class Process(NamedTuple):
    """One line of /proc."""

    pid: int
    parent: int
    state: str
    name: str
    cpu_s: float
    rss: int


class TaskTree(Verb, frozen=True, kw_only=True):
    """Show processes as a tree: of tasks the worker, the program and every descendant; without a name also the supervisor's own."""

    name = "task.tree"
    console = "shw tree"
    command = "tree"
    positional = ("names",)
    names: Names = []
    limit: Annotated[int, Meta(ge=1, le=20_000, description="at most this many lines")] = LIMIT

    async def run(self, house: House) -> Answer:
        """Lines of the tree, depth first."""
        replies = await house.ask(StatusRequest(id=house.next_id(), names=self.names))
        tasks = [row for reply in replies if isinstance(reply, StatusReply) for row in reply.tasks]
        core = first(await house.ask(VersionRequest(id=house.next_id())), VersionReply)
        services = first(await house.ask(ServicesRequest(id=house.next_id())), ServicesReply).rows
        loads = await _loads(house, tasks)
        everybody = await house.slowly(processes)
        rows = grown(core.pid, services, tasks, everybody, loads, whole=not self.names)
        kept = rows[: self.limit]
        if len(rows) > self.limit:
            kept.append(Twig(depth=0, what="more", name=f"{len(rows) - self.limit} more lines"))
        return Tree(rows=[with_command(row) for row in kept])


VERBS = (TaskTree,)


async def _loads(house: House, tasks: Sequence[TaskStatus]) -> dict[str, float]:
    """Per cent of a processor of each task; nothing where no collector answers."""
    try:
        answer = await house.collector("resource", ResourceQuery(id=house.next_id(), names=[row.name for row in tasks][:1000]))
    except EfError:
        return {}  # the tree is worth something without the figures
    rows = answer.rows if isinstance(answer, Resources) else []
    return {row.task: row.samples[-1].cpu for row in rows if row.samples}


def processes(folder: str = "/proc") -> dict[int, Process]:
    """Everybody, by pid; whoever goes meanwhile is left out."""
    found = {}
    for name in os.listdir(folder):
        if name.isdigit():
            with contextlib.suppress(OSError, ValueError, IndexError):
                found[int(name)] = look(int(name), folder)
    return found


def look(pid: int, folder: str = "/proc") -> Process:
    """One process, from its stat file; proc(5).  OSError when it is gone."""
    with open(f"{folder}/{pid}/stat", "rb") as file:
        head, _, rest = file.read().rpartition(b")")
    fields = rest.split()
    name = head.partition(b"(")[2].decode("utf-8", "replace")
    cpu_s = (int(fields[11]) + int(fields[12])) * _TICK_S
    return Process(pid, int(fields[1]), fields[0].decode(), name, cpu_s, int(fields[21]) * _PAGE)


def with_command(row: Twig) -> Twig:
    """The row with its command line in place of its short name, where there is one."""
    if row.what not in ("program", "process"):
        return row
    with contextlib.suppress(OSError), open(f"/proc/{row.pid}/cmdline", "rb") as file:
        words = file.read(4 * COMMAND).rstrip(b"\0").replace(b"\0", b" ").decode("utf-8", "replace")
        if words:
            return Twig(depth=row.depth, what=row.what, name=words[:COMMAND], pid=row.pid, state=row.state, cpu=row.cpu, cpu_s=row.cpu_s, rss=row.rss)
    return row


# The tree -----------------------------------------------------------------------------------------------------------------------------------------


class _Growth:
    """One tree on its way.  shown: pids that have a line."""

    def __init__(self, everybody: Mapping[int, Process]) -> None:
        self.everybody = everybody
        self.rows: list[Twig] = []
        self.shown: set[int] = set()
        self.children: dict[int, list[int]] = {}
        for process in everybody.values():
            self.children.setdefault(process.parent, []).append(process.pid)

    def add(self, depth: int, what: str, pid: int, name: str = "") -> None:
        process = self.everybody.get(pid)
        if process is None or pid in self.shown:
            return
        self.shown.add(pid)
        self.rows.append(
            Twig(depth=depth, what=what, name=name or process.name, pid=pid, state=process.state, cpu_s=round(process.cpu_s, 2), rss=process.rss)
        )

    def below(self, depth: int, pid: int) -> None:
        """Every descendant that has no line yet."""
        if pid <= 0:
            return  # nobody; the kernel's own first processes have the parent 0
        stack = [(depth, child) for child in sorted(self.children.get(pid, ()), reverse=True)]
        while stack:
            level, each = stack.pop()
            if each not in self.shown:
                self.add(level, "process", each)
                stack += [(level + 1, child) for child in sorted(self.children.get(each, ()), reverse=True)]


def grown(
    core: int,
    services: Sequence[ServiceRow],
    tasks: Sequence[TaskStatus],
    everybody: Mapping[int, Process],
    loads: Mapping[str, float] | None = None,
    *,
    whole: bool = True,
) -> list[Twig]:
    """The lines.  whole: with the supervisor itself and its siblings, else the tasks alone."""
    growth = _Growth(everybody)
    depth = 0
    if whole:
        growth.add(0, "supervisor", core, "efsupervisord")
        _siblings(growth, services)
        depth = 1
    else:
        growth.shown.update((core, *(row.pid for row in services)))
    for row in tasks:
        _task(growth, depth, row, (loads or {}).get(row.name, -1.0))
    if whole:
        growth.below(1, core)
    return growth.rows


def _siblings(growth: _Growth, services: Sequence[ServiceRow]) -> None:
    alive = [row for row in services if row.pid]
    for host in (row for row in alive if row.name == "host"):
        growth.add(1, "host", host.pid, "service host")
    for row in alive:
        growth.add(2, "sibling", row.pid, row.name)
        growth.below(3, row.pid) if row.name != "host" else None


def _task(growth: _Growth, depth: int, row: TaskStatus, load: float) -> None:
    growth.rows.append(Twig(depth=depth, what="task", name=row.name, state=row.state.value, cpu=load))
    start = len(growth.rows) - 1
    growth.add(depth + 1, "worker", row.worker_pid, f"worker of {row.name}")
    growth.add(depth + (2 if row.worker_pid in growth.everybody else 1), "program", row.pid)
    growth.below(depth + 3, row.pid)
    growth.below(depth + 2, row.worker_pid)
    own = growth.rows[start + 1 :]
    total = sum(twig.rss for twig in own), round(sum(twig.cpu_s for twig in own), 2)
    growth.rows[start] = Twig(depth=depth, what="task", name=row.name, state=row.state.value, cpu=load, rss=total[0], cpu_s=total[1])


def flat(rows: Sequence[Twig]) -> Iterator[tuple[str, Twig]]:
    """Each line with the branches that stand before it."""
    open_below: list[bool] = []
    for place, row in enumerate(rows):
        last = next((other.depth < row.depth for other in rows[place + 1 :] if other.depth <= row.depth), True)
        del open_below[row.depth :]
        open_below += [False] * (row.depth - len(open_below)) + [not last]
        branches = "".join("│  " if more else "   " for more in open_below[1 : row.depth])
        yield (branches + ("└─ " if last else "├─ ") if row.depth else "", row)
