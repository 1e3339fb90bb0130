"""Making another configuration the one in force: all of it or nothing, and only what differs is touched.

Every change of what is supervised goes this way: a task or a flow that is added or deleted by command, a setting, and the file read again.
Whoever wants a change says which configuration is to be in force (core/saved.py), and `apply` takes the difference and makes it so:

    the types exist -> the edges are on disk -> what was added is saved        all of this may fail: nothing is changed then
    registry, wirings -> workers are told -> restarts, starts, stops           nothing of this can be refused

A worker that is told a new wiring goes on with its program; one whose program was started with something that is another now is restarted.  A
task that is gone is stopped and then forgotten; its folder stays, for it may come back (a task that was deleted by command loses it).

This module must never read the file or know who asks.
"""

from __future__ import annotations

from collections.abc import Callable

from efsupervisor.conf.schema import Config, SupervisorSpec, TaskSpec
from efsupervisor.core.changes import ADDED, REMOVED, RESTARTS, difference
from efsupervisor.core.core import Core
from efsupervisor.core.saved import Merged
from efsupervisor.core.tasks import Task
from efsupervisor.core.waiting import Pending
from efsupervisor.core.wiring import edges
from efsupervisor.messages import Change, Wiring
from efsupervisor.states import Goal
from efsupervisor.system import folded, short_id


class Updating:
    """Applies changes to one Core.  afford: EfError when this machine does not allow so many tasks.  on_settings: called with the supervisor's
    settings when they are others than before; on_schedules: when schedules are."""

    def __init__(self, core: Core, afford: Callable[[Config], object]) -> None:
        self._core = core
        self._afford = afford
        self.on_settings: list[Callable[[SupervisorSpec], None]] = []
        self.on_schedules: Callable[[], None] = lambda: None

    def apply(self, new: Merged, asked_by: str, save: Callable[[], object], removing: Pending | None = None) -> list[Change]:
        """The changes that were made.  save: puts into the store what was added.  removing: waits for the tasks that go.  EfError or OSError:
        nothing was changed."""
        core, old = self._core, self._core.merged
        changes = difference(old.config, new.config)
        for spec in _new_or_changed(old, new):
            core.types(spec.type)
        if len(new.config.tasks) > len(old.config.tasks):
            self._afford(new.config)
        wirings = core.wirer.wire(new.config, frozenset(edge.id for edge in edges(old.config)))
        save()
        core.merged = new
        core.regroup()
        for sentence in set(new.aside) - set(old.aside):
            core.log.warning(sentence)
        core.tale.groups(_groups(old.config), _groups(new.config))
        self._rewire(new, wirings)
        self._settle(changes, wirings, asked_by, removing)
        if new.config.supervisor != old.config.supervisor:
            for told in self.on_settings:
                told(new.config.supervisor)
        if new.config.schedules != old.config.schedules:
            self.on_schedules()
        return changes

    def begin_anew(self, asked_by: str) -> None:
        """Every task is stopped; those that start by themselves are started again, each as soon as it is at rest."""
        core = self._core
        tasks = [task for task in core.registry.ordered() if task.configured]
        core.restart_task([task for task in tasks if task.spec.autostart], asked_by, intent=True)
        core.trm_task([task for task in tasks if not task.spec.autostart and not task.resting], asked_by, intent=True)

    def _rewire(self, new: Merged, wirings: dict[str, Wiring]) -> None:
        """Tasks that stay: their worker is told what is new to it."""
        core = self._core
        for spec in new.config.tasks:
            task = core.registry.by_id(short_id(spec.name))
            if task is None or task.wiring == wirings[short_id(spec.name)]:
                continue
            task.spec, task.wiring = spec, wirings[short_id(spec.name)]
            core.registry.reorder(task)
            if task.link is not None:
                core.rewire(task)

    def _settle(self, changes: list[Change], wirings: dict[str, Wiring], asked_by: str, removing: Pending | None) -> None:
        """Tasks that go, come, or must be started anew."""
        core = self._core
        specs = {folded(spec.name): spec for spec in core.config.tasks}
        gone = [task for change in _of_tasks(changes, REMOVED) if (task := core.registry.by_name(change.name)) is not None and task.configured]
        if gone:
            core.del_task(gone, asked_by, removing)
        begin: list[Task] = []
        for change in _of_tasks(changes, ADDED):
            spec = specs[folded(change.name)]
            task = self._taken_in(spec, wirings[short_id(spec.name)])
            if spec.autostart:
                begin.append(task)
        begin.sort(key=lambda task: task.order)
        core.act_task([task for task in begin if task.resting], asked_by)
        core.restart_task([task for task in begin if not task.resting], asked_by)  # those that were on their way out
        again = [core.registry.by_name(change.name) for change in changes if change.noun == "task" and change.effect == RESTARTS]
        running = [task for task in again if task is not None and not task.resting and task.goal is Goal.ACT]
        if running:
            core.restart_task(running, asked_by)

    def _taken_in(self, spec: TaskSpec, wiring: Wiring) -> Task:
        """A task that is new, or one that was on its way out and stays."""
        former = self._core.registry.by_id(short_id(spec.name))
        if former is None:
            return self._core.register(spec, wiring)
        former.configured, former.remove = True, False
        return former


def _new_or_changed(old: Merged, new: Merged) -> list[TaskSpec]:
    before = {folded(spec.name): spec for spec in old.config.tasks}
    return [spec for spec in new.config.tasks if before.get(folded(spec.name)) != spec]


def _groups(config: Config) -> set[str]:
    """As supervisord would have them: the group that a task says, else its own name."""
    return {spec.group or spec.name for spec in config.tasks}


def _of_tasks(changes: list[Change], what: str) -> list[Change]:
    return [change for change in changes if change.noun == "task" and change.what == what]
