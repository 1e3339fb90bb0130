"""Which Host a request may be for, and from which page a change may come.  Pure.

A page that a browser was lured to can make it send requests to an address of this machine, even to loopback: by a name of its own that leads there
(DNS rebinding), or across origins.  So a request is for a name that we know, and a change comes from our own pages or from no browser at all.
Forwarded headers are never believed.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from efsupervisor.conf.schema import WebSpec

_HOST = re.compile(r"(\[[0-9A-Fa-f:.]{2,45}\]|[A-Za-z0-9._-]{1,253})(?::([0-9]{1,5}))?")
_ANY = frozenset({"0.0.0.0", "::"})
_ALWAYS = frozenset({"localhost", "127.0.0.1", "::1"})


def host_of(header: str) -> str:
    """The name in a Host header, without port and brackets, in small letters; empty when it is none."""
    match = _HOST.fullmatch(header)
    return match[1].strip("[]").rstrip(".").lower() if match else ""


def known_hosts(web: WebSpec) -> frozenset[str]:
    """The names that this listener answers to."""
    return _ALWAYS | ({web.host.lower()} - _ANY) | {each.strip("[]").rstrip(".").lower() for each in web.hosts}


def is_known(header: str, known: Iterable[str], local: str = "") -> bool:
    """Whether the Host header names this listener.  local: the address at which the connection arrived, for a listener on all addresses."""
    name = host_of(header)
    return bool(name) and (name in known or name == local)


def is_own_page(scheme: str, host: str, origin: str | None, fetch_site: str | None) -> bool:
    """Whether a change may come from there.  host, origin, fetch_site: the headers of those names (None: absent, as from a program)."""
    if fetch_site is not None and fetch_site not in ("same-origin", "none"):
        return False
    return origin is None or origin.lower() == f"{scheme}://{host}".lower()
