"""Whether this machine lets us run so many tasks: descriptors and pipe memory, judged before the first start.

Without it the last tasks of a long list fail one by one with EMFILE, hours after the list was written.  `shortages` is pure;
`limits` reads what the machine allows.

Descriptors: the Core holds for each task its two output FIFOs, its input's write end, its worker's socket and pidfd, and one more while something
is being made.  32 are kept for clients, so that somebody can still ask, and 32 are the Core's own.

Pipe memory: three FIFOs of 16 pages a task, counted per user over all processes.  Over the soft limit the kernel still makes pipes, of two pages:
slower, not wrong.  Over the hard limit it makes none; pipe(7), /proc files.  Root is bound by neither (CAP_SYS_RESOURCE).
"""

from __future__ import annotations

import os
import resource
from typing import NamedTuple

PER_TASK = 6
FOR_CLIENTS = 32
FOR_THE_CORE = 32
FIFOS_PER_TASK = 3
PAGES_PER_PIPE = 16
"""Default capacity of a pipe, 64 KiB; pipe(7)."""

_PIPE_LIMITS = "/proc/sys/fs/pipe-user-pages-"


class Limits(NamedTuple):
    """What the machine allows this process: descriptors (hard limit), and pages of pipe memory of its user, soft and hard.  None is without limit."""

    descriptors: int | None
    pipe_pages_soft: int | None = None
    pipe_pages_hard: int | None = None


class Shortage(NamedTuple):
    """One thing there is too little of.  fatal: tasks could not be started; else they run slower.  sentence: for a person."""

    fatal: bool
    sentence: str


def shortages(tasks: int, limits: Limits) -> list[Shortage]:
    """What `tasks` tasks would lack; empty when there is enough."""
    found: list[Shortage] = []
    wanted = tasks * PER_TASK + FOR_CLIENTS + FOR_THE_CORE
    if limits.descriptors is not None and wanted > limits.descriptors:
        most = max(0, (limits.descriptors - FOR_CLIENTS - FOR_THE_CORE) // PER_TASK)
        cure = f"raise the hard limit (ulimit -Hn, or LimitNOFILE= of systemd) or run at most {most:,} tasks"
        found.append(Shortage(True, f"needs {wanted:,} descriptors, may have {limits.descriptors:,}: {tasks:,} tasks are too many; {cure}"))
    pages = tasks * FIFOS_PER_TASK * PAGES_PER_PIPE
    if limits.pipe_pages_hard is not None and pages > limits.pipe_pages_hard:
        found.append(Shortage(True, _pages(tasks, pages, limits.pipe_pages_hard, "hard", "the kernel would make no more pipes")))
    elif limits.pipe_pages_soft is not None and pages > limits.pipe_pages_soft:
        found.append(Shortage(False, _pages(tasks, pages, limits.pipe_pages_soft, "soft", "further pipes are small and slower")))
    return found


def _pages(tasks: int, wanted: int, allowed: int, which: str, effect: str) -> str:
    cure = f"raise fs.pipe-user-pages-{which} or run as root"
    return f"needs {wanted:,} pages of pipe memory, may have {allowed:,}: with {tasks:,} tasks {effect}; {cure}"


def limits() -> Limits:
    """What the machine allows this process now."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    descriptors = None if hard == resource.RLIM_INFINITY else hard
    if os.geteuid() == 0:
        return Limits(descriptors)
    return Limits(descriptors, _pipe_limit("soft"), _pipe_limit("hard"))


def _pipe_limit(which: str) -> int | None:
    """The kernel's figure; 0 there is without limit, and so is a kernel that does not say."""
    try:
        with open(_PIPE_LIMITS + which, encoding="ascii") as file:
            return int(file.read()) or None
    except (OSError, ValueError):
        return None
