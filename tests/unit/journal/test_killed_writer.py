"""A writer that is killed before any of its calls, or in the middle of a write, and a successor that is killed as well."""

from __future__ import annotations

import contextlib
import itertools
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from efsupervisor.journal import Writer
from efsupervisor.system import REAL
from tests.unit.journal.fakes import Killed, Machine, StopAt, pipe
from tests.unit.journal.looks import content, drained, fresh, segments

DATA = b"".join(b"%d %s\n" % (number, b"y" * (number % 5 * 9)) for number in range(24))


def lived(machine: Machine, folder: str, source: int, sink: int) -> bool:
    """One life of a writer: it moves what is in the pipe and rotates and keeps its index.  False when it was killed."""
    try:
        writer = Writer(folder, system=machine, segment_bytes=64, max_event=200, boot_id="boot")
        while True:
            try:
                writer.splice_from(source, 37)
            except BlockingIOError:
                break
            writer.index(writer.end)
        writer.sync()
        writer.close(clean=True)
    except Killed:
        machine.bury()
        return False
    return True


def kills(torn: int) -> Iterator[int]:
    return itertools.count(0, 1 if not torn else 2)


@pytest.mark.parametrize("torn", [0, 5])
def test_a_kill_before_or_in_any_call_loses_tears_and_doubles_nothing(tmp_path: Path, torn: int) -> None:
    for number in kills(torn):
        folder = str(tmp_path / str(number))
        with pipe() as (source, sink):
            os.write(sink, DATA)
            whole = lived(Machine(StopAt(number, torn)), folder, source, sink)
            follower = fresh(folder)
            seen = drained(follower)
            assert DATA.startswith(seen)
            successor = Writer(folder, system=REAL, segment_bytes=64, max_event=200, boot_id="boot")
            assert successor.damage == ""
            assert DATA.startswith(content(folder))
            assert len(content(folder)) == successor.end >= len(seen)
            with contextlib.suppress(BlockingIOError):
                while successor.splice_from(source):
                    pass
            successor.close()
            seen += drained(follower, len(seen))
            follower.close()
        assert seen == content(folder) == DATA
        assert all(data.endswith(b"\n") for data in list(segments(folder).values())[:-1])
        assert not [name for name in os.listdir(folder) if name.endswith(".tmp")]
        if whole:
            assert number > 100
            return


def test_a_successor_may_be_killed_anywhere_as_well(tmp_path: Path) -> None:
    """Kill at each step of one rotation, then at each call of the recovery; the third writer finds everything."""
    instants = 0
    for step in ("rotate:copied", "rotate:renamed", "rotate:sealed", "rotate:truncated"):
        for number in itertools.count():
            folder = str(tmp_path / f"{step}-{number}")

            def at_step(name: str, step: str = step) -> int | None:
                if name == f"fault:{step}":
                    raise Killed
                return None

            first = Machine(at_step)
            writer = Writer(folder, system=first, segment_bytes=30)
            writer.append(b"one\n")
            writer.append(b"two\n")
            with pytest.raises(Killed):
                writer.append(b"three\nfour five six seven eight")
            first.bury()
            second = Machine(StopAt(number))
            done = False
            with contextlib.suppress(Killed):
                Writer(folder, system=second, segment_bytes=30).close()
                done = True
            second.bury()
            third = Writer(folder, system=REAL, segment_bytes=30)
            assert content(folder) == b"one\ntwo\nthree\nfour five six seven eight"
            assert third.end == 39
            third.close()
            instants += 1
            if done:
                break
    assert instants > 40


def test_a_position_needs_no_other_state_than_the_segments(tmp_path: Path) -> None:
    writer = Writer(str(tmp_path / "j"), system=REAL, segment_bytes=30)
    for _ in range(9):
        writer.append(b"ten bytes\n")
    writer.close()
    for extra in ("journal.json", "00000000000000000030.idx"):
        (tmp_path / "j" / extra).unlink(missing_ok=True)
    (tmp_path / "j" / "00000000000000000090.log.tmp").write_bytes(b"half a copy")
    again = Writer(str(tmp_path / "j"), system=REAL)
    assert (again.first, again.end) == (0, 90)
    again.close()
    assert content(tmp_path / "j") == b"ten bytes\n" * 9


def test_a_journal_whose_segments_vanished_goes_on_at_the_floor(tmp_path: Path) -> None:
    writer = Writer(str(tmp_path / "j"), system=REAL, boot_id="a")
    writer.append(b"gone\n")
    writer.close()
    (tmp_path / "j" / f"{0:020d}.log").unlink()
    again = Writer(str(tmp_path / "j"), system=REAL, boot_id="a", floor=5)
    assert (again.first, again.end, again.append(b"on\n")) == (5, 5, 5)
    again.close()
    assert drained(fresh(tmp_path / "j")) == b"on\n"
