"""Retention: the oldest go first, what a cursor needs stays, and beyond the hard limit that is said."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from efsupervisor.journal import Writer
from efsupervisor.journal.retention import Closed, Limits, surplus
from efsupervisor.system import REAL
from tests.unit.journal.fakes import Machine
from tests.unit.journal.looks import drained, fresh, segments

MANY = 1 << 60


def ten(folder: Path, system: object = REAL) -> Writer:
    """Ten segments of 100 bytes, the last of them active."""
    writer = Writer(str(folder), system=system, segment_bytes=100)  # type: ignore[arg-type]
    for _ in range(19):
        writer.append(b"y" * 49 + b"\n")
        writer.index(writer.end)
    return writer


def test_the_oldest_segments_go_when_there_is_too_much(tmp_path: Path) -> None:
    writer = ten(tmp_path / "j")
    assert writer.retain(keep_bytes=450, keep_age_s=0, needed=MANY, wall_ns=0, hard_bytes=0) == []
    assert list(segments(tmp_path / "j")) == [500, 600, 700, 800, 900]
    assert writer.first == fresh(tmp_path / "j").first() == 500
    assert not [path for path in (tmp_path / "j").glob("*.idx") if int(path.stem) < 500]
    writer.close()
    assert Writer(str(tmp_path / "j"), system=REAL).first == 500


def test_a_needed_segment_and_all_behind_it_stay(tmp_path: Path) -> None:
    writer = ten(tmp_path / "j")
    assert writer.retain(keep_bytes=1, keep_age_s=0, needed=250, wall_ns=0, hard_bytes=0) == []
    assert writer.first == 200
    writer.close()


def test_the_active_segment_never_goes(tmp_path: Path) -> None:
    writer = ten(tmp_path / "j")
    writer.retain(keep_bytes=1, keep_age_s=0, needed=MANY, wall_ns=0, hard_bytes=1)
    assert list(segments(tmp_path / "j")) == [900]
    assert writer.append(b"on\n") == 950
    writer.close()


def test_beyond_the_hard_limit_needed_segments_go_and_it_is_said_once(tmp_path: Path) -> None:
    writer = ten(tmp_path / "j")
    told = writer.retain(keep_bytes=0, keep_age_s=0, needed=120, wall_ns=0, hard_bytes=500)
    assert len(told) == 1
    assert told[0].startswith("380 bytes up to offset 500 were removed though they were not consumed")
    assert writer.first == 500
    reader = fresh(tmp_path / "j")
    assert reader.read(120, 99) == b""
    assert reader.skip(120) == 500
    assert len(drained(reader, 120)) == 450
    assert writer.retain(keep_bytes=0, keep_age_s=0, needed=120, wall_ns=0, hard_bytes=500) == []
    reader.close()
    writer.close()


def test_old_segments_go_by_the_time_of_their_last_byte(tmp_path: Path) -> None:
    writer = ten(tmp_path / "j")
    for path in (tmp_path / "j").glob("*.log"):
        os.utime(path, ns=(0, int(path.stem) * 10**9))
    writer.retain(keep_bytes=0, keep_age_s=300, needed=MANY, wall_ns=650 * 10**9, hard_bytes=0)
    assert writer.first == 400
    writer.retain(keep_bytes=0, keep_age_s=300, needed=MANY, wall_ns=-650 * 10**9, hard_bytes=0)
    assert writer.first == 400
    writer.close()


def test_a_reader_of_a_removed_segment_reads_it_to_its_end_and_goes_on(tmp_path: Path) -> None:
    writer = ten(tmp_path / "j")
    reader = fresh(tmp_path / "j")
    assert len(reader.read(0, 10)) == 10
    writer.retain(keep_bytes=1, keep_age_s=0, needed=MANY, wall_ns=0, hard_bytes=0)
    assert len(reader.read(10, 1000)) == 90
    assert reader.read(100, 1000) == b""
    assert reader.skip(100) == 900
    assert len(reader.read(900, 1000)) == 50
    reader.close()
    writer.close()


def test_nothing_is_looked_at_while_no_limit_can_bind(tmp_path: Path) -> None:
    machine = Machine()
    writer = ten(tmp_path / "j", machine)
    machine.calls.clear()
    assert writer.retain(keep_bytes=1000, keep_age_s=0, needed=0, wall_ns=0, hard_bytes=950) == []
    assert machine.calls == []
    writer.close()


def test_a_removal_that_is_cut_short_is_finished_by_the_next(tmp_path: Path) -> None:
    machine = Machine()
    writer = ten(tmp_path / "j", machine)
    taken = iter([None, None, None, 5])

    def fourth_fails(name: str) -> int | None:
        if name == "unlink" and next(taken):
            raise OSError(5, "input/output error")
        return None

    machine.script = fourth_fails
    with pytest.raises(OSError, match="input/output error"):
        writer.retain(keep_bytes=300, keep_age_s=0, needed=MANY, wall_ns=0, hard_bytes=0)
    machine.script = lambda name: None
    writer.retain(keep_bytes=300, keep_age_s=0, needed=MANY, wall_ns=0, hard_bytes=0)
    assert writer.first == 700
    writer.close()
    Writer(str(tmp_path / "j"), system=REAL).close()
    assert sorted(int(path.stem) for path in (tmp_path / "j").glob("*.idx")) == [700, 800, 900]


@given(
    sizes=st.lists(st.integers(1, 100), max_size=12),
    active=st.integers(0, 100),
    limits=st.builds(Limits, st.integers(0, 600), st.integers(0, 12).map(float), st.integers(0, 600)),
    needed=st.integers(0, 1000),
    squeeze=st.integers(1, 10),
)
def test_what_goes_is_a_prefix_and_no_needed_byte_goes_below_the_hard_limit(
    sizes: list[int], active: int, limits: Limits, needed: int, squeeze: int
) -> None:
    closed, at = [], 0
    for number, size in enumerate(sizes):
        closed.append(Closed(at, at + size, number * 10**9, max(1, size // squeeze)))
        at += size
    going = surplus(closed, active, limits, needed, len(sizes) * 10**9)
    assert going.segments == closed[: len(going.segments)]
    for segment in going.segments:
        held = active + sum(one.disk for one in closed if one.base >= segment.base)
        old = limits.keep_age_s and len(sizes) * 10**9 - segment.mtime_ns > limits.keep_age_s * 10**9
        assert 0 < limits.hard_bytes < held or (segment.end <= needed and (old or 0 < limits.keep_bytes < held))
    assert going.unread == sum(segment.end - max(needed, segment.base) for segment in going.segments if segment.end > needed)
    rest = closed[len(going.segments) :]
    if rest and limits.hard_bytes:
        assert active + sum(one.disk for one in rest) <= limits.hard_bytes
