"""A House without a middle interface: efctl runs a verb itself, over its own connection to the Core.

The verb is the same code that the middle interface would run, and its requests carry the same ids and the same name of who asks: to the Core they are
the same requests, so that a call which the middle interface had begun before it fell silent is not carried out twice.  What only siblings can do
(figures, results) is refused here.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

import msgspec

from efsupervisor.cli.client import Client
from efsupervisor.cli.line import Clock
from efsupervisor.errors import Code, EfError
from efsupervisor.interface.house import Caller, Wait
from efsupervisor.messages.call import Answer, ResourceQuery, ResultQuery
from efsupervisor.messages.core import Reply, Request

T = TypeVar("T")


class CoreHouse:
    """Lends a verb the Core and nothing else.  patient: its requests may take as long as the Core gives signs of life."""

    def __init__(self, client: Client, var: str, caller: Caller, call_id: str, *, patient: bool, clock: Clock | None = None) -> None:
        self.caller = caller
        self.var = var
        self._client = client
        self._call_id = call_id
        self._patient = patient
        self._clock = clock or Clock()
        self._asked = 0

    async def ask(self, request: Request) -> list[Reply]:
        """Ask the Core and wait for its whole answer."""
        return self._client.ask(msgspec.structs.replace(request, asked_by=self.caller.who), waits=self._patient)

    async def collector(self, name: str, query: ResourceQuery | ResultQuery) -> Answer:
        """No collector can be reached from here; a supervisor that does not run at all is said as that."""
        del query
        self._client.version()
        raise EfError(
            f"the {name} collector cannot be asked: the middle interface does not answer; `efctl services` tells what ails it", Code.NOT_RUNNING
        )

    async def slowly(self, work: Callable[[], T]) -> T:
        """Nobody else is held up here."""
        return work()

    async def pause(self, seconds: float) -> None:
        """Let this much time pass."""
        self._clock.wait(seconds)

    def help_text(self, topic: str, language: str) -> str:
        """A page of help."""
        from efsupervisor import help as pages  # late on purpose: it is made from every verb, and few lines ask for it

        return pages.text(topic, language)

    def next_id(self) -> str:
        """The call's own id first, then ones that are derived from it."""
        self._asked += 1
        return self._call_id if self._asked == 1 else f"{self._call_id}.{self._asked}"


def drive(coroutine: Coroutine[Wait, Any, T]) -> T:
    """Run a verb to its end.  A Wait that is not over at once would never be: nothing else happens here meanwhile."""
    value: Any = None
    error: BaseException | None = None
    while True:
        try:
            wait = coroutine.throw(error) if error is not None else coroutine.send(value)
        except StopIteration as end:
            result: T = end.value
            return result
        value, error = _outcome(wait)


def _outcome(wait: Wait) -> tuple[Any, BaseException | None]:
    came: list[Any] = []
    wrong: list[BaseException] = []
    wait.begin(came.append, wrong.append)
    if wrong:
        return None, wrong[0]
    if not came:
        return None, EfError("this command needs the middle interface, and it does not answer", Code.NOT_RUNNING)
    return came[0], None
