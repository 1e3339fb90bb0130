"""Where a command's text goes: stdout and stderr with the looks that suit them, as text or as JSON.

`main` makes one for each run; whoever tests a command makes one of buffers.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, TextIO

from efsupervisor.cli.terminal import Look, Progress, look_of

if TYPE_CHECKING:
    from efsupervisor.messages.call import Answer


class Output(NamedTuple):
    """Both streams with their looks, and the environment that decided them."""

    out: TextIO
    err: TextIO
    look: Look
    err_look: Look
    environment: Mapping[str, str]

    def write(self, text: str) -> None:
        """Text to stdout."""
        self.out.write(text)

    def note(self, sentence: str) -> None:
        """A sentence to stderr."""
        self.err.write(f"efctl: {sentence}\n")

    def document(self, data: Any, *, line: bool = False) -> None:
        """One JSON document to stdout."""
        from efsupervisor.cli import answers  # late on purpose: `efctl status` and `tail` must not wait for every kind of answer

        self.out.write(answers.document(data, line=line))

    def show(self, answer: Answer, *, as_json: bool, done: str = "done") -> int:
        """An answer, as text or as JSON; the exit status."""
        from efsupervisor.cli import answers  # late on purpose, as above

        shown = answers.as_json(answer) if as_json else answers.shown(answer, self.look, done)
        self.out.write(shown.out)
        if shown.err:
            self.out.flush()  # so that both come in order where they are one terminal
            self.err.write(shown.err)
        return shown.status

    def progress(self) -> Progress:
        """A line on stderr for long work."""
        return Progress(self.err, self.err_look, self.environment)

    @property
    def talks_with_a_person(self) -> bool:
        """Whether a question would be read and could be answered."""
        return self.err_look.terminal and sys.stdin.isatty()


def standard(environment: Mapping[str, str] = os.environ) -> Output:
    """The process's own streams."""
    encoding = getattr(sys.stdout, "encoding", "") or "ascii"
    return Output(sys.stdout, sys.stderr, look_of(sys.stdout, environment, encoding), look_of(sys.stderr, environment, encoding), environment)
