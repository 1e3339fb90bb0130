"""Schedules at work: when a time has come, it is saved that it was dealt with, and then done.

Saved first, so that a crash between the two leaves a time out rather than do it twice; `missed` (core/schedules.py) is for times at which nobody was
there. What a schedule wants of a task is an operator's intent, said once and for always: a task that a schedule stopped in the evening stays stopped
when the supervisor is started again in the night.

One timer of at most LOOK_S, and none without schedules.  This module must never wait for what it began: outcomes come as for any client.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from efsupervisor.conf.schema import ScheduleSpec
from efsupervisor.core.schedules import Due, Schedules, written
from efsupervisor.core.store import Store
from efsupervisor.core.waiting import Pending
from efsupervisor.log import Log
from efsupervisor.messages import Outcome, PutDone
from efsupervisor.reactor import Reactor, Timer
from efsupervisor.states import Goal
from efsupervisor.system import Real, short_id

if TYPE_CHECKING:
    from efsupervisor.core.core import Core

MAX_OUTCOME = 500


class Timetable:
    """Owns the schedules' times and their timer."""

    def __init__(self, reactor: Reactor, system: Real, log: Log, store: Store, core: Core) -> None:
        self._reactor = reactor
        self._system = system
        self._log = log
        self._store = store
        self._core = core
        self._schedules = Schedules()
        self._known: dict[str, ScheduleSpec] = {}
        self._timer: Timer | None = None

    def keep(self, specs: Iterable[ScheduleSpec]) -> None:
        """These are the schedules from now on; one that stays goes on where it was."""
        now = self._wall()
        former, self._known = self._known, {short_id(spec.name): spec for spec in specs}
        for identity, spec in former.items():
            if identity not in self._known:
                self._schedules.remove(spec.name)
        times = self._store.saved().times
        for identity, spec in self._known.items():
            if former.get(identity) != spec:
                last = times.get(identity)
                self._schedules.put(spec, now, last.wall if last is not None else 0.0)
                if last is None:
                    self._store.scheduled(spec.name, now)
        self._arm()

    def next_wall(self, name: str) -> float:
        """When a schedule is due next, 0.0 for never."""
        return self._schedules.next_wall(name)

    def _wall(self) -> float:
        return self._system.wall_ns() / 1e9

    def _arm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._reactor.after(self._schedules.look_in_s(self._wall()), self._look) if self._known else None

    def _look(self) -> None:
        self._timer = None
        due = self._schedules.due(self._wall()) if not self._core.ending else []
        for each in due:
            self._store.scheduled(each.spec.name, each.wall, "under way")
        if due:
            self._store.flush()
        for each in due:
            self._work(each)
        self._arm()

    def _work(self, due: Due) -> None:
        spec = due.spec
        late = f" (in place of {due.missed + 1} times that passed)" if due.missed else ""
        self._log.info(f"schedule {spec.name}: due at {written(spec, due.wall)}{late}")
        told = _Outcomes(bool(spec.trm) + bool(spec.act) + bool(spec.task), lambda sentence: self._store.scheduled(spec.name, due.wall, sentence))
        self._want(spec, spec.trm, Goal.TRM, told)
        self._want(spec, spec.act, Goal.ACT, told)
        if spec.task:
            self._put(due, told)

    def _want(self, spec: ScheduleSpec, names: list[str], goal: Goal, told: _Outcomes) -> None:
        if not names:
            return
        tasks, unknown = self._core.registry.named(names)
        if not tasks:
            told.add(unknown)
            return
        queue = self._core.act_task if goal is Goal.ACT else self._core.trm_task
        queue(tasks, f"schedule {spec.name}", Pending(goal, len(tasks), unknown, told.add), intent=True)

    def _put(self, due: Due, told: _Outcomes) -> None:
        spec = due.spec
        tasks, unknown = self._core.registry.named([spec.task])
        if len(tasks) != 1:
            told.add(unknown)
            return

        def done(answer: PutDone) -> None:
            told.add([Outcome(task=spec.task, ok=not answer.error, sentence=answer.error or f"an event was put at offset {answer.offset}")])

        data = spec.put.replace("{time}", written(spec, due.wall)).encode()
        self._core.puts.put(tasks[0], f"schedule {short_id(spec.name)} {due.wall:.0f}", data, done)


class _Outcomes:
    """What came of one time: told when everything that it began has an outcome."""

    def __init__(self, parts: int, tell: Callable[[str], None]) -> None:
        self._left = parts
        self._tell = tell
        self._outcomes: list[Outcome] = []

    def add(self, outcomes: list[Outcome]) -> None:
        """One part is done."""
        self._left -= 1
        self._outcomes += outcomes
        if not self._left:
            self._tell(in_words(self._outcomes))


def in_words(outcomes: list[Outcome]) -> str:
    """What became of a schedule's tasks, failures first."""
    bad = [outcome for outcome in outcomes if not outcome.ok]
    if not bad:
        return f"{len(outcomes)} as wanted" if len(outcomes) != 1 else f"{outcomes[0].task}: {outcomes[0].sentence}"[:MAX_OUTCOME]
    return f"{len(bad)} of {len(outcomes)} not as wanted: {bad[0].task}: {bad[0].sentence}"[:MAX_OUTCOME]
