"""Who of a share group has which event: an append-only log under a lock, in the flow's folder.

All consumers of the group append to one file, each under a non-blocking flock of `claims.lock`; the append is the commit.  Nobody waits for the
lock: who does not get it comes back through a timer.  On entry the records that others appended are read, so within the lock all see the same
state.

The holder of a claim is the *incarnation* of a program, not the worker.  A worker that dies changes nothing: its successor asks held() and goes on.
When a program is dead, its worker (or the Core, for a member that is gone) gives back what it did not acknowledge, once, however often it is said.
The delivery record of the task is the truth about acknowledgements and is written before acknowledged() is; a claim log that lags behind it costs
nothing, one that ran ahead would lose events.

A record is valid alone, by its checksum.  A torn one at the end is as if never written, and is cut off by the next append.  Over 1 MiB the state is
written to `claims.tmp` and renamed over the file; others see that their file has no name any more and start from the new one.

A Claims object must be made by the process that uses it: a flock is shared across a fork, and then it excludes nobody.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
from collections.abc import Iterator, Sequence

from efsupervisor.errors import JournalError
from efsupervisor.journal.claimlog import HEADER, RECORD, Claim, Kind, Ledger, Record, generation_of, header, pack, parse
from efsupervisor.journal.folder import DAMAGED, TEMPORARY, Folder, write_all
from efsupervisor.system import System

FILE = "claims"
LOCK = "claims.lock"
_CHECKPOINT_BYTES = 1 << 20
_SHRINKS_TO = 4
"""A checkpoint is worth it when it leaves at most one part in this many; otherwise a large state would be written again and again."""
_BATCH = (64 << 10) // RECORD.size * RECORD.size


class Claims:
    """One member's view of a group.  Everything but locked() and close() may be called only within `with locked() as mine`, when `mine` is true.

    member: this task's number in the group.  Owns three descriptors until close().  Raises OSError (nothing was changed) and JournalError (the file
    is none of ours, or empty after a power loss: see create()).
    """

    __slots__ = ("_checkpoint_at", "_fd", "_folder", "_generation", "_ledger", "_lock", "_member", "_system", "_valid")

    def __init__(self, folder: str, *, system: System, member: int) -> None:
        self._system = system
        self._member = member
        self._fd = -1
        self._ledger = Ledger()
        self._folder = Folder(system, folder)
        try:
            self._lock, _ = self._folder.open(LOCK, os.O_RDWR | os.O_CREAT, 0o600)
        except (OSError, JournalError):
            self._folder.close()
            raise

    @staticmethod
    def create(folder: str, *, system: System, start: int) -> bool:
        """Begin a group at offset `start` unless it has begun; says whether it did.  For the Core, before any member runs.

        A file that lost its beginning (a power loss) is set aside as `claims.damaged`, and the group begins again: events are repeated, none is lost.
        """
        with contextlib.closing(Folder(system, folder)) as opened:
            if opened.stat(FILE) is not None:
                fd, generation = _opened(opened)
                system.close(fd)
                if generation is not None:
                    return False
                opened.rename(FILE, FILE + DAMAGED)
            opened.replace(FILE, header(1) + pack(Record(Kind.NEXT, claim=Claim(start, 0))))
        return True

    @contextlib.contextmanager
    def locked(self) -> Iterator[bool]:
        """True: the group is ours until the block ends, and its state is fresh.  False: another has it; come back later."""
        try:
            self._system.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        try:
            self._refresh()
            yield True
        finally:
            self._system.flock(self._lock, fcntl.LOCK_UN)

    def close(self) -> None:
        """Give the descriptors back; again is harmless."""
        for fd in (self._fd, self._lock):
            if fd >= 0:
                self._system.close(fd)
        self._fd = self._lock = -1
        self._folder.close()

    # What is -------------------------------------------------------------------------------------------------------------------------------------

    @property
    def next(self) -> int:
        """The first offset that nobody ever claimed."""
        return self._ledger.next

    def free(self) -> list[Claim]:
        """Events that came back, oldest first; they are claimed before new ones."""
        return self._ledger.free()

    def held(self, incarnation: int) -> list[Claim]:
        """Claims of this member's incarnation in the order of their claiming, without the first held_base() ones, which are acknowledged."""
        holder = self._ledger.holders.get((self._member, incarnation))
        return list(holder.held) if holder else []

    def held_base(self, incarnation: int) -> int:
        """How many claims of that incarnation are acknowledged and no longer in held()."""
        holder = self._ledger.holders.get((self._member, incarnation))
        return holder.base if holder else 0

    def floor(self) -> int:
        """The group's cursor: every event below this offset is acknowledged."""
        return self._ledger.floor()

    # What changes --------------------------------------------------------------------------------------------------------------------------------

    def claim(self, incarnation: int, events: Sequence[Claim]) -> None:
        """Take events, from free() or from `next` on, for an incarnation.  A kill in the middle takes the first few of them; held() tells."""
        self._append([Record(Kind.CLAIM, self._member, incarnation, claim=event) for event in events])

    def acknowledged(self, incarnation: int, count: int) -> None:
        """The first `count` claims of the incarnation are done.  The delivery record says so already; see the module's docstring."""
        holder = self._ledger.holders.get((self._member, incarnation))
        if holder and count > holder.base:
            self._append([Record(Kind.ACKNOWLEDGED, self._member, incarnation, count)])

    def skip_to(self, offset: int) -> int:
        """Whatever lies below this offset and was never claimed is nobody's; how many bytes that is."""
        skipped = offset - self._ledger.next
        if skipped <= 0:
            return 0
        self._append([Record(Kind.NEXT, claim=Claim(offset, 0))])
        return skipped

    def give_back(self, incarnation: int, acknowledged: int, member: int | None = None) -> list[Claim]:
        """A program is dead: all but its first `acknowledged` claims are free.  Returns what came back; a second time nothing.

        member: another one than this, for the Core that speaks for a member that is gone.
        """
        who = self._member if member is None else member
        back = self._ledger.outstanding(who, incarnation, acknowledged)
        if (who, incarnation) in self._ledger.holders:
            self._append([Record(Kind.RETURN, who, incarnation, acknowledged)])
        return back

    def member_gone(self, member: int) -> list[Claim]:
        """A member will not come back, and nobody knows what it acknowledged beyond this log: everything it holds is free.  Returns that."""
        incarnations = self._ledger.of_member(member)
        back = [claim for incarnation in incarnations for claim in self._ledger.outstanding(member, incarnation, 0)]
        if incarnations:
            self._append([Record(Kind.MEMBER_GONE, member)])
        return back

    # The file ------------------------------------------------------------------------------------------------------------------------------------

    def _append(self, records: list[Record]) -> None:
        if not records:
            return
        data = b"".join(map(pack, records))
        self._cut_torn()
        written = self._system.pwrite(self._fd, data, self._valid)
        if written != len(data):
            self._cut_torn()
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), FILE)
        self._valid += len(data)
        for record in records:
            self._ledger.add(record)
        self._system.fault("claims:appended")
        if self._valid > self._checkpoint_at:
            self._checkpoint()

    def _cut_torn(self) -> None:
        """What stands behind the last valid record must go before anything is written over its beginning: its end might become valid."""
        if self._system.fstat(self._fd).st_size > self._valid:
            self._system.ftruncate(self._fd, self._valid)

    def _checkpoint(self) -> None:
        """Replace the file by the state it adds up to.  A disk that cannot leaves the old file in use, until it has grown by as much again."""
        self._checkpoint_at = self._valid + _CHECKPOINT_BYTES
        data = header(self._generation + 1) + b"".join(map(pack, self._ledger.snapshot()))
        if len(data) * _SHRINKS_TO > self._valid:
            return
        with contextlib.suppress(OSError):
            self._folder.remove(FILE + TEMPORARY)
            fd, _ = self._folder.open(FILE + TEMPORARY, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
            self._replace(fd, data)

    def _replace(self, fd: int, data: bytes) -> None:
        try:
            write_all(self._system, fd, data)
            self._system.fault("claims:checkpoint-written")
            self._folder.rename(FILE + TEMPORARY, FILE)
        except OSError:
            self._system.close(fd)
            raise
        self._system.fault("claims:checkpointed")
        self._stand_on(fd, self._generation + 1, len(data))

    def _refresh(self) -> None:
        """Read what others appended; from the beginning when the file was replaced."""
        status = self._system.fstat(self._fd) if self._fd >= 0 else None
        if status is None or not status.st_nlink:
            self._reopen()
        elif status.st_size <= self._valid:
            return
        while batch := self._system.pread(self._fd, _BATCH, self._valid):
            before = self._valid
            for record in parse(batch):
                self._ledger.add(record)
                self._valid += RECORD.size
            if self._valid - before < _BATCH:
                return

    def _reopen(self) -> None:
        fd, generation = _opened(self._folder)
        if generation is None:
            self._system.close(fd)
            raise JournalError(f"{self._folder.path}/{FILE} has no beginning (after a power loss?); the group must be begun again")
        self._ledger = Ledger()
        self._stand_on(fd, generation, HEADER.size)

    def _stand_on(self, fd: int, generation: int, valid: int) -> None:
        if self._fd >= 0:
            self._system.close(self._fd)
        self._fd, self._generation, self._valid = fd, generation, valid
        self._checkpoint_at = _CHECKPOINT_BYTES


def _opened(folder: Folder) -> tuple[int, int | None]:
    """The claims file and its generation, None when it has no beginning; the caller owns the descriptor."""
    fd, _ = folder.open(FILE, os.O_RDWR)
    try:
        return fd, generation_of(folder.system.pread(fd, HEADER.size, 0))
    except (OSError, JournalError):
        folder.system.close(fd)
        raise
