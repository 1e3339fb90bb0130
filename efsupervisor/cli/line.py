"""One blocking connection to a process of ours: frames, deadlines, and what to do when the other end dies in between.

Three rules make up the behaviour a person sees.

1.  Nobody there is said at once.  A socket that is missing or refuses means that nobody listens, unless `alive` knows of a process that is about to
    listen (it is starting) or about to go: that is worth the deadline.
2.  No request waits for a silent peer longer than `silence_s`.  A request that may take longer has its peer asked for a sign of life on the same
    connection meanwhile; so a stopped peer is found out too.
3.  A connection that ends before the answer is made again, and the request repeated with the same id, as long as `silence_s` has not passed since.
    A peer that hangs up MAX_SILENT_ENDS times in a row without a word means it.

`Unreachable` is what this module raises when these rules have given up; what the peer itself answered, good or bad, is handed on as it is.

Nothing here prints, and nothing here sleeps: waiting is poll(2) on descriptors that may have news.
"""

from __future__ import annotations

import errno
import os
import select
import socket
import struct
import time
from collections.abc import Callable, Iterator
from typing import NamedTuple

import msgspec

from efsupervisor import messages
from efsupervisor.channel import connect
from efsupervisor.errors import Code, EfError

MAX_SILENT_ENDS = 3
MEANWHILE_S = 0.25
_RETRY_S = 0.02


class Clock(NamedTuple):
    """The clock and the waiting; tests have their own."""

    monotonic: Callable[[], float] = time.monotonic
    wait: Callable[[float], object] = lambda seconds: select.select([], [], [], seconds)


class Peer(NamedTuple):
    """Who is at the other end.  who, advice: for sentences.  vocabulary: what it may say.  sign: makes the message that asks for a sign of life from
    an id.  alive: whether somebody is about to listen, asked only when nobody does.  silence_s, ping_s: rule 2.  lively: whether a message that came
    is a sign of life of those on whom the answer depends."""

    path: str
    who: str
    vocabulary: object
    sign: Callable[[str], msgspec.Struct]
    alive: Callable[[], bool] = lambda: False
    silence_s: float = 5.0
    ping_s: float = 1.5
    advice: str = ""
    lively: Callable[[msgspec.Struct], bool] = lambda _message: True


class Limits(NamedTuple):
    """Of one request.  within_s: the answer is due then, None for whenever it comes.  watched: signs of life are asked for meanwhile.  repeat:
    whether the request may be said again when the connection ends."""

    within_s: float | None
    watched: bool = False
    repeat: bool = True


class Unreachable(EfError):
    """No answer could be had over this line."""


class _Ended(Exception):
    """The connection ended before the answer."""


class Line:
    """Speaks with a Peer; connects when it first must.  The owner closes it.  Not for threads.  Every failure is an EfError, never OSError.

    `meanwhile` is called every MEANWHILE_S while an answer is waited for; it must be quick and raise nothing.
    """

    def __init__(self, peer: Peer, clock: Clock | None = None) -> None:
        self.peer = peer
        self.pid = 0
        self.meanwhile: Callable[[], object] | None = None
        self._clock = clock or Clock()
        self._socket: socket.socket | None = None
        self._silent_ends = 0
        self._vocabulary = peer.vocabulary

    def close(self) -> None:
        """Close the connection; the next request makes a new one."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def fileno(self) -> int:
        """The connection's descriptor, -1 while there is none."""
        return -1 if self._socket is None else self._socket.fileno()

    def ask(self, request: msgspec.Struct, request_id: str, limits: Limits, vocabulary: object = None) -> Iterator[msgspec.Struct | None]:
        """Every message with this id (or none) as it comes; None says that the request is repeated and earlier ones are void.  The caller stops by
        leaving.  vocabulary: what may come, when it is less than all that the peer says (a decoder for a few kinds is made much faster)."""
        frame = frame_of(request)
        self._vocabulary = vocabulary or self.peer.vocabulary
        began = self._clock.monotonic()
        connect_by = began + self.peer.silence_s
        due = None if limits.within_s is None else began + limits.within_s
        while True:
            try:
                self._connect(connect_by)
                self._send(frame, connect_by)
                while True:
                    message = self._receive(request_id, due, watched=limits.watched)
                    self._silent_ends = 0
                    yield message
            except _Ended:
                self._lost(repeat=limits.repeat)
                if limits.watched:
                    connect_by = self._clock.monotonic() + self.peer.silence_s
                yield None

    # The connection ------------------------------------------------------------------------------------------------------------------------------

    def _connect(self, deadline: float) -> None:
        if self._socket is not None:
            return
        lost = self.pid != 0
        while True:
            try:
                self._socket = connect(self.peer.path)
            except OSError as error:
                self._refused(error, deadline, lost=lost)
            else:
                break
            self._clock.wait(_RETRY_S)
        former, self.pid = self.pid, _peer_pid(self._socket)
        if former != self.pid:
            self._silent_ends = 0

    def _refused(self, error: OSError, deadline: float, *, lost: bool) -> None:
        """No connection.  Returns when it is worth another try, else raises what says why not."""
        who, path = self.peer.who, self.peer.path
        over = self._clock.monotonic() >= deadline
        if error.errno in (errno.EACCES, errno.EPERM):
            raise Unreachable(f"this user may not talk to the supervisor at {path}; use the user it runs as", Code.REFUSED) from error
        if error.errno == errno.EAGAIN:
            if over:
                raise Unreachable(f"{who} takes no connection within {self.peer.silence_s:g} s; it is stopped or overloaded", Code.TIMEOUT) from error
            return
        if error.errno not in (errno.ENOENT, errno.ENOTDIR, errno.ECONNREFUSED, errno.ECONNRESET):
            raise Unreachable(f"no connection to {path}: {os.strerror(error.errno or 0)}", Code.SYSTEM) from error
        if over or not (lost or self.peer.alive()):
            raise Unreachable(f"{who} is not running (nobody listens at {path}){self.peer.advice}", Code.NOT_RUNNING) from error

    def _lost(self, *, repeat: bool) -> None:
        """The connection ended; raises when trying again makes no sense."""
        self.close()
        self._silent_ends += 1
        who = self.peer.who
        if not repeat:
            raise Unreachable(f"{who} ended before it answered; `efctl status` tells whether it runs, its log what happened", Code.NOT_RUNNING)
        if self._silent_ends >= MAX_SILENT_ENDS:
            raise Unreachable(
                f"{who} (pid {self.pid}) hangs up instead of answering: it may be another version or not trust this user, see its log", Code.REFUSED
            )
        self._clock.wait(_RETRY_S)

    # Frames --------------------------------------------------------------------------------------------------------------------------------------

    def _send(self, frame: bytes, deadline: float) -> None:
        assert self._socket is not None
        while True:
            try:
                self._socket.send(frame)
            except BlockingIOError:
                if not _ready(self._socket, select.POLLOUT, deadline - self._clock.monotonic()):
                    raise self._silent() from None
            except OSError as error:
                raise _Ended from error
            else:
                return

    def _receive(self, request_id: str, due: float | None, *, watched: bool) -> msgspec.Struct:
        """The next message to this request, by `due`; watched: raises as soon as the peer has been silent too long, too."""
        heard, pinged = self._clock.monotonic(), False
        while True:
            borders = [] if due is None else [due]
            if watched:
                borders.append(heard + (self.peer.silence_s if pinged else min(self.peer.ping_s, self.peer.silence_s)))
            frame = self._frame_by(min(borders))
            if frame is not None:
                message = self._message(frame)
                if getattr(message, "id", "") in (request_id, ""):
                    return message
                if self.peer.lively(message):
                    heard, pinged = self._clock.monotonic(), False
            elif pinged or not watched or (due is not None and self._clock.monotonic() >= due):
                raise self._silent()
            else:
                pinged = True
                self._send(messages.encode(self.peer.sign(f"{request_id}-sign-of-life")), heard + self.peer.silence_s)

    def _frame_by(self, end: float) -> bytes | None:
        """One frame, or None when none came by then; what is to be done meanwhile is done."""
        while True:
            left = end - self._clock.monotonic()
            frame = self._frame(left if self.meanwhile is None else min(left, MEANWHILE_S))
            if frame is not None or self._clock.monotonic() >= end or self.meanwhile is None:
                return frame
            self.meanwhile()

    def _frame(self, wait_s: float) -> bytes | None:
        """One frame, or None when none came in time."""
        assert self._socket is not None
        if not _ready(self._socket, select.POLLIN, wait_s):
            return None
        try:
            frame = self._socket.recv(messages.MAX_FRAME + 1)
        except BlockingIOError:
            return None
        except OSError as error:
            raise _Ended from error
        if not frame:
            raise _Ended
        return frame

    def _message(self, frame: bytes) -> msgspec.Struct:
        try:
            message = messages.decode(frame, self._vocabulary)
        except EfError:
            self.close()
            raise
        assert isinstance(message, msgspec.Struct)
        return message

    def _silent(self) -> EfError:
        self.close()
        who = f"{self.peer.who} (pid {self.pid})"
        return Unreachable(f"{who} did not answer within {self.peer.silence_s:g} s; it is stopped, hung or overloaded", Code.TIMEOUT)


def frame_of(request: msgspec.Struct) -> bytes:
    """The frame of a request; EfError when it cannot be one."""
    try:
        frame = messages.encode(request)
    except UnicodeEncodeError as error:
        raise EfError("a name holds bytes that are no UTF-8", Code.BAD_NAME) from error
    if len(frame) > messages.MAX_FRAME:
        raise EfError(f"the request has {len(frame)} bytes; at most {messages.MAX_FRAME} fit into one", Code.TOO_LARGE)
    return frame


def _ready(sock: socket.socket, events: int, wait_s: float) -> bool:
    poll = select.poll()
    poll.register(sock, events)
    return bool(poll.poll(max(0.0, wait_s) * 1000))


def _peer_pid(sock: socket.socket) -> int:
    """The pid of who listens; unix(7), SO_PEERCRED."""
    pid: int = struct.unpack("iII", sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))[0]
    return pid
