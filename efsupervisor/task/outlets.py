"""Outlets: the producer's side of its edges.  Who is rung, who is behind, and whether the program must wait.

Consumers show their cursors in small files beside the edge (a hint that is never ahead of their delivery record), so lag is known without asking
anyone. When the slowest is more than `max_lag` behind, the capture is paused: the program's pipe fills and it blocks in write, as in a shell pipe.

A record that is not ended yet can be taken by nobody, so it holds nobody back: only what is before it counts as lag, or a record longer than max_lag
would never come to its end.  Beyond OPEN_RECORD it does, so that a program that never ends one cannot fill the disk.

No wake-up is lost: the producer sets its flag file and then reads the cursors once more; a consumer moves its cursor and then reads the flag.  A
consumer that has finished counts no more; when all consumers of a job have finished, the job is ended.
"""

from __future__ import annotations

import os
from collections.abc import Callable

from efsupervisor.journal import Claims
from efsupervisor.messages import OutEdge
from efsupervisor.states import Mode
from efsupervisor.task.delivery import saved
from efsupervisor.task.paths import TaskPaths
from efsupervisor.task.record import read_state
from efsupervisor.task.seat import DATA, STATE, Seat
from efsupervisor.task.stdin import read_hint

OPEN_RECORD = 1 << 30
"""Bytes of an unfinished record that do not count as lag."""


class Outlet:
    """One consumer (`broad`) or one group (`share`) of one edge.  cursor: as last seen; it only grows."""

    __slots__ = ("_fd", "_seat", "consumers", "cursor", "edge", "finished", "hint")

    def __init__(self, seat: Seat, edge: OutEdge) -> None:
        self._seat = seat
        self.edge = edge
        self.consumers = edge.consumers
        suffix = "group" if edge.mode is Mode.SHARE else TaskPaths(edge.consumers[0][1]).id
        self.hint = f"{edge.folder}/cursor.{suffix}"
        self.cursor = self._group_start() if edge.mode is Mode.SHARE else read_hint(self.hint)
        self._fd = -1
        self.finished = False

    def _group_start(self) -> int:
        hint = read_hint(self.hint)
        if hint:
            return hint
        claims = Claims(self.edge.folder, system=self._seat.system, member=0)
        try:
            with claims.locked() as locked:
                return claims.floor() if locked else 0
        finally:
            claims.close()

    def look(self) -> int:
        """Read the cursor again."""
        try:
            if self._fd < 0:
                self._fd = self._seat.system.open(self.hint, os.O_RDONLY)
            data = self._seat.system.pread(self._fd, 8, 0)
        except FileNotFoundError:
            return self.cursor
        if len(data) == 8:
            self.cursor = max(self.cursor, int.from_bytes(data, "little"))
        return self.cursor

    def look_finished(self) -> bool:
        """Every consumer here has finished."""
        reports = [read_state(TaskPaths(folder)) for _name, folder in self.consumers]
        self.finished = all(report is not None and report.finished for report in reports)
        return self.finished

    def close(self) -> None:
        """Close the hint."""
        if self._fd >= 0:
            self._seat.system.close(self._fd)
            self._fd = -1


class Outlets:
    """All outlets of one task.  blocked_by: the consumers that hold the program back, blocked_since: since when some do (wall time, 0 for none)."""

    def __init__(self, seat: Seat) -> None:
        self._seat = seat
        self._outlets: list[Outlet] = []
        self._neighbours: list[str] = []
        self._nearest = 1 << 62
        self.blocked_by: list[str] = []
        self._told_open = -1
        self.blocked_since = 0.0
        self._flag_fd = -1
        self._flag(False)
        self.rewired()

    def rewired(self) -> None:
        """The edges changed."""
        for outlet in self._outlets:
            outlet.close()
        outputs = self._seat.wiring.outputs
        self._outlets = [Outlet(self._seat, edge) for edge in outputs if edge.consumers]
        self._neighbours = sorted({folder for edge in outputs for _name, folder in edge.consumers})
        self.neighbours_changed()

    def neighbours_changed(self) -> None:
        """A consumer's state changed: which of them have finished?"""
        for outlet in self._outlets:
            outlet.look_finished()
        self._reckon()

    def _reckon(self) -> None:
        """The end of the journal up to which nobody needs to be looked at."""
        self._nearest = min((o.cursor + o.edge.max_lag for o in self._holding()), default=1 << 62)

    def _holding(self) -> list[Outlet]:
        return [outlet for outlet in self._outlets if not outlet.finished and outlet.edge.overflow != "drop-oldest"]

    def moved(self, end: int) -> bool:
        """More came, the journal ends at `end`: ring the consumers; True when the capture must pause now."""
        for folder in self._neighbours:
            self._seat.ring(folder, DATA)
        return end > self._nearest and self.holds_back(end)

    def holds_back(self, end: int) -> bool:
        """Look at every cursor: must the program wait?  Sets the flag before the last look, so that no consumer's step is missed."""
        slow = self._behind(end)
        if slow:
            self._flag(True)
            slow = self._behind(end)
        if not slow:
            self._flag(False)
        names = sorted({name for outlet in slow for name, _folder in outlet.consumers})
        if names != self.blocked_by:
            if not names or not self.blocked_by:
                self.blocked_since = self._seat.system.wall_ns() / 1e9 if names else 0.0
            self.blocked_by = names
            self._seat.dirty()
        return bool(slow)

    def _behind(self, end: int) -> list[Outlet]:
        """Outlets over their limit; once held back, until half of it is free again."""
        slow = [o for o in self._holding() if end - o.look() > (o.edge.max_lag // 2 if self.blocked_by else o.edge.max_lag)]
        if slow and (whole := self._whole(end)) < end:
            slow = [o for o in slow if whole - o.cursor > (o.edge.max_lag // 2 if self.blocked_by else o.edge.max_lag)]
        self._reckon()
        return slow

    def _whole(self, end: int) -> int:
        """The end of what consumers can take."""
        border = self.border()
        if end - border <= OPEN_RECORD:
            return border
        if self._told_open != border:
            self._told_open = border
            self._seat.alert("record", f"what it writes since offset {border} has no end after 1 GiB: it waits until the program is started anew")
        return end

    border: Callable[[], int] = staticmethod(lambda: 1 << 62)
    """Where the record begins that is not ended yet; set by the worker."""

    def _flag(self, blocked: bool) -> None:
        system = self._seat.system
        if self._flag_fd < 0:
            self._flag_fd = system.open(self._seat.paths.blocked, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW)
        system.pwrite(self._flag_fd, b"1" if blocked else b"0", 0)

    def needed(self, end: int) -> int:
        """Lowest offset that some consumer still gets.  end: of the journal; a consumer that drops the oldest, and may be at rest for long, needs no
        more of it than `max_lag`, or the journal would grow without limit behind it."""
        return min((self._needs(outlet, end) for outlet in self._outlets if not outlet.finished), default=1 << 62)

    def _needs(self, outlet: Outlet, end: int) -> int:
        return max(outlet.look(), end - outlet.edge.max_lag) if outlet.edge.overflow == "drop-oldest" else outlet.look()

    def floor(self) -> int:
        """An offset at or above every saved cursor: the consumers' delivery records may be ahead of their hints."""
        highest = [outlet.look() for outlet in self._outlets]
        for edge in self._seat.wiring.outputs:
            for _name, folder in edge.consumers:
                known = saved(TaskPaths(folder).delivery, self._seat.system).edge(edge.id)
                highest.append(known.next if known else 0)
        return max(highest, default=0)

    def all_finished(self) -> bool:
        """There are consumers, all have finished, and the edges say that then the job is to end."""
        return bool(self._outlets) and all(o.finished and o.edge.on_consumers_done == "stop" for o in self._outlets)

    def ring_state(self) -> None:
        """Tell consumers and producers that this task's state changed."""
        for folder in self._neighbours:
            self._seat.ring(folder, STATE)
        for edge in self._seat.wiring.inputs:
            if edge.producer_dir:
                self._seat.ring(edge.producer_dir, STATE)

    def close(self) -> None:
        """Close every file."""
        for outlet in self._outlets:
            outlet.close()
        if self._flag_fd >= 0:
            self._seat.system.close(self._flag_fd)
            self._flag_fd = -1
