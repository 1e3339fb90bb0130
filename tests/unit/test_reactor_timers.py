"""Timers of the loop: cancelled ones are let go of long before their deadline, and the others run in order."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator

import pytest

from efsupervisor.reactor import TIDY, Reactor


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        self.now += 0.001
        return self.now


class Payload:
    """Something that a callback holds."""

    def __call__(self) -> None:
        raise AssertionError("a cancelled timer ran")


@pytest.fixture
def reactor() -> Iterator[Reactor]:
    reactor = Reactor(Clock())
    yield reactor
    reactor.close()


def test_timers_that_were_cancelled_do_not_pile_up_until_their_deadlines(reactor: Reactor) -> None:
    for _ in range(100 * TIDY):
        reactor.after(86_400.0, Payload()).cancel()
    gc.collect()
    timers = [each for each in gc.get_objects() if type(each).__name__ == "Timer" and type(each).__module__ == "efsupervisor.reactor"]
    assert len(timers) <= 2 * TIDY


def test_what_a_cancelled_timer_held_is_free_at_once(reactor: Reactor) -> None:
    payload = Payload()
    timer = reactor.after(86_400.0, payload)
    ghost = weakref.ref(payload)
    del payload
    timer.cancel()
    gc.collect()
    assert ghost() is None


def test_timers_that_stand_run_in_order_however_many_were_cancelled_between_them(reactor: Reactor) -> None:
    ran: list[int] = []
    for number in range(1000):
        reactor.after(0.01 * (1000 - number), lambda number=number: ran.append(number))  # type: ignore[misc]
        for _ in range(5):
            reactor.after(5.0, Payload()).cancel()
    while len(ran) < 1000:
        reactor._clock.now += 0.5  # type: ignore[attr-defined]
        reactor.turn(0)
    assert ran == list(range(999, -1, -1))


def test_a_callback_may_make_and_cancel_timers_while_timers_run(reactor: Reactor) -> None:
    ran: list[str] = []

    def busy() -> None:
        for _ in range(3 * TIDY):
            reactor.after(86_400.0, Payload()).cancel()
        reactor.after(0.0, lambda: ran.append("made while running"))
        ran.append("busy")

    reactor.after(0.0, busy)
    reactor.after(0.0, lambda: ran.append("after"))
    reactor.turn(0)
    reactor.turn(0)
    assert sorted(ran) == ["after", "busy", "made while running"]


def test_a_timer_that_arms_itself_again_at_once_leaves_the_turn_to_others(reactor: Reactor) -> None:
    ran: list[int] = []

    def again() -> None:
        ran.append(1)
        assert len(ran) < 10, "one turn ran it for ever"
        reactor.after(0.0, again)

    reactor.after(0.0, again)
    reactor.turn(0.0)
    assert len(ran) == 1
    reactor.turn(0.0)
    assert len(ran) == 2


def test_a_callback_that_raises_leaves_the_others_due(reactor: Reactor) -> None:
    ran: list[str] = []

    def bad() -> None:
        raise OSError("bad")

    reactor.after(0.0, bad)
    reactor.after(0.0, lambda: ran.append("good"))
    cancelled = reactor.after(0.0, lambda: ran.append("cancelled"))
    cancelled.cancel()
    with pytest.raises(OSError):
        reactor.turn(0.0)
    reactor.turn(0.0)
    assert ran == ["good"]
