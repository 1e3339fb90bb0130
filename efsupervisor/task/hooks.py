"""Hooks: commands before the start, after it, before the stop and after the exit of a program.

A hook is an errand.  Its result goes to whoever waits for it; a failure is an alert, and only that of `before_start` is more (the worker's business).
Each is run at least once for what it is about, and again when a worker was killed while it ran.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from efsupervisor.errors import SpawnFailed
from efsupervisor.task import spawn
from efsupervisor.task.errand import Errand, Errands, Outcome
from efsupervisor.task.seat import Seat

BEFORE_START, AFTER_START, BEFORE_STOP, AFTER_EXIT = "before_start", "after_start", "before_stop", "after_exit"


class Hooks:
    """The hooks of one worker; one runs at a time but for after_start, which nothing waits for."""

    def __init__(self, seat: Seat, errands: Errands) -> None:
        self._seat = seat
        self._errands = errands
        self._awaited: Errand | None = None

    def has(self, name: str) -> bool:
        """Whether there is such a hook."""
        return bool(self._command(name))

    def _command(self, name: str) -> list[str]:
        hooks = self._seat.spec.hooks
        command: list[str] = getattr(hooks, name) if hooks is not None else []
        return command

    def run(self, name: str, incarnation: int, more: Mapping[str, str], then: Callable[[str], None], longest_s: float | None = None) -> None:
        """Run a hook and call `then` with why it failed, or with nothing; at once when there is no such hook.  longest_s: less than its own limit."""
        command, hooks = self._command(name), self._seat.spec.hooks
        if not command or hooks is None:
            then("")
            return

        def ended(outcome: Outcome) -> None:
            self._awaited = None
            sentence = "" if outcome.good else f"hook {name} failed: {outcome.sentence}"
            if sentence:
                self._seat.alert("hook", sentence)
            then(sentence)

        try:
            what = spawn.plan(self._seat.wiring, incarnation, {**more, "EFS_HOOK": name})
        except SpawnFailed as failed:
            ended(Outcome(failed.message))
            return
        timeout_s = hooks.timeout_s if longest_s is None else min(hooks.timeout_s, longest_s)
        errand = self._errands.send(what._replace(argv=list(command)), name, timeout_s, ended)
        if name != AFTER_START and errand is not None and errand.done is not None:
            self._awaited = errand

    def hurry(self, limit_s: float) -> None:
        """Whoever waits for a hook waits at most so long from now on."""
        if self._awaited is not None:
            self._errands.shorten(self._awaited, limit_s)
