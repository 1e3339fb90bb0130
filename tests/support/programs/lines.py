"""The lines that witness programs write, made from a seed and two numbers, so that a checker can make the same bytes again.

A line is `<life> <seq> <crc> <body>\\n`: life counts the lives of the producer (its own count, kept in its witness file), seq the lines of all lives.
Most lines are short, some are longer than PIPE_BUF, a few longer than a pipe.  This module is imported by programs that run without site-packages
and by the checkers; it must never import anything that is slow to start.
"""

import zlib

LONGEST = 200_000
_LETTERS = bytes(range(97, 123))


def size_of(seed: int, seq: int, largest: int = LONGEST, least: int = 0) -> int:
    """Length of the body of line `seq`: nine in ten up to 120 bytes, one in a thousand up to `largest`; none under `least`."""
    draw = zlib.crc32(b"%d %d" % (seed, seq))
    kind, rest = draw % 1000, draw // 1000
    if kind < 900:
        size = 5 + rest % 116
    elif kind < 990:
        size = 100 + rest % 500
    elif kind < 999:
        size = 3900 + rest % 2200
    else:
        size = 60_000 + rest % (LONGEST - 60_000)
    return max(least, min(size, largest))


def make(seed: int, life: int, seq: int, largest: int = LONGEST, least: int = 0, text: "list[bytes] | None" = None) -> bytes:
    """The whole line, with its newline.  text: what bodies are made of instead of letters, one line of it after the other."""
    if text:
        return seal(life, seq, text[seq % len(text)])
    size = size_of(seed, seq, largest, least)
    return seal(life, seq, (b"%d/%d." % (life, seq) + _LETTERS * (size // 26 + 1))[:size])


def seal(life: int, seq: int, body: bytes) -> bytes:
    """A line around any body without a newline; a relay seals the line that it received into one of its own."""
    return b"%d %d %08x %s\n" % (life, seq, zlib.crc32(b"%d %d " % (life, seq) + body), body)


def text_of(path: str) -> "list[bytes]":
    """The lines of a text file, without their ends and the empty ones."""
    with open(path, "rb") as file:
        return [line for line in file.read().replace(b"\r", b"").split(b"\n") if line]


def parse(line: bytes) -> "tuple[tuple[int, int], bool]":
    """((life, seq), whole) of a received line without its newline; a line that was damaged gives ((-1, -1), False)."""
    try:
        life, seq, crc, body = line.split(b" ", 3)
        key = (int(life), int(seq))
        whole = int(crc, 16) == zlib.crc32(life + b" " + seq + b" " + body)
    except ValueError:
        return (-1, -1), False
    return key, whole
