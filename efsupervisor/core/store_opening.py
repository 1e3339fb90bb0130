"""How the state file is had, whatever lies there: `opened` is the one way to a connection.

    nothing there        -> make one
    right                -> use it (an older one is brought up to date in one transaction)
    damaged              -> set aside, salvage, a new one in its place
    cannot be written    -> read a copy in memory's own file system; no connection, and a sentence that says why

EfError, and nothing may start: a newer version, a file that is not ours, one that another process keeps locked, one that cannot even be read.

This module must never write to a file it found damaged.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from typing import NamedTuple, Protocol

from efsupervisor.core import store_file as file
from efsupervisor.core import store_schema as schema
from efsupervisor.core.store_rows import Kept, Key, Kind
from efsupervisor.core.store_salvage import Salvage, salvage
from efsupervisor.errors import Code, EfError
from efsupervisor.system import Real

IN_MEMORY = "/dev/shm"
PATIENCE_MS = 1000
"""How long the start waits for another process that has locked the file for itself."""


class Says(Protocol):
    """The daemon's log."""

    def info(self, sentence: str) -> None: ...
    def warning(self, sentence: str) -> None: ...
    def error(self, sentence: str) -> None: ...


class Opened(NamedTuple):
    """connection: None when the file cannot be written now (ailment says why).  complete: nothing that was saved can be missing."""

    connection: sqlite3.Connection | None
    contents: file.Contents
    complete: bool = True
    ailment: str = ""


def opened(path: str, system: Real, log: Says, *, patience_ms: int = PATIENCE_MS) -> Opened:
    """The file at the start, see the module."""
    file.prepare(path, system)
    try:
        return _Opening(path, system, log, patience_ms).had()
    except (sqlite3.Error, OSError, file.Damaged) as error:
        why = reason(error)
        if isinstance(error, sqlite3.Error) and file.is_locked(error):
            raise EfError(
                f"the state file {path} is locked by another process and what is saved in it cannot be read; find it with `fuser {path}` and end it",
                Code.SYSTEM,
            ) from error
        return Opened(None, *_borrowed(path, system, log, why), ailment=why)


def opened_again(path: str, system: Real, log: Says, instead: dict[Key, Kept], suspicion: str = "") -> Opened:
    """The file while we run, without waiting for anybody.  instead: what is saved, which a damaged file no longer can say better.  suspicion: it was
    found damaged in use, how it may look now.  EfError, sqlite3.Error, OSError, Damaged: not now."""
    file.prepare(path, system)
    return _Opening(path, system, log, 0, instead, suspicion).had()


def reason(error: Exception) -> str:
    """Why a file cannot be written, for a person; the end of a sentence."""
    if isinstance(error, sqlite3.Error):
        return file.reason(error)
    return (error.strerror if isinstance(error, OSError) else None) or str(error)


class _Opening:
    """One attempt."""

    def __init__(
        self, path: str, system: Real, log: Says, patience_ms: int, instead: dict[Key, Kept] | None = None, suspicion: str = ""
    ) -> None:
        self._path = path
        self._system = system
        self._log = log
        self._patience_ms = patience_ms
        self._instead = instead
        self._suspicion = suspicion

    def had(self) -> Opened:
        aside = file.aside_already(self._path, self._system)
        if file.inode(self._path, self._system) == (0, 0):
            self._set_aside_lone_wal()
            file.make(self._path, self._system, self._instead or {})
        elif aside or self._suspicion:
            return self._replaced(aside, self._suspicion or "was being set aside by an efsupervisord that did not come to its end")
        try:
            return self._checked()
        except file.Damaged as damage:
            return self._replaced("", str(damage))

    def _checked(self) -> Opened:
        connection, contents, version = file.open_checked(self._path, self._system, self._patience_ms)
        if version < schema.VERSION:
            self._log.info(f"state file {self._path}: brought from version {version} to {schema.VERSION}")
        return Opened(connection, contents)

    def _set_aside_lone_wal(self) -> None:
        """A -wal without its file would be deleted by SQLite."""
        wal = self._path + "-wal"
        if file.inode(wal, self._system) != (0, 0) and self._system.stat(wal).st_size:
            name = f"{self._path}.damaged-{file.stamp(self._system)}-wal"
            self._system.rename(wal, name)
            self._log.error(f"the state file {self._path} is gone, only its -wal was left: that is {name} now")

    def _replaced(self, aside: str, damage: str) -> Opened:
        """Set aside and salvage.  sqlite3.Error, OSError: no room for it; the file has its old name still."""
        aside = aside or file.set_aside(self._path, self._system)
        found = salvage(aside, self._path, self._system)
        self._system.fault("store:salvaged")
        known = self._instead
        file.make(self._path, self._system, found.kept if known is None else known, found.runs, found.alerts)
        told = _told(found) if known is None else "everything that was saved is written anew"
        self._log.error(f"the state file {self._path} {damage}: it was set aside as {aside}; {told}; {_counted(found)}")
        return self._checked()._replace(complete=known is not None)


def _told(found: Salvage) -> str:
    kinds = [kind for kind, _ in found.kept if kind is not Kind.MARK]
    counts = [f"{kinds.count(kind)} {kind}s" for kind in dict.fromkeys(kinds)]
    return f"saved from it: {', '.join(counts) or 'nothing of what was commanded'}"


def _counted(found: Salvage) -> str:
    return f"{len(found.runs)} runs and {len(found.alerts)} alerts of its listings are in the new one"


class _Quiet:
    """A log for a copy, whose path means nothing to anybody.  said: there was an error."""

    def __init__(self) -> None:
        self.said = False

    def info(self, sentence: str) -> None:
        """Nobody reads it."""

    warning = info

    def error(self, sentence: str) -> None:
        self.said = True


def _borrowed(path: str, system: Real, log: Says, why: str) -> tuple[file.Contents, bool]:
    """Contents of a file that cannot be written, by way of a copy that can be.  EfError when it cannot be read either."""
    if file.inode(path, system) == (0, 0):
        return file.Contents({}, 0, 0, 0, 0, 0), True
    import shutil  # late, as tempfile: 1 MiB that every fork of the Core would carry, for a file that can only be read
    import tempfile  # late: see above

    try:
        with tempfile.TemporaryDirectory(dir=IN_MEMORY if os.access(IN_MEMORY, os.W_OK) else None, prefix="efsupervisor-") as folder:
            copy = os.path.join(folder, os.path.basename(path))
            shutil.copyfile(path, copy)
            with contextlib.suppress(FileNotFoundError):
                shutil.copyfile(path + "-wal", copy + "-wal")
            quiet = _Quiet()
            found = _Opening(copy, system, quiet, PATIENCE_MS).had()
            if found.connection is not None:
                found.connection.close()
        if quiet.said:
            log.error(f"the state file {path} is damaged and cannot be replaced now ({why}): what can be read of it is in memory, it is tried again")
        return found.contents, found.complete
    except (OSError, sqlite3.Error, file.Damaged) as error:
        raise EfError(f"the state file {path} can be neither written ({why}) nor read ({error}); nothing was started", Code.SYSTEM) from error
