"""Variables of the environment in values: `${NAME}`, `${NAME:-default}`, and `$${` for the text `${`.

Only what is written is expanded, and only once: a value that comes out of the environment is never looked at again, so nobody who sets a variable can
name another.  A `$` without a brace is a text like any other.  The environment is that of the process which reads the file.

A command that is one text is split into words first and expanded then (`hidden` and `revealed`), so that a value with a blank stays one argument,
as it would in double quotes.

What all values of a configuration gain is limited: a short file could otherwise ask for gigabytes by naming one long variable again and again.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from efsupervisor.conf.convert import Unfit
from efsupervisor.conf.names import nearest, shown
from efsupervisor.conf.tree import Node, Refused, Scalar, Sequence

MAX_EXPANSION = 1 << 20
"""Characters that all expansions of one configuration may add."""

_BRACED = re.compile(r"\$(?P<literal>\$\{)|\$\{(?P<inside>[^{}]*)(?P<end>\}?)")
_INSIDE = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)(?::-(.*))?", re.DOTALL)
_MARK = "\0"
"""No text of a file holds it (nodes.py), so it may stand for a hidden expression."""
_HIDDEN = re.compile(f"{_MARK}([0-9]+){_MARK}")


class Expansion:
    """Expands texts in one environment, as long as there is room."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = environment
        self._room = MAX_EXPANSION

    def text(self, text: str) -> str:
        """The text with its variables replaced.  Unfit for a variable that is not set and for a brace that is no variable."""
        return _BRACED.sub(self._value, text) if "${" in text else text

    def words(self, text: str, split: Callable[[str], list[str]]) -> list[str]:
        """The words of a text, each expanded by itself."""
        if "${" not in text:
            return split(text)
        hidden: list[str] = []

        def hide(match: re.Match[str]) -> str:
            hidden.append(self._value(match))
            return f"{_MARK}{len(hidden) - 1}{_MARK}"

        return [_HIDDEN.sub(lambda match: hidden[int(match[1])], word) for word in split(_BRACED.sub(hide, text))]

    def _value(self, match: re.Match[str]) -> str:
        if match["literal"]:
            return "${"
        parts = _INSIDE.fullmatch(match["inside"])
        if parts is None or not match["end"]:
            raise Unfit(f'"{shown(match[0], 40)}" is no variable; write ${{NAME}} or ${{NAME:-default}}, and $${{ where the text itself is meant')
        value = self._environment.get(parts[1], "")
        if not value and parts[2] is not None:
            value = str(parts[2])
        elif not value and parts[1] not in self._environment:
            raise Unfit(self._missing(parts[1]))
        return self._within_limits(parts[1], value)

    def _missing(self, name: str) -> str:
        near = nearest(name, self._environment)
        hint = f'; did you mean "{near}"?' if near else ""
        cure = f"write ${{{shown(name, 40)}:-default}} where it may be missing, $${{{shown(name, 40)}}} where the program is to see it"
        return f'the environment has no variable "{shown(name)}"{hint or f"; {cure}"}'

    def _within_limits(self, name: str, value: str) -> str:
        self._room -= len(value)
        if self._room < 0:
            raise Unfit(f"variables add more than {MAX_EXPANSION:,} characters to this configuration")
        if not _is_text(value):
            raise Unfit(f'the variable "{shown(name)}" holds bytes that are no UTF-8 text')
        return value


def _is_text(value: str) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:  # os.environ keeps such bytes as lone surrogates
        return False
    return "\0" not in value


def expanded(node: Node, expansion: Expansion, wrong: Callable[[int, int | None, str], None]) -> Node:
    """A value with its variables replaced: a text, or the texts of a list.  What cannot be replaced is Refused, after wrong(line, item's number,
    reason)."""
    if isinstance(node, Scalar):
        return _scalar(node, expansion, lambda line, reason: wrong(line, None, reason))
    if isinstance(node, Sequence):
        items: list[Node] = []
        for number, item in enumerate(node.items):

            def at_item(line: int, reason: str, number: int = number) -> None:
                wrong(line, number, reason)

            items.append(_scalar(item, expansion, at_item) if isinstance(item, Scalar) else item)
        return Sequence(node.line, items)
    return node


def _scalar(node: Scalar, expansion: Expansion, wrong: Callable[[int, str], None]) -> Node:
    if "${" not in node.text:
        return node
    try:
        return Scalar(node.line, expansion.text(node.text), plain=False)
    except Unfit as reason:
        wrong(node.line, str(reason))
        return Refused(node.line)
