"""A task's own input queue: events put by hand or by a schedule.  A journal like any other, and a list of the ids that were put.

An id is noted with the place where its event will lie before the event is appended; a retry with a known id appends only what is not there yet.  So
a put that was killed at any instant and is tried again is in the queue once.

ids file: records of 48 bytes, little endian: 16 bytes of the id's hash, u64 offset, u64 length, u32 version, 8 bytes zero, u32 crc32.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import os
import struct
import zlib
from collections.abc import Iterator
from typing import NamedTuple

from efsupervisor.errors import Code, EfError
from efsupervisor.journal import Reader, Writer
from efsupervisor.journal.framing import BROKEN, terminator, wrap
from efsupervisor.messages import InEdge
from efsupervisor.states import Framing
from efsupervisor.system import Real, boot_id, write_whole
from efsupervisor.task.delivery import EdgeState, Record, saved
from efsupervisor.task.paths import TaskPaths, own_edge_id

_RECORD = struct.Struct("<16sQQI8x")
_SIZE = _RECORD.size + 4
_LOOK_BACK = 10_000
PUT_BACK = "dead letter "
"""How the id of a dead letter's event begins that is put back.  Such an id is looked for however long ago it was noted."""
MAX_EVENT = 1 << 20


class Put(NamedTuple):
    """One event on its way into a queue: the record as it is framed there, and what it says."""

    put_id: str
    record: bytes
    payload: bytes
    framing: int


def put(paths: TaskPaths, put_id: str, data: bytes, system: Real, framing: int = Framing.LINES, *, lock: bool = True) -> int:
    """Append one event, framed as the task wants it, and return its offset; the same id again returns the same offset.  The byte that ends an event
    may be at its end or not.

    lock: take the task's lock for it (the caller is not its worker).  EfError for an event that holds the byte that would end it, is too large or
    meets a task whose lock is taken; OSError when the disk is full: nothing was appended.
    """
    payload, record = framed(framing, data)
    if len(payload) >= MAX_EVENT:
        raise EfError(f"an event of {len(payload) + 1} bytes is over the limit of {MAX_EVENT}", Code.TOO_LARGE)
    event = Put(put_id, record, payload, framing)
    if not lock:
        return _put(paths, event, system)
    with _locked(paths, system):
        return _put(paths, event, system)


def framed(framing: int, data: bytes) -> tuple[bytes, bytes]:
    """What an event says and its record; EfError when the framing cannot carry it.  The byte that ends an event may be at its end or not."""
    payload = data if framing == Framing.NETSTRING else data.removesuffix(terminator(framing))
    record = wrap(framing, payload)
    if record is not None:
        return payload, record
    if framing == Framing.LINES:
        reason = "an event is one line; this one holds a newline: put the lines one by one, or give the task another input.framing"
    else:
        reason = "an event of this task ends with a zero byte; this one holds one: set its input.framing to netstring"
    raise EfError(reason, Code.BAD_REQUEST)


def _put(paths: TaskPaths, event: Put, system: Real) -> int:
    own = saved(paths.delivery, system).edge(own_edge_id(paths.id))  # of this journal alone: other edges count the bytes of their producers
    floor = own.next if own is not None else 0
    writer = Writer(paths.input_journal, system=system, boot_id=boot_id(), floor=floor)
    try:
        ids = system.open(paths.folder + "/put-ids", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW)
        try:
            return _put_once(writer, paths.input_journal, ids, event, system)
        finally:
            system.close(ids)
    finally:
        writer.close()


def _put_once(writer: Writer, folder: str, ids: int, event: Put, system: Real) -> int:
    key = hashlib.sha256(event.put_id.encode()).digest()[:16]
    end = system.fstat(ids).st_size // _SIZE * _SIZE
    noted = _look(system, ids, end, key, end if event.put_id.startswith(PUT_BACK) else _LOOK_BACK * _SIZE)
    torn = writer.last_record_end(noted.last if noted.last <= writer.end else 0)
    if torn < writer.end:
        writer.mark_fragment(torn, writer.end, deliver=False)  # a put was killed in the middle of its event
    known = noted.offset
    was_put = known is not None and known + noted.length <= writer.end
    if known is not None and was_put and (known < writer.first or _stands(folder, known, noted.length, event.payload, system)):
        return known  # retention may have removed it since
    writer.frame(event.framing)
    body = _RECORD.pack(key, writer.end, len(event.record), 1)
    record = body + struct.pack("<I", zlib.crc32(body))
    if system.pwrite(ids, record, noted.whole) != len(record):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    system.fault("put:noted")
    offset = writer.append(event.record)
    writer.index(system.wall_ns())
    return offset


def _stands(folder: str, offset: int, length: int, wanted: bytes, system: Real) -> bool:
    """The queue holds exactly this event there (a segment's end may cut the read in two), however it was framed when it was put."""
    reader = Reader(folder, system=system)
    try:
        found = b""
        while len(found) < length and (part := reader.read(offset + len(found), length - len(found))):
            found += part
        reader.fragments(offset)
        framing = reader.framing(offset)
        return framing != BROKEN and wrap(framing, wanted) == found
    finally:
        reader.close()


class Noted(NamedTuple):
    """What the ids say.  offset, length: of the event that was put with this id, None when there is none.  whole: where the next id goes.  last:
    where the last event begins that was noted at all."""

    offset: int | None
    length: int
    whole: int
    last: int


def _look(system: Real, ids: int, end: int, key: bytes, back: int) -> Noted:
    start = max(0, end - back)
    data = system.pread(ids, end - start, start)
    found, size, whole, last = None, 0, start, 0
    for at in range(0, len(data), _SIZE):
        body = data[at : at + _RECORD.size]
        if zlib.crc32(body) != int.from_bytes(data[at + _RECORD.size : at + _SIZE], "little"):
            break
        whole = start + at + _SIZE
        name, last, length, _version = _RECORD.unpack(body)
        if name == key:
            found, size = last, length
        elif last == found:
            found = None  # it was noted, but another event was appended there
    return Noted(found, size, whole, last)


# What waits -----------------------------------------------------------------------------------------------------------------------------------------


def clear(paths: TaskPaths, edge: InEdge, system: Real) -> int:
    """Skip what waits in the queue of a task at rest; how many bytes that were.  EfError while a worker has the task's lock, OSError when the disk
    is full: then everything waits as before."""
    with _locked(paths, system):
        reader = Reader(paths.input_journal, system=system)
        try:
            end = reader.end()
        finally:
            reader.close()
        record = Record(paths.delivery, system)
        try:
            state = record.load()
            known = state.edge(edge.id)
            if known is None:
                known = EdgeState(edge.id, 0, 0)
                state.edges.append(known)
            skipped = max(0, end - known.cursor)
            known.cursor = known.next = end
            record.save(state)
        finally:
            record.close()
        write_whole(system, f"{edge.folder}/cursor.{paths.id}", end.to_bytes(8, "little"))
        return skipped


def forget_edge(paths: TaskPaths, edge_id: str, system: Real) -> None:
    """An edge that was taken away is to begin anew: a task at rest must not go on where it was.  One that runs has forgotten it already."""
    if edge_id not in {edge.id for edge in saved(paths.delivery, system).edges}:
        return
    try:
        with _locked(paths, system):
            record = Record(paths.delivery, system)
            try:
                state = record.load()
                if not state.runs:
                    state.edges = [edge for edge in state.edges if edge.id != edge_id]
                    record.save(state)
            finally:
                record.close()
    except EfError:
        return  # it has a worker


@contextlib.contextmanager
def _locked(paths: TaskPaths, system: Real) -> Iterator[None]:
    """The task's lock, for who is not its worker; a task that never ran has no folders yet."""
    for folder in (paths.folder, paths.run):
        with contextlib.suppress(FileExistsError):
            system.mkdir(folder, 0o700)
    fd = system.open(paths.lock, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW)
    try:
        try:
            system.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise EfError("the task's worker is just starting: try again", Code.BAD_STATE) from None
        yield
    finally:
        system.close(fd)
