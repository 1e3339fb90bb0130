"""What every peer does: begin, be asked, end, and say which processes are its own."""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import ClassVar, Self

DEADLINE_S = 120.0

Wanted = dict[str, dict[str, object]]
"""Name to keys: `command` is an argument list; the others are supervisord's words, and a peer without such a thing leaves them out."""


class Unavailable(Exception):
    """This peer cannot be measured here; the text says why."""


def cache() -> Path:
    """Where the peers' environments are kept between runs."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "efsupervisor-bench"


def environment(releases: list[str], script: str) -> Path:
    """The folder with the scripts of an environment that has these releases, made when it is not there.  Unavailable when that fails."""
    home = cache() / releases[0].replace("==", "-")
    binaries = home / "bin"
    if not (binaries / script).exists():
        try:
            subprocess.run([sys.executable, "-m", "venv", "--clear", str(home)], check=True, capture_output=True)
            pip = [str(binaries / "python"), "-m", "pip", "--disable-pip-version-check", "-qq"]
            subprocess.run([*pip, "install", *releases], check=True, capture_output=True)
        except (OSError, subprocess.CalledProcessError) as error:
            raise Unavailable(f"{releases[0]} could not be installed: {error}") from error
    return binaries


def installed(binary: str, package: str) -> Path:
    """The folder of an installed program; Unavailable when it is not there."""
    found = shutil.which(binary)
    if found is None:
        raise Unavailable(f"{binary} is not installed (Debian: apt-get install {package})")
    return Path(found).parent


def quietly(command: list[str]) -> subprocess.Popen[bytes]:
    """A process that neither reads nor says anything."""
    return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def await_true(predicate: Callable[[], bool], what: str, pause_s: float = 0.01) -> None:
    """TimeoutError with `what` when it does not become true."""
    until = time.monotonic() + DEADLINE_S
    while not predicate():
        if time.monotonic() > until:
            raise TimeoutError(f"{what} after {DEADLINE_S:g} s")
        time.sleep(pause_s)


class Peer(ABC):
    """A supervisor of `programs` below `folder`, which it owns; started by `with`.

    patience_s: how long a program must have lived before it is killed, so that no delay of a restart applies.  logs: it writes what a program says
    into a file that `stdout_logfile` names.  running: a word of its listing for each program that runs.  orphaned: what becomes of a program that
    dies when its supervisor is dead; one that has a keeper for each program has no one parent.
    """

    name: ClassVar[str]
    logs: ClassVar[bool] = False
    patience_s: ClassVar[float] = 0.5
    running: ClassVar[bytes] = b"RUNNING"
    orphaned: ClassVar[str] = "never"

    def __init__(self, folder: Path, binaries: Path, programs: Wanted) -> None:
        folder.mkdir(mode=0o700)
        self.folder = folder
        self.bin = binaries
        self.process: subprocess.Popen[bytes] | None = None
        self.write(programs)

    @staticmethod
    @abstractmethod
    def binaries() -> Path:
        """Where its programs are.  Unavailable when they are not."""

    @abstractmethod
    def write(self, programs: Wanted) -> None:
        """Its configuration, below the folder."""

    @property
    @abstractmethod
    def command(self) -> list[str]:
        """How it is started, in the foreground."""

    @property
    @abstractmethod
    def status(self) -> list[str]:
        """How the state of all programs is listed."""

    @abstractmethod
    def await_up(self) -> None:
        """Wait until it takes commands."""

    def own(self) -> list[int]:
        """Its own processes, programs not among them."""
        return [self.pid]

    def launch(self) -> int:
        """Start it without waiting; the time, monotonic ns."""
        begun = time.monotonic_ns()
        self.process = quietly(self.command)
        return begun

    def stop(self) -> float:
        """An orderly end of everything; seconds it took."""
        return self.end(signal.SIGTERM)

    def end(self, number: int) -> float:
        """Send a signal and wait for the end; seconds."""
        assert self.process is not None
        begun = time.monotonic()
        self.process.send_signal(number)
        self.process.wait(DEADLINE_S)
        self.process = None
        return time.monotonic() - begun

    @property
    def pid(self) -> int:
        """The process that was started."""
        assert self.process is not None
        return self.process.pid

    def close(self) -> None:
        """End it and take its folder away."""
        try:
            if self.process is not None:
                self.stop()
        finally:
            shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self) -> Self:
        self.launch()
        return self

    def __exit__(self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None) -> None:
        self.close()


def run_script(folder: Path, command: object) -> None:
    """The `run` file of a service folder, as s6 and runit read it."""
    assert isinstance(command, list)
    folder.mkdir(parents=True)
    run = folder / "run"
    run.write_text(f"#!/bin/sh\nexec {shlex.join(map(str, command))}\n", encoding="utf-8")
    run.chmod(0o755)
