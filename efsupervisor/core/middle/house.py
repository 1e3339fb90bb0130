"""What the middle interface lends to one verb (see efsupervisor.interface.house): one House for each call.

Only here does a verb's request get its id and the name of who asked, so no verb can forget either.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import NamedTuple, TypeVar

import msgspec

from efsupervisor.core.middle.collectors import Collectors
from efsupervisor.core.middle.link import Ask, Link
from efsupervisor.core.middle.pool import Pool
from efsupervisor.interface.house import Caller, Wait
from efsupervisor.messages.call import Answer, ResourceQuery, ResultQuery
from efsupervisor.messages.core import Reply, Request
from efsupervisor.reactor import Reactor

T = TypeVar("T")

_numbers = itertools.count(1)


class Means(NamedTuple):
    """What every House shares.  help_text(topic, language): a page."""

    var: str
    reactor: Reactor
    link: Link
    collectors: Collectors
    pool: Pool
    help_text: Callable[[str, str], str]


class MiddleHouse:
    """Lends a verb the Core, the collectors, threads and timers.

    call_id: of a call that changes something; others get ids of ours, since several callers may use the same.  patience_s: how long the Core may take
    for each request; None leaves it to the call's deadline.
    """

    def __init__(self, means: Means, caller: Caller, call_id: str = "", patience_s: float | None = None) -> None:
        self.caller = caller
        self.var = means.var
        self._means = means
        self._call_id = call_id
        self._patience_s = patience_s
        self._asked = 0
        self._under_way: Ask | None = None
        self._was_sent = False

    @property
    def passed_on(self) -> bool:
        """Something was said to the Core."""
        return self._was_sent or (self._under_way is not None and self._under_way.sent)

    def forget(self) -> None:
        """The call is over: an answer that is still under way is nobody's."""
        if self._under_way is not None:
            self._under_way.forget()

    async def ask(self, request: Request) -> list[Reply]:
        """Ask the Core; see House."""
        request = msgspec.structs.replace(request, asked_by=self.caller.who)

        def begin(done: Callable[[list[Reply]], None], failed: Callable[[BaseException], None]) -> None:
            self._was_sent = self.passed_on
            self._under_way = self._means.link.ask(request, done, failed, self._patience_s)

        replies: list[Reply] = await Wait(begin)
        return replies

    async def collector(self, name: str, query: ResourceQuery | ResultQuery) -> Answer:
        """Ask a collector; see House."""
        answer: Answer = await Wait(lambda done, failed: self._means.collectors.ask(name, query, done, failed))
        return answer

    async def slowly(self, work: Callable[[], T]) -> T:
        """Do blocking work in a thread; see House."""
        result: T = await Wait(lambda done, failed: self._means.pool.submit(work, done, failed))
        return result

    async def pause(self, seconds: float) -> None:
        """Let this much time pass."""
        await Wait(lambda done, _failed: _void(self._means.reactor.after(seconds, lambda: done(None))))

    def next_id(self) -> str:
        """The call's own id first, then ones that are derived from it; see House."""
        if not self._call_id:
            return f"m{next(_numbers)}"
        self._asked += 1
        return self._call_id if self._asked == 1 else f"{self._call_id}.{self._asked}"

    def help_text(self, topic: str, language: str) -> str:
        """A page of help."""
        return self._means.help_text(topic, language)


def _void(_value: object) -> None:
    """A Wait's begin returns nothing."""
