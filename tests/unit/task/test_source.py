"""Source: where events begin and end in a producer's journal, whatever was left unfinished there."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from efsupervisor.journal import Writer
from efsupervisor.messages import InEdge
from efsupervisor.system import PIPE_BUF, REAL
from efsupervisor.task.delivery import TERMINATED, EdgeState, Run
from efsupervisor.task.source import Batch, Oversize, Source
from tests.unit.task.table import BOOT


class Desk:
    """One journal and sources on it."""

    def __init__(self, folder: Path, segment_bytes: int = 1 << 20) -> None:
        self.folder = str(folder / "out")
        folder.mkdir(exist_ok=True)
        self.writer = Writer(self.folder, system=REAL, boot_id=BOOT, segment_bytes=segment_bytes)
        self.sources: list[Source] = []
        self.lost: list[str] = []

    def source(self, at: int = 0, max_event: int = 1 << 20) -> Source:
        edge = InEdge(id="a" * 16, producer="p", folder=self.folder, journal=self.folder)
        self.sources.append(Source(edge, 0, EdgeState("a" * 16, at, at), max_event=max_event, system=REAL, lost=self.lost.append))
        return self.sources[-1]

    def fragment(self, data: bytes, *, deliver: bool) -> None:
        """A life that ended without a newline."""
        start = self.writer.append(data)
        self.writer.mark_fragment(start, start + len(data), deliver=deliver)

    def close(self) -> None:
        for source in self.sources:
            source.close()
        self.writer.close()


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    """An empty journal."""
    made = Desk(tmp_path / "p")
    yield made
    made.close()


def taken(source: Source, room: int = 64, limit: int = PIPE_BUF) -> list[bytes]:
    """Every event that can be had, one by one; an oversize one as its length in brackets."""
    events = []
    while (found := source.take(room, limit)) is not None:
        if isinstance(found, Oversize):
            events.append(b"<%d>" % found.length)
            source.rewind(found.offset + found.length)
            continue
        data = bytes(found.data)
        assert sum(found.run.lengths) == found.run.wire == len(data)
        for size in found.run.lengths:
            events.append(data[:size])
            data = data[size:]
    return events


def test_only_whole_lines_are_events(desk: Desk) -> None:
    source = desk.source()
    desk.writer.append(b"one\n\ntw")
    assert taken(source) == [b"one\n", b"\n"]
    assert not source.drained()
    desk.writer.append(b"o\n")
    assert taken(source) == [b"two\n"]
    assert source.drained()


def test_a_batch_is_bounded_in_events_and_in_bytes(desk: Desk) -> None:
    desk.writer.append(b"0123456789\n" * 100)
    source = desk.source()
    first = source.take(3, PIPE_BUF)
    assert isinstance(first, Batch)
    assert first.run.lengths == [11, 11, 11]
    second = source.take(64, 30)
    assert isinstance(second, Batch)
    assert second.run.lengths == [11, 11]
    assert (second.run.offset, source.state.next) == (33, 55)


def test_an_event_longer_than_the_limit_goes_alone(desk: Desk) -> None:
    desk.writer.append(b"a\n" + b"x" * 9999 + b"\nb\n")
    source = desk.source()
    assert [len(event) for event in taken(source)] == [2, 10_000, 2]


def test_what_a_killed_program_left_is_skipped_and_what_one_that_ended_well_left_is_an_event(desk: Desk) -> None:
    desk.writer.append(b"one\n")
    desk.fragment(b"killed", deliver=False)
    desk.writer.append(b"two\n")
    desk.fragment(b"ended", deliver=True)
    desk.writer.append(b"three\n")
    source = desk.source()
    assert taken(source) == [b"one\n", b"two\n", b"ended\n", b"three\n"]
    assert source.drained()


def test_a_fragment_at_the_end_is_settled_when_its_mark_comes(desk: Desk) -> None:
    desk.writer.append(b"one\nrest")
    source = desk.source()
    assert taken(source) == [b"one\n"]
    assert not source.drained()
    desk.writer.mark_fragment(4, 8, deliver=False)
    assert taken(source) == []
    assert source.drained()


def test_an_event_over_the_limit_is_shown_with_its_end_and_the_next_follows(desk: Desk) -> None:
    desk.writer.append(b"a\n" + b"x" * 5000 + b"\nb\n")
    desk.fragment(b"y" * 3000, deliver=True)
    desk.fragment(b"z" * 3000, deliver=False)
    desk.writer.append(b"c\n")
    assert taken(desk.source(max_event=1000)) == [b"a\n", b"<5001>", b"b\n", b"<3000>", b"c\n"]


def test_an_event_over_the_limit_whose_end_is_not_there_yet_waits(desk: Desk) -> None:
    desk.writer.append(b"x" * 5000)
    source = desk.source(max_event=1000)
    assert source.take(1, PIPE_BUF) is None
    desk.writer.append(b"\n")
    found = source.take(1, PIPE_BUF)
    assert isinstance(found, Oversize)
    assert found == Oversize(0, 5001)


def test_a_stream_goes_on_behind_a_fragment_although_a_later_one_counts_as_a_record(desk: Desk) -> None:
    desk.fragment(b"killed", deliver=False)
    desk.writer.append(b"one\n")
    desk.fragment(b"ended", deliver=True)
    source = desk.source()
    pieces = [source.piece(100, raw_tail=True) for _ in range(3)]
    assert [bytes(piece.data) for piece in pieces if piece is not None] == [b"one\n", b"ended"]


def test_drop_oldest_goes_on_at_the_record_that_begins_within_the_lag(desk: Desk) -> None:
    desk.writer.append(b"0123456789\n" * 10)
    source = desk.source()
    assert source.drop_to(200) == 0
    assert source.drop_to(25) == 77  # 110 - 25 = 85, which lies in the record that begins at 77
    assert (source.state.next, source.state.dropped) == (77, 77)
    assert len(taken(source)) == 3
    assert source.drop_to(0) == 0


def test_the_sizes_of_a_run_are_found_again_in_the_journal(desk: Desk) -> None:
    desk.writer.append(b"a\nbb\nccc\nddd")
    source = desk.source()
    run = Run(0, 2, 7, [0, 0])
    source.remember(run)
    assert run.lengths == [3, 4]
    tail = Run(0, 5, 7, [0, 0], flags=TERMINATED)
    source.remember(tail)
    assert tail.lengths == [4, 4]


PIECES = st.lists(
    st.tuples(st.sampled_from(["lines", "killed", "ended"]), st.lists(st.binary(max_size=30).map(lambda b: b.replace(b"\n", b".")), max_size=4)),
    max_size=8,
)


@settings(max_examples=60)
@given(PIECES, st.integers(1, 5), st.integers(1, 40), st.integers(1, 100))
def test_event_and_stream_agree_on_what_the_records_are(
    tmp_path_factory: pytest.TempPathFactory, pieces: list[tuple[str, list[bytes]]], room: int, limit: int, piece: int
) -> None:
    """The events that `take` finds are what `piece` passes, whatever the room and the sizes; and both are what was written."""
    desk, expected = Desk(tmp_path_factory.mktemp("p"), segment_bytes=64), []
    try:
        for kind, lines in pieces:
            if kind == "lines":
                desk.writer.append(b"".join(line + b"\n" for line in lines))
                expected += [line + b"\n" for line in lines]
            elif any(lines):
                data = b"".join(lines)
                desk.fragment(data, deliver=kind == "ended")
                expected += [data + b"\n"] if kind == "ended" else []
        assert taken(desk.source(), room, limit) == expected
        stream, received = desk.source(), b""
        while (batch := stream.piece(piece, raw_tail=False)) is not None:
            received += bytes(batch.data)
        assert received == b"".join(expected)
        assert stream.at_boundary() and stream.drained()
    finally:
        desk.close()
