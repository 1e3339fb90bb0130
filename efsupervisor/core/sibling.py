"""What every sibling is: a process with one loop, a line to the service host, the settings in force, and signs of life.

The service host forks a sibling and calls its `main(sibling)`, which registers what it wants with `sibling.reactor` and then calls `sibling.run()`.
When `run` returns the sibling gives back what it holds and returns from `main`; the process ends then.

    def main(sibling: Sibling) -> None:
        part = Part(sibling)
        sibling.on_configure(part.configure)
        sibling.on_leave(part.leave)
        sibling.run()
        part.close()

A sign of life leaves the loop itself every `heartbeat_s`, unasked, so a loop that hangs is one that is not heard.  Whoever is not heard in time gets
SIGABRT, which writes its stack into the log, and then SIGKILL; so a callback may never block, sleep or join.  What a callback raises ends the
sibling: the host writes the reason into its row and into the log and forks another.  Siblings are killed at any time, so what must not be lost is on
disk before anybody is told that it is safe.

A sibling ends with its host whatever happens: the kernel kills it when the host dies (`bind_to_parent`; a child that a sibling forks calls it too).
Signals of a terminal or of a whole group do not end siblings: the Core decides, since the answer to `efctl shutdown` goes through one of them.

This module must never know what a sibling is for.
"""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Callable

from efsupervisor.channel import Channel
from efsupervisor.conf.schema import SupervisorSpec
from efsupervisor.core.keeping import until_beat_s
from efsupervisor.core.place import Place
from efsupervisor.log import LEVELS
from efsupervisor.messages import Configure, Health, Leave, Ping, Pong, ToService
from efsupervisor.reactor import Reactor
from efsupervisor.system import REAL, Real

LINGER_S = 0.05
"""How much longer a sibling turns its loop after the word to leave: an answer that is on its way from the Core gets through."""


class Sibling:
    """One sibling, in its own process.

    name, place, system, reactor: for its parts to use.  spec: the settings in force, replaced at each change.  log: an ordinary logger; what any
    library logs goes the same way, to the daemon's log, with the sibling's name.  sock: the line to the host, owned from now on.
    """

    def __init__(self, name: str, place: Place, spec: SupervisorSpec, sock: socket.socket, *, system: Real = REAL) -> None:
        self.name = name
        self.place = place
        self.spec = spec
        self.system = system
        self.reactor = Reactor(system)
        self.log = logging.getLogger(name)
        self.leaving = False
        self._sentence = ""
        self._holds = 0
        self._beats = 0
        self._on_configure: list[Callable[[SupervisorSpec], None]] = []
        self._on_leave: list[Callable[[], None]] = []
        self._line = Channel(sock, self.reactor, ToService, self._told, self._alone)
        self._set_level()

    @property
    def var(self) -> str:
        """The supervisor's folder."""
        return self.place.var

    @property
    def run_dir(self) -> str:
        """Folder of sockets (0700)."""
        return self.place.run_dir

    @property
    def namespace(self) -> str:
        """Identity of the supervisor's folder."""
        return self.place.namespace

    # What a part of the sibling calls ---------------------------------------------------------------------------------------------------------------

    def on_configure(self, callback: Callable[[SupervisorSpec], None]) -> None:
        """Call `callback(spec)` whenever the settings change; `self.spec` is the new one already.  Not called for the first settings."""
        self._on_configure.append(callback)

    def on_leave(self, callback: Callable[[], None]) -> None:
        """Call `callback()` once when the sibling is to end: take nothing new, `hold` while something is to be finished.  Not called when the host
        died."""
        self._on_leave.append(callback)

    def hold(self) -> Callable[[], None]:
        """Work is under way that a leave waits for (but never longer than the host lets it); call what is returned, once, when it is done."""
        self._holds += 1
        released = False

        def release() -> None:
            nonlocal released
            if not released:
                released = True
                self._holds -= 1
                self._end_if_free()

        return release

    def health(self, sentence: str = "") -> None:
        """Say what ails this sibling, for its row in `efctl status --services`; empty: nothing.  Told only when it changes."""
        if sentence != self._sentence:
            self._sentence = sentence
            self._line.send(Health(sentence=sentence))

    def run(self) -> None:
        """Turn the loop until the sibling is told to leave or its host is gone."""
        self._beat()
        if self._line.open:
            self.reactor.run()

    # The line to the host ---------------------------------------------------------------------------------------------------------------------------

    def _beat(self) -> None:
        self.reactor.after(until_beat_s(self.reactor.now, self.spec.heartbeat_s), self._beat)
        self._beats += 1
        self._line.send(Pong(number=self._beats))

    def _told(self, message: object) -> None:
        match message:
            case Configure():
                self.spec = message.spec
                self._set_level()
                for callback in self._on_configure:
                    callback(message.spec)
            case Ping():
                self._line.send(Pong(number=message.number))
            case Leave():
                self._leave()

    def _leave(self) -> None:
        if self.leaving:
            return
        self.leaving = True
        release = self.hold()
        self.reactor.after(LINGER_S, release)
        for callback in self._on_leave:
            callback()

    def _alone(self, _reason: str) -> None:
        self.leaving = True
        self.reactor.stop()

    def _end_if_free(self) -> None:
        if self.leaving and not self._holds:
            self.reactor.stop()

    def _set_level(self) -> None:
        logging.getLogger().setLevel(LEVELS.get(self.spec.log_level, logging.INFO))


def bind_to_parent(parent: int, system: Real = REAL) -> None:
    """In a forked child: die when the parent dies (prctl(2), PR_SET_PDEATHSIG), also when it died before we could say so.  A change of user cancels
    the kernel's promise, so call it after that."""
    system.die_with_parent()
    if os.getppid() != parent:
        os._exit(0)
