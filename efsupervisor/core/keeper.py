"""Keeps one helper process alive: forks it, listens for its signs of life, ends and replaces it.  What follows what is in `keeping`; this does it.

Used by the Core for the service host and by the host for each sibling.  A helper is (pid, pidfd) and a line; death is seen through the pidfd, and the
helper counts as dead only then.  Its last words may still be in the line, so the line is read to its end before the death is told.

A verdict needs two looks: when the deadline has passed the loop turns a little more, so that signs that lie unread in the line are heard before
anybody is judged.  The loop itself moves deadlines by the time in which it was stopped.

This module must never know what its helper does, nor block: forking is the one thing that takes time.
"""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Callable
from typing import NamedTuple

from efsupervisor.channel import Channel
from efsupervisor.core.keeping import Effect, Input, Phase, Rhythm, is_quick, step
from efsupervisor.messages import FromService, Health, Leave, Pong, ServiceRow
from efsupervisor.reactor import READ, Reactor, Timer
from efsupervisor.system import Real
from efsupervisor.task.policy import describe

CUT_S = 0.5
"""How long a helper whose line is cut may still live before it is ended."""

MAX_TEXT = 1000


class Born(NamedTuple):
    """A helper that was forked.  pidfd and sock belong to the keeper from now on."""

    pid: int
    pidfd: int
    sock: socket.socket


class Process:
    """One life of the helper."""

    __slots__ = ("born", "channel", "heard", "pid", "pidfd")

    def __init__(self, pid: int, pidfd: int, born: float) -> None:
        self.pid = pid
        self.pidfd = pidfd
        self.born = born
        self.heard = False
        self.channel: Channel | None = None


class Keeper:
    """One helper.  `wanted` and `rhythm` may be set through `want` and directly.

    fork: makes a new process; OSError when the machine cannot.  bury(pid): the process is dead; reap it, give back what belonged to it, and say its
    wait status if that is known.  on_message: what the helper says besides signs of life and its health.  on_change: the row is new.  say: a
    sentence for the log.
    """

    def __init__(
        self,
        name: str,
        reactor: Reactor,
        system: Real,
        *,
        fork: Callable[[], Born],
        bury: Callable[[int], int | None],
        on_change: Callable[[], None],
        say: Callable[[str], None],
        on_message: Callable[[object], None] = lambda _message: None,
        rhythm: Rhythm,
    ) -> None:
        self.name = name
        self.rhythm = rhythm
        self.phase = Phase.OFF
        self.wanted = False
        self.reason = ""
        self.health = ""
        self.restarts = 0
        self._reactor = reactor
        self._system = system
        self._fork = fork
        self._bury = bury
        self._on_message = on_message
        self._on_change = on_change
        self._say = say
        self._process: Process | None = None
        self._forks = 0
        self._quick_deaths = 0
        self._timer: Timer | None = None
        self._since = system.wall_ns() / 1e9

    @property
    def pid(self) -> int:
        """The process that lives now, 0 when there is none."""
        return self._process.pid if self._process else 0

    def row(self) -> ServiceRow:
        """How the helper is."""
        return ServiceRow(
            name=self.name,
            state=self.phase.state,
            pid=self.pid,
            since=self._since,
            restarts=self.restarts,
            reason=self.reason,
            health=self.health,
        )

    def want(self, wanted: bool, why: str = "") -> None:
        """It is to run, or to leave."""
        if wanted != self.wanted:
            self.wanted = wanted
            if not wanted:
                self.reason = why
            self._happened(Input.WANTED if wanted else Input.UNWANTED)

    def send(self, message: object) -> None:
        """Say something to the helper that lives now, if one does."""
        if self._process is not None and self._process.channel is not None:
            self._process.channel.send(message)

    def kill(self) -> None:
        """No more grace."""
        if self._process is not None:
            self._system.pidfd_signal(self._process.pidfd, signal.SIGKILL)

    # The table and what it asks for -----------------------------------------------------------------------------------------------------------------

    def _happened(self, happened: Input) -> None:
        before = self.phase
        self.phase, effect = step(before, happened)
        if self.phase is not before:
            self._since = self._system.wall_ns() / 1e9
        match effect:
            case Effect.FORK:
                self._born()
            case Effect.TELL:
                self.send(Leave())
            case Effect.ABORT:
                self._end(signal.SIGABRT, f"it gave no sign of life for {self.rhythm.period + self.rhythm.deadline:g} s")
            case Effect.KILL:
                self._end(signal.SIGKILL, "")
        if self.phase is not before or (happened is Input.HEARD and self.phase is Phase.RUNNING):
            self._set_timer()
        if self.phase is not before:
            self._on_change()

    def _set_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        wait = self.rhythm.wait(self.phase, self._quick_deaths)
        if wait is not None:
            self._wait(*wait)

    def _wait(self, delay_s: float, then: Input) -> None:
        if then is Input.SILENT:
            self._timer = self._reactor.after(delay_s, self._look)
        else:
            self._timer = self._reactor.after(delay_s, lambda: self._happened(then))

    def _look(self) -> None:
        """The deadline has passed: hear what lies unread, then judge."""
        self._timer = self._reactor.after(self.rhythm.look, lambda: self._happened(Input.SILENT))

    def _born(self) -> None:
        self.health = ""
        self.restarts += bool(self._forks)
        self._forks += 1
        try:
            born = self._fork()
        except OSError as error:
            self._unborn(error)
            return
        process = self._process = Process(born.pid, born.pidfd, self._reactor.now)
        self._reactor.watch(born.pidfd, READ, lambda _events: self._died(process))
        process.channel = Channel(born.sock, self._reactor, FromService, lambda each: self._heard(process, each), lambda why: self._cut(process, why))

    def _unborn(self, error: OSError) -> None:
        if not self._quick_deaths:
            self._say(f"{self.name} could not be started: {error}; tried again until it can")
        self.reason = f"it could not be started: {error.strerror or error}"
        self._quick_deaths += 1
        self._reactor.defer(lambda: self._happened(self._death()))

    def _end(self, number: signal.Signals, why: str) -> None:
        if why:
            self.reason = why
            self._say(f"{self.name} (pid {self.pid}): {why}; it is ended and replaced")
        if self._process is not None:
            self._system.pidfd_signal(self._process.pidfd, number)

    # What the helper does ---------------------------------------------------------------------------------------------------------------------------

    def _heard(self, process: Process, message: object) -> None:
        if process is not self._process:
            return
        match message:
            case Pong():
                process.heard = True
                self._happened(Input.HEARD)
            case Health():
                self.health = message.sentence[:MAX_TEXT]
                self._on_change()
            case _:
                self._on_message(message)

    def _cut(self, process: Process, _why: str) -> None:
        """The line ended: usually it is about to die."""
        process.channel = None
        if process is self._process and self.phase in (Phase.STARTING, Phase.RUNNING):
            if self._timer is not None:
                self._timer.cancel()
            self._wait(CUT_S, Input.SILENT)

    def _died(self, process: Process) -> None:
        if process.channel is not None:
            process.channel.drain()
        if process.channel is not None:
            process.channel.close()
        self._reactor.forget(process.pidfd)
        status = self._bury(process.pid)
        os.close(process.pidfd)
        self._process = None
        lived_s = self._reactor.now - process.born
        self._quick_deaths = self._quick_deaths + 1 if is_quick(lived_s, status) else 0
        if self.phase in (Phase.STARTING, Phase.RUNNING):
            self.reason = ended(status, self.health)
            self._say(f"{self.name} (pid {process.pid}) ended after {lived_s:.1f} s, {self.reason}; another one takes over")
        self.health = ""
        self._happened(self._death())

    def _death(self) -> Input:
        return Input.DIED if self.wanted else Input.GONE


def ended(status: int | None, last_word: str) -> str:
    """Why a helper is gone.  last_word: what it said of its health; one that ended by itself said why."""
    by_itself = status is not None and os.WIFEXITED(status)
    return f"{describe(status)}: {last_word}" if by_itself and last_word else describe(status)
