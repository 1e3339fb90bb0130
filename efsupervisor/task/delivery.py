"""The delivery record and the register: how a worker that was killed at any instant is followed by one that knows what the program was given.

The question is how many bytes went into stdin.  A mark written beside write(2) is wrong after a kill between the two.  The FIFO's own mtime is the
register: the kernel overwrites it inside a write that put bytes in, and leaves it alone on EAGAIN and on reads.  With `put` = bytes put into this
incarnation's stdin so far, each piece goes

    1. utime(fifo, mtime = -1 - put nanoseconds)          a time before 1970 says: the piece is not in yet, `put` bytes are
    2. one pwrite of the delivery record, which already counts the piece
    3. a non-blocking write, all or nothing (at most PIPE_BUF bytes, or slots known to be free); on EAGAIN the record is restored

A successor reads the mtime: before 1970, that is the number; otherwise the record's.  Whatever instant the kill came at, one of the two is right.

The record holds everything a successor needs: per edge the cursor (first byte not acknowledged) and where reading goes on, the runs of events that
are outstanding, how far stderr was parsed, and how often the oldest event was charged with a program's death.  It is written into two slots in turn,
each with a sequence number and a checksum, so that a torn write leaves the one before.  Outstanding events are kept as *runs*: neighbours in one
journal, whose boundaries are found again in the journal itself, which never changes.

Layout of a slot (SLOT_BYTES, little endian), version 1: HEADER, then per edge EDGE, then per run RUN; the checksum covers all that follows it.
"""

from __future__ import annotations

import os
import struct
import zlib
from collections import deque
from typing import Protocol

from efsupervisor.errors import JournalError
from efsupervisor.system import Real

VERSION = 1
MAGIC = b"EFDL"
SLOT_BYTES = 16 << 10
MAX_EDGES = 128
MAX_RUNS = 400
HEADER = struct.Struct("<4sIHHIQIIQQQQQIIQ8sHH")
"""magic, crc32, version, flags, length, sequence, incarnation, charges, put, base, spool_parsed, err_end, acknowledged, careful, dead letters,
charged offset, charged edge id, edges, runs"""
EDGE = struct.Struct("<8sQQQQ")
"""edge id, cursor, next, taken in this incarnation, dropped bytes"""
RUN = struct.Struct("<HBBIQQ")
"""edge index, framing, flags, events (0: a stream's extent), offset, length in the journal"""

END_GIVEN, GAP, MID_LINE = 1, 2, 4
"""Flags of the record: the end of the input was given; all write ends were closed once, so the program may have seen a false end; the line of stderr
in which parsing goes on began before that."""
TERMINATED = 1
"""Flag of a run: its last record has no terminator in the journal and is given one."""
_CRC_AT = 8


FROM, TO = 0xF, 4
"""A run's framing: low four bits, how the journal frames it; above them, how it is framed on the wire (states.Framing)."""


class Run:
    """Neighbouring outstanding events of one edge.  lengths: of each event on the wire, empty for a stream's extent; wire: their sum.  spans: length
    of each event in the journal, the same list where nothing is framed anew."""

    __slots__ = ("edge", "flags", "framing", "length", "lengths", "offset", "spans", "wire")

    def __init__(
        self, edge: int, offset: int, length: int, lengths: list[int], framing: int = 0, flags: int = 0, spans: list[int] | None = None
    ) -> None:
        self.edge = edge
        self.offset = offset
        self.length = length
        self.lengths = lengths
        self.framing = framing
        self.flags = flags
        self.spans = lengths if spans is None else spans
        self.wire = sum(lengths) or length + (flags & TERMINATED)


class EdgeState:
    """One edge as the consumer sees it.  cursor: everything below is acknowledged; next: where reading goes on; taken: events (or bytes of a stream)
    taken in this incarnation; dropped: bytes skipped by `overflow: drop-oldest`."""

    __slots__ = ("cursor", "dropped", "id", "next", "taken")

    def __init__(self, edge_id: str, cursor: int, next_: int, taken: int = 0, dropped: int = 0) -> None:
        self.id = edge_id
        self.cursor = cursor
        self.next = next_
        self.taken = taken
        self.dropped = dropped


class Delivery:
    """The state that the record holds.  Every field is public: the watchers change it and then have it saved."""

    __slots__ = (
        "acknowledged", "base", "careful", "charged", "charges", "dead_letters", "edges", "end_given", "err_end", "gap", "incarnation",
        "mid_line", "put", "runs", "sequence", "spool_parsed",
    )  # fmt: skip

    def __init__(self) -> None:
        self.sequence = 0
        self.incarnation = 0
        self.put = 0
        self.base = 0
        self.spool_parsed = 0
        self.err_end = 0
        self.acknowledged = 0
        self.careful = 0
        self.charges = 0
        self.charged: tuple[str, int] = ("", 0)
        self.dead_letters = 0
        self.end_given = False
        self.gap = False
        self.mid_line = False
        self.edges: list[EdgeState] = []
        self.runs: deque[Run] = deque()

    @property
    def outstanding(self) -> int:
        """Events that are listed as outstanding (sent or about to be)."""
        return sum(len(run.lengths) for run in self.runs)

    def edge(self, edge_id: str) -> EdgeState | None:
        """The state of an edge by its id; the newest, when it was taken away and came again while events of it were out."""
        return next((edge for edge in reversed(self.edges) if edge.id == edge_id), None)

    def encode(self) -> bytes:
        """The bytes of one slot."""
        body = b"".join(
            [EDGE.pack(bytes.fromhex(e.id), e.cursor, e.next, e.taken, e.dropped) for e in self.edges]
            + [RUN.pack(r.edge, r.framing, r.flags, len(r.lengths), r.offset, r.length) for r in self.runs]
        )
        flags = (END_GIVEN if self.end_given else 0) | (GAP if self.gap else 0) | (MID_LINE if self.mid_line else 0)
        header = HEADER.pack(
            MAGIC, 0, VERSION, flags, HEADER.size + len(body), self.sequence, self.incarnation, self.charges, self.put, self.base,
            self.spool_parsed, self.err_end, self.acknowledged, self.careful, self.dead_letters, self.charged[1],
            bytes.fromhex(self.charged[0] or "0" * 16), len(self.edges), len(self.runs),
        )  # fmt: skip
        checksum = zlib.crc32(body, zlib.crc32(header[_CRC_AT:]))
        return header[:4] + struct.pack("<I", checksum) + header[_CRC_AT:] + body


def decode(slot: bytes) -> Delivery | None:
    """The record of a slot; None when it is empty or torn.  The runs' `lengths` hold zeros: their sizes are found in the journal (`remember`).
    JournalError for a version this program does not know."""
    if len(slot) < HEADER.size or slot[:4] != MAGIC:
        return None
    fields = HEADER.unpack_from(slot)
    length = fields[4]
    if not HEADER.size <= length <= len(slot) or zlib.crc32(slot[_CRC_AT:length]) != fields[1]:
        return None
    if fields[2] != VERSION:
        raise JournalError(f"the delivery record has version {fields[2]}, this program knows {VERSION}: use the newer efsupervisor")
    state = Delivery()
    flags = fields[3]
    state.sequence, state.incarnation, state.charges, state.put, state.base = fields[5:10]
    state.spool_parsed, state.err_end, state.acknowledged, state.careful, state.dead_letters = fields[10:15]
    state.charged = (fields[16].hex() if any(fields[16]) else "", fields[15])
    state.end_given, state.gap, state.mid_line = bool(flags & END_GIVEN), bool(flags & GAP), bool(flags & MID_LINE)
    at = HEADER.size
    for _ in range(fields[17]):
        edge_id, cursor, next_, taken, dropped = EDGE.unpack_from(slot, at)
        state.edges.append(EdgeState(edge_id.hex(), cursor, next_, taken, dropped))
        at += EDGE.size
    for _ in range(fields[18]):
        edge, framing, run_flags, events, offset, run_length = RUN.unpack_from(slot, at)
        state.runs.append(Run(edge, offset, run_length, [0] * events, framing, run_flags, spans=[0] * events))
        at += RUN.size
    return state


class Record:
    """The file with the two slots; the caller holds the task's lock."""

    def __init__(self, path: str, system: Real) -> None:
        self._system = system
        self._fd = system.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW)
        if system.fstat(self._fd).st_size < 2 * SLOT_BYTES:
            for slot in (0, 1):  # space is taken now: a disk that fills later cannot stop an acknowledgement
                if not system.pread(self._fd, 1, slot * SLOT_BYTES + SLOT_BYTES - 1):
                    system.pwrite(self._fd, bytes(SLOT_BYTES), slot * SLOT_BYTES)

    def load(self) -> Delivery:
        """The newest whole record; an empty one when there is none."""
        return newest(self._system, self._fd)

    def save(self, state: Delivery) -> None:
        """Make `state` what a successor finds.  OSError when the disk is full: the record before stands, in the other slot."""
        state.sequence += 1
        try:
            self._write(state)
        except (OSError, JournalError):
            state.sequence -= 1  # the next try goes to the same slot, not to the one that stands
            raise

    def _write(self, state: Delivery) -> None:
        data = state.encode()
        if len(data) > SLOT_BYTES:  # MAX_EDGES and MAX_RUNS keep it below
            raise JournalError(f"{len(state.runs)} outstanding runs of {len(state.edges)} edges do not fit into the delivery record")
        if self._system.pwrite(self._fd, data, SLOT_BYTES * (state.sequence & 1)) != len(data):
            raise OSError(28, os.strerror(28), "delivery")

    def close(self) -> None:
        """Close the file."""
        self._system.close(self._fd)


def saved(path: str, system: Real) -> Delivery:
    """The newest record of a task whose lock we do not hold (it may be a step old); an empty one when there is none."""
    try:
        fd = system.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    except FileNotFoundError:
        return Delivery()
    try:
        return newest(system, fd)
    finally:
        system.close(fd)


def newest(system: Real, fd: int) -> Delivery:
    """The newest whole record of a file."""
    slots = [decode(system.pread(fd, SLOT_BYTES, SLOT_BYTES * number)) for number in (0, 1)]
    return max((slot for slot in slots if slot), key=lambda slot: slot.sequence, default=Delivery())


class RegisterLike(Protocol):
    """What a watcher needs of a register; the tests put a deliberately wrong one in its place."""

    fd: int

    def __init__(self, fd: int, record: Record, system: Real) -> None: ...
    def begin(self) -> None: ...
    def recover(self, state: Delivery) -> None: ...
    def put(self, piece: bytes | memoryview, state: Delivery) -> bool: ...


class Register:
    """The three steps above, for one incarnation's stdin.  fd: the FIFO, non-blocking, owned by the watcher."""

    def __init__(self, fd: int, record: Record, system: Real) -> None:
        self.fd = fd
        self._record = record
        self._system = system

    def begin(self) -> None:
        """A fresh FIFO: nothing is in it."""
        self._system.utime_ns(self.fd, 0, -1)

    def recover(self, state: Delivery) -> None:
        """Set `state.put` to what really went in."""
        mtime_ns = self._system.fstat(self.fd).st_mtime_ns
        if mtime_ns < 0:
            state.put = -1 - mtime_ns

    def put(self, piece: bytes | memoryview, state: Delivery) -> bool:
        """Write one piece; False when the pipe has no room (then nothing was written).  The caller has added the piece's events to `state.runs`; they
        stay listed when it fails, as events that are still to be sent."""
        system = self._system
        size = len(piece)
        system.utime_ns(self.fd, 0, -1 - state.put)
        state.put += size
        try:
            self._record.save(state)
        except OSError:
            state.put -= size
            raise
        system.fault("register:recorded")
        try:
            written = system.write(self.fd, piece)
        except BlockingIOError:
            state.put -= size
            self._record.save(state)
            return False
        if written != size:
            raise JournalError(f"a pipe took {written} of {size} bytes that it had room for")
        system.fault("register:written")
        return True


def fifo_keeps_register(folder: str, system: Real) -> bool:
    """Whether FIFOs in this folder can serve as register: a time before 1970 is kept, a write overwrites it, a read does not."""
    path = f"{folder}/register-test.{system.getpid()}"
    try:
        system.mkfifo(path, 0o600)
    except OSError:
        return False
    try:
        fd = system.open(path, os.O_RDWR | os.O_NONBLOCK)
        try:
            system.utime_ns(fd, 0, -1 - 123_456_789_012)
            kept = system.fstat(fd).st_mtime_ns == -1 - 123_456_789_012
            system.write(fd, b"x")
            overwritten = system.fstat(fd).st_mtime_ns > 0
            system.utime_ns(fd, 0, -1 - 7)
            system.read(fd, 1)
            return kept and overwritten and system.fstat(fd).st_mtime_ns == -1 - 7
        finally:
            system.close(fd)
    except OSError:
        return False
    finally:
        system.unlink(path)
