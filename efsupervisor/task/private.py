"""The private folder of a running program: its notification socket and its secrets, in memory (a tmpfs) where there is one.

A name of its own below a short path (the address of a socket has 107 bytes), of mode 0711 and unguessable: what is in it belongs to the task's user
and has mode 0600 or less.  It is made before the program, written down in the task's run folder so that a successor finds it, and removed when the
life is closed.  What a secret says is copied from file to file and never anywhere else.
"""

from __future__ import annotations

import contextlib
import errno
import os

from efsupervisor.conf.schema import TaskSpec
from efsupervisor.errors import SpawnFailed
from efsupervisor.system import Real, write_whole
from efsupervisor.task.paths import TaskPaths

BASES = ("/run", "/dev/shm", "/tmp")
MAX_SECRET = 1 << 20
SOCKET, SECRETS = "notify", "credentials"


def needed(spec: TaskSpec) -> bool:
    """Whether a task has anything to put there."""
    return bool(spec.secrets) or speaks(spec)


def speaks(spec: TaskSpec) -> bool:
    """Whether its program may say things with sd_notify."""
    return (spec.ready is not None and spec.ready.notify) or (spec.alive is not None and spec.alive.watchdog_s > 0)


class Private:
    """The folder of one task."""

    def __init__(self, system: Real, paths: TaskPaths, bases: tuple[str, ...] = BASES) -> None:
        self._system = system
        self._paths = paths
        self._bases = bases
        self._record = paths.run + "/private"
        self.folder = self._recorded()

    def _recorded(self) -> str:
        try:
            with open(self._record, encoding="utf-8") as file:
                return file.read().strip()
        except FileNotFoundError:
            return ""

    @property
    def socket(self) -> str:
        """Path of the notification socket."""
        return f"{self.folder}/{SOCKET}"

    def make(self, spec: TaskSpec, uid: int, gid: int) -> dict[str, str]:
        """Make it anew with the task's secrets; the variables that tell the program of it.  uid, gid: whose it is.  SpawnFailed names what cannot be
        had, never what is in it."""
        self.remove()
        try:
            self.folder = self._new()
            os.chmod(self.folder, 0o711)
            return self._put(spec.secrets, uid, gid) if spec.secrets else {}
        except OSError as error:
            raise SpawnFailed("secrets", error.errno or 0, f"no private folder can be made: {error.strerror}", transient=True) from error

    def _new(self) -> str:
        last: OSError | None = None
        for base in self._bases:
            folder = f"{base}/efsupervisor-{self._paths.id}-{os.urandom(6).hex()}"
            try:
                self._system.mkdir(folder, 0o700)
            except OSError as error:
                last = error
                continue
            try:
                write_whole(self._system, self._record, folder.encode())
            except OSError:
                os.rmdir(folder)
                raise
            return folder
        raise last or OSError(errno.ENOENT, os.strerror(errno.ENOENT))

    def _put(self, secrets: dict[str, str], uid: int, gid: int) -> dict[str, str]:
        folder = f"{self.folder}/{SECRETS}"
        self._system.mkdir(folder, 0o700)
        found = {"CREDENTIALS_DIRECTORY": folder}
        for name, source in secrets.items():
            target = f"{folder}/{name}"
            fd = self._system.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o400)
            try:
                self._copy(name, source, fd)
                self._system.fchmod(fd, 0o400)
                _give(fd, uid, gid)
            finally:
                self._system.close(fd)
            found[f"{name}_FILE"] = target
        os.chmod(folder, 0o500)
        _give(folder, uid, gid)
        return found

    def _copy(self, name: str, source: str, target: int) -> None:
        try:
            fd = self._system.open(source, os.O_RDONLY | os.O_NONBLOCK)
        except OSError as error:
            raise SpawnFailed("secrets", error.errno or 0, f"secret {name}: {source} cannot be read: {error.strerror}", transient=False) from error
        try:
            data = b""
            while piece := self._system.read(fd, 65536):
                data += piece
                if len(data) > MAX_SECRET:
                    raise SpawnFailed("secrets", errno.EFBIG, f"secret {name}: {source} has more than {MAX_SECRET:,} bytes", transient=False)
        except OSError as error:
            raise SpawnFailed("secrets", error.errno or 0, f"secret {name}: {source} cannot be read: {error.strerror}", transient=False) from error
        finally:
            self._system.close(fd)
        while data:
            data = data[self._system.write(target, data) :]

    def remove(self) -> None:
        """Remove it with all that is in it; again is harmless."""
        if not self.folder:
            return
        for folder in (f"{self.folder}/{SECRETS}", self.folder):
            with contextlib.suppress(FileNotFoundError, NotADirectoryError, PermissionError):
                os.chmod(folder, 0o700)
                for name in os.listdir(folder):
                    with contextlib.suppress(IsADirectoryError):
                        self._system.unlink(f"{folder}/{name}")
                os.rmdir(folder)
        with contextlib.suppress(FileNotFoundError):
            self._system.unlink(self._record)
        self.folder = ""


def _give(what: int | str, uid: int, gid: int) -> None:
    if os.geteuid() == 0:
        os.chown(what, uid, gid)
