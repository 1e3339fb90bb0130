"""The program of one incarnation: our child, or one that a killed worker left and that we adopted.

The difference is who reaps it.  Our own child we reap; the exit status of an adopted one comes from the kernel through its pidfd where it can say
(Linux 6.15), else from the Core that reaped it as subreaper, else it is unknown.
"""

from __future__ import annotations

import errno
import os
import signal

from efsupervisor.system import Real
from efsupervisor.task import tree
from efsupervisor.task.record import ProgramRecord

_NOBODY = frozenset({errno.EINVAL, errno.ENOENT})
"""What pidfd_open(2) says of a number that only a thread of another process has."""


class Program:
    """A running or just dead program.  pidfd is owned; started: monotonic time of its start as far as known."""

    def __init__(self, system: Real, *, incarnation: int, pid: int, start_ticks: int, pidfd: int, adopted: bool, started: float) -> None:
        self._system = system
        self.incarnation = incarnation
        self.pid = pid
        self.start_ticks = start_ticks
        self.pidfd = pidfd
        self.adopted = adopted
        self.started = started
        self.status: int | None = None
        self.reaped = False
        self.dead = False

    @classmethod
    def adopt(cls, system: Real, record: ProgramRecord) -> Program | None:
        """The recorded program when it still exists, be it as a zombie; None when it is gone or the pid is another's now.  OSError when the machine
        is short of something: then it may well live, and nobody may start a second one."""
        try:
            pidfd = system.pidfd_open(record.pid)
        except ProcessLookupError:
            return None
        except OSError as error:
            if error.errno in _NOBODY:
                return None
            raise
        ticks = _ticks_of_any(record.pid)
        if ticks != record.start_ticks:
            system.close(pidfd)
            return None
        lived_s = max(0.0, system.wall_ns() / 1e9 - record.started_wall)
        return cls(
            system, incarnation=record.incarnation, pid=record.pid, start_ticks=record.start_ticks, pidfd=pidfd, adopted=True,
            started=system.monotonic() - lived_s,
        )  # fmt: skip

    def runs(self) -> bool:
        """It is alive: not even a zombie."""
        return not self.dead and self._system.start_ticks(self.pid) == self.start_ticks

    def reap(self) -> bool:
        """Our own child: take its status; True when it is dead and reaped."""
        if self.reaped:
            return True
        try:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
        except ChildProcessError:
            self.reaped = True
            return True
        if pid:
            self.status, self.reaped = status, True
        return self.reaped

    def signal(self, number: int, cookie: bytes, *, whole: bool = True) -> None:
        """Send a signal to the program and, if `whole`, its whole tree; of one that ended while nobody watched (no pidfd) to what it left behind."""
        for pid in self._tree(cookie) if whole or self.pidfd < 0 else ():
            tree.signal_one(self._system, pid, number, member=True)
        if self.pidfd >= 0:
            self._system.pidfd_signal(self.pidfd, number)

    def _tree(self, cookie: bytes) -> list[int]:
        if self.adopted:
            found = set(tree.descendants(self.pid)) | set(tree.strays(self.pid, cookie, os.getpid()))
            return sorted(found - {self.pid, os.getpid()})
        return [pid for pid in tree.descendants(os.getpid()) if pid != self.pid]

    def leftovers(self, cookie: bytes) -> list[int]:
        """What lives on of the tree after the program's death."""
        return self._tree(cookie)

    def kill_leftovers(self, cookie: bytes) -> int:
        """SIGKILL for all of them; how many there were."""
        found = self.leftovers(cookie)
        for pid in found:
            tree.signal_one(self._system, pid, signal.SIGKILL, member=True)
        return len(found)

    def close(self) -> None:
        """Close the pidfd."""
        if self.pidfd >= 0:
            self._system.close(self.pidfd)
            self.pidfd = -1


def _ticks_of_any(pid: int) -> int | None:
    """Start time of a process, zombies included."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            return int(file.read().rpartition(b")")[2].split()[19])
    except (FileNotFoundError, ProcessLookupError):
        return None
