"""One blocking connection to the Core: requests, deadlines, and what to do when the Core dies in between.

Three rules make up the behaviour a person sees.

1.  A supervisor that does not run is said at once.  A socket that is missing or refuses means that nobody runs, unless `core.json` beside it names
    a process that is alive: that one is about to listen (it is starting) or about to go, and is worth the deadline.
2.  No request waits for a silent Core longer than ANSWER_S.  Requests that are meant to wait (`act`, `trm` and `shutdown` until tasks are at rest)
    have no limit of their own, but the Core must answer a VersionRequest on the same connection meanwhile; so a stopped Core is found out too.
3.  A connection that ends before the answer is made again, and the request repeated, as long as ANSWER_S has not passed since: all requests may be
    repeated (a put carries its own id) but `shutdown`, which might hit the successor.  A Core that hangs up MAX_SILENT_ENDS times in a row without
    a word means it.

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
from typing import NamedTuple, Self

import msgspec

from efsupervisor import messages
from efsupervisor.channel import connect
from efsupervisor.errors import Code, EfError

ANSWER_S = 5.0
PING_S = 1.5
RETRY_S = 0.02
MAX_SILENT_ENDS = 3
_PING_ID = "sign-of-life"
_ENDLESS = "only a reply or an error ends the loop"


class Clock(NamedTuple):
    """The clock and the waiting; tests have their own."""

    monotonic: Callable[[], float] = time.monotonic
    wait: Callable[[float], object] = lambda seconds: select.select([], [], [], seconds)


class _CoreRecord(msgspec.Struct):
    """What is needed of core.json."""

    pid: int
    start_ticks: int
    boot_id: str


class _Ended(Exception):
    """The connection ended before the answer."""


class Client:
    """Speaks with the Core that listens at `path`; connects when it first must.  The caller closes it (or uses it as a context manager).

    Not for threads.  Every method raises EfError with a sentence for a person and the code of errors.TABLE, never OSError.
    """

    def __init__(self, path: str, clock: Clock | None = None, answer_s: float = ANSWER_S) -> None:
        self.path = path
        self.core_pid = 0
        self._clock = clock or Clock()
        self._answer_s = answer_s
        self._socket: socket.socket | None = None
        self._number = 0
        self._silent_ends = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection; the next request makes a new one."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def fileno(self) -> int:
        """The connection's descriptor, -1 while there is none."""
        return -1 if self._socket is None else self._socket.fileno()

    # What commands call --------------------------------------------------------------------------------------------------------------------------

    def status(self, names: list[str]) -> list[messages.TaskStatus]:
        """Rows of the named tasks, of all when the list is empty."""
        rows: list[messages.TaskStatus] = []
        for reply in self._ask(messages.StatusRequest(id=self._next_id(), names=names)):
            if isinstance(reply, messages.StatusReply):
                rows += reply.tasks
                if not reply.more:
                    return rows
            elif reply is None:
                rows = []
        raise AssertionError(_ENDLESS)

    def act(self, names: list[str], *, wait: bool) -> list[messages.Outcome]:
        """Start tasks; one outcome each."""
        return self._done(messages.ActRequest(id=self._next_id(), names=names, wait=wait), waits=wait)

    def trm(self, names: list[str], *, wait: bool) -> list[messages.Outcome]:
        """Stop tasks; one outcome each."""
        return self._done(messages.TrmRequest(id=self._next_id(), names=names, wait=wait), waits=wait)

    def put(self, task: str, put_id: str, data: bytes) -> messages.Outcome:
        """Append one event to a task's input queue; the same put_id again appends nothing."""
        outcomes = self._done(messages.PutRequest(id=self._next_id(), task=task, put_id=put_id, data=data))
        return outcomes[0] if outcomes else messages.Outcome(task=task, ok=True)

    def read(self, task: str, stream: str, *, offset: int | None = None, lines: int = 10) -> messages.ReadReply:
        """Bytes of a journal: from `offset`, or the last `lines` lines."""
        for reply in self._ask(messages.ReadRequest(id=self._next_id(), task=task, stream=stream, offset=offset, lines=lines)):
            if isinstance(reply, messages.ReadReply):
                return reply
        raise AssertionError(_ENDLESS)

    def shutdown(self) -> list[messages.Outcome]:
        """Stop every task, then the supervisor; returns when everything is at rest."""
        return self._done(messages.ShutdownRequest(id=self._next_id()), waits=True, repeat=False)

    def version(self) -> messages.VersionReply:
        """Who is there."""
        for reply in self._ask(messages.VersionRequest(id=self._next_id())):
            if isinstance(reply, messages.VersionReply):
                return reply
        raise AssertionError(_ENDLESS)

    # One request ---------------------------------------------------------------------------------------------------------------------------------

    def _next_id(self) -> str:
        self._number += 1
        return str(self._number)

    def _done(self, request: messages.Request, *, waits: bool = False, repeat: bool = True) -> list[messages.Outcome]:
        for reply in self._ask(request, waits=waits, repeat=repeat):
            if isinstance(reply, messages.DoneReply):
                return reply.outcomes
        raise AssertionError(_ENDLESS)

    def _ask(self, request: messages.Request, *, waits: bool = False, repeat: bool = True) -> Iterator[messages.Reply | None]:
        """Every reply to this request as it comes; None says that it is repeated and earlier replies are void.  The caller stops by leaving."""
        frame = _frame_of(request)
        deadline = self._clock.monotonic() + self._answer_s
        while True:
            try:
                self._connect(deadline)
                self._send(frame, deadline)
                while True:
                    reply = self._receive(request.id, None if waits else deadline)
                    self._silent_ends = 0
                    yield reply
            except _Ended:
                self._lost(repeat=repeat)
                if waits:
                    deadline = self._clock.monotonic() + self._answer_s
                yield None

    def _lost(self, *, repeat: bool) -> None:
        """The connection ended; EfError when trying again makes no sense."""
        self.close()
        self._silent_ends += 1
        if not repeat:
            raise EfError("efsupervisord ended before it answered; `efctl status` tells whether it runs, its log what happened", Code.NOT_RUNNING)
        if self._silent_ends >= MAX_SILENT_ENDS:
            raise EfError(
                f"efsupervisord (pid {self.core_pid}) hangs up instead of answering: it may be another version or not trust this user, see its log",
                Code.REFUSED,
            )
        self._clock.wait(RETRY_S)

    def _connect(self, deadline: float) -> None:
        if self._socket is not None:
            return
        lost = self.core_pid != 0
        while True:
            try:
                self._socket = connect(self.path)
            except OSError as error:
                self._refused(error, deadline, lost=lost)
            else:
                break
            self._clock.wait(RETRY_S)
        former, self.core_pid = self.core_pid, _peer_pid(self._socket)
        if former != self.core_pid:
            self._silent_ends = 0

    def _refused(self, error: OSError, deadline: float, *, lost: bool) -> None:
        """No connection.  Returns when it is worth another try, else raises the EfError that says why not."""
        over = self._clock.monotonic() >= deadline
        if error.errno in (errno.EACCES, errno.EPERM):
            raise EfError(f"this user may not talk to the supervisor at {self.path}; use the user it runs as", Code.REFUSED) from error
        if error.errno == errno.EAGAIN:
            if over:
                raise EfError(f"efsupervisord takes no connection within {self._answer_s:g} s; it is stopped or overloaded", Code.TIMEOUT) from error
            return
        if error.errno not in (errno.ENOENT, errno.ENOTDIR, errno.ECONNREFUSED, errno.ECONNRESET):
            raise EfError(f"no connection to {self.path}: {os.strerror(error.errno or 0)}", Code.SYSTEM) from error
        if over or not (lost or self._alive()):
            sentence = f"efsupervisord is not running (nobody listens at {self.path}); start it with `efsupervisord -c FILE`"
            raise EfError(sentence, Code.NOT_RUNNING) from error

    def _alive(self) -> bool:
        """Whether core.json beside the socket names a living process."""
        try:
            with open(os.path.join(os.path.dirname(self.path), "core.json"), "rb") as file:
                record = msgspec.json.decode(file.read(65536), type=_CoreRecord)
        except (OSError, msgspec.DecodeError):
            return False
        from efsupervisor.system import REAL, boot_id  # late on purpose: needed only when no connection can be made

        return record.boot_id == boot_id() and REAL.start_ticks(record.pid) == record.start_ticks

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

    def _receive(self, request_id: str, deadline: float | None) -> messages.Reply:
        """The next reply to this request; deadline None: whenever it comes, with signs of life asked for meanwhile."""
        heard_by, pinged = self._clock.monotonic() + self._answer_s, False
        while True:
            now = self._clock.monotonic()
            until = deadline if deadline is not None else heard_by if pinged else min(heard_by, now + PING_S)
            frame = self._frame(until - now)
            if frame is not None:
                reply = self._reply(frame)
                if reply.id in (request_id, ""):
                    return _or_raise(reply)
                heard_by, pinged = self._clock.monotonic() + self._answer_s, False
            elif deadline is not None or pinged:
                raise self._silent()
            else:
                pinged = True
                self._send(messages.encode(messages.VersionRequest(id=_PING_ID)), heard_by)

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

    def _reply(self, frame: bytes) -> messages.Reply:
        try:
            reply = messages.decode(frame, messages.Reply)
        except EfError:
            self.close()
            raise
        assert isinstance(reply, messages.Reply)
        return reply

    def _silent(self) -> EfError:
        pid = self.core_pid
        self.close()
        return EfError(f"efsupervisord (pid {pid}) did not answer within {self._answer_s:g} s; it is stopped, hung or overloaded", Code.TIMEOUT)


def _frame_of(request: messages.Request) -> bytes:
    try:
        frame = messages.encode(request)
    except UnicodeEncodeError as error:
        raise EfError("a name holds bytes that are no UTF-8", Code.BAD_NAME) from error
    if len(frame) > messages.MAX_FRAME:
        raise EfError(f"the request has {len(frame)} bytes; at most {messages.MAX_FRAME} fit into one", Code.TOO_LARGE)
    return frame


def _or_raise(reply: messages.Reply) -> messages.Reply:
    if isinstance(reply, messages.FailedReply):
        raise EfError(reply.sentence, reply.code)
    return reply


def _ready(sock: socket.socket, events: int, wait_s: float) -> bool:
    poll = select.poll()
    poll.register(sock, events)
    return bool(poll.poll(max(0.0, wait_s) * 1000))


def _peer_pid(sock: socket.socket) -> int:
    """The pid of who listens; unix(7), SO_PEERCRED."""
    pid: int = struct.unpack("iII", sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))[0]
    return pid
