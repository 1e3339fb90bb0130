"""`include:`: which files a configuration brings in, in which order, and that no file brings itself in.

A pattern has its wildcards in the last part alone (`conf.d/*.yaml`), so that looking for it is one listing of one folder.  A file that was named
must be there; a pattern may match nothing, and its folder may be missing.  What matches is taken in the order of its bytes, and names that begin
with a dot only when the pattern does.  Each included file must be as trustworthy as the first one (source.py).  Reads folders and files; changes
nothing.
"""

from __future__ import annotations

import fnmatch
import os
from collections.abc import Iterator
from typing import NamedTuple, Protocol

from efsupervisor.conf.convert import Unfit, argument
from efsupervisor.conf.findings import Adds, Findings, Mention
from efsupervisor.conf.names import shown
from efsupervisor.conf.source import read_trusted
from efsupervisor.system import System

MAX_DEPTH = 8
"""Includes within includes."""
MAX_FILES = 1_000
MAX_TOTAL = 8 << 20
"""Bytes of all files together."""
_WILD = frozenset("*?[")


class Files(Protocol):
    """Where files come from."""

    def matching(self, pattern: str) -> list[str]:
        """The paths that a pattern or plain path stands for.  Unfit when its folder cannot be looked into."""
        ...

    def read(self, path: str, findings: Adds) -> bytes | None:
        """A file's bytes; None, and a finding, when it may not or cannot be read."""
        ...


class Disk:
    """The machine's files.  uid: as whom their owners are judged."""

    def __init__(self, system: System, uid: int) -> None:
        self._system = system
        self._uid = uid

    def matching(self, pattern: str) -> list[str]:
        """As Files.matching."""
        folder, name = os.path.split(pattern)
        if not _WILD & set(name):
            return [pattern]
        try:
            found = self._system.listdir(folder or ".")
        except (FileNotFoundError, NotADirectoryError):
            return []
        except (OSError, ValueError) as error:
            raise Unfit(f"{shown(folder, 4096)} cannot be listed: {error.strerror if isinstance(error, OSError) else error}") from error
        seen = [each for each in found if fnmatch.fnmatchcase(each, name) and (not each.startswith(".") or name.startswith("."))]
        return [os.path.join(folder, each) for each in sorted(seen, key=os.fsencode)]

    def read(self, path: str, findings: Adds) -> bytes | None:
        """As Files.read."""
        return read_trusted(path, findings, self._system, self._uid)


class Nowhere:
    """For a text that comes from no file: it can include nothing."""

    def matching(self, pattern: str) -> list[str]:
        """As Files.matching."""
        raise Unfit("cannot be followed: this text is read by itself")

    def read(self, path: str, findings: Adds) -> bytes | None:
        """As Files.read."""
        findings.add(0, "", "cannot be read here")
        return None


def pattern_text(text: str) -> str:
    """A path or a pattern of paths, as it may stand in `include`."""
    if not text:
        raise Unfit("names no file")
    if text == "~" or text.startswith("~/"):
        raise Unfit("begins with ~, which is not expanded; write the path in full")
    folder, name = os.path.split(argument(text))
    if _WILD & set(folder):
        raise Unfit("may have *, ? and [ ] in the file's name alone, not in the folders before it")
    if not name:
        raise Unfit(f'"{shown(text, 40)}" names a folder; write {shown(text, 40)}*.yaml for the files in it')
    return text


class Included(NamedTuple):
    """One file that is to be read: its bytes, and the findings about it."""

    path: str
    data: bytes
    findings: Findings


class Includes:
    """Hands out each included file of one configuration once.  Owns what was seen so far."""

    def __init__(self, files: Files, first: str) -> None:
        self._files = files
        self._seen: dict[str, str] = {os.path.realpath(first): ""}
        self._bytes = 0

    def of(self, patterns: list[tuple[int, str, str]], findings: Findings, trail: tuple[str, ...]) -> Iterator[Included]:
        """The files that one file includes.  patterns: line, dotted path and text of each.  trail: real paths of the files that lead here, this one
        last."""
        for line, path, pattern in patterns:
            try:
                found = self._files.matching(os.path.join(os.path.dirname(findings.file), pattern))
            except Unfit as reason:
                findings.add(line, path, str(reason))
                continue
            for file in found:
                mention = Mention(findings, line, path, file)
                data = self._new(file, findings.place(line), mention, trail)
                if data is not None:
                    yield Included(file, data, findings.of(file))

    def _new(self, file: str, place: str, mention: Mention, trail: tuple[str, ...]) -> bytes | None:
        real = os.path.realpath(file) if "\0" not in file else file
        if reason := self._unwanted(real, trail):
            mention.add(0, "", reason)
            return None
        self._seen[real] = place
        data = self._files.read(file, mention)
        self._bytes += len(data or b"")
        if self._bytes > MAX_TOTAL:
            mention.add(0, "", f"is too much: all files of a configuration together have at most {MAX_TOTAL:,} bytes")
            return None
        return data

    def _unwanted(self, real: str, trail: tuple[str, ...]) -> str:
        if real in trail:
            return "includes itself" if real == trail[-1] else "is included by a file that it includes: that would never end"
        if real in self._seen:
            return f"is included a second time; the first time in {self._seen[real]}"
        if len(trail) > MAX_DEPTH:
            return f"is included at the depth {len(trail)}; {MAX_DEPTH} is the most"
        if len(self._seen) > MAX_FILES:
            return f"is one file too many: a configuration includes at most {MAX_FILES:,}"
        return ""
