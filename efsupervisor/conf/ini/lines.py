"""The lines of a supervisord.conf as sections, options and values, each with the file and the line where it stands.

supervisord reads with `RawConfigParser(inline_comment_prefixes=(";", "#"), strict=False)`.  These are that parser's rules, written anew because it
forgets lines: a comment begins a line with `#` or `;`, or follows a blank anywhere in one, even inside quotes; a line that is indented deeper than
its option continues the value; sections and options that come again are merged and the last one wins; names of options are compared in lower case,
those of sections exactly; `[DEFAULT]` lends its options to every section.  Of two comments in a line the first counts, as in Python 3.14; older ones
sometimes take the second.  Source: Python's configparser, and options.py of supervisord 4.3.

Pure.  A differential test holds this against supervisord's own parser.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from efsupervisor.conf.findings import Findings
from efsupervisor.conf.names import shown

DEFAULT = "DEFAULT"
HERE = "%(here)s"
_SECTION = re.compile(r"\[(?P<header>.+)\]")
_OPTION = re.compile(r"(?P<option>.*?)\s*[=:]\s*(?P<value>.*)$")
_COMMENT = re.compile(r"(?:^|(?<=\s))[;#]")


@dataclass
class Value:
    """What one option says.  file, line: where it was said last."""

    text: str
    file: str
    line: int


@dataclass
class Part:
    """One section.  file, line: where it stands first."""

    name: str
    file: str
    line: int
    options: dict[str, Value] = field(default_factory=dict)


class Document:
    """Everything that was read, over all files, in the order in which sections came first."""

    def __init__(self) -> None:
        self.parts: dict[str, Part] = {}
        self.defaults = Part(DEFAULT, "", 0)

    def names(self) -> list[str]:
        """The sections but DEFAULT."""
        return list(self.parts)

    def value(self, section: str, option: str) -> Value | None:
        """An option of a section, or of DEFAULT; None when nobody says it."""
        part = self.parts.get(section)
        found = part.options.get(option) if part is not None else None
        return found if found is not None else self.defaults.options.get(option)

    def options(self, section: str) -> dict[str, Value]:
        """All options that a section has, those of DEFAULT included."""
        return {**self.defaults.options, **self.parts[section].options}

    def place_here(self, folder: str) -> None:
        """Put a folder in the place of every `%(here)s` that is there now: supervisord does so once for each file, when something is included."""
        for part in self.parts.values():
            for option, value in self.options(part.name).items():
                if HERE in value.text:
                    part.options[option] = Value(value.text.replace(HERE, folder), value.file, value.line)

    def take(self, text: str, findings: Findings) -> None:
        """Read one file into the document.  What is no option and no section is a finding."""
        _Reader(self, findings).read(text)


class _Reader:
    """Reads one file."""

    def __init__(self, document: Document, findings: Findings) -> None:
        self._document = document
        self._findings = findings
        self._part: Part | None = None
        self._option = ""
        self._indent = 0
        self._lines: dict[tuple[str, str], tuple[int, list[str]]] = {}
        self._headless = False

    def read(self, text: str) -> None:
        """All lines, then the values of several lines put together."""
        for number, line in enumerate(text.split("\n"), 1):
            self._line(number, line)
        for (section, option), (number, pieces) in self._lines.items():
            part = self._document.defaults if section == DEFAULT else self._document.parts[section]
            part.options[option] = Value("\n".join(pieces).rstrip(), self._findings.file, number)

    def _line(self, number: int, line: str) -> None:
        said, commented = without_comment(line)
        if not said:
            if not commented and self._part is not None and self._option:
                self._lines[self._part.name, self._option][1].append("")
            return
        indent = len(line) - len(line.lstrip())
        if self._part is not None and self._option and indent > self._indent:
            self._lines[self._part.name, self._option][1].append(said)
            return
        self._indent = indent
        header = _SECTION.match(said)
        if header:
            self._part, self._option = self._section(header["header"], number), ""
        elif self._part is None:
            self._without_section(number, said)
        else:
            self._read_option(self._part, number, said)

    def _section(self, name: str, number: int) -> Part:
        if name == DEFAULT:
            return self._document.defaults
        return self._document.parts.setdefault(name, Part(name, self._findings.file, number))

    def _without_section(self, number: int, said: str) -> None:
        if not self._headless:
            self._headless = True
            self._findings.add(number, "", f'"{shown(said, 40)}" stands before the first [section]')

    def _read_option(self, part: Part, number: int, said: str) -> None:
        match = _OPTION.match(said)
        option = match["option"].rstrip().lower() if match else ""
        if match is None or not option:
            self._findings.add(number, part.name, f'"{shown(said, 40)}" is no option: write name=value')
            return
        self._option = option
        self._lines.pop((part.name, option), None)
        self._lines[part.name, option] = (number, [match["value"].strip()])


def without_comment(line: str) -> tuple[str, bool]:
    """A line without its comment and the blanks around it, and whether there was a comment."""
    if line.strip().startswith(("#", ";")):
        return "", True
    match = _COMMENT.search(line)
    return (line[: match.start()].strip(), True) if match else (line.strip(), False)
