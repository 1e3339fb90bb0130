"""Which closed segments may go.

surplus() decides, from sizes, times and what cursors need; apply() looks at the folder and removes.  Only a prefix is ever removed, the oldest
first, so that what is left is one stretch; the active segment never goes.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

from efsupervisor.journal.folder import INDEX, PACKED, Folder, named


class Limits(NamedTuple):
    """keep_bytes and keep_age_s: beyond either a segment that nobody needs goes; hard_bytes: beyond it a needed one goes too.  0: no such limit."""

    keep_bytes: int
    keep_age_s: float
    hard_bytes: int

    def may_bind(self, held: int) -> bool:
        """Whether a journal of `held` bytes, uncompressed, can be over a limit at all; asked often, so it looks at no file."""
        return bool(self.keep_age_s) or 0 < self.keep_bytes < held or 0 < self.hard_bytes < held


class Closed(NamedTuple):
    """A closed segment [base, end), last written at mtime_ns.  disk: bytes that it takes there, fewer than its own when it is compressed."""

    base: int
    end: int
    mtime_ns: int
    disk: int


class Surplus(NamedTuple):
    """Segments to remove, oldest first, and how many of their bytes a cursor still needed."""

    segments: list[Closed]
    unread: int


def surplus(closed: Sequence[Closed], active: int, limits: Limits, needed: int, wall_ns: int) -> Surplus:
    """The oldest segments that go.  active: bytes of the segment that is written.  Sizes are those on disk; a segment's age is counted from its last
    byte, so a clock that jumps back only keeps more."""
    going: list[Closed] = []
    unread, left = 0, active + sum(segment.disk for segment in closed)
    for segment in closed:
        held, left = left, left - segment.disk
        too_much = 0 < limits.keep_bytes < held
        too_old = limits.keep_age_s > 0 and wall_ns - segment.mtime_ns > limits.keep_age_s * 1e9
        if segment.end > needed:
            if not 0 < limits.hard_bytes < held:
                break
            unread += segment.end - max(needed, segment.base)
        elif not too_much and not too_old and not 0 < limits.hard_bytes < held:
            break
        going.append(segment)
    return Surplus(going, unread)


def apply(folder: Folder, limits: Limits, end: int, needed: int, wall_ns: int) -> list[str]:
    """Remove what surplus() finds; returns a sentence when a cursor needed some.  OSError: some are still there, and the next call finds them."""
    bases = folder.bases()
    closed = [_closed(folder, base, following) for base, following in pairwise(bases)]
    going = surplus(closed, end - bases[-1], limits, needed, wall_ns)
    for segment in going.segments:
        folder.remove(named(segment.base))
        folder.remove(named(segment.base, PACKED))
        folder.system.fault("retain:removed")
        folder.remove(named(segment.base, INDEX))
    if not going.unread:
        return []
    return [
        f"{going.unread} bytes up to offset {going.segments[-1].end} were removed though they were not consumed:"
        f" the journal was longer than its hard limit of {limits.hard_bytes} bytes"
    ]


def _closed(folder: Folder, base: int, end: int) -> Closed:
    status = folder.stat(named(base)) or folder.stat(named(base, PACKED))
    return Closed(base, end, status.st_mtime_ns if status else 0, status.st_size if status else 0)
