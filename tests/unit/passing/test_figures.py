"""An edge from outside: two samples make rates, lag, age and what is in flight."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from efsupervisor.interface.flow import FlowStatus
from efsupervisor.messages.call import EdgeFigures, FlowFigures
from efsupervisor.messages.core import FlowRow, FlowsReply
from efsupervisor.passing.edges import About, Sample, paths, samples
from efsupervisor.passing.figures import figures, made
from efsupervisor.states import Framing, Mode
from efsupervisor.system import REAL
from efsupervisor.task.delivery import Delivery, EdgeState, Record, Run
from tests.unit.interface.fake_house import FakeHouse, run
from tests.unit.passing.flows import Folder

LINE = b"0123456\n"
Lay = Callable[..., Folder]


@pytest.fixture
def lay(tmp_path: Path) -> Iterator[Lay]:
    """Makes folders with edges."""
    made_: list[Folder] = []

    def make(**more: Any) -> Folder:
        folder = tmp_path / f"var{len(made_)}"
        folder.mkdir()
        made_.append(Folder(folder, **more))
        return made_[-1]

    yield make
    for each in made_:
        each.close()


def row(here: Folder, **more: Any) -> FlowRow:
    return FlowRow(flow="f", producer="p", consumers=list(here.ref.consumers), mode=here.ref.mode, id=here.ref.id, max_lag=100, **more)


def between(here: Folder, change: Callable[[], None], **more: Any) -> EdgeFigures:
    """The figures after a change that took two seconds."""
    before = samples([here.ref], REAL)
    change()
    after = {name: each._replace(at=before[name].at + 2.0) for name, each in samples([here.ref], REAL).items()}
    (found,) = figures([row(here, **more)], here.var, before, after, REAL)
    return found


def test_what_came_and_what_went_is_told_by_the_second(lay: Lay) -> None:
    here = lay()
    here.produce(LINE * 10)
    here.deliver(cursor=16, given=32, lengths=(8, 8))

    def change() -> None:
        here.produce(LINE * 6)
        here.deliver(cursor=32, given=40, lengths=(8,))

    found = between(here, change, held_since=7.5)
    assert (found.in_bytes_s, found.in_events_s) == (24.0, 3.0)
    assert (found.out_bytes_s, found.out_events_s) == (8.0, 1.0)
    assert (found.lag_bytes, found.lag_events, found.lag_exact) == (96, 12, True)
    assert (found.in_flight, found.in_flight_bytes, found.acknowledged_bytes, found.held_since) == (1, 8, 32, 7.5)
    assert (found.cursor, found.end) == (32, 128)


def test_a_consumer_that_never_ran_is_behind_by_all_since_the_edge_began(lay: Lay) -> None:
    here = lay()
    here.produce(LINE * 3)
    found = between(here, lambda: None)
    assert (found.lag_bytes, found.lag_events, found.in_flight, found.acknowledged_bytes) == (24, 3, 0, 0)


def test_the_age_of_the_oldest_event_comes_from_the_journals_index(lay: Lay) -> None:
    here = lay()
    now = REAL.wall_ns()
    here.produce(LINE, now - 90_000_000_000)
    here.produce(LINE, now - 30_000_000_000)
    assert 89 < between(here, lambda: None).oldest_s < 120
    here.deliver(cursor=8, given=8)
    assert 29 < between(here, lambda: None).oldest_s < 60
    here.deliver(cursor=16, given=16)
    assert between(here, lambda: None).oldest_s == 0.0


def test_a_stream_is_as_far_as_its_program_has_read_although_no_worker_says_so(lay: Lay) -> None:
    here = lay()
    here.produce(LINE * 10)
    fifo = paths(here.var, "c").fifo("in.1")
    os.mkfifo(fifo)
    pipe = os.open(fifo, os.O_RDWR)
    try:
        os.write(pipe, LINE * 5)
        record, state = Record(paths(here.var, "c").delivery, REAL), Delivery()
        state.incarnation, state.put = 1, 40
        state.edges = [EdgeState(here.ref.id, 0, 40)]
        state.runs.append(Run(0, 0, 40, []))
        record.save(state)
        record.close()
        found = between(here, lambda: None)
        assert (found.lag_bytes, found.in_flight, found.in_flight_bytes) == (80, -1, 40)
        found = between(here, lambda: os.read(pipe, 24) and None)
        assert (found.lag_bytes, found.in_flight_bytes, found.out_events_s) == (56, 16, 1.5)
        os.read(pipe, 100)
        assert between(here, lambda: None).in_flight_bytes == 0
    finally:
        os.close(pipe)


def test_a_share_group_is_read_from_its_claims(lay: Lay) -> None:
    here = lay(mode=Mode.SHARE, consumers=("c", "d"))
    here.produce(LINE * 10)
    here.claim(0, (0, 8), (8, 8))
    here.claim(1, (16, 8))
    found = between(here, lambda: None)
    assert (found.lag_bytes, found.lag_events, found.in_flight, found.in_flight_bytes) == (80, 10, 3, 24)


def test_what_a_member_acknowledged_last_counts_before_the_claims_log_says_it(lay: Lay) -> None:
    here = lay(mode=Mode.SHARE, consumers=("c", "d"))
    here.produce(LINE * 3)
    here.claim(0, (0, 8), (8, 8), (16, 8))
    record, state = Record(paths(here.var, "c").delivery, REAL), Delivery()
    state.incarnation, state.edges = 1, [EdgeState(here.ref.id, 0, 24, 3)]
    state.runs.append(Run(0, 16, 8, [8]))
    record.save(state)
    record.close()
    found = between(here, lambda: None)
    assert (found.lag_bytes, found.in_flight, found.in_flight_bytes, found.cursor) == (8, 1, 8, 16)


def test_events_are_told_apart_as_their_producer_writes_them_and_netstrings_are_not_counted(lay: Lay) -> None:
    here = lay()
    here.writer(here.ref.journal).frame(Framing.NUL)
    here.produce(b"a\nb\0c\0")
    assert between(here, lambda: None).lag_events == 2
    here = lay()
    here.writer(here.ref.journal).frame(Framing.NETSTRING)
    here.produce(b"3:one,3:two,")
    found = between(here, lambda: None)
    assert (found.lag_bytes, found.lag_events, found.in_events_s) == (12, -1, -1.0)


def test_what_was_dropped_is_neither_acknowledged_nor_a_rate() -> None:
    line = FlowRow(flow="f", producer="p", consumers=["c"], id="1" * 16)
    first, last = Sample(1.0, 100, 10, 10, 0, 0, 0), Sample(2.0, 200, 190, 190, 0, 0, 150)
    found = made(line, About(start=10), first, last, None, 0.0)
    assert (found.out_bytes_s, found.acknowledged_bytes, found.dropped_bytes) == (30.0, 30, 150)
    assert (found.lag_events, found.lag_exact, found.out_events_s) == (-1, False, -1.0)


def test_an_edge_that_was_made_anew_between_the_looks_has_no_negative_rate() -> None:
    line = FlowRow(flow="f", producer="p", consumers=["c"], id="1" * 16)
    found = made(line, About(), Sample(1.0, 100, 90, 90, 0, 0, 0), Sample(1.0, 5, 0, 0, 0, 0, 0), None, 0.0)
    assert (found.in_bytes_s, found.out_bytes_s) == (0.0, 0.0)


def test_no_file_at_all_is_an_edge_at_rest(lay: Lay) -> None:
    here = lay()
    gone = here.ref._replace(id="f" * 16, producer="d")
    assert samples([gone], REAL)[gone.id][1:] == (0, 0, 0, 0, 0, 0)


def test_the_verb_looks_twice_and_pauses_between(lay: Lay) -> None:
    here = lay()
    here.produce(LINE * 2)
    house = FakeHouse(lambda request: [FlowsReply(id=request.id, rows=[row(here)])], var=here.var, on_pause=lambda _s: here.produce(LINE))
    answer = run(FlowStatus(over=0.5), house)
    assert isinstance(answer, FlowFigures) and answer.window_s == 0.5
    assert house.paused == [0.5]
    assert (answer.rows[0].lag_events, answer.rows[0].in_events_s > 0) == (3, True)
