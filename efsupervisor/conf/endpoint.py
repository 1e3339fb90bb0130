"""Where a probe goes: `HOST:PORT` and `http://HOST:PORT/path`, taken apart.  Pure and small: workers use it too.

A host is an address or `localhost`; no name is ever looked up, because a look-up may take longer than a probe may.
"""

from __future__ import annotations

import socket
from typing import NamedTuple

LOCAL = "localhost"
UNIX, TCP = "unix://", "tcp://"
HTTP = "http://"
MAX_TEXT = 2048


class Endpoint(NamedTuple):
    """An address, its port, and what is asked for there (http only); `host` is what was written, without brackets."""

    host: str
    port: int
    path: str = ""

    @property
    def address(self) -> str:
        """The address to connect to."""
        return "127.0.0.1" if self.host.lower() == LOCAL else self.host

    @property
    def family(self) -> socket.AddressFamily:
        """Of the address."""
        return socket.AF_INET6 if ":" in self.address else socket.AF_INET

    @property
    def own(self) -> bool:
        """Whether it is on this machine for certain."""
        return self.address == "::1" or (self.family is socket.AF_INET and self.address.startswith("127."))


def is_address(text: str) -> bool:
    """An IP address as inet_pton takes it."""
    for family in (socket.AF_INET, socket.AF_INET6):
        try:
            socket.inet_pton(family, text)
        except (OSError, ValueError):
            continue
        return True
    return False


def tcp(text: str) -> Endpoint | None:
    """`HOST:PORT`, with an IPv6 address in brackets; None when it is none."""
    return _endpoint(text, 0)


def listening(text: str) -> Endpoint | None:
    """Where a program listens: `unix:///path` (then path alone is set) or `tcp://HOST:PORT`; None when it is neither."""
    if text.startswith(UNIX):
        path = text.removeprefix(UNIX)
        fits = path.startswith("/") and not path.endswith("/") and "\0" not in path and len(path) <= MAX_TEXT
        return Endpoint("", 0, path) if fits else None
    return tcp(text.removeprefix(TCP)) if text.startswith(TCP) else None


def http(text: str) -> Endpoint | None:
    """`http://HOST[:PORT][/path]`; None when it is none."""
    if not text.lower().startswith(HTTP) or len(text) > MAX_TEXT or any(not "!" <= each <= "~" for each in text):
        return None
    authority, slash, rest = text[len(HTTP) :].partition("/")
    found = _endpoint(authority, 80)
    return None if found is None or "#" in rest else found._replace(path=slash + rest or "/")


def _endpoint(text: str, default: int) -> Endpoint | None:
    host, port = _parted(text)
    if not (host.lower() == LOCAL or is_address(host)):
        return None
    if not port and default:
        return Endpoint(host, default)
    if not (port.isascii() and port.isdigit() and 0 < int(port[:6]) < 65_536):
        return None
    return Endpoint(host, int(port))


def _parted(text: str) -> tuple[str, str]:
    if text.startswith("["):
        host, _, rest = text[1:].partition("]")
        return (host, rest[1:]) if rest[:1] in ("", ":") else ("", "")
    host, _, port = text.partition(":")
    return host, port
