"""Spawning: from a spec to a running program, in named stages.

The worker prepares everything that may be slow or fail for a reason of the configuration (user, environment) before the fork; the child then walks
through STAGES and executes.  It inherits the task's lock close-on-exec and records itself before it executes, so a successor of a killed worker takes
the lock first and finds either no child or a recorded one.  A failure is one small message on a close-on-exec pipe: stage and errno; the pipe's end
says that the program runs.

Signals.  A worker ignores the stop signals, and what is sent to a child that ignores a signal is gone.  So the fork happens with every signal
blocked: one that comes before the child has set the default dispositions waits, and acts when they are (a blocked signal is never discarded as
ignored; signal(7)).

Privileges, when a user is given (the order matters): capability bounding set, groups, gid, uid, no_new_privs, and a proof that there is no way back.
"""

from __future__ import annotations

import contextlib
import errno
import grp
import os
import pwd
import signal
import struct
from collections.abc import Callable
from typing import NamedTuple

from efsupervisor.conf.schema import TaskSpec
from efsupervisor.errors import SpawnFailed
from efsupervisor.messages import Wiring
from efsupervisor.system import Real
from efsupervisor.task.paths import TaskPaths
from efsupervisor.task.record import write_program

STAGES = ("fork", "session", "record", "signals", "umask", "privileges", "directory", "stdio", "exec")
_MESSAGE = struct.Struct("<II")
_TRANSIENT = frozenset({errno.EAGAIN, errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOSPC, errno.EDQUOT, errno.EINTR, errno.EIO})
_NEVER_TRANSIENT_AT = frozenset({"directory"})
_KEPT = ("PATH", "LANG", "TZ")
_DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class Account(NamedTuple):
    """Whom the program runs as."""

    name: str
    uid: int
    gid: int
    groups: list[int]
    home: str
    shell: str


class Plan(NamedTuple):
    """Everything the child needs, worked out before the fork.  keeps_rights: capabilities stay as they are, and set-uid files work."""

    argv: list[str]
    environment: dict[str, str]
    directory: str
    umask: int
    account: Account | None
    keeps_rights: bool = False


class Child(NamedTuple):
    """A forked child.  failure: read end of its pipe; end-of-file there means that the program runs."""

    pid: int
    pidfd: int
    failure: int


def cookie(wiring: Wiring) -> str:
    """The mark in the environment of all processes of a task."""
    return f"EFS_COOKIE={wiring.namespace}:{os.path.basename(wiring.task_dir)}"


def plan(wiring: Wiring, incarnation: int) -> Plan:
    """Work out how to run the task's program; SpawnFailed for a user or group that does not exist."""
    spec = wiring.spec
    account = _account(spec)
    environment = _inherited(spec) if spec.inherit_environment else _clean(account)
    environment |= spec.environment
    key, _, value = cookie(wiring).partition("=")
    environment |= {"EFS_TASK": spec.name, "EFS_INCARNATION": str(incarnation), key: value}
    if spec.group:
        environment["EFS_INSTANCE"] = str(spec.instance)
    return Plan(list(spec.command), environment, spec.directory, int(spec.umask, 8), account, keeps_rights=not spec.no_new_privs)


def _clean(account: Account | None) -> dict[str, str]:
    environment = {name: os.environ[name] for name in _KEPT if name in os.environ}
    environment.setdefault("PATH", _DEFAULT_PATH)
    who = account or _own_account()
    return environment | {"HOME": who.home, "USER": who.name, "LOGNAME": who.name, "SHELL": who.shell}


def _inherited(spec: TaskSpec) -> dict[str, str]:
    """All that the supervisor has, as supervisord gives it (process.py, _spawn_as_child)."""
    environment = dict(os.environ)
    environment["SUPERVISOR_ENABLED"] = "1"
    if spec.serverurl:
        environment["SUPERVISOR_SERVER_URL"] = spec.serverurl
    environment["SUPERVISOR_PROCESS_NAME"] = spec.process_name or spec.name
    environment["SUPERVISOR_GROUP_NAME"] = spec.group or spec.name
    return environment


def _account(spec: TaskSpec) -> Account | None:
    if not spec.user:
        return None
    user, _, group = spec.user.partition(":")
    try:
        entry = pwd.getpwuid(int(user)) if user.isdigit() else pwd.getpwnam(user)
    except KeyError:
        raise SpawnFailed("privileges", errno.EINVAL, f"user {user!r} does not exist on this machine", transient=False) from None
    gid = entry.pw_gid
    if group:
        try:
            gid = int(group) if group.isdigit() else grp.getgrnam(group).gr_gid
        except KeyError:
            raise SpawnFailed("privileges", errno.EINVAL, f"group {group!r} does not exist on this machine", transient=False) from None
    if os.geteuid() != 0 and entry.pw_uid != os.geteuid():
        raise SpawnFailed("privileges", errno.EPERM, f"only root can run a task as user {user!r}: start the supervisor as root", transient=False)
    return Account(entry.pw_name, entry.pw_uid, gid, os.getgrouplist(entry.pw_name, gid), entry.pw_dir, entry.pw_shell)


def _own_account() -> Account:
    try:
        entry = pwd.getpwuid(os.geteuid())
    except KeyError:
        return Account(str(os.geteuid()), os.geteuid(), os.getegid(), [], "/", "/bin/sh")
    return Account(entry.pw_name, entry.pw_uid, entry.pw_gid, [], entry.pw_dir, entry.pw_shell)


def spawn(system: Real, paths: TaskPaths, what: Plan, stdio: tuple[int, int, int], incarnation: int, boot: str) -> Child:
    """Fork and let the child execute; stdio: descriptors for 0, 1 and 2, which stay the caller's.  SpawnFailed when there is no child."""
    try:
        reader, writer = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        raise refusal("fork", error.errno or 0, what.argv) from error
    system.fault("spawn:fork")
    started_ns = system.wall_ns()
    former = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    try:
        pid = system.fork()
        if pid == 0:
            _child(system, paths, what, stdio, writer, incarnation, started_ns, boot)
    except OSError as error:
        os.close(reader)
        os.close(writer)
        raise refusal("fork", error.errno or 0, what.argv) from error
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, former)
    system.fault("spawn:forked")
    os.close(writer)
    return Child(pid, system.pidfd_open(pid), reader)


def failure(system: Real, fd: int, argv: list[str]) -> SpawnFailed | None:
    """What the child's pipe says: a SpawnFailed, or None when the program runs (end-of-file).  BlockingIOError: nothing yet."""
    data = system.read(fd, _MESSAGE.size)
    if len(data) < _MESSAGE.size:
        return None
    stage, number = _MESSAGE.unpack(data)
    return refusal(STAGES[stage], number, argv)


def refusal(stage: str, number: int, argv: list[str]) -> SpawnFailed:
    """The error of a stage, in a sentence."""
    reason = os.strerror(number)
    if stage == "exec":
        sentence = f"{argv[0]!r} cannot be executed: {reason}"
    elif stage == "directory":
        sentence = f"the working directory cannot be entered: {reason}"
    elif stage == "privileges":
        sentence = f"the user could not be changed to: {reason}"
    else:
        sentence = f"start-up failed at {stage}: {reason}"
    return SpawnFailed(stage, number, sentence, transient=number in _TRANSIENT and stage not in _NEVER_TRANSIENT_AT)


def _child(
    system: Real, paths: TaskPaths, what: Plan, stdio: tuple[int, int, int], pipe: int, incarnation: int, started_ns: int, boot: str
) -> None:
    """Runs in the child and never returns."""
    steps: dict[str, Callable[[], None]] = {
        "session": os.setsid,
        "record": lambda: _record(system, paths, incarnation, started_ns, boot),
        "signals": lambda: _default_signals(system),
        "umask": lambda: _umask(what.umask),
        "privileges": lambda: _become(system, what.account, keeps_rights=what.keeps_rights),
        "directory": lambda: os.chdir(what.directory or "/"),
        "stdio": lambda: _stdio(stdio),
        "exec": lambda: os.execvpe(what.argv[0], what.argv, what.environment),
    }
    stage = "session"
    number = errno.EINVAL
    try:
        for stage in STAGES[1:]:
            steps[stage]()
    except OSError as error:
        number = error.errno or errno.EINVAL
    except ValueError:  # a NUL in an argument
        number = errno.EINVAL
    finally:
        with contextlib.suppress(OSError):
            os.write(pipe, _MESSAGE.pack(STAGES.index(stage), number))
        os._exit(127)


def _record(system: Real, paths: TaskPaths, incarnation: int, started_ns: int, boot: str) -> None:
    system.fault("spawn:record")
    write_program(system, paths, incarnation, started_ns, boot)
    system.fault("spawn:recorded")


def _umask(mask: int) -> None:
    os.umask(mask)


def _default_signals(system: Real) -> None:
    signal.set_wakeup_fd(-1)
    for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
        with contextlib.suppress(OSError, ValueError):
            signal.signal(number, signal.SIG_DFL)
    system.default_libc_signals()
    signal.pthread_sigmask(signal.SIG_SETMASK, set())


def _become(system: Real, account: Account | None, *, keeps_rights: bool) -> None:
    if account is None or (keeps_rights and account.uid == os.geteuid()):
        return
    if os.geteuid() == 0:
        if not keeps_rights:
            system.drop_bounding_set()
        os.setgroups(account.groups)
    os.setresgid(account.gid, account.gid, account.gid)
    os.setresuid(account.uid, account.uid, account.uid)
    if not keeps_rights:
        system.no_new_privs()
    _prove(account)


def _prove(account: Account) -> None:
    """There is no way back; anything else is EPERM and no exec."""
    if account.uid != 0 and _can_become_root():
        raise OSError(errno.EPERM, "root could be regained")
    if os.getresuid() != (account.uid,) * 3 or os.getresgid() != (account.gid,) * 3:
        raise OSError(errno.EPERM, "the user or group was not changed wholly")


def _can_become_root() -> bool:
    try:
        os.setuid(0)
    except PermissionError:
        return False
    return True


def _stdio(stdio: tuple[int, int, int]) -> None:
    for target, fd in enumerate(stdio):
        if fd == target:
            os.set_inheritable(fd, True)
        else:
            os.dup2(fd, target, inheritable=True)
        os.set_blocking(target, True)
