"""From a thread that waits to the loop that speaks to the middle interface, and back.

A thread gives a call and waits, with a deadline; the loop hands it to the Dealer.  Nothing of ZeroMQ is ever touched by a thread.  A middle interface
that is away is waited for no longer than the deadline: it is usually replaced within it.
"""

from __future__ import annotations

import os
import threading
from collections import deque
from typing import Protocol

from efsupervisor.core.dealer import Done, Failed
from efsupervisor.errors import Code, EfError
from efsupervisor.messages.call import Answer, Call, ConsoleCall
from efsupervisor.reactor import READ, Reactor

SLACK_S = 1.0
"""How much longer a thread waits than the loop, which says better what is wrong."""


class Asks(Protocol):
    """A Dealer."""

    def ask(self, call: Call | ConsoleCall, done: Done, failed: Failed, deadline_s: float | None = 5.0) -> None: ...


class Line(Protocol):
    """What the application has of this module."""

    def ask(self, call: Call | ConsoleCall, deadline_s: float) -> Answer: ...


class Waiting:
    """One thread and what it waits for."""

    __slots__ = ("answer", "call", "deadline_s", "error", "event")

    def __init__(self, call: Call | ConsoleCall, deadline_s: float) -> None:
        self.call = call
        self.deadline_s = deadline_s
        self.event = threading.Event()
        self.answer: Answer | None = None
        self.error: EfError | None = None


class Link:
    """The way to a Dealer.  Made and closed in the loop's thread."""

    def __init__(self, reactor: Reactor, dealer: Asks) -> None:
        self._reactor = reactor
        self._dealer = dealer
        self._given: deque[Waiting] = deque()
        self._bell = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        reactor.watch(self._bell, READ, lambda _events: self._take())

    def ask(self, call: Call | ConsoleCall, deadline_s: float) -> Answer:
        """From any thread but the loop's: the whole answer.  EfError: what the middle interface found wrong, NOT_RUNNING when it is not there,
        TIMEOUT when it does not answer."""
        waiting = Waiting(call, deadline_s)
        self._given.append(waiting)
        os.eventfd_write(self._bell, 1)
        if not waiting.event.wait(deadline_s + SLACK_S):
            raise EfError("no answer came in time; try again", Code.TIMEOUT)
        if waiting.error is not None:
            raise waiting.error
        assert waiting.answer is not None
        return waiting.answer

    def close(self) -> None:
        """Give nothing more to the dealer."""
        self._reactor.forget(self._bell)

    def _take(self) -> None:
        os.eventfd_read(self._bell)
        for _ in range(len(self._given)):
            self._hand_over(self._given.popleft())

    def _hand_over(self, waiting: Waiting) -> None:
        def done(answer: Answer) -> None:
            waiting.answer = answer
            waiting.event.set()

        def failed(error: EfError) -> None:
            waiting.error = error
            waiting.event.set()

        self._dealer.ask(waiting.call, done, failed, waiting.deadline_s)
