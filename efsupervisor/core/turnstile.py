"""Work that is done a little at a time: a bounded piece in each turn of the loop, so that a thousand starts never keep a death or a client waiting.

A piece of work is a function that does one unit and says whether there is more.  While there is more, an eventfd (2) keeps the loop from sleeping;
between two pieces every other descriptor and timer has its turn.  A unit that takes long ends the piece early: a piece has a budget of time, not only
of units. """

from __future__ import annotations

import os
from collections.abc import Callable

from efsupervisor.core.descriptors import Descriptors
from efsupervisor.reactor import READ, Reactor
from efsupervisor.system import System

UNITS = 32
BUDGET_S = 0.004
RETRY_S = 0.05


class Turnstile:
    """Calls `unit()` until it returns False, at most UNITS times or for BUDGET_S seconds in one turn."""

    def __init__(self, reactor: Reactor, system: System, unit: Callable[[], bool], descriptors: Descriptors) -> None:
        self._system = system
        self._unit = unit
        self._fd = descriptors.lasting(os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK))
        self._open = False
        self._reactor = reactor
        reactor.watch(self._fd, READ, self._turn)

    def wake(self) -> None:
        """There is work; harmless when that was known."""
        if self._open:
            return
        try:
            os.eventfd_write(self._fd, 1)
        except OSError:
            self._reactor.after(RETRY_S, self.wake)  # else nobody would ever come back to this work
        else:
            self._open = True

    def fileno(self) -> int:
        """The eventfd."""
        return self._fd

    def close(self) -> None:
        """Stop for good."""
        self._reactor.forget(self._fd)
        os.close(self._fd)

    def _turn(self, _events: int) -> None:
        end = self._system.monotonic() + BUDGET_S
        for _ in range(UNITS):
            if not self._unit():
                os.eventfd_read(self._fd)
                self._open = False
                return
            if self._system.monotonic() >= end:
                return
