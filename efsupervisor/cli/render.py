"""Text for people: durations, sizes, columns, ends of programs - and the neutral form of what comes from elsewhere.

What a task wrote is untrusted.  On a terminal everything that would be obeyed rather than shown (escape sequences, carriage returns, C1 controls,
bidirectional overrides, bytes that are no UTF-8) appears as a visible mark; nothing else is changed, and a pipe or a file gets the bytes as they
are.

Pure functions and two small filters; nothing here reads a socket or knows a command.
"""

from __future__ import annotations

import codecs
import signal
import time
import unicodedata

from efsupervisor.messages import Outcome

# Neutral text -------------------------------------------------------------------------------------------------------------------------------------

_BIDI = (0x061C, 0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x206A))
_LINE_BREAKS = (0x2028, 0x2029)
_MARKS: dict[int, str] = (
    {number: f"^{chr(number + 64)}" for number in range(32) if chr(number) not in "\n\t"}
    | {0x7F: "^?"}
    | {number: f"\\x{number:02x}" for number in range(0x80, 0xA0)}
    | {number: f"\\u{number:04x}" for number in (*_BIDI, *_LINE_BREAKS)}
)
_ONE_LINE = _MARKS | {ord("\n"): " ", ord("\t"): " "}


def one_line(text: str) -> str:
    """The text as one harmless line: line breaks and tabs are blanks, controls are marks."""
    return text if text.isprintable() else text.translate(_ONE_LINE)  # what is printable holds none of them, and nearly everything is


def harmless(text: str) -> str:
    """The text with its lines, but no control that a terminal would obey."""
    return text if text.isprintable() else text.translate(_MARKS)


class Neutral:
    """Turns a stream of untrusted bytes into text that a terminal only shows; pieces may be cut anywhere, even inside a character."""

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("backslashreplace")
        self._held = ""

    def __call__(self, data: bytes, *, final: bool = False) -> bytes:
        """The next piece; `final` gives out what an unfinished character or a last CR held back."""
        text = self._held + self._decoder.decode(data, final)
        self._held = ""
        if text.endswith("\r") and not final:
            text, self._held = text[:-1], "\r"
        return text.replace("\r\n", "\n").translate(_MARKS).encode("utf-8", "backslashreplace")


def text_of(data: bytes) -> str:
    """A whole piece of untrusted bytes as harmless text."""
    return Neutral()(data, final=True).decode()


class Lines:
    """Cuts a stream into pieces that end where lines end, and puts `prefix` before each line; a line over MAX_HELD bytes goes on its way in parts.

    Holding a line until it is whole is what keeps several tasks apart on one screen.
    """

    MAX_HELD = 64 << 10

    def __init__(self, prefix: bytes) -> None:
        self._prefix = prefix
        self._held = b""
        self._within = False

    def __call__(self, data: bytes, *, final: bool = False) -> bytes:
        """The lines that `data` completes; `final` gives out an unfinished one too."""
        data = self._held + data
        cut = data.rfind(b"\n") + 1
        if final or len(data) - cut > self.MAX_HELD:
            cut = len(data)
        whole, self._held = data[:cut], data[cut:]
        if not whole:
            return b""
        pieces = _split(whole)
        marked = b"".join(self._prefix + piece for piece in pieces[1:])
        first = pieces[0] if self._within else self._prefix + pieces[0]
        self._within = not whole.endswith(b"\n")
        return first + marked


def _split(data: bytes) -> list[bytes]:
    """Lines with their newline; only LF ends one (bytes.splitlines would take CR too)."""
    pieces = [piece + b"\n" for piece in data.split(b"\n")]
    pieces[-1] = pieces[-1][:-1]
    return [piece for piece in pieces if piece]


# Figures ------------------------------------------------------------------------------------------------------------------------------------------


def duration(seconds: float) -> str:
    """At most six characters or so: 0.4s, 59s, 12m03s, 7h05m, 3d04h."""
    if seconds < 10:
        return f"{max(seconds, 0.0):.1f}s"
    whole = int(seconds)
    for unit, name, part, part_name in ((86400, "d", 3600, "h"), (3600, "h", 60, "m"), (60, "m", 1, "s")):
        if whole >= unit:
            return f"{whole // unit}{name}{whole % unit // part:02d}{part_name}"
    return f"{whole}s"


def size(count: int) -> str:
    """Bytes with a binary unit: 0, 999, 1.5K, 64M."""
    value = float(count)
    for unit in ("", "K", "M", "G", "T"):
        if value < 1024 or unit == "T":
            return f"{value:.1f}{unit}" if unit and value < 10 else f"{value:.0f}{unit}"
        value /= 1024
    raise AssertionError("the last unit takes everything")


def moment(wall: float) -> str:
    """A wall clock time in the machine's zone, to the second; `-` for none."""
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(wall)) if wall else "-"


def counted(count: int, noun: str, plural: str = "") -> str:
    """`1 event`, `2 events`."""
    return f"{count} {noun if count == 1 else plural or noun + 's'}"


def ending(wait_status: int | None, *, known: bool) -> str:
    """How a program ended, from its wait status; empty when there is nothing to say."""
    if not known:
        return "ended, its exit status is not known"
    if wait_status is None:
        return ""
    number = wait_status & 0x7F
    if not number:
        return f"exit status {wait_status >> 8 & 0xFF}"
    try:
        name = signal.Signals(number).name
    except ValueError:
        name = f"signal {number}"
    return f"killed by {name}"


# On a screen --------------------------------------------------------------------------------------------------------------------------------------


def width(text: str) -> int:
    """Columns of a terminal: wide characters take two, combining ones none."""
    if text.isascii():
        return len(text)
    return sum(map(_columns, text))


def _columns(character: str) -> int:
    return 0 if unicodedata.combining(character) else 2 if unicodedata.east_asian_width(character) in "WF" else 1


def fitted(text: str, columns: int, more: str = "…") -> str:
    """The text when it fits into so many columns; else as much of its beginning as fits before `more`."""
    if width(text) <= columns:
        return text
    room, kept = columns - width(more), []
    for character in text:
        room -= _columns(character)
        if room < 0:
            break
        kept.append(character)
    return "".join(kept).rstrip() + more


def outcome(result: Outcome, done: str) -> str:
    """One line for one task of a command; `done` is said where the Core says nothing."""
    return f"{one_line(result.task)}: {one_line(result.sentence) or (done if result.ok else result.code.value)}\n"
