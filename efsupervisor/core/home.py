"""The supervisor's folder `var`: who owns it, and what the last one to own it left behind.

`flock` on `var/lock` decides who is the one supervisor; the kernel gives it back when the holder dies, however it dies.  `core.json` only informs: a
second daemon reads the first one's pid there for its refusal, and a new daemon whether the last one ended cleanly.  A missing or damaged core.json is
an unclean end, never a reason not to start.

Everything below the folder is ours alone (0700, own uid), so that neither a task's user nor a neighbour can plant a file or a socket (DESIGN section
7). """

from __future__ import annotations

import fcntl
import hashlib
import os
import signal
import stat
from typing import NamedTuple

import msgspec

from efsupervisor.errors import Code, EfError
from efsupervisor.system import Real, boot_id, write_whole

VERSION = 1
LOCK_WAIT_S = 0.5
"""How long a lock whose recorded holder is dead may still be held by a child that was just being forked (it lets go within milliseconds)."""


class CoreRecord(msgspec.Struct, frozen=True, kw_only=True):
    """core.json.  since: wall time of the start.  clean: this Core ended after it had stopped everything."""

    version: int = VERSION
    pid: int
    start_ticks: int
    boot_id: str
    since: float
    clean: bool = False


class Former(NamedTuple):
    """What the last Core left.  existed: there was one.  clean: it had stopped everything.  same_boot: pids of its time still mean something.
    upgraded: it was this process, and gave way to us."""

    existed: bool
    clean: bool
    same_boot: bool
    upgraded: bool = False


FIRST = Former(existed=False, clean=True, same_boot=True)


class Home:
    """The locked folder of one supervisor.  The caller owns it for life: `lock_fd` is never closed but by a child that leaves the Core."""

    def __init__(self, var: str, lock_fd: int, former: Former, system: Real) -> None:
        self.var = var
        self.lock_fd = lock_fd
        self.former = former
        self._system = system
        self._record: CoreRecord | None = None
        self.namespace = _namespace(var, system)

    @property
    def tasks(self) -> str:
        """Folder of the tasks' folders."""
        return self.var + "/tasks"

    @property
    def flows(self) -> str:
        """Folder of the edges' folders."""
        return self.var + "/flows"

    @property
    def log(self) -> str:
        """Path of the daemon's log."""
        return self.var + "/log/efsupervisord.log"

    @property
    def state(self) -> str:
        """The file of the saved state."""
        return self.var + "/lib/state.sqlite"

    def task_dir(self, short_id: str) -> str:
        """Folder of one task."""
        return f"{self.tasks}/{short_id}"

    def announce(self) -> CoreRecord:
        """Write core.json for this process, not clean yet.  OSError as the kernel gives it."""
        self._record = CoreRecord(
            pid=self._system.getpid(),
            start_ticks=self._system.start_ticks("self") or 0,
            boot_id=boot_id(),
            since=self._system.wall_ns() / 1e9,
        )
        self._write(self._record)
        return self._record

    def leave_clean(self) -> None:
        """Everything was stopped: say so to the next Core.  OSError as the kernel gives it; then the next one takes this end for a crash."""
        if self._record is not None:
            self._write(msgspec.structs.replace(self._record, clean=True))

    def _write(self, record: CoreRecord) -> None:
        write_whole(self._system, self.var + "/core.json", msgspec.json.encode(record))


def open_home(var: str, system: Real, handed_fd: int = -1) -> Home:
    """Make the folder if it is missing, check it, and become its one supervisor.  handed_fd: the lock that the program before us in this process
    held, ours from now on; -1 for none.

    EfError with code ALREADY_RUNNING (somebody is), REFUSED (the folder is not ours alone) or SYSTEM (it cannot be made or written).
    """
    try:
        _prepare(var, system)
        lock_fd = _handed(handed_fd, var, system)
        upgraded = lock_fd >= 0
        if not upgraded:
            lock_fd = system.open(var + "/lock", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        what = f"{error.strerror} ({error.filename or var})"
        raise EfError(f"the state folder {var} cannot be used: {what}; see `supervisor: var` in the configuration", Code.SYSTEM) from error
    former = read_record(var)
    if not _locked(lock_fd, former, system):
        system.close(lock_fd)
        who = f"pid {former.pid}" if former is not None else "its pid is not known"
        raise EfError(f"another efsupervisord ({who}) already supervises {var}; ask it with efctl", Code.ALREADY_RUNNING)
    return Home(var, lock_fd, _former(former, os.path.exists(var + "/core.json"))._replace(upgraded=upgraded), system)


def _handed(fd: int, var: str, system: Real) -> int:
    """The descriptor when it is this folder's lock; else -1, and it is closed."""
    if fd < 0:
        return -1
    ours, named = system.fstat(fd), system.stat(var + "/lock")
    if (ours.st_dev, ours.st_ino) == (named.st_dev, named.st_ino):
        return fd
    system.close(fd)
    return -1


def read_record(var: str) -> CoreRecord | None:
    """core.json, None when there is none or it cannot be read."""
    try:
        with open(var + "/core.json", "rb") as file:
            return msgspec.json.decode(file.read(), type=CoreRecord)
    except (OSError, msgspec.DecodeError):
        return None


def _former(record: CoreRecord | None, file_exists: bool) -> Former:
    if record is None:
        return Former(existed=True, clean=False, same_boot=True) if file_exists else FIRST
    return Former(existed=True, clean=record.clean, same_boot=record.boot_id == boot_id())


def _prepare(var: str, system: Real) -> None:
    os.makedirs(os.path.dirname(var), mode=0o755, exist_ok=True)
    for folder in (var, var + "/log", var + "/tasks", var + "/flows"):
        try:
            system.mkdir(folder, 0o700)
        except FileExistsError:
            _check_ours(folder, system)


def _check_ours(folder: str, system: Real) -> None:
    status = system.stat(folder)
    if not stat.S_ISDIR(status.st_mode):
        raise NotADirectoryError(20, os.strerror(20), folder)
    if status.st_uid != os.geteuid():
        raise EfError(f"the state folder {folder} belongs to uid {status.st_uid}, not to uid {os.geteuid()} that runs efsupervisord", Code.REFUSED)
    if stat.S_IMODE(status.st_mode) != 0o700:
        os.chmod(folder, 0o700)


def _locked(lock_fd: int, holder: CoreRecord | None, system: Real) -> bool:
    """Take the lock; waits for it only while its recorded holder is dead, and never longer than LOCK_WAIT_S."""
    try:
        system.flock(lock_fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lives = holder is not None and holder.boot_id == boot_id() and system.start_ticks(holder.pid) == holder.start_ticks
        return not lives and _locked_late(lock_fd, system)
    return True


def _locked_late(lock_fd: int, system: Real) -> bool:
    """flock that is interrupted by an alarm: before the loop exists there is nothing else to wait in."""

    def over(_number: int, _frame: object) -> None:
        raise InterruptedError

    previous = signal.signal(signal.SIGALRM, over)
    signal.setitimer(signal.ITIMER_REAL, LOCK_WAIT_S)
    try:
        system.flock(lock_fd, fcntl.LOCK_EX)
    except InterruptedError:
        return False
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous)
    return True


def _namespace(var: str, system: Real) -> str:
    """Identity of this folder, part of the cookie by which processes of its tasks are known; the same for every Core that will ever own it."""
    status = system.stat(var)
    return hashlib.sha256(f"{status.st_dev}:{status.st_ino}".encode()).hexdigest()[:16]
