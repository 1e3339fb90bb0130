"""The tables of keys in docs/configuration.rst, made from efsupervisor.conf.meanings.

The page is written by people and its tables are not: `with_tables` puts each table anew below its heading and leaves every other line alone.  Pure.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Mapping

from efsupervisor.conf.meanings import SECTIONS, Meaning
from efsupervisor.errors import Code, EfError

HEADINGS = {
    "supervisor": "supervisor",
    "web listener": "web",
    "resource collector": "resource",
    "result collector": "result",
    "posts of the collectors": "post",
    "xmlrpc of supervisord": "xmlrpc",
    "tasks": "tasks",
    "input of a task": "input",
    "output of a task": "output",
    "readiness of a task": "ready",
    "watching a task": "alive",
    "hooks of a task": "hooks",
    "kernel limits of a task": "cgroup",
    "flows": "flows",
    "groups": "groups",
    "schedules": "schedules",
}
"""Heading of the page -> section whose table stands there."""

_TOP = ".. list-table::\n   :header-rows: 1\n   :widths: 18 14 12 56\n\n   * - key\n     - value\n     - default\n     - meaning\n"
_TABLE = re.compile(r"^\.\. list-table::\n(?:(?: {3}.*)?\n)+?(?=\S|\Z)", re.MULTILINE)


def table(keys: Mapping[str, Meaning]) -> str:
    """One table, with the newline at its end."""
    return _TOP + "".join(_row(key, meaning) for key, meaning in keys.items())


def _row(key: str, meaning: Meaning) -> str:
    text = textwrap.fill(
        meaning.text.replace(".  ", ".\0 "), 143, initial_indent="     - ", subsequent_indent=" " * 7, break_long_words=False, break_on_hyphens=False
    )
    return f"   * - ``{key}``\n     - {meaning.kind}\n     - {meaning.default}\n{_two_spaces(text)}\n"


def _two_spaces(text: str) -> str:
    """A sentence's end is followed by two blanks, which textwrap must not take for a place to break twice."""
    return re.sub(r"\0 ?", "  ", text).replace("  \n", "\n")


def with_tables(page: str) -> str:
    """The page with every table as it must be.  EfError when a heading or its table is not there."""
    for heading, section in HEADINGS.items():
        begin = re.search(rf"^{heading}\n[-~]+\n", page, re.MULTILINE)
        found = _TABLE.search(page, begin.end()) if begin else None
        if found is None:
            raise EfError(f'docs/configuration.rst has no table below "{heading}"', Code.INTERNAL)
        page = page[: found.start()] + table(SECTIONS[section]) + "\n" + page[found.end() :]
    return page.rstrip("\n") + "\n"
