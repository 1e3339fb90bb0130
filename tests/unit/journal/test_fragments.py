"""Fragments: marks survive a kill, are made once, and are found in order."""

from __future__ import annotations

import itertools
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from efsupervisor.errors import JournalError
from efsupervisor.journal import Fragment, Reader, Writer
from efsupervisor.journal import fragments as room
from efsupervisor.system import REAL
from tests.unit.journal.fakes import Killed, Machine, Refuse, StopAt
from tests.unit.journal.looks import fresh

ONE, TWO, THREE = Fragment(3, 7, True), Fragment(9, 20, False), Fragment(20, 21, False)


def marked(writer: Writer, *marks: Fragment) -> None:
    for mark in marks:
        writer.mark_fragment(mark.start, mark.end, deliver=mark.deliver)


def test_marks_are_found_by_what_lies_behind_them(tmp_path: Path) -> None:
    writer = Writer(str(tmp_path / "j"), system=REAL)
    reader = fresh(tmp_path / "j")
    assert list(reader.fragments(0)) == []
    marked(writer, ONE, TWO)
    assert list(reader.fragments(0)) == list(reader.fragments(6)) == [ONE, TWO]
    assert list(reader.fragments(7)) == list(reader.fragments(19)) == [TWO]
    assert list(reader.fragments(20)) == []
    marked(writer, THREE, ONE, TWO, THREE, Fragment(5, 5, True))
    assert list(reader.fragments(0)) == [ONE, TWO, THREE]
    assert (tmp_path / "j" / "fragments").stat().st_size == 16 + 3 * 24
    writer.close()


def test_asking_again_is_one_call_while_nothing_changed(tmp_path: Path) -> None:
    writer = Writer(str(tmp_path / "j"), system=REAL)
    marked(writer, ONE)
    machine = Machine()
    reader = Reader(str(tmp_path / "j"), system=machine)
    assert list(reader.fragments(0)) == [ONE]
    machine.calls.clear()
    assert list(reader.fragments(0)) == [ONE]
    assert machine.calls == ["stat"]
    assert machine.descriptors() == 0
    writer.close()


def test_a_record_begins_behind_a_fragment(tmp_path: Path) -> None:
    writer = Writer(str(tmp_path / "j"), system=REAL)
    writer.append(b"abc\ndefGHI")
    writer.mark_fragment(4, 7, deliver=False)
    reader = fresh(tmp_path / "j")
    assert [reader.record_start(offset) for offset in range(11)] == [0, 0, 0, 0, 4, 4, 4, 7, 7, 7, 7]
    assert writer.last_record_end() == 7
    writer.mark_fragment(7, 10, deliver=True)
    assert writer.last_record_end() == writer.end
    writer.close()


@given(
    marks=st.lists(st.tuples(st.integers(0, 9), st.integers(1, 9), st.booleans()), max_size=6),
    cut=st.integers(0, 200),
    junk=st.binary(max_size=30),
)
def test_a_torn_end_is_as_if_never_written(marks: list[tuple[int, int, bool]], cut: int, junk: bytes) -> None:
    at, whole = 0, []
    for gap, length, deliver in marks:
        whole.append(Fragment(at + gap, at + gap + length, deliver))
        at += gap + length
    with tempfile.TemporaryDirectory() as folder:
        writer = Writer(folder + "/j", system=REAL)
        marked(writer, *whole)
        path = Path(folder, "j", "fragments")
        data = path.read_bytes() if whole else b""
        kept = whole[: max(0, min(cut, len(data)) - 16) // 24]
        # A torn write leaves the beginning of what was to be written, and zeros or old bytes behind it at most.
        path.write_bytes(data[:cut] + (bytes(len(junk)) if room._HEADER.size <= cut < len(data) else b""))
        assert list(Reader(folder + "/j", system=REAL).fragments(0)) == kept
        new = Fragment(at + 1000, at + 1001, True)
        marked(writer, new)
        assert list(Reader(folder + "/j", system=REAL).fragments(0)) == [*kept, new]
        writer.close()


@pytest.mark.parametrize("torn", [0, 1, 16, 20, 39])
def test_a_kill_in_the_middle_of_a_mark_leaves_it_made_or_not_made(tmp_path: Path, torn: int) -> None:
    for number in itertools.count():
        folder = str(tmp_path / str(number))
        machine = Machine()
        writer = Writer(folder, system=machine)
        done = True
        machine.script = StopAt(number, torn)
        try:
            marked(writer, ONE, TWO)
        except Killed:
            done = False
        machine.bury()
        found = list(fresh(folder).fragments(0))
        assert found == [ONE, TWO][: len(found)]
        again = Writer(folder, system=REAL)
        marked(again, ONE, TWO, THREE)
        again.close()
        assert list(fresh(folder).fragments(0)) == [ONE, TWO, THREE]
        if done:
            assert number >= 8
            return


def test_a_mark_that_finds_the_disk_full_says_so_and_can_be_made_later(tmp_path: Path) -> None:
    refuse = Refuse("pwrite")
    machine = Machine(refuse)
    writer = Writer(str(tmp_path / "j"), system=machine)
    with pytest.raises(OSError, match="No space"):
        marked(writer, ONE)
    refuse.armed = False
    machine.script = lambda name: 20 if name == "pwrite" else None
    with pytest.raises(OSError, match="No space"):
        marked(writer, ONE)
    machine.script = refuse
    assert list(fresh(tmp_path / "j").fragments(0)) == []
    marked(writer, ONE)
    assert list(fresh(tmp_path / "j").fragments(0)) == [ONE]
    writer.close()


def test_a_file_of_another_format_is_refused(tmp_path: Path) -> None:
    writer = Writer(str(tmp_path / "j"), system=REAL)
    (tmp_path / "j" / "fragments").write_bytes(b"something else entirely")
    with pytest.raises(JournalError, match="format"):
        fresh(tmp_path / "j").fragments(0)
    writer.close()


def test_marks_of_removed_bytes_are_forgotten_in_one_step(tmp_path: Path) -> None:
    writer = Writer(str(tmp_path / "j"), system=REAL, segment_bytes=1000)
    for _ in range(30):
        writer.append(b"x" * 99 + b"\n")
    every = [Fragment(at, at + 1, False) for at in range(2800)]
    path = tmp_path / "j" / room.FILE
    path.write_bytes(room._header() + b"".join(map(room._packed, every)))
    reader = fresh(tmp_path / "j")
    assert len(reader.fragments(0)) == 2800
    assert writer.retain(keep_bytes=2000, keep_age_s=0, needed=3000, wall_ns=0, hard_bytes=0) == []
    assert writer.first == 1000
    assert list(reader.fragments(0)) == every[1000:]
    marked(writer, THREE._replace(start=2900, end=2901))
    assert len(reader.fragments(0)) == 1801
    writer.close()
