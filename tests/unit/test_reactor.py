"""The one loop: what is ready, what is due, what was put off, and gaps in which nobody looked."""

from __future__ import annotations

import errno
import os
import select
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from efsupervisor.reactor import GAP_S, OWED_S, READ, WRITE, Reactor
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


def test_a_gap_in_the_middle_of_a_long_wait_is_seen_too(loop: Reactor, clock: Clock) -> None:
    ran, waits = [], []

    class Waiting:
        """An epoll of a process that is stopped for 20 s in its third wait."""

        def poll(self, wait_s: float) -> list[tuple[int, int]]:
            waits.append(wait_s)
            clock.now += wait_s + (20.0 if len(waits) == 3 else 0.0)
            return []

        def close(self) -> None: ...

    loop._epoll.close()
    loop._epoll = Waiting()  # type: ignore[assignment]
    began = clock.now
    loop.after(30.0, lambda: ran.append(clock.now - began))
    while not ran:
        loop.turn()
    assert 49.9 < ran[0] < 50.1
    assert len(waits) < 25, "it looks now and then"


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


def test_what_is_ready_beside_a_callback_that_fails_has_its_turn_next(loop: Reactor) -> None:
    pairs, served = [os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC) for _ in range(3)], []
    for place, (reader, writer) in enumerate(pairs):

        def ready(_events: int, place: int = place) -> None:
            served.append(place)
            raise OSError(5, f"number {place}")

        loop.watch(reader, READ, ready)
        os.write(writer, b"1")
    try:
        for _ in pairs:
            with pytest.raises(OSError, match="number"):
                loop.turn(0.0)
        assert sorted(served) == [0, 1, 2]
    finally:
        for reader, writer in pairs:
            loop.forget(reader)
            os.close(reader)
            os.close(writer)


def test_a_descriptor_that_was_forgotten_after_a_failed_turn_is_not_called_for_what_it_was(loop: Reactor) -> None:
    pairs, served = [os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC) for _ in range(2)], []
    for reader, writer in pairs:

        def ready(_events: int, fd: int = reader) -> None:
            served.append(fd)
            raise OSError(5, "failed")

        loop.watch(reader, READ, ready)
        os.write(writer, b"1")
    try:
        with pytest.raises(OSError, match="failed"):
            loop.turn(0.0)
        other = next(reader for reader, _ in pairs if reader not in served)
        os.read(other, 10)
        loop.forget(other)
        loop.watch(other, READ, lambda _events: served.append(-1))  # another one that got the number
        loop.forget(served[0])
        loop.turn(0.0)
        assert -1 not in served
    finally:
        for ends in pairs:
            for fd in ends:
                loop.forget(fd)
                os.close(fd)


def test_what_was_put_off_beside_work_that_fails_runs_in_the_next_turn(loop: Reactor) -> None:
    ran: list[str] = []

    def fails() -> None:
        loop.defer(lambda: ran.append("by the failed one"))
        raise OSError(5, "failed")

    loop.defer(lambda: ran.append("before"))
    loop.defer(fails)
    loop.defer(lambda: ran.append("after"))
    with pytest.raises(OSError, match="failed"):
        loop.turn(0.0)
    loop.turn(0.0)
    assert ran == ["before", "after", "by the failed one"]


def test_a_signal_is_heard_although_what_another_one_calls_fails(loop: Reactor) -> None:
    heard: list[int] = []
    former = {number: signal.getsignal(number) for number in (signal.SIGUSR1, signal.SIGUSR2)}

    def called(number: int) -> None:
        heard.append(number)
        if number == signal.SIGUSR1:
            raise OSError(5, "failed")

    try:
        loop.on_signals(former, called)
        for number in former:
            signal.raise_signal(number)
        with pytest.raises(OSError, match="failed"):
            loop.turn(0.0)
        loop.turn(0.0)
        assert heard == [signal.SIGUSR1, signal.SIGUSR2]
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)


class Short:
    """An epoll of a kernel that has no room for another descriptor."""

    def __init__(self, epoll: select.epoll, failures: int) -> None:
        self._epoll, self.failures = epoll, failures

    def register(self, fd: int, events: int) -> None:
        if self.failures:
            self.failures -= 1
            raise OSError(errno.ENOSPC, "no room")
        self._epoll.register(fd, events)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._epoll, name)


def test_a_descriptor_for_which_the_kernel_has_no_room_is_watched_as_soon_as_there_is(loop: Reactor, clock: Clock, pipe: tuple[int, int]) -> None:
    heard: list[int] = []
    loop._epoll = Short(loop._epoll, failures=5)  # type: ignore[assignment]
    loop.watch(pipe[0], WRITE, lambda _events: heard.append(0))
    loop.watch(pipe[0], READ, lambda _events: heard.append(pipe[0]))  # what is wanted last counts
    loop.watch(pipe[1], WRITE, lambda _events: heard.append(pipe[1]))
    os.write(pipe[1], b"1")
    for _ in range(4):
        loop.turn(0.0)
        clock.now += OWED_S
    loop.turn(0.0)
    assert set(heard) == set(pipe)
    for fd in pipe:
        loop.forget(fd)


def test_a_descriptor_that_was_forgotten_before_there_was_room_is_never_watched(loop: Reactor, clock: Clock, pipe: tuple[int, int]) -> None:
    heard: list[int] = []
    loop._epoll = Short(loop._epoll, failures=1)  # type: ignore[assignment]
    loop.watch(pipe[0], READ, heard.append)
    loop.forget(pipe[0])
    os.write(pipe[1], b"1")
    for _ in range(3):
        loop.turn(0.0)
        clock.now += OWED_S
    assert heard == []


def test_a_descriptor_that_cannot_be_watched_at_all_is_an_error(loop: Reactor, tmp_path: Path) -> None:
    with open(tmp_path / "file", "w", encoding="ascii") as file, pytest.raises(PermissionError):
        loop.watch(file.fileno(), READ, lambda _events: None)


def test_closing_gives_back_every_descriptor(clock: Clock) -> None:
    before = len(os.listdir("/proc/self/fd"))
    former = signal.getsignal(signal.SIGUSR1)
    reactor = Reactor(clock)
    reactor.on_signals([signal.SIGUSR1], lambda number: None)
    reactor.close()
    signal.signal(signal.SIGUSR1, former)
    assert len(os.listdir("/proc/self/fd")) == before
