"""Aligned columns for people, and the one table that is wanted quickly: the status of tasks.

A column is as wide as its widest cell on the screen, whatever script it is in.  On a terminal the last column is cut where the screen ends; every
other cell, and everything in a pipe, is whole.  Pure functions.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from efsupervisor.cli import render
from efsupervisor.cli.terminal import CYAN, DIM, GREEN, PLAIN, RED, YELLOW, Look
from efsupervisor.messages import TaskStatus
from efsupervisor.states import State

_LEAST = 12
"""Columns that the last cell keeps however narrow the screen is."""


class Column(NamedTuple):
    """heading: its first line; empty for none.  right: numbers stand right.  style: a colour for a cell's text."""

    heading: str
    right: bool = False
    style: Callable[[str], str] = lambda _: ""


def table(columns: Sequence[Column], rows: Sequence[Sequence[str]], look: Look = PLAIN) -> str:
    """Text of a table with its headings; cells are made harmless here."""
    cells = [[column.heading for column in columns], *([render.one_line(cell) for cell in row] for row in rows)]
    widths = [max(map(render.width, column)) for column in zip(*cells, strict=True)]
    if look.width:
        widths[-1] = max(_LEAST, min(widths[-1], look.width - sum(widths[:-1]) - 2 * (len(widths) - 1)))
    heading = _line(columns, cells[0], widths, look, lambda _column, _cell: DIM)
    return heading + "".join(_line(columns, row, widths, look, lambda column, cell: column.style(cell)) for row in cells[1:])


def _line(columns: Sequence[Column], cells: Sequence[str], widths: Sequence[int], look: Look, style: Callable[[Column, str], str]) -> str:
    shown = []
    for number, (column, cell, width) in enumerate(zip(columns, cells, widths, strict=True)):
        last = number == len(columns) - 1
        text = render.fitted(cell, width, look.more) if last and look.width else cell
        blanks = " " * (width - render.width(text))
        painted = look.paint(text, style(column, cell))
        shown.append(blanks + painted if column.right else painted if last else painted + blanks)
    while len(shown) > 1 and not shown[-1].strip():
        shown.pop()
    return "  ".join(shown).rstrip() + "\n"


# The status of tasks ------------------------------------------------------------------------------------------------------------------------------

_STATES: dict[str, str] = {
    State.RUNNING: GREEN,
    State.STARTING: CYAN,
    State.STOPPING: CYAN,
    State.BACKOFF: YELLOW,
    State.FATAL: RED,
    State.UNKNOWN: RED,
    State.STOPPED: DIM,
}


def state_style(text: str) -> str:
    """The colour of a state's name."""
    return _STATES.get(text, "")


STATUS = (
    Column("NAME"),
    Column("STATE", style=state_style),
    Column("PID", right=True),
    Column("UPTIME", right=True),
    Column("RESTARTS", right=True),
    Column("LAG", right=True),
    Column("REASON"),
)


def status(rows: Sequence[TaskStatus], look: Look = PLAIN) -> str:
    """The status of tasks, with a heading; a sentence when there are none."""
    return table(STATUS, [_cells(row) for row in rows], look) if rows else "there are no tasks\n"


def _cells(row: TaskStatus) -> tuple[str, ...]:
    return (
        row.name,
        row.state.value,
        str(row.pid) if row.pid else "-",
        render.duration(row.uptime_s) if row.pid else "-",
        str(row.restarts),
        render.size(row.lag_bytes),
        reason(row),
    )


def reason(row: TaskStatus) -> str:
    """Why a task is where it is, and what else a person should know of it."""
    parts = [row.reason] if row.reason else []
    if not row.reason and row.state in (State.EXITED, State.BACKOFF, State.FATAL):
        parts.append(render.ending(row.exit_status, known=row.exit_known))
    if row.blocked_by:
        parts.append(f"held back by {', '.join(row.blocked_by)}")
    if row.dropped_bytes:
        parts.append(f"{row.dropped_bytes} bytes of its input dropped")
    if row.dead_letters:
        parts.append(render.counted(row.dead_letters, "dead letter"))
    if row.health:
        parts.append(row.health)
    return "; ".join(part for part in parts if part)
