"""What /proc tells of processes, and how the benchmark gets rid of every one that it caused.

The benchmark is a subreaper: whatever is orphaned below it becomes its child, so `end_descendants` finds everything, whoever died before.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

PR_SET_CHILD_SUBREAPER = 36
PROC = Path("/proc")


def become_subreaper() -> None:
    """Orphans below this process become its children."""
    if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "prctl")


def pids() -> set[int]:
    """Every process there is."""
    return {int(name) for name in os.listdir(PROC) if name.isdigit()}


def command(pid: int) -> bytes:
    """The argument list as /proc has it; empty when the process is gone."""
    try:
        return (PROC / str(pid) / "cmdline").read_bytes()
    except OSError:
        return b""


def parent(pid: int) -> int:
    """The parent, 0 when the process is gone."""
    try:
        return int((PROC / str(pid) / "stat").read_bytes().rpartition(b")")[2].split()[1])
    except OSError:
        return 0


def descendants(root: int) -> set[int]:
    """Children of `root`, and theirs."""
    children: dict[int, list[int]] = {}
    for pid in pids():
        children.setdefault(parent(pid), []).append(pid)
    found: set[int] = set()
    waiting = [root]
    while waiting:
        new = [child for child in children.get(waiting.pop(), []) if child not in found]
        found.update(new)
        waiting += new
    return found


def end_descendants() -> None:
    """Kill and reap everything below this process."""
    for _ in range(200):
        left = descendants(os.getpid())
        for pid in left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        if not left:
            return
        time.sleep(0.01)
    raise RuntimeError(f"{len(left)} processes of the benchmark cannot be ended")


class Programs:
    """The processes whose last argument is `marker`.  A full look is taken only when enough are new: looking must not disturb the machine."""

    def __init__(self, marker: str) -> None:
        self._ending = b"\0" + marker.encode() + b"\0"
        self._before = pids()
        self._found: set[int] = set()

    def count(self, at_least: int) -> int:
        """How many there are; a number below `at_least` is not exact."""
        new = pids() - self._before
        self._found &= new
        if len(new) >= at_least:
            self._found |= {pid for pid in new - self._found if command(pid).endswith(self._ending)}
        return len(self._found)

    def await_count(self, wanted: int, deadline_s: float) -> None:
        """Wait until so many run."""
        until = time.monotonic() + deadline_s
        while self.count(wanted) < wanted:
            if time.monotonic() > until:
                raise TimeoutError(f"{self.count(1)} of {wanted} programs run after {deadline_s:g} s")
            time.sleep(0.002)


def pss_kib(pid: int) -> int:
    """Proportional memory of a process."""
    for line in (PROC / str(pid) / "smaps_rollup").read_text(encoding="ascii").splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1])
    return 0


@dataclass(frozen=True)
class Activity:
    """What a process has done since its start."""

    wakeups: int
    cpu_ns: int

    def __sub__(self, earlier: Activity) -> Activity:
        return Activity(self.wakeups - earlier.wakeups, self.cpu_ns - earlier.cpu_ns)


def activity(pid: int) -> Activity:
    """Wake-ups are the times it went to sleep by itself; CPU is what the scheduler accounted, to the nanosecond."""
    wakeups = 0
    for line in (PROC / str(pid) / "status").read_text(encoding="utf-8", errors="replace").splitlines():
        if line.startswith("voluntary_ctxt_switches:"):
            wakeups = int(line.split()[1])
    return Activity(wakeups, int((PROC / str(pid) / "schedstat").read_text(encoding="ascii").split()[0]))


@contextlib.contextmanager
def nothing_left() -> Iterator[None]:
    """Whatever the block started is gone after it."""
    try:
        yield
    finally:
        end_descendants()
