"""The ends of FIFOs that the Core keeps open and never uses, so that nothing is lost or ended between two workers.

Read ends of each task's `out` and `err`: while somebody holds one, what a program wrote stays in the pipe although its worker is dead.  The write end
of a job's stdin: while somebody holds one, the program sees no end-of-file although its worker is dead.  DESIGN section 2.4. """

from __future__ import annotations

import contextlib
import os
import stat

from efsupervisor.core.descriptors import Descriptors
from efsupervisor.core.tasks import Held, Task
from efsupervisor.system import System

OUTPUTS = ("out", "err")


class Fifos:
    """Opens and closes them; the descriptors are kept in the Task."""

    def __init__(self, system: System, descriptors: Descriptors) -> None:
        self._system = system
        self._descriptors = descriptors

    def hold_outputs(self, task: Task) -> None:
        """Hold the read ends that exist now.  A FIFO that was made anew replaces the one that is held.  OSError (EMFILE) as the kernel gives it."""
        for name in OUTPUTS:
            path = task.paths.fifo(name)
            fd = task.outputs.get(name)
            if fd is not None:
                if self._is_still(fd, path):
                    continue
                self._system.close(task.outputs.pop(name))
            with contextlib.suppress(FileNotFoundError):
                task.outputs[name] = self._open(path, os.O_RDONLY)

    def hold_input(self, task: Task, incarnation: int, path: str) -> tuple[bool, bool]:
        """Hold the write end of one incarnation's stdin: (held, it was held before).  An earlier incarnation's is closed: its program is dead."""
        if task.held is not None and task.held.incarnation == incarnation:
            return True, True
        self.release_input(task)
        try:
            task.held = Held(incarnation, self._open(path, os.O_WRONLY))
        except OSError:
            return False, False  # ENXIO: nobody reads it, so there is nothing to keep from ending
        return True, False

    def release_input(self, task: Task) -> None:
        """Close the write end."""
        if task.held is not None:
            self._system.close(task.held.fd)
            task.held = None

    def release(self, task: Task) -> None:
        """Close everything of a task that is being forgotten."""
        self.release_input(task)
        for fd in task.outputs.values():
            self._system.close(fd)
        task.outputs.clear()

    def _open(self, path: str, mode: int) -> int:
        fd = self._system.open(path, mode | os.O_NONBLOCK | os.O_NOFOLLOW)
        if not stat.S_ISFIFO(self._system.fstat(fd).st_mode):
            self._system.close(fd)
            raise OSError(22, "not a FIFO", path)
        return self._descriptors.lasting(fd)

    def _is_still(self, fd: int, path: str) -> bool:
        try:
            named = self._system.stat(path)
        except FileNotFoundError:
            return False
        opened = self._system.fstat(fd)
        return (named.st_dev, named.st_ino) == (opened.st_dev, opened.st_ino)
