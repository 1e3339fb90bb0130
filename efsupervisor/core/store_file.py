"""The state file itself: opened, checked, made, and set aside when it is damaged.

A new file is made whole under the name `<path>.new` and renamed, so that `path` is never a file without its tables: an empty one is damage.

Setting aside.  A file that cannot be trusted gets a second name, `<path>.damaged-<time>`, and so does its -wal; nothing of it is ever deleted or
changed.  What can be read is then put into a new file, which takes the name `path` in one rename.  A crash between finds the first name and the
second on one inode, and goes on from there:

    link aside -> salvage into .new -> unlink -wal, -shm -> rename .new -> (the name `path` is another inode: done)

This module must never decide what is saved, nor keep rows after it has given them.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import stat
import time
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple
from urllib.parse import quote

import msgspec

from efsupervisor.core import store_schema as schema
from efsupervisor.core.store_rows import TYPES, Kept, Key, Kind, checksum
from efsupervisor.errors import Code, EfError
from efsupervisor.system import Real

MAX_PATH = 480
"""SQLite's own limit is 512 bytes for the longest of the three names (os_unix.c, MAX_PATHNAME)."""

PAGES_IN_WAL = 256
"""After so many pages (1 MiB) SQLite carries the -wal into the file."""

COMPANIONS = ("-wal", "-shm")
_DAMAGE = {
    sqlite3.SQLITE_CORRUPT,
    sqlite3.SQLITE_NOTADB,
    sqlite3.SQLITE_ERROR,
    sqlite3.SQLITE_CONSTRAINT,
    sqlite3.SQLITE_MISMATCH,
    sqlite3.SQLITE_SCHEMA,
}
_LOCKED = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_PROTOCOL}
_REASONS = {
    sqlite3.SQLITE_FULL: "the disk is full",
    sqlite3.SQLITE_READONLY: "it is read-only",
    sqlite3.SQLITE_CANTOPEN: "it cannot be opened (read-only, or no descriptor or space is left)",
}


class Damaged(Exception):
    """The file cannot be trusted; the text says what is wrong, without a subject."""


class Contents(NamedTuple):
    """What a good file holds.  newest: highest number of history and of alerts; counts: how many rows; oldest_alert: 0 when there is none."""

    kept: dict[Key, Kept]
    newest_run: int
    newest_alert: int
    oldest_alert: int
    runs: int
    alerts: int


def code_of(error: sqlite3.Error) -> int:
    """SQLite's primary result code; SQLITE_CORRUPT for what the module of Python finds itself (text that is no UTF-8)."""
    code = getattr(error, "sqlite_errorcode", None)
    return sqlite3.SQLITE_CORRUPT if code is None else code & 0xFF


def is_damage(error: sqlite3.Error) -> bool:
    """Whether the error is about what the file holds, not about the machine."""
    return code_of(error) in _DAMAGE


def is_locked(error: sqlite3.Error) -> bool:
    """Whether another process holds the file."""
    return code_of(error) in _LOCKED


def reason(error: sqlite3.Error) -> str:
    """For a person."""
    return "another process has locked it" if is_locked(error) else _REASONS.get(code_of(error), str(error))


def connect(path: str, mode: str = "rw", patience_ms: int = 0) -> sqlite3.Connection:
    """A connection in autocommit mode with our settings.  sqlite3.Error."""
    connection = sqlite3.connect(f"file:{quote(path)}?mode={mode}", uri=True, timeout=patience_ms / 1000, isolation_level=None, cached_statements=16)
    try:
        for pragma in ("cache_size=-256", "temp_store=MEMORY", f"wal_autocheckpoint={PAGES_IN_WAL}", "journal_size_limit=1048576",
                       "cell_size_check=ON", "trusted_schema=OFF"):  # fmt: skip
            connection.execute(f"PRAGMA {pragma}")
    except sqlite3.Error:
        connection.close()
        raise
    return connection


def prepare(path: str, system: Real) -> None:
    """The folder is there and ours alone, and what has the file's names are files of ours.  EfError REFUSED or SYSTEM."""
    if len(os.fsencode(path)) > MAX_PATH:
        raise EfError(f"the path {path} is too long for a state file: SQLite takes {MAX_PATH} bytes; choose a shorter `supervisor: var`", Code.SYSTEM)
    folder = os.path.dirname(path)
    try:
        try:
            system.mkdir(folder, 0o700)
        except FileExistsError:
            _check(folder, stat.S_ISDIR, 0o700, system)
        for name in ("", *COMPANIONS):
            with contextlib.suppress(FileNotFoundError):
                _check(path + name, stat.S_ISREG, 0o600, system)
    except OSError as error:
        raise EfError(f"the state file {path} cannot be used: {error.strerror} ({error.filename or folder})", Code.SYSTEM) from error


def _check(path: str, is_right: Callable[[int], bool], mode: int, system: Real) -> None:
    status = system.stat(path)
    if not is_right(status.st_mode):
        raise EfError(f"{path} is not what it should be (a link, or of another kind); look who made it, and move it away", Code.REFUSED)
    if status.st_uid != os.geteuid():
        raise EfError(f"{path} belongs to uid {status.st_uid}, not to uid {os.geteuid()} that runs efsupervisord", Code.REFUSED)
    if stat.S_IMODE(status.st_mode) & ~mode:
        os.chmod(path, mode)


def inode(path: str, system: Real) -> tuple[int, int]:
    """Device and number, zeros when nothing is there."""
    try:
        status = system.stat(path)
    except FileNotFoundError:
        return (0, 0)
    return status.st_dev, status.st_ino


def descriptors(path: str) -> list[int]:
    """Our descriptors on the file and its companions; SQLite does not tell their numbers."""
    found = []
    for name in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):  # the listing's own
            if os.readlink(f"/proc/self/fd/{name}") in {path, *(path + each for each in COMPANIONS)}:
                found.append(int(name))
    return found


# A good file ----------------------------------------------------------------------------------------------------------------------------------------


def open_checked(path: str, system: Real, patience_ms: int) -> tuple[sqlite3.Connection, Contents, int]:
    """A connection to a file that is right in every respect, what it holds, and the version it had.  Damaged, EfError VERSION, sqlite3.Error (locked,
    full, ...).

    It is looked at through a connection that cannot write: the last one that can carries the -wal into the file when it closes, and a damaged file is
    to stay as it is.
    """
    _check_header(path)
    try:
        with contextlib.closing(connect(path, "ro", patience_ms)) as looking:
            version = _version(looking, path)
            contents = read(looking) if version == schema.VERSION else None
        connection = connect(path, patience_ms=patience_ms)
        try:
            if contents is None:
                _bring_up_to_date(connection, version, system)
                contents = read(connection)
            connection.execute("SELECT 1 FROM saved").fetchone()  # opens its -wal, so that descriptors() sees it
            connection.execute("PRAGMA busy_timeout=0")
        except BaseException:
            connection.close()
            raise
    except sqlite3.Error as error:
        if is_damage(error):
            raise Damaged(f"cannot be read: {error}") from error
        raise
    return connection, contents, version


def _check_header(path: str) -> None:
    """What SQLite would take for another kind of file, and then leave the -wal aside.  Source: sqlite.org/fileformat2, the database header."""
    with open(path, "rb") as opened:
        header = opened.read(20)
    if len(header) < 20 or not header.startswith(b"SQLite format 3\0"):
        raise Damaged("does not begin like a state file" if header else "is empty")
    if header[16:20] != schema.PAGE.to_bytes(2) + b"\2\2":
        raise Damaged("has another page size or journal mode than it was made with")


def _version(connection: sqlite3.Connection, path: str) -> int:
    if connection.execute("PRAGMA quick_check(1)").fetchone() != ("ok",):
        raise Damaged("has lost its shape (quick_check)")
    if connection.execute("PRAGMA application_id").fetchone() != (schema.APPLICATION,):
        raise Damaged("has not the mark of a state file of efsupervisor")
    version = schema.version_of(connection)
    if version > schema.VERSION:
        raise EfError(
            f"the state file {path} is of version {version}, written by a newer efsupervisor; this one knows versions up to {schema.VERSION}: "
            f"install the newer one again, or move the file away to begin without what was saved",
            Code.VERSION,
        )
    if version < 1:
        raise Damaged("contradicts itself about its version")
    if version == schema.VERSION and not schema.matches(connection):
        raise Damaged("has not the tables it should have")
    return version


def _bring_up_to_date(connection: sqlite3.Connection, version: int, system: Real) -> None:
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("BEGIN IMMEDIATE")
    try:
        schema.migrate(connection, version)
        system.fault("store:migrated")
        connection.execute("COMMIT")
    except BaseException:
        connection.rollback()
        raise
    if not schema.matches(connection):
        raise Damaged("has not the tables it should have")


def read(connection: sqlite3.Connection) -> Contents:
    """Everything but the listings' rows.  Damaged when a row is not what was written."""
    kept: dict[Key, Kept] = {}
    for row in connection.execute("SELECT * FROM saved ORDER BY position"):
        key, each = understood(row)
        kept[key] = each
    newest = {name: _newest(connection, name, column) for name, column in (("history", "number"), ("alerts", "seq"))}
    runs, alerts = (connection.execute(f"SELECT count(*) FROM {name}").fetchone()[0] for name in ("history", "alerts"))
    oldest = connection.execute("SELECT min(seq) FROM alerts").fetchone()[0] or 0
    return Contents(kept, newest["history"], newest["alerts"], oldest, runs, alerts)


def understood(row: tuple[Any, ...]) -> tuple[Key, Kept]:
    """One row of `saved`.  Damaged."""
    try:
        kind, key, position, value, total = row
        if checksum(kind, key, position, value) != total:
            raise Damaged(f"has a row that is not what was written ({kind} {key})")
        msgspec.json.decode(value, type=TYPES[Kind(kind)])
        return (Kind(kind), str(key)), Kept(int(position), bytes(value))
    except (ValueError, TypeError, msgspec.MsgspecError) as error:
        raise Damaged(f"has a row that cannot be understood: {error}") from error


def _newest(connection: sqlite3.Connection, table: str, column: str) -> int:
    row = connection.execute(f"SELECT {column}, value, sum FROM {table} ORDER BY {column} DESC LIMIT 1").fetchone()
    if row is None:
        return 0
    if not isinstance(row[1], bytes) or checksum(table, row[0], 0, row[1]) != row[2]:
        raise Damaged(f"has a row that is not what was written (the newest of {table})")
    return int(row[0])


# A new file -----------------------------------------------------------------------------------------------------------------------------------------


def make(path: str, system: Real, kept: dict[Key, Kept], runs: Iterable[tuple[object, ...]] = (), alerts: Iterable[tuple[object, ...]] = ()) -> None:
    """Make a file with these rows and give it the name `path`, whatever had it.  sqlite3.Error, OSError: then what was there is still there."""
    new = path + ".new"
    for name in ("", "-journal", *COMPANIONS):
        with contextlib.suppress(FileNotFoundError):
            system.unlink(new + name)
    system.close(system.open(new, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600))
    with contextlib.closing(connect(new)) as connection:
        connection.execute(f"PRAGMA page_size={schema.PAGE}")
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute("BEGIN IMMEDIATE")
        schema.create(connection)
        connection.executemany(schema.PUT, [as_row(key, each) for key, each in kept.items() if key != (Kind.MARK, "version")])
        connection.executemany(schema.ADD_RUN, runs)
        connection.executemany(schema.ADD_ALERT, alerts)
        connection.execute("COMMIT")
        system.fault("store:made")
    if os.path.exists(new + "-wal"):
        raise OSError(28, os.strerror(28), new)  # the close could not carry it into the file
    for name in COMPANIONS:
        with contextlib.suppress(FileNotFoundError):
            system.unlink(path + name)
        system.fault("store:cleared")
    system.rename(new, path)
    system.fault("store:renamed")
    sync_folder(path, system)


def as_row(key: Key, each: Kept) -> tuple[object, ...]:
    """The values for schema.PUT."""
    kind, name = key
    return str(kind), name, each.position, each.value, checksum(kind, name, each.position, each.value)


def sync_folder(path: str, system: Real) -> None:
    """A rename is on disk when its folder is."""
    fd = system.open(os.path.dirname(path), os.O_RDONLY | os.O_DIRECTORY)
    try:
        system.fsync(fd)
    finally:
        system.close(fd)


# A damaged file -------------------------------------------------------------------------------------------------------------------------------------


def aside_already(path: str, system: Real) -> str:
    """The second name of the file when an earlier process died while it set it aside; empty when it has none."""
    folder, name = os.path.split(path)
    own = inode(path, system)
    for each in sorted(system.listdir(folder), reverse=True):
        if each.startswith(f"{name}.damaged-") and not each.endswith(COMPANIONS) and own != (0, 0) and inode(f"{folder}/{each}", system) == own:
            return f"{folder}/{each}"
    return ""


def stamp(system: Real) -> str:
    """The time of day, UTC, as it stands in a name."""
    return time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(system.wall_ns() / 1e9))


def set_aside(path: str, system: Real) -> str:
    """Give a damaged file its second name, which is returned.  OSError."""
    number = 0
    while True:
        aside = f"{path}.damaged-{stamp(system)}" + (f".{number}" if number else "")
        if not os.path.lexists(aside) and not os.path.lexists(aside + "-wal"):
            break
        number += 1
    with contextlib.suppress(FileNotFoundError):
        if system.stat(path + "-wal").st_size:
            system.link(path + "-wal", aside + "-wal")
    system.fault("store:wal aside")
    system.link(path, aside)  # last: the same inode under both names is the mark that the -wal has its second name too
    system.fault("store:aside")
    sync_folder(path, system)
    return aside
