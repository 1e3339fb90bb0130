"""The file of a share group: fixed records that each stand alone, and the state that they add up to.

`claims` is a 16-byte header {magic, version, flags, generation} and then 40-byte records with a checksum each.  Reading them in order gives Ledger,
and nothing else does; two readers of the same bytes have the same state.  This module packs, parses and adds up; it does no input or output.

A *holder* is one incarnation of one member's program.  Its claims are counted from the first, so that "acknowledged: 7" means the first seven;
those that are acknowledged are forgotten and only counted (the base).  A return ends a holder: what it acknowledged is done, the rest is free
again.
"""

from __future__ import annotations

import enum
import struct
import zlib
from collections.abc import Iterator
from itertools import chain
from typing import NamedTuple

from efsupervisor.errors import Code, JournalError

_MAGIC = b"EFCL"
_VERSION = 1
HEADER = struct.Struct("<4sHHQ")
RECORD = struct.Struct("<BBHIIIQQII")
_BODY = RECORD.size - 4


class Kind(enum.IntEnum):
    """What a record says; the numbers are on disk.  NEXT and FREE occur in checkpoints (NEXT also at the beginning of a
    group, and where `overflow: drop-oldest` skipped what nobody had claimed)."""

    CLAIM = 1
    RETURN = 2
    ACKNOWLEDGED = 3
    MEMBER_GONE = 4
    NEXT = 5
    FREE = 6


class Claim(NamedTuple):
    """One event: `length` bytes (terminator included) from `offset` of the producer's journal, and how it is framed (states.Framing)."""

    offset: int
    length: int
    framing: int = 0


class Record(NamedTuple):
    """One record as read.  done: acknowledged in all by that incarnation."""

    kind: int
    member: int = 0
    incarnation: int = 0
    done: int = 0
    claim: Claim = Claim(0, 0)


def header(generation: int) -> bytes:
    """The first bytes of a file; the generation grows with each checkpoint."""
    return HEADER.pack(_MAGIC, _VERSION, 0, generation)


def generation_of(data: bytes) -> int | None:
    """The generation in a header, None when it is none (an empty file after a power loss).  JournalError: of another version."""
    if len(data) < HEADER.size:
        return None
    magic, version, _, generation = HEADER.unpack_from(data)
    if magic != _MAGIC:
        return None
    if version != _VERSION:
        raise JournalError(f"the claims file has format {version}; this program knows {_VERSION}: use a newer one", Code.VERSION)
    return int(generation)


def pack(record: Record) -> bytes:
    """40 bytes."""
    offset, length, framing = record.claim
    data = RECORD.pack(record.kind, framing, 0, record.member, record.incarnation, record.done, offset, length, 0, 0)[:_BODY]
    return data + zlib.crc32(data).to_bytes(4, "little")


def parse(data: bytes) -> Iterator[Record]:
    """The valid records at the beginning of `data`; stops at the first that is torn or no record at all."""
    for at in range(0, len(data) - RECORD.size + 1, RECORD.size):
        kind, framing, _, member, incarnation, count, offset, length, _, checksum = RECORD.unpack_from(data, at)
        if checksum != zlib.crc32(data[at : at + _BODY]):
            return
        yield Record(kind, member, incarnation, count, Claim(offset, length, framing))


class Holder:
    """Claims of one incarnation.  base: how many are acknowledged and forgotten; held: the rest, in the order of their claiming."""

    __slots__ = ("base", "held")

    def __init__(self) -> None:
        self.base = 0
        self.held: list[Claim] = []

    def acknowledge(self, count: int) -> None:
        """The first `count` in all are done.  A count beyond what is known (as a checkpoint begins) becomes the base."""
        if count > self.base:
            del self.held[: count - self.base]
            self.base = count


class Ledger:
    """What the records add up to.  next: the first offset never claimed."""

    __slots__ = ("_free", "holders", "next")

    def __init__(self) -> None:
        self.next = 0
        self.holders: dict[tuple[int, int], Holder] = {}
        self._free: dict[int, Claim] = {}

    def free(self) -> list[Claim]:
        """Claims that came back and wait for a new holder, oldest offset first."""
        return sorted(self._free.values())

    def floor(self) -> int:
        """Every offset below is acknowledged."""
        held = (claim.offset for holder in self.holders.values() for claim in holder.held)
        return min(chain(self._free, held), default=self.next)

    def outstanding(self, member: int, incarnation: int, count: int) -> list[Claim]:
        """What a return with this acknowledged count would free."""
        holder = self.holders.get((member, incarnation))
        return [] if holder is None else holder.held[max(0, count - holder.base) :]

    def of_member(self, member: int) -> list[int]:
        """Incarnations of a member that have claims or a count."""
        return [incarnation for one, incarnation in self.holders if one == member]

    def add(self, record: Record) -> None:
        """Apply one record; a kind that this version does not know is passed over."""
        where = (record.member, record.incarnation)
        match record.kind:
            case Kind.CLAIM:
                self._claim(where, record.claim)
            case Kind.ACKNOWLEDGED:
                self.holders.setdefault(where, Holder()).acknowledge(record.done)
            case Kind.RETURN:
                self._return(where, record.done)
            case Kind.MEMBER_GONE:
                for incarnation in self.of_member(record.member):
                    self._return((record.member, incarnation), 0)
            case Kind.NEXT:
                self.next = max(self.next, record.claim.offset)
            case Kind.FREE:
                self._free[record.claim.offset] = record.claim

    def snapshot(self) -> Iterator[Record]:
        """Records that add up to this state from nothing."""
        yield Record(Kind.NEXT, claim=Claim(self.next, 0))
        for claim in self.free():
            yield Record(Kind.FREE, claim=claim)
        for (member, incarnation), holder in self.holders.items():
            yield Record(Kind.ACKNOWLEDGED, member, incarnation, holder.base)
            for claim in holder.held:
                yield Record(Kind.CLAIM, member, incarnation, claim=claim)

    def _claim(self, where: tuple[int, int], claim: Claim) -> None:
        self._free.pop(claim.offset, None)
        self.next = max(self.next, claim.offset + claim.length)
        holder = self.holders.get(where)
        if holder is None:
            self._forget_older(*where)
            holder = self.holders[where] = Holder()
        holder.held.append(claim)

    def _return(self, where: tuple[int, int], count: int) -> None:
        holder = self.holders.pop(where, None)
        if holder is not None:
            holder.acknowledge(count)
            self._free.update((claim.offset, claim) for claim in holder.held)

    def _forget_older(self, member: int, incarnation: int) -> None:
        """An older incarnation that holds nothing is a bare count; without this they would pile up."""
        for older in self.of_member(member):
            if older < incarnation and not self.holders[member, older].held:
                del self.holders[member, older]
