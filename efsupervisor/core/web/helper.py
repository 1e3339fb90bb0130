"""What must be there before the listener: the token file, the port, the certificate.

The token file is made once, at the first start, with one token for each role.  It is never written again: who wants other tokens edits it, and it is
read again at once.

The port is opened by the monitor and handed down to each listener, so a listener that dies or is replaced refuses nobody: connections wait in the
kernel's queue for the next one.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import socket
import ssl

from efsupervisor.conf.schema import WebSpec
from efsupervisor.conf.web import LOCAL, is_loopback
from efsupervisor.core.web import auth
from efsupervisor.core.web.tls import context_of
from efsupervisor.errors import Code, EfError
from efsupervisor.states import Role
from efsupervisor.system import Real, write_whole

NAME = "web.token"
BACKLOG = 1024
HEADING = """\
# Tokens of the web listener, one `role token` a line; roles: admin, operate, view.  Whoever has one may do what its role may:
#     curl -H "Authorization: Bearer TOKEN" http://127.0.0.1:8642/api/v1/status
# A line that is taken out stops working at once.
"""


class WebListenerHelper:
    """Prepares for one supervisor.  var: its folder."""

    def __init__(self, var: str, system: Real) -> None:
        self.token_file = f"{var}/lib/{NAME}"
        self._folder = f"{var}/lib"
        self._system = system

    def prepare_tokens(self) -> bool:
        """Make the token file if there is none; whether it was made.  EfError CONFIG when one is there that cannot be used, OSError as the kernel
        gives it."""
        try:
            self._system.stat(self.token_file)
        except FileNotFoundError:
            with contextlib.suppress(FileExistsError):
                self._system.mkdir(self._folder, 0o700)
            lines = [f"{role} {secrets.token_urlsafe(32)}\n" for role in (Role.ADMIN, Role.OPERATE, Role.VIEW)]
            write_whole(self._system, self.token_file, (HEADING + "".join(lines)).encode(), 0o600)
            return True
        auth.parse(auth.read(self.token_file, self._system)[0])
        return False

    def listen(self, web: WebSpec) -> socket.socket:
        """The listening socket, owned by the caller.  EfError says why there can be none."""
        check_reach(web)
        host = "127.0.0.1" if web.host == LOCAL else web.host
        sock = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
        try:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.bind((host, web.port))
            sock.listen(BACKLOG)
            sock.setblocking(False)
        except OSError as error:
            sock.close()
            raise EfError(why_not(web, error), Code.SYSTEM) from error
        return sock

    def context(self, web: WebSpec) -> ssl.SSLContext | None:
        """For TLS; None without a certificate.  EfError CONFIG when it cannot be used."""
        return context_of(web.certificate, web.key) if web.certificate else None


def check_reach(web: WebSpec) -> None:
    """EfError CONFIG when other machines could speak to us without TLS; the configuration refuses it, too."""
    if not web.certificate and not is_loopback(web.host):
        raise EfError(f"web.host {web.host} can be reached from other machines, and so needs web.certificate and web.key", Code.CONFIG)


def why_not(web: WebSpec, error: OSError) -> str:
    """Why the port cannot be opened, for a person."""
    where = f"port {web.port} of {web.host}"
    if error.errno == errno.EADDRINUSE:
        return f"{where} is taken by another program; it is tried again, or set web.port to another one"
    if error.errno == errno.EADDRNOTAVAIL:
        return f"{web.host} is no address of this machine; it is tried again, or set web.host to another one"
    if error.errno in (errno.EACCES, errno.EPERM):
        return f"{where} may only be opened by root; set web.port to one above 1023"
    return f"{where} cannot be opened: {os.strerror(error.errno or 0)}; it is tried again"
