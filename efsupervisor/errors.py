"""The one family of errors, and the one table that says what each means to a shell and to HTTP.

Errors are raised where the fact is known and translated once, at the edge: the command-line client turns a code into an exit status, the web
listener into an HTTP status.  A message is a whole sentence for a person: what happened, to which task or file, and what to try.  This module
imports nothing of ours and must never format a traceback.

Exit statuses follow sysexits(3) where one fits, so that a script can tell "you mistyped" from "it is not running".
"""

from __future__ import annotations

import enum
from typing import NamedTuple


class Code(enum.StrEnum):
    """Stable names of what can go wrong; they travel on wires and never change their meaning."""

    OK = "ok"
    USAGE = "usage"
    CONFIG = "config"
    NO_SUCH_TASK = "no-such-task"
    EXISTS = "exists"
    BAD_NAME = "bad-name"
    BAD_STATE = "bad-state"
    NO_INPUT = "no-input"
    TOO_LARGE = "too-large"
    BAD_REQUEST = "bad-request"
    VERSION = "version"
    NOT_RUNNING = "not-running"
    ALREADY_RUNNING = "already-running"
    TIMEOUT = "timeout"
    SYSTEM = "system"
    DAMAGED = "damaged"
    GONE = "gone"
    REFUSED = "refused"
    TASK_FAILED = "task-failed"
    INTERNAL = "internal"


class Verdict(NamedTuple):
    """What one code means outside: `exit_status` for a shell, `http_status` for a web client."""

    exit_status: int
    http_status: int


TABLE: dict[Code, Verdict] = {
    Code.OK: Verdict(0, 200),
    Code.TASK_FAILED: Verdict(1, 409),
    Code.USAGE: Verdict(2, 400),
    Code.NO_SUCH_TASK: Verdict(3, 404),
    Code.BAD_STATE: Verdict(4, 409),
    Code.EXISTS: Verdict(5, 409),
    Code.NO_INPUT: Verdict(6, 409),
    Code.TOO_LARGE: Verdict(65, 413),
    Code.BAD_NAME: Verdict(65, 422),
    Code.BAD_REQUEST: Verdict(65, 400),
    Code.DAMAGED: Verdict(65, 500),
    Code.GONE: Verdict(66, 410),
    Code.NOT_RUNNING: Verdict(69, 503),
    Code.INTERNAL: Verdict(70, 500),
    Code.SYSTEM: Verdict(71, 500),
    Code.ALREADY_RUNNING: Verdict(73, 409),
    Code.TIMEOUT: Verdict(75, 504),
    Code.VERSION: Verdict(76, 400),
    Code.REFUSED: Verdict(77, 403),
    Code.CONFIG: Verdict(78, 422),
}


class EfError(Exception):
    """An error with a stable code and a sentence for a person.  `code` says which row of TABLE applies."""

    code = Code.INTERNAL

    def __init__(self, message: str, code: Code | None = None) -> None:
        super().__init__(message)
        self.message = message
        if code is not None:
            self.code = code

    @property
    def verdict(self) -> Verdict:
        """The row of TABLE for this error."""
        return TABLE[self.code]


class ConfigError(EfError):
    """A configuration that is refused as a whole; nothing of it was applied.  Each of `findings` is one sentence with file:line:key."""

    code = Code.CONFIG

    def __init__(self, findings: list[str]) -> None:
        super().__init__("\n".join(findings))
        self.findings = findings


class JournalError(EfError):
    """A journal folder that cannot be trusted: not ours, not regular files, or of a format this version does not know."""

    code = Code.DAMAGED


class OffsetGone(EfError):
    """The bytes asked for were removed by retention; `first` is the oldest offset that is still there."""

    code = Code.GONE

    def __init__(self, offset: int, first: int) -> None:
        super().__init__(f"offset {offset} was removed by retention; the journal begins at {first} now")
        self.first = first


class ProtocolError(EfError):
    """A frame that is not one of ours: another version, an unknown kind, a wrong field.  The connection it came on is closed."""

    code = Code.BAD_REQUEST


class TypeRefused(EfError):
    """A task type that lacks a required function; named when it is registered, before any task uses it."""

    code = Code.REFUSED


class SpawnFailed(EfError):
    """The program was not executed.  `stage` names the step of the start-up, `errno` the system's reason.

    `transient` is true for a shortage of the machine (no processes, descriptors, memory, space): it is tried again and never counts as the task's
    failure.
    """

    code = Code.SYSTEM

    def __init__(self, stage: str, errno: int, sentence: str, *, transient: bool) -> None:
        super().__init__(sentence)
        self.stage = stage
        self.errno = errno
        self.transient = transient
