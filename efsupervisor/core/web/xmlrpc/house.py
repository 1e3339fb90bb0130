"""How a method asks: verbs through the middle interface, and the picture of everything, which several questions share.

A picture is asked for anew when it is older than FRESH_S, so a crowd of pollers costs one question.  What a method changes makes it stale at once.
Waits are those of efsupervisor.interface.house, driven on the listener's loop.
"""

from __future__ import annotations

import functools
import logging
import uuid
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

import msgspec

from efsupervisor.conf.schema import XmlRpcSpec
from efsupervisor.core.dealer import Dealer
from efsupervisor.core.web.xmlrpc.faults import Fault, RpcFault, of_error
from efsupervisor.core.web.xmlrpc.picture import Picture
from efsupervisor.errors import Code, EfError
from efsupervisor.interface.house import Wait
from efsupervisor.messages.call import About, Answer, Call, Specs, Tasks
from efsupervisor.messages.core import TaskDetail
from efsupervisor.reactor import Reactor
from efsupervisor.states import Role
from efsupervisor.system import Real

FRESH_S = 0.05
STATE_S = 0.5
"""How old the knowledge may be that the supervisor runs."""

SPECS_S = 1.0
"""How old the tasks' specs may be while their names are the same."""

USUAL_S = 10.0
A = TypeVar("A")
_log = logging.getLogger("xmlrpc")


class RpcHouse:
    """Shared by every connection of one listener.  mood: RUNNING, or what a client of ours asked for.  log: path of the daemon's own."""

    def __init__(self, reactor: Reactor, dealer: Dealer, system: Real, spec: XmlRpcSpec, log: str) -> None:
        self.reactor = reactor
        self.system = system
        self.spec = spec
        self.log = log
        self.ending = False
        self.reread: list[Any] = []
        self._dealer = dealer
        self._picture: Picture | None = None
        self._details: list[TaskDetail] = []
        self._details_at = float("-inf")
        self._asking: list[tuple[Callable[[Picture], None], Callable[[BaseException], None]]] = []
        self._about: About | None = None

    async def call(self, verb: str, deadline_s: float | None = USUAL_S, **fields: object) -> Answer:
        """One verb's answer.  RpcFault for what it found wrong; deadline_s None: as long as it takes."""
        try:
            return await self.ask(verb, deadline_s, **fields)
        except EfError as error:
            raise of_error(error) from error

    async def ask(self, verb: str, deadline_s: float | None = USUAL_S, **fields: object) -> Answer:
        """The same with our own errors."""
        call = Call(
            id=f"x{uuid.uuid4().hex}", verb=verb, fields=msgspec.Raw(msgspec.json.encode(fields)), deadline_s=deadline_s or 0.0, role=Role.ADMIN,
            on_behalf="xmlrpc",
        )  # fmt: skip
        answer: Answer = await Wait(lambda done, failed: self._dealer.ask(call, done, failed, deadline_s))
        return answer

    def begin(self, verb: str, **fields: object) -> None:
        """Say a verb and wait for nothing; what it finds wrong is in the log."""
        drive(self.ask(verb, None, **fields), lambda _answer: None, lambda error: _log.warning("%s: %s", verb, error))

    async def pause(self, seconds: float) -> None:
        """Let time pass."""

        def begin(done: Callable[[Any], None], _failed: Callable[[BaseException], None]) -> None:
            self.reactor.after(seconds, lambda: done(None))

        await Wait(begin)

    def changed(self) -> None:
        """What was known is stale."""
        self._picture = None
        self._details_at = float("-inf")

    async def about(self) -> About:
        """The Core, which has one pid for as long as it lives."""
        if self._about is None:
            self._about = kept(await self.call("daemon.version"), About)
        return self._about

    # The picture ----------------------------------------------------------------------------------------------------------------------------------

    async def picture(self, age_s: float = FRESH_S) -> Picture:
        """Everything, at most age_s old.  RpcFault when the supervisor cannot be asked, SHUTDOWN_STATE when it is ending."""
        found = self._picture
        if found is None or self.reactor.now - found.taken > age_s:
            try:
                found = await Wait(self._join)
            except EfError as error:
                raise of_error(error) from error
        if found.ending:
            self.ending = True
            raise RpcFault(Fault.SHUTDOWN_STATE)
        return found

    def _join(self, done: Callable[[Any], None], failed: Callable[[BaseException], None]) -> None:
        """One question at a time, for everybody who waits."""
        self._asking.append((done, failed))
        if len(self._asking) == 1:
            drive(self._look(), self._looked, self._not_looked)

    async def _look(self) -> Picture:
        asked_at = self.reactor.now
        tasks = kept(await self.ask("task.status"), Tasks)
        names = {row.name for row in tasks.rows}
        if asked_at - self._details_at > SPECS_S or names != {detail.spec.name for detail in self._details}:
            self._details = kept(await self.ask("task.show"), Specs).rows
            self._details_at = asked_at
        wall = self.system.wall_ns() / 1e9
        return Picture(tasks.rows, self._details, taken=asked_at, wall=wall, ending=tasks.ending)

    def _looked(self, found: Picture) -> None:
        self._picture = found
        waiting, self._asking = self._asking, []
        for done, _failed in waiting:
            done(found)

    def _not_looked(self, error: BaseException) -> None:
        waiting, self._asking = self._asking, []
        for _done, failed in waiting:
            failed(error)


def kept(answer: object, kind: type[A]) -> A:
    """The answer when it is of this kind."""
    if not isinstance(answer, kind):
        raise EfError(f"the supervisor answered with no {kind.__name__}", Code.INTERNAL)
    return answer


def drive(coroutine: Coroutine[Wait, Any, A], done: Callable[[A], None], failed: Callable[[BaseException], None]) -> None:
    """Run a coroutine over its waits; one of the two is called once, perhaps at once.  What comes at once costs no depth of stack."""
    slot: list[tuple[Any, BaseException | None]] = [(None, None)]
    running = False

    def settle(value: Any, error: BaseException | None) -> None:
        slot.append((value, error))
        if not running:
            go()

    def go() -> None:
        nonlocal running
        running = True
        try:
            while slot:
                value, error = slot.pop()
                wait = coroutine.throw(error) if error is not None else coroutine.send(value)
                wait.begin(lambda came: settle(came, None), lambda wrong: settle(None, wrong))
        except StopIteration as end:
            end_with = functools.partial(done, end.value)
        except Exception as error:  # the edge between one call and everybody's loop: whoever drives says it
            end_with = functools.partial(failed, error)
        else:
            running = False
            return
        end_with()

    go()
