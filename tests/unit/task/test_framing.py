"""Events of every framing on their way from a producer's journal to a program's stdin, with workers killed before every call they make."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from efsupervisor.conf.schema import InputSpec
from efsupervisor.errors import EfError
from efsupervisor.journal import Claims, Reader, Writer
from efsupervisor.journal.framing import payload, wrap
from efsupervisor.messages import Alert
from efsupervisor.states import Framing, Mode, Protocol
from efsupervisor.system import REAL
from efsupervisor.task.delivery import saved
from efsupervisor.task.event import EventStdIn
from efsupervisor.task.paths import TaskPaths
from efsupervisor.task.queue import put
from efsupervisor.task.stream import StreamStdIn
from tests.unit.journal.fakes import Machine, StopAt
from tests.unit.task.table import Sitting, Table

Lay = Callable[..., Table]
BINARY = [b"one", b"", b"two\nlines\n", b"z\0ro", b"\xff" * 9, b"3:abc,", b"q" * 5000, b"last"]
PLAIN = [each for each in BINARY if b"\n" not in each and b"\0" not in each]
WAYS = [(start, to) for start in Framing for to in Framing]


@pytest.fixture
def lay(tmp_path: Path) -> Iterator[Lay]:
    """Lays a table with the given `input:` keys."""
    tables: list[Table] = []

    def lay(protocol: Protocol = Protocol.EVENT, **spec: Any) -> Table:
        folder = tmp_path / f"table{len(tables)}"
        folder.mkdir()
        watcher = EventStdIn if protocol is Protocol.EVENT else StreamStdIn
        tables.append(Table(folder, watcher, spec=InputSpec(protocol=protocol, **spec)))
        return tables[-1]

    yield lay
    for table in tables:
        table.close()


def framed(framing: int, payloads: list[bytes]) -> bytes:
    found = [wrap(framing, each) for each in payloads]
    assert None not in found
    return b"".join(each for each in found if each is not None)


def served(table: Table, framing: Framing, payloads: list[bytes]) -> Sitting:
    writer = table.producer("p")
    writer.frame(framing)
    writer.append(framed(framing, payloads))
    sitting = Sitting(table)
    sitting.begin()
    return sitting


def take_all(sitting: Sitting, turns: int = 80) -> None:
    """The program reads and acknowledges whatever is outstanding, one by one."""
    table = sitting.table
    for _ in range(turns):
        if sitting.killed or table.program is None:
            return
        table.program.read()
        if (figures := sitting.do(sitting.watcher.figures)) is not None and figures.outstanding:
            table.program.say(b"\n")
        sitting.turn()


@pytest.mark.parametrize(("start", "to"), WAYS)
@pytest.mark.parametrize("window", [1, 3])
def test_events_arrive_as_the_consumer_frames_them_whatever_the_producer_writes(lay: Lay, start: Framing, to: Framing, window: int) -> None:
    payloads = BINARY if start is to is Framing.NETSTRING else PLAIN
    table = lay(framing=to, window=window)
    sitting = served(table, start, payloads)
    take_all(sitting)
    assert table.program is not None
    assert table.program.received == framed(to, payloads)
    assert sitting.watcher.figures().acknowledged == len(payloads)
    assert table.cursor() == len(framed(start, payloads))
    sitting.rest()


@pytest.mark.parametrize(("start", "to"), WAYS)
def test_a_worker_killed_before_any_call_is_followed_by_one_that_goes_on_exactly_there(lay: Lay, start: Framing, to: Framing) -> None:
    payloads = [b"a", b"bb\ncc" if start is to is Framing.NETSTRING else b"bb", b"", b"d" * 20]
    killed = 0
    for number in count():
        table = lay(framing=to, window=2)
        writer = table.producer("p")
        writer.frame(start)
        writer.append(framed(start, payloads))
        sitting = Sitting(table, Machine(StopAt(number)))
        sitting.begin()
        take_all(sitting, 10)
        was_killed = sitting.spare()
        killed += was_killed
        if was_killed:
            sitting = Sitting(table)
            if table.incarnation == 0:
                sitting.begin()
            take_all(sitting, 10)
        figures = sitting.watcher.figures()
        assert (figures.acknowledged, figures.outstanding) == (len(payloads), 0), f"killed before call {number}"
        assert [program.received for program in table.programs][-1] == framed(to, payloads), f"killed before call {number}"
        sitting.rest()
        table.close()
        if not was_killed:
            break
    assert killed > 30


@pytest.mark.parametrize("start", list(Framing))
def test_what_a_dead_program_did_not_acknowledge_is_given_again_from_there(lay: Lay, start: Framing) -> None:
    table = lay(framing=Framing.NETSTRING, window=8)
    sitting = served(table, start, PLAIN)
    assert table.program is not None
    table.program.read()
    table.program.say(b"\n\n")
    sitting.turn()
    table.program.die()
    sitting.end()
    assert table.cursor() == len(framed(start, PLAIN[:2]))
    sitting.begin()
    take_all(sitting)
    assert table.program.received == framed(Framing.NETSTRING, PLAIN[2:])
    sitting.rest()


@pytest.mark.parametrize(("to", "spoilt"), [(Framing.LINES, b"two\nlines"), (Framing.NUL, b"z\0ro")])
def test_an_event_that_the_consumers_framing_cannot_carry_is_a_dead_letter_and_the_rest_arrives(lay: Lay, to: Framing, spoilt: bytes) -> None:
    table = lay(framing=to, window=4)
    sitting = served(table, Framing.NETSTRING, [b"before", spoilt, b"after"])
    take_all(sitting)
    assert table.program is not None
    assert table.program.received == framed(to, [b"before", b"after"])
    reader = Reader(table.paths.dead_journal, system=REAL)
    letter = json.loads(reader.read(0, 1 << 20))
    reader.close()
    assert base64.b64decode(letter["event"]) == b"%d:%b," % (len(spoilt), spoilt)
    assert "cannot carry" in letter["reason"]
    sitting.rest()


def test_what_is_no_netstring_is_held_back_and_told_once_until_its_program_begins_anew(lay: Lay) -> None:
    table = lay(framing=Framing.NETSTRING, window=4)
    sitting = served(table, Framing.NETSTRING, [b"fine"])
    writer = table.producers["p"]
    broken = writer.append(b"7:too short,3:abc,")
    for _ in range(3):
        sitting.do(sitting.watcher.pump)
        take_all(sitting, 3)
    assert table.program is not None
    assert table.program.received == b"4:fine,"
    alerts = [message for message in table.told if isinstance(message, Alert) and message.what == "framing"]
    assert len(alerts) == 1
    assert "is no netstring" in alerts[0].sentence
    writer.mark_fragment(broken, writer.end, deliver=False)
    writer.append(b"5:again,")
    sitting.do(sitting.watcher.pump)
    take_all(sitting, 5)
    assert table.program.received == b"4:fine,5:again,"
    assert table.cursor() == writer.end
    sitting.rest()


@pytest.mark.parametrize("start", list(Framing))
def test_the_framing_changes_where_the_producer_began_anew(lay: Lay, start: Framing) -> None:
    table = lay(framing=Framing.NUL, window=8)
    sitting = served(table, start, [b"old", b"older"])
    for framing in (*Framing, Framing.LINES):
        table.producers["p"].frame(framing)
        table.producers["p"].append(framed(framing, [b"new"]))
    sitting.do(sitting.watcher.pump)
    take_all(sitting)
    assert table.program is not None
    assert table.program.received == b"old\0older\0" + b"new\0" * 4
    sitting.rest()


@pytest.mark.parametrize("framing", [Framing.NUL, Framing.NETSTRING])
def test_a_stream_passes_unchanged_and_two_producers_are_mixed_between_records_only(lay: Lay, framing: Framing) -> None:
    table = lay(Protocol.STREAM, framing=framing)
    both = [[b"a" * 30_000, b"a\n"] * 4, [b"b" * 30_000, b"\nb"] * 4]
    for name, payloads in zip("pq", both, strict=True):
        writer = table.producer(name)
        writer.frame(framing)
        writer.append(framed(framing, payloads) + framed(framing, [b"unfinished"])[:-1])
    sitting = Sitting(table)
    sitting.begin()
    assert table.program is not None
    for _ in range(60):
        table.program.read()
        sitting.turn()
    data, found = table.program.received, []
    while data:
        size = data.index(b"\0") + 1 if framing is Framing.NUL else len(b"%b:" % data.split(b":")[0]) + int(data.split(b":")[0]) + 1
        found.append(payload(framing, data[:size]))
        data = data[size:]
    assert sorted(found) == sorted(both[0] + both[1])
    assert [each for each in found if b"a" in each] == both[0]
    sitting.rest()


@pytest.mark.parametrize("framing", [Framing.NUL, Framing.NETSTRING])
def test_a_stream_worker_killed_before_any_call_is_followed_by_one_that_goes_on_exactly_there(lay: Lay, framing: Framing) -> None:
    payloads = [b"one\n", b"", b"s" * 9000, b"end"]
    for number in count():
        table = lay(Protocol.STREAM, framing=framing)
        writer = table.producer("p")
        writer.frame(framing)
        writer.append(framed(framing, payloads))
        sitting = Sitting(table, Machine(StopAt(number)))
        sitting.begin()
        sitting.turn(3)
        was_killed = sitting.spare()
        if was_killed:
            sitting = Sitting(table)
            if table.incarnation == 0:
                sitting.begin()
        assert table.program is not None
        for _ in range(5):
            table.program.read()
            sitting.turn()
        assert table.program.received == framed(framing, payloads), f"killed before call {number}"
        sitting.rest()
        table.close()
        if not was_killed:
            break
    assert number > 15


@pytest.mark.parametrize("start", list(Framing))
def test_members_of_a_group_take_framed_events_once_each_and_what_a_dead_one_had_is_given_again(lay: Lay, tmp_path: Path, start: Framing) -> None:
    table = lay(framing=Framing.NETSTRING, window=3)
    writer = table.producer("p", mode=Mode.SHARE)
    Claims.create(table.inputs[0].folder, system=REAL, start=0)
    writer.frame(start)
    writer.append(framed(start, PLAIN))
    sitting = Sitting(table)
    sitting.begin()
    assert table.program is not None
    table.program.read()
    table.program.say(b"\n")
    sitting.turn()
    table.program.die()
    sitting.end()
    sitting.begin()
    take_all(sitting)
    assert table.program.received == framed(Framing.NETSTRING, PLAIN[1:])
    sitting.rest()


# The own input queue -------------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("framing", [Framing.NUL, Framing.NETSTRING])
def test_a_put_is_framed_as_the_task_takes_it_and_a_retry_puts_once_even_after_a_change(tmp_path: Path, framing: Framing) -> None:
    paths = TaskPaths(str(tmp_path / "taskaaaa"))
    begin = put(paths, "1", b"two\nlines", REAL, framing)
    assert put(paths, "1", b"two\nlines", REAL, framing) == begin
    put(paths, "2", b"plain", REAL, Framing.LINES)
    assert put(paths, "1", b"two\nlines", REAL, Framing.NETSTRING) == begin
    put(paths, "3", b"x\ny", REAL, framing)
    reader = Reader(paths.input_journal, system=REAL)
    assert reader.read(0, 1000) == framed(framing, [b"two\nlines"]) + b"plain\n" + framed(framing, [b"x\ny"])
    reader.close()


@pytest.mark.parametrize(("framing", "data"), [(Framing.LINES, b"a\nb"), (Framing.NUL, b"a\0b")])
def test_a_put_that_the_framing_cannot_carry_is_refused(tmp_path: Path, framing: Framing, data: bytes) -> None:
    with pytest.raises(EfError, match="framing"):
        put(TaskPaths(str(tmp_path / "taskaaaa")), "1", data, REAL, framing)


def test_the_record_tells_a_successor_both_framings(lay: Lay) -> None:
    table = lay(framing=Framing.NUL, window=8)
    sitting = served(table, Framing.NETSTRING, PLAIN[:2])
    run = saved(table.paths.delivery, REAL).runs[0]
    assert run.framing == Framing.NETSTRING | Framing.NUL << 4
    sitting.rest()


def test_a_writer_goes_on_in_the_framing_of_the_one_before_it(tmp_path: Path) -> None:
    first = Writer(str(tmp_path / "j"), system=REAL, boot_id="b")
    first.frame(Framing.NUL)
    first.append(b"a\nb\0half")
    first.close()
    second = Writer(str(tmp_path / "j"), system=REAL, boot_id="b")
    assert (second.framing, second.last_record_end()) == (Framing.NUL, 4)
    second.close()
