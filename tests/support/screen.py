"""A program on a pseudo terminal: what it shows, and typing to it."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
from pathlib import Path
from types import TracebackType

from tests.support.wait import until

_CONTROL = re.compile(r"\x1b(\[[0-9;?]*[A-Za-z]|[()=>][A-Z0-9]?)|\r")


class Screen:
    """Runs a command with all three descriptors on a terminal of `columns`."""

    def __init__(self, command: list[str], environment: dict[str, str], folder: Path, columns: int = 100) -> None:
        self._ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
        self._process = subprocess.Popen(
            command, stdin=theirs, stdout=theirs, stderr=theirs, env=environment, cwd=folder, start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        )  # fmt: skip
        os.close(theirs)
        self.raw = ""
        self._from = 0

    def __enter__(self) -> Screen:
        return self

    def __exit__(self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None) -> None:
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGKILL)
            self._process.wait(10)
        os.close(self._ours)

    @property
    def text(self) -> str:
        """All that was shown, without what drives a terminal."""
        self._read()
        return _CONTROL.sub("", self.raw)

    def type(self, text: str) -> None:
        """Press these keys."""
        self._from = len(self.text)
        os.write(self._ours, text.encode())

    def resize(self, columns: int, lines: int = 40) -> None:
        """The window gets another size."""
        self._from = len(self.text)
        fcntl.ioctl(self._ours, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))

    def see(self, text: str, deadline_s: float = 15.0) -> str:
        """Wait until this appears in what was shown since the last keys; all of that."""

        def shown() -> str:
            new = self.text[self._from :]
            return new if text in new else ""

        return until(shown, deadline_s, lambda: f"{text!r} is on the screen:\n{self.text}")

    def ended(self, deadline_s: float = 15.0) -> int:
        """Wait for the end; the exit status."""
        status = until(lambda: (self._read(), self._process.poll() is not None)[1] and [self._process.returncode], deadline_s, "the program ends")
        self._read()
        return status[0]

    def _read(self) -> None:
        while select.select([self._ours], [], [], 0)[0]:
            try:
                data = os.read(self._ours, 65536)
            except OSError:  # the other side is closed
                return
            if not data:
                return
            self.raw += data.decode("utf-8", "replace")
