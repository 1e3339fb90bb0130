"""How records are told apart, as pure functions over bytes: lines, NUL, netstring.

A record is what stands in a journal or on a wire, its payload is what the record says.  `lines` ends each payload with a newline, `nul` with a zero
byte: both can be found from any place, but a payload cannot hold the byte that ends it.  `netstring` (`5:hello,`: the length in decimal, a colon, the
payload, a comma; D. J. Bernstein, netstrings.txt) holds any bytes, and can only be walked forwards from a record's beginning.

What is no netstring is never guessed at: from there on nothing can be divided, until whoever wrote it begins anew.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from itertools import accumulate
from typing import NamedTuple

from efsupervisor.states import Framing

BROKEN = 3
"""Beside the numbers of Framing, in a journal's marks only: what follows is no record of any kind."""
DIGITS = 10
"""Longest length of a netstring; a hundred times what any event may have."""
PIECE = 256 << 10

_TERMINATOR = {Framing.LINES: b"\n", Framing.NUL: b"\0"}
_UNKNOWN, _WRONG = -1, -2
_COMMA = 44


class Walk(NamedTuple):
    """border: end of the last whole record.  broken: what begins at the border is no record.  open_end: where the record that begins at the border
    will end, 0 when that cannot be told yet."""

    border: int
    broken: bool = False
    open_end: int = 0


def terminator(framing: int) -> bytes:
    """The byte that ends a record; netstrings have none that could be looked for."""
    return _TERMINATOR.get(Framing(framing), b"") if framing != BROKEN else b""


def wrap(framing: int, payload: bytes) -> bytes | None:
    """The record that says a payload; None when this framing cannot carry it."""
    if framing == Framing.NETSTRING:
        return b"%d:%b," % (len(payload), payload)
    end = terminator(framing)
    return None if end in payload else payload + end


def payload(framing: int, record: bytes) -> bytes:
    """What a record says; one that lacks its end (a program's last) is all payload."""
    if framing == Framing.NETSTRING:
        return record[record.find(b":") + 1 : -1]
    return record.removesuffix(terminator(framing))


def netstring_end(data: bytes, at: int, stop: int) -> int:
    """Where the netstring at `at` ends, also behind `stop` when its length is there; -1: its length is not there yet; -2: it is none."""
    colon = data.find(b":", at, min(stop, at + DIGITS + 1))
    digits = data[at : colon if colon >= 0 else min(stop, at + DIGITS + 1)]
    if digits and (not digits.isdigit() or (digits[:1] == b"0" and len(digits) > 1)):
        return _WRONG
    if colon < 0:
        return _UNKNOWN if len(digits) <= DIGITS else _WRONG
    if not digits:
        return _WRONG
    end = colon + 2 + int(digits)
    return _WRONG if end <= stop and data[end - 1] != _COMMA else end


def cut(framing: int, data: bytes, start: int, stop: int, most: int, limit: int) -> list[int]:
    """Sizes of the whole records that follow each other from `start`, at most `most` of them and, unless the first alone is longer, `limit` bytes."""
    if framing == Framing.NETSTRING:
        return _netstrings(data, start, stop, most, limit)
    if framing == BROKEN:
        return []
    end = terminator(framing)
    if most == 1:
        at = data.find(end, start, stop)
        return [at + 1 - start] if at >= 0 else []
    at = data.rfind(end, start, min(stop, start + limit))
    if at < 0:
        at = data.find(end, start, stop)
        return [at + 1 - start] if at >= 0 else []
    return [len(part) + 1 for part in data[start:at].split(end)][:most]


def _netstrings(data: bytes, start: int, stop: int, most: int, limit: int) -> list[int]:
    sizes: list[int] = []
    at = start
    while len(sizes) < most and at < stop:
        end = netstring_end(data, at, stop)
        if not 0 <= end <= stop or (sizes and end - start > limit):
            break
        sizes.append(end - at)
        at = end
    return sizes


def last_border(framing: int, data: bytes, start: int, stop: int) -> int:
    """End of the last whole record of what begins with a record at `start`; -1 when none is whole."""
    if framing == Framing.NETSTRING:
        sizes = _netstrings(data, start, stop, len(data), len(data))
        return start + sum(sizes) if sizes else -1
    if framing == BROKEN:
        return -1
    return data.rfind(terminator(framing), start, stop) + 1 or -1


def walk(read: Callable[[int, int], bytes], at: int, upto: int, begins: deque[int] | None = None) -> Walk:
    """Over netstrings from a record's beginning, without looking at what they hold.  read: (offset, size) -> bytes there, fewer where a file ends.
    begins: is given the beginnings of the records that were passed."""
    while at < upto:
        data = read(at, min(PIECE, upto - at))
        sizes = _netstrings(data, 0, len(data), len(data), len(data))
        if begins is not None:
            begins.extend(accumulate(sizes[:-1], initial=at) if sizes else ())
        at += sum(sizes)
        if at >= upto:
            break
        if sizes:
            data = read(at, min(DIGITS + 1, upto - at))
        end = netstring_end(data, 0, len(data))
        if end == _UNKNOWN and len(data) < min(DIGITS + 1, upto - at) and data:
            data = _more(read, at, min(DIGITS + 1, upto - at))
            end = netstring_end(data, 0, len(data))
        if end == _WRONG:
            return Walk(at, broken=True)
        if end == _UNKNOWN:
            return Walk(at)
        if at + end > upto:
            return Walk(at, open_end=at + end)
        if read(at + end - 1, 1) != b",":
            return Walk(at, broken=True)
        if begins is not None:
            begins.append(at)
        at += end
    return Walk(at)


def _more(read: Callable[[int, int], bytes], at: int, size: int) -> bytes:
    """`size` bytes although a file ends among them."""
    found = b""
    while len(found) < size and (part := read(at + len(found), size - len(found))):
        found += part
    return found
