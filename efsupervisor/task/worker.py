"""The worker: the process that keeps one task's program alive, with or without a Core.

It interprets the life-cycle table (efsupervisor.task.lifecycle): `_feed` takes an event, looks up the step and performs its effects; nothing else
changes the phase.  It is single-threaded, forked from the Core without exec, and may be killed between any two statements: what a successor needs is
in the program record, the incarnation log, the delivery record and the journals, each written before the step that relies on it.

A life is closed in a fixed order (ENDING and CLOSING): end what is left of the tree; drain stdout and stderr to end-of-file; settle the input; mark
an unfinished last record; note the end in the incarnation log.  Each of these can be repeated by a successor without doing anything twice.

The worker ends when its task is at rest.  At rest it does not wake up: nothing here polls.
"""

from __future__ import annotations

import os
import signal
import socket
from collections import deque
from collections.abc import Callable

import msgspec

from efsupervisor import messages
from efsupervisor.channel import Channel, listen
from efsupervisor.conf.schema import framing_of
from efsupervisor.errors import EfError, SpawnFailed
from efsupervisor.log.task import TaskLog
from efsupervisor.messages import (
    Alert,
    AskReaped,
    ClearLogs,
    Held,
    Hello,
    LogsCleared,
    Ping,
    Pong,
    PutDone,
    PutEvent,
    Reaped,
    Report,
    Rewire,
    SendSignal,
    SetGoal,
    SocketHeld,
    ToWorker,
    Wiring,
)
from efsupervisor.reactor import HANGUP, READ, Reactor, Timer
from efsupervisor.states import DELAY_OVER, Goal, Kind, State
from efsupervisor.system import Real, boot_id
from efsupervisor.task import policy, queue, spawn, tree
from efsupervisor.task.around import Around, Ears
from efsupervisor.task.lifecycle import Effect, Event, Phase, shown, step
from efsupervisor.task.lives import BEGIN, END, Life, Lives
from efsupervisor.task.outlets import Outlets
from efsupervisor.task.program import Program
from efsupervisor.task.record import read_program, read_state, write_state
from efsupervisor.task.seat import STATE, Seat
from efsupervisor.task.stdin import StdIn
from efsupervisor.task.stdout import StdOut

REPORT_GAP_S = 2.0
STATUS_WAIT_S = 2.0
TREE_WAIT_S = 5.0
RETRY_S = 0.5
UNKILLABLE_S = 2.0
"""How long after SIGKILL a program that still lives is said to be one that cannot be killed."""
MAX_UNSENT = 100
"""Alerts that are kept for the next Core while none is there; the oldest go first."""
RESTING = {Event.ENOUGH: State.EXITED, Event.HOPELESS: State.FATAL, Event.TRM: State.STOPPED}


class Worker:
    """One worker's whole life; `run` returns when the task is at rest.  stdin_class: StdIn class for the wiring; lock_fd: the task's lock, held;
    listening: the listening socket that its programs get as stdin, -1 for none."""

    def __init__(
        self,
        wiring: Wiring,
        system: Real,
        sock: socket.socket | None,
        *,
        lock_fd: int,
        stdin_class: Callable[[Seat], StdIn],
        stdout_class: type[StdOut],
        say: TaskLog,
        listening: int = -1,
    ) -> None:
        self._system = system
        self._listening = listening
        self._lock_fd = lock_fd
        self._reactor = Reactor(system)
        self._core: Channel | None = None
        self._channels: list[Channel] = []
        self._boot = boot_id()
        self._say = say
        self._seat = Seat(
            wiring,
            system,
            self._reactor,
            boot=self._boot,
            say=say,
            tell=self._tell,
            dirty=self._changed_a_little,
            core_connected=lambda: self._core is not None,
        )
        self._paths = self._seat.paths
        self._cookie = spawn.cookie(wiring).encode()
        self._around = Around(self._seat, self._cookie, Ears(self._ready, self._unwell, self._program_said, self._extended))
        saved = read_state(self._paths)
        self._saved_running = saved.incarnation if saved is not None and saved.state is State.RUNNING else 0
        self._saved = saved
        self._goal = Goal.ACT
        self._goal_known = False
        self._phase = Phase.IDLE
        self._told = State.STOPPED
        self._since_wall = system.wall_ns() / 1e9
        self._reason = ""
        self._asked_by = ""
        self._cause = saved.cause if saved else ""
        self._ticket = saved.ticket if saved else ""
        self._attempt = saved.attempt if saved and not saved.final else 0
        self._taken = (0, -1)
        self._unsent: deque[Alert] = deque(maxlen=MAX_UNSENT)
        self._rest_state = State.STOPPED
        self._finished = False
        self._failures = saved.failures if saved and not saved.final else 0
        self._restarts = saved.restarts if saved else 0
        self._starts: list[float] = []
        self._out_from = 0
        self._shortages = 0
        self._status: int | None = saved.exit_status if saved else None
        self._status_known = saved.exit_known if saved else True
        self._delays = 0
        self._ready_once = False
        self._why_unwell = ""
        self._own_words = ""
        self._verdict: policy.Verdict | None = None
        self._prejudged: policy.Verdict | None = None
        self._wanted_again = False
        self._deadline: Timer | None = None
        self._deadline_event = Event.DUE
        self._done_with = False
        self._program: Program | None = None
        self._failure_fd = -1
        self._closing_since = 0.0
        self._closing_timer: Timer | None = None
        self._told_leftovers = False
        self._status_deadline: Timer | None = None
        self._report_timer: Timer | None = None
        self._reported_at = 0.0
        self._ended = False
        if sock is not None:
            self._meet(sock)
        self._listener = listen(self._paths.run, "worker.sock")
        self._reactor.watch(self._listener.fileno(), READ, self._accept)
        self._reactor.on_signals([signal.SIGCHLD], self._child_died)
        self._lives = Lives(self._paths.lives, system)
        self._bell = system.open(self._paths.fifo("bell"), os.O_RDWR | os.O_NONBLOCK)
        self._outlets = Outlets(self._seat)
        self._out = stdout_class(self._seat, "out", self._paths.out_journal, self._outlets.floor(), self._out_moved)
        self._out.needed = lambda: self._outlets.needed(self._out.end)
        self._outlets.border = self._out.border
        self._stdin = stdin_class(self._seat)
        self._stdin.hung = self._unwell
        self._err: StdOut | None = None
        if not self._stdin.serves_stderr:
            self._err = stdout_class(self._seat, "err", self._paths.err_journal, 0, self._changed_a_little)
        self._reactor.watch(self._bell, READ, self._rung)
        if saved is not None and (self._lives.open_life is not None or self._unjudged(saved)):
            self._goal, self._goal_known = saved.goal, True
        if self._paths.fifos != self._paths.run:
            say("INFO", f"its pipes are in {self._paths.fifos}: the file system of {self._paths.run} cannot keep count of what was written into them")
        self._take_over(saved)

    def run(self) -> None:
        """Until the task is at rest."""
        while not self._ended:
            self._reactor.turn()
        self._leave()

    # Taking over from a killed worker ---------------------------------------------------------------------------------------------------------------

    def _unjudged(self, saved: Report | None) -> bool:
        """The last life is closed, but our predecessor was killed before it said what follows from that."""
        last = self._lives.last
        if saved is None or last is None or self._seat.spec.kind is not Kind.JOB:
            return False  # a service is started again in any case
        under_way = saved.state in (State.STARTING, State.RUNNING, State.STOPPING)
        return under_way and last.kind == END and last.incarnation == saved.incarnation

    def _unsaid(self, wish: SetGoal) -> bool:
        """As _unjudged, of a life of which nothing at all was said, not even its begin: then the wish tells whether it is the one that is meant."""
        last, said = self._lives.last, self._saved.incarnation if self._saved is not None else 0
        return last is not None and last.kind == END and last.incarnation > said and wish.ticket == self._lives.ticket

    def _done_before(self, wish: SetGoal) -> bool:
        """The run of this very wish came to its end, whoever did not hear of it; what a stop cut off is gone on with."""
        saved = self._saved
        return saved is not None and saved.ticket == wish.ticket and saved.state in (State.EXITED, State.FATAL)

    def _judge_late(self, last: Life, told: State) -> None:
        """A job that ended is not run again because nobody was left to say so."""
        self._status, self._status_known, self._told = last.status, last.status is not None, told
        self._attempt = last.attempt or self._attempt
        death = policy.Death(last.status, 0.0, self._goal, attempt=max(1, self._attempt))
        self._phase = Phase.ENDING if self._goal is Goal.ACT else Phase.CLOSING
        self._passed(policy.after_death(self._seat.spec, death, self._failures, 0))

    def _take_over(self, saved: Report | None) -> None:
        life = self._lives.open_life
        if life is None:
            if saved is not None and self._lives.last is not None and self._unjudged(saved):
                self._judge_late(self._lives.last, saved.state)
            self._outlets.ring_state()
            return
        self._attempt = life.attempt or self._attempt
        self._ticket = life.ticket or self._ticket
        record = read_program(self._paths)
        if record is not None and record.incarnation == life.incarnation and record.boot_id == self._boot:
            self._program = Program.adopt(self._system, record)
        program = self._program
        alive = program is not None and program.runs()
        self._out.watch()
        self._err_watch()
        self._stdin.recover(life.incarnation, alive)
        if program is not None and alive:
            self._reactor.watch(program.pidfd, READ, self._program_ready)
            self._say("INFO", f"took over the running program (pid {program.pid}, life {life.incarnation})")
            self._enter_adopted(program, life.out_end, was_running=life.incarnation == self._saved_running)
            self._outlets.ring_state()
            return
        started = record is not None and record.incarnation == life.incarnation
        if program is None:
            program = self._program = Program(
                self._system,
                incarnation=life.incarnation,
                pid=record.pid if record and started else 0,
                start_ticks=record.start_ticks if record and started else 0,
                pidfd=-1,
                adopted=True,
                started=self._system.monotonic() - self._seat.spec.startsecs if started else self._system.monotonic(),
            )
        self._phase = Phase.RUNNING
        self._told = State.RUNNING
        self._ready_once = life.incarnation == self._saved_running
        self._around.found_dead(program)
        self._say("INFO", f"the program of life {life.incarnation} ended while no worker watched it")
        self._find_status()

    def _enter_adopted(self, program: Program, out_from: int, *, was_running: bool) -> None:
        lived_s = self._system.monotonic() - program.started
        self._starts.append(program.started)
        self._around.adopt(program)
        self._ready_once = was_running if self._seat.spec.ready is not None else lived_s >= self._seat.spec.startsecs
        self._phase = Phase.RUNNING if self._ready_once else Phase.STARTING
        self._told = self._state()
        self._report("adopted")
        if self._ready_once:
            self._around.running(fresh=False)
        else:
            self._arm_start(lived_s)
            self._around.await_ready(out_from)

    # The life-cycle ---------------------------------------------------------------------------------------------------------------------------------

    def _feed(self, event: Event) -> None:
        """One step.  Performing its effects may feed the next one (a life that can be closed at once), so what was told last decides what is new."""
        phase, effects = step(self._phase, event)
        self._phase = phase
        for effect in effects:
            self._perform(effect, event)
        before, after = self._told, self._state()
        if before is not after:
            self._told = after
            self._transition(before, after)

    def _state(self) -> State:
        return self._rest_state if self._phase is Phase.REST else shown(self._phase)

    def _perform(self, effect: Effect, event: Event) -> None:
        match effect:
            case Effect.PREPARE:
                self._prepare()
            case Effect.SPAWN:
                self._spawn()
            case Effect.ARM_STARTSECS:
                self._arm_start(0.0)
            case Effect.STARTED:
                self._ready_once = True
                self._around.running(fresh=True)
            case Effect.PART:
                self._around.part(lambda: self._feed(Event.PARTED))
            case Effect.ARM_DELAY:
                delay_s = self._verdict.delay_s if self._verdict else 0.0
                self._arm(delay_s, Event.DUE)
            case Effect.ARM_GRACE:
                self._arm(self._seat.spec.stopwaitsecs, Event.GRACE_OVER)
            case Effect.DISARM:
                self._disarm()
            case Effect.SIGNAL:
                self._signal(self._stop_signal())
            case Effect.KILL:
                self._around.kill()
                self._signal(signal.SIGKILL)
                self._reactor.after(UNKILLABLE_S, self._not_dead)
            case Effect.CLOSE_LIFE:
                self._begin_closing()
            case Effect.REST:
                self._rest(event)

    def _transition(self, before: State, after: State) -> None:
        self._since_wall = self._system.wall_ns() / 1e9
        pid = self._program.pid if self._program and not self._program.dead else 0
        self._say.transition(before, after, self._reason or self._cause_of(before, after), pid)
        self._report(after)
        self._outlets.ring_state()

    def _cause_of(self, before: State, after: State) -> str:
        """Why a transition that has no reason happens.  Who asked is told once: the starts that follow are the worker's own."""
        if after is not State.STARTING:
            return ""
        asked, self._asked_by = self._asked_by, ""
        match before:
            case State.BACKOFF:
                return DELAY_OVER
            case State.RUNNING:
                return policy.describe(self._status)
            case _:
                return f"asked by {asked}" if asked else ""

    def _arm(self, delay_s: float, event: Event) -> None:
        self._disarm()
        self._deadline_event = event
        self._deadline = self._reactor.after(self._reactor_delay(delay_s), lambda: self._deadline_over(event))

    def _arm_start(self, lived_s: float) -> None:
        """The deadline of STARTING: startsecs, or the start time-out where a readiness is configured."""
        ready = self._seat.spec.ready
        if ready is None:
            self._arm(self._seat.spec.startsecs - lived_s, Event.LASTED)
        else:
            self._arm(ready.start_timeout_s - lived_s, Event.UNWELL)

    def _deadline_over(self, event: Event) -> None:
        ready = self._seat.spec.ready
        if event is Event.UNWELL and ready is not None:
            self._unwell(f"not ready within start_timeout_s ({ready.start_timeout_s:g} s): {self._around.waits_for}")
        else:
            self._feed(event)

    def _reactor_delay(self, delay_s: float) -> float:
        return max(0.0, delay_s) + self._system.monotonic() - self._reactor.now

    def _disarm(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    # What the care for the program says -------------------------------------------------------------------------------------------------------------

    def _ready(self) -> None:
        self._feed(Event.LASTED)

    def _unwell(self, why: str) -> None:
        """It is ended, and judged as failed; a word that comes too late changes nothing."""
        if self._phase in (Phase.STARTING, Phase.RUNNING):
            self._why_unwell = self._reason = why
            self._seat.alert("unwell", why)
            self._feed(Event.UNWELL)

    def _program_said(self, status: str) -> None:
        if self._phase in (Phase.STARTING, Phase.RUNNING):
            self._own_words = status
            self._changed_a_little()

    def _extended(self, seconds: float) -> None:
        """The program wants time for what it is doing: coming up, or going down."""
        until = self._reactor.now + seconds
        if self._deadline is not None and self._deadline_event in (Event.UNWELL, Event.GRACE_OVER) and until > self._deadline.deadline:
            self._arm(seconds, self._deadline_event)

    # Starting ---------------------------------------------------------------------------------------------------------------------------------------

    def _prepare(self) -> None:
        """Everything before the fork; the program's own part begins when that is done."""
        self._reason, self._why_unwell, self._own_words, self._ready_once = "", "", "", False
        try:
            self._around.prepare(self._next_incarnation(), self._prepared)
        except SpawnFailed as failed:
            self._not_spawned(failed)

    def _prepared(self, why_not: str) -> None:
        if why_not:
            self._not_spawned(SpawnFailed("hook", 0, why_not, transient=False))
        else:
            self._feed(Event.PREPARED)

    def _next_incarnation(self) -> int:
        return max(self._lives.incarnation + 1, self._stdin.incarnation)

    def _spawn(self) -> None:
        try:
            self._try_spawn()
        except SpawnFailed as failed:
            self._not_spawned(failed)
        except OSError as error:
            self._not_spawned(spawn.refusal("fork", error.errno or 0, self._seat.spec.command))

    def _try_spawn(self) -> None:
        spec, system, paths = self._seat.spec, self._system, self._paths
        if spec.socket and self._listening < 0:
            self._make_way()
            return
        incarnation = self._next_incarnation()
        what = self._around.plan(incarnation)
        opened: list[int] = []
        try:
            opened.append(self._stdin.open(incarnation))
            opened.append(system.open(paths.fifo("out"), os.O_RDWR))
            opened.append(opened[1] if spec.redirect_stderr else system.open(paths.fifo("err"), os.O_RDWR))
            self._out.begin_life()
            self._out_from = self._out.end
            begin = Life(BEGIN, incarnation, system.wall_ns(), self._out.end, self._err_end(), attempt=self._attempt + 1, ticket=self._ticket)
            self._lives.append(begin)
            system.fault("life:begun")
            stdin = self._listening if spec.socket else opened[0]
            child = spawn.spawn(system, paths, what, (stdin, opened[1], opened[2]), incarnation, self._boot)
        finally:
            for fd in {*opened, what.cgroup} - {-1}:
                system.close(fd)
        try:
            self._born(child, incarnation)
        except OSError:
            self._unborn(child)
            raise

    def _born(self, child: spawn.Child, incarnation: int) -> None:
        system, now = self._system, self._system.monotonic()
        self._starts = [*(t for t in self._starts if now - t < self._seat.spec.restart_period_s), now]
        program = Program(
            system, incarnation=incarnation, pid=child.pid, start_ticks=system.start_ticks(child.pid) or 0, pidfd=child.pidfd, adopted=False,
            started=now,
        )  # fmt: skip
        self._reactor.watch(child.failure, READ | HANGUP, self._spawn_result)
        self._reactor.watch(child.pidfd, READ, self._program_ready)
        self._program, self._failure_fd = program, child.failure
        self._finished = False
        self._around.born(program)
        self._out.watch()
        self._err_watch()

    def _unborn(self, child: spawn.Child) -> None:
        """Its birth could not be told to everybody: it counts as one that was never there, so it must not be."""
        self._program, self._failure_fd = None, -1
        self._reactor.forget(child.failure)
        self._reactor.forget(child.pidfd)
        spawn.abandon(self._system, child)

    def _make_way(self) -> None:
        """This worker took over a program and was forked without the socket, which only that program had.  It ends as if it were killed: the Core
        opens the socket for its successor."""
        self._say("INFO", f"{self._seat.spec.socket} is not open here any more: a new worker starts the program")
        self._ended = True

    def _spawn_result(self, _events: int) -> None:
        try:
            failed = spawn.failure(self._system, self._failure_fd, self._seat.spec.command)
        except BlockingIOError:
            return
        self._forget_failure_pipe()
        if failed is not None:
            self._prejudge(failed)  # the child is on its way out: its death closes the life
            return
        self._shortages = 0
        self._attempt += 1
        if self._phase is Phase.SPAWNING:
            self._feed(Event.EXECUTED)
            self._around.await_ready(self._out_from)
            self._report(self._state())
        if self._seat.spec.startsecs <= 0 and self._seat.spec.ready is None and self._phase is Phase.STARTING:
            self._disarm()
            self._feed(Event.LASTED)
        self._stdin.began()
        self._neighbours_changed()

    def _forget_failure_pipe(self) -> None:
        if self._failure_fd >= 0:
            self._reactor.forget(self._failure_fd)
            self._system.close(self._failure_fd)
            self._failure_fd = -1

    def _not_spawned(self, failed: SpawnFailed) -> None:
        """There is no child."""
        self._prejudge(failed)
        self._feed(Event.REFUSED)

    def _prejudge(self, failed: SpawnFailed) -> None:
        """The verdict on a life that was none; it is passed when the life is closed."""
        if failed.transient:
            self._shortages += 1
            delay_s = policy.shortage_delay_s(self._shortages)
            self._prejudged = policy.Verdict(Event.LATER, delay_s, self._failures, failed.message)
            self._seat.alert("shortage", f"{failed.message}; tried again in {delay_s:g} s, not counted as a failure of the task")
        else:
            self._prejudged = policy.after_refusal(self._seat.spec, failed.message, self._failures, self._goal)

    # Ending -----------------------------------------------------------------------------------------------------------------------------------------

    def _stop_signal(self) -> int:
        if self._done_with:
            return signal.SIGPIPE
        return int(signal.Signals["SIG" + self._seat.spec.stopsignal.removeprefix("SIG")])

    def _signal(self, number: int) -> None:
        if self._program is not None:
            self._program.signal(number, self._cookie, whole=self._seat.spec.stopasgroup or number in (signal.SIGKILL, signal.SIGPIPE))

    def _not_dead(self) -> None:
        """SIGKILL took no effect yet; it does when the kernel lets the program go, and nobody waits for that but this task."""
        if self._phase is Phase.KILLING and self._program is not None and "kill" not in self._seat.health:
            why = "the kernel holds it: a disk or a network file system that hangs, or a frozen control group"
            sentence = f"unkillable: pid {self._program.pid} lives on after SIGKILL ({why})"
            self._seat.health["kill"] = sentence
            self._seat.alert("unkillable", sentence)
            self._report(self._state)

    def _child_died(self, _number: int) -> None:
        """SIGCHLD: orphans of the tree are ours to reap; the program's own status is kept for it."""
        reaped, _left = tree.reap_all(self._system)
        self._reaped(reaped)
        if self._closing_timer is not None:
            self._close_life()

    def _reaped(self, statuses: dict[int, int]) -> None:
        program = self._program
        if program is not None and program.pid in statuses and not program.adopted:
            program.status, program.reaped = statuses[program.pid], True
        self._around.reaped(statuses)

    def _program_ready(self, _events: int) -> None:
        """The pidfd: the program is dead."""
        program = self._program
        if program is None or program.dead:
            return
        if not program.adopted and not program.reap():
            return
        self._reactor.forget(program.pidfd)
        self._find_status()

    def _find_status(self) -> None:
        """Ours is known; an adopted one's comes from the kernel, from the Core, or not at all."""
        program = self._program
        assert program is not None
        program.dead = True
        if program.adopted and not program.reaped and program.pid and not self._ask_kernel():
            self._tell(AskReaped(pid=program.pid, start_ticks=program.start_ticks))
            self._status_deadline = self._reactor.after(STATUS_WAIT_S, self._status_unknown)
            if program.pidfd >= 0:  # its parent has not reaped it yet: the kernel knows, and hangs up, when that is done
                self._reactor.watch(program.pidfd, HANGUP, lambda _events: self._reaped_by_its_parent())
            return
        self._dead()

    def _ask_kernel(self) -> bool:
        """Exit status of a dead program that is not our child; False when the kernel does not know it yet, or never will."""
        program = self._program
        if program is None or program.pidfd < 0:
            return False
        status = self._system.pidfd_exit_status(program.pidfd)
        if status is None:
            return False
        program.status, program.reaped = status, True
        return True

    def _reaped_by_its_parent(self) -> None:
        program = self._program
        assert program is not None
        self._reactor.forget(program.pidfd)
        if not program.reaped and self._ask_kernel():
            self._status_known_now()

    def _status_unknown(self) -> None:
        program = self._program
        if program is not None and not program.reaped:
            self._ask_kernel()
            program.reaped = True
            self._status_known_now()

    def _status_known_now(self) -> None:
        if self._status_deadline is not None:
            self._status_deadline.cancel()
            self._status_deadline = None
        if self._program is not None:
            self._reactor.forget(self._program.pidfd)
        self._dead()

    def _told_status(self, told: Reaped) -> None:
        program = self._program
        if program is None or (program.pid, program.start_ticks) != (told.pid, told.start_ticks) or program.reaped:
            return
        if told.status is None:
            return  # it may be reaped at this moment: the deadline decides
        program.status, program.reaped = told.status, True
        if program.dead:
            self._status_known_now()

    def _dead(self) -> None:
        program = self._program
        assert program is not None
        self._status, self._status_known = program.status, program.status is not None
        if self._failure_fd >= 0:
            self._spawn_result(0)
        self._feed(Event.DIED)

    def _begin_closing(self) -> None:
        self._closing_since = self._system.monotonic()
        self._told_leftovers = False
        self._taken = (0, -1)
        self._seat.health.pop("kill", None)
        self._around.dead()
        self._closing_timer = self._reactor.after(0.0, self._close_life)
        self._close_life()

    def _close_life(self) -> None:
        """One try to close the life; on `again` a timer or a child's death brings us back."""
        if self._closing_timer is None:
            return
        self._closing_timer.cancel()
        try:
            again_s = self._closing_step()
        except OSError as error:
            self._seat.ill("closing", f"the end of a life cannot be recorded: {error.strerror}; tried again twice a second")
            again_s = RETRY_S
        if again_s is not None:
            self._closing_timer = self._reactor.after(again_s, self._close_life)
            return
        self._seat.well("closing")
        self._closing_timer = None
        program, ran = self._program, self._program is not None and self._program.pid > 0 and self._prejudged is None
        self._around.exited(program.status if program else None, ran=ran, hurried=self._goal is Goal.TRM, then=self._closed)

    def _closing_step(self) -> float | None:
        """None: closed.  Else seconds until the next try."""
        program = self._program
        waited_s = self._system.monotonic() - self._closing_since
        left = self._sweep(program)
        if left and waited_s < TREE_WAIT_S:
            return 0.05
        if left:
            self._seat.alert("unkillable", f"{left} processes of the tree do not die; going on without them")
        drained = self._drain()
        if not drained and waited_s < self._seat.spec.drain_s + (TREE_WAIT_S if program is None else 0):
            return 0.05
        if not drained:
            self._say("WARN", "a process holds the output of the ended program open: what it writes from now on belongs to the next life")
        life = self._lives.open_life
        incarnation = life.incarnation if life else self._stdin.incarnation
        self._taken = max(self._taken, self._stdin.taken(incarnation))
        self._stdin.died(program.status if program is not None else None, self._why_unwell)
        if not self._stdin.close(incarnation, self._own_death()):
            return 0.002
        if life is not None:
            status = program.status if program is not None else None
            self._out.end_life(life.out_end, deliver=status is not None and os.WIFEXITED(status))
            self._system.fault("life:marked")
            job = self._seat.spec.kind is Kind.JOB
            self._lives.append(
                Life(
                    END, life.incarnation, self._system.wall_ns(), self._out.end, self._err_end(), program.pid if program else 0, status, not drained,
                    attempt=self._attempt, in_bytes=self._taken[0], events_in=self._taken[1],
                    events_out=self._out.records_since(life.out_end) if job else -1,
                )
            )  # fmt: skip
            self._system.fault("life:ended")
        return None

    def _own_death(self) -> bool:
        asked = self._goal is not Goal.ACT or self._wanted_again or self._done_with
        return not asked and self._program is not None and self._program.pid > 0

    def _sweep(self, program: Program | None) -> int:
        """Kill what is left of the tree, or, without a program, of what ran before it; how many are still there."""
        self._around.kill()
        if program is not None and program.adopted:
            left = program.kill_leftovers(self._cookie) if program.pid else 0
        else:
            reaped, children = tree.reap_all(self._system)
            self._reaped(reaped)
            left = (program.kill_leftovers(self._cookie) if program is not None else tree.kill_below(self._system)) if children else 0
        behind = left - len(self._around.errand_pids)
        if behind > 0 and not self._told_leftovers:
            self._told_leftovers = True
            self._say("INFO", f"ended {behind} process{'es' if behind > 1 else ''} that the program had left behind")
        return left

    def _drain(self) -> bool:
        drained = [self._out.drain(), self._stdin.drain()]
        if self._err is not None:
            drained.append(self._err.drain())
        return all(drained)

    def _closed(self) -> None:
        if self._around.has_exit_hook:
            self._sweep(None)
        program, self._program = self._program, None
        verdict = self._prejudged or self._judge(program)
        if program is not None:
            self._reactor.forget(program.pidfd)
            program.close()
        self._prejudged = None
        if self._goal is Goal.TRM and verdict.event is not Event.ENOUGH:
            verdict = policy.Verdict(Event.ENOUGH, 0.0, 0, "stopped")
        elif self._goal is Goal.ACT and self._wanted_again:
            verdict = policy.Verdict(Event.AGAIN, 0.0, 0, "started again as asked")
        elif self._goal is Goal.ACT and self._stdin.poisoned:
            verdict = policy.Verdict(Event.HOPELESS, 0.0, verdict.failures, self._stdin.poisoned)
        self._passed(verdict)

    def _passed(self, verdict: policy.Verdict) -> None:
        """A life is closed, and this follows."""
        self._failures, self._reason, self._finished, self._delays = verdict.failures, verdict.reason, verdict.finished, verdict.delays
        self._verdict = verdict
        self._wanted_again = self._done_with = False
        self._restarts += verdict.event in (Event.AGAIN, Event.LATER)
        self._feed(verdict.event)

    def _judge(self, program: Program | None) -> policy.Verdict:
        now = self._system.monotonic()
        spec = self._seat.spec
        status = None if self._stdin.false_end else (program.status if program else None)
        lived_s = now - program.started if program else 0.0
        recent = sum(1 for started in self._starts if now - started < spec.restart_period_s)
        why, oom = self._why_unwell, self._around.oom_killed()
        death = policy.Death(status, lived_s, self._goal, self._done_with, why, self._ready_once, oom, max(1, self._attempt))
        return policy.after_death(spec, death, self._failures, recent, delays=self._delays)

    def _rest(self, event: Event) -> None:
        if self._goal is Goal.TRM or event in (Event.TRM, Event.HURRY):
            self._rest_state = State.STOPPED
        else:
            self._rest_state = RESTING.get(event, State.EXITED)
        self._ended = True

    # What the task's surroundings say ---------------------------------------------------------------------------------------------------------------

    def _out_moved(self) -> None:
        if self._outlets.moved(self._out.end):
            self._out.pause("lag")
        self._around.wrote()
        self._changed_a_little()

    def _err_watch(self) -> None:
        if self._err is not None and not self._seat.spec.redirect_stderr:
            self._err.watch()

    def _err_end(self) -> int:
        return self._err.end if self._err is not None else self._stdin.err_end()

    def _rung(self, _events: int) -> None:
        try:
            rings = self._system.read(self._bell, 4096)
        except BlockingIOError:
            return
        if STATE in rings or len(rings) == 4096:
            self._neighbours_changed()
        self._look_at_lag()
        self._stdin.pump()

    def _look_at_lag(self) -> None:
        if self._outlets.blocked_by and not self._outlets.holds_back(self._out.end):
            self._out.resume("lag")

    def _neighbours_changed(self) -> None:
        self._outlets.neighbours_changed()
        self._look_at_lag()
        self._stdin.neighbours_changed()
        if self._seat.spec.kind.value == "job" and self._outlets.all_finished() and not self._done_with:
            self._done_with = True
            self._feed(Event.DONE_WITH)

    # The Core ---------------------------------------------------------------------------------------------------------------------------------------

    def _accept(self, _events: int) -> None:
        try:
            sock, _address = self._listener.accept()
        except OSError:
            return
        self._meet(sock)

    def _meet(self, sock: socket.socket) -> None:
        """A Core connected; the newest is the one that is told things."""
        channel: Channel
        channel = Channel(sock, self._reactor, ToWorker, lambda message: self._heard(channel, message), lambda _reason: self._parted(channel))
        uid = channel.peer()[1]
        if uid not in (0, os.geteuid()):
            channel.close()
            return
        self._channels.append(channel)

    def _parted(self, channel: Channel) -> None:
        self._channels.remove(channel)
        if channel is self._core:
            self._core = None

    def _heard(self, channel: Channel, message: object) -> None:
        if channel is not self._core:
            self._core = channel
            self._stdin.core_came()
        match message:
            case Hello():
                if message.wants_socket and self._listening >= 0:
                    channel.send(SocketHeld(socket=self._seat.spec.socket), self._listening)
                channel.send(self._make_report())
                while self._unsent:
                    channel.send(self._unsent.popleft())
            case Ping():
                channel.send(Pong(number=message.number))
            case SetGoal():
                self._wanted(message)
            case Reaped():
                self._told_status(message)
            case Held():
                self._stdin.input_held(message.incarnation, message.held, message.since_before)
            case PutEvent():
                channel.send(self._put(message))
            case Rewire():
                self._rewired(message.wiring)
            case SendSignal():
                self._signal_program(message.number)
            case ClearLogs():
                channel.send(LogsCleared(order=message.order, error=self._clear_logs()))

    def _wanted(self, wish: SetGoal) -> None:
        repeated = self._goal_known and wish.goal is self._goal
        self._goal, self._goal_known = wish.goal, True
        if wish.goal is Goal.ACT:
            self._asked_by = "" if repeated else wish.asked_by
            if not repeated or self._phase is Phase.IDLE:
                self._act(wish)
            return
        self._reason = f"asked by {wish.asked_by}" if wish.asked_by else ""
        self._feed(Event.TRM)
        self._around.hurry(self._seat.spec.stopwaitsecs)
        if wish.asked_by == "now":
            self._feed(Event.HURRY)
            self._around.hurry(0.0)

    def _act(self, wish: SetGoal) -> None:
        if self._phase is Phase.IDLE and self._seat.spec.kind is Kind.JOB and wish.ticket:
            if self._unsaid(wish) and self._lives.last is not None:
                self._ticket, self._cause = wish.ticket, wish.asked_by
                self._judge_late(self._lives.last, State.STARTING)
                return
            if self._done_before(wish) and self._saved is not None:
                self._say_again(self._saved)
                return
        self._wanted_again = self._phase in (Phase.PARTING, Phase.STOPPING, Phase.KILLING, Phase.CLOSING)
        if self._phase is Phase.IDLE or self._wanted_again:
            self._begin_run(wish)
        self._feed(Event.ACT)

    def _say_again(self, saved: Report) -> None:
        """The end of a run that is over, for whoever asks for the run once more."""
        failed = saved.state is State.FATAL
        self._told, self._phase, self._since_wall, self._attempt = saved.state, Phase.ENDING, saved.since_wall, saved.attempt
        self._passed(policy.Verdict(Event.HOPELESS if failed else Event.ENOUGH, 0.0, 0, saved.reason, finished=failed or saved.exit_known))
        self._report(saved.state)

    def _begin_run(self, wish: SetGoal) -> None:
        """A new wish begins a run; one that a worker is told who stands in for another goes on with the run of that one."""
        goes_on = self._phase is Phase.IDLE and self._attempt > 0 and wish.ticket == self._ticket
        if not goes_on:
            self._attempt, self._ticket, self._cause = 0, wish.ticket, wish.asked_by

    def _put(self, wish: PutEvent) -> PutDone:
        try:
            offset = queue.put(self._paths, wish.put_id, wish.data, self._system, framing_of(self._seat.spec), lock=False)
        except (OSError, EfError) as error:
            return PutDone(put_id=wish.put_id, error=str(error))
        self._seat.ring(self._paths.folder)
        return PutDone(put_id=wish.put_id, offset=offset)

    def _signal_program(self, number: int) -> None:
        """A signal of an operator's: it decides nothing here, what comes of it is seen."""
        program = self._program
        if program is not None and not program.dead and program.pidfd >= 0:
            self._system.pidfd_signal(program.pidfd, number)
            self._say("INFO", f"signal {number} sent to the program (pid {program.pid}), as asked")

    def _clear_logs(self) -> str:
        """Begin the logs anew; empty, or why not.  Messages of an event task on stderr are part of its delivery and stay."""
        try:
            self._out.journal.clear(self._outlets.needed(self._out.end))
            if self._err is not None:
                self._err.journal.clear(1 << 62)
        except (OSError, EfError) as error:
            return str(error)
        self._changed_a_little()
        return ""

    def _rewired(self, wiring: Wiring) -> None:
        self._seat.wiring = wiring
        self._say.configure(wiring.log_level, wiring.log_format)
        self._seat.forget_bells()
        self._outlets.rewired()
        self._stdin.rewired()
        self._out.rewired()
        if self._err is not None:
            self._err.rewired()
        self._look_at_lag()

    def _tell(self, message: object) -> None:
        if self._core is not None:
            self._core.send(message)
        elif self._channels:
            self._channels[-1].send(message)
        elif isinstance(message, Alert):
            self._unsent.append(msgspec.structs.replace(message, wall=self._system.wall_ns() / 1e9))

    # Reports ----------------------------------------------------------------------------------------------------------------------------------------

    def _changed_a_little(self) -> None:
        """Figures changed: tell within REPORT_GAP_S, not at each piece."""
        if self._report_timer is None:
            self._report_timer = self._reactor.after(REPORT_GAP_S, self._report_figures)

    def _report_figures(self) -> None:
        self._report_timer = None
        if self._core is not None:
            self._core.send(self._make_report())

    def _report(self, _why: object) -> None:
        report = self._make_report()
        try:
            write_state(self._system, self._paths, report)
        except OSError as error:
            self._seat.health["state"] = f"state.json cannot be written: {error.strerror}"
        else:
            self._seat.health.pop("state", None)
        self._tell(report)

    def _make_report(self) -> Report:
        program, figures = self._program, self._stdin.figures()
        resting = self._phase is Phase.REST
        return messages.Report(
            state=self._state(),
            goal=self._goal,
            incarnation=self._lives.incarnation,
            pid=program.pid if program and not program.dead else 0,
            start_ticks=program.start_ticks if program and not program.dead else 0,
            since_wall=self._since_wall,
            exit_status=self._status,
            exit_known=self._status_known,
            finished=self._finished and resting,
            reason=self._reason or self._of_program(),
            final=resting,
            restarts=self._restarts,
            failures=self._failures,
            blocked_by=[] if resting else self._outlets.blocked_by,
            worker_pid=os.getpid(),
            out_bytes=self._out.end,
            err_bytes=self._err_end(),
            dead_letters=figures.dead_letters,
            delivered=figures.delivered,
            acknowledged=figures.acknowledged,
            outstanding=figures.outstanding,
            lag_bytes=figures.lag_bytes,
            dropped_bytes=figures.dropped_bytes,
            health="; ".join(self._seat.health.values()),
            blocked_since=0.0 if resting else self._outlets.blocked_since,
            ticket=self._ticket,
            cause=self._cause,
            attempt=self._attempt,
        )

    def _of_program(self) -> str:
        """What a living program says of itself, or waits for."""
        if self._phase is Phase.STARTING:
            return self._own_words or self._around.waits_for
        return self._own_words if self._phase is Phase.RUNNING else ""

    def _leave(self) -> None:
        """The task is at rest: close everything in order; the lock goes last."""
        if self._report_timer is not None:
            self._report_timer.cancel()
        self._stdin.shut()
        self._out.rest()
        if self._err is not None:
            self._err.rest()
        self._outlets.close()
        self._seat.forget_bells()
        self._lives.close()
        for channel in list(self._channels):
            channel.flush()
            channel.close()
        self._listener.close()
        if self._listening >= 0:
            self._system.close(self._listening)
        self._reactor.close()
        self._system.close(self._lock_fd)
