"""What a program says of itself: the protocol of sd_notify(3), the server's side.

Datagrams on a socket in the task's private folder; assignments, one a line.  Who may speak: the socket belongs to the task's user and has mode 0600,
and the kernel says with each datagram whose it is (SCM_CREDENTIALS, unix(7)): a living sender must be of the task's tree; of one that is gone
already (a shell's `systemd-notify` is) the user must be the task's.  Descriptors that are sent along are not taken: there is no room for them in the
control buffer, and the kernel drops them, which is also what ends a barrier (sd_notify_barrier(3)).
"""

from __future__ import annotations

import contextlib
import os
import socket
import struct
from collections.abc import Callable
from typing import NamedTuple

from efsupervisor.reactor import READ, Reactor

MAX_DATAGRAM = 4096
MAX_STATUS = 200
AT_ONCE = 32
LONGEST_US = 366 * 86_400 * 1_000_000
_CREDENTIALS = struct.Struct("=iII")


class Notice(NamedTuple):
    """One datagram.  status: None when nothing was said.  extend_us, watchdog_us: 0 for nothing said."""

    ready: bool = False
    stopping: bool = False
    alive: bool = False
    trigger: bool = False
    status: str | None = None
    extend_us: int = 0
    watchdog_us: int = 0


def parse(data: bytes) -> Notice:
    """What a datagram says; what is not known (MAINPID among it: we know our own) is passed over, a number that is none is not said."""
    said = dict(line.partition("=")[::2] for line in data.decode(errors="replace").splitlines() if "=" in line)
    return Notice(
        ready=said.get("READY") == "1",
        stopping=said.get("STOPPING") == "1",
        alive=said.get("WATCHDOG") == "1",
        trigger=said.get("WATCHDOG") == "trigger",
        status=_shown(said["STATUS"]) if "STATUS" in said else None,
        extend_us=_number(said.get("EXTEND_TIMEOUT_USEC", "")),
        watchdog_us=_number(said.get("WATCHDOG_USEC", "")),
    )


def _number(text: str) -> int:
    return min(int(text[:18]), LONGEST_US) if text.isascii() and text.isdigit() else 0


def _shown(text: str) -> str:
    return "".join(each if each.isprintable() else "?" for each in text.strip())[:MAX_STATUS]


def descends(pid: int, ancestors: frozenset[int], parent: Callable[[int], int | None]) -> bool | None:
    """Whether a process is one of these or below one of them; None when it is gone.  parent: its parent, None when it is gone."""
    for step in range(256):
        if pid in ancestors:
            return True
        above = parent(pid)
        if above is None:
            return None if step == 0 else False
        if above <= 1:
            return False
        pid = above
    return False


def parent_of(pid: int) -> int | None:
    """The parent of a process, zombies included."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            return int(file.read().rpartition(b")")[2].split()[1])
    except (FileNotFoundError, ProcessLookupError):
        return None


class NotifySocket:
    """The socket of one program.  uid, gid: whose it is.  belongs: whether a living pid is of the task's tree, None when it is gone."""

    def __init__(
        self, reactor: Reactor, path: str, uid: int, gid: int, belongs: Callable[[int], bool | None], heard: Callable[[Notice], None]
    ) -> None:
        self._reactor = reactor
        self._uid = uid
        self._belongs = belongs
        self._heard = heard
        self.refused = 0
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
        try:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path)
            self._socket.bind(path)
            os.chmod(path, 0o600)
            if os.geteuid() == 0:
                os.chown(path, uid, gid)
        except OSError:
            self._socket.close()
            raise
        reactor.watch(self._socket.fileno(), READ, self._arrived)

    def _arrived(self, _events: int) -> None:
        for _ in range(AT_ONCE):
            try:
                peeked = self._socket.recvmsg(MAX_DATAGRAM, socket.CMSG_SPACE(_CREDENTIALS.size), socket.MSG_PEEK)
                trusted = self._trusted(peeked[1])  # while the datagram is queued: a sender with a barrier waits until it is taken
                self._socket.recv(1)
            except BlockingIOError:
                return
            if trusted:
                self._heard(parse(peeked[0]))
            else:
                self.refused += 1

    def _trusted(self, ancillary: list[tuple[int, int, bytes]]) -> bool:
        for level, kind, data in ancillary:
            if (level, kind) == (socket.SOL_SOCKET, socket.SCM_CREDENTIALS) and len(data) >= _CREDENTIALS.size:
                pid, uid, _gid = _CREDENTIALS.unpack_from(data)
                belongs = self._belongs(pid)
                return uid in (0, self._uid) if belongs is None else belongs
        return False

    def close(self) -> None:
        """Stop listening."""
        self._reactor.forget(self._socket.fileno())
        self._socket.close()
