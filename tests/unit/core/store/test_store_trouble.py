"""A file that cannot be written: nothing is lost but by a bound, nothing is raised, nobody waits, and it is written when it clears."""

from __future__ import annotations

import sqlite3
import time
from pathlib import Path

import pytest

from efsupervisor.core import store_listings
from efsupervisor.core.store import MEND_S, RETRY_S, Store
from efsupervisor.errors import Code, EfError
from efsupervisor.states import Goal
from tests.support.stores import Clock, Told, Woken, alert, asides, filled, opened, path_in, run, task

AT_ONCE_S = 0.2


def lock(folder: Path) -> sqlite3.Connection:
    other = sqlite3.connect(path_in(folder), isolation_level=None, timeout=0)
    other.execute("BEGIN IMMEDIATE")
    return other


def names(folder: Path) -> list[str]:
    """As another program reads them now."""
    reader = sqlite3.connect(path_in(folder))
    rows = reader.execute("SELECT json_extract(value, '$.name') FROM saved WHERE kind='task' ORDER BY position").fetchall()
    reader.close()
    return [row[0] for row in rows]


@pytest.mark.alone
def test_a_file_that_another_process_locked_costs_no_wait_and_no_change(tmp_path: Path) -> None:
    log, wake = Told(), Woken()
    store = opened(tmp_path, log)
    filled(store)
    store.flush()
    store.wake = wake
    other = lock(tmp_path)
    store.put_task(task("fourth"))
    store.set_intent("first", Goal.TRM, autostart=True)
    store.del_task("third")
    store.ran(run("first"))
    begun = time.monotonic()
    assert not store.flush()
    assert time.monotonic() - begun < AT_ONCE_S
    assert "another process has locked it" in store.ailment
    assert path_in(tmp_path) in store.ailment
    assert [each.name for each in store.saved().tasks] == ["first", "second", "fourth"]
    assert [row.task for row in store.history()] == ["first"]
    store.flush()
    assert len(log.errors) == 1, "one line, however often it is tried"
    assert names(tmp_path) == ["first", "second", "third"]
    wake.pass_time()
    assert {delay_s for delay_s, _ in wake.asked} == {RETRY_S}
    other.execute("ROLLBACK")
    wake.pass_time()
    assert store.ailment == ""
    assert log.infos == [f"the state file {path_in(tmp_path)} is written again"]
    assert names(tmp_path) == ["first", "second", "fourth"]
    other.close()
    store.close()


def test_a_disk_that_is_full_keeps_everything_in_memory_until_there_is_room(tmp_path: Path) -> None:
    log = Told()
    store = opened(tmp_path, log)
    filled(store)
    store.flush()
    connection = store._connection
    assert connection is not None
    pages = connection.execute("PRAGMA page_count").fetchone()[0]
    connection.execute(f"PRAGMA max_page_count={pages}")
    for number in range(50):
        store.put_task(task(f"task-{number}", "word " * 100))
    assert not store.flush()
    assert "the disk is full" in store.ailment
    assert len(store.saved().tasks) == 53
    assert names(tmp_path) == ["first", "second", "third"], "the old state is whole"
    connection.execute("PRAGMA max_page_count=1000000")
    assert store.flush()
    assert store.ailment == ""
    assert len(names(tmp_path)) == 53
    store.close()


def test_what_waits_in_memory_is_bounded_and_what_was_lost_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = Told()
    monkeypatch.setattr(store_listings.Runs, "max_waiting", 10)
    store = opened(tmp_path, log)
    other = lock(tmp_path)
    for number in range(25):
        store.ran(run("a"))
        store.put_task(task("a", f"version {number}"))
    for seq in range(1, 1011):
        store.alert(alert(seq))
    assert not store.flush()
    assert [row.number for row in store.history()] == list(range(25, 15, -1))
    assert store.lost_alert == 10
    other.execute("ROLLBACK")
    other.close()
    while not store.flush() or store._alerts.pending:
        continue
    assert log.infos == [f"the state file {path_in(tmp_path)} is written again; 25 runs and alerts were too many to be kept in memory and are lost"]
    assert [each.command[1] for each in store.saved().tasks] == ["version 24"]
    assert store.ran(run("a")).number == 26
    store.close()


@pytest.mark.alone
def test_a_start_with_a_file_that_another_process_keeps_for_itself_is_refused_after_a_second(tmp_path: Path) -> None:
    opened(tmp_path).close()
    other = sqlite3.connect(path_in(tmp_path), isolation_level=None)
    other.execute("PRAGMA locking_mode=EXCLUSIVE")
    other.execute("BEGIN EXCLUSIVE")
    begun = time.monotonic()
    with pytest.raises(EfError, match=r"locked by another process.*fuser") as caught:
        opened(tmp_path)
    assert caught.value.code is Code.SYSTEM
    assert time.monotonic() - begun < 2.5
    other.close()
    assert asides(tmp_path) == []
    opened(tmp_path).close()


def test_a_reader_never_disturbs_the_writer(tmp_path: Path) -> None:
    store = opened(tmp_path)
    filled(store)
    store.flush()
    reader = sqlite3.connect(path_in(tmp_path), isolation_level=None)
    reader.execute("BEGIN")
    assert len(reader.execute("SELECT * FROM saved").fetchall()) > 5
    for number in range(50):
        store.set_setting("key", str(number))
        assert store.flush()
    reader.close()
    store.close()


def test_a_listing_that_cannot_be_read_is_an_error_and_not_an_empty_list(tmp_path: Path) -> None:
    store = opened(tmp_path)
    store.ran(run("a"))
    store.flush()
    connection, store._connection = store._connection, None
    with pytest.raises(EfError) as caught:
        store.history()
    assert caught.value.code is Code.SYSTEM
    assert connection is not None
    connection.close()


def test_a_disk_that_damages_what_is_written_is_not_filled_with_copies(tmp_path: Path) -> None:
    clock = Clock()
    store = opened(tmp_path, system=clock)
    filled(store)
    store.flush()

    def damage() -> None:
        connection = store._connection
        assert connection is not None
        connection.execute("DROP TABLE IF EXISTS history")

    damage()
    for _ in range(6):
        store.ran(run("a"))
        store.flush()
        if store._connection is not None and not store._suspicion:
            damage()
    assert len(asides(tmp_path)) == 1
    assert store.ailment
    clock.now += MEND_S
    store.flush()
    assert store.flush()
    assert store.ailment == ""
    store.close()


def test_a_closed_store_is_silent(tmp_path: Path) -> None:
    store: Store = opened(tmp_path)
    store.close()
    store.put_task(task("late"))
    assert not store.flush()
    assert opened(tmp_path).saved().tasks == []
