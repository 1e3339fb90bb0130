"""A witness file: what a program saw, written by the program itself, each record one O_APPEND write that is in the file before the program goes on.

Every program begins a life with `S <life> <pid> <incarnation>`, life being its own count, and holds a lock for as long as it lives: a second copy
that runs at the same time finds the lock taken and writes `X <pid>` instead, which no sampling can miss.  The kernel closes a dying process's
files before anyone can learn of its death, so an honest successor always gets the lock.
"""

import fcntl
import os
import sys


class Witness:
    """The open witness file of this life."""

    def __init__(self, path: str) -> None:
        self._fd = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o666)
        self._lock = os.open(path + ".lock", os.O_RDWR | os.O_CREAT, 0o666)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self.say(b"X %d" % os.getpid())
            sys.exit(99)
        self.past = self._read()
        self.life = 1 + sum(1 for record in self.past if record[:2] == b"S ")
        incarnation = os.environ.get("EFS_INCARNATION", "0").encode()
        os.write(self._fd, b"\nS %d %d %s\n" % (self.life, os.getpid(), incarnation))

    def say(self, record: bytes) -> None:
        """Append one record, or several divided by newlines."""
        os.write(self._fd, record + b"\n")

    def _read(self) -> "list[bytes]":
        size = os.fstat(self._fd).st_size
        return os.pread(self._fd, size, 0).split(b"\n") if size else []


def options() -> "dict[str, str]":
    """The `key=value` arguments after the witness path."""
    return dict(argument.split("=", 1) for argument in sys.argv[2:])


def write_all(fd: int, data: bytes) -> None:
    """Write everything to a blocking descriptor."""
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]
