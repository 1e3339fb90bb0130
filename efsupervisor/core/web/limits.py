"""How long a connection may take for what, and which heads of requests are refused before anybody reads on.  Pure.

A connection is always in one Wait, entered at one time, with one deadline:

    IDLE       nothing of a request has come: `idle_s`
    ARRIVING   a part of a request has come, or of a TLS handshake: `request_s` for the whole, however it is dripped
    SERVING    a thread works on it: its own deadline, not ours
    SENDING    the client is to read: `idle_s` without a byte, SENDING_S for the whole answer
    LINGERING  the answer that ends the connection was sent: LINGER_S for the client to read it

Source of the rules for heads: RFC 9112 sections 3.2, 6.1 and 6.3 (request smuggling).
"""

from __future__ import annotations

import enum
from typing import Protocol

from efsupervisor.conf.schema import WebSpec

SENDING_S = 60.0
LINGER_S = 2.0
LINGER_BYTES = 4 << 20
"""What is read and thrown away of a request that was refused, so that the client gets to see why."""

METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT"})


class Wait(enum.Enum):
    """What a connection waits for."""

    IDLE = "idle"
    ARRIVING = "arriving"
    SERVING = "serving"
    SENDING = "sending"
    LINGERING = "lingering"


def is_overdue(wait: Wait, waited_s: float, silent_s: float, web: WebSpec) -> bool:
    """Whether the connection has had its time.  waited_s: since this wait began.  silent_s: since a byte came or went."""
    match wait:
        case Wait.IDLE:
            return waited_s > web.idle_s
        case Wait.ARRIVING:
            return waited_s > web.request_s
        case Wait.SENDING:
            return silent_s > web.idle_s or waited_s > SENDING_S
        case Wait.LINGERING:
            return waited_s > LINGER_S
        case Wait.SERVING:
            return False


class Head(Protocol):
    """The head of a request as waitress's parser has it.  headers: names in capitals with underscores; equal ones joined by commas."""

    headers: dict[str, str]
    command: str
    version: str
    chunked: bool
    request_uri: str


def fault_of(head: Head) -> str:
    """Why this head is refused with 400, empty when it is not.  What two readers could read in two ways is read by nobody."""
    headers = head.headers
    if head.version not in ("1.0", "1.1"):
        return "only HTTP/1.0 and HTTP/1.1 are spoken here"
    if head.command not in METHODS:
        return f"there is no method {head.command[:20]}"
    if head.version == "1.0" and "TRANSFER_ENCODING" in headers:
        return "HTTP/1.0 has no Transfer-Encoding"
    if head.chunked and "CONTENT_LENGTH" in headers:
        return "a request has a Content-Length or a Transfer-Encoding, not both"
    if "HOST" not in headers:
        return "a request says whom it is for, in its Host header"
    if "," in headers["HOST"]:
        return "a request has one Host header"
    if not head.request_uri.startswith("/"):
        return "the target of a request is a path"
    if "\x00" in head.request_uri or "%00" in head.request_uri:
        return "the target of a request has no NUL"
    return ""


def has_body(head: Head) -> bool:
    """Whether a body follows, of whatever length."""
    return head.chunked or head.headers.get("CONTENT_LENGTH", "0").strip("0") != ""


def connections(wanted: int, descriptors: int) -> int:
    """How many connections there may be.  descriptors: what the system lets the process have; some are needed for other things."""
    return max(16, min(wanted, descriptors - 128))
