"""The alerts of the Core as a source of posts: fetched by long polls, held only until they are posted.

The Core keeps alerts and their numbers; here are the few that were fetched and not posted yet.  What was fetched by a collector that was killed is
fetched again, since the cursor moves only when the server has it.
"""

from __future__ import annotations

from collections import deque

import msgspec

from efsupervisor.core.collector.announcer import Slice, text_or_base64
from efsupervisor.core.collector.cursor import Position
from efsupervisor.messages.core import EventRow

NAME = "alerts"
STATE = "state"
ROOM = 1000
"""Alerts that are held; while there are so many no more are fetched."""


class Alerts:
    """next_seq: number of the first event that was not fetched yet, None before the first answer of the Core."""

    def __init__(self) -> None:
        self.next_seq: int | None = None
        self._held: deque[EventRow] = deque()
        self._lost = 0

    @property
    def has_room(self) -> bool:
        """More may be fetched."""
        return len(self._held) < ROOM

    def begin(self, position: Position) -> None:
        """Fetch from a stream's position on."""
        self._held.clear()
        self._lost = 0
        self.next_seq = position.get(NAME)

    def fetched(self, rows: list[EventRow], following: int, lost: int) -> None:
        """What the Core answered."""
        if self.next_seq is not None and following < self.next_seq:
            return  # an answer to a question of before
        self._held += [row for row in rows if row.what != STATE]
        self._lost += lost
        self.next_seq = following

    def look(self, position: Position, limit: int, until: Position | None = None) -> Slice:
        """See Source.  Positions are numbers: the first one that the server does not have."""
        begin = position.get(NAME, 0)
        while self._held and self._held[0].seq < begin:
            self._held.popleft()
        end = until.get(NAME, begin) if until is not None else None
        rows = [row for row in self._held if end is None or row.seq < end][:limit]
        lost, self._lost = (self._lost, 0) if until is None else (0, self._lost)
        return Slice([_record(row) for row in rows], {NAME: rows[-1].seq + 1} if rows else {}, lost)

    def waiting(self, position: Position) -> int:
        """Alerts that are held and not posted."""
        return sum(1 for row in self._held if row.seq >= position.get(NAME, 0))


def _record(row: EventRow) -> bytes:
    about: dict[str, object] = {
        "at": NAME,
        "next": row.seq + 1,
        "seq": row.seq,
        "time": round(row.wall, 3),
        "task": row.task,
        "what": row.what,
        "sentence": row.sentence,
        "lines": row.lines,
    }
    if row.event:
        about["event"] = text_or_base64(row.event)
    return msgspec.json.encode(about)
