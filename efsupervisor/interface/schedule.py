"""Schedules: what happens at certain times of the wall clock."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from efsupervisor.conf.schema import ScheduleSpec
from efsupervisor.errors import Code, EfError
from efsupervisor.interface.answers import chosen, done
from efsupervisor.interface.house import House
from efsupervisor.interface.verb import Name, Names, SomeNames, Verb
from efsupervisor.messages.call import Answer, Schedules
from efsupervisor.messages.core import DelScheduleRequest, SchedulesReply, SchedulesRequest, SetScheduleRequest
from efsupervisor.states import Role


class ScheduleShow(Verb, frozen=True, kw_only=True):
    """Show schedules, when each is due and what came of it last."""

    name = "schedule.show"
    console = "shw schedule"
    command = "schedule ls"
    positional = ("names",)
    names: Annotated[list[str], Meta(max_length=10_000, description="schedules; all without a name")] = []

    async def run(self, house: House) -> Answer:
        """A row for each schedule that is named."""
        replies = await house.ask(SchedulesRequest(id=house.next_id()))
        rows = [row for reply in replies if isinstance(reply, SchedulesReply) for row in reply.rows]
        return Schedules(rows=chosen(rows, self.names, "schedule"))


class ScheduleSet(Verb, frozen=True, kw_only=True):
    """Make or replace an added schedule.

    At each time of `cron` it starts the tasks of `act`, stops those of `trm`, runs the flows of `run` to their end, and puts the event `put` into the
    input queue of `task`.
    """

    name = "schedule.set"
    role = Role.ADMIN
    console = "set schedule"
    command = "schedule set"
    positional = ("schedule", "cron")
    aliases = {"run": "flows"}
    changes = True
    schedule: Annotated[str, Meta(min_length=1, max_length=256, description="name of the schedule")]
    cron: Annotated[str, Meta(min_length=1, max_length=256, description="five fields (minute hour day month weekday), or six with seconds first")]
    timezone: Annotated[str, Meta(max_length=128, description="an IANA name such as Asia/Seoul; the machine's when left out")] = ""
    act: Names = []
    trm: Names = []
    task: Annotated[str, Meta(max_length=256, description="whose input queue the event of `put` goes into")] = ""
    put: Annotated[str, Meta(max_length=65_536, description="an event; {time} in it stands for the time that was due")] = ""
    missed: Annotated[Literal["skip", "once", "all"], Meta(description="what becomes of times that passed while no supervisor ran")] = "skip"
    enabled: Annotated[bool, Meta(description="off: it is kept and does nothing")] = True
    flows: Annotated[list[Name], Meta(max_length=1000, description="flows or groups of jobs that are run to their end")] = []
    overlap: Annotated[Literal["forbid", "queue", "replace"], Meta(description="what becomes of a time while the run before is not over")] = "forbid"

    async def run(self, house: House) -> Answer:
        """One outcome."""
        if not (self.act or self.trm or self.task or self.flows):
            raise EfError(f"schedule {self.schedule} would do nothing; say `act`, `trm`, `run`, or `task` with `put`", Code.USAGE)
        if bool(self.task) != bool(self.put):
            raise EfError(f"schedule {self.schedule}: `task` and `put` belong together", Code.USAGE)
        spec = ScheduleSpec(
            name=self.schedule, cron=self.cron, timezone=self.timezone, act=self.act, trm=self.trm, task=self.task, put=self.put,
            missed=self.missed, enabled=self.enabled, run=self.flows, overlap=self.overlap,
        )  # fmt: skip
        return done(await house.ask(SetScheduleRequest(id=house.next_id(), schedule=spec)))


class ScheduleDel(Verb, frozen=True, kw_only=True):
    """Forget added schedules."""

    name = "schedule.del"
    role = Role.ADMIN
    console = "del schedule"
    command = "schedule del"
    positional = ("names",)
    changes = True
    names: SomeNames

    async def run(self, house: House) -> Answer:
        """One outcome for each schedule."""
        return done(await house.ask(DelScheduleRequest(id=house.next_id(), names=self.names)))


VERBS = (ScheduleShow, ScheduleSet, ScheduleDel)
