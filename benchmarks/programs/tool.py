"""tool.c in Python, for a machine without a C compiler: slower, so the figures say less about the supervisor.  The words are explained in tool.c."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Iterator

BLOCK = 65536


def put(fd: int, data: bytes) -> None:
    """Write all of it."""
    while data:
        data = data[os.write(fd, data) :]


def leave(path: str, text: str) -> None:
    """A reader never sees half of it."""
    with open(path + ".new", "w", encoding="ascii") as file:
        file.write(text)
    os.rename(path + ".new", path)


def lines(size: int, line: int) -> bytes:
    """Bytes in lines of one length."""
    return (b"a" * (line - 1) + b"\n") * (size // line)


def received() -> Iterator[bytes]:
    """Pieces of stdin until its end."""
    while data := os.read(0, BLOCK):
        yield data


def produce(total: str, line: str, path: str) -> None:
    """See tool.c."""
    left, data = int(total), lines(BLOCK, int(line))
    leave(path, f"{time.monotonic_ns()}\n")
    while left > 0:
        put(1, data[:left])
        left -= len(data)


def sink(total: str, path: str) -> None:
    """See tool.c."""
    left = int(total)
    for data in received():
        before, left = left, left - len(data)
        if before > 0 >= left:
            leave(path, f"{time.monotonic_ns()}\n")


def acknowledge(count: str, path: str) -> None:
    """See tool.c."""
    seen = first = 0
    for data in received():
        for _ in range(data.count(b"\n")):
            first = first or time.monotonic_ns()
            os.write(2, b"\n")
            seen += 1
            if seen == int(count):
                leave(path, f"{first} {time.monotonic_ns()}\n")


def drive(window: str, count: str, line: str, path: str) -> None:
    """See tool.c."""
    to_read, to_write = os.pipe()
    from_read, from_write = os.pipe()
    child = os.fork()
    if not child:
        os.dup2(to_read, 0)
        os.dup2(from_write, 2)
        for fd in (to_read, to_write, from_read, from_write):
            os.close(fd)
        acknowledge(count, path)
        os._exit(0)
    os.close(to_read)
    os.close(from_write)
    sent = answered = 0
    while answered < int(count):
        more = min(int(window) - (sent - answered), int(count) - sent)
        put(to_write, lines(more * int(line), int(line)))
        sent += more
        answered += len(os.read(from_read, 4096))
    os.close(to_write)
    os.waitpid(child, 0)


def stamp(count: str, gap_ms: str) -> None:
    """See tool.c."""
    for _ in range(int(count)):
        time.sleep(int(gap_ms) / 1000)
        os.write(1, b"%019d\n" % time.monotonic_ns())


def compare(count: str, path: str, ack: str = "") -> None:
    """See tool.c."""
    late: list[int] = []
    rest = b""
    for data in received():
        now = time.monotonic_ns()
        *whole, rest = (rest + data).split(b"\n")
        for line in whole:
            late.append(now - int(line))
            if ack:
                os.write(2, b"\n")
            if len(late) == int(count):
                leave(path, "".join(f"{each}\n" for each in late))


def witness(path: str) -> None:
    """See tool.c."""
    with open(path, "a", encoding="ascii") as file:
        file.write(f"{os.getpid()} {time.monotonic_ns()}\n")
    while True:
        signal.pause()


WORDS = {each.__name__: each for each in (produce, sink, acknowledge, drive, stamp, compare, witness)}

if __name__ == "__main__":
    WORDS[sys.argv[1]](*sys.argv[2:])
