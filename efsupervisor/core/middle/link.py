"""The middle interface's line to the Core: requests out, whole answers back, over the socket that everybody else uses too.

The Core looks at a bounded number of requests of one connection, and some of them wait for long (`act` until a task runs).  So there are several
connections, each with at most WINDOW requests under way; more are made when all are full, up to MAX_LINES, and what then is still too much waits here
in a bounded queue.  Nobody's waiting request holds up another.

A connection that ends is made again, and what it had not answered is sent again: requests that change something carry ids that the Core remembers.
Only a shutdown is not repeated, for it might hit the successor.  A request at which the Core hangs up MAX_HANGUPS times is given back.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

from efsupervisor.channel import Channel, connect
from efsupervisor.errors import Code, EfError
from efsupervisor.messages import MAX_FRAME, FailedReply, Reply, Request, ShutdownRequest, encode
from efsupervisor.reactor import Reactor, Timer

WINDOW = 32
MAX_LINES = 16
MAX_WAITING = 4096
MAX_HANGUPS = 3
FIRST_RETRY_S = 0.02
LONGEST_RETRY_S = 0.5

Done = Callable[[list[Reply]], None]
Failed = Callable[[BaseException], None]


class Ask:
    """One request.  sent: it reached the Core's socket at least once.  over: it was answered, given back or forgotten."""

    __slots__ = ("_done", "_failed", "hangups", "over", "replies", "request", "sent", "timer")

    def __init__(self, request: Request, done: Done, failed: Failed) -> None:
        self.request = request
        self.replies: list[Reply] = []
        self.sent = self.over = False
        self.hangups = 0
        self.timer: Timer | None = None
        self._done = done
        self._failed = failed

    def answer(self) -> None:
        """Give the whole answer to whoever asked."""
        if self._settle():
            self._done(self.replies)

    def refuse(self, error: EfError) -> None:
        """Give it back."""
        if self._settle():
            self._failed(error)

    def forget(self) -> None:
        """Nobody waits for the answer any more."""
        self._settle()

    def _settle(self) -> bool:
        first, self.over = not self.over, True
        if self.timer is not None:
            self.timer.cancel()
        return first


class Link:
    """Every connection to the Core.  path: of its socket.  on_change(): a connection was made or lost."""

    def __init__(self, path: str, reactor: Reactor, connect_to: Callable[[str], Any] = connect) -> None:
        self.path = path
        self.reactor = reactor
        self.connect_to = connect_to
        self.core_pid = 0
        self.lost_at: float | None = None
        self._lines: list[_Line] = []
        self._waiting: deque[Ask] = deque()

    @property
    def under_way(self) -> int:
        """Requests that are not answered yet."""
        return sum(len(line.asks) for line in self._lines) + len(self._waiting)

    def ask(self, request: Request, done: Done, failed: Failed, patience_s: float | None = None) -> Ask:
        """Send a request; patience_s: give it back when no answer came for so long."""
        ask = Ask(request, done, failed)
        if (length := len(encode(request))) > MAX_FRAME:
            ask.refuse(EfError(f"the request has {length:,} bytes; at most {MAX_FRAME:,} fit into one", Code.TOO_LARGE))
        elif len(self._waiting) >= MAX_WAITING:
            ask.refuse(EfError("too many requests wait for the Core already; try again", Code.REFUSED))
        else:
            if patience_s is not None:
                ask.timer = self.reactor.after(patience_s, lambda: ask.refuse(self.silent(patience_s)))
            self._place(ask)
        return ask

    def silent(self, seconds: float) -> EfError:
        """What to say when the Core does not answer."""
        who = f"the Core (pid {self.core_pid})" if self.core_pid else "the Core"
        if self.lost_at is not None:
            return EfError(f"{who} cannot be reached; it is being replaced, or hung", Code.NOT_RUNNING)
        return EfError(f"{who} has not answered for {seconds:g} s; it is stopped, hung or overloaded", Code.TIMEOUT)

    def close(self) -> None:
        """Close every connection; nothing is answered any more."""
        for line in self._lines:
            line.close()

    def _place(self, ask: Ask) -> None:
        line = min((line for line in self._lines if len(line.asks) < WINDOW), key=lambda line: len(line.asks), default=None)
        if line is None and len(self._lines) < MAX_LINES:
            line = _Line(self)
            self._lines.append(line)
        if line is None:
            self._waiting.append(ask)
        else:
            line.take(ask)

    def has_room(self) -> None:
        """A line answered something: let the next one go."""
        while self._waiting and any(len(line.asks) < WINDOW for line in self._lines):
            ask = self._waiting.popleft()
            if not ask.over:
                self._place(ask)

    def drop_if_spare(self, line: _Line) -> None:
        """Keep one idle connection, not sixteen."""
        if not line.asks and len(self._lines) > 1 and not self._waiting:
            self._lines.remove(line)
            line.close()


class _Line:
    """One connection and what was asked on it."""

    def __init__(self, link: Link) -> None:
        self.asks: dict[str, Ask] = {}
        self._link = link
        self._channel: Channel | None = None
        self._retry: Timer | None = None
        self._delay_s = FIRST_RETRY_S

    def take(self, ask: Ask) -> None:
        """Send it now, or when there is a connection."""
        if ask.request.id in self.asks:
            ask.refuse(EfError("a request with this id is under way already", Code.EXISTS))
            return
        self.asks[ask.request.id] = ask
        if self._channel is not None:
            self._send(ask)
        elif self._retry is None:
            self._connect()

    def close(self) -> None:
        """Close without a word."""
        if self._retry is not None:
            self._retry.cancel()
        if self._channel is not None:
            self._channel.close()

    def _send(self, ask: Ask) -> None:
        if self._channel is not None:
            ask.sent = True
            ask.replies.clear()
            self._channel.send(ask.request)

    def _connect(self) -> None:
        self._retry = None
        link = self._link
        try:
            channel = Channel(link.connect_to(link.path), link.reactor, Reply, self._arrived, self._lost)
        except OSError:
            link.lost_at = link.lost_at or link.reactor.now
            self._later()
            return
        self._channel = channel
        link.lost_at = None
        link.core_pid = channel.peer()[0]
        for ask in [ask for ask in self.asks.values() if ask.over]:
            del self.asks[ask.request.id]
        for ask in list(self.asks.values()):
            self._send(ask)

    def _later(self) -> None:
        self._retry = self._link.reactor.after(self._delay_s, self._connect)
        self._delay_s = min(self._delay_s * 2, LONGEST_RETRY_S)

    def _arrived(self, message: object) -> None:
        self._delay_s = FIRST_RETRY_S
        ask = self.asks.get(getattr(message, "id", ""))
        if ask is None:
            return  # a second word about something that is settled
        if isinstance(message, FailedReply):
            self._settled(ask)
            ask.refuse(EfError(message.sentence, message.code))
        else:
            ask.replies.append(message)  # type: ignore[arg-type]
            if not getattr(message, "more", False):
                self._settled(ask)
                ask.answer()
        self._link.drop_if_spare(self)

    def _settled(self, ask: Ask) -> None:
        del self.asks[ask.request.id]
        self._link.reactor.defer(self._link.has_room)

    def _lost(self, _reason: str) -> None:
        self._channel = None
        for ask in list(self.asks.values()):
            ask.hangups += ask.sent
            if isinstance(ask.request, ShutdownRequest):
                self._settled(ask)
                ask.refuse(EfError("efsupervisord ended before it answered; `efctl status` tells whether it runs", Code.NOT_RUNNING))
            elif ask.hangups >= MAX_HANGUPS:
                self._settled(ask)
                ask.refuse(EfError("efsupervisord hangs up at this command instead of answering; its log says why", Code.INTERNAL))
        if self.asks:
            self._later()
