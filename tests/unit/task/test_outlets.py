"""Outlets: who is rung, who is behind, when the producer must wait and when it may go on."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from efsupervisor.conf.schema import TaskSpec
from efsupervisor.journal import Claims
from efsupervisor.messages import InEdge, OutEdge, Report, Wiring
from efsupervisor.reactor import Reactor
from efsupervisor.states import Goal, Mode, State
from efsupervisor.system import REAL
from efsupervisor.task.default import DefaultTaskDelHelper, DefaultTaskHelper
from efsupervisor.task.delivery import Delivery, EdgeState, Record
from efsupervisor.task.outlets import Outlets
from efsupervisor.task.paths import TaskPaths
from efsupervisor.task.record import write_state
from efsupervisor.task.seat import DATA, STATE, Seat
from tests.unit.task.table import BOOT, Clock

GROUP_START = 70


class Works:
    """A producer with consumers; every folder is prepared as the Core does it."""

    def __init__(self, folder: Path, consumers: int = 1, **edge: Any) -> None:
        self.folder = str(folder)
        self.edge_folder = folder / "edge"
        self.edge_folder.mkdir()
        if edge.get("mode") is Mode.SHARE:
            assert Claims.create(str(self.edge_folder), system=REAL, start=GROUP_START)
        self.consumers = [str(folder / f"consumer{number:04}") for number in range(consumers)]
        self.dir = str(folder / "producer0000")
        self.upstream = str(folder / "upstream0000")
        for each in (*self.consumers, self.dir, self.upstream):
            DefaultTaskHelper(REAL).prepare(Wiring(spec=TaskSpec(name="t", command=["x"]), task_dir=each, namespace="n"))
        self.bells = {each: os.open(TaskPaths(each).fifo("bell"), os.O_RDWR | os.O_NONBLOCK) for each in (*self.consumers, self.upstream)}
        names = [(f"c{n}", each) for n, each in enumerate(self.consumers)]
        ends = [names] if edge.get("mode") is Mode.SHARE else [[name] for name in names]
        outs = [OutEdge(id=f"{n:016x}", folder=str(self.edge_folder), consumers=end, **edge) for n, end in enumerate(ends, 1)]
        into = InEdge(id="2" * 16, producer="u", folder=str(folder), journal=str(folder), producer_dir=self.upstream)
        wiring = Wiring(spec=TaskSpec(name="p", command=["x"]), task_dir=self.dir, namespace="n", outputs=outs, inputs=[into])
        self.dirty = 0
        self.reactor = Reactor(Clock())
        self.seat = Seat(
            wiring,
            REAL,
            self.reactor,
            boot=BOOT,
            say=lambda level, text: None,
            tell=lambda message: None,
            dirty=self._dirty,
            core_connected=lambda: False,
        )
        self.outlets = Outlets(self.seat)

    def _dirty(self) -> None:
        self.dirty += 1

    def cursor(self, value: int, number: int = 0) -> None:
        """A consumer shows how far it is."""
        suffix = TaskPaths(self.consumers[number]).id
        (self.edge_folder / f"cursor.{suffix}").write_bytes(value.to_bytes(8, "little"))

    def finished(self, number: int = 0, yes: bool = True) -> None:
        """A consumer's worker says that it has finished, or runs again."""
        report = Report(state=State.EXITED if yes else State.RUNNING, goal=Goal.ACT, finished=yes)
        write_state(REAL, TaskPaths(self.consumers[number]), report)

    def rings(self, folder: str) -> bytes:
        """What was rung there since the last look."""
        try:
            return os.read(self.bells[folder], 4096)
        except BlockingIOError:
            return b""

    def flag(self) -> bytes:
        """The file by which a producer says that it wants to be rung."""
        return Path(TaskPaths(self.dir).blocked).read_bytes()

    def close(self) -> None:
        self.outlets.close()
        self.seat.forget_bells()
        self.reactor.close()
        for fd in self.bells.values():
            os.close(fd)
        for each in (*self.consumers, self.dir, self.upstream):
            DefaultTaskDelHelper(REAL).remove(each)


@pytest.fixture
def works(tmp_path: Path) -> Iterator[Any]:
    """Makes producers with consumers."""
    made: list[Works] = []

    def make(consumers: int = 1, **edge: Any) -> Works:
        folder = tmp_path / f"works{len(made)}"
        folder.mkdir()
        made.append(Works(folder, consumers, **edge))
        return made[-1]

    yield make
    for each in made:
        each.close()


def test_every_consumer_is_rung_when_more_came(works: Any) -> None:
    here = works(2)
    assert not here.outlets.moved(10)
    assert [here.rings(folder) for folder in here.consumers] == [DATA, DATA]


def test_neighbours_on_both_sides_are_rung_when_the_state_changed(works: Any) -> None:
    here = works(2)
    here.outlets.ring_state()
    assert [here.rings(folder) for folder in (*here.consumers, here.upstream)] == [STATE, STATE, STATE]


def test_a_bell_that_is_full_or_not_there_is_no_trouble(works: Any) -> None:
    here = works(2)
    os.unlink(TaskPaths(here.consumers[0]).fifo("bell"))
    for _ in range(70_000):
        here.seat.ring(here.consumers[1])
    here.outlets.ring_state()
    assert here.rings(here.consumers[1])[:1] == DATA


def test_the_producer_waits_for_the_slowest_and_goes_on_when_half_of_the_lag_is_free(works: Any) -> None:
    here = works(2, max_lag=100)
    here.cursor(0, 0)
    here.cursor(50, 1)
    assert not here.outlets.moved(100)
    assert here.flag() == b"0"
    assert here.outlets.moved(101)
    assert (here.outlets.blocked_by, here.flag()) == (["c0"], b"1")
    here.cursor(50, 0)
    assert here.outlets.holds_back(101)  # 51 behind: not half of it yet
    here.cursor(51, 0)
    here.cursor(51, 1)
    assert not here.outlets.holds_back(101)
    assert (here.outlets.blocked_by, here.flag()) == ([], b"0")
    assert here.dirty == 3  # c0; c0 and c1; nobody


def test_a_cursor_never_goes_back(works: Any) -> None:
    here = works(max_lag=100)
    here.cursor(500)
    assert not here.outlets.holds_back(550)
    here.cursor(0)
    assert not here.outlets.holds_back(600)
    assert here.outlets.needed(1000) == 500


def test_a_consumer_that_drops_the_oldest_never_holds_its_producer_back(works: Any) -> None:
    here = works(max_lag=10, overflow="drop-oldest")
    assert not here.outlets.moved(10_000)


def test_a_consumer_that_drops_the_oldest_keeps_no_more_of_the_journal_than_its_lag(works: Any) -> None:
    here = works(max_lag=10, overflow="drop-oldest")
    here.cursor(100)
    assert here.outlets.needed(105) == 100
    assert here.outlets.needed(1 << 40) == (1 << 40) - 10
    assert works(max_lag=10).outlets.needed(1 << 40) == 0


def test_it_is_known_since_when_a_program_is_held_back_whoever_does_it(works: Any) -> None:
    here = works(2, max_lag=100)
    assert here.outlets.blocked_since == 0.0
    here.cursor(500, 0)
    assert here.outlets.holds_back(550)
    since = here.outlets.blocked_since
    assert here.outlets.blocked_by == ["c1"] and since > 1e9
    here.cursor(500, 1)
    assert here.outlets.holds_back(700)  # c0 has 500 as well: now both
    assert here.outlets.blocked_by == ["c0", "c1"] and here.outlets.blocked_since == since
    here.cursor(700, 0)
    here.cursor(700, 1)
    assert not here.outlets.holds_back(700)
    assert here.outlets.blocked_since == 0.0


def test_a_finished_consumer_counts_no_more_until_it_runs_again(works: Any) -> None:
    here = works(2, max_lag=10)
    here.cursor(1000, 1)
    assert here.outlets.moved(1000)
    here.finished(0)
    here.outlets.neighbours_changed()
    assert not here.outlets.holds_back(1000)
    assert here.outlets.needed(1000) == 1000
    here.finished(0, False)
    here.outlets.neighbours_changed()
    assert here.outlets.holds_back(1000)
    assert here.outlets.needed(1000) == 0


@pytest.mark.parametrize(("done", "policy", "expected"), [([0, 1], "stop", True), ([0], "stop", False), ([0, 1], "continue", False)])
def test_a_job_is_done_with_when_all_its_consumers_have_finished(works: Any, done: list[int], policy: str, expected: bool) -> None:
    here = works(2, on_consumers_done=policy)
    for number in done:
        here.finished(number)
    here.outlets.neighbours_changed()
    assert here.outlets.all_finished() is expected


def test_a_task_without_consumers_is_never_done_with_and_waits_for_nobody(works: Any) -> None:
    here = works(0)
    assert not here.outlets.all_finished()
    assert not here.outlets.moved(1 << 40)
    assert here.outlets.needed(1000) == 1 << 62


def test_a_new_journal_begins_above_what_any_consumer_has_taken_although_it_was_not_shown(works: Any) -> None:
    here = works(2)
    here.cursor(100, 0)
    record, state = Record(TaskPaths(here.consumers[1]).delivery, REAL), Delivery()
    state.edges = [EdgeState(f"{2:016x}", 120, 150)]
    record.save(state)
    record.close()
    assert here.outlets.floor() == 150


def test_a_share_group_counts_as_one_consumer_at_its_groups_floor(works: Any) -> None:
    here = works(2, mode=Mode.SHARE, max_lag=100)
    assert here.outlets.needed(1000) == GROUP_START
    assert not here.outlets.holds_back(GROUP_START + 100)
    assert here.outlets.holds_back(GROUP_START + 101)
    assert here.outlets.blocked_by == ["c0", "c1"]
    (here.edge_folder / "cursor.group").write_bytes((GROUP_START + 101).to_bytes(8, "little"))
    assert not here.outlets.holds_back(GROUP_START + 101)


def test_a_record_without_end_holds_nobody_back_until_it_is_enormous(works: Any) -> None:
    here = works(max_lag=100)
    here.outlets.border = lambda: 90
    assert not here.outlets.holds_back(5000)
    assert not here.outlets.holds_back(90 + (1 << 30))
    assert here.outlets.holds_back(91 + (1 << 30))
    here.outlets.border = lambda: 4950
    assert here.outlets.holds_back(5000), "what is before it counts"
