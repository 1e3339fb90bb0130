"""Where records and lines begin, what was when, and a folder that is not there yet."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from efsupervisor.journal import Reader, Writer
from efsupervisor.system import REAL
from tests.unit.journal.fakes import Machine
from tests.unit.journal.looks import drained, fresh, segments

TEXT = st.lists(st.text("ab\n", max_size=30).map(str.encode), min_size=1, max_size=20)


@given(parts=TEXT, segment_bytes=st.integers(1, 60), floor=st.integers(0, 100))
def test_record_starts_and_tails_agree_with_the_plain_text(parts: list[bytes], segment_bytes: int, floor: int) -> None:
    data = b"".join(parts)
    with tempfile.TemporaryDirectory() as folder:
        writer = Writer(folder + "/j", system=REAL, segment_bytes=segment_bytes, max_event=25)
        for part in parts:
            writer.append(part)
        reader = Reader(folder + "/j", system=REAL)
        assert drained(reader, limit=7) == data
        for offset in range(len(data) + 1):
            assert reader.record_start(offset) == data.rfind(b"\n", 0, offset) + 1
            assert reader.record_start(offset, min(floor, offset)) == max(data.rfind(b"\n", 0, offset) + 1, min(floor, offset))
            assert reader.read(offset, 5) == b"" or data[offset : offset + 5].startswith(reader.read(offset, 5))
        assert writer.last_record_end() == data.rfind(b"\n") + 1
        lines = data.splitlines(keepends=True)
        for count in range(len(lines) + 2):
            assert reader.tail_offset(count) == len(data) - len(b"".join(lines[len(lines) - count :] if count <= len(lines) else lines))
        assert (reader.first(), reader.end()) == (0, len(data))
        reader.close()
        writer.close()


def test_long_records_are_found_across_pieces_and_segments(tmp_path: Path) -> None:
    writer = Writer(str(tmp_path / "j"), system=REAL, segment_bytes=1 << 16, max_event=1 << 16)
    writer.append(b"short\n")
    for _ in range(5):
        writer.append(b"x" * 60_000)
    assert len(segments(tmp_path / "j")) > 2
    assert writer.last_record_end() == fresh(tmp_path / "j").record_start(300_000) == fresh(tmp_path / "j").tail_offset(1) == 6
    assert writer.last_record_end(100_000) == 100_000
    writer.append(b"\n")
    assert writer.last_record_end() == writer.end == 300_007
    writer.close()


def test_a_reader_waits_for_a_journal_that_is_not_there_yet(tmp_path: Path) -> None:
    machine = Machine()
    reader = Reader(str(tmp_path / "j"), system=machine)

    def nothing() -> None:
        assert (reader.end(), reader.first(), reader.read(0, 9), reader.skip(0), reader.skip(7)) == (0, 0, b"", 0, 7)
        assert (list(reader.fragments(0)), reader.at_time(1), reader.tail_offset(3), reader.record_start(0)) == ([], 0, 0, 0)

    nothing()
    (tmp_path / "j").mkdir(mode=0o700)
    nothing()
    writer = Writer(str(tmp_path / "j"), system=REAL)
    nothing()
    writer.append(b"now\n")
    assert (reader.read(0, 9), reader.end()) == (b"now\n", 4)
    writer.close()
    reader.close()
    assert reader.read(0, 9) == b"now\n"
    reader.close()
    assert machine.descriptors() == 0


def test_a_reader_notices_that_a_journal_was_removed_and_begun_again(tmp_path: Path) -> None:
    for text in (b"first life\n", b"second\n"):
        writer = Writer(str(tmp_path / "j"), system=REAL)
        writer.append(text)
        if text.startswith(b"f"):
            reader = fresh(tmp_path / "j")
            assert drained(reader) == text
            assert reader.end() == len(text)
        writer.close()
        if text.startswith(b"f"):
            shutil.rmtree(tmp_path / "j")
            assert reader.read(len(text), 9) == b""
            assert reader.end() == 0
    assert reader.end() == 7
    assert reader.read(20, 99) == b""
    assert reader.read(0, 99) == b"second\n"
    reader.close()


def test_beyond_the_end_there_is_nothing(tmp_path: Path) -> None:
    writer = Writer(str(tmp_path / "j"), system=REAL, segment_bytes=4)
    writer.append(b"one\n")
    writer.append(b"two\n")
    reader = fresh(tmp_path / "j")
    assert (reader.read(100, 9), reader.skip(100), reader.end()) == (b"", 100, 8)
    reader.close()
    writer.close()


def test_a_time_leads_to_an_offset_behind_which_everything_later_follows(tmp_path: Path) -> None:
    writer = Writer(str(tmp_path / "j"), system=REAL, segment_bytes=40)
    ends = {}
    for second in range(1, 30):
        writer.append(b"second %02d\n" % second)
        writer.index(second * 10)
        writer.index(second * 10 + 5)
        ends[second] = writer.end
    assert len(segments(tmp_path / "j")) > 5
    reader = fresh(tmp_path / "j")
    for second, end in ends.items():
        assert reader.at_time(second * 10) == reader.at_time(second * 10 + 9) == end
    assert reader.at_time(9) == reader.at_time(-1) == 0
    assert reader.at_time(10**19) == writer.end
    reader.close()
    writer.close()


def test_a_clock_that_was_set_back_never_hides_what_came_later(tmp_path: Path) -> None:
    writer = Writer(str(tmp_path / "j"), system=REAL)
    for wall, text in ((100, b"a\n"), (200, b"b\n"), (150, b"c\n"), (300, b"d\n")):
        writer.append(text)
        writer.index(wall)
    assert fresh(tmp_path / "j").at_time(160) == 2
    writer.close()


@pytest.mark.parametrize(("asked", "size", "flag"), [(None, 1 << 20, 1), (None, (1 << 20) + 1, 0), (True, (1 << 20) + 1, 1), (False, 5, 0)])
def test_a_checksum_is_made_when_asked_for_or_cheap(tmp_path: Path, asked: bool | None, size: int, flag: int) -> None:
    writer = Writer(str(tmp_path / "j"), system=REAL)
    writer.append(b"x" * size)
    writer.index(7, checksum=asked)
    writer.close()
    raw = (tmp_path / "j" / f"{0:020d}.idx").read_bytes()
    assert len(raw) == 16 + 24
    assert raw[:8] == b"EFIX\x01\x00\x00\x00"
    assert int.from_bytes(raw[36:40], "little") == flag
    assert (raw[32:36] != bytes(4)) == bool(flag)


def test_the_index_goes_on_where_the_writer_before_left_it(tmp_path: Path) -> None:
    for number in range(5):
        writer = Writer(str(tmp_path / "j"), system=REAL)
        writer.append(b"line\n")
        writer.index(number)
        writer.relief()
        writer.append(b"line\n")
        writer.index(number * 10 + 1)
        writer.close()
    assert (tmp_path / "j" / f"{0:020d}.idx").stat().st_size == 16 + 24 * 10


def test_the_wire_names_of_the_files_are_stable(tmp_path: Path) -> None:
    writer = Writer(str(tmp_path / "j"), system=REAL, segment_bytes=4, boot_id="b")
    writer.append(b"one\n")
    writer.append(b"two")
    writer.index(1)
    writer.mark_fragment(4, 7, deliver=True)
    writer.close()
    names = sorted(path.name for path in (tmp_path / "j").iterdir())
    assert names == ["00000000000000000000.log", "00000000000000000004.idx", "00000000000000000004.log", "fragments", "journal.json"]
