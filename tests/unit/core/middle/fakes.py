"""A clock, a loop and a Core that do what the test says."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from typing import Any

from efsupervisor.core.middle.desk import Desk
from efsupervisor.core.middle.house import Means
from efsupervisor.errors import Code, EfError
from efsupervisor.messages.call import About
from efsupervisor.messages.core import Reply
from efsupervisor.reactor import Timer


class FakeReactor:
    """Time goes on when the test says so."""

    def __init__(self) -> None:
        self.now = 100.0
        self._timers: list[Timer] = []

    def after(self, delay_s: float, callback: Callable[[], None]) -> Timer:
        timer = Timer(self.now + delay_s, callback)
        self._timers.append(timer)
        return timer

    def pass_(self, seconds: float) -> None:
        """Let time pass and run what is due, in order."""
        self.now += seconds
        for timer in sorted(self._timers):
            if timer.deadline <= self.now and timer.callback is not None:
                callback, timer.callback = timer.callback, None
                callback()


class FakeAsk:
    """One request to the Core."""

    def __init__(self, request: Any, done: Callable[[list[Reply]], None], failed: Callable[[BaseException], None], patience_s: float | None) -> None:
        self.request = request
        self.done = done
        self.failed = failed
        self.patience_s = patience_s
        self.sent = True
        self.forgotten = False

    def forget(self) -> None:
        self.forgotten = True


class FakeLink:
    """The line to a Core that answers when the test says so.  connected: whether requests reach it."""

    def __init__(self) -> None:
        self.asked: list[FakeAsk] = []
        self.connected = True
        self.lost_at: float | None = None

    def ask(self, request: Any, done: Any, failed: Any, patience_s: float | None = None) -> FakeAsk:
        ask = FakeAsk(request, done, failed, patience_s)
        ask.sent = self.connected
        self.asked.append(ask)
        return ask


class FakePeer:
    """A caller.  under_way: calls that are not answered yet; frames: what he was sent."""

    def __init__(self, uid: int = 0, pid: int = 7) -> None:
        self.uid = uid
        self.pid = pid
        self.under_way = 0
        self.frames: list[Any] = []

    def __str__(self) -> str:
        return f"uid {self.uid} pid {self.pid}"

    def begin(self) -> None:
        self.under_way += 1

    def answer(self, frames: Iterable[object]) -> None:
        self.under_way -= 1
        self.frames += frames


class FakeCollectors:
    """Collectors that are not there."""

    def ask(self, name: str, query: object, done: object, failed: Callable[[BaseException], None]) -> None:
        failed(EfError(f"no {name}", Code.NOT_RUNNING))


class FakePool:
    """Slow work that is never done."""

    def submit(self, work: object, done: object, failed: object) -> None:
        pass


class Bench:
    """A desk with everything around it faked."""

    def __init__(self) -> None:
        self.reactor = FakeReactor()
        self.link = FakeLink()
        means: Any = Means("/var", self.reactor, self.link, FakeCollectors(), FakePool(), lambda topic, language: f"{topic}/{language}")  # type: ignore[arg-type]
        self.desk = Desk(means, self._about, logging.getLogger("middle"))
        self.peer = FakePeer()

    def _about(self, error: EfError) -> About:
        return About(version="own", pid=0, since=0.0, ailments=[error.message], ready=False)
