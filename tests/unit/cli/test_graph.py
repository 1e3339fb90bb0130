"""Flows drawn as text: every arrow can be read back from the picture, whatever the flows are."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from efsupervisor.cli import graph, render
from efsupervisor.cli.graph import ASCII, LINES, Pen, bundled, dot, drawn, ordered
from efsupervisor.cli.terminal import Look
from efsupervisor.messages.call import Arrow
from efsupervisor.states import Mode, State


def arrow(flow: str, producer: str, *consumers: str, mode: Mode = Mode.BROAD, held: bool = False, lag: int = 0) -> Arrow:
    states = [State.RUNNING] * len(consumers)
    return Arrow(flow=flow, producer=producer, consumers=list(consumers), mode=mode, producer_state=State.RUNNING, consumer_states=states,
                 held=held, lag_bytes=lag)  # fmt: skip


DIAMOND = [arrow("f", "A", "B"), arrow("f", "A", "C"), arrow("g", "B", "D"), arrow("g", "C", "D"), arrow("w", "D", "w1", "w2", mode=Mode.SHARE)]


def test_a_diamond_with_a_group_below() -> None:
    assert drawn([*DIAMOND[:4], arrow("w", "D", "w1", "w2", mode=Mode.SHARE, held=True, lag=12_345)]) == (
        "       [A]   RUNNING\n"
        "  ┌───  f -> B, C\n"
        "  ├──▶ [B]   RUNNING\n"
        "┌─┼───  g -> D\n"
        "│ └──▶ [C]   RUNNING\n"
        "│ ┌───  g -> D\n"
        "└─┴──▶ [D]   RUNNING\n"
        "  ┌───  w share -> w1, w2  lag 12K  holds its producer back\n"
        "  ├──▶ [w1]  RUNNING\n"
        "  └──▶ [w2]  RUNNING\n"
    )


def test_a_cycle_and_a_flow_to_itself_run_upwards_and_names_of_any_script_stay_in_column() -> None:
    ring = [arrow("f", "a", "b"), arrow("h", "b", "a"), arrow("i", "b", "b"), arrow("x", "작업", "日本")]
    assert drawn(ring, pen=ASCII) == (
        "+------> [a]     RUNNING\n"
        "|   +---  f -> b\n"
        "| +-+--> [b]     RUNNING\n"
        "+-|-----  h -> a\n"
        "  +-----  i -> b\n"
        "\n"
        "         [작업]  RUNNING\n"
        "    +---  x -> 日本\n"
        "    +--> [日本]  RUNNING\n"
    )
    text = drawn(ring)
    columns = {render.width(line[: line.index("RUNNING")]) for line in text.splitlines() if "RUNNING" in line}
    assert len(columns) == 1
    assert "\n\n" in text  # what no flow connects stands apart


def test_nothing_at_all_is_said_in_a_sentence() -> None:
    assert drawn([]) == "there are no flows\n"


def test_names_cannot_drive_a_terminal_and_lines_are_cut_on_one() -> None:
    hostile = [arrow("f\x1b[2J", "a\x1b[31m", *(f"consumer-{number}" for number in range(50)))]
    text = drawn(hostile, Look(terminal=True, width=60))
    assert "\x1b" not in text
    assert max(map(render.width, text.splitlines())) <= 60 and "…" in text
    assert "\x1b" not in dot(hostile)


def test_the_same_for_graphviz() -> None:
    assert dot([arrow("f", 'a"b', "c", mode=Mode.SHARE, held=True)]) == (
        'digraph flows {\n  rankdir=LR;\n  node [shape=box];\n  "a\\"b" [label="a\\"b RUNNING"];\n  "c" [label="c RUNNING"];\n'
        '  "a\\"b" -> "c" [label="f", style=dashed, color=red];\n}\n'
    )


# Reading a picture back ----------------------------------------------------------------------------------------------------------------------------


def read_back(text: str, pen: Pen) -> set[tuple[str, str]]:
    """(producer, consumer) for each arrow, found by following lanes with a finger: from a flow's line along the row to where it joins a lane, then up
    and down the lane to every row on which it joins a line that ends in an arrow."""
    rows = text.splitlines()
    joints = {pen.top, pen.middle, pen.bottom, pen.down, pen.up, pen.on}
    upwards, downwards = {pen.middle, pen.bottom, pen.up, pen.on, pen.lane, pen.cross}, {pen.top, pen.middle, pen.down, pen.on, pen.lane, pen.cross}
    def at(row: int, column: int) -> str:
        return rows[row][column] if 0 <= row < len(rows) and column < len(rows[row]) and not _label(rows[row], column) else " "

    def reached(row: int, column: int) -> set[int]:
        found = {row}
        for step, leave, enter in ((-1, upwards, downwards), (1, downwards, upwards)):
            here = row
            while at(here, column) in leave and at(here + step, column) in enter:
                here += step
                if at(here, column) in joints:
                    found.add(here)
        return found

    pairs, producer = set(), ""
    for number, line in enumerate(rows):
        if "[" in line:
            producer = _task(line)
        elif " -> " in line:
            begun = [column for column in range(len(line)) if not _label(line, column) and line[column] in joints]
            assert len(begun) == 1, line  # one lane begins on a flow's line
            pairs |= {(producer, _task(rows[other])) for other in reached(number, begun[0]) if "[" in rows[other]}
    return pairs


def _task(line: str) -> str:
    return line[line.index("[") + 1 : line.index("]")]


def _label(line: str, column: int) -> bool:
    """Whether the lanes end before this column: at a task's bracket, or at the two blanks behind a flow's line."""
    return column >= (line.index("[") if "[" in line else line.index(LINES.across + "  "))


FLOWS = st.lists(st.tuples(st.integers(0, 9), st.lists(st.integers(0, 9), min_size=1, max_size=4, unique=True)), min_size=1, max_size=14)


@settings(max_examples=300)
@given(FLOWS)
def test_a_finger_finds_every_arrow_and_no_other(flows: list[tuple[int, list[int]]]) -> None:
    arrows = [arrow(f"f{number}", f"t{producer}", *(f"t{each}" for each in consumers)) for number, (producer, consumers) in enumerate(flows)]
    assert read_back(drawn(arrows), LINES) == {(each.producer, name) for each in arrows for name in each.consumers}


def test_a_hundred_tasks_are_two_hundred_lines_with_few_lanes() -> None:
    chain = [arrow(f"f{number}", f"t{number}", f"t{number + 1}") for number in range(99)]
    text = drawn(chain)
    assert len(text.splitlines()) == 199
    assert max(line.index("[") for line in text.splitlines() if "[" in line) < 12
    assert [name for part in ordered(bundled(chain)) for name in part] == [f"t{number}" for number in range(100)]


@pytest.mark.parametrize("pen", [LINES, ASCII])
def test_every_character_of_a_pen_is_one_column(pen: Pen) -> None:
    assert all(render.width(each) == 1 for each in pen)
    assert Pen(*("".join(ASCII))) == graph.ASCII and "".join(ASCII).isascii()
