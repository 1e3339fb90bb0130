"""The incarnation log: one record when a program's life begins and one when it is closed.

An incarnation is one run of a task's program; its number never repeats.  The log answers three questions after a crash: which number is next, was the
last life closed (tree swept, output drained, cursors set), and where in the journals did each life begin and end.  Append-only; a record is 64
bytes with its own checksum; a torn one at the end is ignored and written over.

Record, little endian: u8 kind (1 begin, 2 end), u8 version, u16 flags (bit 0: exit status known; bit 1: stdout was cut off because a descendant held
it), u32 incarnation, u64 wall time ns, u64 end of the stdout journal, u64 end of the stderr journal, u32 pid, i32 wait status, u64 (begin: the ticket
of the wish that began the run, 0 for none; end: bytes given to stdin), u32 events taken + 1, u32 events written + 1 (ends only; 0: not counted), u16
attempt (0: not known), u16 zero, u32 crc32.  What is zero in records of older versions means "not known" in these.
"""

from __future__ import annotations

import os
import struct
import zlib
from typing import NamedTuple

from efsupervisor.system import System

VERSION = 1
BEGIN, END = 1, 2
_KNOWN, _CUT = 1, 2
_BODY = struct.Struct("<BBHIQQQIiQIIH2x")
_CRC = struct.Struct("<I")
RECORD_BYTES = _BODY.size + _CRC.size


_MOST = (1 << 32) - 2
_MOST_ATTEMPTS = (1 << 16) - 1


class Life(NamedTuple):
    """One record.  ticket: 16 hex digits, of a begin.  in_bytes, events_in, events_out: of an end; events are -1 where nobody counted them.  attempt:
    which of its run's, 0 when not known."""

    kind: int
    incarnation: int
    wall_ns: int
    out_end: int
    err_end: int
    pid: int = 0
    status: int | None = None
    cut: bool = False
    attempt: int = 0
    ticket: str = ""
    in_bytes: int = 0
    events_in: int = -1
    events_out: int = -1


def encode(life: Life) -> bytes:
    """The 64 bytes of a record."""
    flags = (_KNOWN if life.status is not None else 0) | (_CUT if life.cut else 0)
    body = _BODY.pack(
        life.kind, VERSION, flags, life.incarnation, life.wall_ns, life.out_end, life.err_end, life.pid, life.status or 0,
        int(life.ticket or "0", 16) if life.kind == BEGIN else life.in_bytes, min(life.events_in, _MOST) + 1, min(life.events_out, _MOST) + 1,
        min(life.attempt, _MOST_ATTEMPTS),
    )  # fmt: skip
    return body + _CRC.pack(zlib.crc32(body))


def decode(record: bytes) -> Life | None:
    """The record, None when it is torn or of another version."""
    if len(record) != RECORD_BYTES or _CRC.unpack_from(record, _BODY.size)[0] != zlib.crc32(record[: _BODY.size]):
        return None
    kind, version, flags, incarnation, wall_ns, out_end, err_end, pid, status, word, events_in, events_out, attempt = _BODY.unpack_from(record)
    if version != VERSION:
        return None
    begins = kind == BEGIN
    return Life(
        kind, incarnation, wall_ns, out_end, err_end, pid, status if flags & _KNOWN else None, bool(flags & _CUT), attempt,
        f"{word:016x}" if begins and word else "", 0 if begins else word, events_in - 1, events_out - 1,
    )  # fmt: skip


class Lives:
    """The log of one task; the caller holds the task's lock.  last: the newest valid record, None when there is none; ticket: of its life."""

    def __init__(self, path: str, system: System) -> None:
        self._system = system
        self._fd = system.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW)
        self._end = system.fstat(self._fd).st_size // RECORD_BYTES * RECORD_BYTES
        self.last: Life | None = None
        while self._end:
            self.last = decode(system.pread(self._fd, RECORD_BYTES, self._end - RECORD_BYTES))
            if self.last is not None:
                break
            self._end -= RECORD_BYTES
        self.ticket = self._ticket_of_last()

    def _ticket_of_last(self) -> str:
        if self.last is None or self.last.kind == BEGIN:
            return self.last.ticket if self.last is not None else ""
        before = self._end - 2 * RECORD_BYTES
        begin = decode(self._system.pread(self._fd, RECORD_BYTES, before)) if before >= 0 else None
        return begin.ticket if begin is not None and begin.incarnation == self.last.incarnation else ""

    @property
    def incarnation(self) -> int:
        """Number of the last life, 0 before the first."""
        return self.last.incarnation if self.last else 0

    @property
    def open_life(self) -> Life | None:
        """The last life when it was not closed."""
        return self.last if self.last and self.last.kind == BEGIN else None

    def append(self, life: Life) -> None:
        """Write one record; the same end twice is written once.  OSError when the disk is full: nothing was written then."""
        if self.last and (life.kind, life.incarnation) == (self.last.kind, self.last.incarnation):
            return
        record = encode(life)
        if self._system.pwrite(self._fd, record, self._end) != len(record):
            raise OSError(28, os.strerror(28), "lives")
        self._end += len(record)
        self.last = life
        if life.kind == BEGIN:
            self.ticket = life.ticket

    def close(self) -> None:
        """Close the file."""
        self._system.close(self._fd)
