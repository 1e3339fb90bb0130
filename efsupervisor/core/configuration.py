"""Reading the configuration without keeping what it takes to read one.

PyYAML and the tree of a file of a thousand tasks are tens of MiB that the Core would carry for ever and copy the page tables of at every fork.  So a
child reads and checks the file, and what comes back over a pipe is the finished Config or the findings, in msgpack.  The child is the same program a
moment later: it sees the same file, user and limits.

At the start the Core waits for the child.  Later it does not: the pipe is watched by the loop, and a child that takes longer than DEADLINE_S (a file
system that hangs, a file that is fed to it drop by drop) is killed, and the answer is that.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from typing import NamedTuple

import msgspec

from efsupervisor.conf.ini.situation import Situation
from efsupervisor.conf.schema import Config
from efsupervisor.core.descriptors import Descriptors, signals_held
from efsupervisor.errors import Code, ConfigError, EfError
from efsupervisor.reactor import READ, Reactor, Timer
from efsupervisor.system import Real
from efsupervisor.task import refused_types, type_names

DEADLINE_S = 10.0
PIECE = 1 << 16

END_MARK = b"..."
"""YAML's own mark of the end of a document; a file that has it as its last line was not cut off."""


class Found(NamedTuple):
    """A configuration that was read.  ended: its file has the mark of its end, so nothing of it is missing."""

    config: Config
    ended: bool


Done = Callable[[Found | EfError], None]


class Answer(msgspec.Struct, frozen=True):
    """What the child found: a configuration, or why there is none.  ended: the file has the mark of its end."""

    config: Config | None = None
    findings: list[str] = []
    ended: bool = False


def read_configuration(path: str, situation: Situation | None = None) -> Config:
    """The checked configuration.  situation: given when it is a supervisord.conf.  ConfigError with every finding; EfError when the reading itself
    failed; OSError when there can be no child."""
    reader, writer = os.pipe2(os.O_CLOEXEC)
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            os.close(reader)
            _answer(writer, path, situation)
            status = 0
        finally:
            os._exit(status)
    os.close(writer)
    with open(reader, "rb") as file:
        data = file.read()
    os.waitpid(pid, 0)
    return _decoded(data, path).config


def _decoded(data: bytes, path: str) -> Found:
    try:
        answer = msgspec.msgpack.decode(data, type=Answer)
    except msgspec.DecodeError as error:
        raise EfError(f"{path}: the configuration could not be read: its reader died", Code.INTERNAL) from error
    if answer.config is None:
        raise ConfigError(answer.findings)
    return Found(answer.config, answer.ended)


def _answer(writer: int, path: str, situation: Situation | None) -> None:
    from efsupervisor.conf.ini.load import load_ini  # late on purpose: this is the process that ends
    from efsupervisor.conf.loader import load  # late on purpose: as above

    try:
        config = load(path, types=type_names(), refused=refused_types()) if situation is None else load_ini(path, situation)
        answer = Answer(config=config, ended=_has_end_mark(path))
    except ConfigError as error:
        answer = Answer(findings=error.findings)
    except OSError as error:
        answer = Answer(findings=[f"{path}: it went away while it was read: {error.strerror}"])
    except Exception as error:  # a fault of ours: whoever asked must learn which, for this process has no other way to say it
        answer = Answer(findings=[f"{path}: efsupervisord failed to read it, which is a mistake of its own: {type(error).__name__}: {error}"])
    with open(writer, "wb") as file:
        file.write(msgspec.msgpack.encode(answer))


def _has_end_mark(path: str) -> bool:
    with open(path, "rb") as file:
        return file.read().rstrip().rpartition(b"\n")[2] == END_MARK


class Reread:
    """Reads the configuration again, for whoever asks, one child at a time.  leave: in the child, let go of what is the Core's.

    Who asks while a child reads gets the answer of the next one: the file may have changed since this one looked.
    """

    def __init__(
        self, path: str, reactor: Reactor, system: Real, descriptors: Descriptors, leave: Callable[[], None], situation: Situation | None = None
    ) -> None:
        self._path = path
        self._situation = situation
        self._reactor = reactor
        self._system = system
        self._descriptors = descriptors
        self._leave = leave
        self._asking: list[Done] = []
        self._next: list[Done] = []
        self._data = b""
        self._reader = -1
        self._pidfd = -1
        self._timer: Timer | None = None

    def ask(self, done: Done) -> None:
        """`done` gets the configuration, or why there is none.  OSError when there can be no child."""
        if self._asking:
            self._next.append(done)
            return
        self._start()
        self._asking.append(done)

    def _start(self) -> None:
        reader, writer = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        try:
            pid = self._fork(writer)
        except OSError:
            os.close(reader)
            raise
        finally:
            os.close(writer)
        self._data = b""
        self._reader = self._descriptors.lasting(reader)
        self._pidfd = self._descriptors.lasting(os.pidfd_open(pid))
        self._reactor.watch(self._reader, READ, self._ready)
        self._timer = self._reactor.after(DEADLINE_S, self._overdue)

    def _fork(self, writer: int) -> int:
        with signals_held():
            pid = self._system.fork()
        if pid:
            return pid
        status = 1
        try:
            self._system.die_with_parent()
            self._leave()
            os.set_blocking(writer, True)
            _answer(writer, self._path, self._situation)
            status = 0
        finally:
            os._exit(status)

    def _ready(self, _events: int) -> None:
        piece = os.read(self._reader, PIECE)
        self._data += piece
        if piece:
            return
        try:
            self._finish(_decoded(self._data, self._path))
        except EfError as error:
            self._finish(error)

    def _overdue(self) -> None:
        self._system.pidfd_signal(self._pidfd, signal.SIGKILL)
        self._finish(EfError(f"{self._path}: the configuration could not be read within {DEADLINE_S:g} s: nothing was changed", Code.TIMEOUT))

    def _finish(self, answer: Found | EfError) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._reactor.forget(self._reader)
        os.close(self._reader)
        os.close(self._pidfd)
        asking, self._asking, self._data = self._asking, [], b""
        for done in asking:
            done(answer)
        if self._next and not self._asking:
            self._asking, self._next = self._next, []
            try:
                self._start()
            except OSError as error:
                waiting, self._asking = self._asking, []
                for done in waiting:
                    done(EfError(f"{self._path}: the configuration could not be read: {error}", Code.SYSTEM))
