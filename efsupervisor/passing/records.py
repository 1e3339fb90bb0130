"""Events in a stretch of a journal: how many, and the last of them, with bounds on what is read for it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from efsupervisor.journal import Reader
from efsupervisor.journal.framing import BROKEN

PIECE = 256 << 10
EXACT_BYTES = 4 << 20
"""A stretch up to this is counted, a longer one is estimated from samples."""

SAMPLE = 128 << 10


class Count(NamedTuple):
    """How many events.  exact: counted, not estimated."""

    events: int
    exact: bool


NOTHING = Count(0, True)


class Budget:
    """Bytes that one look may read in all, so that a thousand edges with long queues cost no more than a few."""

    def __init__(self, limit: int = 64 << 20) -> None:
        self._left = limit

    def grant(self, wanted: int) -> bool:
        """Whether so many bytes may be read; they count as read then."""
        if wanted > self._left:
            return False
        self._left -= wanted
        return True


def count(reader: Reader, start: int, stop: int, end: bytes, budget: Budget) -> Count:
    """Events that end in [start, stop) of a journal.  Estimated from both ends of the stretch when it is long, or when the budget is used up; at
    least one where there are bytes."""
    start = max(start, reader.first())
    length = stop - start
    if length <= 0:
        return NOTHING
    if length <= EXACT_BYTES and budget.grant(length):
        return Count(sum(piece.count(end) for piece in pieces(reader, start, stop)), True)
    seen = ended = 0
    for at in (start, max(start, stop - SAMPLE)):
        piece = reader.read(at, min(SAMPLE, stop - at))
        seen += len(piece)
        ended += piece.count(end)
    return Count(max(1, round(length * ended / seen)) if seen else 0, False)


def framing_at(reader: Reader, offset: int) -> int:
    """How events are told apart at a place of a journal (states.Framing); lines where nobody can say."""
    reader.fragments(offset)
    found = reader.framing(offset)
    return 0 if found == BROKEN else found


def pieces(reader: Reader, start: int, stop: int) -> Iterator[bytes]:
    """The bytes of a stretch; holes in it are left out."""
    while start < stop:
        piece = reader.read(start, min(PIECE, stop - start))
        if piece:
            start += len(piece)
            yield piece
            continue
        onward = reader.skip(start)
        if onward <= start:
            return
        start = onward
