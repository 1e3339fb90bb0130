"""The Core: one loop, four queues, and what spans tasks.

A request becomes entries of the queues act_task, trm_task, add_task and del_task, worked in order of arrival, some in each turn.  Working an entry
only sets a goal and tells a worker, or asks for one: it never waits.  What comes of it arrives later as reports, and `Waiting` answers whoever waits
for it.

Intent.  What a client (or a schedule) wants of a task is saved before it is done, and outlives everything; what the Core wants by itself (autostart,
a shutdown, an update) is not.  A task that ran to its end has nothing left to be wanted.  A restart is a stop that remembers (`again`) that a start
follows.

    entry -> goal of the Task -> Workers (fork, tell) -> worker ... report -> Task -> Waiting -> reply

This module must never touch a task's files or processes itself, nor know the wire format of clients.
"""

from __future__ import annotations

import signal
from collections.abc import Callable

import msgspec

from efsupervisor.conf.schema import Config, SupervisorSpec, TaskSpec
from efsupervisor.core import adoption
from efsupervisor.core.descriptors import SIGNALS, Descriptors
from efsupervisor.core.ending import Ending, ended_for_all
from efsupervisor.core.fifos import Fifos
from efsupervisor.core.flow_runs import FlowRuns
from efsupervisor.core.home import Home
from efsupervisor.core.ordering import BEGINS, Ordering
from efsupervisor.core.orders import Orders
from efsupervisor.core.place import Place
from efsupervisor.core.ports import TypeTable
from efsupervisor.core.puts import ClearQueue, PutQueue, Puts
from efsupervisor.core.queues import Entry, Queue, Queues
from efsupervisor.core.reaper import Dead, Reaper, next_dead_child
from efsupervisor.core.registry import Registry
from efsupervisor.core.saved import TASK, Merged
from efsupervisor.core.services import Services
from efsupervisor.core.sockets import Sockets
from efsupervisor.core.standstill import Standstill
from efsupervisor.core.store import Store
from efsupervisor.core.tale import Tale
from efsupervisor.core.tasks import Link, Task, runs, served, silent
from efsupervisor.core.timetable import Timetable
from efsupervisor.core.turnstile import Turnstile
from efsupervisor.core.waiting import Pending, Waiting
from efsupervisor.core.watchdog import Watchdog
from efsupervisor.core.wiring import Wirer
from efsupervisor.core.workers import Workers
from efsupervisor.errors import TABLE, Code, EfError
from efsupervisor.log import Log
from efsupervisor.messages import MAX_FRAME, Alert, Outcome, Reaped, Report, Rewire, Wiring, encode
from efsupervisor.reactor import Reactor
from efsupervisor.states import Goal, State
from efsupervisor.system import Real, folded, short_id
from efsupervisor.task.paths import TaskPaths
from efsupervisor.task.record import unfinish

SAVED_WISH = "an operator before the last start"
FAILING_S = 60.0
"""How long every turn may fail until the Core gives up."""
APART_S, FIRST_S, SLOWEST_S = 1.0, 0.01, 0.25
"""Failed turns that are APART_S apart have nothing to do with each other; others are followed by a delay of FIRST_S, 2 FIRST_S ... SLOWEST_S."""
HANDED_DEAD = 1000

class Core:
    """One supervisor.  Owns every Task, its descriptors and its timers.  `home` is locked, `log` and `store` open, the descriptor limit raised,
    signals not yet caught.  merged: the configuration in force; changed by core/updating.py only."""

    def __init__(
        self,
        merged: Merged,
        home: Home,
        log: Log,
        types: TypeTable,
        put: PutQueue,
        clear: ClearQueue,
        *,
        store: Store,
        system: Real,
        descriptors: Descriptors,
        version: str = "",
    ) -> None:
        self.merged = merged
        self.store = store
        self.home = home
        self.log = log
        self.version = version
        self.system = system
        self.descriptors = descriptors
        self.reactor = Reactor(system)
        self.registry = Registry()
        self.waiting = Waiting()
        self.tale = Tale(self.reactor, system, log, store)
        self._standstill = Standstill(self.registry, self.reactor, self.tale)
        self.types = types
        self.puts = Puts(put, clear, system)
        self.orders = Orders(system)
        self.on_report: list[Callable[[Task], None]] = []
        self.on_alert: list[Callable[[Task, Alert], None]] = []
        self.on_signal: list[Callable[[int], None]] = []
        self._queues = Queues()
        self._fifos = Fifos(system, descriptors)
        self._sockets = Sockets(system, descriptors, log, self.registry)
        self._reaper = Reaper(next_dead_child, self._reaped)
        self.wirer = Wirer(home.var, home.namespace, home.log, system)
        spec = merged.config.supervisor
        self._workers = Workers(
            self.reactor,
            system,
            log,
            types,
            descriptors,
            self._fifos,
            self._sockets,
            version=version,
            deadline_s=spec.ping_deadline_s,
            on_report=self._reported,
            on_rest=self._rested,
            on_alert=self._alerted,
            leave=store.abandon,
            status_of=self._reaper.status,
        )
        self.watchdog = Watchdog(self.reactor, lambda: self.registry, self._silent, ping_s=spec.ping_s, deadline_s=spec.ping_deadline_s)
        self._work = Turnstile(self.reactor, system, self._work_one, descriptors)
        self._reaping = Turnstile(self.reactor, system, self._reaper.reap_one, descriptors)
        self.services = Services(
            self.reactor,
            system,
            log,
            descriptors,
            Place(home.var, home.namespace, version, merged.config.source, home.log),
            spec,
            leave=store.abandon,
            status_of=self._reaper.status,
        )
        self.flow_runs = FlowRuns(self)
        self.timetable = Timetable(self.reactor, system, log, store, self)
        self.ordering = Ordering(self.registry, log, self._fork, self._stop_now, self._held)
        self._end = Ending(self, self._workers.hurry)
        store.wake = self.reactor.after

    @property
    def config(self) -> Config:
        """The configuration in force."""
        return self.merged.config

    # Boot -----------------------------------------------------------------------------------------------------------------------------------------

    def boot(self) -> None:
        """Wire the flows, take over what runs, and put what is to start into the queue.  EfError or OSError: nothing was started."""
        wirings = self.wirer.wire(self.config)
        for spec in self.config.tasks:
            self.types(spec.type)  # an unknown type is a reason not to begin at all
        self.reactor.on_signals(SIGNALS, self._signalled)
        self.regroup()
        for spec in sorted(self.config.tasks, key=lambda each: each.priority):
            self.register(spec, wirings[short_id(spec.name)])
        for identity in adoption.found_folders(self.home.tasks):
            if self.registry.by_id(identity) is None:
                self._register_stranger(identity)
        adopted = sum(self._take_over(task) for task in self.registry.ordered())
        self._begin_all()
        self.watchdog.start()
        self.services.start(len(self.config.tasks) - adopted)
        self.flow_runs.resume()
        self.timetable.keep(self.config.schedules)
        self._reaping.wake()
        former = self.home.former
        end = "an upgrade" if former.upgraded else "a clean end" if former.clean else "an unclean end"
        manner = f"after {end}" if former.existed else "first start"
        added = sum(noun == TASK for noun, _name in self.merged.added)
        count = f"{len(self.config.tasks)} tasks" + (f" ({added} of them added by command)" if added else "")
        self.tale.supervisor("RUNNING")
        self.log.info(f"efsupervisord {self.version} pid {self.system.getpid()}: {count}, {adopted} workers found, {manner}")
        for sentence in self.merged.aside:
            self.log.warning(sentence)

    def configure(self, spec: SupervisorSpec) -> None:
        """Other settings are in force: what can be changed at run time is."""
        self.log.configure(level=spec.log_level, form=spec.log_format, max_bytes=spec.log_max_bytes, backups=spec.log_backups)
        self.watchdog.configure(ping_s=spec.ping_s, deadline_s=spec.ping_deadline_s)
        self._workers.deadline_s = spec.ping_deadline_s
        self.store.retain(spec.history, spec.alerts)
        self.services.configure(spec)

    def dead(self) -> list[tuple[int, int, int]]:
        """How the last children ended: pid, start time, wait status."""
        return self._reaper.graveyard.last(HANDED_DEAD)

    def take(self, dead: list[tuple[int, int, int]], again: list[tuple[str, str]]) -> None:
        """What the Core before us in this process knew (core/handover.py): deaths, and restarts of which the first half was told."""
        for pid, start_ticks, status in dead:
            self._reaper.graveyard.bury(Dead(pid, start_ticks, status))
        for name, asked_by in again:
            task = self.registry.by_id(short_id(name))
            if task is not None and task.configured and task.resting:
                self.act_task([task], asked_by)
            elif task is not None and task.configured and task.goal is Goal.ACT and not task.waits:
                self.restart_task([task], asked_by)  # its stop had to wait for others, and was not told
            elif task is not None and task.configured and not task.waits:
                task.again = asked_by

    def leave(self) -> None:
        """In a forked child that is no worker: let go of everything that is the Core's alone."""
        self._workers.leave()

    def regroup(self) -> None:
        """Groups and dependencies are those of the configuration in force."""
        self.registry.groups = {folded(group.name): group for group in self.config.groups}
        self._standstill.enabled = any(flow.cycle for flow in self.config.flows)
        self.ordering.configure(self.config)

    def register(self, spec: TaskSpec, wiring: Wiring) -> Task:
        """Take a task in, at rest."""
        paths = TaskPaths(wiring.task_dir)
        task = Task(spec=spec, wiring=wiring, paths=paths, report=Report(state=State.STOPPED, goal=Goal.TRM))
        self.registry.add(task)
        return task

    def _register_stranger(self, identity: str) -> None:
        """A folder whose task is not configured: known only while something of it may run."""
        spec = adoption.stranger(self.home.task_dir(identity))
        task = self.register(spec, Wiring(spec=spec, task_dir=self.home.task_dir(identity), namespace=self.home.namespace, log=self.home.log))
        task.configured = False

    def _take_over(self, task: Task) -> bool:
        """Adopt the task's worker, or judge what it needs; whether a worker was found."""
        saved = self._workers.saved(task)
        if saved is not None:
            task.report = saved
            task.goal = saved.goal
            task.echoed = saved.state
            self.registry.reported(task)
            self.tale.take_runs(task)
        task.ticket = self._saved_ticket(task) or (saved.ticket if saved is not None else "")
        self._hold_outputs(task)
        if self._workers.find(task):
            if not task.configured:
                self._stop_stranger(task)
            elif task.link is not None:
                self.rewire(task)
                self._want_what_was_wanted(task, saved)
            return True
        self._judge(task, saved)
        return False

    def _want_what_was_wanted(self, task: Task, saved: Report | None) -> None:
        """An operator's wish was saved, and the last Core died before the worker heard of it, or in the middle of a restart or a shutdown."""
        intent = self.intent_of(task.spec)
        if intent is None or saved is None or saved.goal is intent:
            return
        if intent is Goal.ACT:
            self.act_task([task], SAVED_WISH, ticket=self._saved_ticket(task))
        else:
            self.trm_task([task], SAVED_WISH)

    def _saved_ticket(self, task: Task) -> str:
        intent = self.store.intent(task.name)
        return intent.ticket if intent is not None else ""

    def _hold_outputs(self, task: Task) -> None:
        try:
            self._fifos.hold_outputs(task)
        except OSError as error:
            self.log.error(f"task {task.name}: its FIFOs could not be opened: {error}; what it writes is lost if its worker dies now")

    def _judge(self, task: Task, saved: Report | None) -> None:
        alive = self._workers.program_is_alive(task)
        intent = self._unfulfilled(task)
        configured = task.configured or not self.store.complete
        judgement = adoption.judge(adoption.Facts(configured, task.spec.autostart, self.home.former, saved, alive, intent))
        unheard = intent is Goal.ACT and saved is not None and self._saved_ticket(task) not in ("", saved.ticket)
        if configured and not alive and intent is Goal.ACT and (self._was_waiting(task) or unheard):
            judgement = adoption.START
        if judgement.fresh:
            over = saved is not None and saved.state in (State.EXITED, State.FATAL)  # then it is another run that is wanted
            task.ticket = "" if over and saved is not None and self._saved_ticket(task) == saved.ticket else self._saved_ticket(task)
        task.goal = judgement.goal
        task.report = adoption.first_report(saved, judgement)
        task.fresh = task.unconfirmed = judgement.fresh
        task.asked_by = (SAVED_WISH if intent is not None else "autostart") if judgement.fresh else "recovery"
        if judgement.fresh:
            unfinish(self.system, task.paths)
            task.waits = BEGINS  # what it depends on may not have been judged yet
        elif judgement.fork:
            self._workers.fork_soon(task)
        elif not task.configured:
            self._forget(task)

    def _unfulfilled(self, task: Task) -> Goal | None:
        """What an operator last wanted, but for a run that came to its end unseen: nothing is left to be wanted of that."""
        if task.report.state is State.EXITED and served(task, self._saved_ticket(task)):
            self.store.forget_intent(task.name)
        return self.intent_of(task.spec)

    def _was_waiting(self, task: Task) -> bool:
        intent = self.store.intent(task.name)
        return intent is not None and intent.waits

    def _begin_all(self) -> None:
        """Start what was judged to start and, when all begins anew, what that depends on unless an operator stopped it."""
        former = self.home.former
        anew = former.clean or not former.existed or not former.same_boot
        fresh = [task for task in self.registry.ordered() if task.waits]
        for task in self.ordering.needed(fresh, anew=True) if anew else ():
            if self.intent_of(task.spec) is not Goal.TRM and task.resting:
                unfinish(self.system, task.paths)
                self._want(task, Goal.ACT, "what depends on it")
        for task in fresh:
            if task.waits:
                self.ordering.begin(task)

    def _held(self, task: Task) -> None:
        """Its start waits: a Core that dies meanwhile leaves the wish to its successor."""
        if task.configured and not self.ending and not self._was_waiting(task):
            self.store.set_intent(task.name, Goal.ACT, autostart=task.spec.autostart, waits=True, ticket=task.ticket)
        self.waiting.changed(task)

    def _fork(self, task: Task) -> None:
        """It waits no more."""
        if self._was_waiting(task):
            self.store.set_intent(task.name, Goal.ACT, autostart=task.spec.autostart, ticket=task.ticket)
        self._workers.fork_soon(task)

    def intent_of(self, spec: TaskSpec) -> Goal | None:
        """What an operator last wanted of a task, None when nothing, or when its `autostart` is another one since: then the file has the last
        word."""
        intent = self.store.intent(spec.name)
        return intent.goal if intent is not None and intent.autostart == spec.autostart else None

    def _stop_stranger(self, task: Task) -> None:
        if not self.store.complete:
            self.log.warning(f"task {task.name} is not known, but the saved state was damaged: it is left running; stop it, or add it again")
            return
        self.log.warning(f"task {task.name} is not in the configuration any more: it is stopped, its folder {task.paths.folder} stays")
        task.goal, task.unconfirmed, task.asked_by = Goal.TRM, True, "not in the configuration"
        self._workers.tell_goal(task)

    def rewire(self, task: Task) -> None:
        """Tell a worker the spec and the edges that are in force."""
        message = Rewire(wiring=task.wiring)
        if len(encode(message)) > MAX_FRAME:
            self.log.warning(f"task {task.name}: its spec is too large to be sent; its worker goes on with the one it was forked with")
        elif task.link is not None and task.link.channel is not None:
            task.link.channel.send(message)

    def run(self) -> int:
        """Turn until the end; the exit status.

        A call of the system that fails where nobody expected it costs one turn, not the supervisor (faults.md A19).  While turns go on failing they
        are slowed down; after FAILING_S of nothing else the Core ends and leaves everything to its successor: the tasks do not need it. """
        since = last = -FAILING_S
        delay_s = 0.0
        while not self._end.reached:
            try:
                self.reactor.run()
            except OSError as error:
                now = self.system.monotonic()
                if now - last > APART_S:
                    since, delay_s = now, 0.0
                    self.log.error(f"a turn of the loop failed: {error}")
                elif now - since > FAILING_S:
                    self.log.error(f"the loop fails for {FAILING_S:g} s now ({error}): the Core ends, tasks and workers stay; start it again")
                    return TABLE[Code.SYSTEM].exit_status
                self.reactor.hold(delay_s)
                last, delay_s = self.system.monotonic(), min(SLOWEST_S, delay_s + FIRST_S)
        return self.exit_status

    # Queues ---------------------------------------------------------------------------------------------------------------------------------------

    def act_task(
        self, tasks: list[Task], asked_by: str, pending: Pending | None = None, *, intent: bool = False, ticket: str = "", anew: bool = False
    ) -> None:
        """Queue starts.  What had finished counts as unfinished from now on, for all of them before any of them starts.  intent: it is what an
        operator wants, and is saved.  What they depend on is started too; anew: also jobs that are completed.  ticket: names this wish, so that a job
        is not run a second time when it is repeated."""
        new = [task for task in tasks if not runs(task) and not served(task, ticket)]
        needed = [task for task in self.ordering.needed(new, jobs_anew=anew) if not served(task, ticket)]
        self._intend([*needed, *(task for task in tasks if not served(task, ticket))], Goal.ACT, intent, ticket)
        for task in [*needed, *new]:
            if silent(task):
                unfinish(self.system, task.paths)
        why = f"{asked_by} (for {', '.join(task.name for task in new[:3])}{' ...' if len(new) > 3 else ''})"
        self._enqueue(Queue.ACT, needed, lambda task: self._act(task, why, None, ticket))
        self._enqueue(Queue.ACT, self.ordering.upwards(tasks), lambda task: self._act(task, asked_by, pending, ticket))

    def trm_task(self, tasks: list[Task], asked_by: str, pending: Pending | None = None, *, intent: bool = False) -> None:
        """Queue stops."""
        self._intend(tasks, Goal.TRM, intent)
        self._enqueue(Queue.TRM, self.ordering.downwards(tasks), lambda task: self._trm(task, asked_by, pending))

    def restart_task(self, tasks: list[Task], asked_by: str, pending: Pending | None = None, *, intent: bool = False, ticket: str = "") -> None:
        """Queue stops that are followed by starts; a task at rest is just started.  What they depend on is started too, and who wants to be is
        restarted with them."""
        needed, named = self.ordering.needed(tasks), set(tasks)
        self._intend([*needed, *tasks], Goal.ACT, intent, ticket)
        self._enqueue(Queue.ACT, needed, lambda task: self._act(task, asked_by, None, ticket))
        every = self.ordering.for_restart([*tasks, *self.ordering.followers(tasks)])
        self._enqueue(Queue.ACT, every, lambda task: self._restart(task, asked_by, pending if task in named else None, ticket))

    def del_task(self, tasks: list[Task], asked_by: str, pending: Pending | None = None) -> None:
        """Queue removals: each task is stopped and then forgotten; its folder goes too when it is marked for that (`remove`)."""
        for task in tasks:
            task.configured = False
            self.store.forget_intent(task.name)
        self._enqueue(Queue.DEL, self.ordering.downwards(tasks), lambda task: self._del(task, asked_by, pending))

    def _intend(self, tasks: list[Task], goal: Goal, intent: bool, ticket: str = "") -> None:
        if intent and not self.ending:
            for task in tasks:
                if task.configured:
                    self.store.set_intent(task.name, goal, autostart=task.spec.autostart, ticket=ticket)
            self.store.flush()

    def has_room(self, count: int) -> bool:
        """Whether the queues take `count` more entries."""
        return self._queues.has_room(count)

    def _enqueue(self, queue: Queue, tasks: list[Task], work: Callable[[Task], None]) -> None:
        for task in tasks:
            self._queues.put(Entry(queue, lambda task=task: work(task)))  # type: ignore[misc]
        self._work.wake()

    def _work_one(self) -> bool:
        entry = self._queues.pop()
        if entry is None:
            return False
        entry.work()
        return True

    def _act(self, task: Task, asked_by: str, pending: Pending | None, ticket: str = "") -> None:
        if self._refused(task, pending):
            return
        if task.again or self._must_rest_first(task):
            task.again, task.again_ticket = asked_by, ticket  # it is being stopped, and is started when it is at rest
        elif not served(task, ticket):
            self._want(task, Goal.ACT, asked_by, ticket)
        if pending is not None:
            self.waiting.worked(pending, task)

    def _must_rest_first(self, task: Task) -> bool:
        """It is on its way out, and what it depends on is too: its worker may not just begin another life."""
        going = task.link is not None and (task.goal is Goal.TRM or task.link.final is not None)
        return going and not self.ordering.met(task)

    def _restart(self, task: Task, asked_by: str, pending: Pending | None, ticket: str = "") -> None:
        if task.resting:
            if not self._refused(task, None):
                unfinish(self.system, task.paths)
            self._act(task, asked_by, pending, ticket)
        elif not self._refused(task, pending):
            task.again, task.again_ticket = asked_by, ticket
            self.ordering.stop(task, asked_by)
            if pending is not None:
                self.waiting.worked(pending, task)

    def _refused(self, task: Task, pending: Pending | None) -> bool:
        """No task is started any more when the supervisor ends, nor one that is being removed."""
        if not (self.ending or not task.configured):
            return False
        if pending is not None:
            why = "the supervisor is shutting down" if self.ending else "the task is being removed"
            self.waiting.refused(pending, Outcome(task=task.name, ok=False, code=Code.BAD_STATE, sentence=why))
        return True

    def _trm(self, task: Task, asked_by: str, pending: Pending | None) -> None:
        self.stop_for_good(task, asked_by)
        if pending is not None:
            self.waiting.worked(pending, task)

    def _del(self, task: Task, asked_by: str, pending: Pending | None) -> None:
        if not task.configured:  # else it was added again meanwhile
            self.stop_for_good(task, asked_by)
            if task.resting and self.registry.by_id(task.paths.id) is task:
                self._rested(task)
        if pending is not None:
            self.waiting.worked(pending, task)

    # Goals ----------------------------------------------------------------------------------------------------------------------------------------

    def _want(self, task: Task, goal: Goal, asked_by: str, ticket: str = "") -> None:
        """Set a goal and see to it that a worker hears of it."""
        self.ordering.release(task)
        already = task.goal is goal and not task.unconfirmed
        task.goal, task.asked_by = goal, asked_by
        if goal is Goal.ACT and not (already and runs(task)):
            task.ticket = ticket
        if goal is Goal.ACT:
            self._want_running(task, already)
        else:
            self._want_stopped(task, already)
        self.waiting.changed(task)
        self.ordering.changed(task)

    def _want_running(self, task: Task, already: bool) -> None:
        if already and runs(task):
            return
        task.unconfirmed = True
        if task.link is not None and task.link.final is None:
            self._workers.tell_goal(task)
        elif task.report.state.at_rest:
            task.fresh = True
            task.report = adoption.starting(task.report)
        if task.resting:
            self.ordering.begin(task)

    def _want_stopped(self, task: Task, already: bool) -> None:
        self.ordering.drop(task)
        link = task.link
        if link is None and task.fresh:  # it waits for its first fork: nothing can run
            self._workers.give_up(task)
            task.fresh = task.unconfirmed = False
            task.report = msgspec.structs.replace(task.report, state=State.STOPPED, goal=Goal.TRM, reason="stopped before it was started", final=True)
            self._rested(task)
        elif link is None:
            task.unconfirmed = not task.resting  # the worker that is coming will be told
        elif link.final is not None:
            task.fresh = task.unconfirmed = False
            task.report = link.final
        elif not already:
            task.unconfirmed = True
            self._workers.tell_goal(task)

    # What workers tell ----------------------------------------------------------------------------------------------------------------------------

    def _reported(self, task: Task) -> None:
        self.registry.reported(task)
        if task.link is not None and task.link.adopted and not task.unconfirmed and task.configured and not task.again:
            task.goal = task.report.goal
        if task.link is not None:
            self.orders.again(task, task.link)
            self.puts.again(task, task.link)
        self.tale.reported(task)
        self._standstill.reported(task)
        for told in self.on_report:
            told(task)
        self.waiting.changed(task)
        self.ordering.changed(task)

    def _alerted(self, task: Task, alert: Alert) -> None:
        self.tale.alerted(task, alert)
        for told in self.on_alert:
            told(task, alert)

    def _rested(self, task: Task) -> None:
        """No worker is left and none is coming."""
        self._settle(task)
        self._sockets.sweep()
        self._end.rested(task)
        if task.configured and not task.again and not self.ending and ended_for_all(task):
            self._end.end_with(task)

    def _settle(self, task: Task) -> None:
        self._fifos.release_input(task)
        self.orders.rested(task)
        self.puts.rested(task)
        self.waiting.changed(task)
        self.ordering.changed(task)
        if task.report.state is State.EXITED and self.intent_of(task.spec) is Goal.ACT and self._saved_ticket(task) in ("", task.report.ticket):
            self.store.forget_intent(task.name)
        if task.again and task.configured and not self.ending:
            self._start_again(task)
            return
        if not task.configured:
            self._remove(task) if task.remove else self._forget(task)
            self.waiting.changed(task)

    def _start_again(self, task: Task) -> None:
        """The second half of a restart."""
        asked_by, task.again = task.again, ""
        unfinish(self.system, task.paths)
        self._want(task, Goal.ACT, asked_by, task.again_ticket)

    def _remove(self, task: Task) -> None:
        self._forget(task)
        try:
            self.types(task.spec.type).del_helper(self.system).remove(task.paths.folder)
        except (EfError, OSError) as error:
            self.log.error(f"task {task.name}: its folder could not be removed: {error}")

    def _forget(self, task: Task) -> None:
        self._fifos.release(task)
        self.tale.forget(task)
        self.registry.drop(task)
        task.gone = True

    def _silent(self, task: Task, link: Link) -> None:
        self._workers.kill(task, link, f"gave no sign of life within {self.config.supervisor.ping_deadline_s:g} s")

    def _reaped(self, dead: Dead) -> None:
        task = self.registry.by_program(dead.pid, dead.start_ticks)
        if task is not None and task.link is not None and task.link.channel is not None:
            task.link.channel.send(Reaped(pid=dead.pid, start_ticks=dead.start_ticks, status=dead.status))

    # The end --------------------------------------------------------------------------------------------------------------------------------------

    def _signalled(self, number: int) -> None:
        for told in self.on_signal:
            told(number)
        if number == signal.SIGCHLD:
            self._reaping.wake()
        elif number in (signal.SIGHUP, signal.SIGUSR2):
            self.log.reopen()
            self.log.info(f"log opened again ({signal.Signals(number).name})")
        else:
            self.shutdown(signal.Signals(number).name)

    @property
    def ending(self) -> bool:
        """A shutdown is under way."""
        return self._end.under_way

    @property
    def exit_status(self) -> int:
        """What `run` will say."""
        return self._end.exit_status

    def shutdown(self, asked_by: str, on_end: Callable[[], None] | None = None) -> None:
        """Stop everything (core/ending.py).  on_end is called when the tasks are stopped."""
        self._end.begin(asked_by, on_end)

    def stop_for_good(self, task: Task, asked_by: str) -> None:
        """A stop that no restart follows."""
        task.again = ""
        self.ordering.stop(task, asked_by)

    def _stop_now(self, task: Task, asked_by: str) -> None:
        self._want(task, Goal.TRM, asked_by)
