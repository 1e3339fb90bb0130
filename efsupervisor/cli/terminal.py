"""What is at the other end of stdout and stderr: a terminal with a width and colours, or a pipe that wants plain text.

Colours appear on a terminal only, and neither with NO_COLOR (any text in it) nor on a dumb one; a line that is rewritten in place likewise, on
stderr.  A pipe never gets a truncated line.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import NamedTuple, Protocol, TextIO

RED, GREEN, YELLOW, CYAN, DIM, BOLD = "31", "32", "33", "36", "2", "1"
PREFIXES = (CYAN, YELLOW, GREEN, "35", "34", "96", "93", "92", "95", "94")
"""Colours that tell several tasks apart."""


class Stream(Protocol):
    """What is needed of a text stream."""

    def isatty(self) -> bool:
        """Whether a person looks at it."""
        ...

    def fileno(self) -> int:
        """Its descriptor."""
        ...


class Look(NamedTuple):
    """How text should be.  width: columns, 0 for no limit.  more: what stands where something was cut off."""

    terminal: bool = False
    colours: bool = False
    width: int = 0
    more: str = "…"

    def paint(self, text: str, style: str) -> str:
        """The text in a colour, or as it is."""
        return f"\x1b[{style}m{text}\x1b[0m" if self.colours and style and text else text


PLAIN = Look()


def look_of(stream: Stream, environment: Mapping[str, str], encoding: str = "utf-8") -> Look:
    """The look that suits a stream."""
    if not stream.isatty():
        return PLAIN
    clever = environment.get("TERM", "dumb") not in ("dumb", "")
    more = "…" if encoding.lower().replace("-", "") == "utf8" else "..."
    return Look(True, clever and not environment.get("NO_COLOR"), _width(stream, environment), more)


def _width(stream: Stream, environment: Mapping[str, str]) -> int:
    said = environment.get("COLUMNS", "")
    if said.isascii() and said.isdigit() and int(said):
        return int(said)
    try:
        return os.get_terminal_size(stream.fileno()).columns
    except (OSError, ValueError):
        return 0


class Progress:
    """One line on stderr that is rewritten in place, on a terminal that can; elsewhere nothing."""

    def __init__(self, stream: TextIO, look: Look, environment: Mapping[str, str]) -> None:
        self._stream = stream
        self._width = look.width or 80
        self._on = look.terminal and environment.get("TERM", "dumb") not in ("dumb", "")
        self._shown = False

    @property
    def on(self) -> bool:
        """Whether anybody sees it."""
        return self._on

    def show(self, text: str) -> None:
        """Show this now."""
        if self._on:
            self._put("\r\x1b[K" + text[: self._width - 1])
            self._shown = True

    def clear(self) -> None:
        """Leave the line empty."""
        if self._shown:
            self._put("\r\x1b[K")
            self._shown = False

    def _put(self, text: str) -> None:
        self._stream.write(text)
        self._stream.flush()
