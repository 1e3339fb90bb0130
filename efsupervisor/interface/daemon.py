"""The supervisor itself: who runs, what ails it, what happened, its log, its end."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from efsupervisor.interface.answers import difference, done, first
from efsupervisor.interface.house import House
from efsupervisor.interface.task import Lines, Offset
from efsupervisor.interface.verb import Names, Verb
from efsupervisor.messages.call import About, Answer, Events, Piece
from efsupervisor.messages.core import (
    EmitRequest,
    EventRow,
    EventsReply,
    EventsRequest,
    RereadRequest,
    ServicesReply,
    ServicesRequest,
    ShutdownRequest,
    UpgradeRequest,
    VersionReply,
    VersionRequest,
)
from efsupervisor.states import Role, State

LOG = "log/efsupervisord.log"
PIECE = 64 << 10
MAX_EMIT = 32 << 10
LOOK_BACK = 5000
"""Events that are looked at for the last ones of some tasks."""


class DaemonVersion(Verb, frozen=True, kw_only=True):
    """Show the version and pid of the supervisor, its siblings, and what ails it."""

    name = "daemon.version"
    console = "shw version"

    async def run(self, house: House) -> Answer:
        """About the Core and its siblings."""
        version = first(await house.ask(VersionRequest(id=house.next_id())), VersionReply)
        services = first(await house.ask(ServicesRequest(id=house.next_id())), ServicesReply)
        ready = all(row.state is State.RUNNING for row in services.rows if row.state is not State.STOPPED)
        return About(
            version=version.version, pid=version.pid, since=version.since_wall, protocol=version.protocol, services=services.rows,
            ailments=services.ailments, ready=ready,
        )  # fmt: skip


class DaemonServices(DaemonVersion, frozen=True, kw_only=True):
    """Show the supervisor's own helpers: middle interface, web, collectors."""

    name = "daemon.services"
    console = "shw service"
    command = "services"


class DaemonLog(Verb, frozen=True, kw_only=True):
    """Read the supervisor's own log: the last lines, or from an offset on."""

    name = "daemon.log"
    role = Role.ADMIN
    console = "shw daemon"
    lines: Lines = 20
    offset: Offset | None = None

    async def run(self, house: House) -> Answer:
        """One piece of the file; its `next` is where to go on.  After a rotation the offset begins anew."""
        return await house.slowly(lambda: log_piece(f"{house.var}/{LOG}", self.lines, self.offset))


class DaemonEvents(Verb, frozen=True, kw_only=True):
    """Show what happened: transitions of tasks and alerts, oldest first.

    The last ones, or those from number `since` on (the `next` of the answer before); with `wait_s` the answer comes when there is something to tell.
    """

    name = "daemon.events"
    console = "shw event"
    positional = ("names",)
    endless = True
    names: Names = []
    since: Annotated[int, Meta(ge=0, description="number of the first one")] | None = None
    limit: Annotated[int, Meta(ge=1, le=1000, description="at most this many")] = 200
    wait_s: Annotated[float, Meta(ge=0, le=300, description="wait so long for something to tell, in seconds")] = 0.0
    what: Annotated[list[str], Meta(max_length=100, description="kinds: `state`, or those of alerts")] = []

    async def run(self, house: House) -> Answer:
        """Events, and the number to go on with."""
        if self.since is None and not self.wait_s:
            return await self._last(house)
        reply = await self._ask(house, self.since, self.limit)
        return Events(rows=reply.rows, next=reply.next, lost=reply.lost)

    async def _last(self, house: House) -> Events:
        """The newest ones that are meant, of the last LOOK_BACK."""
        end = (await self._ask(house, None, 1)).next
        at, rows = max(0, end - LOOK_BACK), list[EventRow]()
        while at < end:
            reply = await self._ask(house, at, 1000)
            rows = (rows + reply.rows)[-self.limit :]
            if reply.next <= at:
                break
            at = reply.next
        return Events(rows=rows, next=max(at, end))

    async def _ask(self, house: House, since: int | None, limit: int) -> EventsReply:
        request = EventsRequest(id=house.next_id(), since=since, limit=limit, wait_s=self.wait_s, names=self.names, what=self.what)
        return first(await house.ask(request), EventsReply)


class DaemonShutdown(Verb, frozen=True, kw_only=True):
    """Stop every task, then the supervisor."""

    name = "daemon.shutdown"
    role = Role.ADMIN
    changes = True
    endless = True

    async def run(self, house: House) -> Answer:
        """An outcome, when every task is at rest."""
        return done(await house.ask(ShutdownRequest(id=house.next_id())))


class DaemonReload(Verb, frozen=True, kw_only=True):
    """Read the configuration file again and start everything anew: each task is stopped, and those with `autostart` are started again.

    A file that cannot be used changes nothing.  The supervisor itself goes on; `update` restarts only what differs.
    """

    name = "daemon.reload"
    role = Role.ADMIN
    console = "set reload"
    command = "reload"
    changes = True
    endless = True

    async def run(self, house: House) -> Answer:
        """A row for each difference that was applied."""
        return difference(await house.ask(RereadRequest(id=house.next_id(), apply=True, accept_removals=True, restart=True)))


class DaemonUpgrade(Verb, frozen=True, kw_only=True):
    """Replace the running supervisor and its helpers by the installed version; tasks and their events go on, and no pid changes.

    The installed version is tried first.  When it cannot start, or the configuration cannot be used, the running one goes on and this says why.
    """

    name = "daemon.upgrade"
    role = Role.ADMIN
    console = "set upgrade"
    command = "daemon upgrade"
    changes = True
    endless = True

    async def run(self, house: House) -> Answer:
        """An outcome, from the new version."""
        return done(await house.ask(UpgradeRequest(id=house.next_id())))


class DaemonEmit(Verb, frozen=True, kw_only=True):
    """Say something to event listeners that want REMOTE_COMMUNICATION."""

    name = "daemon.emit"
    role = Role.OPERATE
    console = "set event"
    command = "emit"
    positional = ("topic", "text")
    changes = True
    topic: Annotated[str, Meta(min_length=1, max_length=256, description="a word that listeners look for")]
    text: Annotated[str, Meta(max_length=MAX_EMIT, description="what is said")] = ""

    async def run(self, house: House) -> Answer:
        """One outcome."""
        return done(await house.ask(EmitRequest(id=house.next_id(), topic=self.topic, data=self.text.encode())))


VERBS = (DaemonVersion, DaemonServices, DaemonLog, DaemonEvents, DaemonShutdown, DaemonReload, DaemonUpgrade, DaemonEmit)


def log_piece(path: str, lines: int, offset: int | None) -> Piece:
    """The last lines of a file, or what stands at an offset.  Reads PIECE bytes at most; OSError as the kernel gives it."""
    with open(path, "rb") as file:
        end = file.seek(0, 2)
        if offset is not None:
            start = offset if offset <= end else 0  # the file is a new one
            file.seek(start)
            data = file.read(PIECE)
        else:
            start = file.seek(max(0, end - PIECE))
            tail = file.read(PIECE)
            data = last_lines(tail, lines)
            start += len(tail) - len(data)
    return Piece(task="", stream="daemon", offset=start, data=data, next=start + len(data), end=end)


def last_lines(data: bytes, lines: int) -> bytes:
    """The last `lines` lines of a text."""
    kept = data.splitlines(keepends=True)
    return b"".join(kept[len(kept) - lines :]) if lines < len(kept) else data
