"""Control groups (v2) for a task's tree: limits that the kernel keeps, and a kill that nothing escapes.

A supervisor may make groups only where its own group was delegated to it (cgroups(7), "Delegation").  The kernel allows limits below a group only
while the group itself has no processes, so the supervisor's own move into a leaf beside those of the tasks: `<ours>/efs-supervisor`,
`<ours>/efs-<task>`.  Only the supervisor's own processes are moved; where others live in the group, or anything is refused, there are no groups, and
one sentence says why.  Whatever happens here, the task runs.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable

from efsupervisor.conf.schema import CgroupSpec
from efsupervisor.system import Real

ROOT = "/sys/fs/cgroup"
LEAF = "efs-supervisor"
PERIOD_US = 100_000


def own_path(text: str) -> str | None:
    """Our group in the v2 hierarchy, from /proc/self/cgroup; None where there is no such hierarchy."""
    return next((line[3:] for line in text.splitlines() if line.startswith("0::")), None)


def wanted(spec: CgroupSpec) -> dict[str, str]:
    """The files of a group that a spec wants written, with their contents."""
    files: dict[str, str] = {}
    if spec.memory_max:
        files |= {"memory.max": str(spec.memory_max), "memory.oom.group": "1"}
    if spec.pids_max:
        files["pids.max"] = str(spec.pids_max)
    if spec.cpu_max:
        files["cpu.max"] = f"{spec.cpu_max * PERIOD_US // 100} {PERIOD_US}"
    return files


class Unavailable(Exception):
    """There can be no group; the message says why."""


class Group:
    """The group of one task.  Owns nothing but the folder."""

    def __init__(self, system: Real, folder: str) -> None:
        self._system = system
        self.folder = folder
        self._ooms = self._oom_kills()

    def limit(self, spec: CgroupSpec) -> None:
        """Write the limits; Unavailable names the one that was refused."""
        for name, value in wanted(spec).items():
            try:
                self._write(name, value)
            except OSError as error:
                raise Unavailable(f"{name} cannot be set: {error.strerror}") from error

    def procs(self) -> int:
        """An open cgroup.procs, the caller's: who writes 0 to it is in the group from then on."""
        return self._system.open(f"{self.folder}/cgroup.procs", os.O_WRONLY)

    def kill(self) -> bool:
        """SIGKILL for everything in the group at once; False where the kernel cannot (before Linux 5.14)."""
        try:
            self._write("cgroup.kill", "1")
        except OSError:
            return False
        return True

    def oom_killed(self) -> bool:
        """Whether the kernel ended something of it for its memory since the last time it was asked."""
        before, self._ooms = self._ooms, self._oom_kills()
        return self._ooms > before

    def _oom_kills(self) -> int:
        try:
            with open(f"{self.folder}/memory.events", encoding="ascii") as file:
                return sum(int(line.split()[1]) for line in file if line.startswith("oom_kill "))
        except (OSError, ValueError, IndexError):
            return 0

    def remove(self) -> None:
        """Remove the empty group; one that is not empty yet stays for the next life."""
        with contextlib.suppress(OSError):
            os.rmdir(self.folder)

    def _write(self, name: str, value: str) -> None:
        fd = self._system.open(f"{self.folder}/{name}", os.O_WRONLY)
        try:
            self._system.write(fd, value.encode())
        finally:
            self._system.close(fd)


def make(system: Real, spec: CgroupSpec, task: str, ours: Callable[[int], bool], *, root: str = ROOT, own: str | None = None) -> Group:
    """The group of a task (its short id), with its limits.  ours: whether a process belongs to the supervisor, so that it may be moved.  own: our
    group.  Unavailable says why there is none."""
    if not os.path.exists(f"{root}/cgroup.controllers"):
        raise Unavailable(f"this machine has no cgroup v2 at {root}")
    if own is None:
        with open("/proc/self/cgroup", encoding="utf-8") as file:
            own = own_path(file.read())
    if own is None:
        raise Unavailable("this process is in no cgroup v2")
    base = root + own.removesuffix("/" + LEAF).rstrip("/")
    controllers = {name.partition(".")[0] for name in wanted(spec)}
    try:
        _enable(system, base, controllers, ours)
        folder = f"{base}/efs-{task}"
        with contextlib.suppress(FileExistsError):
            system.mkdir(folder, 0o755)
    except OSError as error:
        raise Unavailable(f"{base} is not delegated to the supervisor: {error.strerror}") from error
    group = Group(system, folder)
    group.limit(spec)
    return group


def _enable(system: Real, base: str, controllers: set[str], ours: Callable[[int], bool]) -> None:
    missing = controllers - _words(f"{base}/cgroup.controllers")
    if missing:
        raise Unavailable(f"{base} has no controller {', '.join(sorted(missing))}: delegate it (Delegate=yes in a systemd unit)")
    absent = controllers - _words(f"{base}/cgroup.subtree_control")
    if not absent:
        return
    _move(system, base, ours)
    _put(system, f"{base}/cgroup.subtree_control", " ".join(f"+{name}" for name in sorted(absent)))


def _move(system: Real, base: str, ours: Callable[[int], bool]) -> None:
    pids = [int(word) for word in _words(f"{base}/cgroup.procs")]
    strangers = [pid for pid in pids if not ours(pid)]
    if strangers:
        raise Unavailable(f"{base} has {len(strangers)} processes that are not the supervisor's: it needs a group of its own")
    if pids:
        with contextlib.suppress(FileExistsError):
            system.mkdir(f"{base}/{LEAF}", 0o755)
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                _put(system, f"{base}/{LEAF}/cgroup.procs", str(pid))


def _put(system: Real, path: str, text: str) -> None:
    fd = system.open(path, os.O_WRONLY)
    try:
        system.write(fd, text.encode())
    finally:
        system.close(fd)


def _words(path: str) -> set[str]:
    with open(path, encoding="utf-8") as file:
        return set(file.read().split())
