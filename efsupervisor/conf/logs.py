"""Which log files are named more than once: those are written to, for a link can lead to one log alone.  Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

import msgspec

from efsupervisor.conf.schema import TaskSpec


def paths(spec: TaskSpec) -> list[str]:
    """The paths of a task's logs, one for each channel that has one."""
    both = [spec.stdout_logfile] if spec.redirect_stderr else [spec.stdout_logfile, spec.stderr_logfile]
    return [path for path in both if path.startswith("/")]


def with_fed_logs(tasks: Iterable[TaskSpec]) -> list[TaskSpec]:
    """The tasks, those marked whose log files somebody else names too."""
    listed = list(tasks)
    times = Counter(path for spec in listed for path in paths(spec))
    return [msgspec.structs.replace(spec, fed_logs=True) if any(times[path] > 1 for path in paths(spec)) else spec for spec in listed]
