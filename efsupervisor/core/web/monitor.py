"""The web monitor: the sibling that keeps the web listener.

It opens the port, forks the listener and listens for its signs of life.  A listener that dies or hangs is replaced, with a growing delay when that
goes on (`core.keeping`).  When the settings of the web change the old listener is told to leave - it finishes what is under way - and a new one is
forked at once; the port stays open all the while, so nobody is refused.  So it is when the certificate on disk is a new one.  When something is wrong
with what is new (a key that does not fit), the old listener serves on, and the row of `web` says what is wrong.

The monitor has no thread and no ZeroMQ context, so it may fork at any time; what the listener needs is imported here, once, and lies in pages that
all listeners share.  It must never serve a request itself.
"""

from __future__ import annotations

import contextlib
import gc
import logging
import os
import signal
import socket
from collections.abc import Callable

from efsupervisor.conf.schema import SupervisorSpec, WebSpec
from efsupervisor.core.keeper import Born, Keeper
from efsupervisor.core.keeping import Phase, Rhythm, sibling_rhythm
from efsupervisor.core.service_host import EXIT_FAILED, LOCK, close_all_but
from efsupervisor.core.sibling import Sibling, bind_to_parent
from efsupervisor.core.sibling_log import SiblingHandler
from efsupervisor.core.web import listener
from efsupervisor.core.web.auth import identity
from efsupervisor.core.web.helper import WebListenerHelper
from efsupervisor.core.web.xmlrpc.doors import Door, opened, wanted
from efsupervisor.errors import EfError
from efsupervisor.messages import Configure

RETRY_S = 1.0
"""Between two tries to open the port, or to find a usable token file."""

DOORS_S = 2.0
"""Between two tries to open a socket of XML-RPC."""

CERTIFICATE_S = 30.0
"""Between two looks whether the certificate is a new one."""

LEAVE_S = 1.5
"""How long a listener may finish what is under way before it is killed."""

NAME = "web listener"


class WebMonitor:
    """Owns the listening socket, and a keeper for each listener that still lives."""

    def __init__(self, sibling: Sibling) -> None:
        self._sibling = sibling
        self._helper = WebListenerHelper(sibling.var, sibling.system)
        self._web = sibling.spec.web
        self._rpc = sibling.spec.xmlrpc
        self._doors: dict[Door, socket.socket] = {}
        self._door_faults: dict[Door, str] = {}
        self._socket: socket.socket | None = None
        self._keeper: Keeper | None = None
        self._former: list[Keeper] = []
        self._release: Callable[[], None] = lambda: None
        self._fault = ""
        self._trying = False
        self._stale = True
        sibling.on_configure(self._configure)
        sibling.on_leave(self._leave)

    def start(self) -> None:
        """Open the port and fork a listener, as soon as both can be."""
        self._try()
        self._watch_certificate(self._certificate())

    def close(self) -> None:
        """Give the port back; a listener that still lives dies with us."""
        if self._socket is not None:
            self._socket.close()
        for sock in self._doors.values():
            sock.close()

    # Beginning ------------------------------------------------------------------------------------------------------------------------------------

    def _try(self) -> None:
        """Everything that must be there, then a listener; what is missing is said, and tried again.  A former listener serves until then."""
        self._trying = False
        if self._sibling.leaving or not self._stale:
            return
        try:
            if self._helper.prepare_tokens():
                self._sibling.log.info("tokens were made: %s", self._helper.token_file)
            self._helper.context(self._web)
            if self._socket is None:
                self._socket = self._helper.listen(self._web)
        except (EfError, OSError) as error:
            self._failed(error.message if isinstance(error, EfError) else f"{self._helper.token_file} cannot be made: {error.strerror}")
            return
        self._open_doors()
        self._fault = ""
        self._stale = False
        self._retire()
        self._sibling.log.info("listens on %s", url_of(self._web, self._socket.getsockname()[1]))
        self._keeper = self._new_keeper()
        self._keeper.want(True)
        self._tell()

    def _failed(self, sentence: str) -> None:
        if sentence != self._fault:
            self._sibling.log.warning("%s", sentence)
        self._fault = sentence
        self._tell()
        if not self._trying:
            self._trying = True
            self._sibling.reactor.after(RETRY_S, self._try)

    def _open_doors(self) -> None:
        """Those of XML-RPC; one that cannot be opened now holds up nothing else."""
        doors = wanted(self._rpc, self._sibling.run_dir)
        for door in [door for door in self._doors if door not in doors]:
            self._doors.pop(door).close()
        self._door_faults.clear()
        for door in [door for door in doors if door not in self._doors]:
            try:
                self._doors[door] = opened(door)
            except EfError as error:
                self._door_faults[door] = error.message
                self._sibling.log.warning("%s", error.message)
            else:
                self._sibling.log.info("XML-RPC listens on %s", door)
        if self._door_faults:
            self._sibling.reactor.after(DOORS_S, self._try_doors)

    def _try_doors(self) -> None:
        """A door that was missing is there now: a listener that has it takes over."""
        if self._sibling.leaving or not self._door_faults:
            return
        before = len(self._doors)
        self._open_doors()
        if len(self._doors) > before:
            self._renew()
        self._tell()

    def _new_keeper(self) -> Keeper:
        return Keeper(
            NAME,
            self._sibling.reactor,
            self._sibling.system,
            fork=self._fork,
            bury=lambda pid: os.waitpid(pid, 0)[1],
            on_change=self._changed,
            say=self._sibling.log.warning,
            rhythm=self._rhythm(self._sibling.spec),
        )

    def _rhythm(self, spec: SupervisorSpec) -> Rhythm:
        return sibling_rhythm(spec.heartbeat_s, spec.heartbeat_deadline_s)._replace(leave=LEAVE_S)

    # Changes --------------------------------------------------------------------------------------------------------------------------------------

    def _configure(self, spec: SupervisorSpec) -> None:
        former = self._web
        if former == spec.web and self._rpc == spec.xmlrpc:
            if self._keeper is not None:
                self._keeper.rhythm = self._rhythm(spec)
                self._keeper.send(Configure(spec=spec))
            return
        if not spec.web.enabled:
            return  # the host's next word is Leave
        self._web, self._rpc = spec.web, spec.xmlrpc
        if (former.host, former.port) != (spec.web.host, spec.web.port) and self._socket is not None:
            self._retire()
            self._socket.close()
            self._socket = None
        self._renew()

    def _renew(self) -> None:
        """Another listener is to take over."""
        self._stale = True
        self._try()

    def _retire(self) -> None:
        """The listener finishes its work and ends."""
        if self._keeper is not None:
            former, self._keeper = self._keeper, None
            self._former.append(former)
            former.want(False, "replaced by one with other settings")

    def _watch_certificate(self, known: object) -> None:
        found = self._certificate()
        if found != known and found and not self._sibling.leaving:
            self._sibling.log.info("the certificate is a new one")
            self._renew()
        self._sibling.reactor.after(CERTIFICATE_S, lambda: self._watch_certificate(found or known))

    def _certificate(self) -> tuple[object, ...]:
        """What differs when certificate or key are new; empty when there are none, or not both just now."""
        try:
            return tuple(identity(os.stat(path)) for path in (self._web.certificate, self._web.key) if path)
        except OSError:
            return ()

    def _leave(self) -> None:
        self._release = self._sibling.hold()
        if self._keeper is not None:
            self._keeper.want(False, "web is ending")
        self._changed()

    def _changed(self) -> None:
        self._former = [each for each in self._former if each.phase is not Phase.OFF]
        self._tell()
        if self._sibling.leaving and not self._former and (self._keeper is None or self._keeper.phase is Phase.OFF):
            self._release()

    def _tell(self) -> None:
        self._sibling.health(self._fault or next(iter(self._door_faults.values()), "") or self._ailment())

    def _ailment(self) -> str:
        keeper = self._keeper
        if keeper is None or keeper.phase in (Phase.STARTING, Phase.RUNNING, Phase.LEAVING, Phase.OFF):
            return keeper.health if keeper is not None else ""
        return f"the listener is being replaced: {keeper.reason}"

    # The listener ---------------------------------------------------------------------------------------------------------------------------------

    def _fork(self) -> Born:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        monitor = self._sibling.system.getpid()
        gc.collect()
        gc.freeze()
        try:
            pid = self._sibling.system.fork()
        except OSError:
            ours.close()
            theirs.close()
            raise
        if pid == 0:
            status = EXIT_FAILED
            try:
                status = self._become(monitor, theirs)
            finally:
                os._exit(status)  # the child must never come back into the monitor's loop, not even with an exception
        theirs.close()
        try:
            return Born(pid, os.pidfd_open(pid), ours)
        except OSError:
            os.kill(pid, signal.SIGKILL)  # our own child, not reaped yet: the number is its
            os.waitpid(pid, 0)
            ours.close()
            raise

    def _become(self, monitor: int, line: socket.socket) -> int:
        """The whole life of a listener; its exit status.  The monitor's objects stay referenced below us, so nothing of theirs is closed behind our
        back."""
        sibling, sock = self._sibling, self._socket
        assert sock is not None
        bind_to_parent(monitor, sibling.system)
        sibling.system.set_name("efs-listener")
        doors = list(self._doors.items())
        close_all_but({0, 1, 2, line.fileno(), sock.fileno(), *(each.fileno() for _door, each in doors), *_inherited(sibling.run_dir)})
        mine = Sibling("listener", sibling.place, sibling.spec, line, system=sibling.system)
        try:
            listener.run(mine, sock, doors)
        except Exception as error:  # the edge of the process: it says why it ends, and ends
            sentence = error.message if isinstance(error, EfError) else f"{type(error).__name__}: {error}"
            logging.getLogger().error("the listener fails: %s", sentence, exc_info=not isinstance(error, EfError))
            mine.health(sentence)
            return EXIT_FAILED
        return 0


def _inherited(run_dir: str) -> set[int]:
    """Descriptors that every process below the service host has: its lock, which is free only when the last of them is dead, and the way of the log
    records."""
    handlers = {each.fileno() for each in logging.getLogger().handlers if isinstance(each, SiblingHandler)}
    locks = set()
    for name in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):
            if os.readlink(f"/proc/self/fd/{name}") == f"{run_dir}/{LOCK}":
                locks.add(int(name))
    return handlers | locks


def url_of(web: WebSpec, port: int) -> str:
    """Where people find it."""
    host = f"[{web.host}]" if ":" in web.host else web.host
    return f"http{'s' if web.certificate else ''}://{host}:{port}{'/api/v1/'}"


def main(sibling: Sibling) -> None:
    """The web sibling."""
    monitor = WebMonitor(sibling)
    monitor.start()
    sibling.run()
    monitor.close()
