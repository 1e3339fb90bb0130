"""The middle interface: the one sibling that translates what people and programs say into verbs, runs them, and answers.

It has two doors: var/run/middle.sock (SOCK_SEQPACKET, for efctl, which should not have to load ZeroMQ) and var/run/middle.ipc (ZeroMQ, for the web
listener and the collectors).  Both give to one desk.  It alone of the siblings speaks with the Core.

It owns nothing that must survive it: kill it at any time, and callers say again what was not answered, with the same ids.  It never forks, never
touches a task, and never writes the saved state.
"""

from __future__ import annotations

import functools
import os

from efsupervisor import __version__
from efsupervisor.core.control import Client, Control
from efsupervisor.core.descriptors import Descriptors
from efsupervisor.core.middle.collectors import Collectors
from efsupervisor.core.middle.desk import Desk
from efsupervisor.core.middle.house import Means
from efsupervisor.core.middle.link import Link
from efsupervisor.core.middle.pool import Pool
from efsupervisor.core.middle.router import Router
from efsupervisor.core.sibling import Sibling
from efsupervisor.errors import Code, EfError
from efsupervisor.messages import FailedReply
from efsupervisor.messages.call import About, Call, ConsoleCall, ToMiddle

SOCKET = "middle.sock"
CORE_SOCKET = "core.sock"
LOOK_S = 4.0
"""How often the doors are looked at; on the instants at which signs of life leave, so that it costs no wake-up of its own."""

LOST_S = 1.0
PAGES = 256
"""Pages of help that are kept: making one takes milliseconds of a loop that serves everybody."""


def main(sibling: Sibling) -> None:
    """The sibling's whole life."""
    part = MiddleInterface(sibling)
    sibling.run()
    part.close()


@functools.lru_cache(PAGES)
def page(topic: str, language: str) -> str:
    """A page of help."""
    from efsupervisor.help import text  # late on purpose: the texts are for who asks

    return text(topic, language)


class Caller:
    """A connection of middle.sock as the desk sees it."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self.uid = client.uid

    def __str__(self) -> str:
        return str(self._client)

    def begin(self) -> None:
        """A call is under way."""
        self._client.waits_for += 1

    def answer(self, frames: object) -> None:
        """The end of a call."""
        self._client.waits_for -= 1
        self._client.reply(frames)  # type: ignore[arg-type]


class MiddleInterface:
    """Both doors, the desk behind them, and the line to the Core."""

    def __init__(self, sibling: Sibling) -> None:
        self._sibling = sibling
        reactor = sibling.reactor
        self._link = Link(f"{sibling.var}/{CORE_SOCKET}", reactor)
        self._collectors = Collectors(reactor)
        self._pool = Pool(reactor)
        means = Means(sibling.var, reactor, self._link, self._collectors, self._pool, page)
        self._desk = Desk(means, self._about, sibling.log)
        self._callers: dict[Client, Caller] = {}
        uids = frozenset({0, os.geteuid()})
        self._control = Control(
            sibling.run_dir, reactor, sibling.system, sibling.log, Descriptors(), uids, self._serve, self._gone, name=SOCKET, vocabulary=ToMiddle
        )
        self._router = Router(sibling.run_dir, reactor, sibling.system, self._desk, self._collectors, uids, sibling.log)
        self._inode = self._look()
        self._look_after()

    def close(self) -> None:
        """Close both doors and everything behind them."""
        self._control.close()
        self._router.close()
        self._link.close()
        self._pool.close()

    # middle.sock ---------------------------------------------------------------------------------------------------------------------------------

    def _serve(self, client: Client, message: object) -> None:
        if isinstance(message, Call | ConsoleCall):
            caller = self._callers.setdefault(client, Caller(client))
            self._desk.serve(caller, message)
        else:
            client.reply([FailedReply(id=getattr(message, "id", ""), code=Code.BAD_REQUEST, sentence="collectors speak over ZeroMQ, not here")])

    def _gone(self, client: Client) -> None:
        caller = self._callers.pop(client, None)
        if caller is not None:
            self._desk.gone(caller)

    # How it is -----------------------------------------------------------------------------------------------------------------------------------

    def _about(self, error: EfError) -> About:
        """Who answers when the Core does not."""
        return About(version=__version__, pid=self._link.core_pid, since=0.0, ailments=[error.message], ready=False)

    def _look_after(self) -> None:
        """Now and then: are the doors still ours, and is the Core there?"""
        now = self._sibling.reactor.now
        self._sibling.reactor.after(LOOK_S - now % LOOK_S, self._look_after)
        self._router.tidy()
        if self._router.stolen() or self._look() != self._inode:
            self._sibling.log.error("somebody took one of the sockets in %s away; the middle interface begins anew", self._sibling.run_dir)
            self._sibling.reactor.stop()
        lost = self._link.lost_at
        self._sibling.health("the Core cannot be reached" if lost is not None and now - lost > LOST_S else "")

    def _look(self) -> tuple[int, int] | None:
        try:
            about = os.stat(f"{self._sibling.run_dir}/{SOCKET}", follow_symlinks=False)
        except FileNotFoundError:
            return None
        return about.st_dev, about.st_ino
