"""Ended lives become rows, each once, whoever watched them end."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from efsupervisor.conf.schema import TaskSpec
from efsupervisor.core import history
from efsupervisor.core.history import Runs
from efsupervisor.core.tasks import Task
from efsupervisor.messages import Report, RunRow, Wiring
from efsupervisor.states import Goal, State
from efsupervisor.system import REAL, short_id
from efsupervisor.task.lives import BEGIN, END, Life, Lives
from efsupervisor.task.paths import TaskPaths


class Kept:
    """A store of rows."""

    def __init__(self) -> None:
        self.rows: list[RunRow] = []

    def ran(self, row: RunRow) -> RunRow:
        self.rows.append(msgspec.structs.replace(row, number=len(self.rows) + 1))
        return self.rows[-1]

    def history(self, names: tuple[str, ...] = (), limit: int = 50, before: int | None = None) -> list[RunRow]:
        return [row for row in self.rows[::-1] if row.task in names and (before is None or row.number < before)][:limit]


class Place:
    """A task's folder with an incarnation log."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / short_id("t")
        self.folder.mkdir(exist_ok=True)
        self.lives = Lives(str(self.folder / "lives"), REAL)
        self.clock = 0

    def life(self, number: int, status: int | None = 0, *, ends: bool = True) -> None:
        self.clock += 1
        self.lives.append(Life(BEGIN, number, self.clock * 10**9, self.clock * 100, 0))
        self.clock += 1
        if ends:
            self.lives.append(Life(END, number, self.clock * 10**9, self.clock * 100, 7, 4000 + number, status))

    def task(self, state: State, incarnation: int, *, pid: int = 0, reason: str = "") -> Task:
        spec = TaskSpec(name="t", command=["true"])
        report = Report(state=state, goal=Goal.ACT, incarnation=incarnation, pid=pid, reason=reason)
        paths = TaskPaths(str(self.folder))
        return Task(spec=spec, wiring=Wiring(spec=spec, task_dir=str(self.folder), namespace="n"), paths=paths, report=report)


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def numbers(rows: list[RunRow]) -> list[int]:
    return [row.incarnation for row in rows]


def test_a_life_that_ended_is_one_row_with_what_it_wrote_and_what_became_of_the_task(place: Place) -> None:
    kept = Kept()
    place.life(1, 3 << 8)
    (row,) = Runs(kept, REAL).reported(place.task(State.BACKOFF, 1, reason="exit status 3 after 0.1 s"))
    assert row == RunRow(
        number=1, task="t", incarnation=1, began=1.0, ended=2.0, exit_status=3 << 8, exit_known=True, state="BACKOFF",
        reason="exit status 3 after 0.1 s", out_bytes=100, err_bytes=7, pid=4001, out_from=100,
    )  # fmt: skip


def test_a_row_tells_the_attempt_what_came_in_and_out_and_who_wished_the_run(place: Place) -> None:
    place.lives.append(Life(BEGIN, 1, 10**9, 100, 5, attempt=1, ticket="00000000000000aa"))
    place.lives.append(Life(END, 1, 2 * 10**9, 130, 9, 7, 1 << 8, attempt=1, in_bytes=40, events_in=3, events_out=2))
    place.lives.append(Life(BEGIN, 2, 3 * 10**9, 130, 9, attempt=2, ticket="00000000000000aa"))
    place.lives.append(Life(END, 2, 4 * 10**9, 131, 9, 8, 0, attempt=2))
    task = place.task(State.EXITED, 2)
    task.report = msgspec.structs.replace(task.report, ticket="00000000000000aa", cause="schedule night")
    first, second = Runs(Kept(), REAL).reported(task)
    assert (first.attempt, first.out_from, first.out_bytes, first.err_from, first.err_bytes) == (1, 100, 30, 5, 4)
    assert (first.in_bytes, first.events_in, first.events_out, second.attempt, second.events_out) == (40, 3, 2, 2, -1)
    assert {row.cause for row in (first, second)} == {"schedule night"} and {row.ticket for row in (first, second)} == {"00000000000000aa"}


def test_a_run_of_another_wish_than_the_last_has_no_cause_that_is_not_its_own(place: Place) -> None:
    place.lives.append(Life(BEGIN, 1, 10**9, 0, 0, attempt=1, ticket="00000000000000aa"))
    place.lives.append(Life(END, 1, 2 * 10**9, 0, 0, 7, 0))
    task = place.task(State.RUNNING, 2, pid=9)
    task.report = msgspec.structs.replace(task.report, ticket="00000000000000bb", cause="uid 0 pid 7")
    (row,) = Runs(Kept(), REAL).look(task)
    assert (row.ticket, row.cause) == ("00000000000000aa", "")


def test_times_that_were_left_out_do_not_hide_which_life_was_the_last(place: Place) -> None:
    kept = Kept()
    place.life(1)
    Runs(kept, REAL).look(place.task(State.EXITED, 1))
    for number in range(25):
        kept.ran(RunRow(number=0, task="t", incarnation=0, began=9.0 + number, ended=9.0 + number, state="SKIPPED"))
    place.life(2)
    assert numbers(Runs(kept, REAL).look(place.task(State.EXITED, 2))) == [2]


def test_a_report_of_a_running_program_takes_nothing_and_reads_nothing(place: Place) -> None:
    kept = Kept()
    assert Runs(kept, REAL).reported(place.task(State.RUNNING, 1, pid=5)) == []
    assert Runs(kept, REAL).reported(place.task(State.STOPPED, 0)) == []


def test_each_life_is_taken_once_however_many_reports_come(place: Place) -> None:
    kept = Kept()
    runs = Runs(kept, REAL)
    place.life(1, 9)
    for _ in range(3):
        runs.reported(place.task(State.BACKOFF, 1))
    place.life(2, ends=False)
    runs.reported(place.task(State.RUNNING, 2, pid=7))
    assert numbers(kept.rows) == [1]


def test_a_core_that_comes_back_takes_what_it_missed_and_nothing_twice(place: Place) -> None:
    kept = Kept()
    place.life(1, 9)
    Runs(kept, REAL).reported(place.task(State.BACKOFF, 1))
    for number in range(2, 200):
        place.life(number, None if number == 5 else 9)
    place.life(200, ends=False)
    new = Runs(kept, REAL)
    new.reported(place.task(State.RUNNING, 200, pid=7))
    assert numbers(kept.rows) == list(range(1, 200))
    assert {row.state for row in kept.rows[1:]} == {"STARTING"}
    assert kept.rows[4].exit_status is None and not kept.rows[4].exit_known and kept.rows[4].reason == "exit status unknown"
    assert kept.rows[1].reason == "killed by SIGKILL"


def test_a_task_that_was_deleted_and_added_again_counts_from_one_and_no_life_is_missing(tmp_path: Path) -> None:
    kept, old = Kept(), Place(tmp_path)
    for number in range(1, 6):
        old.life(number)
    Runs(kept, REAL).reported(old.task(State.EXITED, 5))
    (old.folder / "lives").unlink()
    new = Place(tmp_path)
    new.clock = 1000
    runs = Runs(kept, REAL)
    for number in range(1, 6):
        new.life(number)
        runs.reported(new.task(State.EXITED, number))
    assert numbers(kept.rows) == [1, 2, 3, 4, 5, 1, 2, 3, 4, 5]


def test_a_damaged_record_costs_its_own_row_at_most(place: Place) -> None:
    kept = Kept()
    for number in range(1, 4):
        place.life(number)
    path = place.folder / "lives"
    data = bytearray(path.read_bytes())
    data[2 * 64 + 5] ^= 0xFF  # the begin of the second life
    path.write_bytes(data)
    Runs(kept, REAL).reported(place.task(State.EXITED, 3))
    assert numbers(kept.rows) == [1, 2, 3]
    assert kept.rows[1].began == kept.rows[1].ended and kept.rows[1].out_bytes == 0


def test_an_endless_log_is_not_read_to_its_beginning(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history, "MAX_MISSED", 10)
    kept = Kept()
    for number in range(1, 100):
        place.life(number)
    Runs(kept, REAL).reported(place.task(State.EXITED, 99))
    assert numbers(kept.rows) == list(range(90, 100))


def test_a_task_without_a_log_has_no_history(tmp_path: Path) -> None:
    empty = Place(tmp_path)
    (empty.folder / "lives").unlink()
    assert Runs(Kept(), REAL).reported(empty.task(State.EXITED, 3)) == []
