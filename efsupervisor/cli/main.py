"""efctl: the entry.

`efctl status` is what people type into a loop and scripts into a pipe, so it must be quick: click costs as much start-up time as Python and our
protocol together.  A command line that is nothing but options that say which supervisor, `status` and names is therefore understood here, by
`quick`; every other goes to the grammar, which understands this one too and to the same effect (a test holds them together, and another what the
quick way may import).
"""

from __future__ import annotations

import gc
import io
import os
import sys
from collections.abc import Sequence

from efsupervisor.cli import edge, verbs
from efsupervisor.cli.client import Client
from efsupervisor.cli.output import standard
from efsupervisor.cli.where import Where, socket_path

_SAYS_WHERE = {"-c": "conf", "--configuration": "conf", "--var": "var", "--socket": "socket"}


def main() -> None:
    """The console script."""
    gc.disable()  # one short command makes no garbage worth looking for; what lives longer turns it on again
    edge.occupy()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a name that the locale cannot write must not cost the whole table
    sys.exit(run(sys.argv[1:]))


def run(words: Sequence[str]) -> int:
    """Do what the words say; the exit status."""
    return edge.guarded(lambda: _do(words))


def _do(words: Sequence[str]) -> int:
    short = quick(words)
    if short is not None and "_EFCTL_COMPLETE" not in os.environ:
        where, names = short
        with Client(socket_path(where, os.environ)) as client:
            return verbs.status(client, names, standard(), as_json=False)
    from efsupervisor.cli import grammar  # late on purpose: it brings click

    return grammar.run(words)


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


if __name__ == "__main__":
    main()
