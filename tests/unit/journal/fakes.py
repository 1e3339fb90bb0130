"""A machine for journal tests: real files, but a script decides before each call whether it happens, happens in part, fails, or is the last.

`Machine.calls` lists the names of the calls made.  `script(name)` is asked before each call: it may raise (OSError: the call fails; Killed: the
process is dead, and every later call is refused), or return a number of bytes to which a write is shortened.  bury() does what the kernel does for a
dead process: it closes its descriptors.
"""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Callable, Iterator
from typing import Any

from efsupervisor.system import REAL

_BYTES_LAST = {"splice": 2, "sendfile": 3}
_DATA_SECOND = {"write", "pwrite"}
_FREE = {"monotonic", "wall_ns"}


class Killed(BaseException):
    """SIGKILL: not an Exception, so that no handler of the product may take it for an error."""


class Machine:
    """A System; see the module's docstring."""

    def __init__(self, script: Callable[[str], int | None] = lambda name: None) -> None:
        self.script = script
        self.calls: list[str] = []
        self.dead = False
        self._mine: set[int] = set()
        self.fstat_as: Callable[[os.stat_result], os.stat_result] = lambda status: status

    def __getattr__(self, name: str) -> Any:
        real = getattr(REAL, name)
        if name in _FREE:
            return real
        return lambda *args, **named: self._call(name, real, args, named)

    def fault(self, name: str) -> None:
        self._ask(f"fault:{name}")

    def fstat(self, fd: int) -> os.stat_result:
        return self.fstat_as(self._call("fstat", REAL.fstat, (fd,), {}))

    def open(self, path: str, flags: int, mode: int = 0o600, dir_fd: int | None = None) -> int:
        fd: int = self._call("open", REAL.open, (path, flags, mode, dir_fd), {})
        self._mine.add(fd)
        return fd

    def close(self, fd: int) -> None:
        self._call("close", REAL.close, (fd,), {})
        self._mine.discard(fd)

    def descriptors(self) -> int:
        """How many are open."""
        return len(self._mine)

    def bury(self) -> None:
        for fd in self._mine:
            with contextlib.suppress(OSError):
                REAL.close(fd)
        self._mine.clear()

    def _ask(self, name: str) -> int | None:
        if self.dead:
            raise Killed
        self.calls.append(name)
        try:
            return self.script(name)
        except Killed:
            self.dead = True
            raise

    def _call(self, name: str, real: Callable[..., Any], args: tuple[Any, ...], named: dict[str, Any]) -> Any:
        most = self._ask(name)
        if most is not None:
            torn = most < 0
            done = _part(name, real, args, abs(most))
            if torn:
                self.dead = True
                raise Killed
            return done
        return real(*args, **named)


def _part(name: str, real: Callable[..., Any], args: tuple[Any, ...], most: int) -> Any:
    if name in _DATA_SECOND:
        return real(args[0], bytes(args[1])[:most], *args[2:])
    if name in _BYTES_LAST:
        at = _BYTES_LAST[name]
        return real(*args[:at], min(most, args[at]))
    return real(*args)


class StopAt:
    """A script that kills at the Nth call (from 0); a write of that number happens up to `torn` bytes first, when that is not 0."""

    def __init__(self, number: int, torn: int = 0) -> None:
        self.left = number
        self.torn = torn

    def __call__(self, name: str) -> int | None:
        self.left -= 1
        if self.left >= 0:
            return None
        if self.torn and (name in _DATA_SECOND or name in _BYTES_LAST):
            return -self.torn
        raise Killed


class Refuse:
    """A script that fails calls of one name with an error while `armed`, and counts them."""

    def __init__(self, name: str, number: int = errno.ENOSPC) -> None:
        self.name = name
        self.number = number
        self.armed = True
        self.refused = 0

    def __call__(self, name: str) -> int | None:
        if self.armed and name == self.name:
            self.refused += 1
            raise OSError(self.number, os.strerror(self.number))
        return None


class Instants:
    """A script that runs a check before each call; the check's own calls go to another machine."""

    def __init__(self, check: Callable[[], None]) -> None:
        self.check = check

    def __call__(self, name: str) -> int | None:
        self.check()
        return None


@contextlib.contextmanager
def pipe() -> Iterator[tuple[int, int]]:
    """A non-blocking pipe of 1 MiB."""
    read_end, write_end = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    REAL.pipe_size(write_end, 1 << 20)
    try:
        yield read_end, write_end
    finally:
        for fd in (read_end, write_end):
            with contextlib.suppress(OSError):
                os.close(fd)
