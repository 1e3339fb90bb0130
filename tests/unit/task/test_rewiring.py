"""Edges come and go while events flow: nothing is lost, doubled or mixed up, whoever dies meanwhile."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from efsupervisor.conf.schema import InputSpec
from efsupervisor.states import Mode, Protocol
from efsupervisor.system import REAL, short_id
from efsupervisor.task.delivery import saved
from efsupervisor.task.event import EventStdIn
from efsupervisor.task.stream import StreamStdIn
from tests.unit.task.table import Sitting, Table

P = [b"p %d\n" % number for number in range(9)]
Q = [b"q %d\n" % number for number in range(9)]


@pytest.fixture
def event(tmp_path: Path) -> Iterator[Table]:
    (tmp_path / "tasks").mkdir()
    table = Table(tmp_path / "tasks", EventStdIn, spec=InputSpec(protocol=Protocol.EVENT, window=2))
    yield table
    table.close()


@pytest.fixture
def stream(tmp_path: Path) -> Iterator[Table]:
    (tmp_path / "tasks").mkdir()
    table = Table(tmp_path / "tasks", StreamStdIn)
    yield table
    table.close()


def rewire(sitting: Sitting) -> None:
    """The worker is told the inputs that the table has now."""
    sitting.watcher.seat.wiring = sitting.table.wiring
    sitting.do(sitting.watcher.rewired)
    sitting.turn()


def swap(table: Table) -> None:
    """The only edge goes and another comes."""
    gone = table.inputs[0]
    table.producer("q").append(b"".join(Q))
    assert gone.id != table.inputs[1].id
    took_away(table)


def took_away(table: Table, number: int = 1) -> None:
    """An edge goes; its folder stays, as the Core leaves it."""
    edge = table.inputs.pop(number - 1)
    var = Path(table.dir).parent.parent
    folder = var / "flows" / edge.id
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "edge.json").write_text(json.dumps({"producer": edge.producer, "mode": Mode.BROAD, "consumers": [], "version": 1}))
    journal = var / "tasks" / short_id(edge.producer)
    journal.mkdir(parents=True, exist_ok=True)
    shutil.copytree(edge.journal, journal / "out")


def answered(sitting: Sitting, times: int = 12) -> bytes:
    """Everything the program gets when it acknowledges at once."""
    program = sitting.table.program
    assert program is not None
    for _ in range(times):
        program.answer_all()
        sitting.turn()
    return program.received


def test_an_edge_that_comes_is_served_beside_the_one_that_was_there(event: Table) -> None:
    event.producer("p").append(b"".join(P))
    sitting = Sitting(event)
    sitting.begin()
    event.producer("q").append(b"".join(Q))
    rewire(sitting)
    received = answered(sitting)
    assert [line for line in received.splitlines(True) if line[:1] == b"p"] == P
    assert [line for line in received.splitlines(True) if line[:1] == b"q"] == Q
    sitting.rest()


def test_events_of_an_edge_that_goes_are_acknowledged_and_no_more_of_it_are_sent(event: Table) -> None:
    event.producer("p").append(b"".join(P))
    event.producer("q").append(b"".join(Q))
    sitting = Sitting(event)
    sitting.begin()
    program = event.program
    assert program is not None
    program.read()
    before = program.received.splitlines(True)
    took_away(event)
    rewire(sitting)
    program.say(b"\n" * len(before))
    received = answered(sitting).splitlines(True)
    assert received[: len(before)] == before
    assert [line for line in received if line[:1] == b"q"] == Q
    assert [line for line in received if line[:1] == b"p"] == P[: len([line for line in before if line[:1] == b"p"])]
    assert sitting.watcher.figures().outstanding == 0
    sitting.rest()


def test_a_worker_that_takes_over_finishes_an_event_of_an_edge_that_went_meanwhile(event: Table) -> None:
    long = b"p" * 200_000 + b"\n"
    event.producer("p").append(long + P[1])
    sitting = Sitting(event)
    sitting.begin()
    sitting.turn()
    program = event.program
    assert program is not None
    assert len(program.read()) < len(long)  # the pipe is full in the middle of the event
    sitting.killed = True
    sitting.leave()
    swap(event)
    successor = Sitting(event)
    for _ in range(200):
        program.read()
        successor.turn()
    received = program.received
    assert received[: len(long)] == long
    assert received[len(long) :].splitlines(True) == Q[: len(received[len(long) :].splitlines())]
    program.say(b"\n" * 2)
    successor.turn()
    assert answered(successor, 30).splitlines(True)[1:] == Q
    successor.rest()


def test_the_next_life_knows_nothing_of_an_edge_that_went(event: Table) -> None:
    event.producer("p").append(b"".join(P))
    event.producer("q").append(b"".join(Q))
    sitting = Sitting(event)
    sitting.begin()
    took_away(event)
    rewire(sitting)
    assert event.program is not None
    event.program.die()
    sitting.end()
    assert [edge.id for edge in saved(event.paths.delivery, REAL).edges] == [f"{2:016x}"]
    sitting.begin()
    assert answered(sitting, 20).splitlines(True)[-len(Q) :] == Q
    sitting.rest()


def test_a_stream_ends_its_record_before_the_edge_that_was_taken_away_is_left(stream: Table) -> None:
    long = b"p" * 3_000_000 + b"\n"
    stream.producer("p").append(long + P[1])
    sitting = Sitting(stream)
    sitting.begin()
    sitting.turn()
    program = stream.program
    assert program is not None
    program.read(100)
    swap(stream)
    rewire(sitting)
    for _ in range(200):
        program.read()
        sitting.turn()
    assert program.received[: len(long)] == long
    assert program.received[len(long) :] in (b"".join(Q), P[1] + b"".join(Q))
    sitting.rest()


def test_a_stream_goes_on_where_it_was_when_another_edge_comes(stream: Table) -> None:
    long = b"p" * 3_000_000 + b"\n"
    stream.producer("p").append(long + P[1])
    sitting = Sitting(stream)
    sitting.begin()
    program = stream.program
    assert program is not None
    program.read(100)
    stream.producer("q").append(b"".join(Q))
    rewire(sitting)
    for _ in range(200):
        program.read()
        sitting.turn()
    assert program.received[: len(long)] == long
    assert sorted(program.received[len(long) :].splitlines(True)) == sorted([P[1], *Q])
    sitting.rest()


@pytest.mark.parametrize("dies", [False, True], ids=["lives", "dies"])
def test_an_edge_that_comes_again_while_events_of_it_are_out_begins_where_it_is_told(event: Table, dies: bool) -> None:
    journal = event.producer("p")
    journal.append(b"".join(P[:5]))
    sitting = Sitting(event)
    sitting.begin()
    program = event.program
    assert program is not None
    program.read()
    (edge,) = event.inputs
    took_away(event)
    rewire(sitting)
    Path(edge.folder, f"cursor.{event.paths.id}").write_bytes(journal.end.to_bytes(8, "little"))
    event.inputs.append(edge)
    rewire(sitting)
    if dies:
        sitting.killed = True
        sitting.leave()
        sitting = Sitting(event)
    journal.append(b"".join(P[5:]))
    sitting.watcher.pump()
    out = program.received.count(b"\n")
    program.say(b"\n" * out)
    sitting.turn()
    assert answered(sitting).splitlines(True) == [*P[:out], *P[5:]]
    program.die()
    sitting.end()
    assert len(saved(event.paths.delivery, REAL).edges) == 1
    sitting.rest()
