"""runit: runsvdir, and a runsv a service."""

from __future__ import annotations

import signal
import time
from pathlib import Path

from benchmarks.peers.peer import Peer, Wanted, await_true, installed, run_script
from benchmarks.processes import command, descendants


class Runit(Peer):
    """A folder of service folders."""

    name = "runit"
    patience_s = 1.2
    orphaned = "n/a"
    running = b"run: "

    @staticmethod
    def binaries() -> Path:
        """Installed by the system's packages, or not at all."""
        return installed("runsvdir", "runit")

    @property
    def services(self) -> Path:
        """The folder that runsvdir watches."""
        return self.folder / "services"

    def write(self, programs: Wanted) -> None:
        """One service folder a program."""
        self.services.mkdir()
        for name, keys in programs.items():
            run_script(self.services / name, keys["command"])

    @property
    def command(self) -> list[str]:
        """It stays in the foreground."""
        return [str(self.bin / "runsvdir"), str(self.services)]

    @property
    def status(self) -> list[str]:
        """One call for all."""
        return ["sh", "-c", f'{self.bin}/sv status "$0"/*', str(self.services)]

    def await_up(self) -> None:
        """Every service has its control pipe."""
        names = list(self.services.iterdir())
        await_true(lambda: all((each / "supervise" / "control").exists() for each in names), "runsvdir does not come up")

    def own(self) -> list[int]:
        """runsvdir and every runsv."""
        return [self.pid, *(pid for pid in descendants(self.pid) if command(pid).startswith(b"runsv\0"))]

    def stop(self) -> float:
        """At SIGHUP runsvdir tells each runsv to end and does not wait for them; they are waited for here."""
        keepers = self.own()[1:]
        took_s = self.end(signal.SIGHUP)
        begun = time.monotonic()
        await_true(lambda: not any(command(pid) for pid in keepers), "runsv does not end", 0.002)
        return took_s + time.monotonic() - begun
