"""Where everything of one task lies below its folder, and where its FIFOs are.

Names never reach a path: the folder is named by the task's short id.  The FIFOs are in the run folder itself, or, where that file system cannot
serve as the register of DESIGN section 4 (overlayfs: most containers), in a private folder on a tmpfs whose path stands in `run/fifos`.
"""

from __future__ import annotations

import hashlib
import os

OWN_INPUT = "input"
"""What a task's own input queue is called where flows have their names."""


def own_edge_id(short_id: str) -> str:
    """The id of the edge between a task's own input queue and the task; the Core names edges (core/wiring.py), and a test holds the two together."""
    return hashlib.sha256("\0".join((OWN_INPUT, OWN_INPUT, short_id)).encode()).hexdigest()[:16]


class TaskPaths:
    """The paths of one task; nothing is touched by making one."""

    __slots__ = ("_fifos", "folder")

    def __init__(self, folder: str) -> None:
        self.folder = folder
        self._fifos: str | None = None

    @property
    def id(self) -> str:
        """The task's short id: the folder's own name."""
        return os.path.basename(self.folder)

    @property
    def run(self) -> str:
        """What dies with the boot: lock, socket, program record, FIFOs."""
        return self.folder + "/run"

    @property
    def lock(self) -> str:
        """Held by the worker, and by its child until that has recorded itself and executed."""
        return self.folder + "/run/lock"

    @property
    def worker_sock(self) -> str:
        """Where a new Core finds the worker."""
        return self.folder + "/run/worker.sock"

    @property
    def program(self) -> str:
        """The program record (efsupervisor.task.record)."""
        return self.folder + "/run/program"

    @property
    def blocked(self) -> str:
        """One byte, `1` while this task is held back by its consumers and wants their bell."""
        return self.folder + "/run/blocked"

    @property
    def state(self) -> str:
        """The worker's last report."""
        return self.folder + "/state.json"

    @property
    def delivery(self) -> str:
        """The delivery record."""
        return self.folder + "/delivery"

    @property
    def lives(self) -> str:
        """The incarnation log."""
        return self.folder + "/lives"

    @property
    def out_journal(self) -> str:
        """What the task wrote to stdout."""
        return self.folder + "/out"

    @property
    def err_journal(self) -> str:
        """What the task wrote to stderr, acknowledgements left out."""
        return self.folder + "/err"

    @property
    def input_journal(self) -> str:
        """The task's own input queue."""
        return self.folder + "/input"

    @property
    def dead_journal(self) -> str:
        """Dead letters."""
        return self.folder + "/dead"

    @property
    def dead_settled(self) -> str:
        """Which of them were put back or dropped."""
        return self.folder + "/dead-settled"

    @property
    def spool(self) -> str:
        """stderr of an `event` task as it came, not yet sorted into acknowledgements and messages."""
        return self.folder + "/spool"

    @property
    def files(self) -> str:
        """Program files that belong to the task."""
        return self.folder + "/files"

    @property
    def fifos(self) -> str:
        """The folder of the FIFOs; read from run/fifos once."""
        if self._fifos is None:
            try:
                with open(self.folder + "/run/fifos", encoding="utf-8") as file:
                    self._fifos = file.read().strip() or self.run
            except FileNotFoundError:
                return self.run
        return self._fifos

    def fifo(self, name: str) -> str:
        """Path of the FIFO `out`, `err`, `bell` or `in.<incarnation>`."""
        return f"{self.fifos}/{name}"
