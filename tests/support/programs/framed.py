"""Programs that speak in frames: `write` puts numbered binary events on stdout, `read` notes what it is given and acknowledges it.

    framed write FRAMING COUNT PAUSE_S STATE     STATE remembers how many were written: a killed one goes on
    framed read FRAMING NOTES                    NOTES gets one line of hexadecimal for each event, before it is acknowledged
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import BinaryIO


def event(number: int) -> bytes:
    """Binary, with newlines and zero bytes, of very different lengths."""
    return b"%06d" % number + bytes([0, 10, 255, number % 256]) * (number % 40)


def plain(number: int) -> bytes:
    """Without newlines and zero bytes."""
    return b"%06d" % number + bytes([255, 1 + number % 9]) * (number % 40)


def framed(framing: str, payload: bytes) -> bytes:
    if framing == "netstring":
        return b"%d:%b," % (len(payload), payload)
    return payload + (b"\0" if framing == "nul" else b"\n")


def read_one(framing: str, stdin: BinaryIO) -> bytes | None:
    """The next event, None at the end; ValueError for what is none."""
    if framing != "netstring":
        data = b""
        while (byte := stdin.read(1)) not in (b"", b"\0" if framing == "nul" else b"\n"):
            data += byte
        return data if byte or data else None
    digits = b""
    while (byte := stdin.read(1)) not in (b"", b":"):
        digits += byte
    if not byte:
        return None
    data = stdin.read(int(digits))
    if stdin.read(1) != b",":
        raise ValueError(digits)
    return data


def write(framing: str, count: int, pause_s: float, state: Path) -> None:
    done = int(state.read_text()) if state.exists() else 0
    of = event if framing == "netstring" else plain
    for number in range(done, count):
        sys.stdout.buffer.write(framed(framing, of(number)))
        sys.stdout.buffer.flush()
        fresh = state.with_suffix(".new")
        fresh.write_text(str(number + 1))
        fresh.rename(state)
        time.sleep(pause_s)
    time.sleep(3600)


def read(framing: str, notes: Path) -> None:
    with notes.open("ab") as file:
        while (payload := read_one(framing, sys.stdin.buffer)) is not None:
            file.write(payload.hex().encode() + b"\n")
            file.flush()
            sys.stderr.buffer.write(b"\n")
            sys.stderr.buffer.flush()


if __name__ == "__main__":
    if sys.argv[1] == "write":
        write(sys.argv[2], int(sys.argv[3]), float(sys.argv[4]), Path(sys.argv[5]))
    else:
        read(sys.argv[2], Path(sys.argv[3]))
