"""What a measurement is given, and what it looks like."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

from benchmarks.figures import Figure
from benchmarks.ours import Ours, TaskKeys
from benchmarks.peers import PEERS, Peer, Wanted
from benchmarks.processes import nothing_left
from benchmarks.tool import Tool

T = TypeVar("T")


class Bench:
    """folder: a fresh temporary one.  peers: names of those that are measured too, and where their binaries are.  quick: less of everything."""

    def __init__(self, folder: Path, *, quick: bool, peers: dict[str, Path]) -> None:
        self.folder = folder
        self.quick = quick
        self.tool = Tool(folder)
        self.skipped: dict[str, str] = {}
        self._peers = peers
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
        return bool(self._peers)

    def ours(self, tasks: dict[str, TaskKeys], flows: dict[str, TaskKeys] | None = None, settings: TaskKeys | None = None) -> Ours:
        """An efsupervisord that is not started yet.  settings: of the daemon itself."""
        return Ours(self.place("ours"), tasks, flows, settings)

    def of_peers(
        self, what: str, measure: Callable[[Peer], T], programs: Callable[[], Wanted], which: Callable[[type[Peer]], bool] = bool
    ) -> dict[str, T]:
        """What `measure` finds for each peer, which it starts and ends itself; nothing is left of one before the next begins.  programs: made anew
        for each.  which: whom it suits.  A peer that fails, or takes for ever, is said and left out."""
        found: dict[str, T] = {}
        for name, binaries in self._peers.items():
            if not which(PEERS[name]):
                continue
            peer = PEERS[name](self.place(name), binaries, programs())
            try:
                with nothing_left():
                    found[name] = measure(peer)
            except (OSError, RuntimeError, subprocess.SubprocessError) as error:
                self.skipped[f"{name}, {what}"] = str(error)
        return found

    def say(self, sentence: str) -> None:
        """Tell the person who waits."""
        print(f"    {sentence}", file=sys.stderr, flush=True)


Measure = Callable[[Bench], Iterator[Figure]]
"""One measurement; it may raise OSError or RuntimeError when it cannot be made."""
