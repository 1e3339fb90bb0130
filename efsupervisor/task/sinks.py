"""Where a fed log goes: the supervisor's own stdout, a device, a file that several tasks write to, or syslog.

A sink opens at its first write, never waits, and raises BlockingIOError when its reader takes no more.  `/dev/stdout` and its like mean the
supervisor's: a pipe or a terminal is opened anew, so that not-waiting is a matter of ours alone; a file, and what cannot be opened (a socket, another
user's pipe), is used as it is, a piece at a time and only when it has room for a whole one.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import select
import socket
import stat

from efsupervisor.system import System

SYSLOG = "/dev/log"
USER_INFO, USER_WARNING = 1 << 3 | 6, 1 << 3 | 4
_OWN = {"/dev/stdin": 0, "/dev/stdout": 1, "/dev/stderr": 2}
_NUMBERED = re.compile(r"/(?:dev/fd|proc/self/fd|proc/1/fd)/(\d{1,6})")
_ANSI = re.compile(rb"\x1b\[[0-9;:?]*[ -/]*[@-~]")


class Sink:
    """One target.  path: as it was written, for sentences."""

    def __init__(self, path: str, system: System, *, strip: bool) -> None:
        self.path = path
        self._system = system
        self._strip = strip
        self._fd = -1

    def form(self, data: bytes) -> bytes:
        """The bytes as they are written there."""
        return _ANSI.sub(b"", data) if self._strip else data

    def write(self, data: memoryview) -> int:
        """How many bytes were taken.  BlockingIOError: none now.  OSError: it cannot be written."""
        if self._fd < 0:
            self._fd = self._open()
        return self._put(data)

    def _open(self) -> int:
        return self._system.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_NONBLOCK | os.O_NOCTTY)

    def _put(self, data: memoryview) -> int:
        return self._system.write(self._fd, data)

    def waits_on(self) -> int:
        """A descriptor that says when there is room; -1 when there is none that could."""
        return self._fd if self._fd >= 0 and _can_be_watched(self._fd) else -1

    def wait(self, longest_s: float) -> None:
        """Until there is room, at the worker's very end."""
        if self._fd >= 0 and longest_s > 0:
            poll = select.poll()
            poll.register(self._fd, select.POLLOUT)
            poll.poll(longest_s * 1000)

    def close(self) -> None:
        """Give the descriptor back; the next write opens it again."""
        if self._fd >= 0:
            self._system.close(self._fd)
            self._fd = -1


class OwnStream(Sink):
    """A stream of the supervisor itself.  number: its descriptor."""

    def __init__(self, path: str, system: System, number: int, *, strip: bool) -> None:
        super().__init__(path, system, strip=strip)
        self._number = number
        self._shared = False

    def _open(self) -> int:
        mode = os.fstat(self._number).st_mode
        if stat.S_ISSOCK(mode) or stat.S_ISREG(mode):  # a file's offset must be the one that the supervisor itself writes at
            self._shared = True
            return fcntl.fcntl(self._number, fcntl.F_DUPFD_CLOEXEC, 3)
        try:
            fd = self._system.open(f"/proc/self/fd/{self._number}", os.O_WRONLY | os.O_APPEND | os.O_NONBLOCK | os.O_NOCTTY)
        except OSError:
            self._shared = True
            return fcntl.fcntl(self._number, fcntl.F_DUPFD_CLOEXEC, 3)
        self._shared = False
        return fd

    def _put(self, data: memoryview) -> int:
        if self._shared:
            poll = select.poll()
            poll.register(self._fd, select.POLLOUT)
            if not poll.poll(0):
                raise BlockingIOError(11, os.strerror(11))
        return self._system.write(self._fd, data)


class SharedFile(Sink):
    """A regular file that several channels append to, whole lines each.  Whoever finds it too large renames it, under the file's own lock."""

    def __init__(self, path: str, system: System, *, size: int, backups: int, strip: bool) -> None:
        super().__init__(path, system, strip=strip)
        self._size = size
        self._backups = backups

    def _open(self) -> int:
        fd = self._system.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK, 0o644)
        about = self._system.fstat(fd)
        if not stat.S_ISREG(about.st_mode) or about.st_nlink > 1 or about.st_uid not in (0, os.geteuid()):
            self._system.close(fd)
            raise PermissionError(1, "it is not a file of ours alone")
        if about.st_size == 0:
            self._system.fchmod(fd, 0o644)
        return fd

    def _put(self, data: memoryview) -> int:
        if not self._is_current():
            self.close()
            self._fd = self._open()
        written = self._system.write(self._fd, data)
        if self._size and self._system.fstat(self._fd).st_size > self._size:
            self._rotate()
        return written

    def _is_current(self) -> bool:
        try:
            named, opened = self._system.stat(self.path), self._system.fstat(self._fd)
        except FileNotFoundError:
            return False
        return (named.st_dev, named.st_ino) == (opened.st_dev, opened.st_ino)

    def _rotate(self) -> None:
        try:
            self._system.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return  # another one does it
        if self._is_current():
            for number in range(self._backups - 1, 0, -1):
                with contextlib.suppress(FileNotFoundError):
                    self._system.rename(f"{self.path}.{number}", f"{self.path}.{number + 1}")
            if self._backups:
                self._system.rename(self.path, f"{self.path}.1")
            else:
                self._system.unlink(self.path)
        self.close()


class Syslog(Sink):
    """The machine's syslog: one record a line, `label line`; RFC 3164 as syslog(3) writes it."""

    def __init__(self, system: System, label: str, *, strip: bool) -> None:
        super().__init__("syslog", system, strip=strip)
        self._label = label.encode()
        self._socket: socket.socket | None = None

    def write(self, data: memoryview) -> int:
        """One line, or what is left of one."""
        if self._socket is None:
            sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
            try:
                sock.connect(SYSLOG)
            except OSError:
                sock.close()
                raise
            self._socket = sock
        line = bytes(data).partition(b"\n")[0]
        self._socket.send(b"<%d>%b: %b" % (USER_INFO, self._label, line))
        return min(len(line) + 1, len(data))

    def waits_on(self) -> int:
        """Datagrams have no useful sign of room."""
        return -1

    def wait(self, longest_s: float) -> None:
        """Nothing to wait for."""

    def close(self) -> None:
        """As Sink.close."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None


def sink(path: str, system: System, *, size: int = 0, backups: int = 0, label: str = "", strip: bool = False) -> Sink:
    """The sink of a path, or of `syslog`."""
    if path == "syslog":
        return Syslog(system, label, strip=strip)
    match = _NUMBERED.fullmatch(path)
    number = _OWN.get(path, int(match[1]) if match and not path.startswith("/proc/1/") else -1)
    if number in (1, 2):
        return OwnStream(path, system, number, strip=strip)
    try:
        regular = stat.S_ISREG(os.stat(path).st_mode)
    except OSError:
        regular = not path.startswith(("/dev/", "/proc/"))
    return SharedFile(path, system, size=size, backups=backups, strip=strip) if regular else Sink(path, system, strip=strip)


def _can_be_watched(fd: int) -> bool:
    """epoll takes neither regular files nor what is always ready."""
    return stat.S_IFMT(os.fstat(fd).st_mode) in (stat.S_IFIFO, stat.S_IFSOCK) or os.isatty(fd)
