"""From what somebody wrote to a value: sizes, durations, booleans, numbers, octal masks, signals, command lines.

YAML's own idea of types is not used: `22:22`, `NO` and `0644` are texts until the schema says which type the key has, and these functions say what
that type accepts.  Each takes the text and returns the value, or raises Unfit with the end of a sentence that begins with the key.  Pure, linear in
the text's length.

Sizes follow IEC 80000-13: KiB is 1,024 and KB is 1,000.  A bare `64M` means one to some and the other to others, so it is refused.
"""

from __future__ import annotations

import re
import signal
from collections.abc import Sequence
from fractions import Fraction

from efsupervisor.conf.cron import cron_fault, timezone_fault
from efsupervisor.conf.names import nearest, shown

MAX_ARGUMENT = (128 << 10) - 1
"""Bytes of one argument or one variable that execve takes; MAX_ARG_STRLEN less the zero byte, execve(2)."""
LONGEST_S = 10 * 366 * 86_400.0
"""Ten years: longer than anything waits, short enough for every timer."""

_NUMBER = r"[0-9]{1,18}(?:\.[0-9]{1,9})?"
_SIZE = re.compile(rf"({_NUMBER}) ?([A-Za-z]*)")
_SIZE_UNITS = {"": 1, "b": 1} | {
    f"{letter}{ending}": base**power for power, letter in enumerate("kmgt", 1) for ending, base in (("ib", 1024), ("b", 1000))
}
_DURATION_PART = re.compile(rf"({_NUMBER}) ?(us|ms|s|min|m|h|d|w)")
_DURATION = re.compile(rf"(?:{_NUMBER} ?(?:us|ms|s|min|m|h|d|w)){{1,7}}")
_DURATION_UNITS = {
    "us": Fraction(1, 1_000_000), "ms": Fraction(1, 1000), "s": Fraction(1), "m": Fraction(60), "min": Fraction(60), "h": Fraction(3600),
    "d": Fraction(86_400), "w": Fraction(604_800),
}  # fmt: skip
_INTEGER = re.compile(r"-?(?:0|[1-9][0-9]{0,17})")
_OCTAL = re.compile(r"(?:0o)?[0-7]{1,4}")
_TRUTH = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}


class Unfit(ValueError):
    """The text is no value of this type; the message is the end of a sentence that begins with the key."""


def size(text: str) -> int:
    """Bytes: `65536`, `64KiB`, `1.5 GiB`, `10MB`."""
    match = _SIZE.fullmatch(text)
    if match is None:
        raise Unfit(f"{_quoted(text)} is not a size; write bytes, or a number with KiB, MiB, GiB, KB, MB or GB")
    factor = _SIZE_UNITS.get(match[2].lower())
    if factor is None:
        near = f"; {match[1]}{match[2].upper()}iB or {match[1]}{match[2].upper()}B?" if f"{match[2]}b".lower() in _SIZE_UNITS else ""
        raise Unfit(f"{_quoted(text)} has no unit of size that is known" + (near or ": KiB, MiB, GiB, KB, MB, GB"))
    value = Fraction(match[1]) * factor
    if value.denominator != 1:
        raise Unfit(f"{_quoted(text)} is not a whole number of bytes")
    return int(value)


def duration(text: str) -> float:
    """Seconds: `10`, `0.5`, `500ms`, `5m`, `1h30m`."""
    if re.fullmatch(_NUMBER, text):
        return float(Fraction(text))
    if not _DURATION.fullmatch(text):
        raise Unfit(f"{_quoted(text)} is not a duration; write seconds, or a number with ms, s, m, h or d")
    return float(sum(Fraction(part[1]) * _DURATION_UNITS[part[2]] for part in _DURATION_PART.finditer(text)))


def boolean(text: str) -> bool:
    """`true`, `yes`, `on` and their opposites, in any case."""
    value = _TRUTH.get(text.lower())
    if value is None:
        raise Unfit(f"{_quoted(text)} is neither true nor false")
    return value


def integer(text: str) -> int:
    """A decimal number.  A leading zero is refused: it is octal to YAML 1.1 and decimal to YAML 1.2."""
    if not _INTEGER.fullmatch(text):
        hint = f"; write {shown(text.lstrip('0')) or '0'}" if re.fullmatch("0[0-9]+", text) else ""
        raise Unfit(f"{_quoted(text)} is not a whole number{hint}")
    return int(text)


def octal(text: str) -> str:
    """A file mode mask, kept as the octal text that was written: `022`, `0077`, `0o22`."""
    if not _OCTAL.fullmatch(text) or int(text, 8) > 0o777:
        raise Unfit(f"{_quoted(text)} is not an octal mask between 000 and 777")
    return text


def between(value: float, low: float, high: float, unit: str = "") -> None:
    """Refuse a number outside its bounds, which are allowed themselves."""
    if not low <= value <= high:
        raise Unfit(f"{_figure(value)}{unit} is outside {_figure(low)} to {_figure(high)}{unit}")


def choice(text: str, words: Sequence[str]) -> str:
    """One of a few words, written exactly."""
    if text in words:
        return text
    near = nearest(text, words)
    hint = f'did you mean "{near}"?' if near else f"known are {', '.join(words)}"
    raise Unfit(f"{_quoted(text)} is unknown; {hint}")


def place(text: str) -> str:
    """Where to begin in a journal: `end`, `begin`, or an offset in bytes."""
    if _INTEGER.fullmatch(text):
        between(int(text), 0, 1 << 60, " bytes")
        return text
    try:
        return choice(text, ("end", "begin"))
    except Unfit as reason:
        raise Unfit(f"{reason}, or an offset in bytes") from None


def signal_name(text: str) -> str:
    """A signal by name or number, returned without `SIG`: `TERM`, `SIGTERM` and `15` are all `TERM`."""
    if text.isascii() and text.isdigit() and len(text) <= 3:
        known = {int(each): each.name for each in signal.Signals}
        name = known.get(int(text), "")
    else:
        name = "SIG" + text.upper().removeprefix("SIG")
    if name not in signal.Signals.__members__:
        near = nearest(text.upper().removeprefix("SIG"), [each.name.removeprefix("SIG") for each in signal.Signals])
        raise Unfit(f"{_quoted(text)} is not a signal" + (f'; did you mean "{near}"?' if near else ""))
    return name.removeprefix("SIG")


def cron(text: str) -> str:
    """When a schedule is due, a cron expression."""
    return _unless(cron_fault(text), text)


def timezone(text: str) -> str:
    """An IANA name of a time zone; empty for the machine's own."""
    return _unless(timezone_fault(text), text)


def event(text: str) -> str:
    """One event: a line without its end."""
    return _unless("has a line break: an event is one line" if "\n" in text else "", text)


def _unless(fault: str, text: str) -> str:
    if fault:
        raise Unfit(fault)
    return text


def argument(text: str) -> str:
    """A text that execve takes as one argument or variable."""
    if "\0" in text:
        raise Unfit("holds a NUL character, which the system takes for the end")
    if len(text.encode()) > MAX_ARGUMENT:
        raise Unfit(f"has {len(text.encode()):,} bytes; the system takes at most {MAX_ARGUMENT:,} for one argument or variable")
    return text


_SPACE = re.compile(r"[ \t\r\n]")
_BETWEEN = re.compile(r"(?:[ \t\r\n]|\\\n)*")
_PIECE = re.compile(
    r"""(?P<bare>[^ \t\r\n'"\\]+)|'(?P<single>[^']*+)'|"(?P<double>[^"\\]*+(?:\\.[^"\\]*+)*+)"|\\(?P<escaped>.)""",
    re.DOTALL,
)
_ESCAPED = re.compile(r'\\(["\\])|\\\n')


def words(text: str) -> list[str]:
    """Split a command as a shell splits words: quotes and backslashes, nothing is expanded.

    Equal to shlex.split, but linear (shlex is quadratic in the length of a word), and a backslash
    before a line's end continues the line; POSIX shell, 2.2.1.
    """
    found: list[str] = []
    at = _after_space(text, 0)
    while at < len(text):
        word, at = _word(text, at)
        found.append(word)
        at = _after_space(text, at)
    return found


def _after_space(text: str, at: int) -> int:
    match = _BETWEEN.match(text, at)
    return match.end() if match else at


def _word(text: str, at: int) -> tuple[str, int]:
    pieces: list[str] = []
    while at < len(text) and not _SPACE.match(text, at):
        match = _PIECE.match(text, at)
        if match is None:
            raise Unfit("ends with a backslash" if text[at] == "\\" else f"has a quote ({text[at]}) that is never closed")
        pieces.append(_unquoted(match))
        at = match.end()
    return "".join(pieces), at


def _unquoted(match: re.Match[str]) -> str:
    piece = match[match.lastgroup or 0]
    if match.lastgroup == "double":
        return _ESCAPED.sub(lambda each: each[1] or "", piece)
    return "" if match.lastgroup == "escaped" and piece == "\n" else piece


def _quoted(text: str) -> str:
    return f'"{shown(text, 40)}"'


def _figure(value: float) -> str:
    return f"{int(value):,}" if value == int(value) else f"{value:,g}"
