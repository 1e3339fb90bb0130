"""What supervisord would write into its main log when a task changes: the phrases that people's monitors look for.

    spawned: 'x' with pid 12                                          INFO
    success: x entered RUNNING state, process has stayed up for > than 1 seconds (startsecs)
    exited: x (exit status 0; expected)                               INFO; WARN with `not expected`
    stopped: x (terminated by SIGTERM)                                WARN; INFO when the status is one of `exitcodes`
    waiting for x to stop
    spawnerr: ...
    gave up: x entered FATAL state, too many start retries too quickly

Source: process.py and options.py of supervisord 4.3 (specs of the phrases are in the tests).  Two reports of a worker are compared; several things
may have happened between them.  Pure.
"""

from __future__ import annotations

import os
import signal
from typing import NamedTuple

from efsupervisor.conf.schema import TaskSpec
from efsupervisor.messages import Report
from efsupervisor.states import State


class Phrase(NamedTuple):
    """One line.  level: `critical`, `warn` or `info`."""

    level: str
    text: str


def phrases(before: Report | None, after: Report, spec: TaskSpec) -> list[Phrase]:
    """What happened between two reports.  before None: nothing was known of the task; a program that runs already was taken over, and is no news."""
    name = spec.process_name or spec.name
    if before is None:
        if after.pid and after.state is not State.STARTING:
            return []
        before = Report(state=State.STOPPED, goal=after.goal)
    found: list[Phrase] = []
    another = (after.pid, after.incarnation) != (before.pid, before.incarnation)
    if before.pid and another:
        found.append(_ended(name, before.state, after, spec))
    if after.pid and another:
        found.append(Phrase("info", f"spawned: '{name}' with pid {after.pid}"))
    entered = after.state is not before.state or another
    if after.state is State.RUNNING and entered and after.pid:
        seconds = f"{spec.startsecs:g}"
        found.append(
            Phrase("info", f"success: {name} entered RUNNING state, process has stayed up for > than {seconds} seconds (startsecs)")
        )
    if after.state is not before.state:
        found += _entered(name, after)
    return found


def _entered(name: str, after: Report) -> list[Phrase]:
    if after.state is State.STOPPING:
        return [Phrase("info", f"waiting for {name} to stop")]
    failed = [Phrase("info", f"spawnerr: {after.reason}")] if "cannot be executed" in after.reason or "start-up failed" in after.reason else []
    if after.state is State.FATAL:
        return [*failed, Phrase("info", f"gave up: {name} entered FATAL state, too many start retries too quickly")]
    return failed if after.state is State.BACKOFF else []


def _ended(name: str, state: State, after: Report, spec: TaskSpec) -> Phrase:
    status = after.exit_status if after.exit_known else None
    code, words = decoded(status)
    expected = code in spec.exitcodes
    if state is State.STOPPING or after.state is State.STOPPED:
        return Phrase("info" if expected else "warn", f"stopped: {name} ({words})")
    if state is State.RUNNING and expected:
        return Phrase("info", f"exited: {name} ({words}; expected)")
    return Phrase("warn", f"exited: {name} ({words}; not expected)")


def decoded(status: int | None) -> tuple[int, str]:
    """Exit code and words of a wait status; the code is -1 after a signal, as supervisord has it, and when nobody knows."""
    if status is None:
        return -1, "unknown termination cause"
    if os.WIFEXITED(status):
        return os.WEXITSTATUS(status), f"exit status {os.WEXITSTATUS(status)}"
    number = os.WTERMSIG(status)
    try:
        name = signal.Signals(number).name
    except ValueError:
        name = f"signal {number}"
    return -1, f"terminated by {name}" + (" (core dumped)" if os.WCOREDUMP(status) else "")
