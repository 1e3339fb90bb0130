"""efsupervisord of which one call of the system fails, whenever and wherever a test says so (fault_table.py): in the Core, in a worker, or in a child
of a worker before it executes.

Started in place of efsupervisor.core.main (`Supervisor(launcher=...)`), with the table's file in EFS_TEST_FAULTS.  The calls are wrapped before
anything of ours is imported, for our modules keep what they took from os.  What Python itself tries again (EINTR, PEP 475) cannot come from here.
"""

from __future__ import annotations

import builtins
import errno
import fcntl
import os
import select
import signal
import socket
import sys
from collections.abc import Callable
from typing import Any

from tests.support.fault_table import NAMES, ROLES, Table

_table = Table(os.environ["EFS_TEST_FAULTS"])
_story = os.environ["EFS_TEST_FAULTS"] + ".log"
_number = {name: number for number, name in enumerate(NAMES)}
_open, _write, _close = os.open, os.write, os.close
_role = 0


def _forked() -> None:
    global _role
    _role = min(_role + 1, len(ROLES) - 1)


def count(name: str) -> None:
    """One call is made; OSError when it is the one that is to fail."""
    error = _table.strike(_role, _number[name])
    if error:
        fd = _open(_story, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        _write(fd, f"{os.getpid()} {ROLES[_role]}: {name} fails with {errno.errorcode[error]}\n".encode())
        _close(fd)
        raise OSError(error, os.strerror(error))


def faulty(name: str, call: Callable[..., Any]) -> Callable[..., Any]:
    """The call, counted."""

    def counted(*arguments: Any, **named: Any) -> Any:
        count(name)
        return call(*arguments, **named)

    return counted


class Socket(socket.socket):
    """Its talk may fail."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        if named.get("fileno") is None and len(arguments) < 4:
            count("socket")
        super().__init__(*arguments, **named)

    def bind(self, *arguments: Any) -> None:
        count("bind")
        super().bind(*arguments)

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

    def modify(self, *arguments: Any) -> None:
        count("epoll_ctl")
        self._epoll.modify(*arguments)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._epoll, name)


_Epoll = select.epoll


def wrap() -> None:
    """From now on every call counts."""
    os.register_at_fork(after_in_child=_forked)
    for module in (os, fcntl, signal):
        for name in NAMES:
            if hasattr(module, name) and not (module is os and name == "open_file"):
                setattr(module, name, faulty(name, getattr(module, name)))
    builtins.open = faulty("open_file", builtins.open)
    socket.socket = Socket  # type: ignore[misc]
    select.epoll = Epoll  # type: ignore[misc,assignment]


if __name__ == "__main__":
    wrap()
    from efsupervisor.core.main import main

    sys.exit(main())
