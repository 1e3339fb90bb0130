"""The lines of a stretch of a journal, for people who look through it: bounded in memory, whatever the bytes are.

Lines are what newlines part, in any journal and under any framing: this is for reading, not for delivering.  Works beside a live writer; what
retention takes away meanwhile is stepped over.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from efsupervisor.journal.reader import Reader

PIECE = 256 << 10
LONGEST = 1 << 20
"""Bytes of a line that are held at once; a longer one is given in parts of this length."""


class Line(NamedTuple):
    """`data` stands at `offset`, without its newline.  next: where the following line begins.  whole: it ends with a newline."""

    offset: int
    data: bytes
    next: int
    whole: bool


def lines(reader: Reader, start: int, stop: int) -> Iterator[Line]:
    """The lines that begin in [start, stop), the last one to its end as far as it is written."""
    at, held = start, b""
    while True:
        data = reader.read(at + len(held), PIECE)
        if not data:
            onward = reader.skip(at + len(held))
            if held:
                yield Line(at, held, at + len(held), whole=False)
            if onward <= at + len(held) or onward >= stop:
                return
            at, held = onward, b""
            continue
        *ended, rest = data.split(b"\n")
        for part in ended:
            if at >= stop:
                return
            line, held = held + part, b""
            yield Line(at, line, at + len(line) + 1, whole=True)
            at += len(line) + 1
        held += rest
        if len(held) >= LONGEST:
            yield Line(at, held, at + len(held), whole=False)
            at, held = at + len(held), b""
        if at >= stop:
            return
