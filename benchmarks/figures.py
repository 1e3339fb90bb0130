"""Figures and how they are shown: a table for people, JSON for programs, reStructuredText for a page."""

from __future__ import annotations

import json
import re
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Target:
    """What the figure must reach: `at most limit` or `at least limit`.  text says it where the bare number would not do."""

    limit: float
    at_least: bool = False
    text: str = ""

    def met(self, value: float) -> bool:
        """Whether the value reaches it."""
        return value >= self.limit if self.at_least else value <= self.limit

    def __str__(self) -> str:
        return self.text or f"{'>=' if self.at_least else '<='} {number(self.limit)}"


@dataclass(frozen=True)
class Figure:
    """One measured number: the median of `values`.  peers: the same figure of others, by their name; a text where there is no number."""

    name: str
    unit: str
    values: Sequence[float]
    target: Target | None = None
    peers: dict[str, float | str] = field(default_factory=dict)
    note: str = ""

    @property
    def value(self) -> float:
        """The median."""
        return statistics.median(self.values)

    @property
    def met(self) -> bool | None:
        """Whether the target is reached; None without one."""
        return None if self.target is None else self.target.met(self.value)

    def row(self) -> list[str]:
        """The cells of the table but the peers'."""
        spread = f"{number(min(self.values))} .. {number(max(self.values))}" if len(self.values) > 1 else ""
        verdict = {None: "", True: "yes", False: "NO"}[self.met]
        return [self.name, number(self.value), self.unit, str(self.target or ""), verdict, spread]


def ratio(ours: Figure, against: str) -> float:
    """How many times the peer's figure ours is."""
    theirs = ours.peers[against]
    assert isinstance(theirs, float)
    return ours.value / theirs


def number(value: float) -> str:
    """Three figures that matter, thousands set apart."""
    if value == 0 or abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def table(figures: Sequence[Figure]) -> str:
    """All figures, one a line, in columns as wide as they need."""
    rows = _rows(figures)
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n".join(_line(row, widths) for row in rows)


def as_rst(machine: str, figures: Sequence[Figure], skipped: dict[str, str], day: str) -> str:
    """The table for a page, below a sentence that says where and when; what nobody has a value for is not a column."""
    rows = _rows(figures)
    kept = [column for column in range(len(rows[0])) if column < 2 or any(row[column] for row in rows[1:])]
    lines = [f"Measured on {day}: {_plain(machine)}.", "", ".. list-table::", "   :header-rows: 1", ""]
    for row in rows:
        lines += [f"   {'*' if number == 0 else ' '} - {_plain(row[column].strip())}".rstrip() for number, column in enumerate(kept)]
    if skipped:
        lines += ["", "Not measured:", "", *(f"- {_plain(what)}: {_plain(why)}" for what, why in skipped.items())]
    return "\n".join(lines)


def _plain(text: str) -> str:
    """One line in which nothing is markup."""
    return re.sub(r"([\\*`|_<>])", r"\\\1", " ".join(text.split()))


def _rows(figures: Sequence[Figure]) -> list[list[str]]:
    """The header, then the cells of each figure; as many columns of peers as there are peers."""
    peers = list(dict.fromkeys(peer for figure in figures for peer in figure.peers))
    rows = [["figure", "ours", "unit", "target", "met", "spread", *peers, "note"]]
    for figure in figures:
        theirs = [figure.peers.get(peer, "") for peer in peers]
        rows.append([*figure.row(), *(each if isinstance(each, str) else number(each) for each in theirs), figure.note])
    return rows


def _line(row: Sequence[str], widths: Sequence[int]) -> str:
    numeric = {1, *range(6, len(row) - 1)}
    cells = (cell.rjust(width) if column in numeric else cell.ljust(width) for column, (cell, width) in enumerate(zip(row, widths, strict=True)))
    return "  ".join(cells).rstrip()


def as_json(machine: str, figures: Iterable[Figure], skipped: dict[str, str]) -> str:
    """The same for a program; `skipped` says what was not measured, and why."""
    rows = [
        {
            "name": figure.name,
            "unit": figure.unit,
            "value": figure.value,
            "values": list(figure.values),
            "target": None if figure.target is None else str(figure.target),
            "met": figure.met,
            "peers": figure.peers,
            "note": figure.note,
        }
        for figure in figures
    ]
    return json.dumps({"machine": machine, "figures": rows, "skipped": skipped}, indent=2)
