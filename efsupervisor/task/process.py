"""ProcessTask: a task whose command is any program; the type `process`."""

from __future__ import annotations

import contextlib
import fcntl
import os
import select
import socket
import sys
from collections.abc import Callable

from efsupervisor.channel import Channel
from efsupervisor.log import Log
from efsupervisor.log.task import TaskLog
from efsupervisor.states import Protocol
from efsupervisor.task.default import DefaultTask, Forked
from efsupervisor.task.event import EventStdIn
from efsupervisor.task.seat import Seat
from efsupervisor.task.stdin import StdIn
from efsupervisor.task.stdout import StdOut
from efsupervisor.task.stream import StreamStdIn
from efsupervisor.task.worker import Worker

LOCK_WAIT_S = 10.0
LOCK_TRY_MS = 2


class ProcessTask(DefaultTask):
    """Runs a program as it is."""

    stdin_classes: dict[Protocol | None, type[StdIn]] = {None: StdIn, Protocol.STREAM: StreamStdIn, Protocol.EVENT: EventStdIn}
    stdout_class: type[StdOut] = StdOut

    def act(self, leave_core: Callable[[], None]) -> Forked:
        """Fork the worker (in the Core)."""
        return super().act(leave_core)

    def trm(self, channel: Channel, asked_by: str) -> None:
        """Ask the worker to stop the program (in the Core)."""
        super().trm(channel, asked_by)

    def run(self, sock: socket.socket) -> None:
        """Be the worker: take the lock, then keep the program alive until the task is at rest."""
        say = self._sayer()
        try:
            lock_fd = self._take_lock()
            if lock_fd is None:
                say("ERROR", f"another process holds the lock of this task for {LOCK_WAIT_S:g} s: this worker ends")
                return
            worker = Worker(
                self.wiring, self.system, sock, lock_fd=lock_fd, stdin_class=self._stdin, stdout_class=self.stdout_class, say=say,
                listening=self.listening,
            )  # fmt: skip
            worker.run()
        except Exception as error:
            say("ERROR", f"the worker failed: {error!r} at {_where(error)}; it is replaced, the program goes on")
            raise

    def _sayer(self) -> TaskLog:
        """This task's voice in the daemon's log."""
        wiring = self.wiring
        return TaskLog(Log(wiring.log or os.devnull, self.system, level=wiring.log_level, form=wiring.log_format), wiring.spec.name)

    def _stdin(self, seat: Seat) -> StdIn:
        spec = self.wiring.spec.input
        protocol = None if not self.wiring.inputs else (spec.protocol if spec else Protocol.STREAM)
        return self.stdin_classes[protocol](seat)

    def _take_lock(self) -> int | None:
        """The task's lock.  A child of a killed worker may hold it until its exec, a few milliseconds; there is nothing else to do meanwhile, and no
        loop yet: this is the one place that waits."""
        fd = self.system.open(self.paths.lock, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW)
        until = self.system.monotonic() + LOCK_WAIT_S
        while self.system.monotonic() < until:
            with contextlib.suppress(BlockingIOError):
                self.system.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return fd
            select.poll().poll(LOCK_TRY_MS)
        self.system.close(fd)
        return None


class ListenerTask(ProcessTask):
    """Runs an event listener below its bridge (efsupervisor.listener); its program is the bridge (task/spawn.py)."""



def _where(error: BaseException) -> str:
    import traceback  # late: the Core is forked for every worker, and this is for a fault

    frames = traceback.extract_tb(error.__traceback__ or sys.exc_info()[2])
    return " < ".join(f"{os.path.basename(frame.filename)}:{frame.lineno}" for frame in reversed(frames[-4:]))
