"""From two samples of an edge to what a person wants to know of it: rates, lag in bytes and in events, the age of the oldest event.

Rates are what passed between the two samples, by the time between them.  Bytes are exact; events are counted where the stretch is short enough and
estimated from samples of it where it is not, and the row says which for the lag.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from efsupervisor.journal import Reader
from efsupervisor.journal.framing import terminator
from efsupervisor.messages.call import EdgeFigures
from efsupervisor.messages.core import FlowRow
from efsupervisor.passing.edges import About, Ref, Sample, about
from efsupervisor.passing.records import Budget, Count, count, framing_at
from efsupervisor.system import Real

LEAST_S = 1e-3


class Counted(NamedTuple):
    """Events in the stretches between two samples: written, acknowledged, waiting; None where events are not told apart by a byte."""

    came: Count
    went: Count
    waiting: Count


def figures(rows: Sequence[FlowRow], var: str, before: Mapping[str, Sample], after: Mapping[str, Sample], system: Real) -> list[EdgeFigures]:
    """The figures of each edge that both samples know.  Reads the journals, within one budget for all."""
    budget = Budget()
    found = []
    for row in rows:
        first, last = before.get(row.id), after.get(row.id)
        if first is not None and last is not None:
            ref = ref_of(row, var)
            facts = about(ref)
            with contextlib.closing(Reader(ref.journal, system=system)) as reader:
                counted = _counted(reader, first, last, budget)
                age_s = _age_s(reader, last, system.wall_ns())
            found.append(made(row, facts, first, last, counted, age_s))
    return found


def ref_of(row: FlowRow, var: str) -> Ref:
    """Where the files of a row's edge are."""
    return Ref(var, row.id, row.producer, tuple(row.consumers), row.mode)


def made(row: FlowRow, facts: About, first: Sample, last: Sample, counted: Counted | None, age_s: float) -> EdgeFigures:
    """One row.  A cursor that went back (an edge that was made anew between the samples) is no rate."""
    window_s = max(LEAST_S, last.at - first.at)
    went = max(0, last.cursor - first.cursor)
    return EdgeFigures(
        flow=row.flow,
        producer=row.producer,
        consumers=row.consumers,
        mode=row.mode,
        overflow=row.overflow,
        max_lag=row.max_lag,
        lag_bytes=max(0, last.end - last.cursor),
        lag_events=counted.waiting.events if counted else -1,
        lag_exact=counted.waiting.exact if counted else False,
        oldest_s=age_s,
        in_bytes_s=max(0, last.end - first.end) / window_s,
        in_events_s=counted.came.events / window_s if counted else -1.0,
        out_bytes_s=max(0, went - (last.dropped - first.dropped)) / window_s,
        out_events_s=counted.went.events / window_s if counted else -1.0,
        in_flight=last.in_flight,
        in_flight_bytes=last.in_flight_bytes,
        acknowledged_bytes=max(0, last.cursor - facts.start - last.dropped),
        dropped_bytes=last.dropped,
        held_since=row.held_since,
        cursor=last.cursor,
        end=last.end,
    )


def _counted(reader: Reader, first: Sample, last: Sample, budget: Budget) -> Counted | None:
    end = terminator(framing_at(reader, last.end))
    if not end:
        return None
    return Counted(
        count(reader, first.end, last.end, end, budget),
        count(reader, first.cursor, last.cursor, end, budget),
        count(reader, last.cursor, last.end, end, budget),
    )


def _age_s(reader: Reader, last: Sample, wall_ns: int) -> float:
    """How long the oldest event waits, by the journal's time index; what is too new for the index has just come."""
    if last.end <= last.cursor:
        return 0.0
    _end, written_ns = reader.time_of(max(last.cursor, reader.first()))
    return max(0.0, (wall_ns - written_ns) / 1e9) if written_ns else 0.0
