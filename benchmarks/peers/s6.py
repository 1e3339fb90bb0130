"""s6: s6-svscan, and an s6-supervise a service."""

from __future__ import annotations

from pathlib import Path

from benchmarks.peers.peer import Peer, Wanted, await_true, installed, run_script
from benchmarks.processes import command, descendants


class S6(Peer):
    """A scan folder of service folders."""

    name = "s6"
    patience_s = 1.2
    orphaned = "n/a"
    running = b"up ("

    @staticmethod
    def binaries() -> Path:
        """Installed by the system's packages, or not at all."""
        return installed("s6-svscan", "s6")

    @property
    def scan(self) -> Path:
        """The scan folder."""
        return self.folder / "scan"

    def write(self, programs: Wanted) -> None:
        """One service folder a program."""
        self.scan.mkdir()
        for name, keys in programs.items():
            run_script(self.scan / name, keys["command"])

    @property
    def command(self) -> list[str]:
        """Room for a thousand services; it looks once, at its start."""
        return [str(self.bin / "s6-svscan"), "-c", "1000", "-t", "0", str(self.scan)]

    @property
    def status(self) -> list[str]:
        """s6-svstat knows one service at a time."""
        return ["sh", "-c", f'for service in "$0"/*; do {self.bin}/s6-svstat "$service"; done', str(self.scan)]

    def await_up(self) -> None:
        """It made its control folder."""
        await_true((self.scan / ".s6-svscan" / "control").exists, "s6-svscan does not come up")

    def own(self) -> list[int]:
        """The scanner and every s6-supervise."""
        return [self.pid, *(pid for pid in descendants(self.pid) if command(pid).startswith(b"s6-supervise"))]
