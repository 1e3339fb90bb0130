"""Reading a journal backwards, in small pieces, across segments.

For everything that asks "where does this record begin".  Nothing here is on the hot path.  Scans run beside a live writer: when a rotation cuts a
segment between our listing and our reading, Moved is raised and the caller lists again.  Bytes are never invented: a hole is a border, and zeros
are believed only when the file was not cut (see reader).
"""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Callable, Generator, Iterator
from typing import NamedTuple, TypeVar

from efsupervisor.journal import framing as frames
from efsupervisor.journal.folder import PIECE, Folder, is_sealed
from efsupervisor.journal.packed import Plain, Segment, opened
from efsupervisor.states import Framing
from efsupervisor.system import System

_Found = TypeVar("_Found")


class Moved(Exception):
    """The folder changed under the scan; list it again."""


class Piece(NamedTuple):
    """`data` stands at offsets [start, end)."""

    start: int
    data: bytes

    @property
    def end(self) -> int:
        """Offset after the last byte."""
        return self.start + len(self.data)


def settled(look: Callable[[], _Found]) -> _Found:
    """The answer of `look`, asked again while a rotation disturbs it; a rotation takes a segment's worth of bytes, so this ends."""
    while True:
        try:
            return look()
        except Moved:
            continue


def backwards(folder: Folder, upto: int, floor: int) -> Generator[Piece, None, None]:
    """Pieces that end at `upto` and go down to `floor`, the last first.  A hole shows as a piece that does not end where the one before began.

    Stops without a word where retention has removed what is older.  Raises Moved.  Close it: it holds a descriptor.
    """
    bases = folder.bases()
    limit = upto
    for base in reversed(bases):
        if base < upto:
            try:
                segment = opened(folder, base)
            except FileNotFoundError:
                return
            try:
                if base == bases[-1] and is_sealed(segment.status) and folder.bases()[-1:] != [base]:
                    raise Moved
                yield from _within(folder.system, segment, base, min(limit, base + segment.size), floor)
            finally:
                segment.close()
        if base <= floor:
            return
        limit = min(limit, base)


def _within(system: System, segment: Segment, base: int, end: int, floor: int) -> Iterator[Piece]:
    low = max(base, floor)
    while end > low:
        start = max(low, end - PIECE)
        data = segment.pread(end - start, start - base)
        cut = isinstance(segment, Plain) and b"\0" in data and system.fstat(segment.fd).st_size < end - base
        if len(data) < end - start or cut:
            raise Moved
        yield Piece(start, data)
        end = start


def record_border(folder: Folder, upto: int, floor: int, framing: int = 0) -> int:
    """Where the record begins that is open at `upto`: after a record's end below `upto`, at a hole or at the oldest byte, never below `floor`, which
    is itself a record's beginning where netstrings are walked (a segment of those begins with one)."""
    if framing == Framing.NETSTRING:
        return _walked(folder, upto, floor)
    if framing == frames.BROKEN:
        return floor
    end, low = frames.terminator(framing), upto
    with contextlib.closing(backwards(folder, upto, floor)) as pieces:
        for piece in pieces:
            if piece.end != low:
                return low
            at = piece.data.rfind(end)
            if at >= 0:
                return piece.start + at + 1
            low = piece.start
    return low


def _walked(folder: Folder, upto: int, floor: int, begins: deque[int] | None = None) -> int:
    """The last border of netstrings at or before `upto`; `begins` is given where the records begin that lie between.  Walks in one segment."""
    base = max((each for each in folder.bases() if each < upto), default=upto)
    start = max(floor, base)
    if start >= upto:
        return upto
    try:
        segment = opened(folder, base)
    except FileNotFoundError as error:
        raise Moved from error
    try:
        return frames.walk(lambda at, size: segment.pread(size, at - base), start, upto, begins).border
    finally:
        segment.close()


def _last_netstrings(folder: Folder, upto: int, count: int, floor: int) -> int:
    """Where the last `count` of them begin; no segment is walked that begins below `floor`."""
    found: list[int] = []
    bases = folder.bases()
    while len(found) < count and upto > floor:
        begins: deque[int] = deque(maxlen=count)
        border = _walked(folder, upto, floor, begins)
        found = [*begins, *([border] if border < upto else []), *found]
        before = [base for base in bases if floor <= base < upto]
        if not before or before[-1] <= floor:
            break
        upto = before[-1]
    return found[-count:][0] if found else upto


def last_lines(folder: Folder, upto: int, lines: int, framing: int = 0, floor: int = 0) -> int:
    """Where the last `lines` records before `upto` begin; a last one without its end counts as one.  The oldest offset when there are fewer.  floor:
    what is not text is looked for from here on only."""
    if framing == Framing.NETSTRING:
        return _last_netstrings(folder, upto, lines, floor)
    if framing == frames.BROKEN:
        return floor
    end, low, wanted = frames.terminator(framing), upto, lines
    with contextlib.closing(backwards(folder, upto, 0)) as pieces:
        for piece in pieces:
            stop = len(piece.data) - (piece.end == upto and piece.data.endswith(end))
            while (at := piece.data.rfind(end, 0, stop)) >= 0:
                wanted -= 1
                if wanted == 0:
                    return piece.start + at + 1
                stop = at
            low = piece.start
    return low
