"""Addresses, host names and URLs as a configuration may say them, and which addresses are private.  Pure; nothing is looked up.

A URL that a collector posts to is http or https, and carries no password: it would be shown wherever the setting is.  That a host name leads to a
private address can only be known when it is used; an address that is written out is judged here as well.
"""

from __future__ import annotations

import re

from efsupervisor.conf.convert import Unfit
from efsupervisor.conf.names import shown

LOCAL = "localhost"
MAX_URL = 2048

_LABEL = r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
_HOST = re.compile(rf"{_LABEL}(?:\.{_LABEL}){{0,126}}\.?")


def listening_address(text: str) -> str:
    """An IP address, or `localhost`."""
    if text.lower() == LOCAL:
        return LOCAL
    if _address(text) is None:
        raise Unfit(f'"{shown(text, 40)}" is no address of a machine; write 127.0.0.1, ::1, localhost, 0.0.0.0 or another IP address')
    return text


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach the address."""
    address = _address(host)
    return host.lower().rstrip(".") == LOCAL or (address is not None and address.is_loopback)


def host_name(text: str) -> str:
    """A host's name or address, without scheme and port."""
    if _address(text) is None and not (len(text) <= 253 and _HOST.fullmatch(text)):
        raise Unfit(f'"{shown(text, 40)}" is no host; write its name or address alone, as in app.example.org')
    return text


def url(text: str) -> str:
    """An http or https URL with a host and without user, password and fragment; empty for none."""
    from urllib.parse import urlsplit  # late on purpose: only those who post need it

    if not text:
        return text
    if len(text) > MAX_URL or any(character <= " " or character == "\x7f" for character in text):
        raise Unfit(f"is no URL: it has blanks, control characters or more than {MAX_URL:,} characters")
    try:
        parts = urlsplit(text)
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        raise Unfit(f"is no URL: {error}") from error
    if parts.scheme not in ("http", "https") or not host:
        raise Unfit(f'"{shown(text, 40)}" is not a URL of http or https; write it as in https://app.example.org/events')
    if "@" in parts.netloc:
        raise Unfit("may not carry a user or a password, which would be shown with it; put a token into the file post.token_file")
    if parts.fragment:
        raise Unfit("may not have a part behind #, which is never sent")
    host_name(host)
    return text


def private_host(text: str) -> str:
    """The host of a URL when it is plainly private, as a loopback, link-local or private address or `localhost`; empty otherwise."""
    from urllib.parse import urlsplit  # late on purpose: only those who post need it

    host = (urlsplit(text).hostname or "") if text else ""
    address = _address(host)
    inside = host.rstrip(".") == LOCAL or host.rstrip(".").endswith("." + LOCAL) or (address is not None and not address.is_global)
    return host if inside else ""


def basic_user(text: str) -> str:
    """A user of basic authentication, which has no colon; empty for none."""
    if len(text) > 256 or ":" in text or not text.isprintable():
        raise Unfit("is no user: it has a colon, control characters or more than 256 characters")
    return text


def basic_password(text: str) -> str:
    """A password, or `{SHA}` and 40 hex digits; empty for none."""
    if len(text) > 256 or not text.isprintable():
        raise Unfit("is no password: it has control characters or more than 256 characters")
    if text.startswith("{SHA}") and not re.fullmatch(r"[0-9a-fA-F]{40}", text[5:]):
        raise Unfit("is no hash: after {SHA} come the 40 hex digits of the password's SHA-1")
    return text


EVENT_TYPES = (
    "EVENT", "PROCESS_STATE", "PROCESS_STATE_STOPPED", "PROCESS_STATE_EXITED", "PROCESS_STATE_STARTING", "PROCESS_STATE_STOPPING",
    "PROCESS_STATE_BACKOFF", "PROCESS_STATE_FATAL", "PROCESS_STATE_RUNNING", "PROCESS_STATE_UNKNOWN", "PROCESS_COMMUNICATION",
    "PROCESS_COMMUNICATION_STDOUT", "PROCESS_COMMUNICATION_STDERR", "PROCESS_LOG", "PROCESS_LOG_STDOUT", "PROCESS_LOG_STDERR",
    "REMOTE_COMMUNICATION", "SUPERVISOR_STATE_CHANGE", "SUPERVISOR_STATE_CHANGE_RUNNING", "SUPERVISOR_STATE_CHANGE_STOPPING", "TICK", "TICK_5",
    "TICK_60", "TICK_3600", "PROCESS_GROUP", "PROCESS_GROUP_ADDED", "PROCESS_GROUP_REMOVED",
)  # fmt: skip
"""What event listeners may want, as supervisord names it."""


def event_type(text: str) -> str:
    """One type of events."""
    if text.upper() not in EVENT_TYPES:
        raise Unfit(f'"{shown(text, 40)}" is no type of events; there are {", ".join(EVENT_TYPES)}')
    return text.upper()


def identifier(text: str) -> str:
    """A name without blanks, as it stands in the header of an event."""
    if not text or len(text) > 256 or not text.isprintable() or any(each.isspace() for each in text):
        raise Unfit("is one word of at most 256 characters")
    return text


def _address(text: str):  # type: ignore[no-untyped-def]
    from ipaddress import ip_address  # late on purpose: it is a large module for a few words

    if "%" in text:
        return None
    try:
        return ip_address(text)
    except ValueError:
        return None
