"""The side index of a segment: at which time the journal ended where, and a checksum of what lies between.

`<base>.idx` is a 16-byte header and then 24-byte entries, each saying "at wall_ns the journal ended at offset", with the checksum of the bytes
since the entry before (or since the segment's base).  It serves time queries and, after the machine lost power, tells which bytes never reached the
disk.

It is a hint.  A missing entry costs precision and nothing else, so a failure to write one is not an error of the journal, and whatever a reader
cannot make sense of ends the index there.
"""

from __future__ import annotations

import contextlib
import os
import struct
import zlib
from collections.abc import Generator, Iterator
from itertools import takewhile
from typing import NamedTuple

from efsupervisor.journal.folder import INDEX, PIECE, Folder, named
from efsupervisor.system import System

CHECKED_AT_MOST = 1 << 20
"""Bytes since the last entry up to which a checksum is worth reading them again (they are still in the page cache)."""

_MAGIC = b"EFIX"
_VERSION = 1
_HEADER = struct.Struct("<4sHHQ")
_ENTRY = struct.Struct("<QQII")
_HAS_CHECKSUM = 1
_BATCH = PIECE // _ENTRY.size * _ENTRY.size


class Entry(NamedTuple):
    """At `wall_ns` the journal ended at `offset`.  checksum: crc32 of the bytes since the entry before, meaningful when `checked`."""

    offset: int
    wall_ns: int
    checksum: int
    checked: bool


def entries(folder: Folder, base: int) -> Generator[Entry, None, None]:
    """The entries of one segment, offsets ascending; stops at the first that cannot be one.  Nothing when there is no index.

    Close it: it holds a descriptor.
    """
    try:
        fd, _ = folder.open(named(base, INDEX), os.O_RDONLY)
    except FileNotFoundError:
        return
    try:
        if folder.system.pread(fd, _HEADER.size, 0) == _header(base):
            yield from _entries(folder.system, fd, base)
    finally:
        folder.system.close(fd)


def _entries(system: System, fd: int, base: int) -> Iterator[Entry]:
    at, low = _HEADER.size, base - 1
    while batch := system.pread(fd, _BATCH, at):
        for raw in _ENTRY.iter_unpack(batch[: len(batch) // _ENTRY.size * _ENTRY.size]):
            offset, wall_ns, checksum, flags = raw
            if offset <= low:
                return
            yield Entry(offset, wall_ns, checksum, bool(flags & _HAS_CHECKSUM))
            low = offset
        at += len(batch)
        if len(batch) < _BATCH:
            return


def checksum(system: System, fd: int, start: int, stop: int) -> int:
    """crc32 of a file's bytes [start, stop); of fewer when the file ends before."""
    total = 0
    while start < stop and (data := system.pread(fd, min(PIECE, stop - start), start)):
        total = zlib.crc32(data, total)
        start += len(data)
    return total


class Verdict(NamedTuple):
    """What an index says of its segment.  good: no byte below is known to be wrong.  known: the highest offset that was ever in use by its word.
    kept: entries that are still true."""

    good: int
    known: int
    kept: int


def verify(folder: Folder, base: int, fd: int, size: int) -> Verdict:
    """Compare a segment's bytes with its index.  A block with a wrong checksum, or with one and cut short, is bad, and so is all behind it."""
    low, good, kept, end, bad = base, base + size, 0, base + size, False
    with contextlib.closing(entries(folder, base)) as found:
        for entry in found:
            if not bad and entry.checked:
                bad = entry.offset > end or checksum(folder.system, fd, low - base, entry.offset - base) != entry.checksum
                good = min(good, low) if bad else good
            kept += not bad and entry.offset <= end
            low = entry.offset
    return Verdict(good, max(low, end), kept)


class Indexer:
    """Appends to the index of the active segment.  Opens its file when it is first used and keeps it until close()."""

    __slots__ = ("_at", "_base", "_covered", "_fd", "_folder")

    def __init__(self, folder: Folder, base: int) -> None:
        self._folder = folder
        self._base = base
        self._covered = base
        self._at = 0
        self._fd = -1

    def add(self, segment: int, end: int, wall_ns: int, check: bool | None) -> None:
        """One entry for the bytes up to `end`, none when nothing came.  A system that cannot is let be; see the module's docstring.

        A segment that a rotation has just begun gets one for its very beginning: what came last stands in the segment before.
        """
        with contextlib.suppress(OSError):
            self._open(end)
            if end > self._covered or (self._at == 0 and end > 0):
                self._append(segment, end, wall_ns, end - self._covered <= CHECKED_AT_MOST if check is None else check)

    def trim(self, kept: int) -> None:
        """Keep only the first `kept` entries; after an unclean boot."""
        if not kept:
            self._folder.remove(named(self._base, INDEX))
            return
        fd, _ = self._folder.open(named(self._base, INDEX), os.O_RDWR)
        try:
            self._folder.system.ftruncate(fd, _HEADER.size + kept * _ENTRY.size)
        finally:
            self._folder.system.close(fd)

    def close(self) -> None:
        """Give the descriptor back; the next add() opens it again."""
        if self._fd >= 0:
            fd, self._fd = self._fd, -1
            self._folder.system.close(fd)

    def _append(self, segment: int, end: int, wall_ns: int, check: bool) -> None:
        system = self._folder.system
        crc = checksum(system, segment, self._covered - self._base, end - self._base) if check else 0
        data = _ENTRY.pack(end, wall_ns, crc, _HAS_CHECKSUM if check else 0)
        if self._at == 0:
            data = _header(self._base) + data
        if system.pwrite(self._fd, data, self._at) == len(data):
            self._at += len(data)
            self._covered = end

    def _open(self, end: int) -> None:
        """Find the place for the next entry: behind the last one that is true of the segment as it is."""
        if self._fd >= 0:
            return
        kept, covered = 0, self._base
        with contextlib.closing(entries(self._folder, self._base)) as found:
            for entry in takewhile(lambda entry: entry.offset <= end, found):
                kept, covered = kept + 1, entry.offset
        self._at = _HEADER.size + kept * _ENTRY.size if kept else 0
        self._covered = covered
        self._fd, _ = self._folder.open(named(self._base, INDEX), os.O_RDWR | os.O_CREAT)
        self._folder.system.ftruncate(self._fd, self._at)


def _header(base: int) -> bytes:
    return _HEADER.pack(_MAGIC, _VERSION, 0, base)
