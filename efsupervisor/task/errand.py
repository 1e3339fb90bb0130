"""Errands: commands that the worker runs beside the program: hooks, and probes that are commands.

An errand runs as the task's user, with the task's environment and limits, in a session of its own and with an empty stdin.  The loop watches it: its
output is read as it comes and only the end of it kept, its death comes with those of all children, and its time is limited; at the limit it is killed
with its session, and that is its end, whatever the kernel makes of it.  It dies with the worker (a successor begins anew), and what it leaves behind
belongs to the program's tree and ends with it.
"""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Callable
from typing import NamedTuple

from efsupervisor.reactor import HANGUP, READ, Timer
from efsupervisor.task import policy, spawn
from efsupervisor.task.seat import Seat

KEPT = 512
"""Bytes of an errand's last output that are kept for its outcome."""
PIECE = 65536


class Outcome(NamedTuple):
    """How an errand ended.  sentence: why it failed, with the end of what it wrote; empty when it did not fail."""

    sentence: str = ""

    @property
    def good(self) -> bool:
        """It ended with status 0."""
        return not self.sentence


class Errand:
    """One command on its way.  done is called once, unless it is cancelled."""

    def __init__(self, pid: int, reader: int, name: str, timeout_s: float, done: Callable[[Outcome], None]) -> None:
        self.pid = pid
        self.reader = reader
        self.name = name
        self.timeout_s = timeout_s
        self.done: Callable[[Outcome], None] | None = done
        self.timer: Timer | None = None
        self.output = b""

    def last_words(self) -> str:
        """The end of what it wrote, as one line that can be shown."""
        lines = [line.strip() for line in self.output.decode(errors="replace").splitlines() if line.strip()]
        text = " | ".join(lines[-3:])
        return "".join(each if each.isprintable() else "?" for each in text)[-300:]


class Errands:
    """All errands of one worker; by pid while their processes are not reaped."""

    def __init__(self, seat: Seat) -> None:
        self._seat = seat
        self._on_their_way: dict[int, Errand] = {}

    def send(self, what: spawn.Plan, name: str, timeout_s: float, done: Callable[[Outcome], None]) -> Errand | None:
        """Start a command; None when there cannot be a child, and then `done` was called."""
        return self._send(lambda writer: spawn.beside(self._seat.system, what, writer), name, timeout_s, done)

    def fork(self, body: Callable[[], None], kept: int, name: str, timeout_s: float, done: Callable[[Outcome], None]) -> Errand | None:
        """Run a function of ours in a child, as whom we are.  kept: the one descriptor that it has; else as `send`."""
        return self._send(lambda writer: spawn.forked(self._seat.system, body, writer, kept), name, timeout_s, done)

    def _send(self, start: Callable[[int], int], name: str, timeout_s: float, done: Callable[[Outcome], None]) -> Errand | None:
        system, reactor = self._seat.system, self._seat.reactor
        try:
            reader, writer = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        except OSError as error:
            done(Outcome(f"cannot be run: {error.strerror}"))
            return None
        try:
            pid = start(writer)
        except OSError as error:
            system.close(reader)
            done(Outcome(f"cannot be run: {error.strerror}"))
            return None
        finally:
            system.close(writer)
        errand = self._on_their_way[pid] = Errand(pid, reader, name, timeout_s, done)
        errand.timer = reactor.after(timeout_s, lambda: self._overdue(errand))
        reactor.watch(reader, READ | HANGUP, lambda _events: self._read(errand))
        return errand

    def reaped(self, statuses: dict[int, int]) -> None:
        """Children died; whose errands they were have ended."""
        for pid, status in statuses.items():
            errand = self._on_their_way.pop(pid, None)
            if errand is not None:
                self._read(errand)
                self._ended(errand, "" if status == 0 else f"{policy.describe(status)}{_said(errand)}")

    def shorten(self, errand: Errand, limit_s: float) -> None:
        """It has at most so much time from now on."""
        if errand.timer is not None and errand.timer.deadline > self._seat.reactor.now + limit_s:
            errand.timer.cancel()
            errand.timer = self._seat.reactor.after(limit_s, lambda: self._overdue(errand))

    def cancel(self, errand: Errand) -> None:
        """Nobody wants its outcome any more."""
        errand.done = None
        self._kill(errand)
        self._ended(errand, "")

    def cancel_all(self) -> None:
        """End all of them."""
        for errand in list(self._on_their_way.values()):
            self.cancel(errand)

    @property
    def pids(self) -> set[int]:
        """Processes of errands that are not reaped."""
        return set(self._on_their_way)

    def _overdue(self, errand: Errand) -> None:
        self._kill(errand)
        self._read(errand)
        self._ended(errand, f"took longer than {errand.timeout_s:g} s{_said(errand)}")

    def _kill(self, errand: Errand) -> None:
        if errand.pid not in self._on_their_way:
            return
        for kill in (os.killpg, os.kill):  # it may not have its own session yet; the pid is ours until we reap it
            with contextlib.suppress(ProcessLookupError, PermissionError):
                kill(errand.pid, signal.SIGKILL)

    def _read(self, errand: Errand) -> None:
        if errand.reader < 0:
            return
        try:
            data = self._seat.system.read(errand.reader, PIECE)
        except BlockingIOError:
            return
        errand.output = (errand.output + data)[-KEPT:]
        if not data:
            self._close(errand)

    def _close(self, errand: Errand) -> None:
        if errand.reader >= 0:
            self._seat.reactor.forget(errand.reader)
            self._seat.system.close(errand.reader)
            errand.reader = -1

    def _ended(self, errand: Errand, sentence: str) -> None:
        if errand.timer is not None:
            errand.timer.cancel()
            errand.timer = None
        self._close(errand)
        done, errand.done = errand.done, None
        if done is not None:
            done(Outcome(sentence))


def _said(errand: Errand) -> str:
    words = errand.last_words()
    return f": {words}" if words else ""
