"""Work in pieces: nobody is forgotten, whatever fails on the way."""

from __future__ import annotations

import os

import pytest

from efsupervisor.core.descriptors import Descriptors
from efsupervisor.core.turnstile import RETRY_S, Turnstile
from efsupervisor.reactor import Reactor
from efsupervisor.system import REAL


def test_work_that_could_not_be_announced_is_done_a_little_later(monkeypatch: pytest.MonkeyPatch) -> None:
    reactor, done = Reactor(REAL), []
    turnstile = Turnstile(reactor, REAL, lambda: bool(done.append(1)), Descriptors())
    write, failures = os.eventfd_write, [OSError(12, "no memory")]

    def announced(fd: int, value: int) -> None:
        if failures:
            raise failures.pop()
        write(fd, value)

    monkeypatch.setattr(os, "eventfd_write", announced)
    try:
        turnstile.wake()
        reactor.turn(0.0)
        assert done == []
        end = REAL.monotonic() + 20 * RETRY_S
        while not done and REAL.monotonic() < end:
            reactor.turn(RETRY_S)
        assert done == [1]
    finally:
        turnstile.close()
        reactor.close()


def test_a_unit_that_fails_ends_the_turn_and_the_next_one_comes_back_to_the_work() -> None:
    reactor, tries = Reactor(REAL), []

    def unit() -> bool:
        tries.append(1)
        if len(tries) == 1:
            raise OSError(12, "no memory")
        return False

    turnstile = Turnstile(reactor, REAL, unit, Descriptors())
    try:
        turnstile.wake()
        with pytest.raises(OSError, match="no memory"):
            reactor.turn(0.0)
        reactor.turn(0.0)
        assert len(tries) == 2
    finally:
        turnstile.close()
        reactor.close()
