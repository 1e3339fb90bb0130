"""Starts and stops that wait for others: for what they depend on, for what depends on them, and for their turn.

    begin(task)   its dependencies are as they should be, and a place is free -> start; else it is held: Task.waits says for what
    stop(task)    nothing that depends on it is being stopped too -> stop; else it is held: Task.stops_after says for whom

What holds is looked at again whenever something about a task changes (`changed`), through a list that is worked in a loop: a chain of a thousand
tasks is a thousand turns of it, not a thousand calls inside each other.

A held task has no worker, and one is coming: it shows STARTING with the sentence, and `trm` ends the waiting.  A worker that starts its program
again, or that takes one over, asks nobody here: dependencies order what somebody wants, they do not follow what happens.

This module must never talk to a worker: it decides when, its owner does it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable

import msgspec

from efsupervisor.conf.schema import Config
from efsupervisor.core.dependencies import Facts, Graph, Verdict, judge, may_start, together, unmet
from efsupervisor.core.registry import Registry
from efsupervisor.core.tasks import Task
from efsupervisor.log import Log
from efsupervisor.states import Goal, Kind, State

BEGINS = "is about to be started"
"""Waits for the end of the Core's own start, when everything has been judged."""
ITS_TURN = "waits for its turn: {} tasks are starting already"


class Ordering:
    """Of one Core.  start(task): give it a worker.  stop(task, asked_by): set its goal.  held(task): its start waits, or waits for something else."""

    def __init__(
        self, registry: Registry, log: Log, start: Callable[[Task], None], stop: Callable[[Task, str], None], held: Callable[[Task], None]
    ) -> None:
        self.graph = Graph()
        self._registry = registry
        self._log = log
        self._start = start
        self._stop = stop
        self._held = held
        self._bound = 0
        self._under_way: set[Task] = set()
        self._turns: dict[Task, None] = {}
        self._missing: dict[Task, dict[str, Verdict]] = {}
        self._news: deque[Task] = deque()
        self._working = False

    def configure(self, config: Config) -> None:
        """Another configuration is in force."""
        self.graph = Graph(config.tasks, config.groups)
        self._bound = config.supervisor.parallel_starts
        for task in self._registry.ordered():
            if task.waits:
                self._look(task)
            if task.stops_for:
                self.stop(task, task.stops_for)
        self._next_turns()

    # Who else, and in which order -------------------------------------------------------------------------------------------------------------------

    def upwards(self, tasks: Iterable[Task]) -> list[Task]:
        """In the order of starts: what others depend on first; else as they were given."""
        return sorted(tasks, key=lambda task: self.graph.level(task.paths.id))

    def downwards(self, tasks: Iterable[Task]) -> list[Task]:
        """In the order of stops: what depends on others first, then the higher priority number; else as they were given."""
        return sorted(tasks, key=lambda task: (-self.graph.level(task.paths.id), -task.spec.priority))

    def for_restart(self, tasks: Iterable[Task]) -> list[Task]:
        """Those that run in the order of stops, then those at rest in the order of starts: these wait for what is being restarted."""
        listed = list(tasks)
        return self.downwards(task for task in listed if not task.resting) + self.upwards(task for task in listed if task.resting)

    def needed(self, tasks: Iterable[Task], *, anew: bool = False, jobs_anew: bool = False) -> list[Task]:
        """What must be started so that these can be, first things first.  anew: at the start of all, when how something ended once counts no more;
        jobs_anew: how a job ended once does not count."""
        given = set(tasks)
        found: dict[Task, None] = {}
        looked, todo = set(given), list(given) if self.graph else []
        while todo:
            for need in self.graph.needs(todo.pop().paths.id):
                other = self._registry.by_id(need.id)
                if other is None or other in looked or not other.configured:
                    continue
                met = may_start([need], self._facts).met and not (other.resting and (anew or (jobs_anew and other.spec.kind is Kind.JOB)))
                if met or not (_at_rest(other) or _is_leaving(other) or other.stuck):
                    continue
                looked.add(other)
                todo.append(other)
                if not other.stuck:
                    found[other] = None
        return self.upwards(found)

    def followers(self, tasks: Iterable[Task]) -> list[Task]:
        """Who runs and is restarted with these, because it says so."""
        given = list(tasks)
        looked, todo, found = set(given), list(given) if self.graph else [], []
        while todo:
            for identity in self.graph.dependents(todo.pop().paths.id):
                other = self._registry.by_id(identity)
                if other is None or other in looked or not other.spec.restart_with:
                    continue
                looked.add(other)
                if not other.resting and other.goal is Goal.ACT and not other.waits:
                    found.append(other)
                    todo.append(other)
        return found

    # Starts -----------------------------------------------------------------------------------------------------------------------------------------

    def met(self, task: Task) -> bool:
        """Whether all that comes before it is there."""
        return may_start(self.graph.needs(task.paths.id), self._facts).met

    def begin(self, task: Task) -> None:
        """Start it, now or as soon as it may."""
        missing = unmet(self.graph.needs(task.paths.id), self._facts)
        verdict = together(missing)
        if verdict.met and self._bound and len(self._under_way) >= self._bound:
            self._turns[task] = None
            verdict = Verdict(met=False, sentence=ITS_TURN.format(self._bound))
        if not verdict.met:
            self._missing[task] = missing
            self._hold(task, verdict)
            return
        self._missing.pop(task, None)
        if self._bound:
            self._under_way.add(task)
        if task.waits:
            task.report = msgspec.structs.replace(task.report, reason="its worker is being started")
        task.waits, task.stuck = "", False
        self._start(task)

    def drop(self, task: Task) -> None:
        """It is not to be started any more."""
        self._turns.pop(task, None)
        self._missing.pop(task, None)
        task.waits, task.stuck = "", False

    def _hold(self, task: Task, verdict: Verdict) -> None:
        if (task.waits, task.stuck) == (verdict.sentence, verdict.stuck):
            return
        if task not in self._turns and (verdict.stuck or task.stuck or not task.waits or task.waits == BEGINS):
            self._log.info(f"task {task.name}: {verdict.sentence}")
        task.waits, task.stuck = verdict.sentence, verdict.stuck
        task.report = msgspec.structs.replace(task.report, reason=verdict.sentence)
        self._held(task)
        self.changed(task)

    def _look(self, task: Task) -> None:
        self._turns.pop(task, None)
        self.begin(task)

    def _look_at_one(self, task: Task, below: Task) -> None:
        """As _look, when only one of its dependencies is news: the others, which may be a thousand, are as they were."""
        missing = self._missing.get(task)
        if missing is not None:
            verdict = judge(self.graph.need(task.paths.id, below.paths.id), self._facts(below.paths.id))
            if verdict.met:
                missing.pop(below.paths.id, None)
            else:
                missing[below.paths.id] = verdict
        if missing:
            self._hold(task, together(missing))
        else:
            self._look(task)

    def _next_turns(self) -> None:
        while self._turns and (not self._bound or len(self._under_way) < self._bound):
            self._look(next(iter(self._turns)))

    # Stops ------------------------------------------------------------------------------------------------------------------------------------------

    def stop(self, task: Task, asked_by: str) -> None:
        """Stop it, now or as soon as what depends on it and is being stopped is at rest."""
        above = (self._registry.by_id(identity) for identity in self.graph.dependents(task.paths.id))
        names = [other.name for other in above if other is not None and _is_alive(other) and _is_leaving(other)]
        if names and not task.resting and not task.waits:
            news, task.stops_for = not task.stops_for, asked_by
            task.stops_after = f"stops when {', '.join(names[:3])}{' ...' if len(names) > 3 else ''} {'has' if len(names) == 1 else 'have'} stopped"
            if news:
                self.changed(task)
            return
        self.release(task)
        self._stop(task, asked_by)

    def release(self, task: Task) -> None:
        """Its stop waits for nobody any more."""
        task.stops_for = task.stops_after = ""

    def hurry(self) -> None:
        """Every stop that waits begins now."""
        for task in self._registry.ordered():
            if task.stops_for:
                asked_by = task.stops_for
                self.release(task)
                self._stop(task, asked_by)

    # News -------------------------------------------------------------------------------------------------------------------------------------------

    def changed(self, task: Task) -> None:
        """Something about a task is new: who waits for it is looked at."""
        if not (self.graph or self._under_way or self._turns):
            return
        self._news.append(task)
        if self._working:
            return
        self._working = True
        try:
            while self._news:
                self._tell(self._news.popleft())
        finally:
            self._working = False

    def _tell(self, task: Task) -> None:
        if task in self._under_way and (task.report.state is not State.STARTING or task.resting):
            self._under_way.discard(task)
            self._next_turns()
        for identity in self.graph.dependents(task.paths.id):
            other = self._registry.by_id(identity)
            if other is not None and other.waits and other not in self._turns:
                self._look_at_one(other, task)
        for need in self.graph.needs(task.paths.id):
            below = self._registry.by_id(need.id)
            if below is not None and below.stops_for:
                self.stop(below, below.stops_for)

    def _facts(self, identity: str) -> Facts | None:
        task = self._registry.by_id(identity)
        if task is None or not task.configured:
            return None
        again = bool(task.again)
        return Facts(task.report, task.spec.exitcodes, _is_leaving(task) and not task.report.state.at_rest, again, bool(task.waits), task.stuck)


def _is_alive(task: Task) -> bool:
    return not task.resting and not task.waits


def _is_leaving(task: Task) -> bool:
    return task.goal is Goal.TRM or bool(task.stops_for)


def _at_rest(task: Task) -> bool:
    return task.report.state.at_rest
