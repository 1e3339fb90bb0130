"""What one run wrote, cut out of a journal that others wrote too."""

from __future__ import annotations

import pytest

from efsupervisor.cli.run_log import Part, cut


@pytest.mark.parametrize(
    ("piece", "end", "shown"),
    [
        (Part(10, b"abc", 13, 99), 12, Part(10, b"ab", 12, 12)),  # another run follows
        (Part(10, b"abc", 13, 13), 13, Part(10, b"abc", 13, 13)),  # it was the last
        (Part(10, b"abc", 13, 99), 20, Part(10, b"abc", 13, 20)),  # more of it is to come
        (Part(10, b"", 10, 99), 10, Part(10, b"", 10, 10)),  # it wrote nothing
        (Part(50, b"xyz", 53, 99), 20, Part(20, b"", 20, 20)),  # retention took all of it
    ],
)
def test_a_piece_ends_where_the_run_did(piece: Part, end: int, shown: Part) -> None:
    assert cut(piece, end) == shown
