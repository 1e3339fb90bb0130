"""The table of docs/console.rst, made from the declarations.  Run as a script it writes the page's table anew."""

from __future__ import annotations

import inspect
from pathlib import Path

from efsupervisor.interface import VERBS
from efsupervisor.interface.console import usage

PAGE = Path(__file__).parents[2] / "docs" / "console.rst"
BEGIN, END = "What can be said\n----------------\n", "\nTyped calls\n"
_ORDER = ("shw", "set", "add", "del", "act", "trm", "rst", "run", "hlp")


def table() -> str:
    """Every phrase with what it does and who may say it."""
    verbs = [verb for verb in VERBS.values() if verb.console]
    rows = []
    for verb in sorted(verbs, key=lambda verb: _ORDER.index(verb.console.split()[0])):
        sentence = inspect.cleandoc(verb.__doc__ or "").partition("\n")[0]
        rows.append(f"``{usage(verb).removeprefix('say: ')}``\n    {sentence}  (role ``{verb.role}``)\n")
    return "\n" + "\n".join(rows)


def with_table(page: str) -> str:
    """The page with its table as it must be; every other line stays."""
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    return before + begin + table() + end + after


def main() -> None:
    """Write the page."""
    PAGE.write_text(with_table(PAGE.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
