"""A program that acknowledges what it likes, or not at all: what counts, what is a message, what is bounded."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from efsupervisor.conf.schema import InputSpec
from efsupervisor.journal import Reader
from efsupervisor.messages import MAX_FRAME, Alert, encode
from efsupervisor.states import Protocol
from efsupervisor.system import REAL
from efsupervisor.task.delivery import saved
from efsupervisor.task.event import ALERT_BYTES, PARSE_BYTES, EventStdIn, last_lines
from tests.unit.task.table import Sitting, Table

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


def served(table: Table) -> Sitting:
    table.producer("p").append(b"".join(LINES))
    sitting = Sitting(table)
    sitting.begin()
    return sitting


def errors(table: Table) -> bytes:
    reader, found = Reader(table.paths.err_journal, system=REAL), b""
    while part := reader.read(len(found), 1 << 20):
        found += part
    reader.close()
    return found


def say_all(sitting: Sitting, data: bytes) -> None:
    """The program writes more than its pipe holds."""
    assert sitting.table.program is not None
    for at in range(0, len(data), 32 << 10):
        sitting.table.program.say(data[at : at + (32 << 10)])
        sitting.turn()


def alerts(table: Table) -> list[Alert]:
    return [message for message in table.told if isinstance(message, Alert)]


def test_an_acknowledgement_too_many_counts_for_no_later_event_and_is_told(lay: Lay) -> None:
    table = lay(window=2)
    sitting = served(table)
    assert table.program is not None
    table.program.read()
    table.program.say(b"\n" * 5)
    sitting.turn()
    assert sitting.watcher.figures().acknowledged == 2, "two were given; what is written next was not there when they were acknowledged"
    assert errors(table) == b"\n\n\n"
    assert alerts(table)[0].sentence == "3 blank lines on stderr acknowledged nothing: no event was left that the program had been given"
    sitting.rest()


def test_the_echo_of_another_event_is_a_message(lay: Lay) -> None:
    table = lay(window=3, ack="echo")
    sitting = served(table)
    assert table.program is not None
    table.program.say(LINES[1] + LINES[0] + LINES[5] + LINES[1])
    sitting.turn()
    assert sitting.watcher.figures().acknowledged == 2
    assert errors(table) == LINES[1] + LINES[5]
    sitting.rest()


@pytest.mark.parametrize("size", [PARSE_BYTES, 2 * PARSE_BYTES, 5 * PARSE_BYTES + 17, (3 << 20) + 1, 1])
def test_the_end_of_a_long_line_acknowledges_nothing_and_what_follows_does(lay: Lay, size: int) -> None:
    table = lay(window=2)
    sitting = served(table)
    say_all(sitting, b"x" * size)
    say_all(sitting, b"\n")
    sitting.turn(3)
    assert sitting.watcher.figures().acknowledged == 0
    assert errors(table) == b"x" * size + b"\n"
    assert saved(table.paths.delivery, REAL).mid_line is False
    say_all(sitting, b"\n")
    sitting.turn(3)
    assert sitting.watcher.figures().acknowledged == 1
    assert all(len(encode(alert)) < MAX_FRAME for alert in alerts(table))
    sitting.rest()


def test_a_successor_knows_that_it_stands_inside_a_line(lay: Lay) -> None:
    table = lay(window=2)
    sitting = served(table)
    say_all(sitting, b"x" * (2 * PARSE_BYTES))
    sitting.turn(3)
    assert saved(table.paths.delivery, REAL).mid_line
    sitting.leave()
    sitting = Sitting(table)
    say_all(sitting, b"\n")
    sitting.turn(3)
    assert sitting.watcher.figures().acknowledged == 0
    say_all(sitting, b"\n\n")
    sitting.turn(3)
    assert sitting.watcher.figures().acknowledged == 2
    sitting.rest()


def test_a_long_line_that_a_dead_program_left_says_nothing_about_its_successor(lay: Lay) -> None:
    table = lay()
    sitting = served(table)
    say_all(sitting, b"x" * (2 * PARSE_BYTES))
    assert table.program is not None
    table.program.die()
    sitting.end()
    assert errors(table) == b"x" * (2 * PARSE_BYTES) + b"\n"
    sitting.begin()
    say_all(sitting, b"\n")
    assert sitting.watcher.figures().acknowledged == 1
    sitting.rest()


def test_binary_on_stderr_is_kept_as_it_is_and_told_within_a_frame(lay: Lay) -> None:
    table = lay(window=2)
    sitting = served(table)
    noise = random.Random(7).randbytes(300_000).replace(b"\n\n", b"\n.").lstrip(b"\n")
    say_all(sitting, noise + b"\n")
    for _ in range(3):
        table.clock.now += 1
        sitting.turn()
    assert errors(table) == noise + b"\n"
    assert alerts(table)
    for alert in alerts(table):
        assert len(encode(alert)) < MAX_FRAME
        assert len(alert.lines) <= 50
        assert alert.event == LINES[0], "the event in progress"
    sitting.rest()


def test_the_last_lines_of_an_alert_are_bounded_and_the_latest_are_kept() -> None:
    lines = [b"\x01" * 5000 + b"\n"] * 49 + [b"last\n"]
    told = last_lines(lines)
    assert told[-1] == "last"
    assert 1 < len(told) < 50
    assert len(msgspec.json.encode(told)) <= ALERT_BYTES + 2
    assert last_lines([b"a\n", b"b\xff\n"]) == ["a", "b\\xff"]


class Flooded:
    """A spool whose pipe never runs dry."""

    def __init__(self, spool: Any) -> None:
        self._spool = spool
        self.calls = 0

    def splice_from(self, fd: int) -> int:
        self.calls += 1
        assert self.calls < 1000, "it would never come back"
        return 100_000

    def __getattr__(self, name: str) -> Any:
        return getattr(self._spool, name)


def test_a_flood_on_stderr_does_not_keep_the_worker_from_its_loop(lay: Lay) -> None:
    table = lay()
    sitting = served(table)
    flooded = sitting.watcher._spool = Flooded(sitting.watcher._spool)  # type: ignore[attr-defined]
    sitting.do(sitting.watcher.pump)
    assert 0 < flooded.calls < 100
    sitting.rest()


# The time-out --------------------------------------------------------------------------------------------------------------------------------------


def hear(sitting: Sitting) -> list[str]:
    said: list[str] = []
    sitting.watcher.hung = said.append  # type: ignore[method-assign]
    return said


def passes(sitting: Sitting, seconds: float) -> None:
    for _ in range(round(seconds * 10)):
        sitting.table.clock.now += 0.1
        sitting.turn()


def test_an_event_that_is_not_acknowledged_in_time_means_that_the_program_hangs(lay: Lay) -> None:
    table = lay(ack_timeout_s=4.0, max_deliveries=1)
    sitting = served(table)
    said = hear(sitting)
    passes(sitting, 3.9)
    assert said == []
    passes(sitting, 1.5)
    assert said == ["it has not acknowledged its oldest event within 4 s (input.ack_timeout_s): deemed hung"]
    passes(sitting, 20)
    assert len(said) == 1, "said once a life"
    assert table.program is not None
    table.program.die()
    sitting.watcher.died(9, said[0])
    sitting.end()
    assert sitting.watcher.figures().dead_letters == 1
    reader = Reader(table.paths.dead_journal, system=REAL)
    letter = msgspec.json.decode(reader.read(0, 1 << 20))
    reader.close()
    assert (letter["status"], letter["died"]) == (9, "killed by SIGKILL")
    assert "not acknowledged within 4 s" in letter["reason"]
    sitting.rest()


def test_each_acknowledgement_and_each_worker_give_the_whole_time_again(lay: Lay) -> None:
    table = lay(ack_timeout_s=4.0)
    sitting = served(table)
    said = hear(sitting)
    for _ in range(4):
        passes(sitting, 3.5)
        assert table.program is not None
        table.program.say(b"\n")
        sitting.turn()
    passes(sitting, 3.5)
    sitting.leave()
    sitting = Sitting(table)
    later = hear(sitting)
    passes(sitting, 3.5)
    assert said == later == []
    passes(sitting, 2)
    assert len(later) == 1
    sitting.rest()


def test_nobody_hangs_who_was_given_nothing(lay: Lay) -> None:
    table = lay(ack_timeout_s=1.0)
    table.producer("p")
    sitting = Sitting(table)
    sitting.begin()
    said = hear(sitting)
    passes(sitting, 10)
    table.producers["p"].append(LINES[0])
    sitting.do(sitting.watcher.pump)
    passes(sitting, 0.9)
    assert said == []
    sitting.rest()
