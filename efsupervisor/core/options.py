"""The command line of `efsupervisord`, without a library: the Core is forked for every worker, so what it imports is paid a thousand times.

Long options take their value after a space or `=`; short ones after a space or directly.  `parse` is pure.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import NamedTuple

from efsupervisor.errors import Code, EfError

CANDIDATES = ("etc/efsupervisor.yaml", "efsupervisor.yaml", "/etc/efsupervisor/efsupervisor.yaml")
"""Where a configuration is looked for; the same places as efctl's."""

USAGE = """\
Usage: efsupervisord [-c FILE] [-n] [--follow TASK[,TASK...]]

Runs the tasks of a configuration, keeps them running, and carries events between them.
Without options it reads the first of $EFSUPERVISOR_CONF, ./etc/efsupervisor.yaml,
./efsupervisor.yaml and /etc/efsupervisor/efsupervisor.yaml, and goes into the background
once it supervises.

  -c, --configuration FILE   the configuration to run
  -n, --nodaemon             stay in the foreground; the log goes to stderr too
      --follow TASKS         print what these tasks write to stdout (with -n)
      --version              print the version
  -h, --help                 print this

Signals: TERM, INT, QUIT stop every task, then the supervisor; a second one waits for nobody.
HUP opens the log again.

Exit status: 0 stopped as asked; 2 wrong options; 71 the system refused something (a sentence
says what); 73 another efsupervisord supervises this folder; 75 the limit of the shutdown was
reached and something still runs; 77 the state folder is not ours alone; 78 the configuration
is wrong (file, line and key are named).
"""

_FLAGS = {"-n": "nodaemon", "--nodaemon": "nodaemon", "--version": "version", "-h": "help", "--help": "help"}
_VALUES = {"-c": "configuration", "--configuration": "configuration", "--follow": "follow"}


class Options(NamedTuple):
    """What was asked.  configuration empty: look in the usual places.  follow: task names."""

    configuration: str = ""
    nodaemon: bool = False
    follow: tuple[str, ...] = ()
    version: bool = False
    help: bool = False


def parse(arguments: list[str]) -> Options:
    """The options of an argument list (without the program's name).  EfError with code USAGE for anything else."""
    found: dict[str, str] = {}
    rest = list(arguments)
    while rest:
        word = rest.pop(0)
        name, equals, value = word.partition("=") if word.startswith("--") else (word[:2], word[2:], word[2:])
        if name in _FLAGS and not equals:
            found[_FLAGS[name]] = "yes"
        elif name in _VALUES:
            found[_VALUES[name]] = value if equals else _value(name, rest)
        else:
            raise EfError(f"efsupervisord has no option {word!r}; see efsupervisord --help", Code.USAGE)
    follow = tuple(name for name in found.get("follow", "").split(",") if name)
    if follow and "nodaemon" not in found:
        raise EfError("--follow prints to a terminal, so it needs -n (--nodaemon)", Code.USAGE)
    return Options(found.get("configuration", ""), "nodaemon" in found, follow, "version" in found, "help" in found)


def configuration(options: Options, environment: Mapping[str, str], exists: Callable[[str], bool]) -> str:
    """Absolute path of the configuration that is meant.  EfError with code CONFIG when there is none in the usual places."""
    named = options.configuration or environment.get("EFSUPERVISOR_CONF", "")
    found = named or next(filter(exists, CANDIDATES), "")
    if not found:
        raise EfError(f"no configuration was found ({', '.join(CANDIDATES)}); say which one with -c FILE", Code.CONFIG)
    return os.path.abspath(found)


def _value(name: str, rest: list[str]) -> str:
    if not rest:
        raise EfError(f"{name} needs a value", Code.USAGE)
    return rest.pop(0)
