"""Counting events in a stretch of a journal, and positions among many streams."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from efsupervisor.errors import Code, EfError
from efsupervisor.journal import Reader, Writer
from efsupervisor.passing import records
from efsupervisor.passing.place import MAX_STREAMS, key, packed, unpacked
from efsupervisor.passing.records import Budget, Count, count
from efsupervisor.system import REAL


@pytest.fixture
def journal(tmp_path: Path) -> str:
    """A hundred lines over several segments."""
    folder = str(tmp_path / "out")
    writer = Writer(folder, system=REAL, boot_id="b", segment_bytes=100)
    for number in range(100):
        writer.append(b"line %02d\n" % number)
    writer.close()
    return folder


def counted(folder: str, start: int, stop: int, budget: Budget | None = None, end: bytes = b"\n") -> Count:
    reader = Reader(folder, system=REAL)
    try:
        return count(reader, start, stop, end, budget or Budget())
    finally:
        reader.close()


def test_events_are_counted_exactly_over_segments(journal: str) -> None:
    assert counted(journal, 0, 800) == (100, True)
    assert counted(journal, 80, 160) == (10, True)
    assert counted(journal, 84, 92) == (1, True)
    assert counted(journal, 160, 160) == counted(journal, 160, 80) == (0, True)
    assert counted(journal, 0, 800, end=b"\0") == (0, True)


def test_a_long_stretch_is_estimated_and_says_so(journal: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(records, "EXACT_BYTES", 100)
    monkeypatch.setattr(records, "SAMPLE", 40)
    assert counted(journal, 0, 800) == (100, False)


def test_a_look_reads_no_more_than_its_budget_and_estimates_then(journal: str) -> None:
    budget = Budget(500)
    assert counted(journal, 0, 400, budget).exact
    assert counted(journal, 0, 400, budget) == (50, False)
    assert counted(journal, 0, 80, budget).exact


@given(st.dictionaries(st.binary(min_size=6, max_size=6), st.integers(0, (1 << 48) - 1), max_size=50), st.integers(0, 1 << 20))
def test_a_position_comes_back_as_it_was(offsets: dict[bytes, int], turn: int) -> None:
    assert unpacked(packed(offsets, turn)) == (offsets, turn)


@given(st.text(max_size=100))
def test_a_text_that_is_no_position_is_refused_with_what_to_do(text: str) -> None:
    try:
        unpacked(text)
    except EfError as error:
        assert error.code is Code.BAD_REQUEST and "leave it out" in error.message


def test_a_position_of_the_most_streams_fits_beside_the_rows_of_an_answer() -> None:
    text = packed({key(str(number)): 1 << 47 for number in range(MAX_STREAMS)}, 1)
    assert len(text) < 60_000 and len(unpacked(text)[0]) == MAX_STREAMS
    with pytest.raises(EfError, match="no position"):
        unpacked(packed({key(str(number)): 0 for number in range(MAX_STREAMS + 1)}, 0))
