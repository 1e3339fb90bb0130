"""`efctl daemon upgrade`: the installed version takes the place of the running one, in the same process.

    the installed version is tried in a child (`--check`) -> siblings leave -> what must be known is handed over -> execve -> it boots and adopts

The pid stays, so a service manager (or the kernel, for PID 1) notices nothing; the lock of the state folder is never let go; workers and programs
go on, as they would after a crash of the Core.  Until execve everything can be taken back, and is when something is wrong: the old version goes on
and says why.  Our signals are kept back from just before execve until the new version listens, so that none is lost and none ends it.

How we were started is how we are started again: the same interpreter, words, working folder, umask and limit of descriptors.
"""

from __future__ import annotations

import os
import resource
import signal
import sys
from collections.abc import Callable
from typing import NamedTuple

import msgspec

from efsupervisor.core import handover
from efsupervisor.core.core import Core
from efsupervisor.core.descriptors import SIGNALS, signals_held
from efsupervisor.core.memory import Asked, Memory
from efsupervisor.core.trial import Finding, objection
from efsupervisor.errors import Code, EfError
from efsupervisor.messages import FailedReply, UpgradeRequest
from efsupervisor.reactor import READ, Timer

DEADLINE_S = 30.0
"""For the trial: a cold start of Python with every library, on a machine that is busy."""

PIECE = 64 << 10
MAX_SAID = 256 << 10


class Launch(NamedTuple):
    """How this process was started.  argv: with the interpreter's path first.  folder: working folder."""

    argv: list[str]
    folder: str
    umask: int


def launched(umask: int) -> Launch:
    """How this process was started; called before anything of that is changed."""
    try:
        folder = os.getcwd()
    except FileNotFoundError:
        folder = "/"
    return Launch([sys.executable, *sys.orig_argv[1:]], folder, umask)


class Trial:
    """One child that runs `--check`.  done(text): what it printed, None when it was not over in time; called once."""

    def __init__(self, core: Core, launch: Launch, done: Callable[[str | None], None]) -> None:
        self._core = core
        self._done = done
        self._said = b""
        reader, writer = os.pipe2(os.O_CLOEXEC)
        try:
            with signals_held():
                pid = core.system.fork()
                if pid == 0:
                    become(core, [*launch.argv, "--check"], launch, writer)
        except OSError:
            os.close(reader)
            raise
        finally:
            os.close(writer)
        self._reader = core.descriptors.lasting(reader)
        self._pidfd = core.descriptors.lasting(os.pidfd_open(pid))
        self._timer: Timer = core.reactor.after(DEADLINE_S, self._overdue)
        core.reactor.watch(self._reader, READ, self._ready)

    def _ready(self, _events: int) -> None:
        piece = os.read(self._reader, PIECE)
        self._said = (self._said + piece)[-MAX_SAID:]
        if not piece:
            self._finish(self._said.decode("utf-8", "replace"))

    def _overdue(self) -> None:
        self._core.system.pidfd_signal(self._pidfd, signal.SIGKILL)
        self._finish(None)

    def _finish(self, text: str | None) -> None:
        self._timer.cancel()
        self._core.reactor.forget(self._reader)
        os.close(self._reader)
        os.close(self._pidfd)
        self._done(text)


def become(core: Core, argv: list[str], launch: Launch, output: int) -> None:
    """In a forked child: run a program as we were started, its output into the pipe.  Does not return."""
    try:
        core.system.die_with_parent()
        os.dup2(output, 1)
        os.dup2(output, 2)
        as_started(core, launch)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
        os.execve(argv[0], argv, os.environ)
    except OSError as error:
        os.write(2, f"{argv[0]} could not be run: {error}\n".encode())
    finally:
        os._exit(70)


def as_started(core: Core, launch: Launch) -> None:
    """Working folder, umask and limits as they were at our start.  OSError when the folder is gone."""
    os.chdir(launch.folder)
    os.umask(launch.umask)
    resource.setrlimit(resource.RLIMIT_NOFILE, (core.descriptors.soft_limit, core.descriptors.hard_limit))


class Upgrade:
    """One Core's ability to be replaced.  memory: of the desk."""

    def __init__(self, core: Core, launch: Launch, memory: Memory, mine: Finding) -> None:
        self._core = core
        self._launch = launch
        self._memory = memory
        self._mine = mine
        self._under_way = False

    def begin(self, asked: Asked, request: UpgradeRequest) -> None:
        """Try the installed version, and become it.  EfError BAD_STATE: not now."""
        if self._core.ending:
            raise EfError("the supervisor is shutting down", Code.BAD_STATE)
        if self._under_way:
            raise EfError("an upgrade is under way already", Code.BAD_STATE)
        Trial(self._core, self._launch, lambda said: self._tried(said, asked, request))
        self._under_way = True
        self._core.log.info(f"upgrade asked by {asked}: trying {' '.join(self._launch.argv)} --check")

    def _tried(self, said: str | None, asked: Asked, request: UpgradeRequest) -> None:
        try:
            finding = verdict(said, self._mine)
            if self._core.ending:
                raise EfError("the supervisor is shutting down", Code.BAD_STATE)
        except EfError as error:
            self._refuse(error, asked, request)
            return
        self._core.log.info(f"upgrade: efsupervisord {finding.version} can take over; the siblings leave")
        self._core.services.leave(lambda: self._replace(asked, request))

    def _refuse(self, error: EfError, asked: Asked, request: UpgradeRequest) -> None:
        self._under_way = False
        self._core.log.error(f"not upgraded: {error.message}")
        asked.reply([FailedReply(id=request.id, code=error.code, sentence=f"not upgraded, {self._mine.version} goes on: {error.message}")])

    def _replace(self, asked: Asked, request: UpgradeRequest) -> None:
        """The point of no return is execve itself."""
        core = self._core
        core.services.hurry()
        try:
            self._exec(self._handover(asked, request))
        except OSError as error:
            core.descriptors.raise_limit()
            core.services.resume()
            self._refuse(EfError(f"the installed version could not be run: {error}", Code.SYSTEM), asked, request)

    def _handover(self, asked: Asked, request: UpgradeRequest) -> handover.Handover:
        core = self._core
        return handover.Handover(
            pid=core.system.getpid(),
            start_ticks=core.system.start_ticks("self") or 0,
            lock_fd=core.home.lock_fd,
            version=core.version,
            request_id=request.id,
            asked_by=str(asked),
            memory=self._memory.told(),
            dead=core.dead(),
            again=[(task.name, task.again) for task in core.registry if task.again],
        )

    def _exec(self, handed: handover.Handover) -> None:
        core, argv = self._core, self._launch.argv
        core.tale.close()
        core.store.flush()
        core.log.info("upgrade: this program gives way to the installed one, in the same process")
        environment = dict(os.environ)
        fds = handover.give(handed, environment)
        signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
        former = os.umask(0o077)
        try:
            as_started(core, self._launch)
            os.execve(argv[0], argv, environment)
        finally:  # only when it failed
            os.umask(former)
            os.chdir("/")
            handover.take_back(fds, environment)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)


def verdict(said: str | None, mine: Finding) -> Finding:
    """What a trial found.  EfError CONFIG with its words when the installed version cannot start, or could not take over."""
    if said is None:
        raise EfError(f"the installed version did not say within {DEADLINE_S:g} s that it can start", Code.TIMEOUT)
    *rest, last = said.strip().splitlines() or [""]
    try:
        finding = msgspec.json.decode(last, type=Finding)
    except msgspec.DecodeError:
        words = " ".join([*rest, last][-3:]).strip()[-1000:]
        raise EfError(f"the installed version cannot start: {words or 'it says nothing'}", Code.CONFIG) from None
    if why := objection(finding, mine):
        raise EfError(why, Code.REFUSED)
    return finding
