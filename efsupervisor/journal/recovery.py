"""What a new Writer does before it writes: bring the folder into the one form that writing starts from.

After the death of a process.  A rotation is: the tail copied to `<base>.tmp`, renamed (that commits), the old segment sealed, then cut.  Whatever
instant the kill chose, it is enough to remove *.tmp, to seal all segments but the last, and to cut what the last but one has in common with the
last: a segment ends where the next begins.  Doing it twice, or dying in it, changes nothing.

After the death of the machine.  Bytes that were not synced may be missing or wrong, and a consumer's cursor may have reached the disk when the
bytes below it did not.  So the last segment is compared with its index; from the first bad block on, bytes go to `<offset>.damaged` and are cut
off; and writing goes on at an offset that was never in use: at or above every saved cursor and everything the index or the file knew.  The hole is
skipped by readers.  A record that the hole cuts is a fragment that nobody delivers.  journal.json, written last, says that all this is done.

This module never decides by a clock and never touches a segment older than the last two but to seal it.
"""

from __future__ import annotations

import os

from efsupervisor.errors import JournalError
from efsupervisor.journal import fragments, index, packed
from efsupervisor.journal.folder import (
    ACTIVE_MODE,
    DAMAGED,
    INDEX,
    PACKED,
    SEALED_MODE,
    TEMPORARY,
    Folder,
    Head,
    base_of,
    bases_in,
    copy_range,
    is_sealed,
    named,
)
from efsupervisor.journal.fragments import Fragment
from efsupervisor.journal.scan import record_border


def sweep(folder: Folder) -> list[int]:
    """Remove what belongs to nothing, temporary files and indexes without segment; returns the bases of all segments."""
    names = folder.system.listdir(folder.fd)
    bases = bases_in(names)
    for name in names:
        orphan = base_of(name, INDEX)
        if name.endswith(TEMPORARY) or (orphan is not None and orphan not in bases):
            folder.remove(name)
    for base in bases:
        if {named(base), named(base, PACKED)} <= set(names):
            _settle(folder, base)
    return bases


def _settle(folder: Folder, base: int) -> None:
    """A segment is there twice: its packing was killed before its last step, which is made now; a copy that does not fit is none."""
    try:
        copy = packed.open_packed(folder, base)
    except (OSError, JournalError):
        folder.remove(named(base, PACKED))
        return
    copy.close()
    if copy.size == _size(folder, base):
        packed.drop_original(folder, base)
    else:
        folder.remove(named(base, PACKED))


def mend(folder: Folder, bases: list[int]) -> list[int]:
    """Finish or undo a rotation that was cut short; returns the bases that are left, of which only the last is active."""
    while len(bases) > 1:
        before, last = bases[-2:]
        end_before = before + _size(folder, before)
        if end_before <= last + _size(folder, last):
            if end_before > last:
                _cut(folder, before, last)
            break
        # Only a power loss does this: the copy of the tail was committed but never reached the disk, and the original is still whole.
        folder.remove(named(last))
        folder.remove(named(last, INDEX))
        bases = bases[:-1]
    for base in bases[:-1]:
        seal(folder, base)
    return bases


def seal(folder: Folder, base: int) -> None:
    """Tell readers that a segment has a successor and never grows again."""
    status = folder.stat(named(base))
    if status is None or is_sealed(status):
        return
    fd, _ = folder.open(named(base), os.O_RDONLY)
    try:
        folder.system.fchmod(fd, SEALED_MODE)
    finally:
        folder.system.close(fd)


def begin(folder: Folder, base: int) -> int:
    """Create the empty segment that begins at `base`; returns its descriptor."""
    folder.remove(named(base, INDEX))
    fd, _ = folder.open(named(base), os.O_RDWR | os.O_CREAT)
    try:
        folder.system.fchmod(fd, ACTIVE_MODE)
    except OSError:
        folder.system.close(fd)
        raise
    return fd


def end_of_packed(folder: Folder, base: int) -> int | None:
    """Where the last segment ends when it is a compressed one (what followed it was lost with the machine): writing goes on behind it, in a new
    one.  None for one that can be written on."""
    return base + _size(folder, base) if folder.stat(named(base)) is None else None


def resume(folder: Folder, base: int) -> tuple[int, int]:
    """Open the last segment for writing at its end; returns its descriptor and its size."""
    fd, status = folder.open_writable(named(base))
    try:
        if is_sealed(status):
            folder.system.fchmod(fd, ACTIVE_MODE)
        return fd, folder.system.lseek(fd, 0, os.SEEK_END)
    except OSError:
        folder.system.close(fd)
        raise


def boot_was_unclean(head: Head | None, boot_id: str, end: int) -> bool:
    """Whether the machine may have lost power since the last write.  Without a boot_id nothing can be said, and nothing is.

    An orderly close is believed only when the file has the length that it had then.
    """
    if not boot_id:
        return False
    if head is None:
        return end > 0
    return head.boot_id != boot_id and not (head.clean and head.end == end)


def after_power_loss(folder: Folder, base: int, fd: int, size: int, floor: int) -> tuple[int, str]:
    """Set bad bytes aside.  Returns the offset at which writing goes on (above the segment's end: a new segment is due) and a sentence, or ""."""
    verdict = index.verify(folder, base, fd, size)
    lost = verdict.known - base - size
    damage = _set_aside(folder, base, fd, size, verdict.good) if verdict.good < base + size else ""
    index.Indexer(folder, base).trim(verdict.kept)
    if lost and not damage:
        damage = f"{lost} bytes from offset {base + size} on never reached the disk before the machine stopped"
    target = max(verdict.known, floor)
    if target > verdict.good:
        _mark_open_record(folder, verdict.good)
    return target, damage


def _set_aside(folder: Folder, base: int, fd: int, size: int, good: int) -> str:
    name = named(good, DAMAGED)
    target, _ = folder.open(name + TEMPORARY, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    try:
        copy_range(folder.system, fd, target, good - base, size)
        folder.system.fault("damage:copied")
        folder.rename(name + TEMPORARY, name)
    finally:
        folder.system.close(target)
    folder.system.fault("damage:renamed")
    folder.system.ftruncate(fd, good - base)
    folder.system.lseek(fd, good - base, os.SEEK_SET)
    folder.system.fault("damage:truncated")
    return f"{base + size - good} bytes from offset {good} on fail their checksum after the machine stopped; they are in {folder.path}/{name}"


def _mark_open_record(folder: Folder, end: int) -> None:
    marks = fragments.load(folder)
    floor = max((one.end for one in marks), default=0)
    start = record_border(folder, end, floor, fragments.framing_at(marks, end))
    if start < end:
        fragments.mark(folder, Fragment(start, end, deliver=False))


def _size(folder: Folder, base: int) -> int:
    found = packed.size(folder, base)
    assert found is not None, "nobody removes segments while the writer's lock is held"
    return found


def _cut(folder: Folder, base: int, end: int) -> None:
    fd, _ = folder.open_writable(named(base))
    try:
        # Sealed first, as in a rotation: a reader at the cut must never take the shortened file for the journal's end.
        folder.system.fchmod(fd, SEALED_MODE)
        folder.system.ftruncate(fd, end - base)
    finally:
        folder.system.close(fd)
