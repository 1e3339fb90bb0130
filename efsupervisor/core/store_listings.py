"""The two listings of the state file, ended runs and alerts: what waits to be written, what is kept, and how a page of them is found.

Both grow at one end and are cut at the other.  Rows wait in memory, at most MAX_WAITING (the oldest are dropped and counted while the file cannot be
written), and are written and trimmed PIECE at a time, so that no transaction is long.

Finding.  A page of all runs, or from a number on, is a walk along the primary key.  A page of a few tasks is one short walk along the index for each
(the index by task has the number as its tail), merged.  A page of very many tasks reads numbers from the index alone and fetches only the rows of the
page: rows are wide, and a walk along them takes twice as long (measured with 100,000).

This module must never commit: it works inside the transaction of the store.
"""

from __future__ import annotations

import abc
import heapq
import itertools
import sqlite3
from collections import deque
from collections.abc import Collection, Iterator
from typing import Any, Generic, NamedTuple, TypeVar

import msgspec

from efsupervisor.core import store_schema as schema
from efsupervisor.core.store_file import Damaged
from efsupervisor.core.store_rows import checksum, encode
from efsupervisor.errors import Code, EfError
from efsupervisor.messages import EventRow, RunRow
from efsupervisor.system import short_id

Row = TypeVar("Row", bound=msgspec.Struct)

MAX_WAITING = 10_000
PIECE = 250
FEW = 32
"""Tasks up to which each is looked up in the index."""


class Wrote(NamedTuple):
    """What one transaction did to a listing.  lost: the highest number that was trimmed, 0 for none."""

    rows: int
    trimmed: int
    lost: int


class Listing(abc.ABC, Generic[Row]):
    """keep: rows on disk.  dropped: rows that were too many for memory.  newest, lost: highest number there is and that is gone."""

    table = ""
    column = ""
    add_sql = ""
    max_waiting = MAX_WAITING

    def __init__(self, keep: int) -> None:
        self.keep = keep
        self.dropped = 0
        self.newest = 0
        self.lost = 0
        self._on_disk = 0
        self._waiting: deque[Row] = deque()

    @staticmethod
    @abc.abstractmethod
    def number_of(row: Row) -> int:
        """The row's number."""

    def found(self, newest: int, count: int) -> None:
        """The file, opened, holds so much."""
        self.newest = max(self.newest, newest)
        self._on_disk = count

    @property
    def pending(self) -> bool:
        """Whether a transaction has something to do here."""
        return bool(self._waiting) or self._on_disk > self.keep

    def queue(self, row: Row) -> None:
        """Let a row wait for the next transaction."""
        self.newest = max(self.newest, self.number_of(row))
        if len(self._waiting) >= self.max_waiting:
            self.lost = max(self.lost, self.number_of(self._waiting.popleft()))
            self.dropped += 1
        self._waiting.append(row)

    def write(self, connection: sqlite3.Connection) -> Wrote:
        """Write a piece and trim a piece."""
        rows = list(itertools.islice(self._waiting, PIECE))
        connection.executemany(self.add_sql, [self._as_row(row) for row in rows])
        excess = min(self._on_disk + len(rows) - self.keep, len(rows) + PIECE)
        if excess <= 0:
            return Wrote(len(rows), 0, 0)
        oldest = f"SELECT {self.column} FROM {self.table} ORDER BY {self.column} LIMIT ?"
        lost = connection.execute(f"SELECT max({self.column}) FROM ({oldest})", (excess,)).fetchone()[0] or 0
        trimmed = connection.execute(f"DELETE FROM {self.table} WHERE {self.column} <= ?", (lost,)).rowcount
        return Wrote(len(rows), trimmed or excess, lost)

    def written(self, wrote: Wrote) -> None:
        """The transaction was committed."""
        for _ in range(wrote.rows):
            self._waiting.popleft()
        self._on_disk = max(0, self._on_disk + wrote.rows - wrote.trimmed)
        self.lost = max(self.lost, wrote.lost)

    def _as_row(self, row: Row) -> tuple[object, ...]:
        value, number = encode(row), self.number_of(row)
        return number, short_id(row.task), value, checksum(self.table, number, 0, value)  # type: ignore[attr-defined]

    def _decoded(self, rows: Iterator[tuple[Any, ...]], type_: type[Row]) -> Iterator[Row]:
        for number, value, total in rows:
            if not isinstance(value, bytes) or checksum(self.table, number, 0, value) != total:
                raise Damaged(f"has a row that is not what was written ({self.table} {number})")
            yield msgspec.json.decode(value, type=type_)


class Runs(Listing[RunRow]):
    """Ended runs.  number: the last that was given."""

    table, column, add_sql = "history", "number", schema.ADD_RUN

    def __init__(self, keep: int) -> None:
        super().__init__(keep)
        self.number = 0

    @staticmethod
    def number_of(row: RunRow) -> int:
        return row.number

    def found(self, newest: int, count: int) -> None:
        super().found(newest, count)
        self.number = max(self.number, newest)

    def add(self, row: RunRow) -> RunRow:
        """Number a run and let it wait."""
        self.number += 1
        row = msgspec.structs.replace(row, number=self.number)
        self.queue(row)
        return row

    def rows(self, connection: sqlite3.Connection | None, tasks: Collection[str], limit: int, before: int | None) -> list[RunRow]:
        """Newest first, below number `before`, of these tasks (short ids; all when empty)."""
        ceiling = self.number + 1 if before is None else before
        waiting = (row for row in reversed(self._waiting) if row.number < ceiling and (not tasks or short_id(row.task) in tasks))
        found = list(itertools.islice(waiting, limit))
        if len(found) < limit:
            ceiling = min(ceiling, self._waiting[0].number) if self._waiting else ceiling
            found += self._decoded(iter(self._on_disk_rows(reachable(connection), tasks, limit - len(found), ceiling)), RunRow)
        return found

    def _on_disk_rows(self, connection: sqlite3.Connection, tasks: Collection[str], limit: int, ceiling: int) -> list[tuple[Any, ...]]:
        if not tasks:
            return connection.execute(ALL_RUNS, (ceiling, limit)).fetchall()
        if len(tasks) > FEW:
            return connection.execute(RUNS_OF_MANY, (msgspec.json.encode(list(tasks)).decode(), ceiling, limit)).fetchall()
        each = [connection.execute(RUNS_OF_ONE, (task, ceiling, limit)).fetchall() for task in tasks]
        return list(itertools.islice(heapq.merge(*each, key=lambda row: row[0], reverse=True), limit))


ALL_RUNS = "SELECT number, value, sum FROM history WHERE number < ? ORDER BY number DESC LIMIT ?"
RUNS_OF_ONE = "SELECT number, value, sum FROM history WHERE task = ? AND number < ? ORDER BY number DESC LIMIT ?"
RUNS_OF_MANY = (
    "SELECT number, value, sum FROM history WHERE number IN (SELECT number FROM history INDEXED BY history_by_task "
    "WHERE task IN (SELECT value FROM json_each(?)) AND number < ? ORDER BY number DESC LIMIT ?) ORDER BY number DESC"
)
ALERTS = "SELECT seq, value, sum FROM alerts WHERE seq >= ? ORDER BY seq LIMIT ?"


class Alerts(Listing[EventRow]):
    """Alerts."""

    table, column, add_sql = "alerts", "seq", schema.ADD_ALERT
    max_waiting = 1000

    @staticmethod
    def number_of(row: EventRow) -> int:
        return row.seq

    def add(self, row: EventRow) -> None:
        """Let an alert wait."""
        self.queue(row)

    def rows(self, connection: sqlite3.Connection | None, since: int, limit: int) -> list[EventRow]:
        """Oldest first, from number `since` on."""
        if since > self.newest:
            return []
        found: list[EventRow] = []
        if not self._waiting or since < self._waiting[0].seq:
            found = list(self._decoded(iter(reachable(connection).execute(ALERTS, (since, limit)).fetchall()), EventRow))
        waiting = (row for row in self._waiting if row.seq >= since)
        return found + list(itertools.islice(waiting, limit - len(found)))


def reachable(connection: sqlite3.Connection | None) -> sqlite3.Connection:
    """The connection.  EfError SYSTEM when there is none."""
    if connection is None:
        raise EfError("the state file cannot be reached now; `efctl status` says what ails it", Code.SYSTEM)
    return connection
