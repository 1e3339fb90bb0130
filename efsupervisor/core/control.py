"""The control socket: who may speak, how much, and how replies get out without anybody waiting for anybody.

The socket is 0600 in a 0700 folder, and the kernel names each peer: only root and our own uid are heard.  A client may have MAX_CLIENTS - 1
neighbours; one more takes the place of whoever was silent longest and waits for nothing.

A reply is an iterator of frames.  A frame is made when the one before it has left, so a client that does not read holds up one frame of memory and no
one else; its next request is looked at when it has read the answer to the last.  Requests are served one per client and round, bounded per turn of
the loop.

A frame that is no request ends its connection; FailedReply says why first.  Nothing that a client sends can raise in here: `serve` turns what is
wrong into replies. """

from __future__ import annotations

import socket
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Protocol

from efsupervisor.channel import Channel, listen
from efsupervisor.core.descriptors import Descriptors
from efsupervisor.core.peer import credentials
from efsupervisor.core.turnstile import Turnstile
from efsupervisor.messages import Request
from efsupervisor.reactor import READ, Reactor
from efsupervisor.system import Real

NAME = "core.sock"
MAX_CLIENTS = 128
MAX_REQUESTS = 64
"""Requests of one client that may wait to be looked at, and replies that may wait to be sent."""

ACCEPTS = 16
PAUSE_S = 0.5
"""How long no connection is accepted after the system had no descriptor for one."""


class Says(Protocol):
    """A log, the Core's or a sibling's."""

    def debug(self, sentence: str, /) -> None: ...
    def warning(self, sentence: str, /) -> None: ...


class Client(Channel):
    """One connection.  uid, pid: of the peer when it connected.  heard_at: monotonic time of its last request."""

    def __init__(self, sock: socket.socket, control: Control) -> None:
        self.pid, self.uid, _ = credentials(sock)
        self.heard_at = control.reactor.now
        self.requests: deque[object] = deque()
        self.outbox: deque[Iterator[object]] = deque()
        self.waits_for = 0
        self._control = control
        super().__init__(sock, control.reactor, control.vocabulary, self._asked, self._gone)

    def __str__(self) -> str:
        return f"uid {self.uid} pid {self.pid}"

    @property
    def idle(self) -> bool:
        """It asked for nothing that is still to be answered."""
        return not (self.requests or self.outbox or self.waits_for)

    @property
    def may_be_served(self) -> bool:
        """There is a request, and the answers to the earlier ones have left (those that wait for tasks excepted)."""
        return self.open and bool(self.requests) and not self.outbox

    def reply(self, replies: Iterable[object]) -> None:
        """Send these frames, in order, as fast as the client reads; they are made one by one."""
        if self.open:
            self.outbox.append(iter(replies))
            self._pump()

    def _pump(self) -> None:
        while self.open and self.outbox and not self._queue:
            frame = next(self.outbox[0], None)
            if frame is None:
                self.outbox.popleft()
            else:
                self.send(frame)
        if self.may_be_served:
            self._control.serve_soon(self)

    def _send_queued(self) -> None:
        super()._send_queued()
        self._pump()

    def _asked(self, message: object) -> None:
        self.heard_at = self._control.reactor.now
        if len(self.requests) + len(self.outbox) + self.waits_for >= MAX_REQUESTS:
            self.close()
            self._gone(f"it asked more than {MAX_REQUESTS} things at once")
            return
        self.requests.append(message)
        if self.may_be_served:
            self._control.serve_soon(self)

    def _gone(self, reason: str) -> None:
        self._control.gone(self, reason)


class Control:
    """The listening socket and its clients.  serve(client, request): answers now or later, never raises.  on_gone(client): forget what it waits
    for.  name, vocabulary: of the socket, and what may arrive there (the Core's own, or the middle interface's)."""

    def __init__(
        self,
        folder: str,
        reactor: Reactor,
        system: Real,
        log: Says,
        descriptors: Descriptors,
        uids: frozenset[int],
        serve: Callable[[Client, object], None],
        on_gone: Callable[[Client], None],
        *,
        name: str = NAME,
        vocabulary: object = Request,
    ) -> None:
        self.reactor = reactor
        self.vocabulary = vocabulary
        self._log = log
        self._descriptors = descriptors
        self._uids = uids
        self._serve = serve
        self._on_gone = on_gone
        self._clients: dict[Client, None] = {}
        self._ready: deque[Client] = deque()
        self._turnstile = Turnstile(reactor, system, self._serve_one, descriptors)
        self._listener = descriptors.lasting_socket(listen(folder, name))
        self._listener.setblocking(False)
        self._watch()

    def __len__(self) -> int:
        return len(self._clients)

    def serve_soon(self, client: Client) -> None:
        """The client has a request that may be looked at."""
        if client not in self._ready:
            self._ready.append(client)
            self._turnstile.wake()

    def gone(self, client: Client, reason: str) -> None:
        """A client's connection ended."""
        if self._clients.pop(client, self) is None:
            self._log.debug(f"control: {client}: {reason}")
            self._on_gone(client)

    def close(self) -> None:
        """End every connection and stop listening."""
        for client in list(self._clients):
            client.close()
        self._clients.clear()
        self.reactor.forget(self._listener.fileno())
        self._listener.close()

    # Accepting ------------------------------------------------------------------------------------------------------------------------------------

    def _watch(self) -> None:
        self.reactor.watch(self._listener.fileno(), READ, lambda _events: self._accept())

    def _accept(self) -> None:
        for _ in range(ACCEPTS):
            try:
                sock, _address = self._listener.accept()
            except BlockingIOError:
                return
            except OSError as error:
                self._pause(error)
                return
            self._admit(sock)

    def _pause(self, error: OSError) -> None:
        """The waiting connection keeps the listener readable: look away for a while, or the loop would spin."""
        self._log.warning(f"control: no connection could be accepted: {error}")
        self._make_room()
        self.reactor.forget(self._listener.fileno())
        self.reactor.after(PAUSE_S, self._watch)

    def _admit(self, sock: socket.socket) -> None:
        pid, uid, _ = credentials(sock)
        if uid not in self._uids:
            self._log.warning(f"control: refused a connection of uid {uid} (pid {pid})")
            sock.close()
            return
        if len(self._clients) >= MAX_CLIENTS:
            self._make_room()
        try:
            self._clients[Client(self._descriptors.lasting_socket(sock), self)] = None
        except OSError as error:
            self._pause(error)

    def _make_room(self) -> None:
        """End the connection that has been silent longest; one that waits for an answer only if all do."""
        if self._clients:
            client = min(self._clients, key=lambda each: (not each.idle, each.heard_at))
            client.close()
            self.gone(client, "silent longest when another client came")

    # Serving --------------------------------------------------------------------------------------------------------------------------------------

    def _serve_one(self) -> bool:
        if not self._ready:
            return False
        client = self._ready.popleft()
        if client.may_be_served:
            self._serve(client, client.requests.popleft())
        if client.may_be_served:
            self._ready.append(client)
        return bool(self._ready)
