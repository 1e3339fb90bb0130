"""All that is wrong with a configuration, gathered over all its files so that a person mends it in one go.

A finding is one sentence: `file:line: tasks.web.comand: unknown key; did you mean "command"?`.  Whoever adds one goes on reading; only `refuse`
ends it.  Text from a file reaches a sentence through `shown` alone, so that a message cannot drive the terminal that it is printed on.

There is one Findings for each file, and those of included files share the ledger of the first.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NoReturn, Protocol

from efsupervisor.conf.names import nearest, shown
from efsupervisor.errors import ConfigError

MAX_FINDINGS = 100
"""Sentences that are kept; of a configuration with more only the number is told, and nothing is compared for their suggestions."""


class Adds(Protocol):
    """Whoever takes findings."""

    def add(self, line: int, path: str, sentence: str) -> None:
        """One finding.  line counts from 1, 0 is the file as a whole; path is the dotted key, empty for none."""
        ...


@dataclass
class _Ledger:
    """What the files of one configuration share.  kept: number of the file, line, sentence."""

    first: str
    kept: list[tuple[int, int, str]] = field(default_factory=list)
    beyond: int = 0
    files: int = 0


class Findings:
    """The findings about one file.  Truthy when there is one about any file of the same configuration."""

    def __init__(self, file: str, ledger: _Ledger | None = None) -> None:
        self.file = file
        self._ledger = ledger or _Ledger(file)
        self._number = self._ledger.files
        self._ledger.files += 1

    def __bool__(self) -> bool:
        return bool(self._ledger.kept)

    def of(self, file: str) -> Findings:
        """The findings about another file of the same configuration; in the list they follow those of the files before it."""
        return Findings(file, self._ledger)

    def add(self, line: int, path: str, sentence: str) -> None:
        """One finding.  line counts from 1, 0 is the file as a whole; path is the dotted key, empty for none."""
        if self._is_full:
            self._ledger.beyond += 1
            return
        self._ledger.kept.append((self._number, line, ": ".join(part for part in (self.place(line), path, sentence) if part)))

    def unknown(self, line: int, path: str, what: str, word: str, known: Iterable[str]) -> None:
        """A word that is not one of `known`; names the nearest one that is."""
        near = "" if self._is_full else nearest(word, known)
        self.add(line, path, f'{what}; did you mean "{near}"?' if near else what)

    @property
    def _is_full(self) -> bool:
        return len(self._ledger.kept) >= MAX_FINDINGS

    def place(self, line: int) -> str:
        """A line of this file as an editor takes it; the file alone for line 0."""
        return f"{shown(self.file, 4096)}:{line}" if line else shown(self.file, 4096)

    def place_seen_from(self, other: Findings, line: int) -> str:
        """A line of this file inside a finding about another: `line 3`, or `conf.d/web.yaml:3` when they are not the same file."""
        return f"line {line}" if other.file == self.file else self.place(line)

    def sentences(self) -> list[str]:
        """Every finding: file after file, each from its top to its end."""
        ordered = [sentence for _, _, sentence in sorted(self._ledger.kept, key=lambda each: each[:2])]
        more = f"{shown(self._ledger.first, 4096)}: {self._ledger.beyond:,} more findings are not shown"
        return [*ordered, more] if self._ledger.beyond else ordered

    def refuse(self) -> NoReturn:
        """Raise the ConfigError that holds them all."""
        raise ConfigError(self.sentences())


@dataclass(frozen=True)
class Mention:
    """Takes what is wrong with another file as a finding about the line that names it."""

    findings: Adds
    line: int
    path: str
    subject: str

    def add(self, line: int, path: str, sentence: str) -> None:
        """As Findings.add; the line of the other file is none of this one."""
        self.findings.add(self.line, self.path, f"{shown(self.subject, 4096)} {sentence}")


def below(path: str, key: str) -> str:
    """The dotted path of a key below another; bounded, so that the paths of 50,000 nodes are."""
    return f"{path}.{shown(key)}" if path else shown(key)
