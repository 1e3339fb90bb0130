"""HTTP over TLS: the same channel on a socket that encrypts.

The handshake happens inside the first reads, in the loop, without anybody waiting; until it is done the connection counts as one on which a request
is arriving, so it has `request_s` for it.  A TLS socket may not be used by two threads at once, so reading and sending exclude each other.  One read
takes a whole record (16 KiB), so nothing that came stays where the loop does not see it.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from collections.abc import Callable
from typing import Any

from efsupervisor.core.web.limits import Wait
from efsupervisor.core.web.server import Channel, HttpServer
from efsupervisor.errors import Code, EfError

_LATER = (ssl.SSLWantReadError, ssl.SSLWantWriteError)


def context_of(certificate: str, key: str) -> ssl.SSLContext:
    """A server's context.  EfError CONFIG when certificate and key cannot be used, with what is wrong with which."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_RENEGOTIATION
    context.set_alpn_protocols(["http/1.1"])
    for path in (certificate, key):
        try:
            with open(path, "rb"):
                continue
        except OSError as error:
            raise EfError(f"{path} cannot be read: {error.strerror}", Code.CONFIG) from error
    try:
        context.load_cert_chain(certificate, key, password=lambda: "")
    except (ssl.SSLError, ValueError) as error:
        raise EfError(f"{certificate} and {key} are no certificate and its key without a password: {error}", Code.CONFIG) from error
    return context


class TlsChannel(Channel):
    """One connection over TLS."""

    def __init__(self, context: ssl.SSLContext, http: HttpServer, sock: socket.socket, address: Any) -> None:
        self._alone = threading.Lock()
        self._greeted = False
        sock.setblocking(False)
        super().__init__(http, context.wrap_socket(sock, server_side=True, do_handshake_on_connect=False), address)

    def recv(self, count: int) -> bytes:
        """As waitress's; BlockingIOError when nothing is there yet."""
        with self._alone:
            try:
                data: bytes = super().recv(count)
            except _LATER:
                raise BlockingIOError from None
        self._greeted = True
        return data

    def send(self, data: bytes, do_close: bool = True) -> int:
        """As waitress's; 0 when nothing could be sent yet."""
        with self._alone:
            try:
                return int(super().send(data, do_close=do_close))
            except _LATER:
                return 0

    def say_end(self) -> None:
        """TLS's own end, and TCP's."""
        with self._alone, contextlib.suppress(OSError):
            self.socket.unwrap()
        super().say_end()

    def _waits_for(self) -> Wait:
        wait = super()._waits_for()
        return Wait.ARRIVING if wait is Wait.IDLE and not self._greeted else wait


def channels_of(context: ssl.SSLContext) -> Callable[[HttpServer, socket.socket, Any], Channel]:
    """What makes the channels of an HttpServer."""
    return lambda http, sock, address: TlsChannel(context, http, sock, address)
