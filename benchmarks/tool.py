"""Argument lists of the small programs in programs/, compiled once for each run where there is a C compiler."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from pathlib import Path

SOURCES = Path(__file__).parent / "programs"
LINE = 100
"""Bytes of a line in every figure."""


class Tool:
    """`folder`: where the compiled program goes.  language: what it came to be."""

    def __init__(self, folder: Path) -> None:
        compiler = next((found for name in ("cc", "gcc", "clang") if (found := shutil.which(name))), None)
        self.language = "Python"
        self._start = [sys.executable, "-S", "-E", str(SOURCES / "tool.py")]
        if compiler is not None:
            target = folder / "tool"
            done = subprocess.run([compiler, "-O2", "-o", str(target), str(SOURCES / "tool.c")], capture_output=True, check=False)
            if done.returncode == 0:
                self.language, self._start = "C", [str(target)]

    def command(self, word: str, *arguments: object) -> list[str]:
        """The argument list for one of tool.c's words."""
        return [*self._start, word, *map(str, arguments)]


def await_file(path: Path, deadline_s: float) -> list[int]:
    """The numbers in a file that a program leaves when it is ready."""
    until = time.monotonic() + deadline_s
    while not path.exists():
        if time.monotonic() > until:
            raise TimeoutError(f"a program did not come to its end within {deadline_s:g} s")
        time.sleep(0.005)
    return [int(word) for word in path.read_text(encoding="ascii").split()]
