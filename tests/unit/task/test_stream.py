"""StreamStdIn at the table: bytes as they are, the slots that are surely free, the start of the record after a death, the end of the input; and a
worker killed before every single call it makes."""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from efsupervisor.conf.schema import InputSpec
from efsupervisor.messages import Report
from efsupervisor.states import Goal, Kind, State
from efsupervisor.system import PIPE_BUF, REAL
from efsupervisor.task.paths import TaskPaths
from efsupervisor.task.record import write_state
from efsupervisor.task.stdin import hint_path, read_hint
from efsupervisor.task.stream import Slots, StreamStdIn
from tests.support.naive_register import NaiveRegister
from tests.unit.journal.fakes import Killed, Machine, StopAt
from tests.unit.task.table import Sitting, Table, holds, shut_disk

Lay = Callable[..., Table]
BLOB = b"".join(random.Random(3).randbytes(size).replace(b"\n", b".") + b"\n" for size in (10, 0, 5000, 70_000, 1, 100))


@pytest.fixture
def lay(tmp_path: Path) -> Iterator[Lay]:
    """Lays a table for a task with these keys."""
    tables: list[Table] = []

    def lay(spec: InputSpec | None = None, **more: Any) -> Table:
        folder = tmp_path / f"table{len(tables)}"
        folder.mkdir()
        tables.append(Table(folder, StreamStdIn, spec=spec, **more))
        return tables[-1]

    yield lay
    for table in tables:
        table.close()


def read_on(table: Table, sitting: Sitting, total: int, piece: int = 1 << 20) -> None:
    """Let the program read until it has `total` bytes, or the worker is dead."""
    for _ in range(2000):
        if sitting.killed:
            return
        if table.program is None:
            sitting.begin()
        else:
            table.program.read(piece)
            if len(table.program.received) >= total:
                return
        table.clock.now += 0.01
        sitting.turn()


# Slots ----------------------------------------------------------------------------------------------------------------------------------------------


class Kernel:
    """A pipe of `capacity` slots as Linux keeps it: one page a slot; a write fills the rest of the last slot only when it fits there wholly
    (pipe_write in fs/pipe.c merges its partial page first), and a slot is free when it is read to its end."""

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.slots: list[int] = []  # bytes left unread in each
        self.last_room = 0

    def write(self, size: int) -> bool:
        """Whether the write was possible at once, wholly."""
        merged = size % PIPE_BUF
        rest = size
        if self.slots and merged and merged <= self.last_room:
            rest -= merged
        if -(-rest // PIPE_BUF) > self.capacity - len(self.slots):
            return False
        if rest != size:
            self.slots[-1] += merged
            self.last_room -= merged
        while rest > 0:
            part = min(PIPE_BUF, rest)
            self.slots.append(part)
            self.last_room = PIPE_BUF - part
            rest -= part
        return True

    def read(self, size: int) -> int:
        """Bytes that were read."""
        done = 0
        while self.slots and done < size:
            part = min(self.slots[0], size - done)
            self.slots[0] -= part
            done += part
            if not self.slots[0]:
                self.slots.pop(0)
        return done


@given(st.integers(1, 16), st.lists(st.tuples(st.booleans(), st.integers(1, 70_000)), max_size=60))
def test_a_write_into_slots_that_are_said_to_be_free_always_goes_in_wholly(capacity: int, steps: list[tuple[bool, int]]) -> None:
    slots, kernel, put, read = Slots(capacity, 0, 0), Kernel(capacity), 0, 0
    for writes, size in steps:
        if writes:
            free = slots.free(read)
            assert free <= capacity
            size = min(size, free * PIPE_BUF)
            if free > 0 and size:
                assert kernel.write(size), f"{size} bytes do not fit although {free} slots were said to be free"
                slots.add(put, size)
                put += size
        else:
            read += kernel.read(size)
    if read == put:
        assert slots.free(read) == capacity, "an empty pipe is wholly free"


@given(st.integers(1, 16), st.integers(1, 60_000))
def test_a_pipe_that_was_taken_over_counts_as_full_until_it_was_read(capacity: int, unread: int) -> None:
    slots = Slots(capacity, 100_000, unread)
    assert slots.free(100_000 - 1) <= 0
    assert slots.free(100_000) == capacity


# Bytes ----------------------------------------------------------------------------------------------------------------------------------------------


def test_bytes_arrive_as_they_are_and_the_cursor_follows_what_was_read(lay: Lay) -> None:
    table = lay()
    table.producer("p").append(BLOB)
    sitting = Sitting(table)
    sitting.begin()
    read_on(table, sitting, len(BLOB), 777)
    assert table.program is not None
    assert table.program.received == BLOB
    sitting.watcher.pump()
    assert sitting.watcher.figures().lag_bytes == 0
    assert read_hint(hint_path(table.inputs[0], table.paths.id)) == len(BLOB)
    sitting.rest()


def test_a_line_that_is_not_finished_is_not_delivered_yet(lay: Lay) -> None:
    table = lay()
    writer = table.producer("p")
    writer.append(b"one\ntw")
    sitting = Sitting(table)
    sitting.begin()
    assert table.program is not None
    assert table.program.read() == b"one\n"
    writer.append(b"o\n")
    sitting.watcher.pump()
    assert table.program.read() == b"two\n"
    sitting.rest()


def test_a_fragment_of_a_killed_producer_is_passed_over_and_one_of_a_producer_that_ended_well_is_a_line(lay: Lay) -> None:
    table = lay()
    for name, deliver in (("killed", False), ("ended", True)):
        writer = table.producer(name)
        writer.append(b"whole\nfrag")
        writer.mark_fragment(6, 10, deliver=deliver)
        writer.append(b"next\n")
    sitting = Sitting(table)
    sitting.begin()
    read_on(table, sitting, 2 * len(b"whole\nnext\n") + 5)
    assert table.program is not None
    assert sorted(table.program.received.splitlines()) == [b"frag", b"next", b"next", b"whole", b"whole"]
    sitting.rest()


def test_two_producers_never_mix_inside_a_line(lay: Lay) -> None:
    table = lay()
    lines = {name: [name.encode() * size for size in (5, 70_000, 3, 40_000)] for name in ("a", "b")}
    for name, parts in lines.items():
        table.producer(name).append(b"\n".join([*parts, b""]))
    sitting = Sitting(table)
    sitting.begin()
    read_on(table, sitting, sum(len(part) + 1 for parts in lines.values() for part in parts), 9999)
    assert table.program is not None
    received = table.program.received.splitlines()
    for name, parts in lines.items():
        assert [line for line in received if line[:1] == name.encode()] == parts
    sitting.rest()


# Deaths of the program ------------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("read", [0, 1, 10, 11, 12, 13, 5000, 5013, 5014, 40_000, len(BLOB)])
def test_the_next_life_begins_at_the_start_of_the_line_that_holds_the_first_unread_byte(lay: Lay, read: int) -> None:
    table = lay()
    table.producer("p").append(BLOB)
    sitting = Sitting(table)
    sitting.begin()
    first = table.program
    assert first is not None
    while len(first.received) < read:
        first.read(min(1000, read - len(first.received)))
        sitting.turn()
    first.die()
    sitting.end()
    start = BLOB.rfind(b"\n", 0, read) + 1
    assert table.cursor() == start
    sitting.begin()
    read_on(table, sitting, len(BLOB) - start)
    assert table.program is not None
    assert table.program.received == BLOB[start:]
    sitting.rest()


def test_a_program_that_died_while_no_process_of_ours_lived_is_given_again_what_the_pipe_may_have_held(lay: Lay) -> None:
    table = lay()
    table.producer("p").append(BLOB)
    sitting = Sitting(table)
    sitting.begin()
    program = table.program
    assert program is not None
    program.read(100)
    sitting.leave()  # killed, and nobody else held the pipe: what was in it is gone
    program.die()
    sitting = Sitting(table)
    sitting.end()
    assert table.cursor() <= BLOB.rfind(b"\n", 0, 100) + 1
    sitting.begin()
    start = table.cursor()
    read_on(table, sitting, len(BLOB) - start)
    assert table.program is not None
    assert table.program.received == BLOB[start:]
    sitting.rest()


# The end of the input -------------------------------------------------------------------------------------------------------------------------------


def finished(table: Table, name: str, yes: bool = True) -> None:
    """What the producer's own worker would have written."""
    folder = str(table.folder / name)
    write_state(REAL, TaskPaths(folder), Report(state=State.EXITED if yes else State.RUNNING, goal=Goal.ACT, finished=yes))


def job(lay: Lay, name: str = "p") -> Table:
    table = lay(kind=Kind.JOB)
    table.producer(name).append(b"one\ntwo\n")
    table.inputs = [msgspec.structs.replace(edge, producer_dir=str(table.folder / edge.producer), job=True) for edge in table.inputs]
    return table


def test_a_job_gets_its_end_of_file_when_every_producer_has_finished_and_everything_was_put(lay: Lay) -> None:
    table = job(lay)
    finished(table, "p", False)
    sitting = Sitting(table)
    sitting.begin()
    program = table.program
    assert program is not None
    assert program.read() == b"one\ntwo\n"
    assert program.read() == b"" and not program.saw_end
    table.producers["p"].append(b"three\n")
    finished(table, "p")
    sitting.watcher.neighbours_changed()
    sitting.watcher.pump()
    assert program.read() == b"three\n"
    sitting.watcher.neighbours_changed()
    program.read()
    assert program.saw_end
    assert holds(table.told) == ["HoldInput", "ReleaseInput"]
    assert not sitting.watcher.false_end
    sitting.rest()


def test_a_service_never_gets_an_end_of_file(lay: Lay) -> None:
    table = lay()
    table.producer("p").append(b"one\n")
    table.inputs = [msgspec.structs.replace(edge, producer_dir=str(table.folder / edge.producer), job=True) for edge in table.inputs]
    finished(table, "p")
    sitting = Sitting(table)
    sitting.begin()
    sitting.watcher.neighbours_changed()
    program = table.program
    assert program is not None
    assert program.read() == b"one\n"
    program.read()
    assert not program.saw_end
    assert holds(table.told) == []
    sitting.rest()


def test_a_moment_in_which_nobody_held_the_write_end_is_a_false_end_and_is_remembered(lay: Lay) -> None:
    table = job(lay)
    finished(table, "p", False)
    sitting = Sitting(table)
    sitting.begin()
    sitting.leave()
    sitting = Sitting(table)
    assert holds(table.told)[-1] == "HoldInput"
    sitting.watcher.input_held(table.incarnation, True, False)  # the Core held nothing before it was asked
    assert sitting.watcher.false_end
    sitting.leave()
    sitting = Sitting(table)
    assert sitting.watcher.false_end
    sitting.rest()


def test_an_end_that_was_recorded_is_given_by_the_successor_too(lay: Lay) -> None:
    table = job(lay)
    finished(table, "p", False)
    sitting = Sitting(table)
    sitting.begin()
    program = table.program
    assert program is not None
    program.read()
    finished(table, "p")

    def script(name: str) -> None:
        if name == "fault:end:recorded":
            raise Killed

    sitting.machine.script = script
    sitting.do(sitting.watcher.neighbours_changed)
    assert sitting.killed
    sitting = Sitting(table)
    program.read()
    assert program.saw_end
    assert not sitting.watcher.false_end
    sitting.rest()


# A full disk ----------------------------------------------------------------------------------------------------------------------------------------


def test_a_full_disk_makes_the_input_wait_and_loses_nothing(lay: Lay) -> None:
    table = lay()
    writer = table.producer("p")
    sitting = Sitting(table)
    sitting.begin()
    sitting.machine.script = shut_disk()
    writer.append(BLOB)
    sitting.watcher.pump()
    program = table.program
    assert program is not None
    assert program.read() == b""
    assert any("cannot be written" in sentence for sentence in table.said)
    sitting.machine.script = lambda name: None
    table.clock.now += 1.1
    sitting.turn()
    read_on(table, sitting, len(BLOB))
    assert program.received == BLOB
    sitting.rest()


# A worker killed before each of its calls -----------------------------------------------------------------------------------------------------------


def wrong_after_a_kill(lay: Lay, piece: int) -> list[str]:
    """Kill a worker before its first call, its second, ... until it is through; what came out wrong."""
    wrong = []
    for number in count():
        table = lay()
        table.producer("p").append(BLOB)
        sitting = Sitting(table, Machine(StopAt(number)))
        sitting.begin()
        read_on(table, sitting, len(BLOB), piece)
        was_killed = sitting.spare()
        if was_killed:
            sitting = Sitting(table)
            read_on(table, sitting, len(BLOB), piece)
        if [program.received for program in table.programs] != [BLOB]:
            wrong.append(f"call {number}")
        sitting.rest()
        table.close()
        if not was_killed:
            assert number > 50
            return wrong
    raise AssertionError


@pytest.mark.parametrize("piece", [30_000, 1 << 20])
def test_a_worker_killed_before_any_call_is_followed_by_one_that_goes_on_at_that_byte(lay: Lay, piece: int) -> None:
    assert wrong_after_a_kill(lay, piece) == []


def test_a_register_that_is_written_after_the_write_is_found_out(lay: Lay, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(StreamStdIn, "register_class", NaiveRegister)
    assert wrong_after_a_kill(lay, 1 << 20) != []


def test_a_worker_killed_before_any_call_of_closing_a_life_sets_the_same_cursor(lay: Lay) -> None:
    for number in count():
        table = lay()
        table.producer("p").append(BLOB)
        sitting = Sitting(table)
        sitting.begin()
        program = table.program
        assert program is not None
        program.read(3000)
        held = os.open(TaskPaths(table.dir).fifo(f"in.{table.incarnation}"), os.O_RDWR | os.O_NONBLOCK)  # the Core's, so the pipe stays
        program.die()
        sitting.machine.script = StopAt(number)
        sitting.end()
        was_killed = sitting.spare()
        if was_killed:
            sitting = Sitting(table)
            sitting.end()
        os.close(held)
        assert table.cursor() <= 12, f"killed before call {number}"
        start = table.cursor()
        sitting.begin()
        read_on(table, sitting, len(BLOB) - start)
        assert table.program is not None
        assert table.program.received == BLOB[start:], f"killed before call {number}"
        sitting.rest()
        table.close()
        if not was_killed:
            assert start == 12
            break
    assert number > 5


def test_drop_oldest_never_tears_the_record_that_the_program_has_begun_to_read(lay: Lay) -> None:
    table = lay()
    producer = table.producer("p", overflow="drop-oldest", max_lag=100_000)
    sitting = Sitting(table)
    producer.append(b"a" * 300_000 + b"\n")
    sitting.begin()
    assert table.program is not None
    table.program.read(1 << 16)
    for letter in b"bcdefgh":
        producer.append(bytes([letter]) * 50_000 + b"\n")
    for _ in range(200):
        sitting.do(sitting.watcher.pump)
        sitting.turn()
        table.program.read(1 << 14)
    while table.program.read():
        sitting.turn(4)
    got = table.program.received.split(b"\n")
    assert {(chr(line[0]), len(line)) for line in got[:-1]} <= {("a", 300_000), *((letter, 50_000) for letter in "bcdefgh")}, "whole records only"
    assert got[0][:1] == b"a" and got[-2][:1] == b"h"
    assert len(got) - 1 < 8, "some were dropped"
