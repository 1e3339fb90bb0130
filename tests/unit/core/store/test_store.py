"""What is saved comes back; what is queued is seen at once and written when it should be."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import msgspec
import pytest

from efsupervisor.core import store_listings
from efsupervisor.core.store import BATCH_S, Store
from efsupervisor.core.store_rows import Intent, LastTime
from efsupervisor.core.store_schema import VERSION
from efsupervisor.errors import Code, EfError
from efsupervisor.messages import RunRow
from efsupervisor.states import Goal
from efsupervisor.system import short_id
from tests.support.stores import Told, Woken, alert, asides, filled, old_file, opened, path_in, run, sql, task


def again(store: Store, folder: Path) -> Store:
    store.close()
    return opened(folder)


def test_everything_comes_back_after_a_restart_in_the_order_of_adding(tmp_path: Path) -> None:
    store = opened(tmp_path)
    filled(store)
    before = store.saved()
    store = again(store, tmp_path)
    saved = store.saved()
    assert saved == before
    assert [each.name for each in saved.tasks] == ["first", "second", "third"]
    assert saved.settings == {"web.port": "8080"}
    assert saved.intents == {short_id("second"): Intent(task="second", goal=Goal.TRM, autostart=True)}
    assert saved.times == {short_id("nightly"): LastTime(schedule="nightly", wall=5.0, outcome="act: ok")}
    assert saved.complete
    store.close()


def test_a_replaced_task_keeps_its_place_and_one_that_is_added_again_goes_to_the_end(tmp_path: Path) -> None:
    store = opened(tmp_path)
    filled(store)
    store.put_task(task("FIRST", "changed"))
    store.del_task("second")
    store.put_task(task("second"))
    store = again(store, tmp_path)
    assert [(each.name, each.command[1]) for each in store.saved().tasks] == [("FIRST", "changed"), ("third", "true"), ("second", "true")]
    assert store.saved().intents == {}
    store.close()


def test_what_is_forgotten_stays_forgotten(tmp_path: Path) -> None:
    store = opened(tmp_path)
    filled(store)
    store.flush()
    for name in ("first", "second", "third", "never there"):
        store.del_task(name)
    store.del_flow("flow")
    store.del_group("group")
    store.del_schedule("nightly")
    store.set_setting("web.port", None)
    store = again(store, tmp_path)
    saved = store.saved()
    assert not any([saved.tasks, saved.flows, saved.groups, saved.schedules, saved.settings, saved.intents, saved.times])
    store.close()


def test_file_and_folder_are_ours_alone_and_a_clean_end_leaves_one_file(tmp_path: Path) -> None:
    store = opened(tmp_path)
    filled(store)
    assert store.flush()
    folder = tmp_path / "lib"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {name: stat.S_IMODE((folder / name).stat().st_mode) for name in os.listdir(folder)} == {
        "state.sqlite": 0o600, "state.sqlite-wal": 0o600, "state.sqlite-shm": 0o600,
    }  # fmt: skip
    store.close()
    assert os.listdir(folder) == ["state.sqlite"]


@pytest.mark.parametrize("name", ["state.sqlite", "state.sqlite-wal", "state.sqlite-shm"])
def test_a_link_in_the_place_of_the_file_is_refused(tmp_path: Path, name: str) -> None:
    opened(tmp_path).close()
    target = tmp_path / "precious"
    target.write_bytes(b"precious")
    (tmp_path / "lib" / name).unlink(missing_ok=True)
    (tmp_path / "lib" / name).symlink_to(target)
    with pytest.raises(EfError, match="link") as caught:
        opened(tmp_path)
    assert caught.value.code is Code.REFUSED
    assert target.read_bytes() == b"precious"


def test_a_path_that_sqlite_cannot_take_is_refused_with_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(EfError, match="too long"):
        Store.open(str(tmp_path / ("x" * 200) / ("y" * 200) / ("z" * 100) / "state.sqlite"), system=opened(tmp_path)._system, log=Told())


# When it is written --------------------------------------------------------------------------------------------------------------------------------


def test_a_command_is_written_at_once_and_a_run_waits_for_company(tmp_path: Path) -> None:
    store, wake = opened(tmp_path), Woken()
    store.wake = wake
    store.ran(run("a"))
    assert [delay_s for delay_s, _ in wake.asked] == [BATCH_S]
    store.put_task(task("a"))
    assert [delay_s for delay_s, _ in wake.asked] == [BATCH_S, 0.0]
    wake.pass_time()
    assert not wake.asked, "nothing is left to do, so nobody is woken"
    store.close()


def test_a_change_that_changes_nothing_costs_nothing(tmp_path: Path) -> None:
    store, wake = opened(tmp_path), Woken()
    store.put_task(task("a"))
    store.flush()
    store.wake = wake
    store.put_task(task("a"))
    store.forget_intent("nobody")
    store.set_setting("nothing", None)
    assert wake.asked == []
    store.close()


def test_what_was_queued_before_the_loop_began_is_not_forgotten(tmp_path: Path) -> None:
    store, wake = opened(tmp_path), Woken()
    store.put_task(task("a"))
    store.wake = wake
    assert len(wake.asked) == 1
    wake.pass_time()
    assert [each.name for each in opened(tmp_path).saved().tasks] == ["a"]
    store.close()


# Listings ------------------------------------------------------------------------------------------------------------------------------------------


def test_runs_are_numbered_and_listed_newest_first_written_or_not(tmp_path: Path) -> None:
    store = opened(tmp_path)
    assert [store.ran(run(name)).number for name in "abab"] == [1, 2, 3, 4]
    store.flush()
    store.ran(run("A"))
    assert [row.number for row in store.history()] == [5, 4, 3, 2, 1]
    assert [row.number for row in store.history(["a"])] == [5, 3, 1]
    assert [row.number for row in store.history(["a", "b"], limit=2, before=4)] == [3, 2]
    assert store.history(["nobody"]) == []
    store.close()


def test_a_page_of_few_of_many_and_of_all_tasks_is_the_same_page(tmp_path: Path) -> None:
    store = opened(tmp_path)
    names = [f"task-{number}" for number in range(store_listings.FEW + 8)]
    for number in range(300):
        store.ran(run(names[number * 7 % len(names)]))
    while store.history()[0].number != 300 or store._runs.pending:
        store.flush()
    for chosen in (names[:3], names):
        expected = [row for row in store.history(limit=1000) if row.task in chosen]
        assert store.history(chosen, limit=1000) == expected
        assert store.history(chosen, limit=7, before=200) == [row for row in expected if row.number < 200][:7]
    store.close()


def test_numbers_of_runs_are_never_used_twice_though_their_rows_are_gone(tmp_path: Path) -> None:
    store = opened(tmp_path, history=0)
    for _ in range(5):
        store.ran(run("a"))
    store.close()
    store = opened(tmp_path, history=0)
    assert store.history() == []
    assert store.ran(run("a")).number == 6
    store.close()


def test_only_so_many_rows_are_kept_and_trimmed_in_pieces(tmp_path: Path) -> None:
    store, wake = opened(tmp_path, history=1500, alerts=3), Woken()
    for _ in range(2000):
        store.ran(run("a"))
    for seq in range(1, 8):
        store.alert(alert(seq))
    store.wake = wake
    for _ in range(20):
        wake.pass_time()
    assert wake.asked == []
    assert [row.number for row in store.history(limit=5000)] == list(range(2000, 500, -1))
    assert [row.seq for row in store.alerts()] == [5, 6, 7]
    assert store.lost_alert == 4
    store.retain(history=10, alerts=1)
    for _ in range(20):
        wake.pass_time()
    assert [row.number for row in store.history(limit=5000)] == list(range(2000, 1990, -1))
    store.close()
    store = opened(tmp_path)
    assert store.lost_alert == 6, "what was trimmed stays known"
    store.close()


def test_alerts_come_back_whole_from_a_number_on(tmp_path: Path) -> None:
    store = opened(tmp_path)
    for seq in (3, 5, 9):
        store.alert(alert(seq))
    store.flush()
    store.alert(alert(12))
    assert store.alerts(5) == [alert(5), alert(9), alert(12)]
    assert store.alerts(4, limit=1) == [alert(5)]
    assert store.alerts(13) == []
    store.close()


def test_a_text_that_is_no_unicode_is_kept_as_a_visible_escape(tmp_path: Path) -> None:
    store = opened(tmp_path)
    store.ran(msgspec.structs.replace(run("a"), reason="no such file: \udcff"))
    assert store.flush()
    assert store.history()[0].reason.endswith("\\udcff")
    store.close()


def test_pages_are_found_by_an_index_and_never_by_a_walk_through_everything(tmp_path: Path) -> None:
    store = opened(tmp_path)
    connection = store._connection
    assert connection is not None
    plans = {
        name: " / ".join(row[3] for row in connection.execute("EXPLAIN QUERY PLAN " + getattr(store_listings, name), values))
        for name, values in {
            "ALL_RUNS": (9, 5),
            "RUNS_OF_ONE": ("a", 9, 5),
            "RUNS_OF_MANY": ('["a"]', 9, 5),
            "ALERTS": (1, 5),
        }.items()
    }
    assert plans["ALL_RUNS"] == "SEARCH history USING INTEGER PRIMARY KEY (rowid<?)"
    assert plans["RUNS_OF_ONE"] == "SEARCH history USING INDEX history_by_task (task=? AND rowid<?)"
    assert "COVERING INDEX history_by_task (task=? AND rowid<?)" in plans["RUNS_OF_MANY"]
    assert plans["ALERTS"] == "SEARCH alerts USING INTEGER PRIMARY KEY (rowid>?)"
    store.close()


# Versions ------------------------------------------------------------------------------------------------------------------------------------------

def test_a_file_of_version_1_is_brought_up_to_date_and_nothing_of_it_is_lost(tmp_path: Path) -> None:
    old_file(tmp_path)
    log = Told()
    store = opened(tmp_path, log)
    assert [each.name for each in store.saved().tasks] == ["a", "b"]
    assert store.history() == [RunRow(number=7, task="a", incarnation=1, began=1.0, ended=2.0)]
    assert store.ran(run("a")).number == 8
    assert log.infos == [f"state file {path_in(tmp_path)}: brought from version 1 to {VERSION}"]
    assert asides(tmp_path) == []
    store.close()
    assert len(opened(tmp_path).saved().tasks) == 2


def test_a_newer_version_is_refused_and_the_file_left_as_it_is(tmp_path: Path) -> None:
    opened(tmp_path).close()
    newer = f'{{"number":{VERSION + 7}}}'
    sql(tmp_path, f"PRAGMA user_version={VERSION + 7}", f"UPDATE saved SET value=CAST('{newer}' AS BLOB) WHERE key='version'")
    before = Path(path_in(tmp_path)).read_bytes()
    with pytest.raises(EfError, match=f"version {VERSION + 7}, written by a newer.* up to {VERSION}") as caught:
        opened(tmp_path)
    assert caught.value.code is Code.VERSION
    assert Path(path_in(tmp_path)).read_bytes() == before
    assert asides(tmp_path) == []


def test_a_version_that_only_one_flipped_bit_made_newer_is_damage_and_no_reason_to_stay_down(tmp_path: Path) -> None:
    store = opened(tmp_path)
    filled(store)
    store.close()
    sql(tmp_path, f"PRAGMA user_version={VERSION + 64}")
    store = opened(tmp_path)
    assert len(store.saved().tasks) == 3
    assert len(asides(tmp_path)) == 1
    store.close()


def test_one_intent_is_had_without_the_others(tmp_path: Path) -> None:
    store = opened(tmp_path)
    filled(store)
    assert store.intent("SECOND") == Intent(task="second", goal=Goal.TRM, autostart=True)
    assert store.intent("first") is None
    assert store.complete
    store.close()
