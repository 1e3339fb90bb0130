"""Where the files of an edge are, and one sample of how far it is.

The cursor of a broad edge and what is in flight come from the consumer's delivery record, those of a share edge from its claims log, read without its
lock: an append is whole or absent, and a file that was replaced meanwhile is as true as the new one was a moment ago.

A stream acknowledges by reading, and nobody tells a worker of that; so what its stdin still holds is asked of the pipe itself, which disturbs nobody.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Mapping
from typing import NamedTuple

import msgspec

from efsupervisor.journal import Reader
from efsupervisor.journal.claimlog import HEADER, Ledger, parse
from efsupervisor.states import Mode
from efsupervisor.system import Real, short_id
from efsupervisor.task.delivery import Delivery, EdgeState, saved
from efsupervisor.task.paths import TaskPaths

MAX_CLAIMS = 64 << 20
"""Bytes of a claims log that are read; one that large could only be broken."""


class Ref(NamedTuple):
    """One edge.  producer empty: a task's own input queue.  var: the supervisor's folder."""

    var: str
    id: str
    producer: str
    consumers: tuple[str, ...]
    mode: Mode

    @property
    def folder(self) -> str:
        """Where edge.json, the cursor and the claims are."""
        return f"{self.var}/flows/{self.id}"

    @property
    def journal(self) -> str:
        """The journal that it reads."""
        return paths(self.var, self.producer).out_journal if self.producer else paths(self.var, self.consumers[0]).input_journal


class Seated(msgspec.Struct, frozen=True):
    """A consumer in edge.json: its number in the claims log."""

    name: str
    member: int = 0


class About(msgspec.Struct, frozen=True):
    """What is needed of edge.json."""

    start: int = 0
    consumers: list[Seated] = []
    departed: list[Seated] = []


class Sample(NamedTuple):
    """One look at one edge.  at: monotonic seconds.  end: of the journal.  cursor: everything below is acknowledged.  given: of it, and of what is
    in flight (a broad edge: where reading goes on).  in_flight: events, -1 for a stream.  dropped: bytes that were skipped."""

    at: float
    end: int
    cursor: int
    given: int
    in_flight: int
    in_flight_bytes: int
    dropped: int


def paths(var: str, task: str) -> TaskPaths:
    """The paths of a task by its name."""
    return TaskPaths(f"{var}/tasks/{short_id(task)}")


def about(ref: Ref) -> About:
    """What edge.json says; the usual when it cannot be read (the edge was taken away meanwhile)."""
    try:
        with open(f"{ref.folder}/edge.json", "rb") as file:
            return msgspec.json.decode(file.read(), type=About)
    except (OSError, msgspec.DecodeError):
        return About()


def samples(refs: Iterable[Ref], system: Real) -> dict[str, Sample]:
    """One sample of each edge, by id."""
    records: dict[str, Delivery] = {}
    found: dict[str, Sample] = {}
    for ref in refs:
        for name in ref.consumers:
            if name not in records:
                records[name] = saved(paths(ref.var, name).delivery, system)
        with contextlib.closing(Reader(ref.journal, system=system)) as reader:
            found[ref.id] = (_shared if ref.mode is Mode.SHARE else _broad)(ref, reader, records, system)
    return found


def _broad(ref: Ref, reader: Reader, records: Mapping[str, Delivery], system: Real) -> Sample:
    end = reader.end()
    record = records[ref.consumers[0]]
    state = record.edge(ref.id)
    if state is None:  # it was never served: the cursor file says where it begins
        cursor = _hint(f"{ref.folder}/cursor.{short_id(ref.consumers[0])}")
        return Sample(system.monotonic(), end, cursor, cursor, 0, 0, 0)
    index = record.edges.index(state)
    runs = [run for run in record.runs if run.edge == index]
    stream = any(not run.lengths for run in runs)
    cursor = _read_up_to(record, index, _consumed(ref, record, system)) if stream else state.cursor
    events = -1 if stream else sum(len(run.lengths) for run in runs)
    return Sample(system.monotonic(), max(end, state.next), cursor, state.next, events, max(0, state.next - cursor), state.dropped)


def _consumed(ref: Ref, record: Delivery, system: Real) -> int:
    """How many bytes the program has read of its stdin, as far as that is known."""
    try:
        fd = system.open(paths(ref.var, ref.consumers[0]).fifo(f"in.{record.incarnation}"), os.O_RDONLY | os.O_NONBLOCK)
    except OSError:
        return record.base
    try:
        return record.put - system.unread(fd)
    finally:
        system.close(fd)


def _read_up_to(record: Delivery, index: int, consumed: int) -> int:
    """The first byte of a stream's edge that the program has not read."""
    position = record.base
    for run in record.runs:
        if run.edge == index and position + run.wire > consumed:
            return run.offset + max(0, min(consumed - position, run.length))
        position += run.wire
    return record.edges[index].next


def _shared(ref: Ref, reader: Reader, records: Mapping[str, Delivery], system: Real) -> Sample:
    end = reader.end()
    group = ledger(ref)
    dropped = 0
    for seat in about(ref).consumers:
        record = records.get(seat.name)
        state = record.edge(ref.id) if record is not None else None
        if record is not None and state is not None:
            dropped += state.dropped
            holder = group.holders.get((seat.member, record.incarnation))
            if holder is not None:
                holder.acknowledge(_acknowledged(record, state))
    held = [claim for holder in group.holders.values() for claim in holder.held]
    cursor = group.floor()
    return Sample(system.monotonic(), max(end, group.next), cursor, group.next, len(held), sum(claim.length for claim in held), dropped)


def _acknowledged(record: Delivery, state: EdgeState) -> int:
    """Events of the edge that are acknowledged in this life: the record knows it at once, the claims log with the next claim."""
    index = record.edges.index(state)
    return state.taken - sum(len(run.lengths) for run in record.runs if run.edge == index)


def ledger(ref: Ref) -> Ledger:
    """What the claims log adds up to; an empty one when it is not there."""
    group = Ledger()
    try:
        with open(f"{ref.folder}/claims", "rb") as file:
            data = file.read(MAX_CLAIMS)
    except FileNotFoundError:
        return group
    for record in parse(data[HEADER.size :]):
        group.add(record)
    return group


def _hint(path: str) -> int:
    try:
        with open(path, "rb") as file:
            data = file.read(8)
    except FileNotFoundError:
        return 0
    return int.from_bytes(data, "little") if len(data) == 8 else 0
