"""The one place where an error becomes a sentence on stderr and an exit status (errors.TABLE); never a traceback.

A reader of our output that goes away ends us quietly with the status a shell shows for SIGPIPE.  A mistake of our own is said as one, with the place
it was made at; EFCTL_DEBUG in the environment lets it through for who is to mend it.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable

from efsupervisor.cli.render import harmless
from efsupervisor.errors import TABLE, Code, EfError

INTERRUPTED = 130
READER_GONE = 141


def guarded(work: Callable[[], int], *, goes_on: bool = False) -> int:
    """Do the work; the exit status.  goes_on: more work follows (a shell), so what ends the whole run is left to the guard around it."""
    try:
        status = work()
        sys.stdout.flush()
    except EfError as error:
        return fail(error.message, error.verdict.exit_status)
    except KeyboardInterrupt:
        return _interrupted() if goes_on else leave(INTERRUPTED)
    except BrokenPipeError:
        if goes_on:
            raise
        return leave(READER_GONE)
    except OSError as error:
        if goes_on:
            raise
        return fail(f"the output could not be written: {error.strerror}", leave(TABLE[Code.SYSTEM].exit_status))
    except Exception as error:  # the edge: whatever we did wrong, a person gets a sentence and a script its status
        if os.environ.get("EFCTL_DEBUG"):
            raise
        return fail(_mistake(error), TABLE[Code.INTERNAL].exit_status)
    return status


def occupy() -> None:
    """Standard streams that are closed (`>&-`) get /dev/null, before a socket of ours can get their numbers.  Nothing is read from it; a stdout that
    takes nothing is told at the first text; what would stand on stderr is lost, as was asked."""
    for number, name, way, mode in ((0, "stdin", os.O_RDONLY, "r"), (1, "stdout", os.O_RDONLY, "w"), (2, "stderr", os.O_WRONLY, "w")):
        if getattr(sys, name) is None:
            _occupy(number, way)
            setattr(sys, name, open(number, mode, encoding="utf-8", closefd=False))  # noqa: SIM115 - it lasts as long as the process


def _occupy(number: int, way: int) -> None:
    fd = os.open(os.devnull, way)
    if fd != number:
        os.dup2(fd, number)
        os.close(fd)


def _interrupted() -> int:
    sys.stdout.write("\n")
    return INTERRUPTED


def _mistake(error: Exception) -> str:
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    place = f" in {os.path.basename(trace.tb_frame.f_code.co_filename)}:{trace.tb_lineno}" if trace is not None else ""
    return f"a mistake of efctl itself{place}: {type(error).__name__}: {error}; EFCTL_DEBUG=1 shows more"


def fail(sentence: str, exit_status: int) -> int:
    """Say it; the exit status."""
    sys.stdout.flush()
    sys.stderr.write(f"efctl: {harmless(sentence)}\n")
    return exit_status


def leave(exit_status: int) -> int:
    """End without another word: the interpreter would try to write what is left to a stdout that takes nothing."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.close(nowhere)
    return exit_status
