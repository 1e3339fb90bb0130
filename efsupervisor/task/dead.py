"""A task's dead letters: events that were given up, in a journal of their own, and what became of them.

The worker appends letters (efsupervisor.task.event); the Core lists them and settles them.  A letter's number is its offset in the journal, which is
never used twice.  That one was put back or dropped is noted in the file `dead-settled`, by the Core alone, *after* the put: a crash between the two
leaves a letter that was put back and still stands here, and putting it back again finds the id of the first put and appends nothing.

dead-settled: records of 16 bytes, little endian: u64 number, u32 what (1 put back, 2 dropped), u32 crc32 of the 12 bytes before.  A torn record at
the end is as if never written, and is written over.
"""

from __future__ import annotations

import base64
import contextlib
import errno
import os
import struct
import zlib
from collections.abc import Generator

import msgspec

from efsupervisor.errors import Code, EfError
from efsupervisor.journal import Reader, Writer
from efsupervisor.journal.framing import payload
from efsupervisor.system import Real
from efsupervisor.task.paths import TaskPaths

PUT_BACK, DROPPED = 1, 2
WORDS = {PUT_BACK: "put back", DROPPED: "dropped"}
_RECORD = struct.Struct("<QI")
_SIZE = _RECORD.size + 4
_LONGEST = 32 << 20
"""Bytes of one letter that are read at all."""
_PIECE = 1 << 20


class DeadLetter(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the dead-letter journal.  (edge, offset) is its identity.  event: base64 of at most max_event bytes of the producer's journal,
    framed as that says (framing).  died: how the program died last, empty when no death is to blame; status: its wait status where that is known.
    lines: the last that it had written to stderr, as far as its worker had seen them."""

    version: int = 1
    edge: str
    producer: str
    offset: int
    length: int
    deliveries: int
    reason: str
    wall: float
    event: str
    framing: int = 0
    died: str = ""
    status: int | None = None
    lines: list[str] = []

    @property
    def content(self) -> bytes:
        """The event as it lies in its producer's journal, or its beginning."""
        return base64.b64decode(self.event)


def letters(paths: TaskPaths, since: int, system: Real) -> Generator[tuple[int, int, DeadLetter], None, None]:
    """(number, where the next one is, letter) of every letter from an offset on, also of those that are settled.  Close it: it holds a descriptor."""
    reader = Reader(paths.dead_journal, system=system)
    try:
        at = reader.skip(max(since, 0))
        while (line := _line(reader, at)) is not None:
            following = at + len(line)
            found = decoded(line)
            if found is not None:
                yield at, following, found
            at = reader.skip(following)
    finally:
        reader.close()


def decoded(line: bytes) -> DeadLetter | None:
    """The letter in a line; None for the rest of one whose writer was killed."""
    try:
        return msgspec.json.decode(line, type=DeadLetter)
    except msgspec.MsgspecError:
        return None


def _line(reader: Reader, at: int) -> bytes | None:
    found = b""
    while part := reader.read(at + len(found), _PIECE):
        cut = part.find(b"\n")
        if cut >= 0:
            return found + part[: cut + 1]
        found += part
        if len(found) > _LONGEST:
            raise EfError(f"the dead letter at offset {at} is longer than {_LONGEST >> 20} MiB: read the journal itself", Code.TOO_LARGE)
    return None


def letter(paths: TaskPaths, number: int, system: Real) -> DeadLetter:
    """The letter with this number.  EfError NO_SUCH_TASK when there is none."""
    reader = Reader(paths.dead_journal, system=system)
    try:
        begins = reader.first() <= number < reader.end() and reader.record_start(number) == number
    finally:
        reader.close()
    with contextlib.closing(letters(paths, number, system)) as following:
        found = next(following, None) if begins else None
    if found is None or found[0] != number:
        raise EfError(f"there is no dead letter {number}; `efctl dlq ls` lists those that are there", Code.NO_SUCH_TASK)
    return found[2]


def event_of(found: DeadLetter) -> bytes:
    """What the event says, to be put back.  EfError when only its beginning was kept."""
    content = found.content
    if len(content) < found.length:
        where = f"of {found.producer} at offset {found.offset}" if found.producer else f"at offset {found.offset} of the input queue"
        reason = f"of its {found.length} bytes only the first {len(content)} were kept (input.max_event); the whole event is in the log {where}"
        raise EfError(reason, Code.TOO_LARGE)
    return payload(found.framing, content)


# What became of them -------------------------------------------------------------------------------------------------------------------------------


def settled(paths: TaskPaths, system: Real) -> dict[int, int]:
    """Number of each letter that is settled -> PUT_BACK or DROPPED."""
    try:
        fd = system.open(paths.dead_settled, os.O_RDONLY | os.O_NOFOLLOW)
    except FileNotFoundError:
        return {}
    try:
        return _parsed(system.pread(fd, system.fstat(fd).st_size, 0))
    finally:
        system.close(fd)


def settle(paths: TaskPaths, number: int, what: int, system: Real) -> None:
    """Note what became of a letter; only the Core calls this.  OSError: nothing was noted."""
    fd = system.open(paths.dead_settled, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW)
    try:
        known = _parsed(system.pread(fd, system.fstat(fd).st_size, 0))
        body = _RECORD.pack(number, what)
        if number not in known and system.pwrite(fd, body + struct.pack("<I", zlib.crc32(body)), len(known) * _SIZE) != _SIZE:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    finally:
        system.close(fd)


def _parsed(data: bytes) -> dict[int, int]:
    found: dict[int, int] = {}
    for at in range(0, len(data) - _SIZE + 1, _SIZE):
        body = data[at : at + _RECORD.size]
        if zlib.crc32(body) != int.from_bytes(data[at + _RECORD.size : at + _SIZE], "little"):
            break
        number, what = _RECORD.unpack(body)
        found[number] = what
    return found


def forget_settled(paths: TaskPaths, writer: Writer, system: Real) -> None:
    """Remove closed files of the journal that hold only letters which are settled.  OSError: fewer were removed."""
    if writer.first == writer.base:
        return
    known = settled(paths, system)
    with contextlib.closing(letters(paths, writer.first, system)) as each:
        needed = next((number for number, _next, _letter in each if number not in known), writer.end)
    writer.retain(keep_bytes=1, keep_age_s=0.0, needed=needed, wall_ns=system.wall_ns(), hard_bytes=0)
