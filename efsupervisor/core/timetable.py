"""Schedules at work: when a time has come, what is to be done about it is saved, and then done.

    time comes -> taken (core/overlap.py) -> saved -> RUN: trm, act, run, put -> every part has its outcome -> saved -> the next that waits

Saved first, and each run has a ticket that is made from the due time.  A Core that died in between is followed by one that finds the time under way
and says the same again: a job that was started under this ticket is waited for and not run a second time (core/tasks.py, served).  So no due time
begins two runs, and none that was taken is forgotten.  `missed` (core/schedules.py) is for times at which nobody was there.

What a schedule wants of a task is an operator's intent, said once and for always: a task that a schedule stopped in the evening stays stopped when
the supervisor is started again in the night.  Jobs that its tasks depend on are run anew, for a due time is a run of the whole chain.

One timer of at most LOOK_S, and none without schedules.  This module must never wait for what it began: outcomes come as for any client.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from efsupervisor.conf.schema import ScheduleSpec
from efsupervisor.core.overlap import Do, Line, Streak, ended, following, taken
from efsupervisor.core.schedules import Due, Schedules, written
from efsupervisor.core.store import Store
from efsupervisor.core.store_rows import LastTime
from efsupervisor.core.tasks import Task, under_way
from efsupervisor.core.waiting import Pending
from efsupervisor.errors import EfError
from efsupervisor.log import Log
from efsupervisor.messages import Outcome, PutDone
from efsupervisor.reactor import Reactor, Timer
from efsupervisor.states import Goal, Kind
from efsupervisor.system import Real, short_id, ticket_of

if TYPE_CHECKING:
    from efsupervisor.core.core import Core

MAX_OUTCOME = 500
UNDER_WAY = "under way"
NOT_OVER = "the run before is not over"


class Timetable:
    """Owns the schedules' times, what each of them has under way, and their timer."""

    def __init__(self, reactor: Reactor, system: Real, log: Log, store: Store, core: Core) -> None:
        self._reactor = reactor
        self._system = system
        self._log = log
        self._store = store
        self._core = core
        self._schedules = Schedules()
        self._known: dict[str, ScheduleSpec] = {}
        self._lines: dict[str, Line] = {}
        self._streaks: dict[str, Streak] = {}
        self._timer: Timer | None = None
        core.on_report.append(self._reported)

    def keep(self, specs: Iterable[ScheduleSpec]) -> None:
        """These are the schedules from now on; one that stays goes on where it was."""
        now = self._wall()
        former, self._known = self._known, {short_id(spec.name): spec for spec in specs}
        for identity, spec in former.items():
            if identity not in self._known:
                self._schedules.remove(spec.name)
                self._save(spec, self._lines.pop(identity)._replace(running=0.0, waiting=()))
        for identity, spec in self._known.items():
            if former.get(identity) == spec:
                continue
            last = self._store.last_time(spec.name)
            self._schedules.put(spec, now, last.wall if last is not None else 0.0)
            if last is None:
                self._store.scheduled(LastTime(schedule=spec.name, wall=now))
            if identity not in self._lines:
                self._go_on(identity, spec, last)
        self._arm()

    def _go_on(self, identity: str, spec: ScheduleSpec, last: LastTime | None) -> None:
        """A schedule that the last Core had, or one that is new."""
        line = Line(last.running, last.waiting, last.skipped) if last is not None else Line()
        self._lines[identity] = line
        if line.running and spec.enabled:
            self._begin(spec, line.running)
        elif line.running or line.waiting:
            self._lines[identity] = line._replace(running=0.0, waiting=line.waiting if spec.enabled else ())
            self._next(identity)

    def next_wall(self, name: str) -> float:
        """When a schedule is due next, 0.0 for never."""
        return self._schedules.next_wall(name)

    def _wall(self) -> float:
        return self._system.wall_ns() / 1e9

    def _arm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._reactor.after(self._schedules.look_in_s(self._wall()), self._look) if self._known else None

    # A time has come --------------------------------------------------------------------------------------------------------------------------------

    def _look(self) -> None:
        self._timer = None
        due = self._schedules.due(self._wall()) if not self._core.ending else []
        todo = [(each, self._taken(each)) for each in due]
        if todo:
            self._store.flush()
            self._system.fault("schedule:taken")
        for each, do in todo:
            self._do(each, do)
        self._arm()

    def _taken(self, due: Due) -> Do:
        """Decide, and save what was decided."""
        spec, identity = due.spec, short_id(due.spec.name)
        line, do = self._lines[identity]._replace(running=due.wall), Do.RUN
        if self._jobs(spec):  # nothing else has an end that could be waited for
            line, do = taken(self._lines[identity], due.wall, spec.overlap, busy=self._busy(spec), backlog=due.backlog)
        if due.backlog:
            line = line._replace(skipped=line.skipped + due.missed)
        self._lines[identity] = line
        self._save(spec, line, due.wall, UNDER_WAY if do in (Do.RUN, Do.REPLACE) else "")
        return do

    def _do(self, due: Due, do: Do) -> None:
        spec, at = due.spec, written(due.spec, due.wall)
        more = f" ({due.missed} older ones are left out)" if due.backlog else f" (in place of {due.missed + 1} times that passed)"
        more = more if due.missed else ""
        match do:
            case Do.RUN:
                self._log.info(f"schedule {spec.name}: due at {at}{more}")
                self._begin(spec, due.wall)
            case Do.WAIT:
                self._log.info(f"schedule {spec.name}: {at} waits: {NOT_OVER}{more}")
            case Do.REPLACE:
                self._log.info(f"schedule {spec.name}: due at {at}{more}; {NOT_OVER} and is stopped")
                self._replace(spec, due.wall)
            case Do.SKIP:
                streak = self._streaks[short_id(spec.name)] = self._streaks.get(short_id(spec.name), Streak()).grown(due.wall)
                if streak.times == 1:
                    self._left_out(spec, due.wall, f"{at} is left out: {NOT_OVER} (overlap: {spec.overlap})")
        if do is not Do.SKIP:
            self._end_streak(spec)

    def _left_out(self, spec: ScheduleSpec, wall: float, sentence: str) -> None:
        """Told of what is in the way, or of all its jobs when nothing is any more."""
        jobs = self._jobs(spec)
        for task in [task for task in jobs if under_way(task)] or jobs:
            self._core.tale.skipped(task, wall, f"schedule {spec.name}", sentence)

    def _end_streak(self, spec: ScheduleSpec) -> None:
        streak = self._streaks.pop(short_id(spec.name), Streak())
        if streak.times > 1:
            more = f"{streak.times - 1} more until {written(spec, streak.last)} were left out: the run before was not over (overlap: {spec.overlap})"
            self._left_out(spec, streak.last, more)

    def _jobs(self, spec: ScheduleSpec) -> list[Task]:
        """Jobs that it starts, by act and by run."""
        tasks = self._core.registry.named(spec.act)[0] if spec.act else []
        for name in spec.run:
            try:
                tasks += self._core.flow_runs.parts(name)
            except EfError:
                continue
        return list({task.paths.id: task for task in tasks if task.spec.kind is Kind.JOB}.values())

    def _busy(self, spec: ScheduleSpec) -> bool:
        return any(under_way(task) for task in self._jobs(spec)) or any(self._core.flow_runs.is_under_way(name) for name in spec.run)

    def _replace(self, spec: ScheduleSpec, wall: float) -> None:
        """Stop what runs, all of it, and only then begin: what is left of a pipe must not read what the next run writes."""
        tasks = [task for task in self._jobs(spec) if under_way(task)]
        if not tasks:
            self._begin(spec, wall)
            return

        def stopped(_outcomes: list[Outcome]) -> None:
            if self._lines.get(short_id(spec.name), Line()).running == wall and not self._core.ending:
                self._begin(spec, wall)

        self._core.trm_task(tasks, f"schedule {spec.name} (overlap: replace)", Pending(Goal.TRM, len(tasks), [], stopped), intent=True)

    # Its run ----------------------------------------------------------------------------------------------------------------------------------------

    def _begin(self, spec: ScheduleSpec, wall: float) -> None:
        """Do what it does; said again after a crash it comes to the same."""
        words = f"schedule {short_id(spec.name)} {wall:.3f}"
        parts = bool(spec.trm) + bool(spec.act) + bool(spec.task) + len(spec.run)
        told = _Outcomes(parts, lambda sentence: self._ended(spec, wall, sentence))
        self._stop(spec, told)
        self._start(spec, words, told)
        for name in spec.run:
            self._run(spec, name, words, told)
        if spec.task:
            self._put(spec, wall, told)

    def _stop(self, spec: ScheduleSpec, told: _Outcomes) -> None:
        tasks, unknown = self._core.registry.named(spec.trm)
        if spec.trm and not tasks:
            told.add(unknown)
        elif spec.trm:
            self._core.trm_task(tasks, f"schedule {spec.name}", Pending(Goal.TRM, len(tasks), unknown, told.add), intent=True)

    def _start(self, spec: ScheduleSpec, words: str, told: _Outcomes) -> None:
        tasks, unknown = self._core.registry.named(spec.act)
        if spec.act and not tasks:
            told.add(unknown)
        elif spec.act:
            pending = Pending(Goal.ACT, len(tasks), unknown, told.add, completed=True)
            self._core.act_task(tasks, f"schedule {spec.name}", pending, intent=True, ticket=ticket_of(words), anew=True)

    def _run(self, spec: ScheduleSpec, name: str, words: str, told: _Outcomes) -> None:
        try:
            self._core.flow_runs.begin(name, f"schedule {spec.name}", words, told.add)
        except EfError as error:
            told.add([Outcome(task=name, ok=False, code=error.code, sentence=error.message)])

    def _put(self, spec: ScheduleSpec, wall: float, told: _Outcomes) -> None:
        tasks, unknown = self._core.registry.named([spec.task])
        if len(tasks) != 1:
            told.add(unknown)
            return

        def done(answer: PutDone) -> None:
            told.add([Outcome(task=spec.task, ok=not answer.error, sentence=answer.error or f"an event was put at offset {answer.offset}")])

        data = spec.put.replace("{time}", written(spec, wall)).encode()
        self._core.puts.put(tasks[0], f"schedule {short_id(spec.name)} {wall:.0f}", data, done)

    def _ended(self, spec: ScheduleSpec, wall: float, sentence: str) -> None:
        """Every part has its outcome.  What a shutdown cut off is gone on with by the next Core."""
        identity = short_id(spec.name)
        line = self._lines.get(identity)
        if line is None or line.running != wall or self._core.ending:
            return
        self._system.fault("schedule:begun")
        self._lines[identity] = ended(line, wall)
        self._save(spec, self._lines[identity], outcome=sentence)
        self._end_streak(spec)
        self._next(identity)

    def _next(self, identity: str) -> None:
        """The next time that waits, if nothing is in its way."""
        spec = self._known.get(identity)
        if spec is None or self._core.ending:
            return
        line, wall = following(self._lines[identity], busy=self._busy(spec))
        if wall:
            self._lines[identity] = line
            self._save(spec, line, outcome=UNDER_WAY)
            self._store.flush()
            self._log.info(f"schedule {spec.name}: {written(spec, wall)} has waited for the run before it; {len(line.waiting)} more wait")
            self._begin(spec, wall)

    def _reported(self, task: Task) -> None:
        """A job that somebody else had started may have been in the way."""
        if not task.report.state.at_rest:
            return
        for identity, line in list(self._lines.items()):
            if line.waiting and not line.running:
                self._next(identity)

    def _save(self, spec: ScheduleSpec, line: Line, wall: float = 0.0, outcome: str = "") -> None:
        last = self._store.last_time(spec.name)
        self._store.scheduled(
            LastTime(
                schedule=spec.name,
                wall=wall or (last.wall if last is not None else 0.0),
                outcome=outcome or (last.outcome if last is not None else ""),
                running=line.running,
                waiting=line.waiting,
                skipped=line.skipped,
            )
        )


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
