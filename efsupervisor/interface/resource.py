"""Resources: what the machine and each task's tree of processes use; asked of the resource collector."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from efsupervisor.interface.answers import resolved
from efsupervisor.interface.house import House
from efsupervisor.interface.verb import Names, Verb
from efsupervisor.messages.call import Answer, ResourceQuery


class ResourceShow(Verb, frozen=True, kw_only=True):
    """Show what the machine and tasks use: processor, memory, disk, network, descriptors."""

    name = "resource.show"
    console = "shw resource"
    command = "resource"
    positional = ("names",)
    names: Names = []
    samples: Annotated[int, Meta(ge=1, le=3600, description="how many of the last looks")] = 1

    async def run(self, house: House) -> Answer:
        """Figures of the node and of the named tasks, of all without a name."""
        names = await resolved(house, self.names)
        return await house.collector("resource", ResourceQuery(id=house.next_id(), names=names, samples=self.samples))


VERBS = (ResourceShow,)
