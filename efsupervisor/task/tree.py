"""The tree of processes below a program: finding it, signalling it, ending it.

While the worker is the parent (and subreaper) of everything its program starts, the tree is its children and theirs, whatever they did (setsid,
double fork), and ECHILD proves it empty.  After an adoption the program's orphans went to another process: then they are found by session and by the
cookie in their environment; a process that left the session and cleared its environment is the stated limit of that.

Signals go through pidfds that were opened and then checked to be of the process that was meant.
"""

from __future__ import annotations

import os
import signal

from efsupervisor.system import Real


def children(pid: int) -> list[int]:
    """Direct children, of all threads; empty when it is gone."""
    found: list[int] = []
    try:
        threads = os.listdir(f"/proc/{pid}/task")
    except (FileNotFoundError, ProcessLookupError):
        return found
    for thread in threads:
        try:
            with open(f"/proc/{pid}/task/{thread}/children", "rb") as file:
                found += map(int, file.read().split())
        except (FileNotFoundError, ProcessLookupError):
            continue
    return found


def descendants(pid: int) -> list[int]:
    """The whole tree below a process, parents before children."""
    found: list[int] = []
    level = children(pid)
    while level:
        found += level
        level = [child for parent in level for child in children(parent) if child not in found]
    return found


def kill_below(system: Real) -> int:
    """SIGKILL for everything below this process; how many there were."""
    found = descendants(os.getpid())
    for pid in found:
        signal_one(system, pid, signal.SIGKILL, member=True)
    return len(found)


def strays(session: int, cookie: bytes, own: int) -> list[int]:
    """Living processes of a session (0: of none, for that is where the kernel's threads are) or with the cookie in their environment; `own` (the
    caller) is never among them."""
    found = []
    for name in os.listdir("/proc"):
        if name.isdigit() and int(name) not in (own, 1) and ((session and _session(name) == session) or has_cookie(name, cookie)):
            found.append(int(name))
    return found


def _session(pid: str) -> int:
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            fields = file.read().rpartition(b")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return -1
    return -1 if fields[0] in b"ZX" else int(fields[3])


def has_cookie(pid: str, cookie: bytes) -> bool:
    """Whether a process has the mark of the task in its environment."""
    try:
        with open(f"/proc/{pid}/environ", "rb") as file:
            return cookie in file.read().split(b"\0")
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return False


def signal_one(system: Real, pid: int, number: int, member: bool) -> None:
    """Signal a process that was just found; `member`: it must still be a child of a process of ours or of the tree (a pid cannot be reused while its
    parent has not reaped it, so this only guards a child whose parent reaps at this very moment)."""
    if pid <= 1:
        return
    try:
        before = system.start_ticks(pid)
        pidfd = system.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        if before is not None and system.start_ticks(pid) == before:
            system.pidfd_signal(pidfd, number)
    finally:
        system.close(pidfd)


def reap_all(system: Real) -> tuple[dict[int, int], bool]:
    """Reap every dead child: {pid: wait status}, and whether any child is left."""
    reaped: dict[int, int] = {}
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return reaped, False
        if not pid:
            return reaped, True
        reaped[pid] = status
