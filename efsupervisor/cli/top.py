"""`efctl top`: tasks as a table that is drawn again every few seconds.

    View     what the person chose: order, filter, place
    press    a key and a View give another View (pure)
    screen   rows and a View give the lines of a screen (pure)
    watch    the loop: asks, draws, waits for a key

A screen is written over the last one, line by line, in one write, on the terminal's other screen: nothing flickers, and what stood there before comes
back at the end, however it ends.  A supervisor that is being replaced is said in the head line, and the table goes on when it answers again.
"""

from __future__ import annotations

import os
import select
import signal
import sys
import termios
import time
import tty
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

from efsupervisor.cli import render
from efsupervisor.cli.output import Output
from efsupervisor.cli.session import Session
from efsupervisor.cli.table import Column, reason, state_style, table
from efsupervisor.cli.terminal import BOLD, DIM, PLAIN, RED, Look
from efsupervisor.errors import EfError
from efsupervisor.interface.resource import ResourceShow
from efsupervisor.messages import TaskStatus
from efsupervisor.messages.call import NodeSample, Resources, TaskSample

REVERSE = "7"
ENTER_SCREEN, LEAVE_SCREEN = "\x1b[?1049h\x1b[?25l", "\x1b[?25h\x1b[?1049l"
HEAD = 3
"""Lines above the tasks: summary, keys or filter, headings."""


class Row(NamedTuple):
    """One task: its status, and its figures where the collector knows them."""

    status: TaskStatus
    sample: TaskSample | None = None


class Shot(NamedTuple):
    """One look at everything.  trouble: why there is none, or only half of one."""

    rows: Sequence[Row]
    node: NodeSample | None = None
    trouble: str = ""


class View(NamedTuple):
    """What the person chose.  order: a key of ORDERS.  first: tasks above the screen.  typing: the filter is being typed."""

    order: str = "cpu"
    upside_down: bool = False
    filter: str = ""
    first: int = 0
    typing: bool = False
    over: bool = False


class Order(NamedTuple):
    """One way to sort: its key on the keyboard, its column, and what of a row decides.  The greatest comes first, but for names."""

    key: str
    heading: str
    of: Callable[[Row], float | str]


ORDERS: dict[str, Order] = {
    "cpu": Order("c", "CPU%", lambda row: row.sample.cpu if row.sample is not None else -1.0),
    "memory": Order("m", "MEMORY", lambda row: row.sample.rss if row.sample is not None else -1.0),
    "restarts": Order("r", "RESTARTS", lambda row: row.status.restarts),
    "lag": Order("l", "LAG", lambda row: row.status.lag_bytes),
    "inflight": Order("i", "IN-FLIGHT", lambda row: row.status.outstanding),
    "name": Order("n", "NAME", lambda row: row.status.name.casefold()),
}
_BY_KEY = {order.key: name for name, order in ORDERS.items()}
_HEADINGS = ("NAME", "STATE", "PID", "UPTIME", "CPU%", "MEMORY", "RESTARTS", "LAG", "IN-FLIGHT")
_LEFT = {"NAME", "STATE"}


def ordered(rows: Sequence[Row], view: View) -> list[Row]:
    """The rows that the filter lets through, in the order that was chosen; equal ones by name."""
    word = view.filter.casefold()
    kept = sorted((row for row in rows if word in row.status.name.casefold() or word in row.status.state.value.casefold()), key=ORDERS["name"].of)
    downwards = (view.order != "name") != view.upside_down
    return sorted(kept, key=ORDERS[view.order].of, reverse=downwards) if view.order != "name" else kept[:: -1 if view.upside_down else 1]


# Keys ---------------------------------------------------------------------------------------------------------------------------------------------

_ESCAPES = {"\x1b[A": "up", "\x1bOA": "up", "\x1b[B": "down", "\x1bOB": "down", "\x1b[5~": "page up", "\x1b[6~": "page down", "\x1b[H": "home"}
_ESCAPES |= {"\x1b[1~": "home", "\x1b[F": "end", "\x1b[4~": "end", "\x1bOH": "home", "\x1bOF": "end"}
_MOVES: dict[str, Callable[[int], int]] = {
    "up": lambda _page: -1,
    "down": lambda _page: 1,
    "page up": lambda page: -page,
    "page down": lambda page: page,
    "home": lambda _page: -(1 << 30),
    "end": lambda _page: 1 << 30,
}


def keys(typed: str) -> Iterator[str]:
    """What was typed, key by key; an escape sequence is one key (`up`), one that is not known none."""
    while typed:
        known = next((sequence for sequence in _ESCAPES if typed.startswith(sequence)), "")
        if known:
            yield _ESCAPES[known]
            typed = typed[len(known) :]
        elif typed[0] == "\x1b" and len(typed) > 1:
            return  # the rest of a sequence that means nothing here
        else:
            yield typed[0]
            typed = typed[1:]


def press(view: View, key: str, count: int, page: int) -> View:
    """The view after a key.  count: rows there are; page: rows on a screen."""
    if view.typing:
        return _typed(view, key)
    if key in _MOVES:
        return view._replace(first=max(0, min(view.first + _MOVES[key](page), count - page)))
    if key in _BY_KEY:
        again = view.order == _BY_KEY[key]
        return view._replace(order=_BY_KEY[key], upside_down=again and not view.upside_down, first=0)
    if key == "/":
        return view._replace(typing=True, first=0)
    if key == "\x1b":
        return view._replace(filter="", first=0)
    return view._replace(over=True) if key in ("q", "Q", "\x04") else view


def _typed(view: View, key: str) -> View:
    if key in ("\r", "\n"):
        return view._replace(typing=False)
    if key == "\x1b":
        return view._replace(typing=False, filter="")
    if key in ("\x7f", "\b"):
        return view._replace(filter=view.filter[:-1])
    return view._replace(filter=view.filter + key) if len(key) == 1 and key.isprintable() else view


# The screen ---------------------------------------------------------------------------------------------------------------------------------------


def cells(row: Row) -> tuple[str, ...]:
    """A task's cells below _HEADINGS, and its reason."""
    status, sample = row
    return (
        status.name, status.state.value, str(status.pid) if status.pid else "-", render.duration(status.uptime_s) if status.pid else "-",
        f"{sample.cpu:.1f}" if sample is not None else "-", render.size(sample.rss) if sample is not None else "-",
        str(status.restarts), render.size(status.lag_bytes), str(status.outstanding), reason(status),
    )  # fmt: skip


def columns(view: View | None = None) -> list[Column]:
    """The table's columns; the one that decides the order has a mark."""
    chosen = ORDERS[view.order].heading if view is not None else ""
    mark = "^" if view is not None and view.upside_down else "*"
    made = [
        Column(heading + mark if heading == chosen else heading, right=heading not in _LEFT, style=state_style if heading == "STATE" else _plain)
        for heading in _HEADINGS
    ]
    return [*made, Column("REASON")]


def _plain(_text: str) -> str:
    return ""


def text(rows: Sequence[Row], view: View, look: Look = PLAIN) -> str:
    """The whole table at once, for scripts."""
    return table(columns(), [cells(row) for row in ordered(rows, view)], look) if rows else "there are no tasks\n"


def screen(shot: Shot, view: View, width: int, height: int, look: Look = PLAIN) -> list[str]:
    """The lines of a screen, no more than `height`; none wider than `width`."""
    rows = ordered(shot.rows, view)
    page = max(1, height - HEAD)
    shown = rows[view.first : view.first + page]
    heads = [_summary(shot, len(rows), width, look), _help(view, width, look)]
    body = table(columns(view), [cells(row) for row in shown], look._replace(width=width)).splitlines()
    return [cut(line, width) for line in [*heads, *body]][:height]


def cut(line: str, width: int) -> str:
    """A painted line that is no wider than the screen; a table may be wider when the screen is very narrow."""
    if "\x1b" not in line:
        return render.fitted(line, width, "")
    shown, used, rest = "", 0, line
    while rest:
        if rest[0] == "\x1b":
            sequence, _, rest = rest.partition("m")
            shown += sequence + "m"
            continue
        plain, escape, after = rest.partition("\x1b")
        fits = render.fitted(plain, max(0, width - used), "") if used < width else ""
        shown, used, rest = shown + fits, used + render.width(fits), escape + after
    return shown


def _summary(shot: Shot, count: int, width: int, look: Look) -> str:
    if shot.trouble and not shot.rows:
        return look.paint(render.fitted(render.one_line(shot.trouble), width, look.more), RED)
    states: dict[str, int] = {}
    for row in shot.rows:
        states[row.status.state.value] = states.get(row.status.state.value, 0) + 1
    parts = [render.counted(len(shot.rows), "task") + (f" ({count} shown)" if count != len(shot.rows) else "")]
    parts += [f"{number} {state}" for state, number in sorted(states.items())]
    if shot.node is not None:
        node = shot.node
        parts.append(f"cpu {node.cpu:.0f}% of {node.cpus}, load {node.load1:.2f}")
        parts.append(f"memory {render.size(node.memory_used)} of {render.size(node.memory_total)}")
    if shot.trouble:
        parts.append(render.one_line(shot.trouble))
    return look.paint(render.fitted("  ".join(parts), width, look.more), BOLD)


def _help(view: View, width: int, look: Look) -> str:
    if view.typing:
        return look.paint(render.fitted(f"filter: {render.one_line(view.filter)}_", width, ""), REVERSE)
    filtered = f"  filter: {render.one_line(view.filter)} (Esc: none)" if view.filter else ""
    words = "order: c cpu  m memory  r restarts  l lag  i in-flight  n name  /  filter  q quit"
    return look.paint(render.fitted(words + filtered, width, look.more), DIM)


# The loop -----------------------------------------------------------------------------------------------------------------------------------------


def shot_of(session: Session, names: Sequence[str]) -> Shot:
    """One look; never raises what a person can wait out."""
    try:
        rows = session.core.status(list(names))
    except EfError as error:
        return Shot([], None, error.message)
    try:
        found = session.do(ResourceShow(names=[row.name for row in rows][:1000] if names else []))
    except EfError:
        return Shot([Row(row) for row in rows], None, "no figures: the resource collector does not answer")
    figures = {each.task: each.samples[-1] for each in found.rows if each.samples} if isinstance(found, Resources) else {}
    node = found.node[-1] if isinstance(found, Resources) and found.node else None
    return Shot([Row(row, figures.get(row.name)) for row in rows], node)


def once(session: Session, names: Sequence[str], view: View, output: Output, *, as_json: bool) -> int:
    """The table once, for scripts.  EfError when there is none."""
    session.core.version()
    shot = shot_of(session, names)
    if shot.trouble and not shot.rows and names:
        session.core.status(list(names))
    rows = ordered(shot.rows, view)
    if as_json:
        output.document([_document(row) for row in rows])
    else:
        output.write(text(rows, view, output.look))
    return 0


def _document(row: Row) -> dict[str, object]:
    status, sample = row
    figures = {"cpu": sample.cpu, "rss": sample.rss} if sample is not None else {"cpu": None, "rss": None}
    named = {name: getattr(status, name) for name in ("name", "state", "goal", "pid", "uptime_s", "restarts", "lag_bytes", "outstanding", "reason")}
    return {**named, **figures}


def watch(session: Session, names: Sequence[str], view: View, output: Output, interval_s: float) -> int:
    """Draw until the person has seen enough.  stdin and stdout are terminals."""
    with prepared(sys.stdin.fileno(), output) as news:
        shot, due = Shot([], None, "asking"), 0.0
        while not view.over:
            if time.monotonic() >= due:
                shot, due = shot_of(session, names), time.monotonic() + interval_s
            width, height = os.get_terminal_size(sys.stdout.fileno())
            view = _kept_inside(view, len(ordered(shot.rows, view)), height)
            draw(output, screen(shot, view, width, height, output.look))
            view = _next(view, news, due - time.monotonic(), len(ordered(shot.rows, view)), height)
    return 0


def _kept_inside(view: View, count: int, height: int) -> View:
    return view._replace(first=max(0, min(view.first, count - max(1, height - HEAD))))


def draw(output: Output, lines: Sequence[str]) -> None:
    """Put these lines on the screen in place of what is there, in one write."""
    output.out.write("\x1b[H" + "\r\n".join(f"{line}\x1b[K" for line in lines) + "\x1b[J")
    output.out.flush()


def _next(view: View, news: Sequence[int], wait_s: float, count: int, height: int) -> View:
    """The view after what was typed within so many seconds; another size of the screen ends the wait."""
    poll = select.poll()
    for fd in news:
        poll.register(fd, select.POLLIN)
    for fd, _events in poll.poll(max(0.0, wait_s) * 1000):
        typed = os.read(fd, 1024)
        if fd == news[0]:
            if not typed:
                return view._replace(over=True)
            for key in keys(typed.decode("utf-8", "ignore")):
                view = press(view, key, count, max(1, height - HEAD))
    return view


@contextmanager
def prepared(terminal: int, output: Output) -> Iterator[tuple[int, int]]:
    """The terminal gives single keys and shows its other screen, and is as it was afterwards.  Yields what to wait for: keys, and changes of size."""
    former = termios.tcgetattr(terminal)
    reader, writer = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    handler = signal.signal(signal.SIGWINCH, lambda _number, _frame: None)
    woken = signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    try:
        tty.setcbreak(terminal)
        output.out.write(ENTER_SCREEN)
        yield terminal, reader
    finally:
        output.out.write(LEAVE_SCREEN)
        output.out.flush()
        termios.tcsetattr(terminal, termios.TCSADRAIN, former)
        signal.set_wakeup_fd(woken)
        signal.signal(signal.SIGWINCH, handler)
        os.close(reader)
        os.close(writer)
