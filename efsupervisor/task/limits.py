"""What a program may use: worked out from the spec before the fork, applied in the child by named stages (efsupervisor.task.spawn).

`planned` is pure but for the names of limits that this machine knows.  Each stage is one system call that may refuse; nothing here is undone, because
a child that was refused does not execute.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from typing import NamedTuple

from efsupervisor.conf.schema import TaskSpec
from efsupervisor.system import Real

IO_CLASSES = {"realtime": 1, "best-effort": 2, "idle": 3}
SENTENCES = {
    "oom": "oom_score_adj cannot be set",
    "nice": "nice cannot be set",
    "ionice": "ionice cannot be set",
    "processors": "cpu_affinity cannot be set",
    "limits": "a limit of `limits` cannot be set",
}
"""Stages of the child in their order, with the sentence that a refusal begins with."""


class Limits(NamedTuple):
    """rlimits: (number, soft, hard), -1 for infinity.  oom: None leaves what is inherited.  ionice: (class, level)."""

    rlimits: tuple[tuple[int, int, int], ...] = ()
    nice: int = 0
    ionice: tuple[int, int] | None = None
    cpus: tuple[int, ...] = ()
    oom: int | None = None


NONE = Limits()


def planned(spec: TaskSpec, inherited_oom: int) -> Limits:
    """The limits of a spec; NONE when there are none, which is the usual case.  inherited_oom: the worker's own, below 0 when it is protected."""
    oom = spec.oom_score_adj if spec.oom_score_adj or inherited_oom < 0 else None  # what is not ours to lower stays
    if not (spec.limits or spec.nice or spec.ionice or spec.cpu_affinity):
        return NONE if oom is None else Limits(oom=oom)
    name, _, level = spec.ionice.partition(":")
    disk = (IO_CLASSES[name], int(level or "0")) if name else None
    return Limits(rlimits=_numbered(spec.limits), nice=spec.nice, ionice=disk, cpus=spec.cpu_affinity, oom=oom)


def _numbered(limits: dict[str, tuple[int, int]]) -> tuple[tuple[int, int, int], ...]:
    if not limits:
        return ()
    import resource  # late: few tasks have limits

    return tuple((getattr(resource, f"RLIMIT_{name.upper()}"), soft, hard) for name, (soft, hard) in limits.items())


def stages(system: Real, what: Limits) -> dict[str, Callable[[], None]]:
    """What the child does, by stage; runs before the user changes, since root may raise limits that others may not."""
    return {
        "oom": lambda: None if what.oom is None else _oom(system, what.oom),
        "nice": lambda: os.setpriority(os.PRIO_PROCESS, 0, what.nice) if what.nice else None,
        "ionice": lambda: system.ionice(*what.ionice) if what.ionice else None,
        "processors": lambda: os.sched_setaffinity(0, what.cpus) if what.cpus else None,
        "limits": lambda: _rlimits(what.rlimits),
    }


def _oom(system: Real, value: int) -> None:
    system.oom_score_adj(value)


def _rlimits(limits: tuple[tuple[int, int, int], ...]) -> None:
    if not limits:
        return
    import resource  # loaded by `planned` already

    for number, soft, hard in limits:
        try:
            resource.setrlimit(number, (soft, hard))
        except ValueError as error:  # how the module says that a hard limit may not be raised
            raise OSError(errno.EPERM, os.strerror(errno.EPERM)) from error
