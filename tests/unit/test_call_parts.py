"""Answers in frames: every part fits, and together they are the answer."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from efsupervisor.messages import MAX_FRAME, Outcome, encode
from efsupervisor.messages.call import Answered, Done, Lines, Piece, Text, joined, parted

SIZES = st.lists(st.integers(0, 60_000), max_size=12)
LETTERS = st.sampled_from(["a", "é", "한", "\x00", "\U0001f600", '"'])


def frames(answer: Any) -> list[Any]:
    """The parts; each fits into a frame with the longest id."""
    parts = list(parted(answer))
    assert parts
    for part in parts:
        assert len(encode(Answered(id="\x00" * 200, answer=part, more=True))) <= MAX_FRAME
    return parts


@given(SIZES)
@settings(deadline=None)
def test_rows_come_in_parts_that_fit_and_make_the_whole(sizes: list[int]) -> None:
    answer = Done(rows=[Outcome(task=str(number), ok=True, sentence="x" * size) for number, size in enumerate(sizes)])
    assert joined(frames(answer)) == answer


@given(SIZES, LETTERS)
@settings(deadline=None)
def test_lines_and_text_do_too_whatever_they_hold(sizes: list[int], letter: str) -> None:
    lines = Lines(lines=["OK : " + letter * (size // 6) for size in sizes], code="no-input")
    assert joined(frames(lines)) == lines
    text = Text(text="\n".join(letter * size for size in sizes))
    assert joined(frames(text)) == text


def test_what_cannot_be_divided_comes_as_it_is() -> None:
    piece = Piece(task="a", stream="out", offset=0, data=b"\xff" * (48 << 10), next=1, end=2)
    assert frames(piece) == [piece]
