"""The service host: the process that forks the siblings, keeps them alive, and writes down what they log.

The Core forks it, and what the Core may not have - a ZeroMQ library in its memory, a line to each sibling - is here.  It has no thread and no ZeroMQ
context, so it may fork at any time; what all siblings need is imported once, before the first of them, and lies in pages that they share.

Its life: leave the Core behind, take `var/run/services.lock`, fork what is wanted, turn the loop.  The lock is inherited by the siblings, so it is
free only when the last process of a generation is dead: two generations are never bound to the same sockets.  Until then a new host waits, and says
so.

It ends when the Core says Leave: the siblings are told, waited for, and killed when they take too long.  When the Core dies the kernel kills the
host, and when the host dies the kernel kills the siblings; nobody needs to notice anything for that, so it works for a host that is stopped or
hangs, too.

This module must never import what a sibling does: a sibling's code is loaded in the sibling.
"""

from __future__ import annotations

import faulthandler
import fcntl
import gc
import importlib
import itertools
import logging
import os
import resource
import signal
import socket
from collections.abc import Callable

import zmq  # noqa: F401  without a context; in pages that the siblings share

from efsupervisor.channel import Channel
from efsupervisor.conf.schema import SupervisorSpec
from efsupervisor.core.keeper import Born, Keeper
from efsupervisor.core.keeping import Phase, sibling_rhythm, until_beat_s
from efsupervisor.core.place import Place
from efsupervisor.core.sibling import Sibling, bind_to_parent
from efsupervisor.core.sibling_log import Ends, Listener, install, redirect
from efsupervisor.errors import EfError
from efsupervisor.log import Log
from efsupervisor.messages import Configure, Health, Leave, Ping, Pong, ServicesReport, ToService
from efsupervisor.reactor import Reactor
from efsupervisor.system import Real

SIBLINGS: dict[str, str] = {
    "middle": "efsupervisor.core.middle_interface:main",
    "web": "efsupervisor.core.web.monitor:main",
    "resource": "efsupervisor.core.collector.resource:main",
    "result": "efsupervisor.core.collector.result:main",
}
"""Who there is, and where its `main(sibling)` is; in the order in which they are forked."""

LOCK = "services.lock"
LOCK_RETRY_S = 0.05
LOCK_SAID_S = 1.0
"""When a host that waits for the lock begins to say so."""

IGNORED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2)
EXIT_FAILED = 70


def is_wanted(spec: SupervisorSpec, name: str) -> bool:
    """Whether the settings want this sibling.  The middle interface runs whenever siblings do."""
    section = getattr(spec, name, None)
    return spec.services and (section is None or bool(section.enabled))


def run(sock: socket.socket, place: Place, spec: SupervisorSpec, core_pid: int, echo_fd: int, system: Real) -> None:
    """The life of a service host, in a child that has left the Core already.  Returns when it is to end."""
    os.setsid()
    bind_to_parent(core_pid, system)
    system.set_name("efs-host")
    for number in IGNORED:
        signal.signal(number, signal.SIG_IGN)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, set())
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, hard), hard))
    gc.collect()
    gc.freeze()
    Host(sock, place, spec, echo_fd, system).run()


class Host:
    """Owns the line to the Core, the lock, and a Keeper for each sibling."""

    def __init__(self, sock: socket.socket, place: Place, spec: SupervisorSpec, echo_fd: int, system: Real) -> None:
        self._place = place
        self._spec = spec
        self._echo_fd = echo_fd
        self._system = system
        self._log = self._open_log()
        self._reactor = Reactor(system)
        self._leaving = False
        self._reporting = False
        self._beats = 0
        self._lock_fd = -1
        self._locked = False
        self._began = self._reactor.now
        self._listeners: dict[int, Listener] = {}
        self._keepers = {name: self._keeper(name) for name in SIBLINGS}
        self._line = Channel(sock, self._reactor, ToService, self._told, lambda _why: self._reactor.stop())

    def run(self) -> None:
        """Turn the loop until the Core lets us go, or is gone."""
        self._beat()
        self._open_lock()
        if self._line.open:
            self._reactor.run()

    def _keeper(self, name: str) -> Keeper:
        return Keeper(
            name,
            self._reactor,
            self._system,
            fork=lambda: self._fork(name),
            bury=self._bury,
            on_change=self._changed,
            say=self._log_line,
            rhythm=sibling_rhythm(self._spec.heartbeat_s, self._spec.heartbeat_deadline_s),
        )

    def _open_log(self) -> Log:
        return Log(self._place.log, self._system, level=self._spec.log_level, echo_fd=self._echo_fd, form=self._spec.log_format)

    def _log_line(self, sentence: str) -> None:
        self._log.warning(sentence)

    # The lock -------------------------------------------------------------------------------------------------------------------------------------

    def _open_lock(self) -> None:
        try:
            os.makedirs(self._place.run_dir, mode=0o700, exist_ok=True)
            os.chmod(self._place.run_dir, 0o700)
            self._lock_fd = self._system.open(f"{self._place.run_dir}/{LOCK}", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
        except OSError as error:
            self._line.send(Health(sentence=f"{self._place.run_dir} cannot be used: {error.strerror}"))
            self._reactor.after(1.0, self._open_lock)
            return
        self._take_lock()

    def _take_lock(self) -> None:
        try:
            self._system.flock(self._lock_fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if self._reactor.now - self._began > LOCK_SAID_S:
                self._line.send(Health(sentence=f"waits for siblings of an earlier service host to end ({self._place.run_dir}/{LOCK})"))
                self._began = float("inf")
            self._reactor.after(LOCK_RETRY_S, self._take_lock)
            return
        self._locked = True
        self._line.send(Health())
        self._want_what_is_wanted()

    def _want_what_is_wanted(self) -> None:
        for name, keeper in self._keepers.items():
            keeper.want(not self._leaving and is_wanted(self._spec, name), "" if self._leaving else f"{name}: enabled is false")

    # The Core -------------------------------------------------------------------------------------------------------------------------------------

    def _beat(self) -> None:
        self._reactor.after(until_beat_s(self._reactor.now, self._spec.heartbeat_s), self._beat)
        self._beats += 1
        self._line.send(Pong(number=self._beats))

    def _told(self, message: object) -> None:
        match message:
            case Configure():
                self._configure(message)
            case Ping():
                self._line.send(Pong(number=message.number))
            case Leave():
                self._leave()

    def _configure(self, message: Configure) -> None:
        self._spec = message.spec
        self._log.close()
        self._log = self._open_log()
        for listener in self._listeners.values():
            listener.log = self._log
        for keeper in self._keepers.values():
            keeper.rhythm = sibling_rhythm(self._spec.heartbeat_s, self._spec.heartbeat_deadline_s)
            keeper.send(message)
        if self._locked:
            self._want_what_is_wanted()

    def _leave(self) -> None:
        self._leaving = True
        self._want_what_is_wanted()
        self._end_if_alone()

    def _changed(self) -> None:
        if not self._reporting:
            self._reporting = True
            self._reactor.defer(self._report)

    def _report(self) -> None:
        self._reporting = False
        self._line.send(ServicesReport(rows=[keeper.row() for keeper in self._keepers.values()]))
        self._end_if_alone()

    def _end_if_alone(self) -> None:
        if self._leaving and all(keeper.phase is Phase.OFF for keeper in self._keepers.values()):
            self._reactor.stop()

    # Siblings -------------------------------------------------------------------------------------------------------------------------------------

    def _fork(self, name: str) -> Born:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            ends = Ends()
        except OSError:
            ours.close()
            theirs.close()
            raise
        host = self._system.getpid()
        try:
            pid = self._system.fork()
        except OSError:
            ours.close()
            theirs.close()
            ends.close_theirs()
            ends.close_ours()
            raise
        if pid == 0:
            status = EXIT_FAILED
            try:
                status = self._become(name, host, theirs, ends)
            finally:
                os._exit(status)
        theirs.close()
        ends.close_theirs()
        listener = Listener(name, ends, self._reactor, self._log)
        try:
            pidfd = os.pidfd_open(pid)
        except OSError:
            os.kill(pid, signal.SIGKILL)  # our own child, not reaped yet: the number is its
            os.waitpid(pid, 0)
            ours.close()
            listener.close()
            raise
        self._listeners[pid] = listener
        return Born(pid, pidfd, ours)

    def _bury(self, pid: int) -> int | None:
        self._listeners.pop(pid).close()
        return os.waitpid(pid, 0)[1]

    # In the child -----------------------------------------------------------------------------------------------------------------------------------

    def _become(self, name: str, host: int, sock: socket.socket, ends: Ends) -> int:
        """The whole life of a sibling; its exit status.  The host's objects stay referenced below us, so nothing of theirs is closed behind our
        back."""
        bind_to_parent(host, self._system)
        self._system.set_name(f"efs-{name}")
        redirect(ends)
        close_all_but({0, 1, 2, sock.fileno(), ends.their_records.fileno(), self._lock_fd})
        install(ends.their_records)
        resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))
        faulthandler.enable(2)
        sibling = Sibling(name, self._place, self._spec, sock, system=self._system)
        try:
            entry(SIBLINGS[name])(sibling)
        except Exception as error:
            sentence = error.message if isinstance(error, EfError) else f"{type(error).__name__}: {error}"
            logging.getLogger().error("it fails: %s", sentence, exc_info=not isinstance(error, EfError))
            sibling.health(sentence)
            return EXIT_FAILED
        return 0


def entry(where: str) -> Callable[[Sibling], None]:
    """The function that `package.module:name` means."""
    module, _, name = where.partition(":")
    return getattr(importlib.import_module(module), name)  # type: ignore[no-any-return]


def close_all_but(kept: set[int]) -> None:
    """Close every descriptor that is not in `kept`."""
    ordered = sorted(kept)
    for low, high in itertools.pairwise(ordered):
        os.closerange(low + 1, high)
    os.closerange(ordered[-1] + 1, resource.getrlimit(resource.RLIMIT_NOFILE)[0])
