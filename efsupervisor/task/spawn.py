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
import functools
import grp
import json
import os
import pwd
import signal
import struct
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from efsupervisor.conf.schema import TaskSpec
from efsupervisor.errors import SpawnFailed
from efsupervisor.messages import Wiring
from efsupervisor.system import REAL, Real
from efsupervisor.task import limits
from efsupervisor.task.limits import Limits
from efsupervisor.task.paths import TaskPaths
from efsupervisor.task.record import write_program

STAGES = ("fork", "session", "record", "signals", "umask", "cgroup", *limits.SENTENCES, "privileges", "directory", "stdio", "exec")
_MESSAGE = struct.Struct("<II")
_TRANSIENT = frozenset({errno.EAGAIN, errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOSPC, errno.EDQUOT, errno.EINTR, errno.EIO})
_NEVER_TRANSIENT_AT = frozenset({"directory"})
_BESIDE = ("session", "signals", "umask", "cgroup", *limits.SENTENCES, "privileges", "parent", "directory", "stdio", "exec")
"""Stages of a command beside the program: it is recorded nowhere, and dies with the worker."""
_KEPT = ("PATH", "LANG", "TZ")
LISTENER = "eventlistener"
"""The task type whose program is run below a bridge."""

_ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
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
    """Everything the child needs, worked out before the fork.  keeps_rights: capabilities stay as they are, and set-uid files work.  cgroup: open
    cgroup.procs of its group, -1 for none; the caller's."""

    argv: list[str]
    environment: dict[str, str]
    directory: str
    umask: int
    account: Account | None
    keeps_rights: bool = False
    limits: Limits = limits.NONE
    cgroup: int = -1


class Child(NamedTuple):
    """A forked child.  failure: read end of its pipe; end-of-file there means that the program runs."""

    pid: int
    pidfd: int
    failure: int


def cookie(wiring: Wiring) -> str:
    """The mark in the environment of all processes of a task."""
    return f"EFS_COOKIE={wiring.namespace}:{os.path.basename(wiring.task_dir)}"


def plan(wiring: Wiring, incarnation: int, more: Mapping[str, str] | None = None) -> Plan:
    """Work out how to run the task's program; more: variables of ours for it.  SpawnFailed for a user, a group or a file that does not exist."""
    spec = wiring.spec
    account = _account(spec)
    environment = _inherited(spec) if spec.inherit_environment else _clean(account)
    if spec.environment_files:
        environment |= _from_files(spec.environment_files)
    environment |= spec.environment | dict(more or {})
    key, _, value = cookie(wiring).partition("=")
    environment |= {"EFS_TASK": spec.name, "EFS_INCARNATION": str(incarnation), key: value}
    if spec.group:
        environment["EFS_INSTANCE"] = str(spec.instance)
    bounds = limits.planned(spec, REAL.oom_score_adj())
    if spec.type == LISTENER:
        return _bridged(wiring, environment, account, bounds)
    return Plan(list(spec.command), environment, spec.directory, int(spec.umask, 8), account, keeps_rights=not spec.no_new_privs, limits=bounds)


def _from_files(paths: list[str]) -> dict[str, str]:
    from efsupervisor.task import envfile  # late: few tasks have such files

    return envfile.read(paths)


def _bridged(wiring: Wiring, environment: dict[str, str], account: Account | None, bounds: Any) -> Plan:
    """An event listener: its bridge is the program, as our own user, and gives the listener its user."""
    spec = wiring.spec
    var = os.path.dirname(os.path.dirname(wiring.task_dir))
    group = spec.group or spec.name
    environment.setdefault("SUPERVISOR_ENABLED", "1")
    environment.setdefault("SUPERVISOR_SERVER_URL", spec.serverurl or f"unix://{var}/run/supervisor.sock")
    environment.setdefault("SUPERVISOR_PROCESS_NAME", spec.process_name or spec.name)
    environment.setdefault("SUPERVISOR_GROUP_NAME", group)
    order: dict[str, Any] = {
        "var": var, "member": spec.name, "pool": group, "server": wiring.identifier, "command": spec.command, "events": spec.events,
        "buffer_size": spec.buffer_size, "tree": spec.stopasgroup,
    }  # fmt: skip
    if account is not None:
        order |= {"uid": account.uid, "gid": account.gid, "groups": account.groups}
    start = f"import sys; sys.path.insert(0, {_ROOT!r}); from efsupervisor.listener.bridge import main; main(sys.argv[1])"
    command = [sys.executable, "-E", "-s", "-c", start, json.dumps(order)]
    return Plan(command, environment, spec.directory, int(spec.umask, 8), None, keeps_rights=True, limits=bounds)


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
    entry, gid = _meant(spec.user)
    if os.geteuid() != 0 and entry.pw_uid != os.geteuid():
        user = spec.user.partition(":")[0]
        raise SpawnFailed("privileges", errno.EPERM, f"only root can run a task as user {user!r}: start the supervisor as root", transient=False)
    groups = os.getgrouplist(entry.pw_name, gid) + [_group(name) for name in spec.groups]
    return Account(entry.pw_name, entry.pw_uid, gid, groups, entry.pw_dir, entry.pw_shell)


def _meant(said: str) -> tuple[pwd.struct_passwd, int]:
    """The entry of `user` or `user:group`, and the group that is meant."""
    user, _, group = said.partition(":")
    try:
        entry = pwd.getpwuid(int(user)) if user.isdigit() else pwd.getpwnam(user)
    except KeyError:
        raise SpawnFailed("privileges", errno.EINVAL, f"user {user!r} does not exist on this machine", transient=False) from None
    return entry, _group(group) if group else entry.pw_gid


def _group(name: str) -> int:
    try:
        return int(name) if name.isdigit() else grp.getgrnam(name).gr_gid
    except KeyError:
        raise SpawnFailed("privileges", errno.EINVAL, f"group {name!r} does not exist on this machine", transient=False) from None


def ids(spec: TaskSpec, said: str = "") -> tuple[int, int]:
    """User and group that the program will have, or those of `said` (`user` or `user:group`).  SpawnFailed as for `plan`."""
    if said:
        entry, gid = _meant(said)
        return entry.pw_uid, gid
    account = _account(spec)
    return (account.uid, account.gid) if account is not None else (os.geteuid(), os.getegid())


@functools.cache  # a worker starts many programs, and who we are does not change meanwhile
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
    try:
        return Child(pid, system.pidfd_open(pid), reader)
    except OSError as error:  # it could not be watched; it is our own and not reaped, so the number is its
        os.kill(pid, signal.SIGKILL)
        os.close(reader)
        raise refusal("fork", error.errno or 0, what.argv) from error


def abandon(system: Real, child: Child) -> None:
    """End a child that its worker cannot watch; whoever reaps the worker's children reaps it, too."""
    system.pidfd_signal(child.pidfd, signal.SIGKILL)
    system.close(child.pidfd)
    system.close(child.failure)


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
    elif stage in limits.SENTENCES:
        sentence = f"{limits.SENTENCES[stage]}: {reason}"
    elif stage == "privileges":
        sentence = f"the user could not be changed to: {reason}"
    else:
        sentence = f"start-up failed at {stage}: {reason}"
    return SpawnFailed(stage, number, sentence, transient=number in _TRANSIENT and stage not in _NEVER_TRANSIENT_AT)


def _child(
    system: Real, paths: TaskPaths, what: Plan, stdio: tuple[int, int, int], pipe: int, incarnation: int, started_ns: int, boot: str
) -> None:
    """Runs in the child and never returns."""
    steps = _steps(system, what, stdio) | {"record": lambda: _record(system, paths, incarnation, started_ns, boot)}
    stage, number = "session", errno.EINVAL
    try:
        stage, number = _walk(steps, STAGES[1:])
    finally:
        with contextlib.suppress(OSError):
            os.write(pipe, _MESSAGE.pack(STAGES.index(stage), number))
        os._exit(127)


def _steps(system: Real, what: Plan, stdio: tuple[int, int, int]) -> dict[str, Callable[[], None]]:
    """What every child of a worker does before it executes, by stage."""
    return {
        "session": os.setsid,
        "signals": lambda: _default_signals(system),
        "umask": lambda: _umask(what.umask),
        "cgroup": lambda: _join(what.cgroup),
        **limits.stages(system, what.limits),
        "privileges": lambda: _become(system, what.account, keeps_rights=what.keeps_rights),
        "parent": system.die_with_parent,
        "directory": lambda: os.chdir(what.directory or "/"),
        "stdio": lambda: _stdio(stdio),
        "exec": lambda: os.execvpe(what.argv[0], what.argv, what.environment),
    }


def _walk(steps: dict[str, Callable[[], None]], stages: Sequence[str]) -> tuple[str, int]:
    """Through the stages; returns only when one failed: which, and the error's number."""
    stage = stages[0]
    try:
        for stage in stages:
            steps[stage]()
    except OSError as error:
        return stage, error.errno or errno.EINVAL
    except ValueError:  # a NUL in an argument
        return stage, errno.EINVAL
    return stage, errno.EINVAL


def beside(system: Real, what: Plan, output: int) -> int:
    """Fork a command that runs beside the program, its stdin empty, its stdout and stderr `output`; its pid.  OSError when there is no child.  One
    that cannot be executed says why in its output and ends with status 127."""
    former = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    try:
        pid = system.fork()
        if pid == 0:
            _beside(system, what, output)
        return pid
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, former)


def _beside(system: Real, what: Plan, output: int) -> None:
    """Runs in the child and never returns."""
    try:
        null = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
        stage, number = _walk(_steps(system, what, (null, output, output)), _BESIDE)
        os.write(output, refusal(stage, number, what.argv).message.encode() + b"\n")
    finally:
        os._exit(127)


MOST_FDS = 1 << 20
"""Above any descriptor; fs.nr_open of proc(5)."""


def forked(system: Real, body: Callable[[], None], output: int, kept: int) -> int:
    """Fork a function of ours that dies with us; its pid.  It has stdout and stderr (`output`) and one descriptor besides; what it raises is the last
    thing that it writes, and its status 1.  OSError when there is no child."""
    parent = system.getpid()
    former = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    try:
        pid = system.fork()
        if pid == 0:
            _forked(system, body, (output, kept), parent)
        return pid
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, former)


def _forked(system: Real, body: Callable[[], None], fds: tuple[int, int], parent: int) -> None:
    """Runs in the child and never returns."""
    try:
        system.die_with_parent()
        os.dup2(fds[0], 1)
        os.dup2(fds[0], 2)
        low, high = sorted(fds)
        os.closerange(3, low)
        os.closerange(low + 1, high)
        os.closerange(high + 1, MOST_FDS)
        os.setsid()
        _default_signals(system)
        system.set_name("efs-errand")
        if os.getppid() == parent:
            body()
        os._exit(0)
    except BaseException as error:
        os.write(2, f"{getattr(error, 'strerror', None) or error}\n".encode())
    finally:
        os._exit(1)


def _join(cgroup: int) -> None:
    if cgroup >= 0:
        os.write(cgroup, b"0")


def _record(system: Real, paths: TaskPaths, incarnation: int, started_ns: int, boot: str) -> None:
    system.fault("spawn:record")
    write_program(system, paths, incarnation, started_ns, boot)
    system.fault("spawn:recorded")


def _umask(mask: int) -> None:
    os.umask(mask)


def _default_signals(system: Real) -> None:
    signal.set_wakeup_fd(-1)
    system.default_signals()
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
