"""Cycles of flows that stand still: every task of them waits until another of them has taken something.

A producer that is held back waits in write(2) and reads nothing meanwhile; when that goes round, nobody will ever move.  Only flows that say
`cycle: true` can bring it about.  It is seen from the reports of the workers, which name who holds them back, looked at again after a while (a cycle
that is merely full for a moment moves on), and then told: as an alert, and in the status of each task for as long as it lasts.

`standing` is pure.  Nothing here wakes up unless a task of such a configuration is held back.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from efsupervisor.core.registry import Registry
from efsupervisor.core.tale import Tale
from efsupervisor.core.tasks import Task
from efsupervisor.messages import Alert
from efsupervisor.reactor import Reactor, Timer
from efsupervisor.system import folded

PATIENCE_S = 5.0
"""How long all of them must have waited for each other before it is told."""

WHAT = "standstill"
Waits = Mapping[str, Sequence[frozenset[str]]]
"""Folded name of a task that is held back -> the consumers of each edge that holds it back; one of them would be enough for that edge."""


def standing(waits: Waits) -> set[str]:
    """The tasks that cannot move: each has an edge whose consumers all cannot move either.  Whoever waits for one that runs, rests or failed is not
    among them: that one is to blame, and its state says why."""
    still = set(waits)
    while True:
        moving = {name for name in still if not any(members <= still for members in waits[name])}
        if not moving:
            return still
        still -= moving


def circle(waits: Waits, still: set[str], start: str) -> list[str]:
    """One way round from a task that stands still back to one that was met before; names in the order in which each waits for the next."""
    trail = [start]
    while True:
        name = trail[-1]
        after = next(min(members) for members in waits[name] if members <= still)
        if after in trail:
            return trail[trail.index(after) :]
        trail.append(after)


class Standstill:
    """Watches one Core's tasks.  enabled: some flow says `cycle: true`."""

    def __init__(self, registry: Registry, reactor: Reactor, tale: Tale) -> None:
        self.enabled = False
        self._registry = registry
        self._reactor = reactor
        self._tale = tale
        self._timer: Timer | None = None
        self._told: set[str] = set()

    def reported(self, task: Task) -> None:
        """A task's report is new."""
        if self._told and not task.report.blocked_by and folded(task.name) in self._told:
            self._look()
        elif self.enabled and task.report.blocked_by and self._timer is None and folded(task.name) not in self._told and standing(self._waits()):
            self._timer = self._reactor.after(PATIENCE_S, self._look)

    def _look(self) -> None:
        """What stands still now was so when the timer was set, or was told already."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        waits = self._waits() if self.enabled else {}
        still = standing(waits)
        for task in self._registry.ordered():
            name = folded(task.name)
            if name in self._told - still:
                task.standstill = ""
            elif name in still - self._told:
                self._tell(task, waits, still)
        self._told = still

    def _tell(self, task: Task, waits: Waits, still: set[str]) -> None:
        names = {folded(each.name): each.name for each in self._registry.ordered()}
        round_ = [names.get(name, name) for name in circle(waits, still, folded(task.name))]
        task.standstill = (
            f"stands still: {' -> '.join([*round_, round_[0]])} wait for each other; "
            "a larger max_lag or `overflow: drop-oldest` on one of the flows lets it go on"
        )
        self._tale.alerted(task, Alert(what=WHAT, sentence=task.standstill))

    def _waits(self) -> dict[str, list[frozenset[str]]]:
        """Who of the running tasks is held back, and by which edges."""
        found = {}
        for task in self._registry.ordered():
            blocked = frozenset(map(folded, task.report.blocked_by))
            if blocked and not task.report.state.at_rest:
                found[folded(task.name)] = list(_holding(task, blocked))
        return found


def _holding(task: Task, blocked: frozenset[str]) -> Iterable[frozenset[str]]:
    for edge in task.wiring.outputs:
        members = frozenset(folded(name) for name, _folder in edge.consumers)
        if members and members <= blocked:
            yield members
