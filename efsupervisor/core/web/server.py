"""HTTP: waitress's parser, channels, tasks and threads, turned by our own loop.

waitress reads a request to its end before a thread is given to it, so a slow client costs memory and no thread; that is why it was chosen
(docs/design.rst).  Its loop is not used: it asks every connection before every wait, which makes one more connection dearer the more there are, and
has no deadline for a request.  Here a connection is looked at when something happened to it:

    the loop    reads, parses, sends, judges deadlines
    a thread    runs the application, writes into the channel's buffers, and touches the channel: the loop looks at it again

`Channel` decides nothing about what is asked.  The head of a request is judged when it is complete and before its body is read (`judge`), so who has
no token makes nobody hold a body.  A refused request ends its connection; what the client still sends is thrown away for a while, or it would never
see the refusal (TCP resets a connection that is closed with unread bytes; RFC 9112 section 9.6).

Rules that are not ours: a channel is closed by the loop only; `requests` and `request` change under `requests_lock`, output under `outbuf_lock`; a
channel must never be used after `_fileno` is None.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import socket
from collections import OrderedDict, deque
from collections.abc import Callable
from typing import Any

from waitress.adjustments import Adjustments  # type: ignore[import-untyped]
from waitress.channel import HTTPChannel  # type: ignore[import-untyped]
from waitress.parser import HTTPRequestParser, ParsingError  # type: ignore[import-untyped]
from waitress.task import Task, ThreadedTaskDispatcher, WSGITask  # type: ignore[import-untyped]

from efsupervisor.conf.schema import WebSpec
from efsupervisor.core.web import limits
from efsupervisor.core.web.limits import Wait
from efsupervisor.core.web.replies import HEADERS, JSON, Refusal, fault_body, headers_of, status_of
from efsupervisor.errors import Code, EfError
from efsupervisor.reactor import READ, WRITE, Reactor, Timer

SWEEP_S = 0.5
"""Between two looks at the deadlines, while there is a connection."""

ACCEPTS = 64
PAUSE_S = 0.5
FRESH_S = 0.5
"""How long a listener that is leaving waits for the first request of a connection that it has accepted."""

SPOOL = 64 << 10
"""A body above this is kept in a file."""

Judge = Callable[[limits.Head, str], EfError | None]
"""judge(head, address): why a request is refused before its body is read."""

_log = logging.getLogger("http")


class Parser(HTTPRequestParser):  # type: ignore[misc]
    """One request.  arrived: monotonic time at which its head was complete."""

    error: Any = None

    def __init__(self, adj: Adjustments, channel: Channel) -> None:
        super().__init__(adj)
        self.arrived = 0.0
        self._channel = channel

    def received(self, data: bytes) -> int:
        """As waitress's, and the head is judged once."""
        consumed = super().received(data)
        if self.headers_finished and not self.arrived and not self.empty:
            self.arrived = self._channel.http.reactor.now
            if self.error is None:
                self.error = self._channel.http.judge(self, self._channel.addr[0])
            if self.error is not None:
                self.completed, self.expect_continue = True, False
        return int(consumed)

    def parse_header(self, header_plus: bytes) -> None:
        """As waitress's; folded lines, numbers of a thousand digits and broken addresses are the client's errors, too."""
        if b"\r\n " in header_plus or b"\r\n\t" in header_plus:
            raise ParsingError("a header stands on one line")  # RFC 9112 section 5.2
        try:
            super().parse_header(header_plus)
        except ValueError as error:
            raise ParsingError(f"not a request: {error}") from error


class RefusalTask(Task):  # type: ignore[misc]
    """Answers a request that never reached the application, in the application's way."""

    complete = True

    def execute(self) -> None:
        """Write the refusal; the connection ends."""
        error = self.request.error
        if not isinstance(error, EfError):  # one of waitress's own
            error = translated(error.code, f"{error.reason.lower()}: {error.body}", self.channel.http.web)
        body = fault_body(error)
        self.status = f"{status_of(error)} Refused"
        self.response_headers.extend([("Content-Type", JSON), *HEADERS.items(), *headers_of(error).items()])
        self.set_close_on_finish()
        self.content_length = len(body)
        self.write(body)


def translated(status: int, sentence: str, web: WebSpec) -> Refusal:
    """An error of waitress's in our words."""
    match status:
        case 413:
            return Refusal(status, f"a body has at most {web.max_body} bytes here (`web.max_body`)", Code.TOO_LARGE)
        case 431:
            return Refusal(status, f"the head of a request has less than {web.max_header} bytes here (`web.max_header`)", Code.TOO_LARGE)
        case 500:
            return Refusal(status, "this failed; the log of the supervisor says more", Code.INTERNAL)
        case _:
            return Refusal(status, sentence, Code.BAD_REQUEST)


class ApplicationTask(WSGITask):  # type: ignore[misc]
    """Runs the application, which is told besides when the request arrived and at which of our addresses."""

    def get_environment(self) -> dict[str, Any]:
        """The WSGI environment."""
        environ: dict[str, Any] = super().get_environment()
        environ["efsupervisor.arrived"] = self.request.arrived
        environ["efsupervisor.local"] = self.channel.local
        return environ


class Seat:
    """What a channel and its tasks see in the place of waitress's server."""

    server_name = "efsupervisor"

    def __init__(self, http: HttpServer, channel: Channel) -> None:
        self.adj = http.adj
        self.application = http.application
        self.active_channels = http.channels
        self.effective_port = http.port
        self.add_task = http.threads.add_task
        self._touch = http.touch
        self._channel = channel

    def pull_trigger(self) -> None:
        """From any thread: the channel has changed."""
        self._touch(self._channel)


class Channel(HTTPChannel):  # type: ignore[misc]
    """One connection.  wait, since: what it waits for, and from when on; heard: when a byte last came or went; asked: something came ever."""

    task_class = ApplicationTask
    error_task_class = RefusalTask
    request: Any = None

    def __init__(self, http: HttpServer, sock: socket.socket, address: Any) -> None:
        self.http = http
        self.wait = Wait.IDLE
        self.since = self.heard = http.reactor.now
        self.lingering = False
        self.asked = False
        self.local = sock.getsockname()[0]
        self._thrown_away = 0
        self._interest = 0
        super().__init__(Seat(http, self), sock, address, http.adj, map=http.channels)
        self.parser_class = lambda adj: Parser(adj, self)
        self.refresh()

    def ready(self, events: int) -> None:
        """Something happened to the socket."""
        try:
            if events & READ:
                self.handle_read()
            if self._fileno is not None and events & WRITE:
                self.handle_write()
            if self._fileno is not None and events & ~(READ | WRITE) and not events & READ:
                self.handle_close()
        except Exception:  # whatever a stranger's bytes do to the parser, it is this connection's end and nobody else's
            _log.exception("a connection of %s is ended", self.addr[0])
            self.handle_close()
        self.refresh()

    def settle(self) -> None:
        """A thread is done with it, or wrote into it."""
        if self._fileno is not None and not self.lingering and self.writable():
            self.handle_write()
        self.refresh()

    def refresh(self) -> None:
        """Ask the loop for what is of interest now, and begin the deadline of a new wait."""
        if self._fileno is None:
            return
        interest = (READ if self.readable() else 0) | (WRITE if self.writable() else 0)
        if interest != self._interest:
            self._interest = interest
            self.http.reactor.watch(self._fileno, interest, self.ready)
        wait = self._waits_for()
        if wait is not self.wait:
            self.wait, self.since = wait, self.http.reactor.now

    def expire(self) -> None:
        """Its time is over."""
        if self.wait is not Wait.ARRIVING or self.request is None:
            self.handle_close()
            return
        with self.requests_lock:
            request, self.request = self.request, None
            request.error = Refusal(408, "the request took too long to arrive", Code.TIMEOUT)
            self.requests.append(request)
        self.server.add_task(self)
        self.refresh()

    def _waits_for(self) -> Wait:
        if self.lingering:
            return Wait.LINGERING
        if self.total_outbufs_len:
            return Wait.SENDING
        if self.requests or self.close_when_flushed:
            return Wait.SERVING
        return Wait.IDLE if self.request is None else Wait.ARRIVING

    # What waitress calls --------------------------------------------------------------------------------------------------------------------------

    def readable(self) -> bool:
        """Whether more may come now."""
        return self.lingering or bool(super().readable())

    def writable(self) -> bool:
        """Whether something is to be sent or closed."""
        return not self.lingering and bool(super().writable())

    def handle_read(self) -> None:
        """Take what came."""
        data = self.receive()
        if not data or self._fileno is None:
            return
        self.heard = self.http.reactor.now
        if self.lingering:
            self._thrown_away += len(data)
            if self._thrown_away > limits.LINGER_BYTES:
                self.handle_close()
            return
        self.http.channels.move_to_end(self._fileno)
        self.asked = True
        self.received(data)

    def receive(self) -> bytes:
        """Bytes; none when there are none now, or when the connection is closed, which is done then."""
        try:
            return bytes(self.recv(self.adj.recv_bytes))
        except BlockingIOError:
            return b""
        except OSError:
            self.handle_close()
            return b""

    def handle_write(self) -> None:
        """Send; when everything of a last answer is sent, say that nothing more comes, and wait for the client to end it."""
        before = self.total_outbufs_len
        if not self.close_when_flushed:
            super().handle_write()
        else:
            with self.outbuf_lock:
                self._flush_exception(self._flush_some)
            if self.will_close:
                self.handle_close()
            elif self._fileno is not None and not self.total_outbufs_len:
                self._linger()
        if self.total_outbufs_len < before:
            self.heard = self.http.reactor.now

    def _linger(self) -> None:
        self.lingering = True
        try:
            self.say_end()
        except OSError:
            self.handle_close()

    def say_end(self) -> None:
        """Nothing more will be sent."""
        self.socket.shutdown(socket.SHUT_WR)

    def del_channel(self, map: object = None) -> None:
        """The loop forgets it, too."""
        if self._fileno is not None and self.http.reactor.watches(self._fileno):
            self.http.reactor.forget(self._fileno)
        super().del_channel(map)


class HttpServer:
    """A listening socket, its connections and its threads.  sock: owned from now on.  local threads are started here, so no fork may follow.

    channel: the class of connections (tls.TlsChannel for TLS).  descriptors: how many the process may have.
    """

    def __init__(
        self,
        reactor: Reactor,
        sock: socket.socket,
        application: object,
        judge: Judge,
        web: WebSpec,
        *,
        descriptors: int,
        channel: Callable[[HttpServer, socket.socket, Any], Channel] = Channel,
        scheme: str = "http",
    ) -> None:
        self.reactor = reactor
        self.application = application
        self.judge = judge
        self.web = web
        self.adj = _adjustments(web, scheme)
        self.port = sock.getsockname()[1]
        self.channels: OrderedDict[int, Channel] = OrderedDict()
        self.threads = ThreadedTaskDispatcher()
        self._limit = limits.connections(web.connections, descriptors)
        self._channel = channel
        self._socket = sock
        self._touched: deque[Channel] = deque()
        self._bell = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._sweep_timer: Timer | None = None
        logging.getLogger("waitress.queue").setLevel(logging.ERROR)
        self.threads.set_thread_count(web.threads)
        reactor.watch(self._bell, READ, lambda _events: self._settle())
        sock.setblocking(False)
        self._listen()

    @property
    def is_busy(self) -> bool:
        """Whether a request arrives or is worked on, an answer is on its way, or somebody has just come and will ask in a moment."""
        return any(self._is_owed(channel) for channel in self.channels.values())

    def _is_owed(self, channel: Channel) -> bool:
        if channel.wait is Wait.IDLE:
            return not channel.asked and self.reactor.now - channel.since < FRESH_S
        return channel.wait is not Wait.LINGERING

    def touch(self, channel: Channel) -> None:
        """From any thread: look at this channel again."""
        self._touched.append(channel)
        os.eventfd_write(self._bell, 1)

    def stop_listening(self) -> None:
        """Accept nothing more and end what is idle; others may go on with the port."""
        if self._socket.fileno() >= 0:
            if self.reactor.watches(self._socket.fileno()):
                self.reactor.forget(self._socket.fileno())
            self._socket.close()
        for channel in list(self.channels.values()):
            if channel.wait is Wait.IDLE and not self._is_owed(channel):
                channel.handle_close()

    def close(self) -> None:
        """End every connection.  Threads are daemons: they end with the process."""
        self.stop_listening()
        for channel in list(self.channels.values()):
            channel.handle_close()
        self.reactor.forget(self._bell)

    # In the loop ----------------------------------------------------------------------------------------------------------------------------------

    def _settle(self) -> None:
        os.eventfd_read(self._bell)
        for _ in range(len(self._touched)):
            self._touched.popleft().settle()

    def _listen(self) -> None:
        if self._socket.fileno() >= 0:
            self.reactor.watch(self._socket.fileno(), READ, lambda _events: self._accept())

    def _accept(self) -> None:
        for _ in range(ACCEPTS):
            try:
                sock, address = self._socket.accept()
            except (BlockingIOError, ConnectionAbortedError):
                return
            except OSError as error:
                if error.errno in (errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS):
                    self._pause(error)
                return
            if len(self.channels) >= self._limit:
                self._make_room()
            self._admit(sock, address)

    def _admit(self, sock: socket.socket, address: Any) -> None:
        try:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._channel(self, sock, address)
        except OSError:
            sock.close()  # it was gone before it was here
            return
        if self._sweep_timer is None:
            self._sweep_timer = self.reactor.after(SWEEP_S, self._sweep)

    def _pause(self, error: OSError) -> None:
        """The waiting connection keeps the socket readable: look away for a while, or the loop would spin."""
        _log.warning("no connection could be accepted: %s", error)
        self._make_room()
        self.reactor.forget(self._socket.fileno())
        self.reactor.after(PAUSE_S, self._listen)

    def _make_room(self) -> None:
        """End the connection that has been silent longest and waits for nothing of ours."""
        with contextlib.suppress(StopIteration):
            next(channel for channel in self.channels.values() if channel.wait is not Wait.SERVING).handle_close()

    def _sweep(self) -> None:
        now = self.reactor.now
        for channel in list(self.channels.values()):
            if limits.is_overdue(channel.wait, now - channel.since, now - channel.heard, self.web):
                channel.expire()
        self._sweep_timer = self.reactor.after(SWEEP_S, self._sweep) if self.channels else None


def _adjustments(web: WebSpec, scheme: str) -> Adjustments:
    """waitress's own settings: no banner, no tracebacks, nothing believed of a proxy."""
    adj = Adjustments(
        ident=None,
        expose_tracebacks=False,
        max_request_header_size=web.max_header,
        max_request_body_size=web.max_body + 1,
        inbuf_overflow=SPOOL,
        recv_bytes=16 << 10,
        url_scheme=scheme,
        log_socket_errors=False,
        clear_untrusted_proxy_headers=False,
    )
    adj.send_bytes = 16 << 10  # head and body of a small answer leave together
    return adj
