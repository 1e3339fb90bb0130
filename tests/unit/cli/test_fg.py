"""What is typed becomes lines, whatever the pieces in which it arrives."""

from __future__ import annotations

import os

import pytest

from efsupervisor.cli.fg import Typed


def typed(pieces: list[bytes]) -> tuple[list[bytes], Typed]:
    """Feed an input piece by piece, then end it; the lines that were taken."""
    taken: list[bytes] = []
    reader, writer = os.pipe()
    with open(reader, "rb") as source:
        lines = Typed(source, taken.append)
        for piece in pieces:
            os.write(writer, piece)
            lines.read()
        os.close(writer)
        assert not lines.ended
        lines.read()
    return taken, lines


@pytest.mark.parametrize(
    ("pieces", "lines"),
    [
        ([], []),
        ([b"one\n"], [b"one"]),
        ([b"o", b"n", b"e\ntw", b"o\n"], [b"one", b"two"]),
        ([b"one\ntwo\n\nthree"], [b"one", b"two", b"", b"three"]),
        (["두 줄\n끝".encode()[:4], "두 줄\n끝".encode()[4:]], ["두 줄".encode(), "끝".encode()]),
    ],
)
def test_lines_are_whole_and_the_last_one_needs_no_newline(pieces: list[bytes], lines: list[bytes]) -> None:
    taken, source = typed(list(pieces))
    assert taken == lines
    assert source.ended and not source.is_terminal
