"""How people say where in a journal they mean: a byte, a moment, or how long ago.  Pure.

    4711                          the byte with this offset
    90s  10m  2h  3d  1h30m       so long before now
    2026-11-24T10:00[:05]         a moment; without a zone in the machine's own
    2026-11-24  10:00             the beginning of a day; a time of today
"""

from __future__ import annotations

import re
from datetime import datetime, time
from typing import NamedTuple

from efsupervisor.errors import Code, EfError

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_AGO = re.compile(r"(?:\d{1,9}(?:\.\d{1,3})?[smhdw])+", re.ASCII)
_PART = re.compile(r"([\d.]+)([smhdw])", re.ASCII)


class When(NamedTuple):
    """One of the two: a byte of the journal, or a moment in nanoseconds since 1970."""

    offset: int | None = None
    wall_ns: int | None = None


def when(text: str, now: datetime) -> When:
    """What was said.  now: this moment, with its zone.  EfError USAGE for what is none of the forms above."""
    word = text.strip()
    if word.isascii() and word.isdigit():
        return When(offset=min(int(word[:20]), 1 << 62))
    if _AGO.fullmatch(word):
        ago_s = sum(float(number) * _UNITS[unit] for number, unit in _PART.findall(word))
        return When(wall_ns=max(0, int((now.timestamp() - ago_s) * 1e9)))
    try:
        moment = datetime.combine(now.date(), time.fromisoformat(word)) if ":" in word and "-" not in word[:5] else datetime.fromisoformat(word)
        zoned = moment if moment.tzinfo is not None else moment.replace(tzinfo=now.tzinfo)
        return When(wall_ns=max(0, int(zoned.timestamp() * 1e9)))
    except (ValueError, OverflowError):
        ways = "say how long ago (90s, 10m, 2h, 3d), a time (2026-11-24T10:00, 10:00) or an offset in bytes"
        raise EfError(f"{text[:64]!r} is no place in a log: {ways}", Code.USAGE) from None
