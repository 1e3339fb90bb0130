"""All that is wrong with one configuration file, gathered so that a person mends it in one go.

A finding is one sentence: `file:line: tasks.web.comand: unknown key; did you mean "command"?`.  Whoever adds one goes on reading; only `refuse`
ends it.  Text from the file reaches a sentence through `shown` alone, so that a message cannot drive the terminal that it is printed on.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NoReturn

from efsupervisor.conf.names import nearest, shown
from efsupervisor.errors import ConfigError

MAX_FINDINGS = 100
"""Sentences that are kept; of a file with more only the number is told, and nothing is compared for their suggestions."""


class Findings:
    """The findings of one file.  Truthy when there is one."""

    def __init__(self, file: str) -> None:
        self._file = file
        self._kept: list[tuple[int, str]] = []
        self._beyond = 0

    def __bool__(self) -> bool:
        return bool(self._kept)

    def add(self, line: int, path: str, sentence: str) -> None:
        """One finding.  line counts from 1, 0 is the file as a whole; path is the dotted key, empty for none."""
        if len(self._kept) >= MAX_FINDINGS:
            self._beyond += 1
            return
        place = f"{shown(self._file, 4096)}:{line}" if line else shown(self._file, 4096)
        self._kept.append((line, ": ".join(part for part in (place, path, sentence) if part)))

    def unknown(self, line: int, path: str, what: str, word: str, known: Iterable[str]) -> None:
        """A word that is not one of `known`; names the nearest one that is."""
        near = nearest(word, known) if len(self._kept) < MAX_FINDINGS else ""
        self.add(line, path, f'{what}; did you mean "{near}"?' if near else what)

    def sentences(self) -> list[str]:
        """Every finding, from the top of the file to its end."""
        ordered = [sentence for _, sentence in sorted(self._kept, key=lambda each: each[0])]
        more = f"{shown(self._file, 4096)}: {self._beyond:,} more findings are not shown"
        return [*ordered, more] if self._beyond else ordered

    def refuse(self) -> NoReturn:
        """Raise the ConfigError that holds them all."""
        raise ConfigError(self.sentences())


def below(path: str, key: str) -> str:
    """The dotted path of a key below another; bounded, so that the paths of 50,000 nodes are."""
    return f"{path}.{shown(key)}" if path else shown(key)
