"""The daemon's own log: one line for each event, written whole by one `write` to a file opened O_APPEND.

The Core and every worker append to the same file without talking to each other: the kernel keeps single appends apart (write(2), O_APPEND), so no
lock and no queue can fall silent with the process that held it.  Only the Core rotates (it alone is given `max_bytes`); the others notice because the
path names another file than their descriptor, and open it again.  The same look serves SIGHUP, logrotate and a log that was deleted.

A line is `2026-01-02T03:04:05.678 INFO  sentence`, local time.  Everything that a terminal would obey rather than show is written as an escape: names
and reasons come from people and from programs.

A log that cannot be written never disturbs its process: what was lost is counted and said as soon as a line goes through again.
"""

from __future__ import annotations

import contextlib
import os
import time

from efsupervisor.system import System

LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40}
_TAGS = {10: "DEBUG", 20: "INFO ", 30: "WARN ", 40: "ERROR"}
MAX_LINE = 16 << 10
"""Characters of one sentence; a longer one is cut and says so."""

ROTATION_RETRY_S = 60.0


def neutral(text: str) -> str:
    """The text with everything unprintable (line breaks, escapes, bidirectional overrides, lone surrogates) as a visible escape."""
    return text if text.isprintable() else "".join(c if c.isprintable() else _escape(ord(c)) for c in text)


def _escape(number: int) -> str:
    if number < 0x100:
        return f"\\x{number:02x}"
    return f"\\u{number:04x}" if number < 0x10000 else f"\\U{number:08x}"


def line(wall_ns: int, level: int, sentence: str) -> bytes:
    """One log line with its newline."""
    seconds, rest = divmod(wall_ns, 1_000_000_000)
    stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.localtime(seconds))
    shown = sentence if len(sentence) <= MAX_LINE else f"{sentence[:MAX_LINE]} ... ({len(sentence)} characters)"
    return f"{stamp}.{rest // 1_000_000:03d} {_TAGS[level]} {neutral(shown)}\n".encode("utf-8", "backslashreplace")


class Log:
    """One process's way to the log file.

    path: the file; its folder exists.  echo_fd: a descriptor that gets every line too (stderr in the foreground), -1 for none; it stays the caller's.
    max_bytes, backups: given by the one process that rotates; 0 never rotates.
    """

    def __init__(self, path: str, system: System, *, level: str = "info", echo_fd: int = -1, max_bytes: int = 0, backups: int = 5) -> None:
        self._path = path
        self._system = system
        self._level = LEVELS.get(level, 20)
        self._echo_fd = echo_fd
        self._max_bytes = max_bytes
        self._backups = backups
        self._fd = -1
        self._identity = (0, 0)
        self._torn = False
        self._lost = 0
        self._rotate_not_before = 0.0

    # What callers say ---------------------------------------------------------------------------------------------------------------------------

    def debug(self, sentence: str) -> None:
        """For those who look for a fault in us."""
        self._say(10, sentence)

    def info(self, sentence: str) -> None:
        """Something happened that was to be expected."""
        self._say(20, sentence)

    def warning(self, sentence: str) -> None:
        """Something that mends itself, or that somebody should look at in daylight."""
        self._say(30, sentence)

    def error(self, sentence: str) -> None:
        """Something that needs a person."""
        self._say(40, sentence)

    def echo(self, sentence: str) -> None:
        """For the foreground only: something another process of ours has written to the file already."""
        if self._level <= 20:
            self._to_echo(line(self._system.wall_ns(), 20, sentence))

    def reopen(self) -> None:
        """Open the path again at the next line (SIGHUP)."""
        self.close()

    def close(self) -> None:
        """Give the descriptor back; the next line opens the file again."""
        if self._fd >= 0:
            self._system.close(self._fd)
            self._fd = -1

    def fileno(self) -> int:
        """The descriptor that is open now, -1 when there is none."""
        return self._fd

    # How it gets there --------------------------------------------------------------------------------------------------------------------------

    def _say(self, level: int, sentence: str) -> None:
        if level < self._level:
            return
        data = line(self._system.wall_ns(), level, sentence)
        self._to_echo(data)
        try:
            self._append(self._owed() + data)
        except OSError:
            self._lost += 1

    def _owed(self) -> bytes:
        """What a full disk kept back: the end of a torn line, and how many lines are missing."""
        owed = b"\n" if self._torn else b""
        if self._lost:
            owed += line(self._system.wall_ns(), 30, f"log: {self._lost} lines could not be written")
        return owed

    def _append(self, data: bytes) -> None:
        self._ensure()
        written = self._system.write(self._fd, data)
        self._torn = written < len(data)
        if self._torn:
            raise OSError(28, os.strerror(28))
        self._lost = 0
        if self._max_bytes and self._system.fstat(self._fd).st_size > self._max_bytes:
            self._rotate()

    def _ensure(self) -> None:
        """The descriptor is the file that the path names now."""
        if self._fd >= 0:
            with contextlib.suppress(FileNotFoundError):
                now = self._system.stat(self._path)
                if (now.st_dev, now.st_ino) == self._identity:
                    return
            self.close()
        self._fd = self._system.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK, 0o640)
        opened = self._system.fstat(self._fd)
        self._identity = (opened.st_dev, opened.st_ino)

    def _rotate(self) -> None:
        """log -> log.1 -> log.2 ...; a failure leaves the present file in use and is tried again after a minute."""
        now = self._system.monotonic()
        if now < self._rotate_not_before:
            return
        self._rotate_not_before = now + ROTATION_RETRY_S
        try:
            for number in range(self._backups - 1, 0, -1):
                with contextlib.suppress(FileNotFoundError):
                    self._system.rename(f"{self._path}.{number}", f"{self._path}.{number + 1}")
            if self._backups:
                self._system.rename(self._path, f"{self._path}.1")
            else:
                self._system.unlink(self._path)
        except OSError as error:
            self._append_directly(f"log: not rotated: {error}; tried again in {ROTATION_RETRY_S:g} s")
            return
        self._rotate_not_before = 0.0
        self.close()

    def _append_directly(self, sentence: str) -> None:
        data = line(self._system.wall_ns(), 30, sentence)
        self._torn = self._system.write(self._fd, data) < len(data)

    def _to_echo(self, data: bytes) -> None:
        if self._echo_fd >= 0:
            with contextlib.suppress(OSError):  # a terminal that was closed is no reason to die
                self._system.write(self._echo_fd, data)
