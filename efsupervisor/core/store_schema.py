"""The tables of the state file, by version, and how an older file becomes one of this version.

    version 1   saved(kind, key, position, value), history(number, task, value), alerts(seq, task, value); no checksums
    version 2   a column `sum` in each, the index history_by_task

The version is said twice: in `PRAGMA user_version` and in the row (mark, version) of `saved`, whose name and columns `kind`, `key`, `value` no later
version may change.  Only when both agree is a file really newer; one flipped bit is damage, not a reason to refuse the start.

This module must never open a file; it works on a connection it is given.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable

import msgspec

from efsupervisor.core.store_rows import Kind, Mark, checksum, encode

VERSION = 2
APPLICATION = 0x45665376
"""`EfSv`; file(1) shows it."""

PAGE = 4096
TABLES = {
    "saved": "CREATE TABLE saved (kind TEXT NOT NULL, key TEXT NOT NULL, position INTEGER NOT NULL, value BLOB NOT NULL, sum INTEGER NOT NULL, "
    "PRIMARY KEY (kind, key)) WITHOUT ROWID",
    "history": "CREATE TABLE history (number INTEGER PRIMARY KEY, task TEXT NOT NULL, value BLOB NOT NULL, sum INTEGER NOT NULL)",
    "history_by_task": "CREATE INDEX history_by_task ON history (task)",
    "alerts": "CREATE TABLE alerts (seq INTEGER PRIMARY KEY, task TEXT NOT NULL, value BLOB NOT NULL, sum INTEGER NOT NULL)",
}

PUT = (
    "INSERT INTO saved VALUES (?, ?, ?, ?, ?) "
    "ON CONFLICT (kind, key) DO UPDATE SET position=excluded.position, value=excluded.value, sum=excluded.sum"
)
ADD_RUN = "INSERT OR REPLACE INTO history VALUES (?, ?, ?, ?)"
ADD_ALERT = "INSERT OR REPLACE INTO alerts VALUES (?, ?, ?, ?)"


def create(connection: sqlite3.Connection) -> None:
    """Make every table, in the transaction of the caller."""
    connection.execute(f"PRAGMA application_id={APPLICATION}")
    for sql in TABLES.values():
        connection.execute(sql)
    _say_version(connection)


def matches(connection: sqlite3.Connection) -> bool:
    """Whether the tables are exactly these: no other, no trigger, not a letter different."""
    found = connection.execute("SELECT name, sql FROM sqlite_master WHERE name NOT LIKE 'sqlite\\_%' ESCAPE '\\'").fetchall()
    return dict(found) == TABLES


def version_of(connection: sqlite3.Connection) -> int:
    """The version on which both places agree; 0 when they do not."""
    said = int(connection.execute("PRAGMA user_version").fetchone()[0])
    row = connection.execute("SELECT value FROM saved WHERE kind=? AND key='version'", (Kind.MARK,)).fetchone()
    try:
        marked = msgspec.json.decode(row[0], type=Mark).number if row is not None else 0
    except (msgspec.MsgspecError, TypeError):
        marked = 0
    return said if said == marked else 0


def _say_version(connection: sqlite3.Connection) -> None:
    value = encode(Mark(number=VERSION))
    connection.execute(f"PRAGMA user_version={VERSION}")
    connection.execute(PUT, (Kind.MARK, "version", 0, value, checksum(Kind.MARK, "version", 0, value)))


def migrate(connection: sqlite3.Connection, version: int) -> None:
    """Bring the tables from `version` to VERSION, in the transaction of the caller."""
    for step in range(version, VERSION):
        STEPS[step](connection)
    _say_version(connection)


def _with_checksums(connection: sqlite3.Connection) -> None:
    """1 -> 2."""
    old = {name: connection.execute(f"SELECT * FROM {name}").fetchall() for name in ("saved", "history", "alerts")}
    for name in old:
        connection.execute(f"DROP TABLE {name}")
    for sql in TABLES.values():
        connection.execute(sql)
    connection.executemany(PUT, [(*row, checksum(*row)) for row in old["saved"]])
    connection.executemany(ADD_RUN, [(*row, checksum("history", row[0], 0, row[2])) for row in old["history"]])
    connection.executemany(ADD_ALERT, [(*row, checksum("alerts", row[0], 0, row[2])) for row in old["alerts"]])


STEPS: dict[int, Callable[[sqlite3.Connection], None]] = {1: _with_checksums}
