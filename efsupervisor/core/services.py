"""The Core's side of the service host: fork it, watch it, replace it, tell it the settings, and know how its siblings are.

The host is a helper that the Core could live without: tasks notice nothing of its death.  So the Core never waits for it.  It is forked in the first
turn of the loop, in the Core's image; what the host imports - ZeroMQ above all - is never loaded in the Core.

At the end of everything the host is let go last, after the tasks: the answer to whoever asked for the shutdown leaves through one of its siblings.
"""

from __future__ import annotations

import gc
import importlib
import os
import socket
from collections.abc import Callable

import msgspec

from efsupervisor.conf.schema import SupervisorSpec
from efsupervisor.core.descriptors import Descriptors, signals_held
from efsupervisor.core.keeper import Born, Keeper
from efsupervisor.core.keeping import Phase, host_rhythm
from efsupervisor.core.place import Place
from efsupervisor.log import Log
from efsupervisor.messages import MAX_FRAME, Configure, ServiceRow, ServicesReport, encode
from efsupervisor.reactor import Reactor
from efsupervisor.states import State
from efsupervisor.system import Real

HOST = "host"
MODULE = "efsupervisor.core.service_host"
YIELD_S = 0.003
YIELD_MAX_S = 1.0
"""How much later the host is forked for each task that starts: what siblings load would take the processors from them."""

LEAVE_S = 5.0
"""How long the Core's end waits for the host's, whatever happens."""


class Services:
    """Owns the host's process and line.  leave: in a forked child, close what else belongs to the Core alone.  status_of(pid, start_ticks): the
    reaper's memory.  echo_fd: where the foreground's log lines go, -1 for nowhere."""

    def __init__(
        self,
        reactor: Reactor,
        system: Real,
        log: Log,
        descriptors: Descriptors,
        place: Place,
        spec: SupervisorSpec,
        *,
        leave: Callable[[], None],
        status_of: Callable[[int, int], int | None],
    ) -> None:
        self.echo_fd = -1
        self._reactor = reactor
        self._system = system
        self._log = log
        self._descriptors = descriptors
        self._place = place
        self._spec = spec
        self._status_of = status_of
        self._leave_more = leave
        self._ticks = 0
        self._rows: list[ServiceRow] = []
        self._done: Callable[[], None] | None = None
        self._keeper = Keeper(
            HOST,
            reactor,
            system,
            fork=self._fork,
            bury=self._bury,
            on_change=self._changed,
            say=lambda sentence: log.warning(f"service {sentence}"),
            on_message=self._told,
            rhythm=host_rhythm(spec.heartbeat_s, spec.heartbeat_deadline_s),
        )

    def start(self, tasks: int = 0) -> None:
        """Fork the host from the loop, if one is wanted; `tasks` that start now go first."""
        self._reactor.after(min(YIELD_MAX_S, tasks * YIELD_S), self._begin)

    def _begin(self) -> None:
        if self._done is None:
            self._keeper.want(self._spec.services)

    def configure(self, spec: SupervisorSpec) -> None:
        """Other settings are in force: they reach the host, and through it each sibling."""
        self._spec = spec
        self._keeper.rhythm = host_rhythm(spec.heartbeat_s, spec.heartbeat_deadline_s)
        message = Configure(spec=spec)
        if len(encode(message)) > MAX_FRAME:
            self._log.error("the settings are too large to be sent to the service host; its siblings go on with the former ones")
        else:
            self._keeper.send(message)
        if self._done is None:
            self._keeper.want(spec.services, "services is false")

    def rows(self) -> list[ServiceRow]:
        """The host first, then its siblings as it last told."""
        return [self._keeper.row(), *self._rows]

    def ailments(self) -> list[str]:
        """What is wrong with them, in sentences."""
        return [f"{row.name}: {_trouble(row)}" for row in self.rows() if _trouble(row)]

    def leave(self, done: Callable[[], None]) -> None:
        """Let the host go, with all its siblings; `done` is called when they are gone, or have been given up."""
        self._done = done
        self._reactor.after(LEAVE_S, self._finished)
        self._keeper.want(False)
        if self._keeper.phase is Phase.OFF:
            self._finished()

    def resume(self) -> None:
        """The end that `leave` prepared does not come."""
        self._done = None
        self._begin()

    def hurry(self) -> None:
        """No more grace for the host; its siblings die with it."""
        self._keeper.kill()

    def _finished(self) -> None:
        done, self._done = self._done, lambda: None
        if done is not None:
            done()

    # The host -------------------------------------------------------------------------------------------------------------------------------------

    def _changed(self) -> None:
        phase = self._keeper.phase
        if phase in (Phase.OFF, Phase.WAITING):
            now = self._system.wall_ns() / 1e9
            gone = {"state": State.STOPPED, "pid": 0, "since": now, "reason": "its host is gone", "health": ""}
            self._rows = [msgspec.structs.replace(row, **gone) for row in self._rows]
        if phase is Phase.OFF and self._done is not None:
            self._finished()

    def _told(self, message: object) -> None:
        if isinstance(message, ServicesReport):
            self._rows = message.rows

    def _fork(self) -> Born:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        core = self._system.getpid()
        try:
            with signals_held():
                pid = self._system.fork()
                if pid == 0:
                    self._become(core, theirs)
        except OSError:
            ours.close()
            theirs.close()
            raise
        finally:
            if self._system.getpid() != core:
                os._exit(70)  # the child must never come back into the Core's loop, not even with an exception
        theirs.close()
        self._ticks = self._system.start_ticks(pid) or 0
        sock = self._descriptors.lasting_socket(ours)
        try:
            return Born(pid, self._descriptors.lasting(os.pidfd_open(pid)), sock)
        except OSError:
            sock.close()  # the host sees the end of its line, and ends
            raise

    def _become(self, core: int, sock: socket.socket) -> None:
        """The whole life of the host."""
        status = 70
        try:
            self._leave()
            importlib.import_module(MODULE).run(sock, self._place, self._spec, core, self.echo_fd, self._system)
            status = 0
        except Exception as error:
            self._log.error(f"the service host fails: {type(error).__name__}: {error}")
        finally:
            os._exit(status)

    def _leave(self) -> None:
        self._reactor.close()
        self._log.close()
        self._leave_more()
        self._descriptors.abandon()
        self._system.shield(0)
        gc.freeze()

    def _bury(self, pid: int) -> int | None:
        return self._status_of(pid, self._ticks)


def _trouble(row: ServiceRow) -> str:
    if row.health:
        return row.health
    return row.reason or "it keeps ending" if row.state is State.BACKOFF else ""
