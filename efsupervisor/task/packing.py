"""Compression of a task's closed segments, off the worker's way: a child of the worker does it, at the lowest priority, one at a time for the whole
supervisor.

The child is a fork without exec: it closes everything but the lock that it was given and its output, so that it holds neither the task's lock nor an
end of a pipe.  It dies with the worker and with the life of the program (as every errand); what it leaves half done is nothing (see
efsupervisor.journal.packed), and the next one begins that segment anew.  The lock is on the folder of all tasks and belongs to the child: whoever
does not get it asks again a little later.
"""

from __future__ import annotations

import contextlib
import fcntl
import functools
import os
from collections.abc import Callable

from efsupervisor.errors import EfError
from efsupervisor.journal import packed
from efsupervisor.journal.folder import Folder
from efsupervisor.reactor import Timer
from efsupervisor.task.errand import Errand, Errands, Outcome
from efsupervisor.task.seat import Seat

LONGEST_S = 3600.0
NICE = 19
_IDLE, _LOWEST = 3, 7
AGAIN_S = 5.0
AFTER_FAILURE_S = 600.0


class Packing:
    """For one worker."""

    def __init__(self, seat: Seat, errands: Errands) -> None:
        self._seat = seat
        self._errands = errands
        self._wanted: dict[str, Callable[[], None]] = {}
        self._errand: Errand | None = None
        self._not_before = 0.0
        self._timer: Timer | None = None

    def want(self, folder: str, packed: Callable[[], None]) -> None:
        """The journal in `folder` may have closed segments.  packed: called when one was compressed."""
        self._wanted[folder] = packed
        self._begin()

    def _begin(self) -> None:
        """The next journal that has something, when it is our turn."""
        now = self._seat.reactor.now
        if (self._errand is not None and self._errand.done is not None) or now < self._not_before:
            return
        while self._wanted:
            folder = min(self._wanted)
            if not self._has_some(folder):
                del self._wanted[folder]
            elif self._send(folder):
                return
            else:
                self._later(AGAIN_S)
                return

    def _later(self, delay_s: float) -> None:
        self._not_before = self._seat.reactor.now + delay_s
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._seat.reactor.after(delay_s, self._begin)

    def _has_some(self, folder: str) -> bool:
        try:
            with Folder(self._seat.system, folder) as journal:
                return bool(packed.unpacked(journal))
        except (OSError, EfError):
            return False

    def _send(self, folder: str) -> bool:
        """Fork the child; False when another task's is at it, or there cannot be one."""
        system = self._seat.system
        lock = system.open(os.path.dirname(self._seat.paths.folder), os.O_RDONLY | os.O_DIRECTORY)
        try:
            system.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            ended = functools.partial(self._ended, folder)
            self._errand = self._errands.fork(lambda: self._pack(folder), lock, "compression", LONGEST_S, ended)
        except BlockingIOError:
            return False
        finally:
            system.close(lock)
        return True

    def _pack(self, folder: str) -> None:
        """Runs in the child: one segment, so that nothing that is half done is ever much."""
        system = self._seat.system
        os.nice(NICE)
        system.ionice(_IDLE, _LOWEST)
        with Folder(system, folder) as journal:
            for base in packed.unpacked(journal)[:1]:
                with contextlib.suppress(FileNotFoundError):  # retention was faster
                    packed.pack(journal, base)

    def _ended(self, folder: str, outcome: Outcome) -> None:
        self._errand = None
        if folder in self._wanted:
            self._wanted[folder]()
        if outcome.good:
            self._seat.well("compression")
            self._begin()
            return
        self._later(AFTER_FAILURE_S)
        self._seat.ill("compression", f"closed segments are not compressed: {outcome.sentence}; they stay as they are, tried again later")
