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

SUPERVISORD = ("supervisord.conf", "etc/supervisord.conf", "/etc/supervisord.conf", "/etc/supervisor/supervisord.conf")
"""Where one of supervisord's is looked for after that."""

USAGE = """\
Usage: efsupervisord [-c FILE] [-n] [--var FOLDER] [--follow TASK[,TASK...]]

Runs the tasks of a configuration, keeps them running, and carries events between them.
Without options it reads the first of $EFSUPERVISOR_CONF, ./etc/efsupervisor.yaml,
./efsupervisor.yaml and /etc/efsupervisor/efsupervisor.yaml, then the first supervisord.conf of
those that supervisord would read, and goes into the background once it supervises.  The
configuration is a supervisord.conf when its name ends in .conf or .ini, or when it begins
with a [section].

  -c, --configuration FILE   the configuration to run
  -n, --nodaemon             stay in the foreground; the log goes to stderr too
      --var FOLDER           keep state and logs there, whatever the configuration says
      --follow TASKS         print what these tasks write to stdout (with -n)
      --check                say in one line of JSON whether this version can run the
                             configuration, and end; nothing is started
  -v, --version              print the version
  -h, --help                 print this

For a supervisord.conf, as for supervisord; each wins over the file.

  -s, --silent               in the foreground, print no log
  -u, --user USER            become this user
  -m, --umask UMASK          umask of the programs, when in the background
  -d, --directory FOLDER     working folder of the programs, when in the background
  -l, --logfile FILE         the main log
  -y, --logfile_maxbytes N   size at which the main log begins a new file
  -z, --logfile_backups N    older files of the main log that stay
  -e, --loglevel LEVEL       critical, error, warn, info, debug, trace or blather
  -j, --pidfile FILE         where the process number is written
  -i, --identifier NAME      name of this supervisor
  -q, --childlogdir FOLDER   taken and not used: logs lie in the folders of the tasks
  -k, --nocleanup            taken and not used: nothing is removed at a start
  -a, --minfds N             taken and not used: the limit is raised as far as possible
  -t, --strip_ansi           take terminal colours out of what is written to a device

Signals: TERM, INT, QUIT stop every task, then the supervisor; a second one waits for nobody.
HUP and USR2 open the logs again.

Exit status: 0 stopped as asked; 2 wrong options; 71 the system refused something (a sentence
says what); 73 another efsupervisord supervises this folder; 75 the limit of the shutdown was
reached and something still runs; 77 the state folder is not ours alone; 78 the configuration
is wrong (file, line and key are named).
"""

_FLAGS = {"-n": "nodaemon", "-v": "version", "-h": "help", "-?": "help", "-s": "silent", "-k": "nocleanup", "-t": "strip_ansi"}
_VALUES = {
    "-c": "configuration", "-u": "user", "-m": "umask", "-d": "directory", "-l": "logfile", "-y": "logfile_maxbytes", "-z": "logfile_backups",
    "-e": "loglevel", "-j": "pidfile", "-i": "identifier", "-q": "childlogdir", "-a": "minfds",
}  # fmt: skip
_LONG_VALUES = frozenset({*_VALUES.values(), "minprocs", "var", "follow"})
_LONG_FLAGS = frozenset({*_FLAGS.values(), "check"})
_OURS = frozenset({"configuration", "version", "help", "var", "follow", "check"})


class Options(NamedTuple):
    """What was asked.  configuration empty: look in the usual places.  follow: task names.  said: options of supervisord by their names there, as
    texts (a flag is `true`), nodaemon among them."""

    configuration: str = ""
    nodaemon: bool = False
    follow: tuple[str, ...] = ()
    version: bool = False
    help: bool = False
    var: str = ""
    said: tuple[tuple[str, str], ...] = ()
    check: bool = False


def parse(arguments: list[str]) -> Options:
    """The options of an argument list (without the program's name).  EfError with code USAGE for anything else."""
    found: dict[str, str] = {}
    rest = list(arguments)
    while rest:
        word = rest.pop(0)
        if word.startswith("--"):
            _long(word, rest, found)
        elif word.startswith("-") and len(word) > 1:
            _short(word, rest, found)
        else:
            raise _unknown(word)
    follow = tuple(name for name in found.get("follow", "").split(",") if name)
    if follow and "nodaemon" not in found:
        raise EfError("--follow prints to a terminal, so it needs -n (--nodaemon)", Code.USAGE)
    said = tuple((name, value) for name, value in found.items() if name not in _OURS)
    var = os.path.abspath(found["var"]) if found.get("var") else ""
    return Options(found.get("configuration", ""), "nodaemon" in found, follow, "version" in found, "help" in found, var, said, "check" in found)


def _long(word: str, rest: list[str], found: dict[str, str]) -> None:
    name, equals, value = word.removeprefix("--").partition("=")
    if name in _LONG_FLAGS and not equals:
        found[name] = "true"
    elif name in _LONG_VALUES:
        found[name] = value if equals else _value(f"--{name}", rest)
    else:
        raise _unknown(word)


def _short(word: str, rest: list[str], found: dict[str, str]) -> None:
    """Short options may stand together, as in `-nc FILE`."""
    for at, letter in enumerate(word[1:], 1):
        option = f"-{letter}"
        if option in _VALUES:
            found[_VALUES[option]] = word[at + 1 :] or _value(option, rest)
            return
        if option not in _FLAGS:
            raise _unknown(word)
        found[_FLAGS[option]] = "true"


def _unknown(word: str) -> EfError:
    return EfError(f"efsupervisord has no option {word!r}; see efsupervisord --help", Code.USAGE)


def configuration(options: Options, environment: Mapping[str, str], exists: Callable[[str], bool]) -> str:
    """Absolute path of the configuration that is meant.  EfError with code CONFIG when there is none in the usual places."""
    named = options.configuration or environment.get("EFSUPERVISOR_CONF", "")
    found = named or next(filter(exists, CANDIDATES + SUPERVISORD), "")
    if not found:
        raise EfError(f"no configuration was found ({', '.join(CANDIDATES)}); say which one with -c FILE", Code.CONFIG)
    return os.path.abspath(found)


def _value(name: str, rest: list[str]) -> str:
    if not rest:
        raise EfError(f"{name} needs a value", Code.USAGE)
    return rest.pop(0)
