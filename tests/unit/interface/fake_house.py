"""A House whose Core is a function: what a verb asks and what it makes of the answers, without a process."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from efsupervisor.errors import Code, EfError
from efsupervisor.interface.house import Caller, Wait
from efsupervisor.interface.verb import Verb
from efsupervisor.messages.call import Answer, ResourceQuery, ResultQuery
from efsupervisor.messages.core import Reply, Request
from efsupervisor.states import Role


class FakeHouse:
    """core(request): the replies, or an EfError that is raised.  asked: every request; paused: every pause, and `on_pause` runs in it."""

    def __init__(self, core: Callable[[Any], list[Reply]], var: str = "/var", on_pause: Callable[[float], None] | None = None) -> None:
        self.caller = Caller(Role.ADMIN, "uid 0 pid 1")
        self.var = var
        self.asked: list[Any] = []
        self.paused: list[float] = []
        self.queries: list[tuple[str, object]] = []
        self._core = core
        self._on_pause = on_pause
        self._ids = 0

    async def ask(self, request: Request) -> list[Reply]:
        self.asked.append(request)
        return self._core(request)

    async def collector(self, name: str, query: ResourceQuery | ResultQuery) -> Answer:
        self.queries.append((name, query))
        raise EfError("not there", Code.NOT_RUNNING)

    async def slowly(self, work: Callable[[], Any]) -> Any:
        return work()

    async def pause(self, seconds: float) -> None:
        self.paused.append(seconds)
        if self._on_pause is not None:
            self._on_pause(seconds)

    def next_id(self) -> str:
        self._ids += 1
        return "call" if self._ids == 1 else f"call.{self._ids}"

    def help_text(self, topic: str, language: str) -> str:
        return f"{topic} in {language}\n"


def run(verb: Verb, house: FakeHouse) -> Answer:
    """The verb's answer; it waits for nothing that the house has not at once."""
    coroutine = verb.run(house)
    try:
        wait = coroutine.send(None)
    except StopIteration as end:
        answer: Answer = end.value
        return answer
    assert not isinstance(wait, Wait), "a fake house leaves nothing to wait for"
    raise AssertionError
