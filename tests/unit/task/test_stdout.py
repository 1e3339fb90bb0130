"""StdOut at the table: from the program's FIFO into the journal, on a full disk too, and what a life leaves without a newline."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from efsupervisor.conf.schema import OutputSpec, TaskSpec
from efsupervisor.journal import Reader
from efsupervisor.messages import Alert, Wiring
from efsupervisor.reactor import Reactor
from efsupervisor.system import REAL
from efsupervisor.task.default import DefaultTaskDelHelper, DefaultTaskHelper
from efsupervisor.task.paths import TaskPaths
from efsupervisor.task.seat import Seat
from efsupervisor.task.stdout import StdOut
from tests.unit.journal.fakes import Killed, Machine, Refuse, StopAt
from tests.unit.task.table import BOOT, Clock, shut_disk


class Stage:
    """A task's folder, and the program's end of its stdout."""

    def __init__(self, folder: Path, **output: Any) -> None:
        spec = TaskSpec(name="t", command=["x"], output=OutputSpec(**output))
        self.wiring = Wiring(spec=spec, task_dir=str(folder), namespace="n")
        DefaultTaskHelper(REAL).prepare(self.wiring)
        self.paths = TaskPaths(str(folder))
        self.clock = Clock()
        self.held = os.open(self.paths.fifo("out"), os.O_RDONLY | os.O_NONBLOCK)  # as the Core does
        self.program = os.open(self.paths.fifo("out"), os.O_WRONLY)
        self.told: list[object] = []
        self.moved = 0
        self.dirty = 0

    def sit(self, machine: Machine | None = None) -> tuple[StdOut, Machine, Reactor]:
        """A worker's capture of stdout."""
        machine, reactor = machine or Machine(), Reactor(self.clock)
        seat = Seat(
            self.wiring, machine, reactor, boot=BOOT, say=lambda level, text: None, tell=self.told.append,  # type: ignore[arg-type]
            dirty=lambda: None, core_connected=lambda: False,
        )  # fmt: skip
        out = StdOut(seat, "out", self.paths.out_journal, 0, self._moved)
        out.watch()
        return out, machine, reactor

    def _moved(self) -> None:
        self.moved += 1

    def kept(self) -> bytes:
        """What the journal holds."""
        reader = Reader(self.paths.out_journal, system=REAL)
        try:
            found = b""
            while data := reader.read(len(found), 1 << 20):
                found += data
            return found
        finally:
            reader.close()

    def fragments(self) -> list[tuple[int, int, bool]]:
        """Marks of what was left without a newline."""
        reader = Reader(self.paths.out_journal, system=REAL)
        try:
            return [(one.start, one.end, bool(one.deliver)) for one in reader.fragments(0)]
        finally:
            reader.close()

    def die(self) -> None:
        """The program's end is closed."""
        if self.program >= 0:
            os.close(self.program)
            self.program = -1

    def close(self) -> None:
        self.die()
        os.close(self.held)
        DefaultTaskDelHelper(REAL).remove(self.paths.folder)


@pytest.fixture
def stages(tmp_path: Path) -> Iterator[list[Stage]]:
    """Stages that are closed at the end."""
    made: list[Stage] = []
    yield made
    for stage in made:
        stage.close()


def make(stages: list[Stage], tmp_path: Path, **output: Any) -> Stage:
    stages.append(Stage(tmp_path / f"task{len(stages):08}", **output))
    return stages[-1]


def end(out: StdOut, reactor: Reactor) -> None:
    """An orderly end of the worker."""
    out.rest()
    reactor.close()


def test_bytes_go_into_the_journal_as_they_come_and_the_outlets_hear_of_it(stages: list[Stage], tmp_path: Path) -> None:
    stage = make(stages, tmp_path)
    out, _, reactor = stage.sit()
    for piece in (b"one\n", b"tw", b"o\xff\x00\n"):
        os.write(stage.program, piece)
        reactor.turn(0.0)
    assert stage.kept() == b"one\ntwo\xff\x00\n"
    assert (out.end, stage.moved) == (10, 3)
    end(out, reactor)


def test_what_is_held_back_stays_in_the_pipe_until_every_reason_is_gone(stages: list[Stage], tmp_path: Path) -> None:
    stage = make(stages, tmp_path)
    out, _, reactor = stage.sit()
    out.pause("lag")
    out.pause("disk")
    os.write(stage.program, b"one\n")
    for reason in ("disk", "another"):
        out.resume(reason)
        reactor.turn(0.0)
        assert stage.kept() == b""
    out.resume("lag")
    reactor.turn(0.0)
    assert stage.kept() == b"one\n"
    end(out, reactor)


def test_on_a_full_disk_bytes_wait_in_the_pipe_it_is_said_once_and_goes_on_when_there_is_room(stages: list[Stage], tmp_path: Path) -> None:
    stage = make(stages, tmp_path)
    out, machine, reactor = stage.sit()
    machine.script = shut_disk("splice")
    os.write(stage.program, b"one\n")
    for _ in range(4):
        reactor.turn(0.0)
        stage.clock.now += 0.6
    assert stage.kept() == b""
    assert [told.what for told in stage.told if isinstance(told, Alert)] == ["health"]
    machine.script = lambda name: None
    stage.clock.now += 0.6
    for _ in range(3):
        reactor.turn(0.0)
    assert stage.kept() == b"one\n"
    end(out, reactor)


def test_the_end_of_the_program_is_seen_when_the_last_holder_of_the_pipe_is_gone(stages: list[Stage], tmp_path: Path) -> None:
    stage = make(stages, tmp_path)
    out, _, reactor = stage.sit()
    grandchild = os.dup(stage.program)
    os.write(stage.program, b"one\n")
    stage.die()
    assert not out.drain()
    assert stage.kept() == b"one\n"
    os.write(grandchild, b"two\n")
    os.close(grandchild)
    assert out.drain()
    assert stage.kept() == b"one\ntwo\n"
    end(out, reactor)


@pytest.mark.parametrize("deliver", [True, False])
def test_what_a_life_left_without_a_newline_is_marked_and_no_more_than_that(stages: list[Stage], tmp_path: Path, deliver: bool) -> None:
    stage = make(stages, tmp_path)
    out, _, reactor = stage.sit()
    os.write(stage.program, b"one\nfrag")
    stage.die()
    assert out.drain()
    out.end_life(0, deliver=deliver)
    out.end_life(0, deliver=deliver)
    assert stage.fragments()[0] == (4, 8, deliver)
    assert set(stage.fragments()) == {(4, 8, deliver)}
    end(out, reactor)


def test_a_life_that_wrote_nothing_is_not_blamed_for_what_the_one_before_it_left(stages: list[Stage], tmp_path: Path) -> None:
    stage = make(stages, tmp_path)
    out, _, reactor = stage.sit()
    os.write(stage.program, b"frag")
    stage.die()
    assert out.drain()
    out.end_life(0, deliver=False)
    out.end_life(out.end, deliver=True)
    assert stage.fragments() == [(0, 4, False)]
    end(out, reactor)


def test_old_segments_go_when_they_are_over_the_limit_and_no_cursor_needs_them(stages: list[Stage], tmp_path: Path) -> None:
    stage = make(stages, tmp_path, segment_bytes=100, keep_bytes=250)
    out, _, reactor = stage.sit()
    needed = [0]
    out.needed = lambda: needed[0]
    for number in range(60):
        os.write(stage.program, b"line %04d\n" % number)
        reactor.turn(0.0)
    out.keep(REAL.wall_ns())
    assert out.journal.first == 0
    needed[0] = 400
    out._kept = -1
    out.keep(REAL.wall_ns())
    assert 300 <= out.journal.first <= 400
    end(out, reactor)


@pytest.mark.parametrize("segment_bytes", [1 << 20, 64])
def test_a_capture_killed_before_any_call_loses_and_doubles_nothing(stages: list[Stage], tmp_path: Path, segment_bytes: int) -> None:
    lines = [b"line %04d\n" % number for number in range(20)]
    for number in count():
        stage = make(stages, tmp_path, segment_bytes=segment_bytes)
        machine, killed = Machine(StopAt(number)), False
        reactor = None
        try:
            out, _, reactor = stage.sit(machine)
            for line in lines[:10]:
                os.write(stage.program, line)
                reactor.turn(0.0)
        except Killed:
            killed = True
        machine.script = lambda name: None
        if killed:
            machine.bury()
            if reactor is not None:
                reactor.close()
            written = len(stage.kept()) // 10  # what the dead worker took; the rest is in the pipe, or not written yet
            assert stage.kept() == b"".join(lines[:written])
            out, machine, reactor = stage.sit()
            reactor.turn(0.0)
            written = len(stage.kept()) // 10
        else:
            written = 10
        assert reactor is not None
        for line in lines[written:]:
            os.write(stage.program, line)
        reactor.turn(0.0)
        assert stage.kept() == b"".join(lines), f"killed before call {number}"
        end(out, reactor)
        if not killed:
            break
    assert number > 10


@pytest.mark.parametrize(("sync", "at_once", "in_all"), [("never", 0, 0), ("interval", 0, 2), ("always", 3, 4)])
def test_each_sync_policy_tells_the_disk_when_it_says_so_and_before_consumers_are_told(
    tmp_path: Path, stages: list[Stage], sync: str, at_once: int, in_all: int
) -> None:
    stage = make(stages, tmp_path, sync=sync)
    out, machine, reactor = stage.sit()
    synced: list[int] = []
    machine.script = lambda name: synced.append(stage.moved) if name == "fsync" else None
    for number in range(2):
        os.write(stage.program, b"line %d\n" % number)
        reactor.turn(0.0)
    assert (stage.moved, len(synced)) == (2, at_once), "the folder once, then the file each time"
    assert not at_once or synced == [0, 0, 1]
    stage.clock.now += 1.1
    reactor.turn(0.0)
    assert len(synced) == in_all
    out.shut()
    reactor.close()


@pytest.mark.parametrize("sync", ["interval", "always"])
def test_a_disk_that_cannot_sync_is_said_and_holds_up_nothing(tmp_path: Path, stages: list[Stage], sync: str) -> None:
    stage = make(stages, tmp_path, sync=sync)
    out, machine, reactor = stage.sit()
    machine.script = Refuse("fsync", errno.EIO)
    for _ in range(2):
        os.write(stage.program, b"line\n")
        reactor.turn(0.0)
        stage.clock.now += 1.1
        reactor.turn(0.0)
    assert stage.kept() == b"line\nline\n"
    assert [told.sentence for told in stage.told if isinstance(told, Alert)] == [
        "stdout is kept, but a power loss may take its end: Input/output error"
    ]
    machine.script = lambda name: None
    os.write(stage.program, b"line\n")
    reactor.turn(0.0)
    stage.clock.now += 1.1
    reactor.turn(0.0)
    assert not out._seat.health
    out.shut()
    reactor.close()
