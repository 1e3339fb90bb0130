"""The written texts: which there are, and each as a page.  A file's first line is its title, the second is empty."""

from __future__ import annotations

from functools import lru_cache
from importlib.resources import files
from typing import NamedTuple

LANGUAGES = ("en", "ko")
"""The first is shown where another lacks a text."""

ORDER = (
    "first-steps",
    "tasks",
    "flows",
    "events",
    "jobs",
    "names",
    "configuration",
    "schedules",
    "recovery",
    "collectors",
    "web",
    "console",
    "files",
    "exit-statuses",
    "security",
    "troubleshooting",
)
"""Every text, in the order in which the overview names them."""


class Topic(NamedTuple):
    """What one may ask for, and what it is about."""

    name: str
    title: str


def topics(language: str) -> list[Topic]:
    """Every written page with its title."""
    return [Topic(name, page(name, language).partition("\n")[0]) for name in ORDER]


@lru_cache(maxsize=2 * len(ORDER))
def page(name: str, language: str) -> str:
    """The text of this name, empty when there is none."""
    if name not in ORDER:
        return ""
    for each in (language, LANGUAGES[0]):
        file = files("efsupervisor.help").joinpath("texts", each, name + ".txt")
        if file.is_file():
            return file.read_text(encoding="utf-8")
    return ""
