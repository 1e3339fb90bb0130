"""A sibling's line to the middle interface: a ZeroMQ DEALER that is driven by the sibling's own loop.

Frames are those of messages.call, one ZMTP frame each.  A call has an id of the caller's choice and one answer: `done` with the whole answer, however
many frames it came in, or `failed` with an EfError, which also comes when the deadline has passed.  Neither is ever called inside `ask`.

The middle interface may be killed and replaced at any time.  The line is made anew then, and every call without an answer is sent again, with the
same id, which is why it still happens once.  Nothing is given to ZeroMQ while it is not connected (IMMEDIATE), so its queues hold nothing
that nobody knows of; our own queue is bounded by MAX_CALLS, and each entry has a deadline.

A collector is asked on the same line: it says Here now and then, and `on_query(query, answer)` is called for each query; `answer` takes an Answer or
an EfError, now or later.

Rules that are not ours: the descriptor of a ZeroMQ socket tells of changes only, so after each send and receive the socket's events are looked at
again; zmq_getsockopt(3), ZMQ_FD.  LINGER is 0, or a process with an unsent message would hang at its end.  A process that has a context must never
fork, so a Dealer is made after the last fork.  One thread only: the loop's.

The connection is a path below /proc/self/fd, so that a supervisor's folder may be as deep as it likes; unix(7) allows 107 bytes.
"""

from __future__ import annotations

import logging
import os
import struct
from collections import deque
from collections.abc import Callable
from typing import cast

import zmq

from efsupervisor.errors import Code, EfError, ProtocolError
from efsupervisor.messages import FailedReply, decode, encode
from efsupervisor.messages.call import Answer, Answered, Call, ConsoleCall, FromMiddle, Here, ResourceQuery, ResultQuery, joined, parted
from efsupervisor.reactor import READ, Reactor, Timer

NAME = "middle.ipc"
MAX_CALLS = 1024
MAX_PARTS = 4096
"""Frames of one answer."""

HIGH_WATER = 1000
MAX_ZMTP_FRAME = 1 << 20
HERE_S = 1.0
REOPEN_S = 0.02
BURST = 64
"""Frames that are read before the loop looks at anything else."""

Done = Callable[[Answer], None]
Failed = Callable[[EfError], None]
Query = ResourceQuery | ResultQuery
OnQuery = Callable[[Query, Callable[[Answer | EfError], None]], None]


class Asked:
    """One call under way."""

    __slots__ = ("call", "done", "failed", "parts", "timer")

    def __init__(self, call: Call | ConsoleCall, done: Done, failed: Failed) -> None:
        self.call = call
        self.done = done
        self.failed = failed
        self.parts: list[Answer] = []
        self.timer: Timer | None = None


class Dealer:
    """A DEALER socket at run_dir/middle.ipc.  The middle interface need not be there yet.  OSError or zmq.ZMQError when there can be no socket."""

    def __init__(self, reactor: Reactor, run_dir: str, *, on_query: OnQuery | None = None) -> None:
        self.connected = False
        self._reactor = reactor
        self._on_query = on_query
        self._asked: dict[str, Asked] = {}
        self._outbox: deque[bytes] = deque()
        self._here: Timer | None = None
        self._log = logging.getLogger("dealer")
        self._folder = os.open(run_dir, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        self._context = zmq.Context(io_threads=1)
        self._reopening: Timer | None = None
        self._socket, self._monitor = self._open()

    def ask(self, call: Call | ConsoleCall, done: Done, failed: Failed, deadline_s: float | None = 5.0) -> None:
        """Send a call, as soon as there is somebody to send it to.  deadline_s: None waits without limit (the answer to an endless verb).  An id that
        is under way already is refused."""
        asked = Asked(call, done, failed)
        if call.id in self._asked or len(self._asked) >= MAX_CALLS:
            why = "a call with this id is under way" if call.id in self._asked else f"{MAX_CALLS} calls are under way already; try again"
            self._reactor.defer(lambda: failed(EfError(why, Code.REFUSED)))
            return
        frame = encode(call)
        self._asked[call.id] = asked
        if deadline_s is not None:
            asked.timer = self._reactor.after(deadline_s, lambda: self._overdue(call.id))
        if self.connected:
            self._send(frame)

    def forget(self, call_id: str) -> None:
        """Nobody waits for this answer any more."""
        asked = self._asked.pop(call_id, None)
        if asked is not None and asked.timer is not None:
            asked.timer.cancel()

    def here(self, name: str) -> None:
        """Say from now on, every second, that this collector may be asked."""
        if self._here is not None:
            self._here.cancel()
        self._here = self._reactor.after(HERE_S, lambda: self.here(name))
        if self.connected and not self._outbox:
            self._send(encode(Here(name=name)))

    def close(self) -> None:
        """Give everything back; what is under way is answered with an error."""
        for timer in (self._here, self._reopening):
            if timer is not None:
                timer.cancel()
        self._shut()
        self._context.term()
        os.close(self._folder)
        for call_id in list(self._asked):
            self._fail(call_id, EfError("this part of the supervisor is ending", Code.NOT_RUNNING))

    # Connection -------------------------------------------------------------------------------------------------------------------------------------

    def _open(self) -> tuple[zmq.Socket[bytes], zmq.Socket[bytes]]:
        sock = self._context.socket(zmq.DEALER)
        for option, value in _OPTIONS.items():
            sock.setsockopt(option, value)
        monitor = sock.get_monitor_socket(zmq.EVENT_HANDSHAKE_SUCCEEDED | zmq.EVENT_DISCONNECTED)
        sock.connect(f"ipc:///proc/self/fd/{self._folder}/{NAME}")
        self._reactor.watch(_look(monitor, zmq.FD), READ, lambda _events: self._monitored())
        self._reactor.watch(_look(sock, zmq.FD), READ, lambda _events: self._ready())
        self._reactor.defer(self._monitored)  # the descriptors tell nothing before the events were looked at once
        return sock, monitor

    def _shut(self) -> None:
        self.connected = False
        self._outbox.clear()
        if not self._socket.closed:
            for sock in (self._monitor, self._socket):
                self._reactor.forget(_look(sock, zmq.FD))
            self._socket.disable_monitor()
            self._monitor.close(0)
            self._socket.close(0)

    def _monitored(self) -> None:
        while not self._monitor.closed and _look(self._monitor, zmq.EVENTS) & zmq.POLLIN:
            if monitored(self._monitor.recv_multipart(zmq.NOBLOCK)) == zmq.EVENT_HANDSHAKE_SUCCEEDED:
                self.connected = True
                self._again()
            else:
                self._shut()
                self._reopening = self._reactor.after(REOPEN_S, self._reopen)
        self._look_again()

    def _reopen(self) -> None:
        """A new socket: after some errors ZeroMQ does not connect again, and one that does may hold messages of which nobody knows."""
        self._reopening = None
        self._socket, self._monitor = self._open()

    def _again(self) -> None:
        """Somebody new is at the other end: ask what is not answered; half an answer of the last one counts for nothing."""
        for asked in self._asked.values():
            asked.parts.clear()
            self._send(encode(asked.call))

    # Sending ----------------------------------------------------------------------------------------------------------------------------------------

    def _send(self, frame: bytes) -> None:
        self._outbox.append(frame)
        self._send_queued()

    def _send_queued(self) -> None:
        while self._outbox:
            try:
                self._socket.send(self._outbox[0], zmq.NOBLOCK)
            except zmq.Again:
                break  # not connected, or the other end does not read; the descriptor tells when that changes
            self._outbox.popleft()
        self._look_again()

    def _look_again(self) -> None:
        if not self._socket.closed and _look(self._socket, zmq.EVENTS) & zmq.POLLIN:
            self._reactor.defer(self._ready)

    # Receiving --------------------------------------------------------------------------------------------------------------------------------------

    def _ready(self) -> None:
        for _ in range(BURST):
            if self._socket.closed:
                return
            try:
                parts = self._socket.recv_multipart(zmq.NOBLOCK)
            except zmq.Again:
                break
            self._received(parts)
        if not self._socket.closed:
            self._send_queued()

    def _received(self, parts: list[bytes]) -> None:
        try:
            if len(parts) != 1:
                raise ProtocolError(f"a message of {len(parts)} frames")
            message = decode(parts[0], FromMiddle)
        except ProtocolError as error:
            self._log.warning("the middle interface said something that is no message: %s", error.message)
            return
        match message:
            case Answered():
                self._answered(message)
            case FailedReply():
                self._fail(message.id, EfError(message.sentence, message.code))
            case ResourceQuery() | ResultQuery():
                self._queried(message)

    def _answered(self, message: Answered) -> None:
        asked = self._asked.get(message.id)
        if asked is None:
            return  # its deadline has passed
        asked.parts.append(message.answer)
        if len(asked.parts) > MAX_PARTS:
            self._fail(message.id, EfError(f"the answer has more than {MAX_PARTS} parts", Code.TOO_LARGE))
        elif not message.more:
            self.forget(message.id)
            asked.done(joined(asked.parts))

    def _queried(self, query: Query) -> None:
        def answer(given: Answer | EfError) -> None:
            if self._socket.closed or not self.connected:
                return
            if isinstance(given, EfError):
                self._send(encode(FailedReply(id=query.id, code=given.code, sentence=given.message)))
            else:
                parts = list(parted(given))
                for number, part in enumerate(parts, 1):
                    self._send(encode(Answered(id=query.id, answer=part, more=number < len(parts))))

        if self._on_query is None:
            answer(EfError("this is no collector", Code.REFUSED))
        else:
            self._on_query(query, answer)

    # Endings ----------------------------------------------------------------------------------------------------------------------------------------

    def _overdue(self, call_id: str) -> None:
        if self.connected:
            self._fail(call_id, EfError("the middle interface did not answer in time; try again", Code.TIMEOUT))
        else:
            self._fail(call_id, EfError("the middle interface is not there; it is being replaced, try again", Code.NOT_RUNNING))

    def _fail(self, call_id: str, error: EfError) -> None:
        asked = self._asked.get(call_id)
        if asked is not None:
            self.forget(call_id)
            asked.failed(error)


def monitored(frames: list[bytes]) -> int:
    """The event of a monitor's message: its number and a value are the first frame; zmq_socket_monitor(3).  zmq.utils.monitor loads asyncio."""
    return int(struct.unpack("=hi", frames[0])[0])


def _look(sock: zmq.Socket[bytes], option: int) -> int:
    return cast(int, sock.getsockopt(option))


_OPTIONS: dict[int, int] = {
    zmq.LINGER: 0,
    zmq.SNDHWM: HIGH_WATER,
    zmq.RCVHWM: HIGH_WATER,
    zmq.MAXMSGSIZE: MAX_ZMTP_FRAME,
    zmq.IMMEDIATE: 1,
    zmq.HANDSHAKE_IVL: 2000,
    zmq.RECONNECT_IVL: 50,
    zmq.RECONNECT_IVL_MAX: 500,
}
