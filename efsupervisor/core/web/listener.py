"""The web listener: the process that serves HTTP.

One loop turns everything that must never wait: connections, the line to the middle interface, signs of life.  Threads run the application and wait
there for answers.  A loop that hangs gives no sign of life, and the monitor replaces the process; a thread that hangs holds up one request.

The port is not ours: it was opened by the monitor, and a successor goes on with it.  On leave nothing more is accepted, and what is under way is
finished.
"""

from __future__ import annotations

import resource
import socket

from efsupervisor.core.dealer import Dealer
from efsupervisor.core.sibling import Sibling
from efsupervisor.core.web import limits
from efsupervisor.core.web.app import Application
from efsupervisor.core.web.auth import Doorman, TokenFile
from efsupervisor.core.web.helper import WebListenerHelper
from efsupervisor.core.web.link import Link
from efsupervisor.core.web.replies import Refusal
from efsupervisor.core.web.server import Channel, HttpServer
from efsupervisor.core.web.tls import channels_of
from efsupervisor.core.web.xmlrpc.doors import Door
from efsupervisor.core.web.xmlrpc.server import XmlRpc
from efsupervisor.errors import Code, EfError

FINISH_S = 0.05
"""Between two looks whether everything under way is finished, while leaving."""

LOOK_S = 1.0
"""Between two looks at the token file, for our health."""


class WebListener:
    """Serves on a socket until the sibling leaves.  sock: the listening socket, owned from now on.  EfError when the certificate cannot be used."""

    def __init__(self, sibling: Sibling, sock: socket.socket, doors: list[tuple[Door, socket.socket]]) -> None:
        self._sibling = sibling
        web = sibling.spec.web
        helper = WebListenerHelper(sibling.var, sibling.system)
        self._tokens = TokenFile(helper.token_file, sibling.system)
        self._doorman = Doorman(self._tokens, sibling.system)
        context = helper.context(web)
        self._dealer = Dealer(sibling.reactor, sibling.run_dir)
        self._link = Link(sibling.reactor, self._dealer)
        self._http = HttpServer(
            sibling.reactor,
            sock,
            Application(self._link, self._doorman, web, sibling.system, version=sibling.place.version),
            self._judge,
            web,
            descriptors=resource.getrlimit(resource.RLIMIT_NOFILE)[0],
            channel=Channel if context is None else channels_of(context),
            scheme="http" if context is None else "https",
        )
        self._xmlrpc = XmlRpc(sibling, self._dealer, sibling.spec.xmlrpc, doors)
        sibling.on_leave(self._leave)
        self._look()

    def close(self) -> None:
        """Give everything back."""
        self._http.close()
        self._xmlrpc.close()
        self._link.close()
        self._dealer.close()

    def _judge(self, head: limits.Head, address: str) -> EfError | None:
        """Before a body is read: its head must be plain, and its sender must have a token."""
        fault = limits.fault_of(head)
        if fault:
            return Refusal(400, fault, Code.BAD_REQUEST)
        if limits.has_body(head):
            try:
                self._doorman.admit(head.headers.get("AUTHORIZATION", ""), address)
            except EfError as refusal:
                return refusal
        return None

    def _look(self) -> None:
        self._sibling.reactor.after(LOOK_S, self._look)
        self._tokens.entries()
        self._sibling.health(self._tokens.fault)

    def _leave(self) -> None:
        release = self._sibling.hold()
        self._http.stop_listening()
        self._xmlrpc.leave()

        def look() -> None:
            if self._http.is_busy or self._xmlrpc.http.busy:
                self._sibling.reactor.after(FINISH_S, look)
            else:
                release()

        look()


def run(sibling: Sibling, sock: socket.socket, doors: list[tuple[Door, socket.socket]]) -> None:
    """The whole life of a listener.  doors: sockets of XML-RPC, owned from now on."""
    listener = WebListener(sibling, sock, doors)
    sibling.run()
    listener.close()
