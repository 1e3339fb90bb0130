"""Records of every framing in a journal: where they begin and end, across rotations, lives and new writers."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from efsupervisor.journal import Reader, Writer
from efsupervisor.journal.folder import Folder
from efsupervisor.journal.fragments import Fragment, kept
from efsupervisor.journal.framing import BROKEN, Walk, cut, last_border, netstring_end, payload, walk, wrap
from efsupervisor.states import Framing
from efsupervisor.system import REAL

PAYLOADS = [b"", b"one", b"two\nlines", b"a,b:c", b"\xff\x00\x01", b"5:hello,", b"x" * 300, b"\n", b"\0"]
FITTING = {
    Framing.LINES: [each for each in PAYLOADS if b"\n" not in each],
    Framing.NUL: [each for each in PAYLOADS if b"\0" not in each],
    Framing.NETSTRING: PAYLOADS,
}


def records(framing: Framing) -> list[bytes]:
    found = [wrap(framing, each) for each in FITTING[framing]]
    assert None not in found
    return [each for each in found if each is not None]


@pytest.mark.parametrize("framing", list(Framing))
def test_what_is_wrapped_is_told_apart_again(framing: Framing) -> None:
    data = b"".join(records(framing))
    sizes = cut(framing, data, 0, len(data), 100, 1 << 20)
    assert sizes == list(map(len, records(framing)))
    assert [payload(framing, record) for record in records(framing)] == FITTING[framing]
    for stop in range(len(data) + 1):
        whole = cut(framing, data, 0, stop, 100, 1 << 20)
        assert whole == sizes[: len(whole)]
        assert last_border(framing, data, 0, stop) == (sum(whole) or -1)
        assert stop - sum(whole) < max(sizes)


@pytest.mark.parametrize(("framing", "said"), [(Framing.LINES, b"a\nb"), (Framing.NUL, b"a\0b")])
def test_a_framing_says_what_it_cannot_carry(framing: Framing, said: bytes) -> None:
    assert wrap(framing, said) is None
    assert wrap(Framing.NETSTRING, said) == b"3:" + said + b","


@pytest.mark.parametrize("data", [b"x", b":", b"03:abc,", b"3:abcd", b"-1:,", b"3 :abc,", b"12345678901:", b"1\n:a,", b"+1:a,", "٣:abc,".encode()])
def test_what_is_no_netstring_is_known_for_one(data: bytes) -> None:
    assert netstring_end(data, 0, len(data)) == -2
    assert cut(Framing.NETSTRING, data, 0, len(data), 10, 100) == []


@pytest.mark.parametrize(("data", "end"), [(b"", -1), (b"1", -1), (b"1234567890", -1), (b"5:", 8), (b"5:hell", 8), (b"5:hello", 8), (b"5:hello,", 8)])
def test_the_end_of_a_netstring_is_known_before_it_is_there(data: bytes, end: int) -> None:
    assert netstring_end(data, 0, len(data)) == end


@given(st.lists(st.binary(max_size=40), max_size=30), st.integers(1, 20), st.integers(0, 60))
@settings(max_examples=150, deadline=None)
def test_a_walk_in_small_reads_ends_where_the_last_whole_netstring_does(payloads: list[bytes], step: int, lacking: int) -> None:
    whole = [b"%d:%b," % (len(each), each) for each in payloads]
    data = b"".join(whole)
    upto = max(0, len(data) - lacking)
    found = walk(lambda at, size: data[at : at + min(size, step)], 0, upto)
    ends = [sum(map(len, whole[:count])) for count in range(len(whole) + 1)]
    assert (found.border, found.broken) == (max(end for end in ends if end <= upto), False)
    assert found.open_end in (0, *ends)


def test_a_walk_stops_at_what_is_no_netstring() -> None:
    data = b"3:abc,1:x;2:yy,"
    assert walk(lambda at, size: data[at : at + size], 0, len(data)) == Walk(6, broken=True)


@pytest.mark.parametrize("framing", list(Framing))
@pytest.mark.parametrize("reopened", [False, True])
def test_every_segment_begins_with_a_record_and_every_record_is_found_from_any_byte(tmp_path: Path, framing: Framing, reopened: bool) -> None:
    folder = str(tmp_path / "j")
    writer = Writer(folder, system=REAL, segment_bytes=64, boot_id="b")
    writer.append(b"a line before\n")
    writer.frame(framing)
    data, borders = b"a line before\n", [0, 14]
    for record in records(framing) * 3:
        for piece in (record[:7], record[7:]):  # a record comes in two pieces
            writer.append(piece)
            if reopened:
                writer.close()
                writer = Writer(folder, system=REAL, segment_bytes=64, boot_id="b")
                assert writer.framing == framing
        data += record
        borders.append(len(data))
        assert writer.last_record_end() == writer.end == len(data)
    with Folder(REAL, folder) as opened:
        bases = opened.bases()
    assert len(bases) >= 4
    assert set(bases) <= set(borders)
    for offset in range(15, len(data)):
        for reader in (Reader(folder, system=REAL),):
            assert reader.record_start(offset) == max(border for border in borders if border <= offset)
            reader.close()
    reader = Reader(folder, system=REAL)
    for count in range(1, len(borders) - 2):
        assert reader.tail_offset(count) == borders[-1 - count]
    forwards = [reader.record_start(offset) for offset in range(15, len(data))]  # one reader that remembers
    assert forwards == [max(border for border in borders if border <= offset) for offset in range(15, len(data))]
    reader.close()
    writer.close()


def test_a_netstring_is_never_cut_and_what_is_none_is_cut_as_bytes(tmp_path: Path) -> None:
    folder = str(tmp_path / "j")
    writer = Writer(folder, system=REAL, segment_bytes=64, max_event=32, boot_id="b")
    writer.frame(Framing.NETSTRING)
    writer.append(b"2000:")
    for _ in range(20):
        writer.append(b"z" * 100)
    assert writer.base == 0
    writer.append(b",")
    assert writer.base == writer.end == 2006
    writer.append(b"no netstring at all")
    for _ in range(20):
        writer.append(b"z" * 100)
    assert writer.framing == BROKEN
    assert writer.base > 2006, "what is broken grows no file without end"
    assert writer.last_record_end() == 2006
    writer.mark_fragment(2006, writer.end, deliver=False)
    writer.frame(Framing.NETSTRING)
    begin = writer.append(b"2:ok,")
    assert writer.last_record_end() == writer.end
    reader = Reader(folder, system=REAL)
    reader.fragments(0)
    assert [reader.framing(offset) for offset in (0, 2005, 2006, begin - 1, begin)] == [2, 2, BROKEN, BROKEN, 2]
    assert reader.record_start(begin + 2) == begin
    reader.close()
    writer.close()


def test_a_framing_that_holds_is_not_forgotten_with_the_bytes_before_it() -> None:
    marks = [Fragment(0, 5, False), Fragment(5, 5, False, 1), Fragment(9, 9, False, 2), Fragment(20, 30, True)]
    assert kept(marks, 12) == [marks[2], marks[3]]
    assert kept(marks, 5) == [marks[1], marks[2], marks[3]]
