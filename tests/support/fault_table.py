"""Which call of the system is to fail next: a table in shared memory between a test and the processes of one supervisor (faulty_supervisor.py).

A point is (role, call, errno, number, lasting): the number-th such call of a process in this role fails with that errno, once, or every one from
there on until `disarm`.  While nothing is armed the table counts the calls, so that a test knows how many there are.  It must import nothing of ours.
"""

from __future__ import annotations

import errno
import mmap
from pathlib import Path
from typing import NamedTuple

ROLES = ("core", "worker", "child")
"""The Core; what it forked (workers); what those forked, until it executes."""

_DISK = (errno.ENOSPC, errno.EIO, errno.ENOMEM)
_SHORT = (errno.EMFILE, errno.ENFILE, errno.ENOMEM)
CALLS: dict[str, tuple[int, ...]] = {
    "open": (errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EIO),
    "open_file": (errno.EMFILE, errno.ENFILE, errno.ENOMEM),
    "read": (errno.EIO, errno.ENOMEM),
    "write": _DISK,
    "pread": (errno.EIO, errno.ENOMEM),
    "pwrite": _DISK,
    "lseek": (errno.EIO,),
    "splice": _DISK,
    "sendfile": (errno.EIO, errno.ENOMEM),
    "fstat": (errno.EIO, errno.ENOMEM),
    "stat": (errno.EIO, errno.ENOMEM),
    "ftruncate": _DISK,
    "rename": _DISK,
    "unlink": (errno.EIO, errno.ENOMEM),
    "mkdir": _DISK,
    "mkfifo": _DISK,
    "chmod": (errno.EIO, errno.ENOMEM),
    "utime": (errno.EIO, errno.ENOMEM),
    "listdir": _SHORT,
    "fsync": (errno.EIO, errno.ENOSPC),
    "flock": (errno.ENOLCK, errno.ENOMEM),
    "fcntl": (errno.EMFILE, errno.ENOMEM),
    "ioctl": (errno.ENOMEM,),
    "fork": (errno.EAGAIN, errno.ENOMEM),
    "waitid": (errno.ENOMEM, errno.EIO),
    "waitpid": (errno.ENOMEM, errno.EIO),
    "pidfd_open": _SHORT,
    "pidfd_send_signal": (errno.ENOMEM, errno.EAGAIN),
    "pipe2": _SHORT,
    "eventfd_read": (errno.EIO,),
    "eventfd_write": (errno.EIO, errno.ENOMEM),
    "chdir": (errno.EIO, errno.ENOMEM),
    "setsid": (errno.ENOMEM,),
    "dup2": (errno.EMFILE, errno.ENOMEM),
    "execve": (errno.ENOMEM, errno.EAGAIN, errno.EMFILE, errno.ENFILE, errno.EIO),
    "socket": _SHORT,
    "bind": (errno.ENOSPC, errno.ENOMEM),
    "accept": (errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ECONNABORTED),
    "connect": (errno.ENOMEM, errno.ECONNRESET),
    "send": (errno.ENOBUFS, errno.ENOMEM),
    "recv": (errno.ENOMEM, errno.ECONNRESET),
    "epoll_wait": (errno.ENOMEM,),
    "epoll_ctl": (errno.ENOMEM, errno.ENOSPC),
}
NAMES = tuple(CALLS)
_WORD, _COUNTS = 4, 64
_SIZE = _COUNTS + len(ROLES) * len(NAMES) * _WORD
_LEFT, _ERRNO, _ROLE, _CALL, _LASTING, _HITS = range(6)


class Point(NamedTuple):
    """One fault; see the module's docstring."""

    role: str
    call: str
    error: int
    number: int
    lasting: bool

    def __str__(self) -> str:
        which = "from number" if self.lasting else "number"
        return f"{self.call} of the {self.role}, {which} {self.number}, fails with {errno.errorcode[self.error]}"


class Table:
    """The shared table; path: its file, made when it is not there."""

    def __init__(self, path: str | Path) -> None:
        file = Path(path)
        if not file.exists():
            file.write_bytes(bytes(_SIZE))
        with open(file, "r+b") as opened:
            self._map = mmap.mmap(opened.fileno(), _SIZE)

    def _get(self, word: int) -> int:
        return int.from_bytes(self._map[word * _WORD : (word + 1) * _WORD], "little")

    def _set(self, word: int, value: int) -> None:
        self._map[word * _WORD : (word + 1) * _WORD] = value.to_bytes(_WORD, "little")

    def arm(self, point: Point) -> None:
        """From now on."""
        self._set(_HITS, 0)
        self._set(_ERRNO, point.error)
        self._set(_ROLE, ROLES.index(point.role))
        self._set(_CALL, NAMES.index(point.call))
        self._set(_LASTING, point.lasting)
        self._set(_LEFT, point.number)

    def disarm(self) -> int:
        """How many calls have failed."""
        self._set(_LEFT, 0)
        return self._get(_HITS)

    @property
    def hits(self) -> int:
        """How many calls have failed since `arm`."""
        return self._get(_HITS)

    def counted(self, role: str, call: str) -> int:
        """Calls so far, while nothing was armed."""
        return self._get(self._place(ROLES.index(role), NAMES.index(call)))

    def _place(self, role: int, call: int) -> int:
        return _COUNTS // _WORD + role * len(NAMES) + call

    def strike(self, role: int, call: int) -> int:
        """One call is made: 0, or the errno with which it is to fail."""
        left = self._get(_LEFT)
        if not left:
            place = self._place(role, call)
            self._set(place, self._get(place) + 1)
            return 0
        if call != self._get(_CALL) or role != self._get(_ROLE):
            return 0
        if left > 1:
            self._set(_LEFT, left - 1)
            return 0
        if not self._get(_LASTING):
            self._set(_LEFT, 0)
        self._set(_HITS, self._get(_HITS) + 1)
        return self._get(_ERRNO)
