"""The worker processes behind the tasks: forked, found again, listened to, buried.

A worker is reached by a Link: its pidfd, which tells of its death, and a channel.  The life of a link:

    fork or connect -> reports come -> final report -> it dies -> buried: the task rests
                                    \\-> it dies without one -> buried: a new worker (DESIGN 2.5), at once, later when it keeps dying
    it does not answer (hung) -> SIGKILL through the pidfd -> it dies

A burial waits for both signs of the end, the pidfd and the channel's end-of-file, since the last word may still be in the socket when the pidfd is
seen first. A forked child that has not executed its program yet holds a copy of the socket; so the second sign is waited for no longer than
LAST_WORDS_S.

Forks are bounded per turn of the loop.  What the machine refuses (no processes, descriptors, memory, space) is tried again for ever and never counted
against a task (DESIGN 2.9); what the task's type refuses ends in FATAL.

This module must never decide what a task is for: it reports to its owner, `Core`, through the callbacks.
"""

from __future__ import annotations

import gc
import os
import socket
from collections import deque
from collections.abc import Callable

import msgspec

from efsupervisor.channel import Channel, connect
from efsupervisor.core.descriptors import Descriptors, signals_held
from efsupervisor.core.fifos import Fifos
from efsupervisor.core.peer import verified_pidfd, worker_behind
from efsupervisor.core.ports import TypeTable
from efsupervisor.core.sockets import Sockets
from efsupervisor.core.tasks import QUICK_S, Link, Next, Task, after_death, confirms, delay_s
from efsupervisor.core.turnstile import Turnstile
from efsupervisor.errors import EfError, JournalError
from efsupervisor.log import Log
from efsupervisor.messages import (
    Alert,
    AskReaped,
    FromWorker,
    Held,
    Hello,
    HoldInput,
    LogsCleared,
    Pong,
    PutDone,
    Reaped,
    ReleaseInput,
    Report,
    SetGoal,
    SocketHeld,
)
from efsupervisor.reactor import READ, Reactor
from efsupervisor.states import Goal, State
from efsupervisor.system import Real
from efsupervisor.task.record import program_is_alive, read_program, read_state

LAST_WORDS_S = 0.1
KNOCK_S = 0.2
BURST = 16
"""Forks without a look at anything else; some twenty milliseconds."""


class Workers:
    """All links.  on_report(task): its report is new.  on_rest(task): no worker is left and none is coming.  on_alert(task, alert): its worker has
    something to say.  status_of: the reaper's memory.  leave: in a forked child, let go of what the Core has beside descriptors."""

    def __init__(
        self,
        reactor: Reactor,
        system: Real,
        log: Log,
        types: TypeTable,
        descriptors: Descriptors,
        fifos: Fifos,
        sockets: Sockets,
        *,
        version: str,
        deadline_s: float,
        on_report: Callable[[Task], None],
        on_rest: Callable[[Task], None],
        on_alert: Callable[[Task, Alert], None],
        leave: Callable[[], None],
        status_of: Callable[[int, int], int | None],
    ) -> None:
        self._reactor = reactor
        self._system = system
        self._log = log
        self._types = types
        self._descriptors = descriptors
        self._fifos = fifos
        self._sockets = sockets
        self._hello = Hello(core_pid=system.getpid(), version=version)
        self.deadline_s = deadline_s
        self._on_report = on_report
        self._on_rest = on_rest
        self._on_alert = on_alert
        self._leave_more = leave
        self._status_of = status_of
        self._queue: deque[Task] = deque()
        self._turnstile = Turnstile(reactor, system, self._fork_some, descriptors)

    # Forking --------------------------------------------------------------------------------------------------------------------------------------

    def fork_soon(self, task: Task, delay_s: float = 0.0) -> None:
        """Give the task a worker, in its turn; harmless when one is coming."""
        if task.queued:
            return
        if task.retry is not None:
            task.retry.cancel()
            task.retry = None
        if delay_s:
            task.retry = self._reactor.after(delay_s, lambda: self._due(task))
            return
        task.queued = True
        self._queue.append(task)
        self._turnstile.wake()

    def give_up(self, task: Task) -> None:
        """No worker is wanted any more; one that lives is not touched."""
        task.queued = False
        if task.retry is not None:
            task.retry.cancel()
            task.retry = None

    def _due(self, task: Task) -> None:
        task.retry = None
        self.fork_soon(task)

    def _fork_some(self) -> bool:
        """One burst: prepare, fork, and only then talk.

        What the Core writes to its memory between two forks is copied once for each child; within a burst the children share it with each other.
        """
        burst = [task for task in (self._queue.popleft() for _ in range(min(BURST, len(self._queue)))) if task.queued and task.link is None]
        for task in burst:
            task.queued = False
        ready = [task for task in burst if self._prepared(task)]
        with signals_held():
            forked = [(task, *worker) for task in ready if (worker := self._forked(task)) is not None]
        for task, pid, sock in forked:
            self._welcome(task, pid, sock)
        return bool(self._queue)

    def _prepared(self, task: Task) -> bool:
        """The task's folders and FIFOs are there and held; False when it was refused, found running or put off."""
        if task.troubles and self.find(task):
            return False  # the last try ended after the fork
        try:
            self._types(task.spec.type).helper(self._system).prepare(task.wiring)
            self._fifos.hold_outputs(task)
            if task.spec.socket and self._sockets.comes(task):
                self.fork_soon(task, KNOCK_S)
                return False
            if task.spec.socket:
                self._sockets.hold(task, program_is_alive=self.program_is_alive(task))
        except EfError as error:
            self._refused(task, error.message)
        except OSError as error:
            self._short(task, error)
        else:
            return True
        return False

    def _forked(self, task: Task) -> tuple[int, socket.socket] | None:
        core = self._system.getpid()
        try:
            handle = self._types(task.spec.type).task(task.wiring, self._system)
            handle.listening = self._sockets.held(task)
            forked = handle.act(self.leave)
        except EfError as error:
            self._refused(task, error.message)
        except OSError as error:
            self._short(task, error)
        else:
            return forked.pid, forked.sock
        finally:
            if self._system.getpid() != core:
                os._exit(70)  # the child must never come back into the Core's loop, not even with an exception
        return None

    def _welcome(self, task: Task, pid: int, sock: socket.socket) -> None:
        """Take the line to a new worker and say what is wanted."""
        try:
            sock = self._descriptors.lasting_socket(sock)
            pidfd = self._descriptors.lasting(os.pidfd_open(pid))
        except OSError as error:
            sock.close()  # the worker sees the end of its Core's line and goes on; it is found again through its own socket
            self._short(task, error)
            return
        if task.troubles:
            self._log.info(f"task {task.name}: its worker could be started again after {task.troubles} tries")
            task.troubles = 0
        link = self._attach(task, Link(pid=pid, pidfd=pidfd, born=self._reactor.now), sock)
        self.tell_goal(task, link)

    def leave(self) -> None:
        """In the child: the Core's descriptors, signals and limits are not the worker's, and its objects are never looked at by the collector
        again."""
        self._reactor.close()
        self._log.close()
        self._leave_more()
        self._descriptors.abandon()
        gc.freeze()

    def _refused(self, task: Task, sentence: str) -> None:
        self._log.error(f"task {task.name}: not started: {sentence}")
        task.report = msgspec.structs.replace(
            task.report, state=State.FATAL, goal=task.goal, reason=sentence, since_wall=self._system.wall_ns() / 1e9, final=True, pid=0, start_ticks=0
        )
        task.unconfirmed = task.fresh = False
        self._on_report(task)
        self._on_rest(task)

    def _short(self, task: Task, error: OSError) -> None:
        """The machine is short of something: say it once, try for ever."""
        task.troubles += 1
        if task.troubles == 1:
            self._log.warning(f"task {task.name}: no worker could be started: {error}; tried again until it can")
        task.report = msgspec.structs.replace(task.report, reason=f"waits for a worker: {error.strerror or error}")
        self.fork_soon(task, delay_s(task.troubles + 1))
        self._on_report(task)

    # Finding --------------------------------------------------------------------------------------------------------------------------------------

    def find(self, task: Task) -> bool:
        """Connect to the worker that an earlier Core forked; False when none listens.  One that listens is adopted, or killed and replaced when it is
        hung."""
        try:
            sock = connect(task.paths.worker_sock)
        except (FileNotFoundError, ConnectionRefusedError, NotADirectoryError):
            return False
        except BlockingIOError:
            self._knock_later(task, self._reactor.now + self.deadline_s)
            return True
        except OSError as error:
            self._log.error(f"task {task.name}: its worker could not be looked for: {error}")
            return False
        return self._adopt(task, sock)

    def _adopt(self, task: Task, sock: socket.socket) -> bool:
        """Make a Link of a connection; False when nobody of ours is behind it."""
        try:
            pid, pidfd = worker_behind(sock)
            pidfd = self._descriptors.lasting(pidfd)
        except (ProcessLookupError, PermissionError):
            sock.close()
            return False
        except OSError as error:
            sock.close()
            self._log.error(f"task {task.name}: its worker could not be adopted: {error}; tried again")
            self._knock_later(task, self._reactor.now + self.deadline_s)
            return True
        try:
            sock = self._descriptors.lasting_socket(sock)
        except OSError:
            self._system.close(pidfd)
            self._knock_later(task, self._reactor.now + self.deadline_s)
            return True
        link = Link(pid=pid, pidfd=pidfd, born=self._reactor.now, adopted=True)
        self._attach(task, link, sock)
        self._greet(task, link)
        return True

    def _knock_later(self, task: Task, until: float) -> None:
        """Its backlog is full: a worker that does not accept.  Knock again until the deadline, then kill whom its state names."""

        def knock() -> None:
            task.retry = None
            try:
                sock = connect(task.paths.worker_sock)
            except BlockingIOError:
                if self._reactor.now < until:
                    self._knock_later(task, until)
                else:
                    self._kill_unreachable(task)
                return
            except OSError:
                self.fork_soon(task)
                return
            if not self._adopt(task, sock):
                self.fork_soon(task)

        task.retry = self._reactor.after(KNOCK_S, knock)

    def _kill_unreachable(self, task: Task) -> None:
        saved = self.saved(task)
        try:
            pidfd = self._descriptors.lasting(verified_pidfd(saved.worker_pid if saved else 0))
        except OSError as error:
            self._log.error(f"task {task.name}: a worker listens but does not accept, and it is not known which process it is ({error}); tried again")
            self._knock_later(task, self._reactor.now + self.deadline_s)
            return
        link = Link(pid=saved.worker_pid if saved else 0, pidfd=pidfd, born=self._reactor.now, adopted=True, closed=True)
        task.link = link
        self._reactor.watch(pidfd, READ, lambda _events: self._died(task, link))
        self.kill(task, link, "does not accept a connection")

    def _attach(self, task: Task, link: Link, sock: socket.socket) -> Link:
        task.link = link
        link.channel = Channel(
            sock,
            self._reactor,
            FromWorker,
            lambda message: self._heard(task, link, message),
            lambda reason: self._closed(task, link, reason),
            takes_fds=bool(task.spec.socket),
        )
        self._reactor.watch(link.pidfd, READ, lambda _events: self._died(task, link))
        return link

    def _greet(self, task: Task, link: Link) -> None:
        if link.channel is not None:
            link.reported = False
            channel = link.channel
            if task.unconfirmed:
                self.tell_goal(task, link)
            wants_socket = bool(task.spec.socket) and self._sockets.held(task) < 0
            channel.send(msgspec.structs.replace(self._hello, wants_socket=wants_socket))
            link.timer = self._reactor.after(self.deadline_s, lambda: self._ungreeted(task, link))

    def _ungreeted(self, task: Task, link: Link) -> None:
        if task.link is link and not link.reported and not link.dead:
            self.kill(task, link, f"did not answer within {self.deadline_s:g} s")

    # Speaking -------------------------------------------------------------------------------------------------------------------------------------

    def tell_goal(self, task: Task, link: Link | None = None, asked_by: str | None = None) -> None:
        """Say what is wanted, and ask for a report that shows it was heard."""
        link = link or task.link
        channel = link.channel if link is not None else None
        if channel is not None:  # the first send may find the worker dead and end the link; a closed channel swallows the second
            channel.send(SetGoal(goal=task.goal, asked_by=task.asked_by if asked_by is None else asked_by, ticket=task.ticket))
            channel.send(self._hello)

    def kill(self, task: Task, link: Link, why: str) -> None:
        """SIGKILL for a worker that cannot be talked to; its program goes on and a successor takes it over."""
        if not (link.dead or link.killed):
            link.killed = True
            self._log.warning(f"task {task.name}: its worker (pid {link.pid}) {why}; it is killed and replaced")
            self._system.pidfd_signal(link.pidfd, 9)

    # Listening ------------------------------------------------------------------------------------------------------------------------------------

    def _heard(self, task: Task, link: Link, message: object) -> None:
        channel = link.channel
        if task.link is not link or channel is None:
            return
        match message:  # what is done for it may find the worker dead and end the link; a closed channel swallows the answer
            case Report():
                self._reported(task, link, message)
            case Pong():
                link.answered = max(link.answered, message.number)
            case AskReaped():
                status = self._status_of(message.pid, message.start_ticks)
                channel.send(Reaped(pid=message.pid, start_ticks=message.start_ticks, status=status))
            case HoldInput():
                held, before = self._fifos.hold_input(task, message.incarnation, message.path)
                channel.send(Held(incarnation=message.incarnation, held=held, since_before=before))
            case ReleaseInput():
                if task.held is not None and task.held.incarnation == message.incarnation:
                    self._fifos.release_input(task)
                channel.send(Held(incarnation=message.incarnation, held=False))
            case PutDone():
                put = task.puts.pop(message.put_id, None)
                if put is not None:
                    put.reply(message)
            case Alert():
                self._on_alert(task, message)
            case SocketHeld():
                self._sockets.take(task, message.socket, channel.taken_fd())
            case LogsCleared():
                cleared = task.orders.pop(message.order, None)
                if cleared is not None:
                    cleared(message.error)

    def _reported(self, task: Task, link: Link, report: Report) -> None:
        link.reported = True
        if report.final:
            link.final = report
            link.timer = self._reactor.after(self.deadline_s, lambda: self._overstayed(task, link))
        if confirms(task.goal, report):
            task.unconfirmed = task.fresh = False
        if task.unconfirmed and report.state.at_rest and not report.final and not link.adopted:
            return  # it repeats what the last worker left; what is asked of it is still in its socket
        task.report = report
        self._on_report(task)

    def _overstayed(self, task: Task, link: Link) -> None:
        if task.link is link and not link.dead:
            self.kill(task, link, "did not end after its last word")

    def _closed(self, task: Task, link: Link, reason: str) -> None:
        link.closed, link.channel = True, None
        if link.dead:
            self._bury(task, link)
        elif not link.killed and link.final is None:
            link.timer = self._reactor.after(LAST_WORDS_S, lambda: self._out_of_touch(task, link, reason))

    def _out_of_touch(self, task: Task, link: Link, reason: str) -> None:
        """The line is cut but the worker lives: connect anew, or replace it."""
        if task.link is not link or link.dead:
            return
        try:
            sock = self._descriptors.lasting_socket(connect(task.paths.worker_sock))
        except OSError:
            self.kill(task, link, f"cannot be reached ({reason})")
            return
        link.closed = False
        self._reactor.forget(link.pidfd)
        self._attach(task, link, sock)
        self._greet(task, link)

    # Burying --------------------------------------------------------------------------------------------------------------------------------------

    def _died(self, task: Task, link: Link) -> None:
        link.dead = True
        self._reactor.forget(link.pidfd)
        self._system.close(link.pidfd)
        link.pidfd = -1
        if link.closed or link.channel is None:
            self._bury(task, link)
        else:
            link.timer = self._reactor.after(LAST_WORDS_S, lambda: self._bury(task, link))

    def _bury(self, task: Task, link: Link) -> None:
        if task.link is not link:
            return
        task.link = None
        if link.timer is not None:
            link.timer.cancel()
        if link.channel is not None:
            link.channel.close()
            link.channel = None
        final = link.final
        alive = self.program_is_alive(task)
        saved = None if final is not None else self.saved(task)
        known = task.report.incarnation
        if after_death(task.goal, unconfirmed=task.unconfirmed, final=final, saved=saved, program_is_alive=alive, incarnation=known) is Next.REST:
            self._rested(task, saved)
        else:
            self._replace(task, link, expected=final is not None)

    def _rested(self, task: Task, saved: Report | None) -> None:
        task.quick_deaths = 0
        task.unconfirmed = task.fresh = False
        if saved is not None:
            task.report = saved
            self._on_report(task)
        self._on_rest(task)

    def _replace(self, task: Task, link: Link, *, expected: bool) -> None:
        quick = self._reactor.now - link.born < QUICK_S and not expected
        task.quick_deaths = task.quick_deaths + 1 if quick else 0
        if not expected:
            self._log.warning(f"task {task.name}: its worker (pid {link.pid}) died; a new one takes over")
        self.fork_soon(task, delay_s(task.quick_deaths))

    def program_is_alive(self, task: Task) -> bool:
        """Whether the recorded program runs; a record that cannot be read counts as alive, so that a worker looks."""
        try:
            return program_is_alive(self._system, read_program(task.paths))
        except (JournalError, OSError) as error:
            self._log.warning(f"task {task.name}: {error}")
            return True

    def saved(self, task: Task) -> Report | None:
        """state.json; None also when it cannot be read now."""
        try:
            return read_state(task.paths)
        except OSError as error:
            self._log.warning(f"task {task.name}: {error}")
            return None

    def hurry(self, task: Task) -> None:
        """A second wish to stop: no more grace."""
        if task.goal is Goal.TRM:
            self.tell_goal(task, asked_by="now")
