"""The one writer of a journal: capture into the active segment, and rotation.

Position = base offset of the last segment + its size; there is no other state, so a kill at any instant loses nothing and a new Writer needs to be
told nothing.  Bytes come from a pipe by splice(2): a byte is still in the pipe or already in the file, never in our memory.  The segment is not
opened O_APPEND (splice refuses that), and the end is kept by counting, so that the hot path is one system call and one addition.

Rotation, once a segment has reached its size: find the end of the last record, scanning back; copy what follows it to `<base>.tmp`; rename (this
commits: from here on the next segment exists, and both hold the same bytes); seal the old one; cut it.  Sealing comes before cutting, because a
reader that sits at the cut asks only "is this sealed" when it finds no more bytes: cut first, it would take the middle of the journal for its end.
A record without end lets the segment grow until it is longer than max_event; then the segment ends where the file ends, inside that record.

A rotation that fails before it is sealed (a full disk) is undone and the old segment simply goes on; it is tried again a megabyte later.

This module must never hold task output in memory beyond a piece, never wait, and never be used by two processes at once: the caller holds the lock.
"""

from __future__ import annotations

import contextlib
import os

from efsupervisor.errors import JournalError
from efsupervisor.journal import fragments, recovery, retention
from efsupervisor.journal.folder import ACTIVE_MODE, INDEX, PIECE, SEALED_MODE, TEMPORARY, Folder, Head, copy_range, named, write_all
from efsupervisor.journal.fragments import Fragment
from efsupervisor.journal.framing import BROKEN, Walk, terminator, walk
from efsupervisor.journal.index import Indexer
from efsupervisor.journal.scan import record_border
from efsupervisor.states import Framing
from efsupervisor.system import System

_RETRY_AFTER = 1 << 20
"""Bytes until a rotation that failed is tried again: a full disk must not cost a copy at each write."""

_WALK_AFTER = 4 << 20
"""Bytes of netstrings that are walked at once."""


class Writer:
    """Appends to the journal in `folder`, which is created (0700) when it is missing.  Owns its descriptors until close().

    segment_bytes: size at which a new segment begins.  max_event: longest record that is kept within one segment.  boot_id: this boot; without one a
    power loss is not looked for.  floor: an offset at or above every saved cursor, used after a power loss or when the segments are gone.
    Raises JournalError for a folder that cannot be trusted and OSError as the system gives it.

    end: next offset.  first: oldest offset still there.  damage: a sentence about what a power loss did, or "".  framing: how
    records are framed that begin from now on (efsupervisor.journal.framing).  All four are for reading only.
    """

    __slots__ = (
        "_barren",
        "_base",
        "_due",
        "_durable",
        "_fd",
        "_folder",
        "_index",
        "_known",
        "_max_event",
        "_segment_bytes",
        "_system",
        "damage",
        "end",
        "first",
        "framing",
    )

    end: int
    first: int
    damage: str
    framing: int
    _barren: int
    _base: int
    _due: int
    _known: int
    _index: Indexer

    def __init__(
        self,
        folder: str,
        *,
        system: System,
        segment_bytes: int = 64 << 20,
        max_event: int = 1 << 20,
        boot_id: str = "",
        floor: int = 0,
    ) -> None:
        with contextlib.suppress(FileExistsError):
            system.mkdir(folder, 0o700)
        self._system = system
        self._folder = Folder(system, folder)
        self._segment_bytes = segment_bytes
        self._max_event = max_event
        self._durable = False
        self._fd = -1
        self.damage = ""
        try:
            self._recover(boot_id, floor)
        except BaseException:
            self._let_go()
            raise

    @property
    def base(self) -> int:
        """Where the active segment begins."""
        return self._base

    # Appending -----------------------------------------------------------------------------------------------------------------------------------

    def splice_from(self, fd: int, limit: int = 1 << 20) -> int:
        """Move at most `limit` bytes from a pipe into the journal and say how many; 0: every writer of the pipe has closed.

        BlockingIOError: the pipe is empty.  Another OSError (ENOSPC, EIO): what was not moved is still in the pipe.  The caller owns `fd`.
        """
        try:
            moved = self._system.splice(fd, self._fd, limit)
        except BlockingIOError:
            raise
        except OSError:
            self._settle()
            raise
        self.end += moved
        if self.end >= self._due:
            self._rotate()
        return moved

    def append(self, data: bytes) -> int:
        """Write `data` wholly or not at all and say at which offset it begins.  OSError: nothing of it is in the journal.

        Readers may see a part of it for an instant before it is taken back, so pass whole records, and let consumers take whole records only.  A kill
        in the middle leaves an unfinished record: a new writer finds last_record_end() below end and marks it as a fragment.
        """
        begin = self.end
        try:
            write_all(self._system, self._fd, data)
        except OSError:
            with contextlib.suppress(OSError):
                self._system.ftruncate(self._fd, begin - self._base)
            self._settle()
            raise
        self.end += len(data)
        if self.end >= self._due:
            self._rotate()
        return begin

    def mark_fragment(self, start: int, end: int, *, deliver: bool) -> None:
        """Say that [start, end) is all there will be of a record.  Saying it again changes nothing.  OSError: not marked, try again."""
        if start < end:
            fragments.mark(self._folder, Fragment(start, end, deliver))
            self._known = max(self._known, end)

    def frame(self, framing: int) -> None:
        """Records that begin from now on are framed so; no record may be unfinished (mark it first).  OSError: not said, try again."""
        if framing != self.framing:
            fragments.mark(self._folder, Fragment(self.end, self.end, False, framing))
            self._known = self._barren = self.end
            self.framing = framing
            self._set_due()

    def last_record_end(self, floor: int = 0) -> int:
        """Offset after the last record or marked fragment, not below `floor`; equal to `end` when no record is unfinished."""
        marked = max((one.end for one in fragments.load(self._folder)), default=0)
        if self.framing == Framing.NETSTRING:
            return self._walk(max(floor, marked)).border
        return record_border(self._folder, self.end, max(floor, marked), self.framing)

    # Upkeep --------------------------------------------------------------------------------------------------------------------------------------

    def index(self, wall_ns: int, *, checksum: bool | None = None) -> None:
        """Note that the journal ends here at this time; nothing when nothing came since the last note.

        checksum: of the bytes since then; None: only when they are at most 1 MiB.  Never fails: the index is a hint.
        """
        self._index.add(self._fd, self.end, wall_ns, checksum)

    def retain(self, *, keep_bytes: int, keep_age_s: float, needed: int, wall_ns: int, hard_bytes: int) -> list[str]:
        """Remove closed segments over the limits (0: no limit) that end at or below `needed`; beyond hard_bytes also those that do not.

        Returns a sentence when the latter happened.  OSError: fewer were removed.
        """
        limits = retention.Limits(keep_bytes, keep_age_s, hard_bytes)
        if self.first == self._base or not limits.may_bind(self.end - self.first):
            return []
        told = retention.apply(self._folder, limits, self.end, needed, wall_ns)
        self.first = self._folder.bases()[0]
        fragments.compact(self._folder, self.first)
        return told

    def clear(self, needed: int) -> None:
        """Begin anew: everything before `end` that lies below `needed` is removed; what a cursor needs stays, and `end` counts on.  OSError: as it
        was, or fewer were removed."""
        if self.end > self._base:
            self._switch(self.end, self._copy_tail(self.end))
        self.retain(keep_bytes=1, keep_age_s=0.0, needed=needed, wall_ns=self._system.wall_ns(), hard_bytes=0)

    def limit(self, *, segment_bytes: int, max_event: int) -> None:
        """Other limits from the next append on."""
        self._segment_bytes = segment_bytes
        self._max_event = max_event

    def sync(self) -> None:
        """Everything appended so far survives a power loss.  From the first call on a rotation keeps that promise too."""
        self._system.fsync(self._fd)
        if not self._durable:
            self._system.fsync(self._folder.fd)
            self._durable = True

    def relief(self) -> None:
        """Give back what is held for speed only (the index's descriptor); call it when the task falls idle."""
        self._index.close()

    def close(self, *, clean: bool = False) -> None:
        """Give the descriptors back; again is harmless.  clean: note in journal.json that nothing is missing, for the next boot of the machine."""
        if self._fd < 0:
            return
        try:
            if clean:
                self._close_head()
        finally:
            self._let_go()

    # Rotation ------------------------------------------------------------------------------------------------------------------------------------

    def _rotate(self) -> None:
        """Begin a new segment at the end of the last record, or note when to look again."""
        try:
            if self.framing == Framing.NETSTRING and not self._walks_to_the_end():
                return
            cut = self._find_cut()
            if cut is not None:
                self._switch(cut, self._copy_tail(cut))
        except (OSError, JournalError):
            self._due = self.end + _RETRY_AFTER

    def _walk(self, floor: int) -> Walk:
        """Over netstrings up to the end.  What was walked once is not walked again: _known is a record's beginning."""
        found = walk(lambda at, size: self._system.pread(self._fd, size, at - self._base), max(self._known, floor), self.end)
        self._known = found.border
        return found

    def _walks_to_the_end(self) -> bool:
        """Netstrings are walked a piece at a time, while the segment grows; True when it is time to cut.  No netstring is ever cut: a segment of them
        begins with one.  What is none is marked, and then is cut as bytes."""
        found = self._walk(0)
        if found.broken:
            fragments.mark(self._folder, Fragment(found.border, found.border, False, BROKEN))
            self.framing = BROKEN
        full = self._base + self._segment_bytes
        if self.end >= full and (self._known > self._base or self.framing == BROKEN):
            return True
        self._due = min(full, self.end + _WALK_AFTER) if self.end < full else found.open_end or self.end + 1
        return False

    def _find_cut(self) -> int | None:
        """Offset after the last record of the segment; the end when the open record is too long; None when it may still come to an end.

        What was scanned in vain is never scanned again: up to _barren the segment has no end of a record.
        """
        if self.framing in (Framing.NETSTRING, BROKEN):
            return self._known if self._known > self._base else self.end
        end_byte = terminator(self.framing)
        at, low = self.end, max(self._barren, self.end - self._max_event - 1)
        while at > low:
            start = max(low, at - PIECE)
            found = self._system.pread(self._fd, at - start, start - self._base).rfind(end_byte)
            if found >= 0:
                return start + found + 1
            at = start
        if self.end - self._base > self._max_event:
            return self.end
        self._barren = self.end
        self._due = min(self.end + PIECE, self._base + self._max_event + 1)
        return None

    def _copy_tail(self, cut: int) -> int:
        """The next segment, committed, as a descriptor at its end.  OSError: it does not exist, and the old one is as it was."""
        name, fd = named(cut), -1
        try:
            fd, _ = self._folder.open(name + TEMPORARY, os.O_RDWR | os.O_CREAT | os.O_TRUNC)
            self._system.fchmod(fd, ACTIVE_MODE)
            copy_range(self._system, self._fd, fd, cut - self._base, self.end - self._base)
            if self._durable:
                self._system.fsync(fd)
            self._system.fault("rotate:copied")
            self._folder.remove(named(cut, INDEX))
            self._folder.rename(name + TEMPORARY, name)
            self._system.fault("rotate:renamed")
            self._system.fchmod(self._fd, SEALED_MODE)
        except (OSError, JournalError):
            self._undo(name, fd)
            raise
        return fd

    def _undo(self, name: str, fd: int) -> None:
        """Nothing was appended to the new segment and the old one is not sealed, so no reader has seen anything that the old one lacks."""
        if fd >= 0:
            self._system.close(fd)
        for leftover in (name, name + TEMPORARY):
            self._folder.remove(leftover)

    def _switch(self, cut: int, fd: int) -> None:
        """From here on the new segment is the journal's end; what follows is tidying, which the next Writer repeats if it fails."""
        self._system.fault("rotate:sealed")
        old, self._fd = self._fd, fd
        begin, self._base = self._base, cut
        self._barren = self._known = cut
        self._set_due()
        self._index.close()
        self._index = Indexer(self._folder, cut)
        with contextlib.suppress(OSError):
            self._system.ftruncate(old, cut - begin)
            self._system.fault("rotate:truncated")
            if self._durable:
                self._system.fsync(old)
                self._system.fsync(self._folder.fd)
        self._system.close(old)

    # Recovery ------------------------------------------------------------------------------------------------------------------------------------

    def _recover(self, boot_id: str, floor: int) -> None:
        folder = self._folder
        head = folder.head()
        bases = recovery.mend(folder, recovery.sweep(folder))
        if bases:
            beyond = recovery.end_of_packed(folder, bases[-1])
            if beyond is not None:
                self._folder.system.close(recovery.begin(folder, beyond))
                bases.append(beyond)
            self._fd, size = recovery.resume(folder, bases[-1])
            self._stand(bases, size)
            if recovery.boot_was_unclean(head, boot_id, self.end):
                self._after_power_loss(bases, size, floor)
        else:
            self._fd = recovery.begin(folder, floor)
            self._stand([floor], 0)
        self._open_head(head, boot_id)

    def _after_power_loss(self, bases: list[int], size: int, floor: int) -> None:
        target, self.damage = recovery.after_power_loss(self._folder, self._base, self._fd, size, floor)
        self._settle()
        if target > self.end:
            old, self._fd = self._fd, recovery.begin(self._folder, target)
            self._stand([*bases, target], 0)
            self._system.fault("damage:begun")
            try:
                self._system.fchmod(old, SEALED_MODE)
            finally:
                self._system.close(old)

    def _stand(self, bases: list[int], size: int) -> None:
        self.first, self._base = bases[0], bases[-1]
        self.end = self._base + size
        self._index = Indexer(self._folder, self._base)
        marks = fragments.load(self._folder)
        self.framing = fragments.framing_at(marks, self.end)
        self._known = max([self._base, *(one.end for one in marks[-2:])])
        self._barren = max([self._base, *(one.end for one in marks[-2:] if one.framing >= 0)])
        self._set_due()

    def _set_due(self) -> None:
        self._due = self._base + self._segment_bytes
        if self.framing == Framing.NETSTRING:
            self._due = min(self._due, self.end + _WALK_AFTER)

    def _new_head(self, boot_id: str) -> Head:
        return Head(boot_id=boot_id, created=self._system.wall_ns())

    def _open_head(self, head: Head | None, boot_id: str) -> None:
        """journal.json must say "not closed" while a writer is there; it is written only when it says something else.

        A full disk that refuses it must not refuse the writer: without it the next boot looks harder than it needs to, and that is all.
        """
        now = head or self._new_head(boot_id)
        now = Head(framing=now.framing, created=now.created, boot_id=boot_id or now.boot_id)
        if now != head:
            with contextlib.suppress(OSError):
                self._folder.put_head(now)

    def _close_head(self) -> None:
        if self._durable:
            self._system.fsync(self._fd)
        head = self._folder.head() or self._new_head("")
        with contextlib.suppress(OSError):
            self._folder.put_head(Head(framing=head.framing, created=head.created, boot_id=head.boot_id, clean=True, end=self.end))

    # Descriptors ---------------------------------------------------------------------------------------------------------------------------------

    def _settle(self) -> None:
        """Ask the system where the end is; after an error the count cannot be trusted."""
        self.end = self._base + self._system.lseek(self._fd, 0, os.SEEK_END)

    def _let_go(self) -> None:
        if self._fd >= 0:
            fd, self._fd = self._fd, -1
            self._index.close()
            self._system.close(fd)
        self._folder.close()
