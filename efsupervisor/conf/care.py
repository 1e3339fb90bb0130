"""How the keys that care for a program are written: probes, limits, processors, groups, secrets.

What exists on the machine (a group, a file) is for the start of the program to say; here is only what can be judged from the text.
"""

from __future__ import annotations

import re

from efsupervisor.conf import convert, endpoint
from efsupervisor.conf.convert import Unfit
from efsupervisor.conf.fields import Reading, Section, entries, items, path_field
from efsupervisor.conf.findings import below
from efsupervisor.conf.names import shown
from efsupervisor.conf.tree import Node, Scalar, Sequence

IO_CLASSES = ("idle", "best-effort", "realtime")
MAX_PATTERN = 1024
MAX_CPU = 8191
INFINITE = frozenset({"unlimited", "infinity", "-1"})
_RANGE = re.compile(r"([0-9]{1,4})(?:-([0-9]{1,4}))?")
_SECRET = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")
_GROUP = re.compile(r"[^\s:,/]+")


# One text ------------------------------------------------------------------------------------------------------------------------------------------


def regex(text: str) -> str:
    """A regular expression as `re` takes it."""
    if len(text) > MAX_PATTERN:
        raise Unfit(f"has {len(text):,} characters; a pattern has at most {MAX_PATTERN:,}")
    try:
        re.compile(text)
    except re.error as error:
        raise Unfit(f'"{shown(text, 40)}" is no regular expression: {error}') from error
    return text


def tcp(text: str) -> str:
    """`HOST:PORT` with an address or `localhost`."""
    if text and endpoint.tcp(text) is None:
        raise Unfit(f'"{shown(text, 40)}" is no HOST:PORT; the host is localhost or an address, as in 127.0.0.1:8080 or [::1]:8080')
    return text


def http(text: str) -> str:
    """A URL of http with an address or `localhost`."""
    if text and endpoint.http(text) is None:
        hint = "; for https use exec with a program that speaks it" if text.lower().startswith("https:") else ""
        raise Unfit(f'"{shown(text, 40)}" is no such URL; write http://, localhost or an address, a port and a path, as in http://localhost:8080/health{hint}')
    return text


def listening(text: str) -> str:
    """Where a program listens: `unix:///path` or `tcp://HOST:PORT`."""
    if text and endpoint.listening(text) is None:
        raise Unfit(f'"{shown(text, 60)}" is no socket; write unix:///path/to/it, or tcp://HOST:PORT with an address or localhost')
    return text


def address(text: str) -> str:
    """An IP address."""
    if not endpoint.is_address(text):
        raise Unfit(f'"{shown(text, 40)}" is no IP address; names are not looked up')
    return text


def ionice(text: str) -> str:
    """A class of disk priority, with a level for those that have them."""
    name, colon, level = text.partition(":")
    if not text:
        return text
    convert.choice(name, IO_CLASSES)
    if name == "idle":
        if colon:
            raise Unfit("idle has no level")
        return name
    number = convert.integer(level) if colon else 4
    convert.between(number, 0, 7)
    return f"{name}:{number}"


def limit(text: str) -> tuple[int, int]:
    """`N`, `SOFT:HARD` or `unlimited`; sizes with their units."""
    soft, colon, hard = text.partition(":")
    found = _one_limit(soft), _one_limit(hard if colon else soft)
    if found[1] != -1 and (found[0] == -1 or found[0] > found[1]):
        raise Unfit(f'"{shown(text, 40)}" has a soft limit above the hard one')
    return found


def _one_limit(text: str) -> int:
    return -1 if text in INFINITE else convert.size(text)


# Several values ------------------------------------------------------------------------------------------------------------------------------------


def limit_names() -> list[str]:
    """What setrlimit(2) of this machine knows, in small letters without RLIMIT_."""
    import resource  # late: few tasks have limits

    return sorted(name.removeprefix("RLIMIT_").lower() for name in dir(resource) if name.startswith("RLIMIT_"))


def limits(reading: Reading, node: Node, path: str, found: Section) -> dict[str, tuple[int, int]]:
    """Resource limits by name."""
    known = limit_names()
    values: dict[str, tuple[int, int]] = {}
    for key, value in entries(reading, node, found.line_of("limits"), path):
        at = below(path, key.text)
        if key.text not in known:
            reading.findings.unknown(key.line, at, "unknown limit", key.text, known)
            continue
        try:
            values[key.text] = limit(value.text if isinstance(value, Scalar) else "")
        except Unfit as reason:
            reading.findings.add(key.line, at, str(reason))
    return values


def cpus(reading: Reading, node: Node, path: str, found: Section) -> tuple[int, ...]:
    """Processors: `0-3,6`, or a list of such."""
    numbers: set[int] = set()
    for part in (piece.strip() for text in _texts(reading, node, path, found) for piece in text.split(",")):
        match = _RANGE.fullmatch(part)
        if match is None:
            raise Unfit(f'"{shown(part, 40)}" names no processor; write numbers and ranges, as in 0-3,6')
        first, last = int(match[1]), int(match[2] or match[1])
        if last > MAX_CPU or first > last:
            raise Unfit(f'"{part}" is no range of processors between 0 and {MAX_CPU:,}')
        numbers.update(range(first, last + 1))
    return tuple(sorted(numbers))


def groups(reading: Reading, node: Node, path: str, found: Section) -> tuple[str, ...]:
    """Names or numbers of groups."""
    names = _texts(reading, node, path, found)
    for name in names:
        if not _GROUP.fullmatch(name):
            raise Unfit(f'"{shown(name, 40)}" is no group; write names or numbers')
    return tuple(names)


def paths(reading: Reading, node: Node, path: str, found: Section) -> list[str]:
    """Files; a relative one is below the folder of the configuration file.  A `-` before it stays."""
    return [_file(reading, text, path, found) for text in _texts(reading, node, path, found)]


def secrets(reading: Reading, node: Node, path: str, found: Section) -> dict[str, str]:
    """Names of secrets, each with the file it is in."""
    values: dict[str, str] = {}
    for key, value in entries(reading, node, found.line_of("secrets"), path):
        at = below(path, key.text)
        if not _SECRET.fullmatch(key.text):
            reading.findings.add(key.line, at, "is no name for a secret: letters, digits and _, at most 64, no digit first")
            continue
        try:
            values[key.text] = path_field(reading, value, at, found)
        except Unfit as reason:
            reading.findings.add(key.line, at, f"{reason} (a secret is the path of a file)")
    return values


def _file(reading: Reading, text: str, path: str, found: Section) -> str:
    optional = "-" if text.startswith("-") else ""
    return optional + path_field(reading, Scalar(0, text.removeprefix("-"), False), path, found)


def _texts(reading: Reading, node: Node, path: str, found: Section) -> list[str]:
    if isinstance(node, Sequence):
        return [text for _, text in items(reading, node, path, found)]
    if isinstance(node, Scalar):
        return [node.text] if node.text else []
    raise Unfit("must be one value or a list")

