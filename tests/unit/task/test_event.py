"""EventStdIn at the table: windows, acknowledgements, messages, dead letters; and a worker killed before every single call it makes."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from efsupervisor.conf.schema import InputSpec, OutputSpec
from efsupervisor.journal import Reader
from efsupervisor.messages import Alert
from efsupervisor.states import Protocol
from efsupervisor.system import REAL
from efsupervisor.task.delivery import saved
from efsupervisor.task.event import EventStdIn
from tests.support.naive_register import NaiveRegister
from tests.unit.journal.fakes import Machine, StopAt
from tests.unit.task.table import Sitting, Table, shut_disk

Lay = Callable[..., Table]
LINES = [b"event %d\n" % number for number in range(6)]


@pytest.fixture
def lay(tmp_path: Path) -> Iterator[Lay]:
    """Lays a table with the given `input:` keys."""
    tables: list[Table] = []

    def lay(**spec: Any) -> Table:
        folder = tmp_path / f"table{len(tables)}"
        folder.mkdir()
        tables.append(Table(folder, EventStdIn, spec=InputSpec(protocol=Protocol.EVENT, **spec)))
        return tables[-1]

    yield lay
    for table in tables:
        table.close()


def served(table: Table, *lines: bytes) -> Sitting:
    """A worker whose program has begun, with these lines in its producer's journal."""
    table.producer("p").append(b"".join(lines))
    sitting = Sitting(table)
    sitting.begin()
    return sitting


def journal(folder: str) -> bytes:
    reader = Reader(folder, system=REAL)
    try:
        return reader.read(0, 1 << 20)
    finally:
        reader.close()


# The window ----------------------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("window", [1, 3, 64])
def test_at_most_a_window_of_events_is_outstanding_and_each_acknowledgement_lets_the_next_go(lay: Lay, window: int) -> None:
    table = lay(window=window)
    sitting = served(table, *LINES)
    program = table.program
    assert program is not None
    for done in range(len(LINES)):
        program.read()
        assert program.received == b"".join(LINES[: done + window])
        assert sitting.watcher.figures().outstanding == min(window, len(LINES) - done)
        program.say(b"\n")
        sitting.turn()
    figures = sitting.watcher.figures()
    assert (figures.acknowledged, figures.outstanding, figures.lag_bytes) == (len(LINES), 0, 0)
    assert table.cursor() == sum(map(len, LINES))
    sitting.rest()


@pytest.mark.parametrize(
    ("ack", "answer", "acknowledged"),
    [
        ("either", b"\n", 1),
        ("either", LINES[0], 1),
        ("either", LINES[1], 0),
        ("empty", b"\n", 1),
        ("empty", LINES[0], 0),
        ("echo", LINES[0], 1),
        ("echo", b"\n", 0),
        ("either", b"event 0", 0),  # no whole line yet
        ("either", b"event 0 \n", 0),
        ("either", b"\n" + LINES[1] + b"\n", 3),
    ],
)
def test_what_counts_as_an_acknowledgement(lay: Lay, ack: str, answer: bytes, acknowledged: int) -> None:
    table = lay(window=4, ack=ack)
    sitting = served(table, *LINES)
    assert table.program is not None
    table.program.say(answer)
    sitting.turn()
    assert sitting.watcher.figures().acknowledged == acknowledged
    sitting.rest()


def test_a_blank_line_older_than_an_event_never_acknowledges_it(lay: Lay) -> None:
    table = lay(window=4)
    sitting = served(table)
    assert table.program is not None
    table.program.say(b"\n\n")  # nothing is outstanding: a message
    table.producers["p"].append(LINES[0])
    sitting.watcher.pump()
    sitting.turn()
    figures = sitting.watcher.figures()
    assert (figures.acknowledged, figures.outstanding) == (0, 1)
    assert journal(table.paths.err_journal) == b"\n\n"
    sitting.rest()


def test_other_lines_are_messages_kept_in_the_stderr_journal_and_told_with_the_event_in_progress(lay: Lay) -> None:
    table = lay(window=2)
    sitting = served(table, *LINES)
    assert table.program is not None
    table.program.say(b"warning: odd\r\n\n\xff\xfe\n")
    sitting.turn()
    assert journal(table.paths.err_journal) == b"warning: odd\r\n\xff\xfe\n"
    assert sitting.watcher.figures().acknowledged == 1
    (first,) = [told for told in table.told if isinstance(told, Alert)]
    assert (first.what, first.event) == ("message", LINES[0])
    assert first.lines == ["warning: odd\r"]
    table.clock.now += 0.6
    sitting.turn()
    later = [told for told in table.told if isinstance(told, Alert)][1]
    assert (later.event, later.lines[-1]) == (LINES[1], "\\xff\\xfe")
    sitting.rest()


# Deaths of the program -----------------------------------------------------------------------------------------------------------------------------


def test_what_was_not_acknowledged_is_given_again_one_by_one_and_the_window_opens_when_it_is_past(lay: Lay) -> None:
    table = lay(window=4)
    sitting = served(table, *LINES)
    first = table.program
    assert first is not None
    first.read()
    first.say(b"\n")
    first.die()
    sitting.end()
    sitting.begin()
    second = table.program
    assert second is not None
    for line in LINES[1:4]:
        assert second.read() == line
        second.say(b"\n")
        sitting.turn()
    assert second.read() == b"".join(LINES[4:])
    sitting.rest()


def test_only_the_oldest_event_is_charged_and_goes_to_the_dead_letters_at_its_limit(lay: Lay) -> None:
    table = lay(window=2, max_deliveries=2)
    sitting = served(table, *LINES)
    for _ in range(2):
        assert table.program is not None
        table.program.read()
        table.program.die()
        sitting.end()
        sitting.begin()
    assert table.program is not None
    assert table.program.read() == LINES[1]
    (letter,) = map(json.loads, journal(table.paths.dead_journal).splitlines())
    assert (letter["producer"], letter["offset"], letter["deliveries"], base64.b64decode(letter["event"])) == ("p", 0, 2, LINES[0])
    assert sitting.watcher.figures().dead_letters == 1
    sitting.rest()


def test_an_operators_stop_charges_nobody(lay: Lay) -> None:
    table = lay(max_deliveries=1)
    sitting = served(table, *LINES)
    for _ in range(3):
        assert table.program is not None
        table.program.die()
        sitting.end(own_death=False)
        sitting.begin()
    assert table.program is not None
    assert table.program.read() == LINES[0]
    assert sitting.watcher.figures().dead_letters == 0
    sitting.rest()


@pytest.mark.parametrize(("on_poison", "letters", "next_line", "poisoned"), [("drop", 0, LINES[1], False), ("stop", 0, LINES[0], True)])
def test_what_happens_to_a_poison_event_is_the_tasks_choice(lay: Lay, on_poison: str, letters: int, next_line: bytes, poisoned: bool) -> None:
    table = lay(max_deliveries=1, on_poison=on_poison)
    sitting = served(table, *LINES)
    assert table.program is not None
    table.program.die()
    sitting.end()
    assert bool(sitting.watcher.poisoned) == poisoned
    assert journal(table.paths.dead_journal).count(b"\n") == letters
    sitting.begin()
    assert table.program is not None
    assert table.program.read() == next_line
    sitting.rest()


def test_an_event_over_max_event_is_a_dead_letter_and_the_next_one_goes(lay: Lay) -> None:
    table = lay(max_event=1000)
    sitting = served(table, b"x" * 5000 + b"\n", LINES[0])
    assert table.program is not None
    assert table.program.read() == LINES[0]
    (letter,) = map(json.loads, journal(table.paths.dead_journal).splitlines())
    assert (letter["offset"], letter["length"], len(base64.b64decode(letter["event"]))) == (0, 5001, 1000)
    sitting.rest()


def test_messages_are_found_by_time_and_old_ones_go_as_any_output_does(lay: Lay) -> None:
    table = lay(window=2)
    table.task = replace(table.task, output=OutputSpec(segment_bytes=1 << 16, keep_bytes=1 << 17))
    sitting = served(table, *LINES)
    assert table.program is not None
    for _ in range(40):
        table.program.say(b"m" * 16_000 + b"\n")
        sitting.turn()
        table.clock.now += 1.1
        sitting.turn()
    reader = Reader(table.paths.err_journal, system=REAL)
    assert 0 < reader.end() - reader.first() < 1 << 18
    assert reader.time_of(reader.first())[1] > 0
    reader.close()
    sitting.rest()


def test_a_torn_last_line_on_stderr_is_a_message_of_the_dead_program(lay: Lay) -> None:
    table = lay()
    sitting = served(table, LINES[0])
    assert table.program is not None
    table.program.say(b"Segmentation fau")
    table.program.die()
    sitting.end()
    assert journal(table.paths.err_journal) == b"Segmentation fau\n"
    sitting.rest()


# A full disk ---------------------------------------------------------------------------------------------------------------------------------------


def test_a_full_disk_makes_the_input_wait_and_loses_nothing(lay: Lay) -> None:
    table = lay(window=2)
    sitting = served(table, *LINES)
    program = table.program
    assert program is not None
    sitting.machine.script = shut_disk("splice")
    program.say(b"\n")
    sitting.turn()
    assert any("acknowledgements cannot be kept" in sentence for sentence in table.said)
    assert sitting.watcher.figures().acknowledged == 0
    sitting.machine.script = lambda name: None
    table.clock.now += 0.6
    sitting.turn(3)
    assert sitting.watcher.figures().acknowledged == 1
    assert program.read() == b"".join(LINES[:3])
    sitting.rest()


# A worker killed before each of its calls ----------------------------------------------------------------------------------------------------------


def finish(table: Table, sitting: Sitting) -> None:
    """Let the program answer until everything is acknowledged, or the worker is dead."""
    for _ in range(60):
        if sitting.killed or table.cursor() == len(b"".join(LINES)):
            return
        if table.program is None:
            sitting.begin()
        else:
            table.program.answer_all()
        table.clock.now += 0.01
        sitting.turn()


def wrong_after_a_kill(lay: Lay, window: int) -> list[str]:
    """Kill a worker before its first call, its second, ... until it is through; what came out wrong."""
    wrong = []
    for number in count():
        table = lay(window=window)
        table.producer("p").append(b"".join(LINES))
        sitting = Sitting(table, Machine(StopAt(number)))
        sitting.begin()
        finish(table, sitting)
        was_killed = sitting.spare()
        if was_killed:
            sitting = Sitting(table)
            finish(table, sitting)
        figures = sitting.watcher.figures()
        if (figures.acknowledged, figures.outstanding) != (len(LINES), 0):
            wrong.append(f"call {number}: {figures.acknowledged} acknowledged, {figures.outstanding} outstanding")
        if [program.received for program in table.programs] != [b"".join(LINES)]:
            wrong.append(f"call {number}: received {[program.received for program in table.programs]}")
        sitting.rest()
        table.close()
        if not was_killed:
            assert number > 50
            return wrong
    raise AssertionError


@pytest.mark.parametrize("window", [1, 2, 8])
def test_a_worker_killed_before_any_call_is_followed_by_one_that_goes_on_exactly_there(lay: Lay, window: int) -> None:
    assert wrong_after_a_kill(lay, window) == []


def test_a_register_that_is_written_after_the_write_is_found_out(lay: Lay, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(EventStdIn, "register_class", NaiveRegister)
    assert wrong_after_a_kill(lay, 2) != []


@pytest.mark.parametrize("torn", [0, 40])
def test_a_worker_killed_before_any_call_of_closing_a_life_closes_it_once(lay: Lay, torn: int) -> None:
    for number in count():
        table = lay(window=4, max_deliveries=2)
        sitting = served(table, *LINES)
        program = table.program
        assert program is not None
        program.read()
        program.say(b"\nlast words\n")  # one acknowledgement and a message that nobody has read yet
        program.die()
        sitting.machine.script = StopAt(number, torn)
        sitting.end()
        was_killed = sitting.spare()
        if was_killed:
            sitting = Sitting(table)
            sitting.end()
        state = saved(table.paths.delivery, REAL)
        assert (table.cursor(), state.charges, state.charged[1]) == (len(LINES[0]), 1, len(LINES[0])), f"killed before call {number}"
        assert journal(table.paths.err_journal) == b"last words\n", f"killed before call {number}"
        sitting.begin()
        assert table.program is not None
        assert table.program.read() == LINES[1], f"killed before call {number}"
        sitting.rest()
        table.close()
        if not was_killed:
            break
    assert number > 5


def test_a_worker_killed_before_any_call_of_a_burial_buries_the_event_once(lay: Lay) -> None:
    for number in count():
        table = lay(max_deliveries=1)
        sitting = served(table, *LINES)
        assert table.program is not None
        table.program.die()
        sitting.machine.script = StopAt(number)
        sitting.end()
        was_killed = sitting.spare()
        if was_killed:
            sitting = Sitting(table)
            sitting.end()
        letters = [json.loads(line) for line in journal(table.paths.dead_journal).splitlines()]
        assert [(letter["offset"], letter["deliveries"]) for letter in letters] == [(0, 1)], f"killed before call {number}"
        assert (table.cursor(), sitting.watcher.figures().dead_letters) == (len(LINES[0]), 1), f"killed before call {number}"
        sitting.rest()
        table.close()
        if not was_killed:
            break
    assert number > 10
