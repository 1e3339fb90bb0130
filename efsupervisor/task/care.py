"""Care for one running program: is it ready, is it alive, does it run too long or use too much?

One Care is made for one life of a program whose spec asks for any of this; a worker whose task does not never loads this room.  It decides nothing
about the life-cycle: it says `ready` once, and `unwell` with a sentence, and the worker feeds the events.  It waits in timers and descriptors only.

The watchdog counts silent quarters of its time, so that a program which says WATCHDOG=1 a thousand times a second costs no timers.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from typing import NamedTuple

from efsupervisor.conf.schema import TaskSpec
from efsupervisor.journal import Reader
from efsupervisor.reactor import Timer
from efsupervisor.task import probe, usage
from efsupervisor.task.errand import Errands
from efsupervisor.task.notify import Notice, NotifySocket, descends, parent_of
from efsupervisor.task.seat import Seat
from efsupervisor.task.spawn import Plan

PIECE = 65536
MAX_LINE = 4096
QUARTERS = 4


def needed(spec: TaskSpec) -> bool:
    """Whether a task asks for any of it."""
    return bool(spec.ready or spec.alive or spec.max_runtime_s or spec.max_rss or spec.max_cpu)


class Life(NamedTuple):
    """Whom the care is for.  plan: how a command beside it is run.  tree: its processes now.  family: pids below which everything is its own.
    strange: whether a process of another parent is its own nevertheless (after an adoption)."""

    plan: Callable[[], Plan]
    tree: Callable[[], list[int]]
    family: Callable[[], frozenset[int]]
    strange: Callable[[int], bool]


class Care:
    """ready, unwell, said: called when it is ready, when it is not well any more (why), when it said something of itself.  extended: it wants so many
    seconds from now for what it is doing.  out_from: where its output begins."""

    def __init__(
        self,
        seat: Seat,
        errands: Errands,
        life: Life,
        *,
        ready: Callable[[], None],
        unwell: Callable[[str], None],
        said: Callable[[str], None],
        extended: Callable[[float], None],
    ) -> None:
        self._seat = seat
        self._errands = errands
        self._spec = seat.spec
        self._life = life
        self._ready = ready
        self._unwell = unwell
        self._said = said
        self._extended = extended
        self._socket: NotifySocket | None = None
        self._wanted: set[str] = set()
        self._round: probe.Round | None = None
        self._timers: dict[str, Timer] = {}
        self._failed = 0
        self._line: _LineWatch | None = None
        self._watchdog_s = 0.0
        self._silent = 0
        self._sample: tuple[float, usage.Sample] | None = None
        self._ends_at = 0.0
        self.last = ""
        """Why it is not ready yet, as far as the last look said."""

    # What the worker says ---------------------------------------------------------------------------------------------------------------------------

    def listen(self, path: str, uid: int, gid: int) -> None:
        """Take notifications on this socket; OSError when it cannot be made."""
        self._socket = NotifySocket(self._seat.reactor, path, uid, gid, self._belongs, self._heard)

    def born(self, lived_s: float) -> None:
        """The program runs; lived_s: for so long already."""
        if self._spec.max_runtime_s:
            self._ends_at = self._seat.reactor.now + self._spec.max_runtime_s - lived_s
            self._after("runtime", max(0.0, self._spec.max_runtime_s - lived_s), self._too_long)
        if self._spec.max_rss or self._spec.max_cpu:
            self._look_at_usage()

    def await_ready(self, out_from: int) -> None:
        """From now on it may become ready.  out_from: where its output begins."""
        ready = self._spec.ready
        if ready is None:
            return
        self._wanted = set(probe.kinds_of(ready)) | ({"line"} if ready.line else set()) | ({"notify"} if ready.notify else set())
        self._waits(f"waits for {', '.join(sorted(self._wanted))}")
        if ready.line:
            self._line = _LineWatch(Reader(self._seat.paths.out_journal, system=self._seat.system), ready.line, out_from)
            self.wrote()
        self._look_whether_ready()

    def running(self) -> None:
        """It is RUNNING: watch it."""
        self._wanted.clear()
        self._cancel_round()
        self._forget_line()
        alive = self._spec.alive
        if alive is None:
            return
        if probe.kinds_of(alive):
            self._after("alive", alive.interval_s, self._look_whether_alive)
        if alive.watchdog_s:
            self._set_watchdog(alive.watchdog_s)

    def wrote(self) -> None:
        """There is more on stdout."""
        if self._line is not None and self._line.found():
            self._forget_line()
            self._met("line")

    def rest(self) -> None:
        """It is to stop, or is dead: no more looks; what it says is still heard."""
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()
        self._cancel_round()
        self._forget_line()
        self._wanted.clear()
        self._well_again()

    def close(self) -> None:
        """Its life is closed."""
        self.rest()
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    # Readiness --------------------------------------------------------------------------------------------------------------------------------------

    def _look_whether_ready(self) -> None:
        ready = self._spec.ready
        kinds = probe.kinds_of(ready) & self._wanted if ready is not None else frozenset()
        if ready is not None and kinds:
            self._round = probe.Round(self._seat.reactor, self._errands, ready, frozenset(kinds), self._plan(ready.exec), self._looked_whether_ready)

    def _looked_whether_ready(self, results: dict[str, str]) -> None:
        self._round = None
        for kind, sentence in results.items():
            if sentence:
                self._waits(sentence)
            else:
                self._met(kind)
        ready = self._spec.ready
        if ready is not None and self._wanted & set(probe.KINDS):
            self._after("ready", ready.interval_s, self._look_whether_ready)

    def _met(self, what: str) -> None:
        if what in self._wanted:
            self._wanted.discard(what)
            self._waits(f"waits for {', '.join(sorted(self._wanted))}")
            if not self._wanted:
                self._ready()

    def _waits(self, sentence: str) -> None:
        if sentence != self.last:
            self.last = sentence
            self._seat.dirty()

    def _plan(self, command: list[str]) -> Callable[[], Plan]:
        return lambda: self._life.plan()._replace(argv=list(command))

    # Liveness ---------------------------------------------------------------------------------------------------------------------------------------

    def _look_whether_alive(self) -> None:
        alive = self._spec.alive
        if alive is not None:
            kinds = probe.kinds_of(alive)
            self._round = probe.Round(self._seat.reactor, self._errands, alive, kinds, self._plan(alive.exec), self._looked_whether_alive)

    def _looked_whether_alive(self, results: dict[str, str]) -> None:
        self._round = None
        alive = self._spec.alive
        assert alive is not None
        sentence = "; ".join(filter(None, results.values()))
        if not sentence:
            self._failed = 0
            self._well_again()
        else:
            self._failed += 1
            self._seat.health["alive"] = f"not alive ({self._failed} of {alive.failures}): {sentence}"
            self._seat.dirty()
        if self._failed >= alive.failures:
            self._unwell(f"not alive: {self._failed} probes in a row failed, the last: {sentence}")
            return
        self._after("alive", alive.interval_s, self._look_whether_alive)

    def _well_again(self) -> None:
        if self._seat.health.pop("alive", None) is not None:
            self._seat.dirty()

    def _set_watchdog(self, seconds: float) -> None:
        self._watchdog_s, self._silent = seconds, 0
        self._after("watchdog", seconds / QUARTERS, self._quarter)

    def _quarter(self) -> None:
        self._silent += 1
        if self._silent > QUARTERS:
            self._unwell(f"not alive: no WATCHDOG=1 for {self._watchdog_s:g} s (watchdog_s)")
            return
        self._after("watchdog", self._watchdog_s / QUARTERS, self._quarter)

    # What it runs and uses --------------------------------------------------------------------------------------------------------------------------

    def _too_long(self) -> None:
        self._unwell(f"ran longer than max_runtime_s ({self._spec.max_runtime_s:g} s)")

    def _look_at_usage(self) -> None:
        now, sample = self._seat.system.monotonic(), usage.of(self._life.tree())
        before, over_s = (self._sample[1], now - self._sample[0]) if self._sample else (None, 0.0)
        self._sample = (now, sample)
        why = usage.verdict(sample, before, over_s, self._spec.max_rss, self._spec.max_cpu)
        if why:
            self._unwell(why)
            return
        self._after("usage", self._spec.usage_s, self._look_at_usage)

    # What it says -----------------------------------------------------------------------------------------------------------------------------------

    def _belongs(self, pid: int) -> bool | None:
        found = descends(pid, self._life.family(), parent_of)
        return self._life.strange(pid) if found is False else found

    def _heard(self, notice: Notice) -> None:
        if notice.alive:
            self._silent = 0
        if notice.watchdog_us and self._watchdog_s:
            self._set_watchdog(notice.watchdog_us / 1e6)
        if notice.status is not None:
            self._said(notice.status)
        if notice.extend_us:
            self._extend(notice.extend_us / 1e6)
        if notice.stopping:
            self._stopping()
        if notice.ready:
            self._met("notify")
        if notice.trigger:
            self._unwell("not alive: the program says so itself (WATCHDOG=trigger)")

    def _extend(self, seconds: float) -> None:
        """EXTEND_TIMEOUT_USEC: whatever limit runs now ends no earlier than that."""
        self._extended(seconds)
        until = self._seat.reactor.now + seconds
        if "runtime" in self._timers and until > self._ends_at:
            self._ends_at = until
            self._after("runtime", seconds, self._too_long)

    def _stopping(self) -> None:
        """STOPPING=1: it ends by itself; it need not be alive to its probes meanwhile."""
        for name in ("alive", "watchdog"):
            if timer := self._timers.pop(name, None):
                timer.cancel()
        self._cancel_round()

    # The rest ---------------------------------------------------------------------------------------------------------------------------------------

    def _after(self, name: str, delay_s: float, then: Callable[[], None]) -> None:
        if former := self._timers.get(name):
            former.cancel()
        self._timers[name] = self._seat.reactor.after(delay_s, then)

    def _cancel_round(self) -> None:
        if self._round is not None:
            self._round.cancel()
            self._round = None

    def _forget_line(self) -> None:
        if self._line is not None:
            self._line.close()
            self._line = None


class _LineWatch:
    """Looks for a pattern in the lines of a journal, from an offset on.  Of a line longer than MAX_LINE only that much is looked at."""

    def __init__(self, reader: Reader, pattern: str, offset: int) -> None:
        self._reader = reader
        self._pattern = re.compile(os.fsencode(pattern))
        self._offset = offset
        self._rest = b""

    def found(self) -> bool:
        """Whether it is in what came since the last call."""
        while data := self._reader.read(self._offset, PIECE):
            self._offset += len(data)
            *lines, rest = (self._rest + data).split(b"\n")
            if any(self._pattern.search(line[:MAX_LINE]) for line in lines):
                return True
            self._rest = rest[:MAX_LINE]
        return False

    def close(self) -> None:
        """Close the journal."""
        self._reader.close()
