"""`efsupervisord -n --follow TASKS`: children that print what the tasks write, a convenience for people who try something out.

Each is `efctl tail -f TASK` on our own stdout.  They are clients like any other: the Core neither waits for them nor misses them.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys

from efsupervisor.conf.schema import Config
from efsupervisor.core.descriptors import Descriptors


def welcome(config: Config, follow: tuple[str, ...]) -> str:
    """What a person who tries something out sees first: what runs, what is shown, and what to type next."""
    efctl = os.path.join(os.path.dirname(sys.executable), "efctl")
    names = ", ".join(spec.name for spec in config.tasks[:8]) + (f" and {len(config.tasks) - 8} more" if len(config.tasks) > 8 else "")
    return (
        f"efsupervisord: supervising {names or 'no task yet'}; below is what {', '.join(follow)} writes.  Ctrl-C stops everything in order.\n"
        f"efsupervisord: in another terminal:  {efctl} -c {config.source} status\n"
    )


class Followers:
    """The children of one foreground run.  They are reaped by the Core like every child."""

    def __init__(self, var: str, tasks: tuple[str, ...], descriptors: Descriptors) -> None:
        self._pidfds = [descriptors.lasting(self._started(var, task)) for task in tasks]

    def _started(self, var: str, task: str) -> int:
        argv = [sys.executable, "-m", "efsupervisor.cli", "--var", var, "tail", "-f", task]
        return os.pidfd_open(os.posix_spawn(sys.executable, argv, os.environ))

    def stop(self) -> None:
        """End those that still run."""
        for pidfd in self._pidfds:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(pidfd, signal.SIGTERM)
            os.close(pidfd)
        self._pidfds = []
