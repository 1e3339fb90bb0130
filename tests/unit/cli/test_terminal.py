"""Terminals, widths, colours, tables, progress."""

from __future__ import annotations

import io
import os
import pty
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from efsupervisor.cli import render, table
from efsupervisor.cli.progress import STARTED, STOPPED, Watch, reached
from efsupervisor.cli.terminal import PLAIN, Look, Progress, look_of
from efsupervisor.messages import Request, StatusReply, TaskStatus
from efsupervisor.states import Goal, State
from tests.unit.cli.fake_core import FakeCore


@pytest.fixture
def screen() -> Iterator[Any]:
    ours, theirs = pty.openpty()
    with os.fdopen(theirs, "w") as stream:
        yield stream
    os.close(ours)


XTERM = {"TERM": "xterm"}


def test_a_pipe_is_plain_whatever_the_environment_says() -> None:
    assert look_of(io.StringIO(), XTERM | {"COLUMNS": "20"}) == PLAIN  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("environment", "colours"),
    [
        (XTERM, True),
        (XTERM | {"NO_COLOR": "1"}, False),
        (XTERM | {"NO_COLOR": ""}, True),
        ({"TERM": "dumb"}, False),
        ({}, False),
    ],
)
def test_colours_are_for_terminals_that_have_them_and_people_who_want_them(screen: Any, environment: dict[str, str], colours: bool) -> None:
    assert look_of(screen, environment).colours is colours
    assert look_of(screen, environment).paint("x", "31") == ("\x1b[31mx\x1b[0m" if colours else "x")


def test_the_width_is_what_the_terminal_or_columns_says(screen: Any) -> None:
    assert look_of(screen, XTERM | {"COLUMNS": "77"}).width == 77
    assert look_of(screen, XTERM | {"COLUMNS": "nonsense"}).width == os.get_terminal_size(screen.fileno()).columns


def test_where_the_ellipsis_cannot_be_written_there_are_dots(screen: Any) -> None:
    assert look_of(screen, XTERM, "ascii").more == "..."
    assert look_of(screen, XTERM, "UTF-8").more == "…"


@given(st.text(st.characters(codec="utf-8", categories=["L", "N", "P", "Mn"])), st.integers(1, 40))
def test_what_is_cut_never_is_wider_than_its_place(text: str, columns: int) -> None:
    fitted = render.fitted(text, columns)
    assert render.width(fitted) <= columns
    assert fitted == text or fitted.endswith("…")


ROWS = [
    TaskStatus(name="이벤트-작업", state=State.FATAL, goal=Goal.ACT, reason="gave up after 4 failed starts in a row, 왜냐하면 없는 파일이기 때문에"),
    TaskStatus(name="b", state=State.RUNNING, goal=Goal.ACT, pid=4711),
]


@pytest.mark.parametrize("columns", [70, 80, 100])
def test_no_line_is_wider_than_the_screen_and_only_the_reason_is_cut(columns: int) -> None:
    lines = table.status(ROWS, Look(True, False, columns)).splitlines()
    assert max(map(render.width, lines)) <= columns
    assert lines[1].endswith("…")
    assert "이벤트-작업" in lines[1]


def test_on_a_very_narrow_screen_the_reason_keeps_a_few_columns() -> None:
    assert "gave up" in table.status(ROWS, Look(True, False, 20))


def test_in_a_pipe_nothing_is_cut() -> None:
    assert ROWS[0].reason in table.status(ROWS, PLAIN)


def test_colours_do_not_move_columns() -> None:
    plain = table.status(ROWS, Look(True, False, 200))
    coloured = table.status(ROWS, Look(True, True, 200))
    for style in (31, 32, 2):
        coloured = coloured.replace(f"\x1b[{style}m", "")
    assert [line.rstrip() for line in coloured.replace("\x1b[0m", "").splitlines()] == plain.splitlines()


# Progress -----------------------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("state", "stopped", "started"),
    [
        (State.RUNNING, False, True),
        (State.STARTING, False, False),
        (State.BACKOFF, False, False),
        (State.STOPPING, False, False),
        (State.STOPPED, True, True),
        (State.EXITED, True, True),
        (State.FATAL, True, True),
    ],
)
def test_a_task_is_counted_when_there_is_nothing_left_to_wait_for(state: State, stopped: bool, started: bool) -> None:
    row = TaskStatus(name="a", state=state, goal=Goal.ACT)
    assert (reached(row, STOPPED), reached(row, STARTED)) == (stopped, started)


def looks(folder: Any, look: Look, environment: dict[str, str], when: list[float], rows: list[TaskStatus] = ROWS) -> tuple[str, int]:
    """What a watch writes at these times, and how often it asked."""
    times = iter(when)
    out = io.StringIO()

    def answer(request: Request) -> list[object]:
        return [StatusReply(id=request.id, tasks=rows)]

    with FakeCore(folder, answer) as core:
        watch = Watch(core.path, ["all"], STARTED, Progress(out, look, environment), lambda: next(times))
        for _ in when[1:]:
            watch()
        watch.close()
    return out.getvalue(), len(core.asked)


def test_long_work_is_counted_on_one_line_that_is_gone_at_the_end(folder: Any) -> None:
    text, asked = looks(folder, Look(True, True, 80), XTERM, [0.0, 5.0])
    assert text == "\r\x1b[K2 of 2 started\r\x1b[K"
    assert asked == 1


def test_short_work_shows_nothing(folder: Any) -> None:
    assert looks(folder, Look(True, True, 80), XTERM, [0.0, 0.1]) == ("", 0)


@pytest.mark.parametrize(("look", "environment"), [(PLAIN, XTERM), (Look(True, False, 80), {"TERM": "dumb"})])
def test_no_progress_in_a_pipe_or_on_a_dumb_terminal(folder: Any, look: Look, environment: dict[str, str]) -> None:
    assert looks(folder, look, environment, [0.0, 5.0]) == ("", 0)


def test_one_task_needs_no_count(folder: Any) -> None:
    assert looks(folder, Look(True, True, 80), XTERM, [0.0, 5.0], ROWS[:1])[0] == ""
