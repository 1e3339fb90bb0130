"""What a measurement is given, and what it looks like."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from benchmarks.figures import Figure
from benchmarks.ours import Ours, TaskKeys
from benchmarks.peers import Supervisord
from benchmarks.tool import Tool


class Bench:
    """folder: a fresh temporary one.  supervisord: where its binaries are, None when it is not asked for.  quick: less of everything."""

    def __init__(self, folder: Path, *, quick: bool, supervisord: Path | None) -> None:
        self.folder = folder
        self.quick = quick
        self.tool = Tool(folder)
        self.skipped: dict[str, str] = {}
        self._supervisord = supervisord
        self._used = 0

    def some(self, full: int, quick: int) -> int:
        """How much of something."""
        return quick if self.quick else full

    def place(self, what: str) -> Path:
        """A path that nothing was at before."""
        self._used += 1
        return self.folder / f"{what}.{self._used}"

    @property
    def has_peers(self) -> bool:
        """Whether others are measured too."""
        return self._supervisord is not None

    def ours(self, tasks: dict[str, TaskKeys], flows: dict[str, TaskKeys] | None = None, settings: TaskKeys | None = None) -> Ours:
        """An efsupervisord that is not started yet.  settings: of the daemon itself."""
        return Ours(self.place("ours"), tasks, flows, settings)

    def supervisord(self, programs: dict[str, dict[str, object]]) -> Supervisord | None:
        """A supervisord that is not started yet; None when this run has no peers."""
        return None if self._supervisord is None else Supervisord(self.place("supervisord"), self._supervisord, programs)

    def say(self, sentence: str) -> None:
        """Tell the person who waits."""
        print(f"    {sentence}", file=sys.stderr, flush=True)


Measure = Callable[[Bench], Iterator[Figure]]
"""One measurement; it may raise OSError or RuntimeError when it cannot be made."""
