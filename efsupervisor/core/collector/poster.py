"""One blocking post at a time, in a thread of its own, so that the collector's loop never waits for a server.

Who may be posted to: the host's name is resolved once for each post, and the connection goes to the address that was checked; a loopback, link-local
or private address is refused unless the host, the address or a network that holds it is listed in `post.allow_private`.  Redirects are not followed,
no proxy of the environment is used, at most MAX_ANSWER bytes of an answer are read, and a post that drips is cut.

The thread shares nothing with the loop but two queues and an eventfd.
"""

from __future__ import annotations

import contextlib
import http.client
import ipaddress
import os
import queue
import socket
import threading
from collections.abc import Callable
from typing import NamedTuple

from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import HTTPError, LocationParseError
from urllib3.util import parse_url

from efsupervisor.core.collector.announcer import Answer, Post
from efsupervisor.errors import Code, EfError
from efsupervisor.reactor import READ, Reactor

MAX_ANSWER = 64 << 10
PATIENCE = 3
"""A post that takes this many times its time-out in all is cut."""


class Target(NamedTuple):
    """A url that was taken apart.  host: as written, without brackets."""

    scheme: str
    host: str
    port: int
    path: str


def target(url: str) -> Target:
    """EfError when the url is not one that can be posted to."""
    try:
        parts = parse_url(url)
    except LocationParseError as error:
        raise EfError(f"{url!r} is no URL: {error}", Code.CONFIG) from error
    if parts.scheme not in ("http", "https") or not parts.host or parts.auth:
        raise EfError(f"{url!r} cannot be posted to: write http:// or https://, a host and a path, and no user or password", Code.CONFIG)
    return Target(parts.scheme, parts.host.strip("[]"), parts.port or (443 if parts.scheme == "https" else 80), parts.request_uri)


def allowed_address(host: str, addresses: list[str], allow_private: list[str]) -> str:
    """The first address that may be connected to.  EfError with code REFUSED when there is none."""
    named = {entry.lower() for entry in allow_private}
    networks = [network for entry in allow_private if (network := _network(entry)) is not None]
    for text in addresses:
        address = ipaddress.ip_address(text.partition("%")[0])
        if address.is_global or host.lower() in named or any(address in network for network in networks):
            return text
    raise EfError(
        f"{host} is at {', '.join(addresses) or 'no address'}, private to a network or a machine; list it in post.allow_private if that is meant",
        Code.REFUSED,
    )


def _network(text: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network | None:
    try:
        return ipaddress.ip_network(text, strict=False)
    except ValueError:
        return None


class Order(NamedTuple):
    """One post as the thread gets it."""

    post: Post
    url: str
    timeout_s: float
    allow_private: list[str]
    token: str
    done: Callable[[Answer], None]


Resolve = Callable[[str, int], list[str]]


def resolve(host: str, port: int) -> list[str]:
    """Addresses of a host; OSError when there is none."""
    return list(dict.fromkeys(str(entry[4][0]) for entry in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)))


class Poster:
    """The thread, and its line to the loop.  `post` returns at once; `done` is called from the loop, once for each order, in order."""

    def __init__(self, reactor: Reactor, resolver: Resolve = resolve) -> None:
        self._reactor = reactor
        self._resolve = resolver
        self._orders: queue.SimpleQueue[Order | None] = queue.SimpleQueue()
        self._answers: queue.SimpleQueue[tuple[Order, Answer]] = queue.SimpleQueue()
        self._bell = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._connection: HTTPConnection | None = None
        self._latest: Order | None = None
        reactor.watch(self._bell, READ, self._rung)
        self._thread = threading.Thread(target=self._serve, name="poster", daemon=True)
        self._thread.start()

    def post(self, order: Order) -> None:
        """Post it, after those that were given before."""
        self._orders.put(order)
        self._reactor.after(order.timeout_s * PATIENCE, lambda: self._impatient(order))
        self._latest = order

    def close(self) -> None:
        """End the thread; an order that is under way is cut and never answered."""
        self._orders.put(None)
        self._abort()
        self._thread.join(1)
        self._reactor.forget(self._bell)
        if not self._thread.is_alive():
            os.close(self._bell)

    # In the loop ---------------------------------------------------------------------------------------------------------------------------------

    def _rung(self, _events: int) -> None:
        with contextlib.suppress(BlockingIOError):
            os.eventfd_read(self._bell)
        while not self._answers.empty():
            order, answer = self._answers.get()
            if order is self._latest:
                self._latest = None
            order.done(answer)

    def _impatient(self, order: Order) -> None:
        if order is self._latest:
            self._abort()
            self._reactor.after(order.timeout_s, lambda: self._impatient(order))  # the cut may have met no connection yet

    def _abort(self) -> None:
        """Shut the connection down under the thread: whatever it waits for ends."""
        connection = self._connection
        sock = connection.sock if connection is not None else None
        if sock is not None:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)

    # In the thread -------------------------------------------------------------------------------------------------------------------------------

    def _serve(self) -> None:
        while (order := self._orders.get()) is not None:
            try:
                answer = self._done(order)
            except EfError as error:
                answer = Answer(0, error.message)
            except (HTTPError, http.client.HTTPException, OSError, ValueError) as error:
                answer = Answer(0, f"{order.url}: {_plain(error)}")
            self._answers.put((order, answer))
            os.eventfd_write(self._bell, 1)

    def _done(self, order: Order) -> Answer:
        where = target(order.url)
        address = allowed_address(where.host, self._resolve(where.host, where.port), order.allow_private)
        self._connection = connection = _connection(where, address, order.timeout_s)
        try:
            return _exchange(connection, where, order)
        finally:
            self._connection = None
            connection.close()


def _connection(where: Target, address: str, timeout_s: float) -> HTTPConnection:
    if where.scheme == "https":
        return HTTPSConnection(
            address, where.port, timeout=timeout_s, server_hostname=where.host, assert_hostname=where.host, cert_reqs="CERT_REQUIRED"
        )
    return HTTPConnection(address, where.port, timeout=timeout_s)


def _exchange(connection: HTTPConnection, where: Target, order: Order) -> Answer:
    """Send, and read the whole answer: one that was cut in its body is no acceptance."""
    host = f"[{where.host}]" if ":" in where.host else where.host
    usual = where.port == (443 if where.scheme == "https" else 80)
    headers = {
        "Host": host if usual else f"{host}:{where.port}",
        "Content-Type": "application/json",
        "Idempotency-Key": order.post.id,
        "User-Agent": "efsupervisor",
        "Connection": "close",
        **({"Authorization": f"Bearer {order.token}"} if order.token else {}),
    }
    connection.request("POST", where.path, body=order.post.body, headers=headers, preload_content=False)
    response = connection.getresponse()
    read = 0
    while piece := response.read(8192):
        read += len(piece)
        if read > MAX_ANSWER:
            break
    sentence = f"{order.url}: {response.status} {response.reason or ''}".rstrip()
    return Answer(response.status, sentence, _retry_after(response.headers.get("Retry-After")))


def _retry_after(text: str | None) -> float:
    """Seconds that a server asks for; dates are not understood (RFC 9110, 10.2.3 allows both)."""
    return float(text) if text and text.isascii() and text.isdigit() else 0.0


def _plain(error: Exception) -> str:
    """An error in words, without the objects that urllib3 puts into its texts."""
    reason = getattr(error, "reason", None)
    text = str(reason) if reason is not None else str(error)
    return text.rpartition("object at ")[2].partition(">: ")[2] or text or type(error).__name__
