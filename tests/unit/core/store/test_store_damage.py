"""A state file that was cut, flipped, overwritten or lost: it opens within a second, is never deleted, and what can be read of it is not lost."""

from __future__ import annotations

import os
import sqlite3
import time
from pathlib import Path

import pytest

from efsupervisor.core.store_schema import PAGE
from efsupervisor.messages import RunRow
from tests.support.stores import TASKS, Told, Woken, asides, filled, laid, opened, original, path_in, run, sql, task

OPEN_S = 1.0


def test_every_byte_of_the_header_may_be_wrong_and_everything_is_salvaged(tmp_path: Path) -> None:
    data, _wal = original(tmp_path / "original")
    for at in range(100):
        folder = tmp_path / str(at)
        laid(folder, data[:at] + bytes([data[at] ^ 0xFF]) + data[at + 1 :], b"")
        store = opened(folder)
        assert len(store.saved().tasks) == TASKS + 3, f"byte {at}"
        assert len(store.history(limit=1000)) == 60
        store.close()


def test_a_first_page_of_zeros_hides_nothing_of_the_others(tmp_path: Path) -> None:
    data, _wal = original(tmp_path / "original")
    laid(tmp_path / "new", bytes(PAGE) + data[PAGE:], b"")
    store = opened(tmp_path / "new")
    assert len(store.saved().tasks) == TASKS + 3
    assert store.ran(run("a")).number == 61
    store.close()


@pytest.mark.parametrize("size", [0, 1, 15, 16, 99, 100, 511, 4095, 4096, 4097, 8192])
def test_a_file_cut_at_any_length_is_set_aside(tmp_path: Path, size: int) -> None:
    data, _wal = original(tmp_path / "original")
    laid(tmp_path / "new", data[:size], b"")
    log = Told()
    store = opened(tmp_path / "new", log)
    assert len(asides(tmp_path / "new")) == len(log.errors) == 1
    assert not store.saved().complete
    store.close()


def test_one_changed_letter_in_a_command_is_found(tmp_path: Path) -> None:
    data, _wal = original(tmp_path / "original")
    at = data.index(b"/bin/echo")
    laid(tmp_path / "new", data[: at + 5] + b"f" + data[at + 6 :], b"")
    log = Told()
    store = opened(tmp_path / "new", log)
    assert {each.command[0] for each in store.saved().tasks} == {"/bin/echo"}
    assert len(store.saved().tasks) == TASKS + 2
    assert "is not what was written" in log.errors[0]
    assert "42 tasks, 1 flows, 1 groups, 1 schedules, 1 settings" in log.errors[0]
    store.close()


@pytest.mark.parametrize(
    "statement",
    [
        "DROP TABLE alerts",
        "DROP INDEX history_by_task",
        "CREATE TABLE stranger (x)",
        "CREATE TRIGGER evil AFTER INSERT ON saved BEGIN DELETE FROM saved; END",
        "DELETE FROM saved WHERE key='version'",
        "PRAGMA application_id=0",
        "UPDATE saved SET value='text' WHERE kind='task'",
        "UPDATE saved SET position='text' WHERE kind='setting'",
        "UPDATE saved SET kind='unknown' WHERE kind='setting'",
        "INSERT INTO saved VALUES ('task', 'x', 99, x'ff', 0)",
        "UPDATE history SET sum=sum+1 WHERE number=60",
    ],
)
def test_what_another_program_did_to_the_file_is_damage(tmp_path: Path, statement: str) -> None:
    original(tmp_path)
    sql(tmp_path, statement)
    store = opened(tmp_path)
    assert len(asides(tmp_path)) >= 1
    assert store.saved().flows or "saved" in statement
    store.put_task(task("new"))
    assert store.flush()
    store.close()


def test_a_foreign_file_is_set_aside_whole(tmp_path: Path) -> None:
    laid(tmp_path, b"#!/bin/sh\necho precious\n", b"")
    store = opened(tmp_path)
    (aside,) = asides(tmp_path)
    assert (tmp_path / "lib" / aside).read_bytes() == b"#!/bin/sh\necho precious\n"
    assert store.saved().tasks == []
    store.close()


def test_a_wal_without_its_file_is_kept(tmp_path: Path) -> None:
    _data, wal = original(tmp_path / "original")
    laid(tmp_path / "new", b"", wal)
    os.unlink(path_in(tmp_path / "new"))
    log = Told()
    opened(tmp_path / "new", log).close()
    (aside,) = asides(tmp_path / "new")
    assert (tmp_path / "new" / "lib" / aside).read_bytes() == wal
    assert aside in log.errors[0]


# While we run --------------------------------------------------------------------------------------------------------------------------------------


def test_a_file_that_is_deleted_while_we_run_is_made_anew_from_memory(tmp_path: Path) -> None:
    store = opened(tmp_path)
    filled(store)
    store.flush()
    for name in os.listdir(tmp_path / "lib"):
        os.unlink(tmp_path / "lib" / name)
    store.put_task(task("fourth"))
    assert store.flush()
    store.close()
    saved = opened(tmp_path).saved()
    assert [each.name for each in saved.tasks] == ["first", "second", "third", "fourth"]
    assert saved.settings and saved.intents and saved.times and saved.groups and saved.flows and saved.schedules


def test_a_file_that_is_replaced_while_we_run_loses_to_memory(tmp_path: Path) -> None:
    other = opened(tmp_path / "other")
    other.put_task(task("stranger"))
    other.close()
    store = opened(tmp_path)
    filled(store)
    store.flush()
    os.rename(path_in(tmp_path / "other"), path_in(tmp_path))
    store.set_setting("web.port", "1")
    assert store.flush(), store.ailment
    store.close()
    assert [each.name for each in opened(tmp_path).saved().tasks] == ["first", "second", "third"]


def test_damage_that_shows_while_we_run_is_mended_from_memory(tmp_path: Path) -> None:
    store, wake, log = opened(tmp_path), Woken(), Told()
    filled(store)
    for _ in range(400):
        store.ran(run("a"))
        store.flush()
    store._log = log
    store.wake = wake
    with open(path_in(tmp_path), "r+b") as file:
        file.write(os.urandom(os.path.getsize(path_in(tmp_path))))
    with open(path_in(tmp_path) + "-wal", "r+b") as file:
        file.write(os.urandom(os.path.getsize(path_in(tmp_path) + "-wal")))
    connection = store._connection
    assert connection is not None
    connection.execute("PRAGMA shrink_memory")  # SQLite goes on from its cache otherwise, and finds the damage later
    for number in range(10):
        store.put_task(task(f"new-{number}"))
        store.flush()
        wake.pass_time()
    assert store.ailment == ""
    assert len(asides(tmp_path)) >= 1
    store.close()
    saved = opened(tmp_path).saved()
    assert [each.name for each in saved.tasks] == ["first", "second", "third", *(f"new-{number}" for number in range(10))]
    assert saved.settings == {"web.port": "8080"}


def test_a_damaged_row_of_the_history_costs_that_row_and_no_other(tmp_path: Path) -> None:
    store = opened(tmp_path)
    for _ in range(5):
        store.ran(run("a"))
    store.flush()
    sql(tmp_path, "UPDATE history SET value=x'00' WHERE number=3")
    rows: list[RunRow] = store.history()
    assert [row.number for row in rows] == [5, 4, 2, 1]
    assert len([name for name in asides(tmp_path) if not name.endswith("-wal")]) == 1
    store.close()


@pytest.mark.alone
def test_a_hundred_thousand_damaged_rows_do_not_hold_up_the_start(tmp_path: Path) -> None:
    opened(tmp_path).close()
    connection = sqlite3.connect(path_in(tmp_path), isolation_level=None)
    connection.execute("BEGIN")
    connection.executemany("INSERT INTO history VALUES (?, 'a', ?, 0)", ((number, b"x" * 200) for number in range(100_000)))
    connection.execute("COMMIT")
    connection.close()
    begun = time.monotonic()
    store = opened(tmp_path)
    assert time.monotonic() - begun < 2 * OPEN_S
    assert store.history() == []
    store.close()
