"""Groups: a name that stands for several tasks."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from efsupervisor.conf.schema import GroupSpec
from efsupervisor.interface.answers import chosen, done
from efsupervisor.interface.house import House
from efsupervisor.interface.verb import SomeNames, TaskName, Verb
from efsupervisor.messages.call import Answer, Groups
from efsupervisor.messages.core import DelGroupRequest, GroupsReply, GroupsRequest, SetGroupRequest
from efsupervisor.states import Role


class GroupShow(Verb, frozen=True, kw_only=True):
    """Show groups and their members."""

    name = "group.show"
    console = "shw group"
    command = "group ls"
    positional = ("names",)
    names: Annotated[list[str], Meta(max_length=10_000, description="groups; all without a name")] = []

    async def run(self, house: House) -> Answer:
        """A row for each group that is named."""
        replies = await house.ask(GroupsRequest(id=house.next_id()))
        rows = [row for reply in replies if isinstance(reply, GroupsReply) for row in reply.rows]
        return Groups(rows=chosen(rows, self.names, "group"))


class GroupSet(Verb, frozen=True, kw_only=True):
    """Make or replace an added group."""

    name = "group.set"
    role = Role.ADMIN
    console = "set group"
    command = "group set"
    positional = ("group", "tasks")
    changes = True
    group: Annotated[str, Meta(min_length=1, max_length=256, description="name of the group")]
    tasks: Annotated[list[TaskName], Meta(min_length=1, max_length=10_000, description="tasks, or patterns with `*`")]

    async def run(self, house: House) -> Answer:
        """One outcome."""
        return done(await house.ask(SetGroupRequest(id=house.next_id(), group=GroupSpec(name=self.group, tasks=self.tasks))))


class GroupDel(Verb, frozen=True, kw_only=True):
    """Forget added groups; their tasks stay."""

    name = "group.del"
    role = Role.ADMIN
    console = "del group"
    command = "group del"
    positional = ("names",)
    changes = True
    names: SomeNames

    async def run(self, house: House) -> Answer:
        """One outcome for each group."""
        return done(await house.ask(DelGroupRequest(id=house.next_id(), names=self.names)))


VERBS = (GroupShow, GroupSet, GroupDel)
