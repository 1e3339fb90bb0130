"""The incarnation log: 64 bytes a record, each valid alone."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from efsupervisor.system import REAL
from efsupervisor.task.lives import BEGIN, END, RECORD_BYTES, Life, Lives, decode, encode
from tests.unit.journal.fakes import Machine, Refuse

U64, U32, I32 = st.integers(0, 2**64 - 1), st.integers(0, 2**32 - 1), st.integers(-(2**31), 2**31 - 1)
U16, COUNTS = st.integers(0, 2**16 - 1), st.integers(-1, 2**32 - 2)
_COMMON = (U32, U64, U64, U64, U32, st.none() | I32, st.booleans(), U16)
_TICKETS = st.just("") | st.integers(1, 2**64 - 1).map("{:016x}".format)
BEGINS = st.builds(Life, st.just(BEGIN), *_COMMON, _TICKETS, st.just(0), st.just(-1), st.just(-1))
ENDS = st.builds(Life, st.just(END), *_COMMON, st.just(""), U64, COUNTS, COUNTS)
LIVES = BEGINS | ENDS


def life(kind: int, incarnation: int, **more: int) -> Life:
    return Life(kind, incarnation, 1, 2, 3, **more)


def log(path: Path) -> Lives:
    return Lives(str(path), REAL)


@given(LIVES)
def test_a_record_has_64_bytes_and_comes_back_whole(one: Life) -> None:
    record = encode(one)
    assert len(record) == RECORD_BYTES == 64
    assert decode(record) == one


@given(LIVES, st.integers(0, 63), st.integers(1, 255))
def test_a_record_with_any_wrong_byte_is_none(one: Life, at: int, change: int) -> None:
    record = bytearray(encode(one))
    record[at] ^= change
    assert decode(bytes(record)) is None


def test_the_bytes_of_a_record_are_fixed() -> None:
    record = encode(Life(END, 7, 1_700_000_000_000_000_000, 4096, 512, 4321, 256, True))
    assert record[:4] == bytes([2, 1, 3, 0])
    assert int.from_bytes(record[4:8], "little") == 7
    assert [int.from_bytes(record[at : at + 8], "little") for at in (8, 16, 24)] == [1_700_000_000_000_000_000, 4096, 512]
    assert [int.from_bytes(record[at : at + 4], "little") for at in (32, 36)] == [4321, 256]
    assert record[40:60] == bytes(20), "what older versions wrote there"


def test_what_a_run_took_and_gave_and_who_wished_it_stands_where_older_versions_wrote_nothing() -> None:
    end = encode(Life(END, 7, 1, 2, 3, attempt=4, in_bytes=5, events_in=6, events_out=0))
    assert end[40:60] == (5).to_bytes(8, "little") + (7).to_bytes(4, "little") + (1).to_bytes(4, "little") + bytes([4, 0, 0, 0])
    begin = encode(Life(BEGIN, 7, 1, 2, 3, attempt=1, ticket="00000000000000ff"))
    assert begin[40:60] == (255).to_bytes(8, "little") + bytes(8) + bytes([1, 0, 0, 0])
    huge = decode(encode(Life(END, 7, 1, 2, 3, attempt=1 << 20, events_in=1 << 40)))
    assert huge is not None and (huge.attempt, huge.events_in) == (65_535, 4_294_967_294), "what does not fit is the most that does"


def test_a_new_log_has_no_life(tmp_path: Path) -> None:
    lives = log(tmp_path / "lives")
    assert (lives.incarnation, lives.open_life, lives.last) == (0, None, None)
    lives.close()


def test_a_life_is_open_from_its_begin_to_its_end_and_a_successor_sees_the_same(tmp_path: Path) -> None:
    lives = log(tmp_path / "lives")
    for kind in (BEGIN, END, BEGIN):
        number = lives.incarnation + (kind == BEGIN)
        lives.append(life(kind, number))
        successor = log(tmp_path / "lives")
        assert successor.last == lives.last
        assert (successor.open_life is not None) == (kind == BEGIN)
        successor.close()
    assert lives.incarnation == 2
    lives.close()


def test_the_ticket_of_a_life_is_known_when_it_has_ended_and_to_a_successor(tmp_path: Path) -> None:
    lives = log(tmp_path / "lives")
    for number, ticket in ((1, "00000000000000aa"), (2, "")):
        lives.append(Life(BEGIN, number, 1, 2, 3, ticket=ticket))
        lives.append(Life(END, number, 1, 2, 3))
        successor = log(tmp_path / "lives")
        assert lives.ticket == successor.ticket == ticket
        successor.close()
    lives.append(Life(BEGIN, 3, 1, 2, 3, ticket="00000000000000bb"))
    successor = log(tmp_path / "lives")
    assert successor.ticket == "00000000000000bb"
    successor.close()
    lives.close()


def test_the_same_end_twice_is_written_once(tmp_path: Path) -> None:
    lives = log(tmp_path / "lives")
    lives.append(life(BEGIN, 1))
    lives.append(life(END, 1))
    lives.append(life(END, 1, pid=9))
    assert (tmp_path / "lives").stat().st_size == 2 * RECORD_BYTES
    lives.close()


@pytest.mark.parametrize("torn", [1, 4, 63])
def test_a_torn_record_is_ignored_and_written_over(tmp_path: Path, torn: int) -> None:
    path = tmp_path / "lives"
    path.write_bytes(encode(life(BEGIN, 5)) + encode(life(END, 5))[:torn])
    lives = log(path)
    assert lives.open_life == life(BEGIN, 5)
    lives.append(life(END, 5))
    lives.close()
    assert path.read_bytes() == encode(life(BEGIN, 5)) + encode(life(END, 5))


def test_whole_but_damaged_records_at_the_end_are_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "lives"
    path.write_bytes(encode(life(BEGIN, 5)) + bytes(2 * RECORD_BYTES))
    lives = log(path)
    assert lives.open_life == life(BEGIN, 5)
    lives.append(life(END, 5))
    lives.close()
    assert decode(path.read_bytes()[RECORD_BYTES : 2 * RECORD_BYTES]) == life(END, 5)


@pytest.mark.parametrize("written", [None, 10])
def test_a_full_disk_is_an_error_and_leaves_the_log_as_it_was(tmp_path: Path, written: int | None) -> None:
    path = tmp_path / "lives"
    machine = Machine()
    lives = Lives(str(path), machine)
    lives.append(life(BEGIN, 1))
    machine.script = Refuse("pwrite") if written is None else lambda name: written if name == "pwrite" else None
    with pytest.raises(OSError) as failed:
        lives.append(life(END, 1))
    assert failed.value.errno == errno.ENOSPC
    assert lives.open_life == life(BEGIN, 1)
    machine.script = lambda name: None
    lives.append(life(END, 1))
    lives.close()
    again = log(path)
    assert again.last == life(END, 1)
    again.close()
