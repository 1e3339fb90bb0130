"""The one loop: descriptors, timers, signals, and work put off to the end of a turn.

Every process of ours that waits, waits here and nowhere else.  A turn is: work out the time-out, wait, run the callbacks of what is ready, run the
timers that are due, run what was deferred.  Callbacks never block, sleep or join.

Loop gaps.  When the process itself was stopped (SIGSTOP, a suspended machine) or starved for more than GAP_S, every pending deadline is moved by the
gap before any timer runs: nobody is judged late for time in which we did not look.  A gap inside a wait cannot be told from waiting, so the loop
looks several times on the way to a deadline: it moves by the gap to within GAP_S or, when it is far, an eighth of the time that was left.

Signals arrive as bytes on a pipe (signal.set_wakeup_fd), so that a handler runs as a callback of the loop and never inside one.

What a callback raises ends the turn.  Nothing is forgotten by that: what was ready, due, deferred or signalled beside it has its turn in the next
one, before anything new is looked for; so one that fails again and again cannot starve the others, if the caller goes on at all.

A kernel that is short of room for another watched descriptor (epoll_ctl(2): ENOMEM, ENOSPC) is asked again until it has it; nobody hears of that.

Ownership: the reactor owns its epoll descriptor and its signal pipe; watched descriptors stay their owner's, who forgets them before closing them.
"""

from __future__ import annotations

import errno
import heapq
import os
import select
import signal
from collections.abc import Callable, Iterable
from typing import Protocol

GAP_S = 2.0
LOOKS = 8
"""The part of the time to the next deadline after which the loop looks whether it was stopped meanwhile is one in LOOKS."""
OWED_S = 0.05
"""Delay before the kernel is asked again for what it had no room for."""
TIDY = 256
"""Timers in the heap before the cancelled ones among them are looked for."""

READ = select.EPOLLIN
WRITE = select.EPOLLOUT
EDGE = select.EPOLLET
HANGUP = select.EPOLLHUP


class Clock(Protocol):
    """What the loop needs of the machine."""

    def monotonic(self) -> float: ...


class Timer:
    """A deadline on the monotonic clock; `cancel` makes it never run."""

    __slots__ = ("callback", "deadline")

    def __init__(self, deadline: float, callback: Callable[[], None]) -> None:
        self.deadline = deadline
        self.callback: Callable[[], None] | None = callback

    def __lt__(self, other: Timer) -> bool:
        return self.deadline < other.deadline

    def cancel(self) -> None:
        """Never run; harmless when it ran already."""
        self.callback = None


class Reactor:
    """One loop of one process.  `now` is the monotonic time at which the present turn began."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._epoll = select.epoll(flags=select.EPOLL_CLOEXEC)
        self._callbacks: dict[int, Callable[[int], None]] = {}
        self._timers: list[Timer] = []
        self._tidy_at = TIDY
        self._deferred: list[Callable[[], None]] = []
        self._ready: dict[int, int] = {}
        self._owed: dict[int, int] = {}
        self._signal_pipe: tuple[int, int] | None = None
        self._stopped = False
        self.now = clock.monotonic()

    # What callers register ----------------------------------------------------------------------------------------------------------------------

    def watch(self, fd: int, events: int, callback: Callable[[int], None]) -> None:
        """Call `callback(events)` when the descriptor is ready; a descriptor has one callback."""
        if fd in self._callbacks and fd not in self._owed:
            self._epoll.modify(fd, events)
        else:
            self._register(fd, events)
        self._callbacks[fd] = callback

    def _register(self, fd: int, events: int) -> None:
        self._owed.pop(fd, None)
        try:
            self._epoll.register(fd, events)
        except OSError as error:
            if error.errno not in (errno.ENOMEM, errno.ENOSPC):
                raise
            if not self._owed:
                self.after(OWED_S, self._register_owed)
            self._owed[fd] = events

    def _register_owed(self) -> None:
        owed, self._owed = self._owed, {}
        for fd, events in owed.items():
            self._register(fd, events)

    def forget(self, fd: int) -> None:
        """Stop watching; harmless when it is not watched.  Call it before closing the descriptor."""
        self._ready.pop(fd, None)  # the number may be another's before this turn is over
        if self._callbacks.pop(fd, None) is not None and self._owed.pop(fd, None) is None:
            self._epoll.unregister(fd)

    def watches(self, fd: int) -> bool:
        """Whether the descriptor is watched now."""
        return fd in self._callbacks

    def after(self, delay_s: float, callback: Callable[[], None]) -> Timer:
        """Run `callback` once, `delay_s` seconds after the beginning of this turn or later."""
        timer = Timer(self.now + delay_s, callback)
        if len(self._timers) >= self._tidy_at:
            self._tidy()
        heapq.heappush(self._timers, timer)
        return timer

    def _tidy(self) -> None:
        """Let go of cancelled timers: a call that is answered at once must not be remembered until the deadline that it had."""
        self._timers = [timer for timer in self._timers if timer.callback is not None]
        heapq.heapify(self._timers)
        self._tidy_at = max(TIDY, 2 * len(self._timers))

    def defer(self, callback: Callable[[], None]) -> None:
        """Run `callback` at the end of this turn; when called from deferred work, at the end of the next one, which then does not wait."""
        self._deferred.append(callback)

    def on_signals(self, numbers: Iterable[int], callback: Callable[[int], None]) -> None:
        """Deliver these signals as calls of `callback(number)` from the loop; several equal ones may arrive as one."""
        reader, writer = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._signal_pipe = (reader, writer)
        signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
        for number in numbers:
            signal.signal(number, _noticed)

        pending: list[int] = []

        def arrived(_events: int) -> None:
            pending.extend(sorted(set(os.read(reader, 4096))))
            deliver()

        def deliver() -> None:
            try:
                while pending:
                    callback(pending.pop(0))
            finally:
                if pending:
                    self.defer(deliver)

        self.watch(reader, READ, arrived)

    # The loop -------------------------------------------------------------------------------------------------------------------------------------

    def run(self) -> None:
        """Turn until `stop` is called."""
        self._stopped = False
        while not self._stopped:
            self.turn()

    def stop(self) -> None:
        """End `run` after this turn."""
        self._stopped = True

    def hold(self, seconds: float) -> None:
        """Let a time pass in which nothing is served: for a caller of whom every turn fails, who would spin else."""
        select.poll().poll(seconds * 1000)

    def turn(self, longest_s: float | None = None) -> None:
        """One turn; waits at most `longest_s` seconds (None: until something happens)."""
        wait_s = self._wait_s(longest_s)
        before = self._clock.monotonic()
        self._shift(before - self.now)
        if not self._ready:
            self._ready = dict(self._epoll.poll(None if wait_s is None else wait_s))
        self.now = self._clock.monotonic()
        if wait_s is not None:
            self._shift(self.now - before - wait_s)
        while self._ready:
            fd = next(iter(self._ready))
            events, callback = self._ready.pop(fd), self._callbacks.get(fd)
            if callback is not None:
                callback(events)
        self._run_timers()
        self._run_deferred()

    def _run_deferred(self) -> None:
        """What was put off until now; what that puts off is for the next turn.  What one of them raises leaves the others to the next turn, too."""
        deferred, self._deferred = self._deferred, []
        done = 0
        try:
            for work in deferred:
                done += 1
                work()
        finally:
            self._deferred[:0] = deferred[done:]

    def _wait_s(self, longest_s: float | None) -> float | None:
        while self._timers and self._timers[0].callback is None:
            heapq.heappop(self._timers)
        if self._deferred:
            return 0.0
        if not self._timers:
            return longest_s
        until = max(0.0, self._timers[0].deadline - self._clock.monotonic())
        until = min(until, max(GAP_S, until / LOOKS))
        return until if longest_s is None else min(until, longest_s)

    def _run_timers(self) -> None:
        """Those that are due now; one that a callback arms is for the next turn, so that work cut in pieces lets descriptors have theirs.  What a
        callback raises leaves the others due."""
        due: list[Timer] = []
        while self._timers and self._timers[0].deadline <= self.now:
            due.append(heapq.heappop(self._timers))
        due.reverse()
        try:
            while due:
                callback = due.pop().callback
                if callback is not None:
                    callback()
        finally:
            for timer in due:
                heapq.heappush(self._timers, timer)

    def _shift(self, gap_s: float) -> None:
        if gap_s > GAP_S:
            for timer in self._timers:
                timer.deadline += gap_s

    def close(self) -> None:
        """Close what the reactor owns; watched descriptors stay open."""
        self._epoll.close()
        if self._signal_pipe is not None:
            signal.set_wakeup_fd(-1)
            for fd in self._signal_pipe:
                os.close(fd)
            self._signal_pipe = None


def _noticed(_number: int, _frame: object) -> None:
    """The handler itself does nothing: the wake-up pipe carries the number."""
