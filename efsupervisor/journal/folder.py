"""A journal's folder: names of files, opening them without trusting them, listing segments, and the small head file.

A segment is `<base>.log`, 20 digits, so that names sort as numbers do.  It is *active* while its mode has a write bit and *sealed* (0440) once a
successor exists; the mode is the only message a writer sends to readers that sit at its end.

Everything is opened below a descriptor of the folder, without following links, and is refused when it is no regular file, has a second name or
belongs to somebody else than the folder: a log folder must not be a way to make us write elsewhere.  This module never removes or changes a
segment.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Iterable

import msgspec

from efsupervisor.errors import Code, JournalError
from efsupervisor.system import System

SEGMENT = ".log"
PACKED = ".log.gz"
INDEX = ".idx"
DAMAGED = ".damaged"
TEMPORARY = ".tmp"
HEAD = "journal.json"
VERSION = 1
ACTIVE_MODE = 0o640
SEALED_MODE = 0o440
PIECE = 64 << 10
"""Bytes handled at once wherever a file is scanned, so that no scan costs memory."""

_DIGITS = 20
_NOT_A_FILE = frozenset({errno.ELOOP, errno.ENXIO, errno.EISDIR})


def named(base: int, suffix: str = SEGMENT) -> str:
    """File name of what begins at offset `base`."""
    return f"{base:0{_DIGITS}d}{suffix}"


def base_of(name: str, suffix: str = SEGMENT) -> int | None:
    """The offset in a file name of ours, None for any other name."""
    digits = name[:_DIGITS]
    return int(digits) if name[_DIGITS:] == suffix and len(digits) == _DIGITS and digits.isascii() and digits.isdigit() else None


def bases_in(names: Iterable[str]) -> list[int]:
    """Base offsets of the segments among these files, ascending; one that is there twice, compressed and not, counts once."""
    found = {base_of(name, suffix) for name in names for suffix in (SEGMENT, PACKED)}
    return sorted(base for base in found if base is not None)


def is_sealed(status: os.stat_result) -> bool:
    """A sealed segment never grows again, and its successor exists already."""
    return not status.st_mode & 0o222


class Head(msgspec.Struct, frozen=True, kw_only=True):
    """journal.json.  clean and end: the last writer closed in order, at that offset; boot_id: the boot in which it wrote; created: wall ns."""

    version: int = VERSION
    framing: str = "lines"
    boot_id: str = ""
    created: int = 0
    clean: bool = False
    end: int = 0


class Folder:
    """An open journal folder.  Holds one descriptor until close().  FileNotFoundError: no such folder.  JournalError: it is none."""

    __slots__ = ("_owner", "fd", "path", "system")

    def __init__(self, system: System, path: str) -> None:
        self.system = system
        self.path = path
        try:
            self.fd = system.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        except NotADirectoryError as error:
            raise JournalError(f"{path} is not a folder (a link is not followed); remove it or name another") from error
        try:
            self._owner = system.fstat(self.fd).st_uid
        except OSError:
            self.close()
            raise

    def __enter__(self) -> Folder:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Give the descriptor back; again is harmless."""
        if self.fd >= 0:
            fd, self.fd = self.fd, -1
            self.system.close(fd)

    def bases(self) -> list[int]:
        """Base offsets of all segments, ascending, whether they are compressed or not."""
        return bases_in(self.system.listdir(self.fd))

    def open(self, name: str, flags: int, mode: int = ACTIVE_MODE) -> tuple[int, os.stat_result]:
        """Open a file of this folder and say what it is; the caller owns the descriptor.  JournalError: it is not one of ours.

        O_NONBLOCK, so that a FIFO planted under our name cannot hold us; it means nothing to regular files.
        """
        try:
            fd = self.system.open(name, flags | os.O_NOFOLLOW | os.O_NONBLOCK, mode, dir_fd=self.fd)
        except OSError as error:
            if error.errno in _NOT_A_FILE:
                raise self._refusal(name, "is not a regular file") from error
            raise
        try:
            status = self.system.fstat(fd)
            reason = self._distrust(status)
            if reason:
                raise self._refusal(name, reason)
        except (OSError, JournalError):
            self.system.close(fd)
            raise
        return fd, status

    def open_writable(self, name: str) -> tuple[int, os.stat_result]:
        """As open() for reading and writing, also when it was sealed and we are not root; it is left active."""
        try:
            return self.open(name, os.O_RDWR)
        except PermissionError:
            fd, _ = self.open(name, os.O_RDONLY)
            try:
                self.system.fchmod(fd, ACTIVE_MODE)
            finally:
                self.system.close(fd)
            return self.open(name, os.O_RDWR)

    def stat(self, name: str) -> os.stat_result | None:
        """What a name stands for, None when there is none."""
        try:
            return self.system.stat(name, dir_fd=self.fd)
        except FileNotFoundError:
            return None

    def rename(self, source: str, target: str) -> None:
        """As os.rename, below this folder."""
        self.system.rename(source, target, dir_fd=self.fd)

    def remove(self, name: str) -> None:
        """Remove a file; one that is not there is as good as removed."""
        with contextlib.suppress(FileNotFoundError):
            self.system.unlink(name, dir_fd=self.fd)

    def replace(self, name: str, data: bytes) -> None:
        """Put a small file in one step: a reader sees the old content or the new one.  OSError leaves the old one."""
        temporary = name + TEMPORARY
        fd, _ = self.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        try:
            write_all(self.system, fd, data)
            self.rename(temporary, name)
        except OSError:
            self.remove(temporary)
            raise
        finally:
            self.system.close(fd)

    def head(self) -> Head | None:
        """journal.json, None when it is missing or unreadable (a power loss leaves an empty file).  JournalError: written by a newer version."""
        try:
            fd, _ = self.open(HEAD, os.O_RDONLY)
        except FileNotFoundError:
            return None
        try:
            head = msgspec.json.decode(self.system.read(fd, PIECE), type=Head)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            return None
        finally:
            self.system.close(fd)
        if head.version > VERSION:
            raise JournalError(f"{self.path} has journal format {head.version}; this program knows {VERSION}: use a newer one", Code.VERSION)
        return head

    def put_head(self, head: Head) -> None:
        """Write journal.json."""
        self.replace(HEAD, msgspec.json.encode(head))

    def _distrust(self, status: os.stat_result) -> str:
        if not stat.S_ISREG(status.st_mode):
            return "is not a regular file"
        if status.st_nlink > 1:
            return "has a second name (hard link)"
        if status.st_uid != self._owner:
            return "belongs to another user than its folder"
        return ""

    def _refusal(self, name: str, reason: str) -> JournalError:
        return JournalError(f"{self.path}/{name} {reason}; it is not used: move it away")


def write_all(system: System, fd: int, data: bytes) -> None:
    """Write everything at the descriptor's own offset.  OSError: a part may have been written, and the error says why not the rest."""
    view = memoryview(data)
    while view:
        view = view[system.write(fd, view) :]


def copy_range(system: System, source: int, target: int, start: int, stop: int) -> None:
    """Copy bytes [start, stop) of a file to the target's own offset, inside the kernel.  OSError; ENODATA when the source ends early."""
    while start < stop:
        copied = system.sendfile(target, source, start, stop - start)
        if copied == 0:
            raise OSError(errno.ENODATA, os.strerror(errno.ENODATA))
        start += copied
