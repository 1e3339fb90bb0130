"""A closed segment, compressed: `<base>.log.gz`, in which any byte is found at once.

It is a gzip file as gzip(1) reads it (RFC 1952: members one after the other), so `zcat`, `zless` and `zgrep` show it, and so does any language.  Each
member is one block of the segment, compressed for itself.  Before them stands a member without content, whose extra field (subfield `EF`) says where:

    u16 version (1)   u16 flags (0)   u32 bytes of a block   u64 bytes of the segment   u64 base   u32 length of each member   u32 crc32 of all that

How one comes to be, beside a live writer and readers: write `<base>.log.gz.tmp`; read it back and compare it with the segment, byte for byte; sync
it; rename it (that commits); sync the folder; remove the segment.  Whatever instant a kill chooses, the segment is there or its compressed form is,
whole; while both are there they hold the same, readers take the one that is not compressed, and nothing counts twice, since a listing knows bases and
not files.  A segment that retention removes meanwhile does not come back.

A compressed segment has the length, the base, the mode and the time of last writing that the segment had: positions, ages and the index know no
difference.  Bytes that the disk has changed are an OSError (EIO), as from a disk that knows it itself; never other bytes.
"""

from __future__ import annotations

import contextlib
import errno
import os
import struct
import zlib
from itertools import accumulate, pairwise
from typing import Protocol

from efsupervisor.errors import Code, JournalError
from efsupervisor.journal.folder import PACKED, SEALED_MODE, TEMPORARY, Folder, is_sealed, named, write_all
from efsupervisor.system import System

BLOCK = 64 << 10
MAX_BLOCKS = 8192
"""So many fit into an extra field (64 KiB); a longer segment has larger blocks."""
LEVEL = 6

_MEMBER = struct.Struct("<4sIBB")
_EXTRA = struct.Struct("<H2sH")
_ABOUT = struct.Struct("<HHIQQ")
_EMPTY = b"\x03\x00" + bytes(8)
"""A deflate stream of nothing, its checksum and its length."""
_VERSION = 1
_MAGIC = b"\x1f\x8b\x08"
_HEAD_MOST = _MEMBER.size + 2 + 65535


class Segment(Protocol):
    """A segment that is open for reading.  size: its length; status: of its file, which for a compressed one tells another size."""

    @property
    def size(self) -> int: ...
    @property
    def status(self) -> os.stat_result: ...
    def pread(self, count: int, offset: int) -> bytes: ...
    def close(self) -> None: ...


class Plain:
    """A segment as it was written.  size is the one at its opening."""

    __slots__ = ("_system", "fd", "size", "status")

    def __init__(self, system: System, fd: int, status: os.stat_result) -> None:
        self._system = system
        self.fd = fd
        self.status = status
        self.size = status.st_size

    def pread(self, count: int, offset: int) -> bytes:
        """As pread(2)."""
        return self._system.pread(self.fd, count, offset)

    def close(self) -> None:
        """Give the descriptor back."""
        self._system.close(self.fd)


class Packed:
    """A compressed segment.  Holds its descriptor, its table and the block that was read last."""

    __slots__ = ("_at", "_block", "_data", "_fd", "_name", "_number", "_system", "size", "status")

    def __init__(self, system: System, fd: int, status: os.stat_result, name: str, base: int) -> None:
        self._system = system
        self._fd = fd
        self._name = name
        self.status = status
        self._number, self._data = -1, b""
        self._block, self.size, self._at = self._table(base)

    def pread(self, count: int, offset: int) -> bytes:
        """The bytes of the segment from `offset` on, fewer only at its end.  OSError EIO: they are not what was written."""
        parts: list[bytes] = []
        while count > 0 and offset < self.size:
            number, within = divmod(offset, self._block)
            part = self._content(number)[within : within + count]
            parts.append(part)
            offset += len(part)
            count -= len(part)
        return b"".join(parts)

    def close(self) -> None:
        """Give the descriptor back."""
        self._system.close(self._fd)

    def _content(self, number: int) -> bytes:
        if number != self._number:
            start, end = self._at[number : number + 2]
            data = self._unpacked(self._system.pread(self._fd, end - start, start))
            if len(data) != min(self._block, self.size - number * self._block):
                raise self._damaged()
            self._number, self._data = number, data
        return self._data

    def _unpacked(self, member: bytes) -> bytes:
        unpacker = zlib.decompressobj(31)
        try:
            data = unpacker.decompress(member, self._block + 1)
        except zlib.error as error:
            raise self._damaged() from error
        if not unpacker.eof:
            raise self._damaged()
        return data

    def _table(self, base: int) -> tuple[int, int, list[int]]:
        """(bytes of a block, bytes of the segment, where each member begins and the last ends)."""
        head = self._system.pread(self._fd, _HEAD_MOST, 0)
        if len(head) < _MEMBER.size + _EXTRA.size + _ABOUT.size or head[:3] != _MAGIC:
            raise self._damaged()
        length, name, size = _EXTRA.unpack_from(head, _MEMBER.size)
        about = head[_MEMBER.size + _EXTRA.size :][:size]
        if name != b"EF" or size != length - 4 or size < _ABOUT.size + 4 or len(about) != size:
            raise self._damaged()
        if zlib.crc32(about[:-4]) != int.from_bytes(about[-4:], "little"):
            raise self._damaged()
        version, _, block, total, its_base = _ABOUT.unpack_from(about)
        if version != _VERSION:
            raise JournalError(f"{self._name} is compressed in format {version}; this program knows {_VERSION}: use a newer one", Code.VERSION)
        lengths = struct.unpack(f"<{(size - _ABOUT.size - 4) // 4}I", about[_ABOUT.size : -4])
        if its_base != base or not block or len(lengths) != _blocks(total, block):
            raise self._damaged()
        return block, total, list(accumulate(lengths, initial=_MEMBER.size + 2 + length + len(_EMPTY)))

    def _damaged(self) -> OSError:
        return OSError(errno.EIO, "a compressed segment is damaged", self._name)


def opened(folder: Folder, base: int) -> Segment:
    """The segment that begins at `base`, as it was written or compressed.  FileNotFoundError: there is none, or none any more."""
    try:
        return Plain(folder.system, *folder.open(named(base), os.O_RDONLY))
    except FileNotFoundError:
        return open_packed(folder, base)


def open_packed(folder: Folder, base: int) -> Packed:
    """The compressed segment that begins at `base`.  FileNotFoundError: there is none; OSError EIO: it is damaged; JournalError: a newer format."""
    fd, status = folder.open(named(base, PACKED), os.O_RDONLY)
    try:
        return Packed(folder.system, fd, status, f"{folder.path}/{named(base, PACKED)}", base)
    except BaseException:
        folder.system.close(fd)
        raise


def size(folder: Folder, base: int) -> int | None:
    """Length of the segment that begins at `base`; None when there is none."""
    status = folder.stat(named(base))
    if status is not None:
        return status.st_size
    try:
        segment = opened(folder, base)
    except FileNotFoundError:
        return None
    segment.close()
    return segment.size


# Packing ------------------------------------------------------------------------------------------------------------------------------------------


def unpacked(folder: Folder) -> list[int]:
    """Bases of closed segments that could be compressed, oldest first: sealed, cut where their successor begins, and with something in them."""
    found = []
    for base, following in pairwise(folder.bases()):
        status = folder.stat(named(base))
        if status is not None and is_sealed(status) and 0 < status.st_size <= following - base:
            found.append(base)
    return found


def pack(folder: Folder, base: int, level: int = LEVEL) -> None:
    """Compress a segment that `unpacked` named.  May run beside its writer and its readers, once at a time.  FileNotFoundError: retention took it
    meanwhile.  Another OSError: everything is as it was."""
    system, name, temporary = folder.system, named(base, PACKED), named(base, PACKED) + TEMPORARY
    source, status = folder.open(named(base), os.O_RDONLY)
    try:
        fd, _ = folder.open(temporary, os.O_RDWR | os.O_CREAT | os.O_TRUNC)
        try:
            _write(system, source, fd, status.st_size, base, level)
            _compare(system, source, fd, status.st_size, base)
            system.utime_ns(fd, status.st_atime_ns, status.st_mtime_ns)
            system.fchmod(fd, SEALED_MODE)
            system.fsync(fd)
            system.fault("pack:written")
            folder.rename(temporary, name)
        except BaseException:
            with contextlib.suppress(OSError):
                folder.remove(temporary)
            raise
        finally:
            system.close(fd)
    finally:
        system.close(source)
    system.fsync(folder.fd)
    system.fault("pack:renamed")
    drop_original(folder, base)


def drop_original(folder: Folder, base: int) -> None:
    """The compressed form stands: the segment itself goes.  Where retention was faster, nothing is left."""
    try:
        folder.system.unlink(named(base), dir_fd=folder.fd)
    except FileNotFoundError:
        folder.remove(named(base, PACKED))


def _write(system: System, source: int, target: int, total: int, base: int, level: int) -> None:
    block = BLOCK
    while _blocks(total, block) > MAX_BLOCKS:
        block *= 2
    count = _blocks(total, block)
    write_all(system, target, _head(block, total, base, [0] * count))
    lengths = []
    for at in range(0, total, block):
        packer = zlib.compressobj(level, zlib.DEFLATED, 31)
        member = packer.compress(_whole(system, source, min(block, total - at), at)) + packer.flush()
        write_all(system, target, member)
        lengths.append(len(member))
    head = _head(block, total, base, lengths)
    if system.pwrite(target, head, 0) != len(head):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _compare(system: System, source: int, target: int, total: int, base: int) -> None:
    """OSError EIO unless the compressed form gives every byte of the segment, and no other."""
    packed = Packed(system, target, system.fstat(target), "the copy", base)
    for at in range(0, total, BLOCK):
        count = min(BLOCK, total - at)
        if packed.pread(count, at) != _whole(system, source, count, at):
            raise OSError(errno.EIO, "a compressed segment does not give what was put into it")
    if packed.size != total:
        raise OSError(errno.EIO, "a compressed segment has another length")


def _whole(system: System, fd: int, count: int, offset: int) -> bytes:
    data = system.pread(fd, count, offset)
    if len(data) != count:
        raise OSError(errno.ENODATA, os.strerror(errno.ENODATA))
    return data


def _head(block: int, total: int, base: int, lengths: list[int]) -> bytes:
    about = _ABOUT.pack(_VERSION, 0, block, total, base) + struct.pack(f"<{len(lengths)}I", *lengths)
    about += zlib.crc32(about).to_bytes(4, "little")
    return _MEMBER.pack(_MAGIC + b"\x04", 0, 0, 255) + _EXTRA.pack(len(about) + 4, b"EF", len(about)) + about + _EMPTY


def _blocks(total: int, block: int) -> int:
    return -(-total // block)
