"""What `overflow: drop-oldest` skips, told without a flood: an alert when it begins, then a line in the log now and then with the sum.

A consumer that is always too slow drops a little at each turn of its loop; saying each would fill the log faster than the events would.
"""

from __future__ import annotations

from typing import NamedTuple

from efsupervisor.task.seat import Seat
from efsupervisor.task.source import Source

SAY_S = 10.0
"""Between two lines about one edge."""

CALM_S = 60.0
"""After so long without a drop the next one is news again."""


class Said(NamedTuple):
    """dropped: when the edge dropped last; said: when that was told last; untold: bytes since."""

    dropped: float
    said: float
    untold: int


class Drops:
    """The drops of one task, by edge."""

    def __init__(self, seat: Seat) -> None:
        self._seat = seat
        self._said: dict[str, Said] = {}

    def tell(self, source: Source, skipped: int) -> None:
        """So many bytes of an edge were skipped just now."""
        now, edge = self._seat.system.monotonic(), source.edge
        before = self._said.get(edge.id)
        untold = skipped + (before.untold if before is not None else 0)
        begins = before is None or now - before.dropped > CALM_S
        why = f"more than max_lag ({edge.max_lag} bytes) behind"
        sentence = f"dropped the oldest {untold} bytes of {edge.producer}: {why}; {source.state.dropped} in all"
        if begins:
            self._seat.alert("dropped", sentence)
        elif before is not None and now - before.said >= SAY_S:
            self._seat.say("WARN", sentence)
        elif before is not None:
            self._said[edge.id] = Said(now, before.said, untold)
            return
        self._said[edge.id] = Said(now, now, 0)
        self._seat.dirty()
