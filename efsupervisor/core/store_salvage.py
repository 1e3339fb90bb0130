"""What can still be read of a damaged state file, row by row.

It is read from a copy, so that the damaged file stays as it was found.  The copy gets the first hundred bytes of a file that is right (SQLite refuses
a file for one wrong bit in them), and, when that does not bring the tables back, the whole first page, where the list of tables is: files that this
version made have their tables at the same pages.  Whatever is read by such a guess is believed only with its checksum.

Bounds: TIME_S in all, so that a start stays within a second; rows of the listings that are not reached by then stay in the damaged file alone.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import time
from collections.abc import Iterator
from typing import Any, NamedTuple

from efsupervisor.core import store_file as file
from efsupervisor.core import store_schema as schema
from efsupervisor.core.store_rows import Kept, Key, Kind, checksum
from efsupervisor.system import Real

TIME_S = 0.4
HEADER = 100
_STEPS = 1000
"""Instructions of SQLite's machine between two looks at the clock."""

Listed = tuple[int, str, bytes, int]


class Salvage(NamedTuple):
    """kept: rows of `saved`.  runs, alerts: rows as they lie on disk."""

    kept: dict[Key, Kept]
    runs: list[Listed]
    alerts: list[Listed]


def salvage(aside: str, path: str, system: Real) -> Salvage:
    """Read `aside` through a copy beside `path`; nothing at all may come of it.  OSError, sqlite3.Error: there was no room for the copy."""
    work = path + ".salvage"
    until = time.monotonic() + TIME_S
    try:
        page = _first_page(work, system)
        best = Salvage({}, [], [])
        for size in (HEADER, len(page)):
            _copy(aside, work, page, size, system)
            found = _read(work, until)
            if len(found.kept) > len(best.kept) or not best.kept:
                best = found
            if (Kind.MARK, "version") in best.kept:
                break
        return best
    finally:
        _remove(work, system)


def _remove(work: str, system: Real) -> None:
    for name in ("", *file.COMPANIONS):
        with contextlib.suppress(FileNotFoundError):
            system.unlink(work + name)


def _first_page(work: str, system: Real) -> bytes:
    file.make(work, system, {})
    with open(work, "rb") as made:
        return made.read(schema.PAGE)


def _copy(aside: str, work: str, page: bytes, size: int, system: Real) -> None:
    import shutil  # late: every fork of the Core would carry it, for a file that is damaged

    _remove(work, system)
    shutil.copyfile(aside, work)
    with contextlib.suppress(FileNotFoundError):
        shutil.copyfile(aside + "-wal", work + "-wal")
    with open(work, "r+b") as copy:
        copy.write(page[:size])
        copy.seek(28)
        copy.write(bytes(12))  # no count of pages, no list of free ones: SQLite takes the size of the file
        copy.seek(0, os.SEEK_END)
        copy.write(bytes(-copy.tell() % schema.PAGE))


def _read(work: str, until: float) -> Salvage:
    with contextlib.suppress(sqlite3.Error), contextlib.closing(file.connect(work)) as connection:
        connection.set_progress_handler(lambda: time.monotonic() > until, _STEPS)
        kept = dict(_kept(connection))
        alerts = _listed(connection, "alerts", "seq")
        return Salvage(dict(sorted(kept.items(), key=lambda item: item[1].position)), _listed(connection, "history", "number"), alerts)
    return Salvage({}, [], [])


def _kept(connection: sqlite3.Connection) -> Iterator[tuple[Key, Kept]]:
    """Each kind from both ends, so that one bad page hides only what is on it."""
    for kind in Kind:
        for order in ("ASC", "DESC"):
            for row in _until_it_breaks(connection, f"SELECT * FROM saved WHERE kind=? ORDER BY key {order}", str(kind)):
                with contextlib.suppress(file.Damaged):
                    yield file.understood(row)


def _listed(connection: sqlite3.Connection, table: str, column: str) -> list[Listed]:
    found: dict[int, Listed] = {}
    for order in ("DESC", "ASC"):
        for row in _until_it_breaks(connection, f"SELECT * FROM {table} ORDER BY {column} {order}"):
            if row[0] in found:
                break
            if _is_right(table, row):
                found[row[0]] = row
    return sorted(found.values())


def _is_right(table: str, row: tuple[Any, ...]) -> bool:
    number, task, value, total = row
    return isinstance(number, int) and isinstance(task, str) and isinstance(value, bytes) and checksum(table, number, 0, value) == total


def _until_it_breaks(connection: sqlite3.Connection, sql: str, *values: str) -> Iterator[tuple[Any, ...]]:
    with contextlib.suppress(sqlite3.Error):
        yield from connection.execute(sql, values)
