"""DefaultTask: what every type of task is, and its two helpers.

A task has two sides.  In the Core, `act` forks the worker and `trm` asks it to stop; in the worker, `run` is the worker's whole life.
DefaultTaskHelper prepares a task's folder before its first act and keeps its program files, DefaultTaskDelHelper removes all of it.

A type of task is a subclass that has REQUIRED; efsupervisor.task refuses one that lacks any of them.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import signal
import socket
import stat
from collections.abc import Callable
from typing import NamedTuple

import msgspec

from efsupervisor.channel import Channel
from efsupervisor.errors import Code, EfError
from efsupervisor.messages import SetGoal, Wiring
from efsupervisor.states import Goal
from efsupervisor.system import Real, write_whole
from efsupervisor.task.delivery import fifo_keeps_register
from efsupervisor.task.paths import TaskPaths
from efsupervisor.task.private import Private

WORKER_SHIELD = -500
"""What a worker of a shielded Core has as oom_score_adj; its program has what its spec says."""

REQUIRED = ("act", "trm", "run")
"""What a type must implement itself or inherit from one that does."""

FIFO_FOLDERS = ("/dev/shm", "/run")
"""Where the FIFOs go when the run folder's file system cannot serve as register."""


class Forked(NamedTuple):
    """A worker that was forked: its pid, and the Core's end of its socketpair."""

    pid: int
    sock: socket.socket


class DefaultTask:
    """The Core's handle of a task, and the frame of its worker.  It has no `run`: that is what makes a type."""

    def __init__(self, wiring: Wiring, system: Real) -> None:
        self.wiring = wiring
        self.system = system
        self.paths = TaskPaths(wiring.task_dir)
        self.listening = -1
        """The listening socket of the task: the Core's descriptor in the Core, the worker's own in the worker; -1 for none."""

    def act(self, leave_core: Callable[[], None]) -> Forked:
        """Fork the worker.  leave_core is called first in the child: it closes what belongs to the Core alone.  OSError when there can be no
        child."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            pid = self.system.fork()
        except OSError:
            ours.close()
            theirs.close()
            raise
        if pid == 0:
            status = 70
            try:
                ours.close()
                if self.listening >= 0:  # at a low number, for the high ones are the Core's and are closed
                    self.listening = fcntl.fcntl(self.listening, fcntl.F_DUPFD_CLOEXEC, 3)
                leave_core()
                self._become_worker()
                self.run(theirs)
                status = 0
            finally:
                os._exit(status)
        theirs.close()
        return Forked(pid, ours)

    def trm(self, channel: Channel, asked_by: str) -> None:
        """Ask the worker to stop its program."""
        channel.send(SetGoal(goal=Goal.TRM, asked_by=asked_by))

    def run(self, sock: socket.socket) -> None:
        """The worker's life."""
        raise EfError(f"a task of type {type(self).__name__} has no run", Code.REFUSED)

    def _become_worker(self) -> None:
        """A session and a name of its own, a parent to its orphans, no descriptor that an exec would pass on, signals as for a new process."""
        os.setsid()
        self.system.become_subreaper()
        self.system.shield(WORKER_SHIELD)
        self.system.set_name(f"ef:{self.wiring.spec.name}")
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2):
            signal.signal(number, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_SETMASK, set())
        for name in os.listdir("/proc/self/fd"):
            if int(name) > 2:
                with contextlib.suppress(OSError):  # the listing's own descriptor is gone by now
                    os.set_inheritable(int(name), False)


class DefaultTaskHelper:
    """Prepares what a task needs on disk, and keeps the program files that were handed in for it."""

    def __init__(self, system: Real) -> None:
        self.system = system

    def prepare(self, wiring: Wiring) -> None:
        """Make folders and FIFOs that are missing; what is there stays.  EfError when the task has a flow input and no file system here can carry
        it."""
        paths = TaskPaths(wiring.task_dir)
        for folder in (paths.folder, paths.run, paths.files):
            with contextlib.suppress(FileExistsError):
                self.system.mkdir(folder, 0o700)
        if not os.path.exists(paths.folder + "/task.json"):
            about = {"version": 1, "name": wiring.spec.name, "id": paths.id}
            write_whole(self.system, paths.folder + "/task.json", msgspec.json.encode(about))
        self._place_fifos(wiring, paths)
        for name in ("out", "err", "bell"):
            self._fifo(paths.fifo(name))

    def _place_fifos(self, wiring: Wiring, paths: TaskPaths) -> None:
        """Decide once where the FIFOs are, and write it to run/fifos; after a reboot a tmpfs is empty and the folder is made anew."""
        place = paths.run + "/fifos"
        if os.path.exists(place):
            if paths.fifos != paths.run and not os.path.isdir(paths.fifos):
                self.system.mkdir(paths.fifos, 0o700)
            return
        if fifo_keeps_register(paths.run, self.system):
            write_whole(self.system, place, b"")
            return
        folder = self._elsewhere(paths)
        if folder is None:
            if wiring.inputs:
                raise EfError(
                    f"task {wiring.spec.name} takes events, but the file system of {paths.run} cannot carry its pipes and there is no tmpfs at "
                    f"{' or '.join(FIFO_FOLDERS)}: mount one, or put `var` on ext4, xfs, btrfs or tmpfs",
                    Code.SYSTEM,
                )
            write_whole(self.system, place, b"")
            return
        write_whole(self.system, place, folder.encode())

    def _elsewhere(self, paths: TaskPaths) -> str | None:
        for base in FIFO_FOLDERS:
            folder = f"{base}/efsupervisor-{paths.id}-{os.urandom(6).hex()}"
            try:
                self.system.mkdir(folder, 0o700)
            except OSError:
                continue
            if fifo_keeps_register(folder, self.system):
                return folder
            os.rmdir(folder)
        return None

    def _fifo(self, path: str) -> None:
        """A FIFO of mode 0666 in a folder of mode 0700: a program of any user may open its own /dev/stdout, nobody else reaches it."""
        try:
            mode = self.system.stat(path).st_mode
        except FileNotFoundError:
            self.system.mkfifo(path, 0o666)
            return
        if not stat.S_ISFIFO(mode):
            raise EfError(f"{path} is no FIFO: remove it", Code.DAMAGED)

    def store(self, task_dir: str, data: bytes, name: str = "program") -> str:
        """Keep one program file for the task, executable, replaced in one step; its path.  EfError for a name that is a path."""
        if not name or name != os.path.basename(name) or name.startswith("."):
            raise EfError(f"{name!r} is no file name: letters, digits, `.`, `_` and `-` without a folder", Code.BAD_NAME)
        paths = TaskPaths(task_dir)
        for folder in (paths.folder, paths.files):
            with contextlib.suppress(FileExistsError):
                self.system.mkdir(folder, 0o700)
        target = f"{paths.files}/{name}"
        write_whole(self.system, target, data, 0o700)
        return target


class DefaultTaskDelHelper:
    """Removes what a task left on disk."""

    def __init__(self, system: Real) -> None:
        self.system = system

    def remove(self, task_dir: str) -> None:
        """Remove the task's folder with its journals and its FIFOs.  EfError while a worker or a starting program holds its lock."""
        import shutil  # late: the Core is forked for every worker, and a removal is rare

        paths = TaskPaths(task_dir)
        try:
            fd = self.system.open(paths.lock, os.O_RDWR)
        except FileNotFoundError:
            fd = -1
        try:
            if fd >= 0:
                self._take(fd, task_dir)
            elsewhere = paths.fifos
            if elsewhere != paths.run:
                shutil.rmtree(elsewhere, ignore_errors=True)
            Private(self.system, paths).remove()
            with contextlib.suppress(FileNotFoundError):
                shutil.rmtree(paths.folder)
        finally:
            if fd >= 0:
                self.system.close(fd)

    def _take(self, fd: int, task_dir: str) -> None:
        try:
            self.system.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno not in (errno.EAGAIN, errno.EACCES):
                raise
            raise EfError(f"the task in {task_dir} has a worker: stop it first", Code.BAD_STATE) from None
