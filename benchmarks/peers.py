"""Other supervisors, used as ours is used, so that a figure and its peer are taken by the same lines.

supervisord comes from PyPI into an environment of its own in the user's cache folder, never into the project's.  runsv is used when it is installed.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

DEADLINE_S = 120.0
RELEASE = "supervisor==4.3.0"
"""The one that the targets were measured against."""


class Unavailable(Exception):
    """This peer cannot be measured here; the text says why."""


def cache() -> Path:
    """Where the peers' environments are kept between runs."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "efsupervisor-bench"


def supervisord_bin() -> Path:
    """The folder with supervisord and supervisorctl, installed when they are not there.  Unavailable when that fails."""
    home = cache() / RELEASE.replace("==", "-")
    binaries = home / "bin"
    if not (binaries / "supervisorctl").exists():
        try:
            subprocess.run([sys.executable, "-m", "venv", "--clear", str(home)], check=True, capture_output=True)
            pip = [str(binaries / "python"), "-m", "pip", "--disable-pip-version-check", "-qq"]
            subprocess.run([*pip, "install", RELEASE], check=True, capture_output=True)
        except (OSError, subprocess.CalledProcessError) as error:
            raise Unavailable(f"{RELEASE} could not be installed: {error}") from error
    return binaries


def quietly(command: list[str]) -> subprocess.Popen[bytes]:
    """A process that neither reads nor says anything."""
    return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


class Supervisord:
    """A supervisord of `programs` (name -> keys of its section, `command` an argument list); started by `with`."""

    name = "supervisord"

    def __init__(self, folder: Path, binaries: Path, programs: dict[str, dict[str, object]]) -> None:
        folder.mkdir(mode=0o700)
        self.folder = folder
        self._binaries = binaries
        self.conf = folder / "supervisord.conf"
        self.conf.write_text(self._text(programs), encoding="utf-8")
        self.supervisorctl = [str(binaries / "supervisorctl"), "-c", str(self.conf)]
        self.process: subprocess.Popen[bytes] | None = None

    def _text(self, programs: dict[str, dict[str, object]]) -> str:
        socket = f"unix://{self.folder}/sock"
        lines = [
            "[supervisord]",
            f"logfile={self.folder}/log",
            f"pidfile={self.folder}/pid",
            f"childlogdir={self.folder}",
            "nodaemon=true",
            "minfds=8192",
            "[unix_http_server]",
            f"file={self.folder}/sock",
            "[rpcinterface:supervisor]",
            "supervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface",
            "[supervisorctl]",
            f"serverurl={socket}",
        ]
        for name, keys in programs.items():
            lines.append(f"[program:{name}]")
            for key, value in keys.items():
                text = shlex.join(value) if isinstance(value, list) else str(value)
                lines.append(f"{key}={text.replace('%', '%%')}")
        return "\n".join(lines) + "\n"

    def launch(self) -> int:
        """Start it without waiting; the time, monotonic ns."""
        begun = time.monotonic_ns()
        self.process = quietly([str(self._binaries / "supervisord"), "-c", str(self.conf)])
        return begun

    def stop(self) -> float:
        """An orderly end of everything; seconds it took."""
        assert self.process is not None
        begun = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(DEADLINE_S)
        self.process = None
        return time.monotonic() - begun

    @property
    def pid(self) -> int:
        """The supervisor."""
        assert self.process is not None
        return self.process.pid

    def control(self, *words: str) -> subprocess.CompletedProcess[bytes]:
        """Run supervisorctl."""
        return subprocess.run([*self.supervisorctl, *words], capture_output=True, check=False, timeout=DEADLINE_S)

    def await_socket(self) -> None:
        """Wait until it takes commands."""
        until = time.monotonic() + DEADLINE_S
        while not (self.folder / "sock").exists():
            if time.monotonic() > until:
                raise TimeoutError("supervisord does not come up")
            time.sleep(0.01)

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


@contextlib.contextmanager
def runsv(folder: Path, command: list[str]) -> Iterator[None]:
    """runit's supervisor of one program."""
    binary = shutil.which("runsv")
    if binary is None:
        raise Unavailable("runsv is not installed")
    folder.mkdir(mode=0o700)
    run = folder / "run"
    run.write_text(f"#!/bin/sh\nexec {shlex.join(command)}\n", encoding="utf-8")
    run.chmod(0o755)
    process = quietly([binary, str(folder)])
    try:
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(DEADLINE_S)
        shutil.rmtree(folder, ignore_errors=True)
