"""The one loop: what is ready, what is due, what was put off, and gaps in which nobody looked."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import pytest

from efsupervisor.reactor import GAP_S, READ, WRITE, Reactor
from tests.unit.task.table import Clock


@pytest.fixture
def clock() -> Clock:
    """Time that stands still."""
    return Clock()


@pytest.fixture
def loop(clock: Clock) -> Iterator[Reactor]:
    """A loop on that clock."""
    reactor = Reactor(clock)
    yield reactor
    reactor.close()


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    """Reading end, writing end."""
    ends = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    yield ends
    for fd in ends:
        os.close(fd)


def test_timers_run_in_the_order_of_their_deadlines_and_never_early(loop: Reactor, clock: Clock) -> None:
    ran: list[str] = []
    for delay, name in ((0.3, "c"), (0.1, "a"), (0.2, "b")):
        loop.after(delay, lambda name=name: ran.append(name))  # type: ignore[misc]
    loop.turn(0.0)
    assert ran == []
    clock.now += 0.2
    loop.turn(0.0)
    assert ran == ["a", "b"]
    clock.now += 0.2
    loop.turn(0.0)
    assert ran == ["a", "b", "c"]


def test_a_cancelled_timer_never_runs_and_a_timer_may_cancel_another_that_is_due(loop: Reactor, clock: Clock) -> None:
    ran: list[str] = []
    second = loop.after(0.2, lambda: ran.append("second"))
    loop.after(0.1, second.cancel)
    loop.after(0.3, lambda: ran.append("third")).cancel()
    clock.now += 1
    loop.turn(0.0)
    assert ran == []
    second.cancel()


def test_a_timer_that_arms_another_for_now_lets_descriptors_have_their_turn(loop: Reactor, pipe: tuple[int, int]) -> None:
    ran: list[str] = []
    loop.after(0.0, lambda: loop.after(0.0, lambda: ran.append("again")) and None)
    loop.watch(pipe[1], WRITE, lambda _events: ran.append("ready"))
    loop.turn(0.0)
    loop.turn(0.0)
    assert ran[0] == "ready"
    assert "again" in ran


def test_what_is_put_off_runs_at_the_end_of_the_turn_and_what_that_puts_off_in_the_next_without_waiting(loop: Reactor, pipe: tuple[int, int]) -> None:
    ran: list[str] = []

    def work() -> None:
        ran.append("work")
        loop.defer(lambda: ran.append("more"))

    loop.watch(pipe[1], WRITE, lambda _events: ran.append("ready"))
    loop.defer(work)
    loop.turn()
    assert ran == ["ready", "work"]
    loop.turn()
    assert ran == ["ready", "work", "ready", "more"]


def test_a_descriptor_is_called_while_it_is_ready_and_watched(loop: Reactor, pipe: tuple[int, int]) -> None:
    read, write = pipe
    calls: list[int] = []
    loop.watch(read, READ, calls.append)
    loop.turn(0.0)
    os.write(write, b"x")
    loop.turn(0.0)
    loop.turn(0.0)
    assert calls == [READ, READ]
    loop.forget(read)
    assert not loop.watches(read)
    loop.turn(0.0)
    assert len(calls) == 2
    loop.forget(read)  # again is harmless


def test_a_callback_that_forgets_another_descriptor_keeps_its_event_from_arriving(loop: Reactor) -> None:
    pairs = [os.pipe2(os.O_CLOEXEC) for _ in range(2)]
    called: list[int] = []
    reads = [read for read, _ in pairs]
    for index, (read, write) in enumerate(pairs):
        os.write(write, b"x")

        def ready(_events: int, index: int = index) -> None:
            called.append(index)
            loop.forget(reads[1 - index])

        loop.watch(read, READ, ready)
    loop.turn(0.0)
    assert len(called) == 1
    for fd in (end for pair in pairs for end in pair):
        loop.forget(fd)
        os.close(fd)


def test_a_gap_in_which_nobody_looked_moves_every_deadline(loop: Reactor, clock: Clock) -> None:
    ran: list[str] = []
    loop.after(1.0, lambda: ran.append("due"))
    clock.now += GAP_S + 100  # stopped, or the machine was suspended
    loop.turn(0.0)
    assert ran == []
    clock.now += 0.99
    loop.turn(0.0)
    assert ran == []
    clock.now += 0.02
    loop.turn(0.0)
    assert ran == ["due"]


def test_a_delay_that_is_no_gap_counts(loop: Reactor, clock: Clock) -> None:
    ran: list[str] = []
    loop.after(1.0, lambda: ran.append("due"))
    clock.now += GAP_S
    loop.turn(0.0)
    assert ran == ["due"]


def test_run_ends_after_the_turn_in_which_it_was_stopped(loop: Reactor) -> None:
    ran: list[str] = []
    loop.after(0.0, loop.stop)
    loop.defer(lambda: ran.append("end of the turn"))
    loop.run()
    assert ran == ["end of the turn"]


def test_signals_arrive_as_calls_of_the_loop_once_each(loop: Reactor) -> None:
    heard: list[int] = []
    former = {number: signal.getsignal(number) for number in (signal.SIGUSR1, signal.SIGUSR2)}
    try:
        loop.on_signals(former, heard.append)
        for number in (signal.SIGUSR2, signal.SIGUSR1, signal.SIGUSR1):
            signal.raise_signal(number)
        assert heard == []
        loop.turn(0.0)
        assert heard == [signal.SIGUSR1, signal.SIGUSR2]
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)


def test_closing_gives_back_every_descriptor(clock: Clock) -> None:
    before = len(os.listdir("/proc/self/fd"))
    former = signal.getsignal(signal.SIGUSR1)
    reactor = Reactor(clock)
    reactor.on_signals([signal.SIGUSR1], lambda number: None)
    reactor.close()
    signal.signal(signal.SIGUSR1, former)
    assert len(os.listdir("/proc/self/fd")) == before
