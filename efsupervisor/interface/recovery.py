"""Recovery: try a task's command on one given event beside the live task.

A second instance is an ordinary task of its own with the same command, a job whose only input is its own queue, in no flow.  It is added, given the
event, started, waited for, read and removed by the same requests that anybody may make; the live task is never touched.  Its name is made from the
call's id, so a call that is repeated after a crash of the middle interface finds it and goes on.
"""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from efsupervisor.interface.stdin import Event, EventBytes
from efsupervisor.interface.verb import Names, TaskName, Verb
from efsupervisor.states import Role


class RecoveryRun(Verb, frozen=True, kw_only=True):
    """Run a second instance of a task's command on one event, beside the live task, and tell what it did."""

    name = "recovery.run"
    role = Role.ADMIN
    console = "set recovery"
    command = "recovery"
    positional = ("task", "text")
    changes = True
    endless = True
    task: TaskName
    text: Event = ""
    data: EventBytes = b""
    timeout_s: Annotated[float, Meta(gt=0, le=3600, description="it is stopped after this many seconds")] = 60.0


class RecoveryShow(Verb, frozen=True, kw_only=True):
    """Show recoveries that are under way."""

    name = "recovery.show"
    console = "shw recovery"
    command = "recoveries"
    positional = ("names",)
    names: Names = []


VERBS = (RecoveryRun, RecoveryShow)
