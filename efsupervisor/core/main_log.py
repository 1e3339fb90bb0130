"""The main log of supervisord, written beside our own when a supervisord.conf runs: its place, its form and its phrases.

    2026-01-02 03:04:05,678 INFO spawned: 'x' with pid 12

It goes to `logfile` and, in the foreground unless `silent`, to stdout.  A logfile that is a device (/dev/stdout, /dev/null) is a descriptor that is
written to without waiting; `syslog` is the machine's.  What our own log says as a warning or an error stands here too, so that a container shows it.

It must never decide anything, and never wait for its readers: a line that does not go through is dropped.
"""

from __future__ import annotations

import contextlib
import os
import socket
import stat
import time

from efsupervisor.conf.schema import DaemonSpec
from efsupervisor.core.phrases import phrases
from efsupervisor.core.tasks import Task
from efsupervisor.log import Log, Transition, neutral
from efsupervisor.messages import Report
from efsupervisor.system import System

LEVELS = {"critical": 50, "error": 40, "warn": 30, "info": 20, "debug": 10, "trace": 5, "blather": 3}
_TAGS = {50: "CRIT", 40: "ERRO", 30: "WARN", 20: "INFO", 10: "DEBG", 5: "TRAC", 3: "BLAT"}
_PRIORITIES = {50: 2, 40: 3, 30: 4, 20: 6}
SYSLOG = "/dev/log"
DAEMON = 3
"""syslog(3)'s facility of daemons."""


def line(wall_ns: int, level: int, text: str) -> bytes:
    """One line with its newline."""
    seconds, rest = divmod(wall_ns, 1_000_000_000)
    stamp = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(seconds))
    return f"{stamp},{rest // 1_000_000:03d} {_TAGS[level]} {neutral(text)}\n".encode("utf-8", "backslashreplace")


class _File(Log):
    """The log in a regular file: rotation, and opening again, are Log's.  mode: of the file, whoever made it."""

    mode = 0o644

    def _ensure(self) -> None:
        before = self._fd
        super()._ensure()
        if self._fd != before and self._system.fstat(self._fd).st_size == 0:
            self._system.fchmod(self._fd, self.mode)

    def put(self, level: int, text: str) -> None:
        """One line."""
        self._say(level, text)

    def _line(self, level: int, sentence: str, task: str = "", transition: Transition | None = None) -> bytes:
        return line(self._system.wall_ns(), level, sentence)


class MainLog:
    """Owns the descriptors that it opened.  umask: who may read the file."""

    def __init__(self, spec: DaemonSpec, system: System, umask: int) -> None:
        self._system = system
        self._level = LEVELS[spec.loglevel]
        self._reports: dict[str, Report] = {}
        self._file: _File | None = None
        self._fds: list[int] = []
        self._syslog: socket.socket | None = None
        self.trouble = ""
        if spec.nodaemon and not spec.silent:
            self._fds.append(1)
        try:
            self._open(spec, umask)
        except OSError as error:
            self.trouble = f"the main log {spec.logfile} cannot be written: {error.strerror}; this log goes on"

    def _open(self, spec: DaemonSpec, umask: int) -> None:
        path = spec.logfile
        if path == "syslog":
            self._syslog = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
            self._syslog.connect(SYSLOG)
            return
        with contextlib.suppress(FileNotFoundError):
            if not stat.S_ISREG(os.stat(path).st_mode):
                self._open_device(path)
                return
        fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NONBLOCK | os.O_CLOEXEC, 0o666)
        os.close(fd)
        self._file = _File(path, self._system, level="debug", max_bytes=spec.logfile_maxbytes, backups=spec.logfile_backups)
        self._file.mode = 0o666 & ~umask

    def _open_device(self, path: str) -> None:
        about = os.stat(path)
        if any(os.path.sameopenfile(1, fd) for fd in self._fds) and _same(os.fstat(1), about):
            return  # stdout gets each line already
        if stat.S_ISSOCK(about.st_mode):
            self._fds.append(2 if _same(os.fstat(2), about) else 1)
        else:
            self._fds.append(os.open(path, os.O_WRONLY | os.O_APPEND | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC))

    # What is told ---------------------------------------------------------------------------------------------------------------------------------

    def say(self, level: str, text: str) -> None:
        """One line.  level: one of LEVELS."""
        number = LEVELS[level]
        if number < self._level:
            return
        if self._file is not None:
            self._file.put(number, text)
        data = line(self._system.wall_ns(), number, text)
        for fd in self._fds:
            with contextlib.suppress(OSError):
                self._system.write(fd, data)
        if self._syslog is not None:
            with contextlib.suppress(OSError):
                self._syslog.send(f"<{DAEMON << 3 | _PRIORITIES.get(number, 7)}>supervisord: {neutral(text)}".encode())

    def heard(self, level: int, sentence: str, task: str) -> None:
        """A line of our own log: warnings and errors stand here too."""
        if level >= LEVELS["warn"]:
            self.say("error" if level >= LEVELS["error"] else "warn", f"{task}: {sentence}" if task else sentence)

    def reported(self, task: Task) -> None:
        """A report of a task is new."""
        before, after = self._reports.get(task.paths.id), task.report
        self._reports[task.paths.id] = after
        for phrase in phrases(before, after, task.spec):
            self.say(phrase.level, phrase.text)

    def reopen(self) -> None:
        """Open the file again at the next line."""
        if self._file is not None:
            self._file.reopen()


def _same(one: os.stat_result, other: os.stat_result) -> bool:
    return (one.st_dev, one.st_ino) == (other.st_dev, other.st_ino)
