"""Standard input: put events into a task's own input queue, and see what its program has not acknowledged yet."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from efsupervisor.errors import Code, EfError
from efsupervisor.interface.answers import done
from efsupervisor.interface.house import House
from efsupervisor.interface.verb import Names, TaskName, Verb
from efsupervisor.messages.call import Answer, Tasks
from efsupervisor.messages.core import PutRequest, StatusReply, StatusRequest
from efsupervisor.states import Role

MAX_EVENT = 96 << 10
"""Bytes of one event that a call can carry: a frame less what surrounds it."""

Event = Annotated[str, Meta(max_length=MAX_EVENT, description="the event, one line")]
EventBytes = Annotated[bytes, Meta(max_length=MAX_EVENT, description="the event as base64, when it is no UTF-8 text")]


class StdinPut(Verb, frozen=True, kw_only=True):
    """Put one event into a task's own input queue.

    It is in the queue, on disk, when this answers.  The same `put_id` again puts nothing: repeat it on a retry.
    """

    name = "stdin.put"
    role = Role.OPERATE
    console = "set stdin"
    positional = ("task", "text")
    changes = True
    task: TaskName
    text: Event = ""
    data: EventBytes = b""
    put_id: Annotated[str, Meta(max_length=200, description="says which put this is; the call's own id when left out")] = ""

    async def run(self, house: House) -> Answer:
        """One outcome, with the offset at which the event lies."""
        request_id = house.next_id()
        event = event_of(self.text, self.data)
        return done(await house.ask(PutRequest(id=request_id, task=self.task, put_id=self.put_id or request_id, data=event)))


class StdinShow(Verb, frozen=True, kw_only=True):
    """Show how many events tasks were given, have acknowledged and still hold."""

    name = "stdin.show"
    console = "shw stdin"
    command = "stdin"
    positional = ("names",)
    names: Names = []

    async def run(self, house: House) -> Answer:
        """Rows of the named tasks, of all without a name."""
        replies = await house.ask(StatusRequest(id=house.next_id(), names=self.names))
        return Tasks(rows=[row for reply in replies if isinstance(reply, StatusReply) for row in reply.tasks])


VERBS = (StdinPut, StdinShow)


def event_of(text: str, data: bytes) -> bytes:
    """The event that was said, as text or as bytes; EfError when it was said in both ways."""
    if text and data:
        raise EfError("an event is said as `text` or as `data`, not as both", Code.USAGE)
    return data or text.encode()
