"""Reading a journal from an offset, beside a live writer and across rotations, in any process.

A Reader holds one descriptor, that of the segment it reads, and no lock.  read() is one pread.  Only when that finds nothing, one fstat tells why:
the segment is active and has ended for now, or it is sealed (its mode has no write bit), or it was removed (no name is left).  Only in the last two
cases is the folder listed again.  That is enough, because a successor exists, whole, before a segment is sealed, and a segment is sealed before it
is cut; where two segments overlap for a moment they hold the same bytes.

A read that runs while the file is being cut may get zeros for what lies behind the cut (ext4 and tmpfs read without the lock that a truncation
takes; seen in tests/chaos/test_journal_kill.py).  The kernel lowers the size before it wipes, and a sealed segment never grows; so data with a zero
in it is compared with the size that the file has afterwards.  Output without zeros, which is nearly all, pays a memchr for that.

b"" always means "nothing at this offset now".  skip() says whether it is the end or a hole (left by a power loss or by retention); a reader never
steps over a hole by itself, since its caller counts offsets by the bytes it got.

A closed segment may be compressed meanwhile (see `packed`).  Who has the segment open reads it to its end as ever; who comes later opens the
compressed form, which has the same offsets.
"""

from __future__ import annotations

import contextlib
from bisect import bisect_right
from collections.abc import Callable, Sequence
from typing import TypeVar

from efsupervisor.journal import fragments, index, scan
from efsupervisor.journal.folder import Folder, is_sealed, named
from efsupervisor.journal.fragments import Fragment
from efsupervisor.journal.packed import Packed, Plain, opened, size
from efsupervisor.states import Framing
from efsupervisor.system import System

NOTED_WITHIN_NS = 2 * 10**9
"""A writer that is alive notes the time about once a second."""

_Answer = TypeVar("_Answer")


class Reader:
    """Reads the journal in `folder`, which may not exist yet.  Owns one descriptor until close(); it may be used again after that.

    Raises JournalError for files that are not the journal's own, OSError as the system gives it.  Not for use by two threads.
    """

    __slots__ = ("_base", "_dry", "_fd", "_known", "_marks", "_marks_seen", "_packed", "_path", "_system", "_tail")

    def __init__(self, folder: str, *, system: System) -> None:
        self._path = folder
        self._system = system
        self._fd = -1
        self._packed: Packed | None = None
        self._base = 0
        self._dry = -1
        self._tail = -1
        self._known = 0
        self._marks: Sequence[Fragment] = ()
        self._marks_seen: tuple[int, int, int] | None = None

    # The hot path --------------------------------------------------------------------------------------------------------------------------------

    def read(self, offset: int, limit: int) -> bytes:
        """At most `limit` bytes from `offset`; fewer at a segment's end (call again); b"" when there is nothing at `offset` now, see skip()."""
        if self._fd >= 0 and offset >= self._base:
            data = self._system.pread(self._fd, limit, offset - self._base)
            if data and b"\0" in data:
                data = self._without_cut(data, offset)
            if data:
                return data
            if self._goes_on():
                self._dry = offset
                return b""
        return self._read_elsewhere(offset, limit)

    def skip(self, offset: int) -> int:
        """`offset` itself where there are bytes or will be; the base of the next segment when `offset` lies in a hole or before the oldest byte."""
        if offset == self._dry:
            return offset
        return self._below(lambda folder: self._skipped(folder, offset), offset)

    def end(self) -> int:
        """The next offset that will be written; 0 without a journal."""
        if self._tail >= 0:
            try:
                status = self._system.stat(f"{self._path}/{named(self._tail)}")
            except FileNotFoundError:
                status = None
            if status is not None and not is_sealed(status):
                return self._tail + status.st_size
        return self._below(self._find_end, 0)

    def first(self) -> int:
        """The oldest offset that is still there; 0 without a journal."""
        return self._below(lambda folder: next(iter(folder.bases()), 0), 0)

    def close(self) -> None:
        """Give the descriptor back; the next call opens what it needs."""
        if self._fd >= 0:
            fd, self._fd = self._fd, -1
            self._system.close(fd)
        if self._packed is not None:
            packed, self._packed = self._packed, None
            packed.close()
        self._dry = -1

    # Records, times ------------------------------------------------------------------------------------------------------------------------------

    def fragments(self, offset: int) -> Sequence[Fragment]:
        """Marked fragments that end after `offset`, in order.  Ask after read(): a mark is made before the first byte behind it.

        One stat when nothing changed since the last call.
        """
        self._refresh_marks()
        marks = self._marks
        if not marks or marks[-1].end <= offset:
            return ()
        return marks[bisect_right(marks, offset, key=lambda mark: mark.end) :]

    def record_start(self, offset: int, floor: int = 0) -> int:
        """Where the record begins that holds byte `offset`: after a record's end, a fragment or a hole, or at the oldest byte; not below `floor`."""
        self._refresh_marks()
        marks = self._marks
        framing = fragments.framing_at(marks, offset)
        low = self._mark_below(offset)
        if framing == Framing.NETSTRING:  # only walked forwards: from where the last walk came to, if that helps
            low = max(low, self._known) if self._known <= offset else low
            self._known = self._below(lambda folder: scan.record_border(folder, offset, low, framing), low)
            return max(floor, self._known)
        low = max(floor, low)
        return self._below(lambda folder: scan.record_border(folder, offset, low, framing), floor)

    def _mark_below(self, offset: int) -> int:
        """Where the last mark ends that ends at or before this offset."""
        before = bisect_right(self._marks, offset, key=lambda mark: mark.end)
        return self._marks[before - 1].end if before else 0

    def walkable(self, offset: int) -> int:
        """From where netstrings before this offset have to be walked: the last mark, or where the offset's segment begins."""
        return max(self._mark_below(offset), self._below(lambda folder: max((base for base in folder.bases() if base <= offset), default=0), 0))

    def framing(self, offset: int) -> int:
        """How the record is framed that begins at an offset (states.Framing or framing.BROKEN), as the marks said when `fragments` was asked last."""
        return fragments.framing_at(self._marks, offset) if self._marks else 0

    def at_time(self, wall_ns: int) -> int:
        """An offset behind which all that was written after that time follows: the last index entry not later; the oldest byte without one.

        Where the wall clock was set back, the earlier of two candidates is taken.
        """
        return self._below(lambda folder: self._at_time(folder, wall_ns), 0)

    def by_time(self, wall_ns: int) -> int:
        """An offset before which all lies that was written up to that time: the first index entry that is not earlier; the end without one.

        An entry is written within a second or so of the bytes before it, so one that is much later than the time says nothing of it: then it is the
        entry before, or the oldest byte.
        """
        return self._below(lambda folder: self._by_time(folder, wall_ns), 0)

    def time_of(self, offset: int) -> tuple[int, int]:
        """(end, wall_ns): the byte at `offset` was written at that time or shortly before, and so was all up to `end`; (offset + 1, 0) when the
        index does not know."""
        return self._below(lambda folder: self._time_of(folder, offset), (offset + 1, 0))

    def tail_offset(self, lines: int, floor: int = 0) -> int:
        """Where the last `lines` records begin; a last one without its end counts as one.  The oldest offset when there are fewer.  floor: netstrings
        are looked for in segments only that begin there or later."""
        if lines <= 0:
            return self.end()
        self._refresh_marks()

        def look(folder: Folder) -> int:
            end = self._find_end(folder)
            return scan.last_lines(folder, end, lines, fragments.framing_at(self._marks, end), max(floor, self._mark_below(end)))

        return self._below(look, 0)

    # Finding -------------------------------------------------------------------------------------------------------------------------------------

    def _without_cut(self, data: bytes, offset: int) -> bytes:
        """Drop what a cut took from under a read; see the module's docstring."""
        return data[: max(0, self._base + self._system.fstat(self._fd).st_size - offset)]

    def _goes_on(self) -> bool:
        """Whether the open segment is still the active one."""
        status = self._system.fstat(self._fd)
        return not is_sealed(status) and status.st_nlink > 0

    def _read_elsewhere(self, offset: int, limit: int) -> bytes:
        """Find the segment that holds `offset`.  The one that is there last is believed only once it was seen not to be sealed, or a second listing
        shows no successor."""

        if self._packed is not None and self._base <= offset < self._base + self._packed.size:
            return self._packed.pread(limit, offset - self._base)

        def look(folder: Folder) -> bytes:
            bases = folder.bases()
            at = bisect_right(bases, offset) - 1
            if at < 0:
                return b""
            self._open(folder, bases[at])
            if self._packed is not None:
                return self._packed.pread(limit, offset - self._base)
            data = self._system.pread(self._fd, limit, offset - self._base)
            if b"\0" in data:
                data = self._without_cut(data, offset)
            if not data and at == len(bases) - 1:
                if not self._goes_on():
                    self._demand_same(folder, bases)
                self._dry = offset
            return data

        return self._below(look, b"")

    def _open(self, folder: Folder, base: int) -> None:
        try:
            segment = opened(folder, base)
        except FileNotFoundError as error:
            raise scan.Moved from error
        self.close()
        self._base = base
        if isinstance(segment, Packed):
            self._packed = segment
        elif isinstance(segment, Plain):
            self._fd = segment.fd

    def _demand_same(self, folder: Folder, bases: list[int]) -> None:
        if folder.bases() != bases:
            raise scan.Moved

    def _find_end(self, folder: Folder) -> int:
        bases = folder.bases()
        if not bases:
            return 0
        status = folder.stat(named(bases[-1]))
        if status is None or is_sealed(status):
            self._demand_same(folder, bases)
        self._tail = bases[-1]
        return bases[-1] + (status.st_size if status is not None else self._size(folder, bases[-1]))

    def _skipped(self, folder: Folder, offset: int) -> int:
        bases = folder.bases()
        at = bisect_right(bases, offset)
        if at == len(bases):
            return offset
        if at == 0:
            return bases[0]
        return offset if offset < bases[at - 1] + self._size(folder, bases[at - 1]) else bases[at]

    def _size(self, folder: Folder, base: int) -> int:
        found = size(folder, base)
        if found is None:
            raise scan.Moved
        return found

    def _at_time(self, folder: Folder, wall_ns: int) -> int:
        bases = folder.bases()
        found = bases[0] if bases else 0
        for base in bases:
            with contextlib.closing(index.entries(folder, base)) as entries:
                for entry in entries:
                    if entry.wall_ns > wall_ns:
                        return found
                    found = entry.offset
        return found

    def _by_time(self, folder: Folder, wall_ns: int) -> int:
        bases = folder.bases()
        before = bases[0] if bases else 0
        for base in bases:
            with contextlib.closing(index.entries(folder, base)) as entries:
                for entry in entries:
                    if entry.wall_ns >= wall_ns:
                        return entry.offset if entry.wall_ns - wall_ns < NOTED_WITHIN_NS else before
                    before = entry.offset
        return self._find_end(folder)

    def _time_of(self, folder: Folder, offset: int) -> tuple[int, int]:
        bases = folder.bases()
        at = bisect_right(bases, offset) - 1
        for base in bases[max(at, 0) : at + 2]:
            with contextlib.closing(index.entries(folder, base)) as entries:
                for entry in entries:
                    if entry.offset > offset:
                        return entry.offset, entry.wall_ns
        return offset + 1, 0

    def _refresh_marks(self) -> None:
        try:
            status = self._system.stat(f"{self._path}/{fragments.FILE}")
        except FileNotFoundError:
            self._marks, self._marks_seen = (), None
            return
        seen = (status.st_ino, status.st_size, status.st_mtime_ns)
        if seen != self._marks_seen:
            found: Sequence[Fragment] = self._below(fragments.load, [])
            self._marks = sorted(found, key=lambda mark: mark.end)
            self._marks_seen = seen

    def _below(self, look: Callable[[Folder], _Answer], nothing: _Answer) -> _Answer:
        """What `look` finds in the folder, again while rotations disturb it; `nothing` when there is no folder."""
        try:
            folder = Folder(self._system, self._path)
        except FileNotFoundError:
            return nothing
        with contextlib.closing(folder):
            return scan.settled(lambda: look(folder))
