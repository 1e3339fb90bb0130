"""What becomes of a time while the run before is not over."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from efsupervisor.core.overlap import MAX_WAITING, Do, Line, ended, following, taken

FREE, BUSY = Line(), Line(running=5.0)


@pytest.mark.parametrize(
    ("line", "overlap", "busy", "backlog", "do", "after"),
    [
        (FREE, "forbid", False, False, Do.RUN, Line(9.0)),
        (FREE, "queue", False, True, Do.RUN, Line(9.0)),
        (BUSY, "forbid", False, False, Do.SKIP, Line(5.0, (), 1)),
        (FREE, "forbid", True, False, Do.SKIP, Line(0.0, (), 1)),  # somebody else started it
        (BUSY, "queue", False, False, Do.WAIT, Line(5.0, (9.0,))),
        (FREE, "queue", True, False, Do.WAIT, Line(0.0, (9.0,))),
        (Line(0.0, (7.0,)), "queue", False, False, Do.WAIT, Line(0.0, (7.0, 9.0))),  # nobody overtakes
        (Line(0.0, (7.0,)), "forbid", False, False, Do.SKIP, Line(0.0, (7.0,), 1)),
        (BUSY, "replace", False, False, Do.REPLACE, Line(9.0)),
        (FREE, "replace", True, False, Do.REPLACE, Line(9.0)),
        (BUSY, "forbid", False, True, Do.WAIT, Line(5.0, (9.0,))),  # what was missed gets its run whatever overlap says
        (BUSY, "replace", False, True, Do.WAIT, Line(5.0, (9.0,))),
        (Line(5.0, (1.0,) * MAX_WAITING), "queue", False, False, Do.SKIP, Line(5.0, (1.0,) * MAX_WAITING, 1)),
    ],
)
def test_a_time_that_comes_is_run_or_waits_or_is_left_out_or_takes_the_place(
    line: Line, overlap: str, busy: bool, backlog: bool, do: Do, after: Line
) -> None:
    assert taken(line, 9.0, overlap, busy=busy, backlog=backlog) == (after, do)


def test_the_next_begins_when_nothing_is_in_its_way_and_an_end_that_comes_late_ends_nothing_else() -> None:
    line = Line(5.0, (6.0, 7.0))
    assert following(line, busy=False) == (line, 0.0)
    assert ended(line, 4.0) is line, "another took its place"
    free = ended(line, 5.0)
    assert following(free, busy=True) == (free, 0.0)
    assert following(free, busy=False) == (Line(6.0, (7.0,)), 6.0)
    assert following(Line(), busy=False) == (Line(), 0.0)


STEPS = st.lists(st.sampled_from(["come", "backlog", "end", "next", "other"]), max_size=300)


@given(STEPS, st.sampled_from(["forbid", "queue", "replace"]))
def test_each_time_is_run_in_order_or_counted_and_never_two_at_once(steps: list[str], overlap: str) -> None:
    line, wall, ran, skipped, busy = Line(), 0.0, list[float](), 0, False
    for step in steps:
        match step:
            case "come" | "backlog":
                wall += 1.0
                before = line
                line, do = taken(line, wall, overlap, busy=busy, backlog=step == "backlog")
                if do in (Do.RUN, Do.REPLACE):
                    assert do is Do.REPLACE or not (busy or before.running)
                    ran.append(wall)
                skipped += do is Do.SKIP
            case "end" if line.running:
                line = ended(line, line.running)
            case "next":
                line, begun = following(line, busy=busy)
                ran += [begun] if begun else []
            case "other":
                busy = not busy
        assert len(line.waiting) <= MAX_WAITING and line.skipped == skipped
    assert len(ran) + skipped + len(line.waiting) == wall
    assert overlap == "replace" or ran == sorted(set(ran))
