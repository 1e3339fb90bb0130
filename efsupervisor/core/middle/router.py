"""The ZeroMQ door of the middle interface: a ROUTER at var/run/middle.ipc for the web listener and the collectors.

A message is one frame of messages.call behind the identity that libzmq gave the connection.  Who speaks is what the kernel says of the connection
(`Peer-Address`), checked again although libzmq refuses other users already at the door (IPC_FILTER_UID): identities are never trusted.  Everything
that is no message is answered with a FailedReply or dropped; sizes and numbers of parts are checked before anything is decoded.

Nothing waits: an answer is an iterator of frames, and the next one is made when the one before is in libzmq's queue, which holds HIGH_WATER frames
for each connection.  Who does not read holds up his own answers, is tried again at RETRY_S, and is forgotten after STUCK_S.  The number of calls and
connections is bounded.

Rules that are not ours: the descriptor tells of changes only, so the socket's events are looked at again after each send and receive;
zmq_getsockopt(3), ZMQ_FD.  ROUTER_MANDATORY tells of a connection that is gone (EHOSTUNREACH), which is how we learn that a caller is.  A bind on a
live path takes it over silently; the service host's lock decides who may bind, and `stolen` notices when somebody did not ask.  This process must
never fork.
"""

from __future__ import annotations

import errno
import logging
import os
from collections import deque
from collections.abc import Iterable, Iterator

import zmq

from efsupervisor.core.middle.collectors import Collectors
from efsupervisor.core.middle.desk import Desk
from efsupervisor.errors import Code, EfError, ProtocolError
from efsupervisor.messages import MAX_FRAME, FailedReply, decode, encode
from efsupervisor.messages.call import Answered, Call, ConsoleCall, Here, ToMiddle
from efsupervisor.reactor import READ, Reactor, Timer
from efsupervisor.system import System

NAME = "middle.ipc"
BURST = 64
BUDGET_S = 0.004
HIGH_WATER = 64
MAX_CALLS = 1024
"""Calls of one connection that may be under way; the web listener speaks for all its clients over one."""
MAX_PEERS = 256
RETRY_S = 0.02
STUCK_S = 10.0
IDLE_S = 60.0
REFUSED_S = 1.0
"""How often refusals are noted."""


class RouterPeer:
    """One connection.  who: uid and pid as the kernel recorded them."""

    def __init__(self, identity: bytes, uid: int, pid: int, router: Router) -> None:
        self.identity = identity
        self.uid = uid
        self.pid = pid
        self.calls = 0
        self.heard_at = router.reactor.now
        self.outbox: deque[Iterator[object]] = deque()
        self.frame: bytes | None = None
        self.stuck_at: float | None = None
        self._router = router
        self._complained_at = -REFUSED_S
        self._unsaid = 0

    def __str__(self) -> str:
        return f"uid {self.uid} pid {self.pid}"

    @property
    def idle(self) -> bool:
        """It waits for nothing."""
        return not (self.calls or self.outbox or self.frame)

    def begin(self) -> None:
        """A call is under way."""
        self.calls += 1

    def answer(self, frames: Iterable[object]) -> None:
        """The end of a call."""
        self.calls -= 1
        self.send(frames)

    def tell(self, message: object) -> None:
        """Something that is no answer to a call."""
        self.send([message])

    def send(self, frames: Iterable[object]) -> None:
        """Send these in order, as fast as the peer reads."""
        self.outbox.append(iter(frames))
        self._router.pump(self)

    def complain(self, sentence: str, log: logging.Logger) -> None:
        """Note what is wrong with a message; once in a while and with a count, for there may be a flood of them."""
        if self._router.reactor.now - self._complained_at < REFUSED_S:
            self._unsaid += 1
            return
        log.warning("%s: %s%s", self, sentence, f" (and {self._unsaid} more since the last such line)" if self._unsaid else "")
        self._complained_at, self._unsaid = self._router.reactor.now, 0

    def next_frame(self) -> bytes | None:
        """The frame that is to leave now; None when there is none."""
        while self.frame is None and self.outbox:
            message = next(self.outbox[0], None)
            if message is None:
                self.outbox.popleft()
            else:
                self.frame = encode(message)  # type: ignore[arg-type]
        return self.frame


class Router:
    """The socket and its peers.  uids: who may speak.  The folder's lock is held by the service host."""

    def __init__(
        self, folder: str, reactor: Reactor, system: System, desk: Desk, collectors: Collectors, uids: frozenset[int], log: logging.Logger
    ) -> None:
        self.reactor = reactor
        self._system = system
        self._desk = desk
        self._collectors = collectors
        self._uids = uids
        self._log = log
        self._peers: dict[bytes, RouterPeer] = {}
        self._again: Timer | None = None
        self._folder = os.open(folder, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        self._context = zmq.Context(io_threads=1)
        self._socket = self._context.socket(zmq.ROUTER)
        self._refused_at = -1.0
        self._monitor = self._socket.get_monitor_socket(zmq.EVENT_ACCEPT_FAILED)
        self._monitor_fd = int(self._monitor.getsockopt(zmq.FD))
        reactor.watch(self._monitor_fd, READ, lambda _events: self._monitored())
        self._bind()
        self._inode = self._look()
        self._fd = int(self._socket.getsockopt(zmq.FD))
        reactor.watch(self._fd, READ, lambda _events: self._ready())
        reactor.defer(self._ready)
        reactor.defer(self._monitored)

    def __len__(self) -> int:
        return len(self._peers)

    def stolen(self) -> bool:
        """The path does not name our socket any more: nobody new can come."""
        return self._look() != self._inode

    def close(self) -> None:
        """Give everything back; unsent answers are dropped."""
        if self._again is not None:
            self._again.cancel()
        self.reactor.forget(self._fd)
        self.reactor.forget(self._monitor_fd)
        self._socket.disable_monitor()
        self._monitor.close(0)
        self._socket.close(0)
        self._context.term()
        os.close(self._folder)

    def tidy(self) -> None:
        """Forget connections that were silent for long and wait for nothing: most of them are gone."""
        for peer in [peer for peer in self._peers.values() if peer.idle and self.reactor.now - peer.heard_at > IDLE_S]:
            self._forget(peer)

    # Binding -------------------------------------------------------------------------------------------------------------------------------------

    def _bind(self) -> None:
        for option, value in _OPTIONS.items():
            self._socket.setsockopt(option, value)
        for uid in sorted(self._uids):
            self._socket.setsockopt(zmq.IPC_FILTER_UID, uid)
        before = os.umask(0o177)
        try:
            self._socket.bind(f"ipc:///proc/self/fd/{self._folder}/{NAME}")
        finally:
            os.umask(before)

    def _look(self) -> tuple[int, int] | None:
        try:
            about = os.stat(NAME, dir_fd=self._folder, follow_symlinks=False)
        except FileNotFoundError:
            return None
        return about.st_dev, about.st_ino

    def _monitored(self) -> None:
        """Connections that libzmq did not let in; noted once in a while, for they may be many."""
        while not self._monitor.closed and int(self._monitor.getsockopt(zmq.EVENTS)) & zmq.POLLIN:
            self._monitor.recv_multipart(zmq.NOBLOCK)
            if self.reactor.now - self._refused_at > REFUSED_S:
                self._refused_at = self.reactor.now
                self._log.warning("refused a connection at %s: of another user, or the system has no descriptor for it", NAME)

    # Receiving -----------------------------------------------------------------------------------------------------------------------------------

    def _ready(self) -> None:
        """Take some messages; between two bursts every other descriptor and timer has its turn."""
        end = self._system.monotonic() + BUDGET_S
        for _ in range(BURST):
            if self._socket.closed:
                return
            if self._system.monotonic() >= end:
                break
            try:
                parts = self._socket.recv_multipart(zmq.NOBLOCK, copy=False)
            except zmq.Again:
                return
            self._received(parts)
        self.reactor.defer(self._ready)

    def _look_again(self) -> None:
        if not self._socket.closed and int(self._socket.getsockopt(zmq.EVENTS)) & zmq.POLLIN:
            self.reactor.defer(self._ready)

    def _received(self, parts: list[zmq.Frame]) -> None:
        peer = self._peer(parts)
        if peer is None:
            return
        peer.heard_at = self.reactor.now
        try:
            message = self._message(parts)
            self._take(peer, message)
        except EfError as error:
            peer.complain(error.message, self._log)
            peer.tell(FailedReply(id="", code=error.code, sentence=error.message))

    def _peer(self, parts: list[zmq.Frame]) -> RouterPeer | None:
        """Who said it; None for somebody who may not speak."""
        identity = parts[0].bytes
        peer = self._peers.get(identity)
        if peer is not None:
            return peer
        uid, pid = address_of(parts[-1])
        if uid not in self._uids:
            self._log.warning("refused a message of uid %d (pid %d)", uid, pid)
            return None
        if len(self._peers) >= MAX_PEERS:
            self._make_room()
        peer = self._peers[identity] = RouterPeer(identity, uid, pid, self)
        return peer

    def _message(self, parts: list[zmq.Frame]) -> object:
        if len(parts) != 2:
            raise ProtocolError(f"a message is one frame, not {len(parts) - 1}")
        if len(parts[1]) > MAX_FRAME:
            raise ProtocolError(f"a frame of {len(parts[1])} bytes is over the limit of {MAX_FRAME}", Code.TOO_LARGE)
        return decode(parts[1].bytes, ToMiddle)

    def _take(self, peer: RouterPeer, message: object) -> None:
        match message:
            case Call() | ConsoleCall():
                if peer.calls >= MAX_CALLS:
                    sentence = f"{MAX_CALLS} calls of this connection are under way already; try again"
                    peer.tell(FailedReply(id=message.id, code=Code.REFUSED, sentence=sentence))
                else:
                    self._desk.serve(peer, message)
            case Here():
                self._collectors.here(peer, message.name)
            case Answered() | FailedReply():
                self._collectors.said(peer, message)

    # Sending -------------------------------------------------------------------------------------------------------------------------------------

    def pump(self, peer: RouterPeer) -> None:
        """Send what the peer takes."""
        while not self._socket.closed and (frame := peer.next_frame()) is not None:
            try:
                self._socket.send_multipart([peer.identity, frame], zmq.NOBLOCK)
            except zmq.Again:
                self._stuck(peer)
                break
            except zmq.ZMQError as error:
                if error.errno != errno.EHOSTUNREACH:
                    raise
                self._forget(peer)
                return
            peer.frame, peer.stuck_at = None, None
        self._look_again()

    def _stuck(self, peer: RouterPeer) -> None:
        """The peer's queue is full: try again soon, but not for ever."""
        peer.stuck_at = peer.stuck_at or self.reactor.now
        if self.reactor.now - peer.stuck_at > STUCK_S:
            self._log.warning("%s does not read its answers; they are dropped", peer)
            self._forget(peer)
        elif self._again is None:
            self._again = self.reactor.after(RETRY_S, self._retry)

    def _retry(self) -> None:
        self._again = None
        for peer in [peer for peer in self._peers.values() if peer.stuck_at is not None]:
            self.pump(peer)

    def _make_room(self) -> None:
        self._forget(min(self._peers.values(), key=lambda peer: (not peer.idle, peer.heard_at)))

    def _forget(self, peer: RouterPeer) -> None:
        if self._peers.pop(peer.identity, None) is not None:
            peer.outbox.clear()
            peer.frame = peer.stuck_at = None
            self._collectors.gone(peer)
            self._desk.gone(peer)


def address_of(frame: zmq.Frame) -> tuple[int, int]:
    """(uid, pid) of whoever sent a frame, as the kernel recorded them; (-1, 0) when it cannot be told.  `localhost:uid:gid:pid`, zmq_msg_gets(3)."""
    try:
        _host, uid, _gid, pid = str(frame.get("Peer-Address")).rsplit(":", 3)
        return int(uid), int(pid)
    except (ValueError, zmq.ZMQError):
        return -1, 0


_OPTIONS: dict[int, int] = {
    zmq.LINGER: 0,
    zmq.SNDHWM: HIGH_WATER,
    zmq.RCVHWM: HIGH_WATER,
    zmq.MAXMSGSIZE: 1 << 20,
    zmq.ROUTER_MANDATORY: 1,
    zmq.HANDSHAKE_IVL: 2000,
    zmq.BACKLOG: 64,
}
