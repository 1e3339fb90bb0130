"""What comes first: the graph of `depends_on`, and the judgements that are made from it.

    level 2   web            started last, stopped first
               |
    level 1   app    cron
               |    /
    level 0   db     ...     started first, stopped last

A start waits until each dependency is as its condition says.  A dependency that is itself on its way down counts as not there, so that a restart of
both has the right order.  What a start waits for may come by itself (it is starting, it is tried again) or not (it failed, it was stopped): then the
start is *stuck*, which is said, and it goes on waiting, for somebody may see to it.

A stop waits only for those that depend on the task and are being stopped too.  Who stops a database alone stops it alone.

Tasks are known by short id.  Everything here is pure, and linear in the number of edges; a cycle, which no configuration can bring, waits for ever
and says so, but does not hang anything.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

from efsupervisor.conf import depend
from efsupervisor.conf.schema import GroupSpec, TaskSpec
from efsupervisor.messages import Report
from efsupervisor.states import State
from efsupervisor.system import short_id

NOT_ALIVE = "not alive"
"""How a worker's word on a failing liveness probe begins (task/care.py)."""


class Need(NamedTuple):
    """One edge.  id: of the task that comes first; name: as it is written; condition: one of depend.CONDITIONS."""

    id: str
    name: str
    condition: str


class Facts(NamedTuple):
    """What is known of a dependency.  leaving: it is stopped, or is going to be.  again: and started again after it.  waiting, stuck: its own start
    waits."""

    report: Report
    exitcodes: tuple[int, ...] = (0,)
    leaving: bool = False
    again: bool = False
    waiting: bool = False
    stuck: bool = False


class Verdict(NamedTuple):
    """Whether a start may begin; else for what it waits, as a sentence, and whether that does not come by itself."""

    met: bool
    sentence: str = ""
    stuck: bool = False


MET = Verdict(met=True)


class Graph:
    """The edges of one configuration."""

    def __init__(self, tasks: Iterable[TaskSpec] = (), groups: Iterable[GroupSpec] = ()) -> None:
        self._needs: dict[str, list[Need]] = {}
        self._dependents: dict[str, list[str]] = {}
        for name, needs in depend.edges(tasks, groups).items():
            self._needs[short_id(name)] = [Need(short_id(other), written, condition) for other, (written, condition) in needs.items()]
        for identity, edges in self._needs.items():
            for need in edges:
                self._dependents.setdefault(need.id, []).append(identity)
        self._edges = {(identity, need.id): need for identity, needs in self._needs.items() for need in needs}
        self._levels = self._leveled()

    def __bool__(self) -> bool:
        return bool(self._needs)

    def needs(self, identity: str) -> list[Need]:
        """What a task depends on, in the order in which it was written."""
        return self._needs.get(identity, [])

    def need(self, above: str, below: str) -> Need:
        """The edge between two that have one."""
        return self._edges[above, below]

    def dependents(self, identity: str) -> list[str]:
        """Who depends on a task."""
        return self._dependents.get(identity, [])

    def level(self, identity: str) -> int:
        """The longest way down; 0 for what depends on nothing."""
        return self._levels.get(identity, 0)

    def _upwards(self) -> list[str]:
        """Every task that has an edge, each after what it depends on; those on a cycle, and above one, are left out."""
        left = {identity: len(needs) for identity, needs in self._needs.items()}
        order = [identity for identity in self._dependents if identity not in left]
        for identity in order:  # grows while it is walked
            for above in self.dependents(identity):
                left[above] -= 1
                if not left[above]:
                    order.append(above)
        return order

    def _leveled(self) -> dict[str, int]:
        levels: dict[str, int] = {}
        for identity in self._upwards():
            levels[identity] = max((levels[need.id] + 1 for need in self.needs(identity)), default=0)
        return levels

    def longest(self, cost: Mapping[str, float]) -> float:
        """The most that stops one after the other may cost.  cost: of each task that is to stop."""
        total: dict[str, float] = {}
        for identity in self._upwards():
            below = max((total[need.id] for need in self.needs(identity)), default=0.0)
            total[identity] = below + cost.get(identity, 0.0)
        return max([*total.values(), *cost.values()], default=0.0)


# Starts ---------------------------------------------------------------------------------------------------------------------------------------------


def may_start(needs: Iterable[Need], facts_of: Callable[[str], Facts | None]) -> Verdict:
    """Whether all that comes first is there.  facts_of: by id, None for a task that is not supervised."""
    return together(unmet(needs, facts_of))


def unmet(needs: Iterable[Need], facts_of: Callable[[str], Facts | None]) -> dict[str, Verdict]:
    """By id, what is not there, in the order in which it was written."""
    return {need.id: verdict for need in needs if not (verdict := judge(need, facts_of(need.id))).met}


def together(missing: Mapping[str, Verdict]) -> Verdict:
    """One verdict of what is not there: what will not come by itself is told, else the first."""
    if not missing:
        return MET
    told = next((verdict for verdict in missing.values() if verdict.stuck), None) or next(iter(missing.values()))
    return told._replace(sentence=told.sentence + (", and others" if len(missing) > 1 else ""))


def judge(need: Need, facts: Facts | None) -> Verdict:
    """One dependency."""
    waits = f"waits for {need.name} ({need.condition})"
    if facts is None:
        return Verdict(False, f"{waits}, which does not exist", True)
    if facts.waiting:
        return Verdict(False, f"{waits}, which waits itself" if facts.stuck else waits, facts.stuck)
    if facts.again:
        return Verdict(False, f"{waits}, which is being restarted")
    if is_as(need.condition, facts):
        return MET
    state = facts.report.state
    if state.at_rest:
        reason = f": {facts.report.reason}" if facts.report.reason and state is not State.STOPPED else ""
        return Verdict(False, f"{waits}, which is {state}{reason}", True)
    if facts.leaving:
        return Verdict(False, f"{waits}, which is being stopped", True)
    return Verdict(False, waits)


def is_as(condition: str, facts: Facts) -> bool:
    """Whether a dependency is as the condition says."""
    report = facts.report
    match condition:
        case depend.COMPLETED:
            return report.state is State.EXITED or (report.state is State.FATAL and report.finished)
        case depend.COMPLETED_SUCCESSFULLY:
            return report.state is State.EXITED and _succeeded(report, facts.exitcodes)
        case depend.HEALTHY:
            return report.state is State.RUNNING and not facts.leaving and not _ails(report.health)
        case depend.STARTED:
            begun = report.state is State.RUNNING or (report.state is State.STARTING and report.pid > 0) or report.state is State.EXITED
            return begun and not facts.leaving
    return report.state is State.RUNNING and not facts.leaving


def _ails(health: str) -> bool:
    """Whether a liveness probe failed last; other things that ail a task (a disk, a limit that cannot be kept) are not its program's."""
    return any(part.startswith(NOT_ALIVE) for part in health.split("; "))


def _succeeded(report: Report, exitcodes: tuple[int, ...]) -> bool:
    status = report.exit_status
    return report.exit_known and status is not None and os.WIFEXITED(status) and os.WEXITSTATUS(status) in exitcodes
