"""Records that wait on disk for a server: a journal of JSON lines, bounded, the oldest dropped and counted when a server is away for too long.

The journal library does the work: a record that was put is there after a kill, and what is behind the cursor goes with its segment.
"""

from __future__ import annotations

import contextlib

import msgspec

from efsupervisor.core.collector.announcer import Slice
from efsupervisor.core.collector.cursor import Position
from efsupervisor.journal import Reader, Writer
from efsupervisor.system import Real, boot_id

NAME = "spool"
SEGMENTS = 8
"""The spool's limit is kept in steps of an eighth."""

_PIECE = 256 << 10


class Spool:
    """The spool in `folder`, of at most about `limit` bytes.  One process at a time; owns its descriptors until close()."""

    def __init__(self, folder: str, system: Real, limit: int) -> None:
        self._system = system
        self._limit = limit
        self._writer = Writer(folder, system=system, segment_bytes=max(4096, limit // SEGMENTS), boot_id=boot_id())
        if self._writer.last_record_end() < self._writer.end:
            self._writer.append(b"\n")  # a put was killed: what it began is a line of its own, and no JSON
        self._reader = Reader(folder, system=system)

    def put(self, record: object, position: Position) -> None:
        """Append a record (anything msgspec can write).  OSError: it is not in the spool."""
        self._writer.append(msgspec.json.encode(record) + b"\n")
        needed = position.get(NAME, 0)
        with contextlib.suppress(OSError):  # fewer were removed; the next put tries again
            self._writer.retain(keep_bytes=1, keep_age_s=0, needed=needed, wall_ns=self._system.wall_ns(), hard_bytes=self._limit)

    def look(self, position: Position, limit: int, until: Position | None = None) -> Slice:
        """See Source.  A record that retention took is lost; how many they were is not known any more, so a gap counts as one."""
        begin = position.get(NAME, 0)
        offset = self._reader.skip(begin)
        lost = 1 if offset > begin and NAME in position else 0
        end = until[NAME] if until is not None else self._writer.end
        records: list[bytes] = []
        for line, behind in self._lines(offset, end):
            if len(records) == limit:
                break
            offset = behind
            if _is_whole(line):
                records.append(b'{"at":"%s","next":%d,"sample":%s}' % (NAME.encode(), behind, line))
        return Slice(records, {NAME: offset}, lost)

    def waiting(self, position: Position) -> int:
        """Bytes that wait."""
        return max(0, self._writer.end - max(position.get(NAME, 0), self._writer.first))

    def close(self) -> None:
        """Give the descriptors back."""
        self._reader.close()
        self._writer.close(clean=True)

    def _lines(self, offset: int, end: int) -> list[tuple[bytes, int]]:
        """Whole lines from an offset on with the offset behind each, from one piece; a line longer than that gets a piece of its own."""
        size = _PIECE
        while offset < end:
            data = self._read(offset, min(size, end - offset))
            cut = data.rfind(b"\n") + 1
            if cut or len(data) < size:
                return _split(data[:cut], offset)
            size *= 4
        return []

    def _read(self, offset: int, count: int) -> bytes:
        pieces: list[bytes] = []
        while count > 0 and (piece := self._reader.read(offset, count)):
            pieces.append(piece)
            offset += len(piece)
            count -= len(piece)
        return b"".join(pieces)


def _is_whole(line: bytes) -> bool:
    try:
        msgspec.json.decode(line)
    except msgspec.DecodeError:
        return False
    return True


def _split(data: bytes, offset: int) -> list[tuple[bytes, int]]:
    found = []
    for line in data.split(b"\n")[:-1]:
        offset += len(line) + 1
        found.append((line, offset))
    return found
