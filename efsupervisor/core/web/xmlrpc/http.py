"""HTTP/1.1 as clients of supervisord speak it: small calls on connections that may live for hours, and streams that never end.

It is not the server of the HTTP API: supervisorctl's own reader of logs takes nothing but what is written here (a reason behind the status, `chunked`
in small letters, no character divided over two chunks), and a call must not cost a thread while it waits for a task to stop.

One request of a connection is worked on at a time; what was sent behind it waits.  A head has at most MAX_HEAD bytes and a body a length of at most
MAX_BODY; either must have arrived within `request_s`.  An answer waits in memory until it is read; a stream makes a piece when the last one has
left, so who does not read holds up himself.  This module decides nothing about what is asked.
"""

from __future__ import annotations

import errno
import logging
import socket
from collections.abc import Callable
from typing import NamedTuple, Protocol

from efsupervisor.core.web.xmlrpc.marshal import MAX_BODY
from efsupervisor.reactor import READ, WRITE, Reactor, Timer

MAX_HEAD = 16 << 10
MAX_CONNECTIONS = 512
ACCEPTS = 32
PIECE = 64 << 10
IDLE_S = 1800.0
"""How long a connection over TCP may say nothing: its clients keep one for hours and cannot make a new one by themselves."""

PAUSE_S = 0.5
REASONS = {
    200: "OK", 400: "Bad Request", 401: "Unauthorized", 403: "Forbidden", 404: "Not Found", 405: "Method Not Allowed", 408: "Request Timeout",
    411: "Length Required", 413: "Content Too Large", 429: "Too Many Requests", 431: "Request Header Fields Too Large", 500: "Internal Server Error",
    503: "Service Unavailable",
}  # fmt: skip

_log = logging.getLogger("xmlrpc")


class Asked(NamedTuple):
    """One request.  headers: by name in small letters.  address: of the peer, empty on a Unix socket."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    address: str


class Stream(Protocol):
    """Something that is sent as it comes."""

    def more(self) -> bytes | None: ...
    def close(self) -> None: ...


Serve = Callable[["Asked", "Connection"], None]


class Connection:
    """One client's.  serve(asked, connection): calls exactly one of reply, refuse and stream, now or later."""

    def __init__(self, sock: socket.socket, address: str, server: RpcServer) -> None:
        self.heard_at = server.reactor.now
        self.open = True
        self._sock = sock
        self._fd = sock.fileno()
        self._server = server
        self._address = address
        self._in = bytearray()
        self._out = bytearray()
        self._head: Asked | None = None
        self._length = 0
        self._busy = False
        self._last = False
        self._old = False
        self._stream: Stream | None = None
        self._timer: Timer | None = None
        self._deadline: Timer | None = None
        self._interest = READ
        server.reactor.watch(self._fd, READ, self._ready)

    @property
    def idle(self) -> bool:
        """Nothing of it is under way."""
        return not (self._busy or self._out)

    # Answers --------------------------------------------------------------------------------------------------------------------------------------

    def reply(self, body: bytes, kind: str = "text/xml", status: int = 200, more: str = "") -> None:
        """The whole answer."""
        if not self.open:
            return
        closing = "Connection: close\r\n" if self._last else "Connection: Keep-Alive\r\n" if self._old else ""
        head = f"HTTP/1.1 {status} {REASONS[status]}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n{more}{closing}\r\n"
        self._busy = False
        self._out += head.encode("latin-1") + body
        self._send()
        if self.open and not self._last:
            self._parse()

    def refuse(self, status: int, more: str = "") -> None:
        """An answer that is no value; the connection ends."""
        self._last = True
        self.reply(f"{REASONS[status]}\n".encode(), "text/plain", status, more)

    def stream(self, source: Stream, every_s: float, kind: str) -> None:
        """Pieces, until the client has enough.  source: asked every every_s seconds; owned from now on."""
        if not self.open:
            source.close()
            return
        self._stream = source
        framing = "Connection: close\r\n" if self._old else "Transfer-Encoding: chunked\r\n"
        head = f"HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nX-Accel-Buffering: no\r\n{framing}\r\n"
        self._out += head.encode()
        self._send()
        self._flow(every_s)

    def _flow(self, every_s: float) -> None:
        if not self.open or self._stream is None:
            return
        while self.open and not self._out:
            data = self._stream.more()
            if data is None:
                self.close()
                return
            if not data:
                break
            self._out += data if self._old else b"%x\r\n%b\r\n" % (len(data), data)
            self._send()
        if self.open:
            self._timer = self._server.reactor.after(every_s, lambda: self._flow(every_s))

    def close(self) -> None:
        """End it."""
        if not self.open:
            return
        self.open = False
        for timer in (self._timer, self._deadline):
            if timer is not None:
                timer.cancel()
        if self._stream is not None:
            self._stream.close()
        self._server.reactor.forget(self._fd)
        self._sock.close()
        self._server.gone(self)

    # Reading --------------------------------------------------------------------------------------------------------------------------------------

    def _ready(self, events: int) -> None:
        if events & WRITE:
            self._send()
        if self.open and events & ~WRITE:
            self._read()

    def _read(self) -> None:
        try:
            data = self._sock.recv(PIECE)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self.close()
            return
        self.heard_at = self._server.reactor.now
        if self._stream is not None:
            return  # who is sent a stream has nothing more to say
        self._in += data
        if len(self._in) > MAX_HEAD + MAX_BODY + PIECE:
            self.close()
        elif not self._busy:
            self._parse()

    def _parse(self) -> None:
        """The next request, as soon as the whole of it is there."""
        while self.open and not self._busy and self._in:
            if self._head is None and not self._take_head():
                break
            if not self.open or self._head is None or len(self._in) < self._length:
                break
            head, body = self._head, bytes(self._in[: self._length])
            del self._in[: self._length]
            self._head, self._busy = None, True
            self._arrived()
            self._server.serve(head._replace(body=body), self)
        waits = self.open and not self._busy and (self._head is not None or bool(self._in))
        if waits and self._deadline is None:
            self._deadline = self._server.reactor.after(self._server.request_s, self._overdue)

    def _arrived(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _overdue(self) -> None:
        self._deadline = None
        self.refuse(408)

    def _take_head(self) -> bool:
        """Take a head off what came; False when it is not whole, or refused."""
        while self._in.startswith((b"\r\n", b"\n")):  # RFC 9112 section 2.2; supervisorctl sends one behind each head
            del self._in[: 2 if self._in.startswith(b"\r\n") else 1]
        end = self._in.find(b"\r\n\r\n")
        if end < 0:
            if len(self._in) > MAX_HEAD:
                self.refuse(431)
            return False
        if end > MAX_HEAD:
            self.refuse(431)
            return False
        lines = self._in[:end].decode("utf-8", "surrogateescape").split("\r\n")
        del self._in[: end + 4]
        fault = self._judge(lines)
        if fault:
            self.refuse(fault)
        return not fault

    def _judge(self, lines: list[str]) -> int:
        """Understand a head; a status that refuses it, 0 for none."""
        method, _, rest = lines[0].partition(" ")
        path, _, version = rest.rpartition(" ")
        if not path.startswith("/") or version not in ("HTTP/1.0", "HTTP/1.1"):
            return 400
        headers: dict[str, str] = {}
        for line in lines[1:]:
            name, colon, text = line.partition(":")
            name = name.lower()
            if not colon or not name or name != name.strip() or name in headers:
                return 400  # what two readers could read in two ways is read by nobody
            headers[name] = text.strip()
        if "transfer-encoding" in headers:
            return 411
        length = headers.get("content-length", "0")
        if not (length.isascii() and length.isdecimal()):
            return 400
        if len(length) > 9 or int(length) > MAX_BODY:
            return 413
        connection = headers.get("connection", "").lower()
        self._old = version == "HTTP/1.0"
        self._last = connection == "close" or (self._old and connection != "keep-alive")
        self._length = int(length)
        self._head = Asked(method, path, headers, b"", self._address)
        return 0

    # Sending --------------------------------------------------------------------------------------------------------------------------------------

    def _send(self) -> None:
        if self._out and self.open:
            try:
                sent = self._sock.send(self._out)
            except BlockingIOError:
                sent = 0
            except OSError:
                self.close()
                return
            del self._out[:sent]
        if not self._out and self._last and not self._busy and self._stream is None:
            self.close()
            return
        interest = READ | (WRITE if self._out else 0)
        if self.open and interest != self._interest:
            self._interest = interest
            self._server.reactor.watch(self._fd, interest, self._ready)


class RpcServer:
    """Listening sockets and their connections.  serve: see Connection.  request_s: longest time for one request to arrive."""

    def __init__(self, reactor: Reactor, request_s: float) -> None:
        self.reactor = reactor
        self.request_s = request_s
        self.connections: dict[Connection, None] = {}
        self._listening: list[socket.socket] = []
        self._serves: dict[Connection, Serve] = {}
        reactor.after(IDLE_S / 10, self._sweep)

    @property
    def busy(self) -> bool:
        """A request is being worked on, or an answer is on its way."""
        return any(not each.idle and each._stream is None for each in self.connections)

    def listen(self, sock: socket.socket, serve: Serve) -> None:
        """Accept here; the socket is owned from now on."""
        sock.setblocking(False)
        self._listening.append(sock)
        self._watch(sock, serve)

    def serve(self, asked: Asked, connection: Connection) -> None:
        """Hand a request to whom its door belongs."""
        try:
            self._serves[connection](asked, connection)
        except Exception:  # whatever a stranger's words do, it is this connection's end and nobody else's
            _log.exception("%s %s failed", asked.method[:20], asked.path[:100])
            connection.refuse(500)

    def gone(self, connection: Connection) -> None:
        """A connection has ended."""
        self.connections.pop(connection, None)
        self._serves.pop(connection, None)

    def stop_listening(self) -> None:
        """Accept nothing more; idle connections and streams end."""
        listening, self._listening = self._listening, []
        for sock in listening:
            self.reactor.forget(sock.fileno())
            sock.close()
        for connection in list(self.connections):
            if connection.idle or connection._stream is not None:
                connection.close()

    def close(self) -> None:
        """End everything."""
        self.stop_listening()
        for connection in list(self.connections):
            connection.close()

    def _watch(self, sock: socket.socket, serve: Serve) -> None:
        if sock.fileno() >= 0:
            self.reactor.watch(sock.fileno(), READ, lambda _events: self._accept(sock, serve))

    def _accept(self, listening: socket.socket, serve: Serve) -> None:
        for _ in range(ACCEPTS):
            try:
                sock, address = listening.accept()
            except (BlockingIOError, ConnectionAbortedError):
                return
            except OSError as error:
                if error.errno in (errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS):
                    _log.warning("no connection could be accepted: %s", error)
                    self.reactor.forget(listening.fileno())
                    self.reactor.after(PAUSE_S, lambda: self._watch(listening, serve))
                return
            sock.setblocking(False)
            if len(self.connections) >= MAX_CONNECTIONS:
                self._make_room()
            if sock.family != socket.AF_UNIX:
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connection = Connection(sock, address[0] if isinstance(address, tuple) else "", self)
            self.connections[connection] = None
            self._serves[connection] = serve

    def _make_room(self) -> None:
        """End the one that has been silent longest; one that waits for an answer only if all do."""
        min(self.connections, key=lambda each: (not each.idle, each.heard_at)).close()

    def _sweep(self) -> None:
        self.reactor.after(IDLE_S / 10, self._sweep)
        for connection in list(self.connections):
            if connection.idle and connection._address and connection._stream is None and self.reactor.now - connection.heard_at > IDLE_S:
                connection.close()
