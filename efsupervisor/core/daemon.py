"""Going into the background, with the parent waiting for the word that it worked.

The parent keeps the terminal until its grandchild says `ready`, or says what went wrong; then it ends with that exit status.  So a shell, an init
system or a person knows on return whether the supervisor supervises, and never has to look into a log for a mistyped option.

Source of the two forks and setsid: daemon(7); the second fork gives up the right to acquire a controlling terminal.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable

from efsupervisor.errors import TABLE, Code, EfError

Tell = Callable[[int, str], None]
"""Says the start's outcome once: exit status (0: ready) and a sentence.  Later calls do nothing."""


def close_inherited(kept: int = -1) -> None:
    """Begin with 0, 1 and 2 and nothing else: whoever started us may have left descriptors open, and every worker would keep them.  kept: the lock
    that an upgrade handed over.

    Streams that are missing are opened on /dev/null: a descriptor of ours must never get one of these numbers.
    """
    if kept > 2:
        os.closerange(3, kept)
    os.closerange(max(3, kept + 1), os.sysconf("SC_OPEN_MAX"))
    fd = os.open(os.devnull, os.O_RDWR)
    while fd <= 2:
        fd = os.dup(fd)
    os.close(fd)


def in_foreground() -> Tell:
    """Errors go to stderr; readiness needs no word."""

    def tell(_status: int, sentence: str) -> None:
        if sentence:
            sys.stderr.write(f"efsupervisord: {sentence}\n")
            sys.stderr.flush()

    return tell


def in_background() -> Tell:
    """Return in the daemon only; the parent ends with the status that is told.  OSError when the system refuses a fork."""
    reader, writer = os.pipe2(os.O_CLOEXEC)
    if os.fork():
        os.close(writer)
        os._exit(_wait(reader))
    os.close(reader)
    os.setsid()
    if os.fork():
        os._exit(0)
    return _teller(writer)


def _teller(writer: int) -> Tell:
    told = False

    def tell(status: int, sentence: str) -> None:
        nonlocal told
        if not told:
            told = True
            os.write(writer, bytes([status]) + sentence.encode("utf-8", "backslashreplace")[:60_000])
            os.close(writer)
            _detach()

    return tell


def _detach() -> None:
    """Let go of the terminal; only now, so that a traceback of a failing start is seen."""
    null = os.open(os.devnull, os.O_RDWR)
    for fd in (0, 1, 2):
        os.dup2(null, fd)
    os.close(null)


def _wait(reader: int) -> int:
    """In the parent: the daemon's outcome, said and as an exit status."""
    answer = b""
    while True:
        piece = os.read(reader, 65536)
        if not piece:
            break
        answer += piece
    if not answer:
        sys.stderr.write("efsupervisord: ended before it was ready; look into its log\n")
        sys.stderr.flush()
        return TABLE[Code.INTERNAL].exit_status
    if len(answer) > 1:
        sys.stderr.write(f"efsupervisord: {answer[1:].decode('utf-8', 'replace')}\n")
        sys.stderr.flush()
    return answer[0]


def outcome(error: EfError | OSError) -> tuple[int, str]:
    """Exit status and sentence of an error at the start."""
    if isinstance(error, EfError):
        return error.verdict.exit_status, error.message
    where = f" ({error.filename})" if error.filename else ""
    return TABLE[Code.SYSTEM].exit_status, f"the system refused something that the start needs: {error.strerror or error}{where}"
