"""One connection that carries frames: a non-blocking SOCK_SEQPACKET socket with a bounded queue of what could not be sent yet.

The owner registers `fileno()` with its reactor through `attach`.  A peer that does not read fills its own queue only: over MAX_QUEUED frames the
connection is given up.  End-of-file, a broken frame and an overflow all end in one call of `on_close(reason)`; the descriptor is closed then.

A message may bring one descriptor with it (unix(7), SCM_RIGHTS) to a channel that was made to take them.  It belongs to whoever takes it with
`taken_fd` while it hears the message; one that nobody takes is closed.

Socket addresses are bound and connected through /proc/self/fd, so that a path of any length works although an address holds 107 bytes; unix(7).
"""

from __future__ import annotations

import contextlib
import os
import socket
import struct
from collections import deque
from collections.abc import Callable

from efsupervisor import messages
from efsupervisor.errors import ProtocolError
from efsupervisor.reactor import READ, WRITE, Reactor

MAX_QUEUED = 4096
_FD = struct.Struct("i")


class Channel:
    """A connected socket, a vocabulary of what may arrive on it, and whom to tell."""

    def __init__(
        self,
        sock: socket.socket,
        reactor: Reactor,
        vocabulary: object,
        on_message: Callable[[object], None],
        on_close: Callable[[str], None],
        *,
        takes_fds: bool = False,
    ) -> None:
        sock.setblocking(False)
        self._socket = sock
        self._reactor = reactor
        self._vocabulary = vocabulary
        self._on_message = on_message
        self._on_close = on_close
        self._queue: deque[tuple[bytes, int]] = deque()
        self._takes_fds = takes_fds
        self._fd = -1
        self.open = True
        reactor.watch(sock.fileno(), READ, self._ready)

    def fileno(self) -> int:
        """The socket's descriptor, -1 when closed."""
        return self._socket.fileno()

    def peer(self) -> tuple[int, int, int]:
        """(pid, uid, gid) of the peer as the kernel recorded them when the connection was made; unix(7), SO_PEERCRED."""
        pid, uid, gid = struct.unpack("iII", self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
        return pid, uid, gid

    def taken_fd(self) -> int:
        """The descriptor that came with the message that is being heard, from now on the caller's; -1 for none."""
        fd, self._fd = self._fd, -1
        return fd

    def send(self, message: object, fd: int = -1) -> None:
        """Send now, or as soon as the peer reads; never blocks.  A closed channel swallows it: its owner was told of the end.  fd: goes with it; it
        stays the caller's, and open as long as the channel."""
        if not self.open:
            return
        frame = messages.encode(message)  # type: ignore[arg-type]
        if not self._queue and self._sent(frame, fd):
            return
        if not self.open:
            return
        if len(self._queue) >= MAX_QUEUED:
            self._end("the peer does not read what it is sent")
            return
        self._queue.append((frame, fd))
        self._reactor.watch(self._socket.fileno(), READ | WRITE, self._ready)

    def _sent(self, frame: bytes, fd: int) -> bool:
        """One try; False when the peer's buffer is full, or when the line is cut (then the channel is closed)."""
        try:
            self._socket.send(frame) if fd < 0 else socket.send_fds(self._socket, [frame], [fd])
        except BlockingIOError:
            return False
        except OSError as error:
            self._end(str(error))
            return False
        return True

    def close(self) -> None:
        """Close without telling the owner."""
        if self.open:
            self.open = False
            self._drop_fd()
            self._reactor.forget(self._socket.fileno())
            self._socket.close()

    def drain(self) -> None:
        """Hear what has arrived already, for the last words of a peer that is dead."""
        if self.open:
            self._receive()

    def flush(self) -> None:
        """Try once more to send what is queued; what does not go stays queued."""
        if self.open:
            self._send_queued()

    def _ready(self, events: int) -> None:
        if events & WRITE:
            self._send_queued()
        if self.open and events & ~WRITE:
            self._receive()

    def _send_queued(self) -> None:
        while self._queue and self._sent(*self._queue[0]):
            self._queue.popleft()
        if self.open and not self._queue:
            self._reactor.watch(self._socket.fileno(), READ, self._ready)

    def _receive(self) -> None:
        for _ in range(64):  # bounded, so that a talkative peer cannot starve the others
            try:
                frame = self._frame()
            except BlockingIOError:
                return
            except OSError as error:
                self._end(str(error))
                return
            if not frame:
                self._end("the peer closed the connection")
                return
            try:
                message = messages.decode(frame, self._vocabulary)
            except ProtocolError as error:
                self._end(error.message)
                return
            self._on_message(message)
            self._drop_fd()
            if not self.open:
                return

    def _frame(self) -> bytes:
        if not self._takes_fds:
            return self._socket.recv(messages.MAX_FRAME + 1)
        # socket.recv_fds passes its flags on only in newer versions of Python, and without this one a fork at the wrong time would pass it on
        room = socket.CMSG_LEN(_FD.size)
        frame, beside, _flags, _address = self._socket.recvmsg(messages.MAX_FRAME + 1, room, socket.MSG_CMSG_CLOEXEC)
        for level, kind, data in beside:
            if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS) and len(data) >= _FD.size:
                self._fd = _FD.unpack_from(data)[0]
        return frame

    def _drop_fd(self) -> None:
        fd = self.taken_fd()
        if fd >= 0:
            os.close(fd)

    def _end(self, reason: str) -> None:
        if self.open:
            self.close()
            self._on_close(reason)


def listen(folder: str, name: str, backlog: int = 128) -> socket.socket:
    """A non-blocking listening socket at folder/name with mode 0600; an old file of that name is removed first, so the caller holds the lock that
    decides who may listen here.  OSError as the kernel gives it."""
    directory = os.open(folder, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(name, dir_fd=directory)
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        previous = os.umask(0o177)
        try:
            sock.bind(f"/proc/self/fd/{directory}/{name}")
        except OSError:
            sock.close()
            raise
        finally:
            os.umask(previous)
    finally:
        os.close(directory)
    sock.listen(backlog)
    sock.setblocking(False)
    return sock


def connect(path: str) -> socket.socket:
    """A connected socket; never waits: a listener whose backlog is full is BlockingIOError, one that died ConnectionRefusedError."""
    folder, name = os.path.split(path)
    directory = os.open(folder or ".", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    try:
        sock.setblocking(False)
        sock.connect(f"/proc/self/fd/{directory}/{name}")
    except OSError:
        sock.close()
        raise
    finally:
        os.close(directory)
    return sock
