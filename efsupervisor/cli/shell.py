"""The interactive shell, and the same lines from a pipe.

One rule says what a line is: when its first word is one of the console language (shw set add del act trm rst hlp) the line is the console language's
and is answered by OK and NOK lines; every other line is a command of efctl without the word efctl, split as a shell splits words.  `exit`, `quit` and
the end of input leave.

On a terminal there is a prompt, a history in $XDG_STATE_HOME/efsupervisor/history (mode 0600, HISTORY lines), and completion by Tab: words of both
languages, nouns, tasks and groups.  Ctrl-C ends what a line began, not the shell.  From a pipe there is none of it, and the exit status is that of
the first line that failed.
"""

from __future__ import annotations

import gc
import os
import shlex
from collections.abc import Callable, Mapping, Sequence
from typing import TextIO

from efsupervisor.cli import completing, edge
from efsupervisor.cli.output import Output
from efsupervisor.cli.session import Session
from efsupervisor.errors import Code, EfError
from efsupervisor.interface.console import FIRST, PHRASES

PROMPT = "efctl> "
HISTORY = 1000
LEAVE = frozenset({"exit", "quit"})
Run = Callable[[Sequence[str]], int]
Words = Callable[[Sequence[str], str], list[str]]


def is_console(line: str) -> bool:
    """The rule: whether a line is the console language's."""
    return line.split(maxsplit=1)[0].lower() in FIRST


def words_of(line: str) -> list[str]:
    """The words of a command line.  EfError USAGE for a quote that is not closed."""
    try:
        return shlex.split(line, comments=True)
    except ValueError as error:
        raise EfError(f"the line is not understood: {str(error).lower()}", Code.USAGE) from error


def history_path(environment: Mapping[str, str]) -> str:
    """Where the history is kept; empty when there is no home for it."""
    state = environment.get("XDG_STATE_HOME", "")
    home = environment.get("HOME", "")
    if not os.path.isabs(state):
        state = os.path.join(home, ".local", "state") if os.path.isabs(home) else ""
    return os.path.join(state, "efsupervisor", "history") if state else ""


class Shell:
    """Takes lines and does them.  run: does a command of efctl.  words: how a command line could go on."""

    def __init__(self, session: Session, output: Output, run: Run, words: Words) -> None:
        self._session = session
        self._output = output
        self._run = run
        self._words = words

    def run(self, source: TextIO) -> int:
        """All lines of a terminal or a pipe; the exit status."""
        gc.enable()
        return self._converse() if source.isatty() else self._read(source)

    def do(self, line: str) -> int:
        """One line; the exit status.  Errors are said and do not leave."""
        return edge.guarded(lambda: self._do(line.strip()), goes_on=True)

    def _do(self, line: str) -> int:
        if not line or line.startswith("#"):
            return 0
        if is_console(line):
            return self._output.show(self._session.console(line), as_json=False)
        words = words_of(line)
        if words == ["shell"]:
            raise EfError("this is the shell", Code.USAGE)
        return self._run(words) if words else 0

    def _read(self, source: TextIO) -> int:
        first = 0
        for line in source:
            if line.strip() in LEAVE:
                break
            status = self.do(line)
            first = first or status
        return first

    # A terminal ----------------------------------------------------------------------------------------------------------------------------------

    def _converse(self) -> int:
        history = History(history_path(self._output.environment))
        history.load()
        Completion(self._names, self._words).install()
        self._output.write("efsupervisor: `help` explains, Tab completes, `exit` leaves\n")
        try:
            while (line := self._ask()) is not None and line.strip() not in LEAVE:
                self.do(line)
        finally:
            history.save()
        return 0

    def _ask(self) -> str | None:
        """The next line; None at the end of input.  Ctrl-C gives an empty one."""
        try:
            return input(PROMPT)
        except EOFError:
            self._output.write("\n")
            return None
        except KeyboardInterrupt:
            self._output.write("\n")
            return ""

    def _names(self) -> list[str]:
        return completing.names_at(self._session.place.core)


class History:
    """The lines of earlier shells.  A file that cannot be read or written costs the history, never the shell."""

    def __init__(self, path: str) -> None:
        self._path = path

    def load(self) -> None:
        """Make earlier lines reachable."""
        import readline  # late on purpose: only a terminal needs it

        readline.set_history_length(HISTORY)
        try:
            readline.read_history_file(self._path)
        except OSError:
            readline.clear_history()

    def save(self) -> None:
        """Keep the lines, for this user alone."""
        import readline  # late on purpose, as above

        if not self._path:
            return
        try:
            os.makedirs(os.path.dirname(self._path), mode=0o700, exist_ok=True)
            fd = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
            os.fchmod(fd, 0o600)
            os.close(fd)
            readline.write_history_file(self._path)
        except OSError as error:
            edge.fail(f"the history could not be kept in {self._path}: {os.strerror(error.errno or 0)}", 0)


class Completion:
    """What readline asks for at Tab."""

    def __init__(self, names: Callable[[], list[str]], words: Words) -> None:
        self._names = names
        self._words = words
        self._found: list[str] = []

    def install(self) -> None:
        """Take over Tab."""
        import readline  # late on purpose: only a terminal needs it

        readline.set_completer(self)
        readline.set_completer_delims(" \t\n")
        readline.parse_and_bind("tab: complete")

    def __call__(self, text: str, state: int) -> str | None:
        """readline's protocol: the state-th candidate, None after the last."""
        import readline  # late on purpose, as above

        if state == 0:
            self._found = self.candidates(readline.get_line_buffer()[: readline.get_begidx()], text)
        return self._found[state] if state < len(self._found) else None

    def candidates(self, before: str, begun: str) -> list[str]:
        """How the word that was begun after these could go on, each with the blank that ends it."""
        words = before.split()
        if not words:
            found = completing.fitting(begun, [*FIRST, *self._words([], begun), *LEAVE])
        elif words[0].lower() in FIRST:
            found = self._console(words, begun)
        else:
            found = self._words(words, begun)
        return [word + " " for word in dict.fromkeys(found)]

    def _console(self, words: list[str], begun: str) -> list[str]:
        nouns = [phrase[1] for phrase in PHRASES if len(phrase) == 2 and phrase[0] == words[0].lower()]
        if nouns and len(words) == 1:
            return completing.fitting(begun, nouns)
        return completing.fitting(begun, self._names())
