"""Instances of a task: how many there are, one restarted after the other, and the pids of what runs."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from efsupervisor.errors import Code, EfError
from efsupervisor.interface.answers import done, first, resolved
from efsupervisor.interface.house import House
from efsupervisor.interface.verb import Names, Verb, WaitDone
from efsupervisor.messages.call import Answer, Done, Text
from efsupervisor.messages.core import (
    ActRequest,
    Outcome,
    RestartRequest,
    ScaleRequest,
    StatusReply,
    StatusRequest,
    VersionReply,
    VersionRequest,
)
from efsupervisor.states import Role

Entry = Annotated[str, Meta(min_length=1, max_length=256, description="a task that has `instances` in the configuration file")]
Count = Annotated[int, Meta(ge=1, le=10_000, description="how many instances there are to be")]


class TaskScale(Verb, frozen=True, kw_only=True):
    """Have another number of instances of a task: more are added and started, fewer are stopped from the highest number down.

    It is saved, until the configuration file says another number than it says now.
    """

    name = "task.scale"
    role = Role.OPERATE
    console = "set scale"
    command = "scale"
    positional = ("task", "instances")
    changes = True
    endless = True
    task: Entry
    instances: Count
    wait: WaitDone = True

    async def run(self, house: House) -> Answer:
        """One outcome for each instance that came or went."""
        scaled = done(await house.ask(ScaleRequest(id=house.next_id(), task=self.task, instances=self.instances)))
        added = [row.task for row in scaled.rows if row.ok and row.sentence == "added"]
        if not added:
            return scaled
        started = done(await house.ask(ActRequest(id=house.next_id(), names=added, wait=self.wait)))
        return Done(rows=[row for row in scaled.rows if row.task not in added] + started.rows)


class TaskPid(Verb, frozen=True, kw_only=True):
    """Show the pids of the programs of tasks, one a line, 0 for none; without a name the supervisor's own."""

    name = "task.pid"
    console = "shw pid"
    command = "pid"
    positional = ("names",)
    names: Names = []

    async def run(self, house: House) -> Answer:
        """Lines; EfError BAD_STATE when the one task that was named does not run."""
        if not self.names:
            return Text(text=f"{first(await house.ask(VersionRequest(id=house.next_id())), VersionReply).pid}\n")
        replies = await house.ask(StatusRequest(id=house.next_id(), names=self.names))
        rows = [row for reply in replies if isinstance(reply, StatusReply) for row in reply.tasks]
        if len(rows) == 1 and not rows[0].pid:
            raise EfError(f"{rows[0].name} is {rows[0].state}: it has no pid", Code.BAD_STATE)
        return Text(text="".join(f"{row.pid}\n" for row in rows))


VERBS = (TaskScale, TaskPid)


async def rolled(house: House, names: list[str], at_once: int) -> Done:
    """Restart the named tasks, so many at once; stops at the first that fails."""
    left, rows = await resolved(house, names), list[Outcome]()
    while left:
        now, left = left[:at_once], left[at_once:]
        rows += done(await house.ask(RestartRequest(id=house.next_id(), names=now))).rows
        failed = next((row.task for row in rows if not row.ok), "")
        if failed:
            return Done(rows=rows + [Outcome(task=name, ok=False, code=Code.BAD_STATE, sentence=f"not restarted: {failed} failed") for name in left])
    return Done(rows=rows)
