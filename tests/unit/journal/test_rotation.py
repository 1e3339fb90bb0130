"""Segments: what goes in comes out, cut only between records, at every instant and for every reader."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from efsupervisor.journal import Reader, Writer
from efsupervisor.system import REAL
from tests.unit.journal.fakes import Instants, Machine, pipe
from tests.unit.journal.looks import content, drained, fresh, segments

LINES = [b"%d %s\n" % (number, b"x" * (number * 7 % 40)) for number in range(60)]


def spliced(writer: Writer, source: int, sink: int, data: bytes) -> None:
    os.write(sink, data)
    left = len(data)
    while left:
        left -= writer.splice_from(source)


@given(
    records=st.lists(st.binary(max_size=60).map(lambda data: data.replace(b"\n", b"") + b"\n"), max_size=40),
    tail=st.binary(max_size=50).map(lambda data: data.replace(b"\n", b"")),
    chunk=st.integers(1, 90),
    segment_bytes=st.integers(1, 200),
    max_event=st.integers(1, 100),
)
def test_bytes_come_out_as_they_went_in_and_segments_end_between_records(
    records: list[bytes], tail: bytes, chunk: int, segment_bytes: int, max_event: int
) -> None:
    data = b"".join(records) + tail
    with tempfile.TemporaryDirectory() as folder, pipe() as (source, sink):
        writer = Writer(folder + "/j", system=REAL, segment_bytes=segment_bytes, max_event=max_event)
        for at in range(0, len(data), chunk):
            spliced(writer, source, sink, data[at : at + chunk])
        assert writer.end == len(data)
        writer.close()
        assert content(folder + "/j") == data
        begin = 0
        for base, closed in list(segments(folder + "/j").items())[:-1]:
            end = base + len(closed)
            begin = data.rfind(b"\n", 0, end) + 1
            assert begin == end or end - begin > max_event


def test_a_segment_is_closed_once_it_has_its_size_and_at_a_records_end(tmp_path: Path) -> None:
    writer = Writer(str(tmp_path / "j"), system=REAL, segment_bytes=10)
    writer.append(b"abc\ndefg")
    assert list(segments(tmp_path / "j")) == [0]
    writer.append(b"hij")
    assert segments(tmp_path / "j") == {0: b"abc\n", 4: b"defghij"}
    writer.close()


def test_a_record_without_end_goes_on_up_to_max_event_and_is_then_cut_where_it_is(tmp_path: Path) -> None:
    writer = Writer(str(tmp_path / "j"), system=REAL, segment_bytes=10, max_event=100)
    writer.append(b"x" * 100)
    assert list(segments(tmp_path / "j")) == [0]
    writer.append(b"x")
    assert list(segments(tmp_path / "j")) == [0, 101]
    writer.append(b"end\n")
    writer.close()
    assert content(tmp_path / "j") == b"x" * 101 + b"end\n"


def test_bytes_scanned_in_vain_are_not_scanned_again(tmp_path: Path) -> None:
    scanned = []
    machine = Machine()
    machine.pread = lambda fd, count, offset: scanned.append(count) or REAL.pread(fd, count, offset)
    writer = Writer(str(tmp_path / "j"), system=machine, segment_bytes=1, max_event=1 << 20)
    for _ in range(64):
        writer.append(b"x" * (16 << 10))
    assert writer.end == 1 << 20
    assert sum(scanned) <= writer.end
    writer.close()


def test_capture_is_one_call_and_reading_is_one_call(tmp_path: Path) -> None:
    writing, reading = Machine(), Machine()
    with pipe() as (source, sink):
        writer = Writer(str(tmp_path / "j"), system=writing)
        reader = Reader(str(tmp_path / "j"), system=reading)
        os.write(sink, b"one\n")
        writer.splice_from(source)
        assert reader.read(0, 100) == b"one\n"
        os.write(sink, b"two\n")
        writing.calls.clear()
        reading.calls.clear()
        assert writer.splice_from(source) == 4
        assert writing.calls == ["splice"]
        assert reader.read(4, 100) == b"two\n"
        assert reading.calls == ["pread"]
        assert reader.read(8, 100) == b""
        assert reader.skip(8) == 8
        assert reading.calls == ["pread", "pread", "fstat"]
        with pytest.raises(BlockingIOError):
            writer.splice_from(source)
        os.close(sink)
        assert writer.splice_from(source) == 0
        writer.close()
        reader.close()
    assert (writing.descriptors(), reading.descriptors()) == (0, 0)


def test_readers_see_every_byte_and_no_other_between_any_two_calls_of_the_writer(tmp_path: Path) -> None:
    moved = b""
    readers = [fresh(tmp_path / "j") for _ in range(8)]
    looked = 0

    def check() -> None:
        nonlocal looked
        looked += 1
        # A splice or write whose call has returned is counted by `moved` only afterwards, so what is seen may be one record longer.
        for number, reader in enumerate((*readers, fresh(tmp_path / "j"))):
            at = len(moved) * number // 8
            seen = drained(reader, at)
            assert moved[at:] == seen[: len(moved) - at]
            assert data.startswith(moved[:at] + seen)
            assert reader.end() == at + len(seen)
            if number == len(readers):
                reader.close()

    data = b"".join(LINES)
    writer = Writer(str(tmp_path / "j"), system=Machine(Instants(check)), segment_bytes=100)
    for number, line in enumerate(LINES):
        cut = number % len(line)
        for part in (line[:cut], line[cut:]):
            if part:
                writer.append(part)
                moved += part
    check()
    assert len(segments(tmp_path / "j")) > 10
    assert looked > 300
    for reader in readers:
        reader.close()
    writer.close()


@pytest.mark.parametrize("instant", range(12))
def test_a_rotation_between_any_two_calls_of_a_reader_hides_nothing(tmp_path: Path, instant: int) -> None:
    for begun in (0, 4, 7):
        folder = tmp_path / str(begun)
        writer = Writer(str(folder), system=REAL, segment_bytes=20)
        writer.append(b"abc\ndef")
        reading = Machine()
        reader = Reader(str(folder), system=reading)
        assert drained(reader, begun) == b"abc\ndef"[begun:]

        def rotate(name: str, writer: Writer = writer, reading: Machine = reading) -> int | None:
            if len(reading.calls) == instant + 1 and writer.end == 7:
                writer.append(b"ghi\njkl\nmno\npqr")
                assert writer._base == 19
            return None

        reading.calls.clear()
        reading.script = rotate
        first = drained(reader, begun)
        assert b"abc\ndefghi\njkl\nmno\npqr"[begun:].startswith(first)
        end, lines, start = reader.end(), reader.tail_offset(1), reader.record_start(6)
        rotate("")
        reading.script = lambda name: None
        assert end in (7, 22)
        assert (end, lines) in {(7, 4), (7, 19), (22, 19)}
        assert start == 4
        assert first + drained(reader, begun + len(first)) == b"abc\ndefghi\njkl\nmno\npqr"[begun:]
        reader.close()
        writer.close()


@pytest.mark.parametrize("asked", ["read 0", "read 3", "read 4", "read 6", "reopened", "record start", "tail"])
def test_a_read_that_a_cut_overtakes_gives_no_zeros(tmp_path: Path, asked: str) -> None:
    """The kernel wipes what is cut while a read may be copying it: that read has the old length, and zeros behind the cut."""
    writer = Writer(str(tmp_path / "j"), system=REAL, segment_bytes=10)
    writer.append(b"abc\ndef")
    machine = Machine()
    reader = Reader(str(tmp_path / "j"), system=machine)
    if asked != "reopened":
        assert reader.read(0, 1) == b"a"

    def overtaken(fd: int, count: int, offset: int) -> bytes:
        data = REAL.pread(fd, count, offset)
        if writer.end > 7:
            return data
        writer.append(b"ghi")
        intact = data[: max(0, 4 - offset)]
        return intact + bytes(len(data) - len(intact))

    machine.pread = overtaken
    if asked == "record start":
        assert reader.record_start(7) == 4
    elif asked == "tail":
        assert reader.tail_offset(2) == 0
    else:
        begin = int(asked.removeprefix("read ")) if asked != "reopened" else 0
        assert drained(reader, begin) == b"abc\ndefghi"[begin:]
    assert list(segments(tmp_path / "j")) == [0, 4]
    reader.close()
    writer.close()


def test_zeros_that_a_program_wrote_are_read_as_they_are(tmp_path: Path) -> None:
    writer = Writer(str(tmp_path / "j"), system=REAL, segment_bytes=10)
    for text in (b"a\0b\n", b"\0\0\0\0", b"\0\n\0", b"\0" * 50):
        writer.append(text)
    assert len(segments(tmp_path / "j")) > 1
    assert drained(fresh(tmp_path / "j"), limit=3) == b"a\0b\n" + b"\0" * 5 + b"\n" + b"\0" * 51
    assert fresh(tmp_path / "j").record_start(40) == 10
    writer.close()
