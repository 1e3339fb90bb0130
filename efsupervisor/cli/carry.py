"""Events between journals, files and own input queues: `efctl queue save`, `queue load`, `replay`.

They are read from the journals' own files by efctl, and put into a queue as by `efctl put`, each with an id.  A saved queue is a plain file of
records in the task's own framing, and nothing else: `wc`, `grep` and an editor work on it.

What was loaded is noted beside the file (`FILE.loaded`: which content, into which task, how far), so that a load that was cut short goes on where it
was, and one that is said twice by a retrying script appends once; between two notes the ids see to that.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from typing import NamedTuple

import msgspec

from efsupervisor.cli.client import Client
from efsupervisor.cli.search import journal
from efsupervisor.errors import Code, EfError
from efsupervisor.interface.when import When, when
from efsupervisor.journal import Reader
from efsupervisor.journal.framing import cut, payload, wrap
from efsupervisor.messages import FlowsReply, FlowsRequest, SpecsReply, SpecsRequest
from efsupervisor.messages.core import FlowRow, TaskDetail
from efsupervisor.states import Framing, Mode
from efsupervisor.system import REAL, folded, short_id

PIECE = 256 << 10
LONGEST = 16 << 20
NOTE_EVERY = 1000
UNNOTED = 5000
"""Events that may be loaded where no note can be written: so many ids are remembered for sure."""

Read = Callable[[int, int], bytes]
"""(offset, size) -> the bytes there; fewer only where they end."""


class Note(msgspec.Struct, kw_only=True):
    """FILE.loaded.  key: part of the ids; count: events that are in for sure; done: all of them."""

    task: str
    sha256: str
    key: str
    count: int = 0
    done: bool = False


class Part(NamedTuple):
    """A stretch of a journal that waits in front of a task."""

    name: str
    folder: str
    start: int


# Records --------------------------------------------------------------------------------------------------------------------------------------------


def split(read: Read, framing: int, at: int, stop: int) -> Iterator[tuple[bytes, int]]:
    """(payload, where the next record begins) of each whole record in [at, stop)."""
    size = PIECE
    while at < stop:
        data = read(at, min(size, stop - at))
        sizes = cut(framing, data, 0, len(data), len(data), len(data))
        begin = 0
        for each in sizes:
            yield payload(framing, data[begin : begin + each]), at + begin + each
            begin += each
        at += begin
        if not sizes:
            if len(data) < size or size >= LONGEST:
                return
            size *= 4
        else:
            size = PIECE


def payloads(reader: Reader, start: int, stop: int) -> Iterator[tuple[bytes, int]]:
    """(payload, where the next begins) of each event in [start, stop) of a journal; what a killed program left unfinished is none."""

    def read(offset: int, size: int) -> bytes:
        parts = []
        while size > 0 and (part := reader.read(offset, size)):
            parts.append(part)
            offset, size = offset + len(part), size - len(part)
        return b"".join(parts)

    at = max(start, reader.first())
    while at < stop:
        marks = [mark for mark in reader.fragments(at) if mark.framing < 0]
        inside = next((mark for mark in marks if mark.start <= at < mark.end), None)
        if inside is not None:
            if inside.deliver:
                yield read(at, inside.end - at), inside.end
            at = inside.end
            continue
        borders = [mark.start for mark in reader.fragments(at) if mark.start > at]
        limit = min([stop, *borders])
        for content, following in split(read, reader.framing(at), at, limit):
            yield content, following
            at = following
        onward = reader.skip(at)
        at = onward if onward > at else limit


# Save -----------------------------------------------------------------------------------------------------------------------------------------------


def save(client: Client, var: str, task: str, path: str, producers: Iterable[str], *, everything: bool) -> int:
    """Write what waits in a task's own input queue, or on its edges, to a file; the number of events.  The file appears whole or not at all."""
    about = _task(client, task)
    parts = _waiting(client, var, about.spec.name, list(producers), everything=everything)
    framing = _framing(about)
    temporary = f"{path}.{os.getpid()}.tmp"
    count = 0
    try:
        with open(temporary, "xb", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
            for part in parts:
                for content in _of(part):
                    record = wrap(framing, content)
                    if record is None:
                        why = f"an event of {part.name} holds the byte that ends an event of {task}: it cannot be saved as one"
                        raise EfError(why, Code.BAD_REQUEST)
                    file.write(record)
                    count += 1
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        raise EfError(f"{path} cannot be written: {os.strerror(error.errno or 0)}; nothing was changed", Code.SYSTEM) from error
    finally:
        if os.path.lexists(temporary):
            os.unlink(temporary)
    return count


def _of(part: Part) -> Iterator[bytes]:
    reader = Reader(part.folder, system=REAL)
    try:
        for content, _ in payloads(reader, part.start, reader.end()):
            yield content
    finally:
        reader.close()


def _waiting(client: Client, var: str, task: str, producers: list[str], *, everything: bool) -> list[Part]:
    rows = _edges(client, task)
    wanted = [row for row in rows if everything or (folded(row.producer) in map(folded, producers) if producers else not row.producer)]
    known = {folded(row.producer) for row in rows}
    unknown = [name for name in producers if folded(name) not in known]
    if unknown:
        raise EfError(f"no flow leads from {unknown[0][:64]} to {task}; `efctl queue ls {task}` shows what does", Code.NO_SUCH_TASK)
    return [_part(var, row, task) for row in wanted]


def _part(var: str, row: FlowRow, task: str) -> Part:
    hint = os.path.join(var, "flows", row.id, "cursor." + ("group" if row.mode is Mode.SHARE else short_id(task)))
    try:
        with open(hint, "rb") as file:
            cursor = int.from_bytes(file.read(8), "little")
    except FileNotFoundError:
        cursor = 0
    except OSError as error:
        raise EfError(f"{hint} cannot be read: {os.strerror(error.errno or 0)}", Code.SYSTEM) from error
    folder = journal(var, row.producer, "out") if row.producer else journal(var, task, "input")
    return Part(row.producer or "the own input queue", folder, cursor)


def _edges(client: Client, task: str) -> list[FlowRow]:
    replies = client.ask(FlowsRequest(id=client.next_id()))
    return [row for reply in replies if isinstance(reply, FlowsReply) for row in reply.rows if task in row.consumers]


def _task(client: Client, task: str) -> TaskDetail:
    replies = client.ask(SpecsRequest(id=client.next_id(), names=[task]))
    rows = [row for reply in replies if isinstance(reply, SpecsReply) for row in reply.tasks]
    if len(rows) != 1:
        raise EfError(f"{task} stands for {len(rows)} tasks; name one", Code.USAGE)
    return rows[0]


def _framing(about: TaskDetail) -> int:
    return about.spec.input.framing if about.spec.input is not None else Framing.LINES


# Load -----------------------------------------------------------------------------------------------------------------------------------------------


def load(client: Client, task: str, path: str, *, again: bool) -> int:
    """Put every record of a file into a task's own input queue; how many were put now.  EfError EXISTS when it was loaded already."""
    about = _task(client, task)
    try:
        with open(path, "rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
            note, can_note = _note(path, about.spec.name, digest, again=again), True
            before = note.count
            size, fd = os.fstat(file.fileno()).st_size, file.fileno()
            for content in _records(lambda offset, most: os.pread(fd, most, offset), _framing(about), size, note.count):
                outcome = client.put(note.task, f"{note.key}-{note.count}", content)
                if not outcome.ok:
                    _keep(path, note)
                    raise EfError(f"event {note.count + 1} was not put into {task}: {outcome.sentence}; say it again to go on there", outcome.code)
                note.count += 1
                if note.count % NOTE_EVERY == 0:
                    can_note = _keep(path, note)
                if not can_note and note.count >= UNNOTED:
                    why = f"{path}.loaded cannot be written, and {note.count} events are in: load from a folder that can be written"
                    raise EfError(why, Code.SYSTEM)
    except OSError as error:
        raise EfError(f"{path} cannot be read: {os.strerror(error.errno or 0)}", Code.SYSTEM) from error
    note.done = True
    _keep(path, note)
    return note.count - before


def _records(read: Read, framing: int, size: int, skip: int) -> Iterator[bytes]:
    number, at = 0, 0
    for content, following in split(read, framing, 0, size):
        at = following
        number += 1
        if number > skip:
            yield content
    if at < size:
        rest = read(at, min(LONGEST, size - at))
        if framing == Framing.NETSTRING or len(rest) < size - at:
            raise EfError(f"what begins at byte {at} is no record of this task's framing; what stands before it is in the queue", Code.BAD_REQUEST)
        if number >= skip:
            yield rest


def _note(path: str, task: str, digest: str, *, again: bool) -> Note:
    """The note that is there, or a new one."""
    try:
        with open(path + ".loaded", "rb") as file:
            note = msgspec.json.decode(file.read(65536), type=Note)
    except (FileNotFoundError, msgspec.MsgspecError, UnicodeDecodeError):
        note = None
    if note is None or (note.task, note.sha256) != (task, digest):
        return Note(task=task, sha256=digest, key=f"{digest[:32]}-{os.urandom(4).hex() if again else short_id(task)}")
    if not note.done:
        return note
    if not again:
        raise EfError(f"{path} was loaded into {task} already ({note.count} events); say --again to put them in once more", Code.EXISTS)
    return Note(task=task, sha256=digest, key=f"{digest[:32]}-{os.urandom(4).hex()}")


def _keep(path: str, note: Note) -> bool:
    temporary = f"{path}.loaded.{os.getpid()}.tmp"
    try:
        with open(temporary, "wb") as file:
            file.write(msgspec.json.encode(note))
        os.replace(temporary, path + ".loaded")
    except OSError:
        return False
    return True


# Replay ---------------------------------------------------------------------------------------------------------------------------------------------


def replay(client: Client, var: str, task: str, begin: str, end: str, producer: str) -> int:
    """Put what a producer of a task wrote between two places into the task's own input queue; the number of events."""
    name = _task(client, task).spec.name
    source = _producer(_edges(client, name), name, producer)
    now = datetime.now(UTC).astimezone()
    reader, key, count = Reader(journal(var, source, "out"), system=REAL), os.urandom(16).hex(), 0
    try:
        start, stop = _offset(reader, when(begin, now), last=False), _offset(reader, when(end, now), last=True) if end else reader.end()
        at = start
        for content, following in payloads(reader, start, stop):
            outcome = client.put(name, f"{key}-{count}", content)
            if not outcome.ok:
                raise EfError(f"{count} events are in the queue, the next was refused: {outcome.sentence}; go on with --from {at}", outcome.code)
            count, at = count + 1, following
    except OSError as error:
        raise EfError(f"the log of {source} cannot be read: {os.strerror(error.errno or 0)}", Code.SYSTEM) from error
    finally:
        reader.close()
    return count


def _offset(reader: Reader, place: When, *, last: bool) -> int:
    if place.offset is None:
        moment = place.wall_ns or 0
        return reader.by_time(moment) if last else reader.record_start(reader.at_time(moment))
    return min(place.offset, reader.end()) if last else reader.record_start(min(max(place.offset, reader.first()), reader.end()))


def _producer(rows: list[FlowRow], task: str, wanted: str) -> str:
    known = sorted({row.producer for row in rows if row.producer})
    found = [name for name in known if not wanted or folded(name) == folded(wanted)]
    if len(found) != 1:
        which = f"say --producer: {', '.join(known)}" if known else "no flow leads to it"
        raise EfError(f"which producer's events are to be replayed into {task}? {which}", Code.USAGE)
    return found[0]
