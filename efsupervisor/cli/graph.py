"""Flows drawn as text: a line for each task, and at its left the lanes through which its events run.

         [read]   RUNNING
    ┌───  lines -> sort, store
    ├──▶ [sort]   RUNNING
    │ ┌─  sorted -> store
    └─┴▶ [store]  RUNNING

Every task has a line of its own, and below it one for each flow that begins there, which says where it leads.  A lane begins at that line and runs
to the consumers, where an arrow ends at the task.  Lanes only cross at `┼` and only join at corners, at `┬` and `┴`, and at `●`, where a lane goes
on; so a picture of a hundred tasks can still be followed with a finger.  Tasks stand in the order in which events pass them, those that belong
together below each other; only the flow that closes a cycle runs upwards.  Where a terminal has no such characters the picture is made of ASCII.

Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from efsupervisor.cli import render
from efsupervisor.cli.table import state_style
from efsupervisor.cli.terminal import DIM, PLAIN, YELLOW, Look
from efsupervisor.messages.call import Arrow
from efsupervisor.states import Mode


class Pen(NamedTuple):
    """What lines are made of.  Corners: top, middle and bottom of a lane from which a line runs to the right; down, up, on: where a line passes a
    lane that begins, ends or goes on there, and joins it; cross: where it does not."""

    across: str
    lane: str
    top: str
    middle: str
    bottom: str
    down: str
    up: str
    on: str
    cross: str
    arrow: str


LINES = Pen("─", "│", "┌", "├", "└", "┬", "┴", "●", "┼", "▶")
ASCII = Pen("-", "|", "+", "+", "+", "+", "+", "+", "|", ">")


class Bundle(NamedTuple):
    """What leaves one task by one flow: one lane."""

    flow: str
    producer: str
    consumers: tuple[str, ...]
    mode: Mode
    lag_bytes: int
    held: bool


class Lane(NamedTuple):
    """A bundle in the picture.  source: the line where it begins; targets: those of its consumers; number: of the lane, counted from the names."""

    bundle: Bundle
    source: int
    targets: frozenset[int]
    number: int

    @property
    def low(self) -> int:
        """The first line it is on."""
        return min(self.source, *self.targets)

    @property
    def high(self) -> int:
        """The last line it is on."""
        return max(self.source, *self.targets)


def drawn(arrows: Sequence[Arrow], look: Look = PLAIN, pen: Pen = LINES) -> str:
    """The picture of these edges; a sentence when there are none."""
    if not arrows:
        return "there are no flows\n"
    bundles = bundled(arrows)
    lines = _lines(bundles)
    states = _states(arrows)
    lanes = laid(bundles, lines)
    widest = max(render.width(_box(text)) for text in states)
    shown = []
    for number, line in enumerate(lines):
        art = _art(number, lanes, pen, isinstance(line, str))
        if line is None:
            shown.append("")
        elif isinstance(line, str):
            box = _box(line)
            state = states[line]
            shown.append(f"{art}{box}{' ' * (widest - render.width(box))}  {look.paint(state, state_style(state))}")
        else:
            said = _said(line)
            if look.width:
                said = render.fitted(said, max(8, look.width - render.width(art) - 2), look.more)
            shown.append(f"{art}  {look.paint(said, YELLOW if line.held else DIM)}")
    return "".join(f"{line.rstrip()}\n" for line in shown)


def dot(arrows: Sequence[Arrow]) -> str:
    """The same for Graphviz."""
    lines = ["digraph flows {", "  rankdir=LR;", "  node [shape=box];"]
    lines += [f"  {_quoted(name)} [label={_quoted(f'{name} {state}')}];" for name, state in _states(arrows).items()]
    for row in bundled(arrows):
        style = ", style=dashed" if row.mode is Mode.SHARE else ""
        colour = ", color=red" if row.held else ""
        lines += [f"  {_quoted(row.producer)} -> {_quoted(name)} [label={_quoted(row.flow)}{style}{colour}];" for name in row.consumers]
    return "\n".join([*lines, "}"]) + "\n"


def _quoted(text: str) -> str:
    return '"' + render.one_line(text).replace("\\", "\\\\").replace('"', '\\"') + '"'


def _box(name: str) -> str:
    return f"[{render.one_line(name)}]"


def _said(bundle: Bundle) -> str:
    """What a line says of a flow: `lines share -> a, b  lag 12K`."""
    mode = " share" if bundle.mode is Mode.SHARE else ""
    lag = f"  lag {render.size(bundle.lag_bytes)}" if bundle.lag_bytes else ""
    held = "  holds its producer back" if bundle.held else ""
    return f"{render.one_line(bundle.flow)}{mode} -> {', '.join(map(render.one_line, bundle.consumers))}{lag}{held}"


def _states(arrows: Iterable[Arrow]) -> dict[str, str]:
    found: dict[str, str] = {}
    for arrow in arrows:
        found.setdefault(arrow.producer, arrow.producer_state.value)
        for name, state in zip(arrow.consumers, arrow.consumer_states, strict=False):
            found.setdefault(name, state.value)
        for name in arrow.consumers:
            found.setdefault(name, "")
    return found


# Order -------------------------------------------------------------------------------------------------------------------------------------------


def bundled(arrows: Iterable[Arrow]) -> list[Bundle]:
    """The edges of one flow that begin at one task as one, in the order in which they were told."""
    found: dict[tuple[str, str], Bundle] = {}
    for arrow in arrows:
        key = (arrow.flow, arrow.producer)
        before = found.get(key)
        consumers = tuple(dict.fromkeys([*(before.consumers if before else ()), *arrow.consumers]))
        lag, held = max(arrow.lag_bytes, before.lag_bytes if before else 0), arrow.held or (before.held if before else False)
        found[key] = Bundle(arrow.flow, arrow.producer, consumers, arrow.mode, lag, held)
    return list(found.values())


def ordered(bundles: Sequence[Bundle]) -> list[list[str]]:
    """The tasks, part by part (what no flow connects is another part), each before what it feeds as far as cycles allow."""
    after: dict[str, list[str]] = {}
    before: dict[str, set[str]] = {}
    for bundle in bundles:
        for consumer in bundle.consumers:
            after.setdefault(bundle.producer, []).append(consumer)
            after.setdefault(consumer, [])
            before.setdefault(bundle.producer, set())
            before.setdefault(consumer, set()).update({bundle.producer} - {consumer})
    return [_sorted(part, after, before) for part in _parts(after, before)]


def _parts(after: Mapping[str, Sequence[str]], before: Mapping[str, set[str]]) -> list[list[str]]:
    seen: set[str] = set()
    parts = []
    for start in after:
        if start in seen:
            continue
        part, left = set[str](), [start]
        while left:
            name = left.pop()
            if name not in part:
                part.add(name)
                left += [*after[name], *before[name]]
        seen |= part
        parts.append([name for name in after if name in part])
    return parts


def _sorted(part: Sequence[str], after: Mapping[str, Sequence[str]], before: Mapping[str, set[str]]) -> list[str]:
    """One part from its beginnings to its ends.  Of the tasks that may come next the one that became free last does, so chains stay together; where
    a cycle frees none, the one that waits for the fewest."""
    waits = {name: len(before[name]) for name in part}
    free = [name for name in reversed(part) if not waits[name]]
    left = dict.fromkeys(part)
    placed: list[str] = []
    while left:
        name = free.pop() if free else min(left, key=lambda each: waits[each])
        if name not in left:
            continue
        del left[name]
        placed.append(name)
        for following in reversed(list(dict.fromkeys(after[name]))):
            if following in left and following != name:
                waits[following] -= 1
                if not waits[following]:
                    free.append(following)
    return placed


# Lanes -------------------------------------------------------------------------------------------------------------------------------------------

Line = str | Bundle | None
"""A task's line, one of a flow that begins at it, or an empty one."""


def _lines(bundles: Sequence[Bundle]) -> list[Line]:
    starting: dict[str, list[Bundle]] = {}
    for bundle in bundles:
        starting.setdefault(bundle.producer, []).append(bundle)
    lines: list[Line] = []
    for part in ordered(bundles):
        if lines:
            lines.append(None)
        for name in part:
            lines += [name, *starting.get(name, [])]
    return lines


def laid(bundles: Sequence[Bundle], lines: Sequence[Line]) -> list[Lane]:
    """A lane for each bundle: the shorter, the nearer to the names; two that have a line in common never share one."""
    rows = {line: number for number, line in enumerate(lines) if line is not None}
    spans = [Lane(bundle, rows[bundle], frozenset(rows[name] for name in bundle.consumers), 0) for bundle in bundles]
    taken: list[list[Lane]] = []
    laid_: list[Lane] = []
    for span in sorted(spans, key=lambda each: (each.high - each.low, each.low)):
        free = (n for n, there in enumerate(taken) if all(span.high < other.low or other.high < span.low for other in there))
        number = next(free, len(taken))
        if number == len(taken):
            taken.append([])
        lane = span._replace(number=number)
        taken[number].append(lane)
        laid_.append(lane)
    return laid_


def _art(line: int, lanes: Sequence[Lane], pen: Pen, task: bool) -> str:
    """What stands at the left of a line.  task: arrows may end here; else one lane may begin."""
    count = max(lane.number for lane in lanes) + 1
    there = {lane.number: lane for lane in lanes if lane.low <= line <= lane.high}
    joins = {number for number, lane in there.items() if (line in lane.targets if task else line == lane.source)}
    outermost = max(joins, default=-1)
    cells = []
    for number in reversed(range(count)):
        lane = there.get(number)
        inside = number < outermost  # a line passes here
        if lane is None:
            cells.append((pen.across if inside else " ") + (pen.across if number <= outermost else " "))
            continue
        glyph = _joint(lane, line, pen, inside) if number in joins else pen.cross if inside else pen.lane
        cells.append(glyph + (pen.across if number <= outermost else " "))
    end = (pen.across + pen.arrow if task else pen.across * 2) if joins else "  "
    return "".join(cells) + end + " " * task


def _joint(lane: Lane, line: int, pen: Pen, inside: bool) -> str:
    if line == lane.low:
        return pen.down if inside else pen.top
    if line == lane.high:
        return pen.up if inside else pen.bottom
    return pen.on if inside else pen.middle
