"""Fragments: stretches of a journal that end without a terminator because their writer died or left.

No record crosses an incarnation's border, so a consumer must know where a border cut a record.  One file `fragments`, a 16-byte header and then
fixed records with a checksum each, appended by the journal's one writer.  A mark without length says another thing: from this
offset on records are framed in another way (efsupervisor.journal.framing); before the first such mark they are lines.

A torn record at the end (its checksum is wrong) is as if never written
and is overwritten by the next mark.  The mark comes before the first byte of the next incarnation, so whoever has read a byte behind a fragment and
asks afterwards finds it.
"""

from __future__ import annotations

import errno
import os
import struct
import zlib
from collections.abc import Sequence
from typing import NamedTuple

from efsupervisor.errors import Code, JournalError
from efsupervisor.journal.folder import Folder

FILE = "fragments"
_MAGIC = b"EFFR"
_VERSION = 1
_HEADER = struct.Struct("<4sHHQ")
_RECORD = struct.Struct("<QQII")
_BODY = struct.Struct("<QQI")
_DELIVER = 1
_FRAMED, _FRAMING_AT = 2, 2
"""Flag of a mark that says the framing, and where among the flags its number stands."""
_COMPACT_AT = 64 << 10


class Fragment(NamedTuple):
    """Bytes [start, end).  deliver: it counts as a last record though it has no terminator (its program ended in order).  framing: of what follows
    (then start is end, and there is no fragment), -1 in a fragment."""

    start: int
    end: int
    deliver: bool
    framing: int = -1


def load(folder: Folder) -> Sequence[Fragment]:
    """All marks, in the order in which they were made; none when there is no file.  JournalError: another format."""
    try:
        fd, status = folder.open(FILE, os.O_RDONLY)
    except FileNotFoundError:
        return []
    try:
        return parse(folder.system.pread(fd, status.st_size, 0), folder.path)
    finally:
        folder.system.close(fd)


def parse(data: bytes, where: str) -> Sequence[Fragment]:
    """The valid records of a file's content, up to the first that is torn."""
    if len(data) < _HEADER.size or not any(data[: _HEADER.size]):
        return []
    magic, version, _, _ = _HEADER.unpack_from(data)
    if magic != _MAGIC or version != _VERSION:
        raise JournalError(f"{where}/{FILE} is not of a format this program knows; it is not used", Code.VERSION)
    found = []
    for at in range(_HEADER.size, len(data) - _RECORD.size + 1, _RECORD.size):
        start, end, flags, checksum = _RECORD.unpack_from(data, at)
        if checksum != zlib.crc32(data[at : at + _BODY.size]):
            break
        found.append(Fragment(start, end, bool(flags & _DELIVER), flags >> _FRAMING_AT if flags & _FRAMED else -1))
    return found


def framing_at(marks: Sequence[Fragment], offset: int) -> int:
    """How the record is framed that begins at an offset."""
    return next((mark.framing for mark in reversed(marks) if mark.framing >= 0 and mark.end <= offset), 0)


def mark(folder: Folder, fragment: Fragment) -> None:
    """Append one mark unless the same stretch is marked already.  OSError: nothing was marked; try again before anything is written behind it."""
    known = load(folder)
    if any((one.start, one.end, one.framing) == (fragment.start, fragment.end, fragment.framing) for one in known):
        return
    data, at = _packed(fragment), _HEADER.size + _RECORD.size * len(known)
    if not known:
        data, at = _header() + data, 0
    fd, _ = folder.open(FILE, os.O_RDWR | os.O_CREAT)
    try:
        folder.system.ftruncate(fd, at)
        if folder.system.pwrite(fd, data, at) != len(data):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), FILE)
    finally:
        folder.system.close(fd)


def compact(folder: Folder, first: int) -> None:
    """Forget marks of bytes that retention removed, once the file is worth it; in one step, so that readers keep what they need."""
    status = folder.stat(FILE)
    if status is None or status.st_size < _COMPACT_AT:
        return
    known = load(folder)
    if known and known[0].end <= first:
        folder.replace(FILE, _header() + b"".join(_packed(one) for one in kept(known, first)))


def kept(marks: Sequence[Fragment], first: int) -> list[Fragment]:
    """The marks that still say something about bytes from `first` on: what ends behind it, and the framing that holds there.  Pure."""
    framings = [mark for mark in marks if mark.framing >= 0 and mark.end <= first]
    return framings[-1:] + [mark for mark in marks if mark.end > first]


def _header() -> bytes:
    return _HEADER.pack(_MAGIC, _VERSION, 0, 0)


def _packed(fragment: Fragment) -> bytes:
    framed = _FRAMED | fragment.framing << _FRAMING_AT if fragment.framing >= 0 else 0
    body = _BODY.pack(fragment.start, fragment.end, _DELIVER * fragment.deliver | framed)
    return body + zlib.crc32(body).to_bytes(4, "little")
