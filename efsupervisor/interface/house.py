"""What a verb may use: the Core, the collectors, slow work elsewhere, and who asks.

The one awaitable thing is a Wait: a verb's coroutine hands it to its driver, which gives back what came or throws what went wrong.  Whatever is
behind a House - a loop with many callers, or one blocking connection - is not the verb's business.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any, NamedTuple, Protocol, TypeVar

from efsupervisor.messages.call import Answer, ResourceQuery, ResultQuery
from efsupervisor.messages.core import Reply, Request
from efsupervisor.states import Role

T = TypeVar("T")


class Caller(NamedTuple):
    """Who asks.  role: what may be done.  who: for the log, `uid 0 pid 4711` or a user of the web.  language: of texts for people, `en` or `ko`."""

    role: Role
    who: str
    language: str = "en"


class Wait:
    """One thing a verb waits for.  begin(done, failed): the driver calls it once; exactly one of the two is called later, or at once."""

    __slots__ = ("begin",)

    def __init__(self, begin: Callable[[Callable[[Any], None], Callable[[BaseException], None]], None]) -> None:
        self.begin = begin

    def __await__(self) -> Generator[Wait, Any, Any]:
        return (yield self)


class House(Protocol):
    """What the driver lends to a verb."""

    caller: Caller
    var: str
    """The supervisor's folder."""

    async def ask(self, request: Request) -> list[Reply]:
        """Ask the Core: every frame of its answer.  A FailedReply is raised as EfError.  A Core that is replaced meanwhile is asked again (a request
        that changes something carries the call's id, so it happens once); EfError TIMEOUT when the call's deadline has passed."""
        ...

    async def collector(self, name: str, query: ResourceQuery | ResultQuery) -> Answer:
        """Ask a collector (`resource`, `result`).  EfError NOT_RUNNING when it is not there, TIMEOUT when it does not answer."""
        ...

    async def slowly(self, work: Callable[[], T]) -> T:
        """Do blocking work (a large file) where it holds up nobody; what it raises is raised here."""
        ...

    async def pause(self, seconds: float) -> None:
        """Let this much time pass."""
        ...

    def next_id(self) -> str:
        """An id for a request: the call's own id, and for a second request of the same call one that is derived from it."""
        ...

    def help_text(self, topic: str, language: str) -> str:
        """A page of help; the overview for an empty topic.  EfError NO_SUCH_TASK names the nearest topic.  (The help is made from VERBS, so verbs
        cannot import it.)"""
        ...
