"""What a YAML file is after it was read and before anybody knows what its keys mean: scalars, sequences and mappings that know their lines.

Pure data, apart from nodes.py so that what only converts a value (a setting said on a command line) needs no YAML parser.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple


@dataclass(frozen=True, slots=True)
class Scalar:
    """A text exactly as written.  plain: without quotes and not a block, so an empty one is a value that was left out."""

    line: int
    text: str
    plain: bool

    @property
    def left_out(self) -> bool:
        """Nothing stands after the colon or the dash."""
        return self.plain and not self.text


@dataclass(frozen=True, slots=True)
class Sequence:
    """A list."""

    line: int
    items: list[Node]


@dataclass(frozen=True, slots=True)
class Mapping:
    """Keys and values in the order in which they were written; no key twice."""

    line: int
    entries: list[Entry]


@dataclass(frozen=True, slots=True)
class Refused:
    """Something that is already among the findings and must not cause others."""

    line: int


class Entry(NamedTuple):
    """One key of a mapping and its value."""

    key: Scalar
    value: Node


Node = Scalar | Sequence | Mapping | Refused
