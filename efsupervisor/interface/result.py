"""Results: the last lines that tasks wrote to stdout, and what became of the posts; asked of the result collector."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from efsupervisor.interface.answers import resolved
from efsupervisor.interface.house import House
from efsupervisor.interface.verb import Names, Verb
from efsupervisor.messages.call import Answer, ResultQuery


class ResultShow(Verb, frozen=True, kw_only=True):
    """Show the last results of tasks, and how many were posted, wait or were dropped."""

    name = "result.show"
    console = "shw result"
    command = "result"
    positional = ("names",)
    names: Names = []
    limit: Annotated[int, Meta(ge=1, le=1000, description="how many of the last for each task")] = 20

    async def run(self, house: House) -> Answer:
        """Results of the named tasks, of all without a name."""
        names = await resolved(house, self.names)
        return await house.collector("result", ResultQuery(id=house.next_id(), names=names, limit=self.limit))


VERBS = (ResultShow,)
