"""A Core of which the Nth call of the system fails, whenever the test says so.

Started in place of efsupervisor.core.main (`Supervisor(launcher=...)`).  The file named by EFS_TEST_COUNTDOWN holds one number, little endian: while
it is above 0, each call of the Core counts it down, and the call that makes it 0 fails once.  Children of the Core are left alone.  It must be run
before anything of ours is imported, for our modules keep what they took from os.
"""

from __future__ import annotations

import errno
import mmap
import os
import select
import socket
import sys
from collections.abc import Callable
from typing import Any

ERRORS = (errno.ENOMEM, errno.EMFILE, errno.EIO)
CALLS = ("open", "read", "write", "pread", "fork", "waitid", "waitpid", "pidfd_open", "pipe2", "mkfifo", "rename", "stat", "fstat", "mkdir", "unlink")

_core = os.getpid()
_getpid = os.getpid
with open(os.environ["EFS_TEST_COUNTDOWN"], "r+b") as _file:
    _countdown = mmap.mmap(_file.fileno(), 8)


def count(name: str) -> None:
    """One call of the Core; OSError when it is the one that is to fail."""
    left = int.from_bytes(_countdown[:4], "little")
    if not left or _getpid() != _core:
        return
    _countdown[:4] = (left - 1).to_bytes(4, "little")
    if left == 1:
        number = ERRORS[int.from_bytes(_countdown[4:8], "little") % len(ERRORS)]
        sys.stderr.write(f"fault: {name} fails with {errno.errorcode[number]}\n")
        raise OSError(number, os.strerror(number))


def faulty(name: str, call: Callable[..., Any]) -> Callable[..., Any]:
    def counted(*arguments: Any, **named: Any) -> Any:
        count(name)
        return call(*arguments, **named)

    return counted


class Socket(socket.socket):
    """Its talk may fail."""

    def accept(self) -> Any:
        count("accept")
        return super().accept()

    def send(self, *arguments: Any) -> int:
        count("send")
        return super().send(*arguments)

    def recv(self, *arguments: Any) -> bytes:
        count("recv")
        return super().recv(*arguments)

    def connect(self, address: Any) -> None:
        count("connect")
        super().connect(address)


class Epoll:
    """select.epoll, which cannot be inherited from."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        self._epoll = _Epoll(*arguments, **named)

    def poll(self, *arguments: Any) -> Any:
        count("epoll_wait")
        return self._epoll.poll(*arguments)

    def register(self, *arguments: Any) -> None:
        count("epoll_ctl")
        self._epoll.register(*arguments)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._epoll, name)


_Epoll = select.epoll

if __name__ == "__main__":
    for _name in CALLS:
        setattr(os, _name, faulty(_name, getattr(os, _name)))
    socket.socket = Socket  # type: ignore[misc]
    select.epoll = Epoll  # type: ignore[misc,assignment]
    from efsupervisor.core.main import main

    sys.exit(main())
