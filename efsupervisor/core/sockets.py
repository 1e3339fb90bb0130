"""The listening sockets that programs find as their stdin (`socket` of a task, [fcgi-program:x] of a supervisord.conf).

The Core opens one when the first task that names it starts, and every worker that it forks for such a task inherits it; so it is open as long as
anybody needs it, connections wait in its queue while a program is restarted, and none is refused.  It is closed when the last of those tasks is at
rest.  Who can die:

    a program, a worker    the Core and the other workers have it
    the Core               the workers have it, and give it to the next Core when that adopts them (SocketHeld); until then no other task starts that
                           needs it.  The same after an upgrade.
    Core and workers       the programs have it.  The next Core takes it from one of them where the kernel lets it look into them (pidfd_getfd(2)),
                           else it is opened anew when the last of those programs has ended

A socket of an earlier life of ours is told from a foreign one by nothing, so a path is taken over as supervisord does: whatever socket is there goes.
"""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import stat
from collections.abc import Iterable
from typing import NamedTuple

from efsupervisor.conf import endpoint
from efsupervisor.conf.schema import TaskSpec
from efsupervisor.core.descriptors import Descriptors
from efsupervisor.core.tasks import Task
from efsupervisor.errors import Code, EfError, JournalError, SpawnFailed
from efsupervisor.log import Log
from efsupervisor.system import Real
from efsupervisor.task.record import program_is_alive, read_program
from efsupervisor.task.spawn import ids

DEFAULT_MODE = 0o700
_TRIED_AGAIN = frozenset({errno.EADDRINUSE, errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS, errno.ENOSPC})


class Open(NamedTuple):
    """One open socket.  file: device and inode at its path, None for a TCP one."""

    fd: int
    file: tuple[int, int] | None


class Sockets:
    """Opens, lends and closes them; owns their descriptors.  tasks: all there are."""

    def __init__(self, system: Real, descriptors: Descriptors, log: Log, tasks: Iterable[Task]) -> None:
        self._system = system
        self._descriptors = descriptors
        self._log = log
        self._tasks = tasks
        self._open: dict[str, Open] = {}

    def held(self, task: Task) -> int:
        """The descriptor of its socket, ours; -1 when it names none or it is not open here."""
        found = self._open.get(task.spec.socket)
        return found.fd if found is not None else -1

    def comes(self, task: Task) -> bool:
        """A worker that was adopted is just being asked for it: nobody may open another."""
        return self.held(task) < 0 and any(other.link is not None and other.link.adopted and not other.link.reported for other in self._sharing(task))

    def hold(self, task: Task, *, program_is_alive: bool) -> None:
        """See to it that its socket is open here.  OSError: it is in use or the machine is short of something, try again; EfError: it cannot be.
        When its own program runs and has it, and does not let us look, it is not opened: that program would be cut off from it."""
        if self.held(task) >= 0:
            return
        fd = self._of_a_program(task)
        if fd < 0 and program_is_alive:
            return
        made = fd if fd >= 0 else opened(task.spec)
        self._keep(task.spec.socket, made)
        self._log.info(f"{task.spec.socket} {'is taken over from a program that has it' if fd >= 0 else 'is opened'}, for task {task.name}")

    def take(self, task: Task, named: str, fd: int) -> None:
        """What an adopted worker gave us; closed when we have it, or when it is not what the task names now."""
        if fd < 0:
            return
        if named != task.spec.socket or self.held(task) >= 0 or not _listens(fd):
            self._system.close(fd)
        else:
            self._keep(named, fd)

    def sweep(self) -> None:
        """Close those whose tasks are all at rest; the path goes if it is still that socket's."""
        if not self._open:
            return
        needed = {task.spec.socket for task in self._tasks if task.again or not task.resting}
        for named in [each for each in self._open if each not in needed]:
            gone = self._open.pop(named)
            self._system.close(gone.fd)
            where = endpoint.listening(named)
            if gone.file is not None and where is not None and _file(where.path) == gone.file:
                with contextlib.suppress(OSError):
                    os.unlink(where.path)
            self._log.info(f"{named} is closed: no task needs it")

    def _keep(self, named: str, fd: int) -> None:
        where = endpoint.listening(named)
        self._open[named] = Open(self._descriptors.lasting(fd), _file(where.path) if where is not None and where.path else None)

    def _sharing(self, task: Task) -> list[Task]:
        return [other for other in self._tasks if other.spec.socket == task.spec.socket]

    def _of_a_program(self, task: Task) -> int:
        """A copy of the socket of a living program that has it; -1 when there is none, or the kernel does not let us."""
        for other in self._sharing(task):
            with contextlib.suppress(OSError, JournalError):
                record = read_program(other.paths)
                if record is None or not program_is_alive(self._system, record):
                    continue
                pidfd = self._system.pidfd_open(record.pid)
                try:
                    if not program_is_alive(self._system, record):
                        continue  # the pid may have been another's when it was opened
                    fd = self._system.pidfd_getfd(pidfd, 0)
                finally:
                    self._system.close(pidfd)
                if _listens(fd):
                    return fd
                self._system.close(fd)
        return -1


def opened(spec: TaskSpec) -> int:
    """A new listening socket as the task wants it, at whatever number.  OSError and EfError as of `hold`; nothing is left then."""
    where = endpoint.listening(spec.socket)
    if where is None:
        raise EfError(f"{spec.socket} cannot be opened: write unix:///path, or tcp://HOST:PORT with an address or localhost", Code.CONFIG)
    sock = socket.socket(socket.AF_UNIX if where.path else where.family, socket.SOCK_STREAM)
    try:
        if where.path:
            _bind_unix(sock, where.path, spec)
        else:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.bind((where.address, where.port))
        sock.listen(spec.socket_backlog or socket.SOMAXCONN)
        return sock.detach()
    except OSError as error:
        sentence = f"{spec.socket} cannot be opened: {error.strerror or error}"
        if error.errno in _TRIED_AGAIN:
            raise OSError(error.errno, sentence) from None
        raise EfError(sentence, Code.SYSTEM) from None
    finally:
        sock.close()


def _bind_unix(sock: socket.socket, path: str, spec: TaskSpec) -> None:
    """Bound through the folder's descriptor, so that a path of any length works (unix(7): 107 bytes); with its mode and owner before it listens."""
    folder, name = os.path.split(path)
    try:
        owner = ids(spec, spec.socket_owner) if spec.socket_owner or spec.user else None
    except SpawnFailed as failed:
        raise EfError(f"{spec.socket} cannot be opened: {failed.message}", Code.CONFIG) from None
    directory = os.open(folder, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        with contextlib.suppress(FileNotFoundError):
            if not stat.S_ISSOCK(os.lstat(name, dir_fd=directory).st_mode):
                raise OSError(errno.EEXIST, "there is a file of that name that is no socket")
            os.unlink(name, dir_fd=directory)
        sock.bind(f"/proc/self/fd/{directory}/{name}")
        try:
            if owner is not None and owner != (os.geteuid(), os.getegid()):
                os.chown(name, *owner, dir_fd=directory, follow_symlinks=False)
            os.chmod(name, int(spec.socket_mode, 8) if spec.socket_mode else DEFAULT_MODE, dir_fd=directory)
        except OSError:
            os.unlink(name, dir_fd=directory)
            raise
    finally:
        os.close(directory)


def _listens(fd: int) -> bool:
    if not stat.S_ISSOCK(os.fstat(fd).st_mode):
        return False
    with socket.socket(fileno=os.dup(fd)) as sock:
        return bool(sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN))


def _file(path: str) -> tuple[int, int] | None:
    try:
        found = os.lstat(path)
    except OSError:
        return None
    return (found.st_dev, found.st_ino) if stat.S_ISSOCK(found.st_mode) else None
