"""What a worker says about its one task in the daemon's log: the words it is called with, and the transitions of its life-cycle.

Owns no descriptor but that of its Log.
"""

from __future__ import annotations

from efsupervisor.log import Log


class TaskLog:
    """One task's voice.  Called with `INFO`, `WARN` or `ERROR` and a sentence."""

    def __init__(self, log: Log, task: str) -> None:
        self._log = log
        self._task = task
        self._levels = {"INFO": log.info, "WARN": log.warning, "ERROR": log.error}

    def __call__(self, level: str, sentence: str) -> None:
        self._levels[level](sentence, self._task)

    def transition(self, before: str, after: str, cause: str, pid: int) -> None:
        """The task's state changed.  pid: its program, 0 for none."""
        self._log.transition(self._task, before, after, cause, pid)

    def configure(self, level: str, form: str) -> None:
        """The daemon's log has another level or format from now on."""
        self._log.configure(level=level, form=form)
