"""efctl: the entry, and the one place where an error becomes a sentence on stderr and an exit status (errors.TABLE).

`efctl status` is what people type into a loop and scripts into a pipe, so it must be quick: click costs as much start-up time as Python and our
protocol together.  A command line that is nothing but options that say which supervisor, `status` and names is therefore understood here, by
`quick`; every other goes to the grammar, which understands this one too and to the same effect (a test holds them together).

A reader of our output that goes away ends us quietly with the status a shell shows for SIGPIPE.
"""

from __future__ import annotations

import gc
import io
import os
import sys
from collections.abc import Sequence

from efsupervisor.cli import verbs
from efsupervisor.cli.client import Client
from efsupervisor.cli.where import Where, socket_path
from efsupervisor.errors import TABLE, Code, EfError

INTERRUPTED = 130
READER_GONE = 141
_SAYS_WHERE = {"-c": "conf", "--configuration": "conf", "--var": "var", "--socket": "socket"}


def main() -> None:
    """The console script."""
    gc.disable()  # one short command makes no garbage worth looking for; only a follower lives longer, and it makes no cycles
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # a name that the locale cannot write must not cost the whole table
    sys.exit(run(sys.argv[1:]))


def run(words: Sequence[str]) -> int:
    """Do what the words say; the exit status."""
    try:
        status = _do(words)
        sys.stdout.flush()
    except EfError as error:
        return _fail(error.message, error.verdict.exit_status)
    except KeyboardInterrupt:
        return _leave(INTERRUPTED)
    except BrokenPipeError:
        return _leave(READER_GONE)
    except OSError as error:
        return _leave(_fail(f"the output could not be written: {error.strerror}", TABLE[Code.SYSTEM].exit_status))
    return status


def _do(words: Sequence[str]) -> int:
    short = quick(words)
    if short is not None and "_EFCTL_COMPLETE" not in os.environ:
        where, names = short
        with Client(socket_path(where, os.environ)) as client:
            return verbs.status(client, names, as_json=False)
    import click  # late on purpose: see above

    from efsupervisor.cli import grammar  # late on purpose: it brings click

    try:
        return grammar.run(words)
    except click.UsageError as error:
        path = error.ctx.command_path if error.ctx else "efctl"
        if type(error).__name__ == "NoArgsIsHelpError":
            return _fail(error.format_message(), TABLE[Code.USAGE].exit_status, name="")
        return _fail(f"{error.format_message().rstrip('.')}; see `{path} --help`", TABLE[Code.USAGE].exit_status)
    except click.ClickException as error:
        return _fail(error.format_message(), error.exit_code)
    except click.Abort:
        return INTERRUPTED


def quick(words: Sequence[str]) -> tuple[Where, list[str]] | None:
    """Where and which tasks, when the words are a plain `status`; None when the grammar must look at them."""
    said: dict[str, str] = {}
    rest = list(words)
    while len(rest) > 1 and rest[0] in _SAYS_WHERE:
        said[_SAYS_WHERE[rest[0]]] = rest[1]
        del rest[:2]
    if rest[:1] != ["status"] or any(word.startswith("-") for word in rest):
        return None
    return Where(**said), rest[1:]


def _fail(sentence: str, exit_status: int, name: str = "efctl: ") -> int:
    sys.stderr.write(f"{name}{sentence}\n")
    return exit_status


def _leave(exit_status: int) -> int:
    """End without another word: the interpreter would try to write what is left to a stdout that takes nothing."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.close(nowhere)
    return exit_status


if __name__ == "__main__":
    main()
