"""Pieces of a task's journals, read for a client: bounded, whatever is asked and however long the lines are."""

from __future__ import annotations

from collections.abc import Callable

from efsupervisor.errors import Code, EfError
from efsupervisor.journal import Reader
from efsupervisor.journal.framing import terminator
from efsupervisor.messages import ReadReply, ReadRequest
from efsupervisor.states import Framing
from efsupervisor.task.paths import TaskPaths

MAX_READ = 48 << 10
MAX_LINES = 10_000
TAIL_BYTES = 8 << 20
"""How far back the last lines are looked for."""


def journal_of(paths: TaskPaths, stream: str) -> str:
    """Folder of one of a task's journals."""
    folders = {"out": paths.out_journal, "err": paths.err_journal, "input": paths.input_journal, "dead": paths.dead_journal}
    try:
        return folders[stream]
    except KeyError:
        raise EfError(f"a task has no stream {stream[:64]!r}: say out, err, input or dead", Code.USAGE) from None


def read(reader: Reader, request: ReadRequest) -> ReadReply:
    """Bytes of a journal for one reply.  An offset beyond the end reads nothing there."""
    end = reader.end()
    wanted = request.offset if request.offset is not None else tail_offset(reader, end, max(0, min(request.lines, MAX_LINES)))
    offset = reader.skip(max(0, wanted))
    data = reader.read(offset, max(1, min(request.limit, MAX_READ))) if offset < end else b""
    border = min((mark.end for mark in reader.fragments(offset) if mark.framing >= 0), default=offset + len(data))
    data = data[: border - offset]  # one framing for a piece
    return ReadReply(id=request.id, offset=offset, data=data, next=offset + len(data), end=end, framing=reader.framing(offset))


def tail_offset(reader: Reader, end: int, lines: int) -> int:
    """Where the last `lines` records begin; looks back no further than TAIL_BYTES, so that no log can hold up the loop."""
    floor = max(reader.first(), end - TAIL_BYTES)
    at, wanted = end, lines + 1
    if lines == 0:
        return end
    reader.fragments(end)
    framing = reader.framing(end)
    if framing not in (Framing.LINES, Framing.NUL):
        begin = reader.walkable(end)
        return reader.tail_offset(lines, floor) if begin >= floor else max(reader.first(), end - MAX_READ)
    newline = terminator(framing)
    while at > floor:
        start = max(floor, at - MAX_READ)
        piece = _whole(reader.read, start, at)
        if at == end and not piece.endswith(newline):
            wanted -= 1  # the last one has no end yet
        found = piece.count(newline)
        if found >= wanted:
            cut = len(piece)
            for _ in range(wanted):
                cut = piece.rindex(newline, 0, cut)
            return start + cut + 1
        wanted -= found
        at = start
    return floor


def _whole(read_at: Callable[[int, int], bytes], start: int, end: int) -> bytes:
    """The bytes between two offsets; a hole in the journal reads as zeros."""
    pieces: list[bytes] = []
    while start < end:
        piece = read_at(start, end - start) or bytes(end - start)
        pieces.append(piece)
        start += len(piece)
    return b"".join(pieces)
