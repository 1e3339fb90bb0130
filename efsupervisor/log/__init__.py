"""The daemon's own log: one line for each event, written whole by one `write` to a file opened O_APPEND.

The Core and every worker append to the same file without talking to each other: the kernel keeps single appends apart (write(2), O_APPEND), so no
lock and no queue can fall silent with the process that held it.  Only the Core rotates (it alone is given `max_bytes`); the others notice because the
path names another file than their descriptor, and open it again.  The same look serves SIGHUP, logrotate and a log that was deleted.

A line of text is `2026-01-02T03:04:05.678 INFO  task web: sentence`, local time.  A line of JSON is one object with `time` (UTC), `level`, `pid` (the
program's in a transition that has one, else that of the process which wrote the line), `task`, `from`, `to` and `cause` where there are such, and
`sentence`, which is what the text says behind the task's name.  Either way everything that a terminal would obey rather than show is written as an
escape: names and reasons come from people and from programs.

A log that cannot be written never disturbs its process: what was lost is counted and said as soon as a line goes through again.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable

import msgspec

from efsupervisor.system import System

LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40}
FORMATS = ("text", "json")
_TAGS = {10: "DEBUG", 20: "INFO ", 30: "WARN ", 40: "ERROR"}
_NAMES = {number: name for name, number in LEVELS.items()}
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


class Transition(msgspec.Struct, frozen=True, gc=False):
    """A task's state before and after, why, and its program's pid, 0 for none."""

    before: str
    after: str
    cause: str = ""
    pid: int = 0

    @property
    def sentence(self) -> str:
        """As people read it."""
        why = f" ({self.cause})" if self.cause else ""
        return f"{self.before} -> {self.after}{why}" + (f" pid {self.pid}" if self.pid else "")


def line(wall_ns: int, level: int, sentence: str, task: str = "") -> bytes:
    """One log line of text with its newline."""
    seconds, rest = divmod(wall_ns, 1_000_000_000)
    stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.localtime(seconds))
    about = f"task {task}: " if task else ""
    return f"{stamp}.{rest // 1_000_000:03d} {_TAGS[level]} {neutral(about + _cut(sentence))}\n".encode("utf-8", "backslashreplace")


def json_line(wall_ns: int, level: int, sentence: str, pid: int, task: str = "", transition: Transition | None = None) -> bytes:
    """One log line of JSON with its newline; what is empty is left out."""
    seconds, rest = divmod(wall_ns, 1_000_000_000)
    stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))
    members: dict[str, str | int] = {"time": f"{stamp}.{rest // 1_000_000:03d}Z", "level": _NAMES[level], "pid": pid}
    if task:
        members["task"] = _decodable(task)
    if transition is not None:
        members |= {"from": transition.before, "to": transition.after} | ({"cause": _decodable(_cut(transition.cause))} if transition.cause else {})
    members["sentence"] = _decodable(_cut(sentence))
    text = msgspec.json.encode(members).decode()
    return (text if text.isprintable() else "".join(c if c.isprintable() else _json_escape(c) for c in text)).encode() + b"\n"


def _cut(sentence: str) -> str:
    return sentence if len(sentence) <= MAX_LINE else f"{sentence[:MAX_LINE]} ... ({len(sentence)} characters)"


def _decodable(text: str) -> str:
    """The text without lone surrogates, which no JSON parser must take: they become visible escapes."""
    return text.encode("utf-8", "backslashreplace").decode()


def _json_escape(character: str) -> str:
    """A character that JSON would let through, as the escape that means it."""
    pairs = character.encode("utf-16-be")
    return "".join(f"\\u{pairs[at]:02x}{pairs[at + 1]:02x}" for at in range(0, len(pairs), 2))


class Log:
    """One process's way to the log file.

    path: the file; its folder exists.  echo_fd: a descriptor that gets every line too (stderr in the foreground), -1 for none; it stays the caller's.
    max_bytes, backups: given by the one process that rotates; 0 never rotates.  form: `text` or `json`.
    """

    def __init__(
        self, path: str, system: System, *, level: str = "info", echo_fd: int = -1, max_bytes: int = 0, backups: int = 5, form: str = "text"
    ) -> None:
        self._path = path
        self._system = system
        self._level = LEVELS.get(level, 20)
        self._json = form == "json"
        self._echo_fd = echo_fd
        self._max_bytes = max_bytes
        self._backups = backups
        self._fd = -1
        self._identity = (0, 0)
        self._torn = False
        self._lost = 0
        self._rotate_not_before = 0.0
        self.also: Callable[[int, str, str], None] | None = None
        """Somebody who hears every line too: level, sentence, task."""

    # What callers say ---------------------------------------------------------------------------------------------------------------------------

    def debug(self, sentence: str, task: str = "") -> None:
        """For those who look for a fault in us.  task: the task it is about."""
        self._say(10, sentence, task)

    def info(self, sentence: str, task: str = "") -> None:
        """Something happened that was to be expected.  task: the task it is about."""
        self._say(20, sentence, task)

    def warning(self, sentence: str, task: str = "") -> None:
        """Something that mends itself, or that somebody should look at in daylight.  task: the task it is about."""
        self._say(30, sentence, task)

    def error(self, sentence: str, task: str = "") -> None:
        """Something that needs a person.  task: the task it is about."""
        self._say(40, sentence, task)

    def transition(self, task: str, before: str, after: str, cause: str = "", pid: int = 0) -> None:
        """A task's state changed: one line.  cause: why, empty when nobody need ask; pid: its program, 0 for none."""
        transition = Transition(before, after, cause, pid)
        self._say(20, transition.sentence, task, transition)

    def echo(self, sentence: str, task: str = "") -> None:
        """For the foreground only: something another process of ours has written to the file already."""
        if self._level <= 20:
            self._to_echo(self._line(20, sentence, task))

    def configure(self, *, level: str, form: str, max_bytes: int | None = None, backups: int | None = None) -> None:
        """Settings that changed while the process runs; None leaves what only the rotating process has."""
        self._level = LEVELS.get(level, 20)
        self._json = form == "json"
        self._max_bytes = self._max_bytes if max_bytes is None else max_bytes
        self._backups = self._backups if backups is None else backups

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

    def _line(self, level: int, sentence: str, task: str = "", transition: Transition | None = None) -> bytes:
        now = self._system.wall_ns()
        if not self._json:
            return line(now, level, sentence, task)
        pid = transition.pid if transition is not None else 0
        return json_line(now, level, sentence, pid or self._system.getpid(), task, transition)

    def _say(self, level: int, sentence: str, task: str = "", transition: Transition | None = None) -> None:
        if level < self._level:
            return
        if self.also is not None:
            self.also(level, sentence, task)
        data = self._line(level, sentence, task, transition)
        self._to_echo(data)
        try:
            self._append(self._owed() + data)
        except OSError:
            self._lost += 1

    def _owed(self) -> bytes:
        """What a full disk kept back: the end of a torn line, and how many lines are missing."""
        owed = b"\n" if self._torn else b""
        if self._lost:
            owed += self._line(30, f"log: {self._lost} lines could not be written")
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
        data = self._line(30, sentence)
        self._torn = self._system.write(self._fd, data) < len(data)

    def _to_echo(self, data: bytes) -> None:
        if self._echo_fd >= 0:
            with contextlib.suppress(OSError):  # a terminal that was closed is no reason to die
                self._system.write(self._echo_fd, data)
