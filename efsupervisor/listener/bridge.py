"""The process between one listener and its pool: the program of a task of type `eventlistener`, and the listener's parent.

It is started as `python -c ... ORDER`, an order as JSON.  It asks the Core for what happens (a long poll on core.sock), keeps the pool's file, gives
the listener one event at a time, and ends as the listener ends.  What the listener writes to stdout is copied to ours, so it is in the task's log.

A Core that is away is waited for; a listener that breaks the protocol is told in the log and gets nothing more.  The bridge runs as the supervisor's
user, for the control socket is his alone, and gives the listener the user that the task says before it is executed.

It must never decide whether the listener is restarted: that is the worker's business.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import uuid
from collections import deque

import msgspec

from efsupervisor.channel import Channel, connect
from efsupervisor.listener import kinds, sources
from efsupervisor.listener.pool import Kept, Pool, Waiting
from efsupervisor.listener.talk import Ear, Mood, Said, envelope
from efsupervisor.messages import EventsReply, EventsRequest, FailedReply, NoteRequest, Reply, SpecsReply, SpecsRequest, StatusReply, StatusRequest
from efsupervisor.messages.core import TaskDetail, TaskStatus
from efsupervisor.reactor import READ, WRITE, Reactor
from efsupervisor.system import REAL

POLL_S = 30.0
RETRY_S = 0.5
LOOK_S = 0.5
"""Between two looks at logs that are followed."""

SLACK_S = 0.01
IDLE_S = 3600.0

FORWARDED = (signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2, signal.SIGWINCH)
"""Signals for the listener that only we get, whatever the task says."""

STOPPING = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT)


class Order(msgspec.Struct):
    """What a bridge is to do.  var: the supervisor's folder.  member: the task.  uid -1: no other user.  tree: a stop signal goes to the task's whole
    tree, so the listener gets it without us; else we hand it on."""

    var: str
    member: str
    pool: str
    server: str
    command: list[str]
    events: list[str]
    buffer_size: int = 10
    uid: int = -1
    gid: int = -1
    groups: list[int] = []
    tree: bool = True


class Bridge:
    """One listener's life; `run` returns its exit status, or ends as it ended."""

    def __init__(self, order: Order) -> None:
        self._order = order
        self._wanted = kinds.subscribed(order.events)
        self._reactor = Reactor(REAL)
        self._pool = Pool(f"{order.var}/listeners/{order.pool.replace('/', '_')}", order.pool, order.buffer_size, self._say)
        self._ear = Ear()
        self._core: Channel | None = None
        self._names: sources.Names = {}
        self._details: list[TaskDetail] = []
        self._coming: list[TaskDetail] = []
        self._rows: dict[str, TaskStatus] = {}
        self._out: deque[bytes] = deque()
        self._asked = ""
        self._first = False
        self._note = ""
        self._status = 0
        self._timer = self._reactor.after(IDLE_S, self._look)
        self._child = self._start()
        with self._pool.opened() as kept:
            self._pool.give_back(kept, order.member)  # the one that was in the hands of the listener before this one

    def run(self) -> int:
        """Until the listener ends."""
        self._reactor.on_signals([*FORWARDED, *STOPPING], self._signalled)
        assert self._child.stdin is not None and self._child.stdout is not None
        os.set_blocking(self._child.stdout.fileno(), False)
        os.set_blocking(self._child.stdin.fileno(), False)
        self._reactor.watch(self._child.stdout.fileno(), READ, self._spoke)
        pidfd = os.pidfd_open(self._child.pid)
        self._reactor.watch(pidfd, READ, lambda _events: self._ended())
        self._connect()
        self._timer.cancel()
        self._look()
        self._reactor.run()
        return self._status

    # The listener ---------------------------------------------------------------------------------------------------------------------------------

    def _start(self) -> subprocess.Popen[bytes]:
        order = self._order
        who = {"user": order.uid, "group": order.gid, "extra_groups": order.groups} if order.uid >= 0 else {}
        return subprocess.Popen(  # type: ignore[call-overload, no-any-return]
            order.command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0, preexec_fn=REAL.die_with_parent, **who
        )

    def _spoke(self, _events: int) -> None:
        assert self._child.stdout is not None
        try:
            data = os.read(self._child.stdout.fileno(), 65536)
        except BlockingIOError:
            return
        if not data:
            self._reactor.forget(self._child.stdout.fileno())
            return
        with contextlib.suppress(OSError):
            os.write(1, data)
        for said in self._ear.heard(data):
            self._understood(said, data)
        self._serve()

    def _understood(self, said: Said, data: bytes) -> None:
        with self._pool.opened() as kept:
            match said:
                case Said.OK:
                    self._pool.done(kept, self._order.member)
                case Said.FAIL:
                    self._pool.give_back(kept, self._order.member)
                case Said.NONSENSE:
                    self._pool.give_back(kept, self._order.member)
                    self._say(f"{self._order.member} broke the protocol ({data[:40]!r}): it is UNKNOWN, no more events until it is started anew")

    def _serve(self) -> None:
        """An event for the listener, if it is ready and there is one."""
        if self._ear.mood is not Mood.READY:
            self._tell()
            return
        with self._pool.opened() as kept:
            event = self._pool.take(kept, self._order.member)
        if event is not None:
            self._send(event)
        self._tell()

    def _send(self, event: Waiting) -> None:
        order = self._order
        self._ear.sent()
        self._out.append(envelope(order.server, order.pool, event.serial, event.poolserial, event.name, event.payload))
        self._write()

    def _write(self) -> None:
        assert self._child.stdin is not None
        fd = self._child.stdin.fileno()
        while self._out:
            try:
                sent = os.write(fd, self._out[0])
            except BlockingIOError:
                self._reactor.watch(fd, WRITE, lambda _events: self._write())
                return
            except BrokenPipeError:
                self._out.clear()
                break  # it is ending: its event is given back when the next one is started
            self._out[0] = self._out[0][sent:]
            if not self._out[0]:
                self._out.popleft()
        self._reactor.forget(fd)

    def _ended(self) -> None:
        """As it ended, so do we."""
        status = self._child.wait()
        with self._pool.opened() as kept:
            self._pool.give_back(kept, self._order.member)
        self._reactor.stop()
        if status < 0:
            signal.set_wakeup_fd(-1)
            if -status not in (signal.SIGKILL, signal.SIGSTOP):
                signal.signal(-status, signal.SIG_DFL)
            os.kill(os.getpid(), -status)
        self._status = status if status >= 0 else 128 - status

    def _signalled(self, number: int) -> None:
        if number in FORWARDED or not self._order.tree:
            self._child.send_signal(number)

    # The Core -------------------------------------------------------------------------------------------------------------------------------------

    def _connect(self) -> None:
        try:
            sock: socket.socket = connect(f"{self._order.var}/core.sock")
        except OSError:
            self._reactor.after(RETRY_S, self._connect)
            return
        self._core = Channel(sock, self._reactor, Reply, self._answered, self._parted)
        self._coming = []
        self._core.send(SpecsRequest(id="specs"))
        self._core.send(StatusRequest(id="status"))
        self._poll()

    def _parted(self, _reason: str) -> None:
        self._core = None
        self._note = ""
        self._reactor.after(RETRY_S, self._connect)

    def _poll(self) -> None:
        """Ask for what happens from the pool's cursor on; a new pool asks first whether the supervisor has only just begun."""
        if self._core is None:
            return
        with self._pool.opened() as kept:
            cursor = kept.cursor
        self._asked = uuid.uuid4().hex
        self._first = cursor < 0
        what = [kinds.SUPERVISOR] if self._first else []
        self._core.send(EventsRequest(id=self._asked, since=max(0, cursor), limit=200, wait_s=0.0 if self._first else POLL_S, what=what))

    def _answered(self, message: object) -> None:
        match message:
            case EventsReply() if message.id == self._asked:
                self._happened(message)
                self._poll()
            case SpecsReply():
                self._coming += message.tasks
                if not message.more:
                    self._details, self._coming = self._coming, []
                    self._names = sources.names(self._details)
                    self._timer.cancel()
                    self._look()
            case StatusReply():
                self._rows |= {row.name: row for row in message.tasks}
            case FailedReply() if message.id == self._asked:
                self._reactor.after(RETRY_S, self._poll)

    def _happened(self, reply: EventsReply) -> None:
        with self._pool.opened() as kept:
            if self._first:
                if kept.cursor >= 0:
                    return  # another member was quicker, and may have gone on since
                born = [row for row in reply.rows if row.after == "RUNNING" and row.wall > REAL.wall_ns() / 1e9 - sources.YOUNG_S]
                kept.cursor = born[-1].seq if born else reply.next
                return
            self._pool.add(kept, sources.of_core(kept, reply, self._names, self._wanted, self._say))
        if any(row.what == kinds.GROUP or row.task not in self._names for row in reply.rows) and self._core is not None:
            self._coming = []
            self._core.send(SpecsRequest(id="specs"))
        for row in reply.rows:
            known = self._rows.get(row.task)
            if row.what == kinds.STATE and known is not None:
                self._rows[row.task] = msgspec.structs.replace(known, pid=row.pid)
        self._serve()

    # The clock and the logs -----------------------------------------------------------------------------------------------------------------------

    def _look(self) -> None:
        """Look at what does not tell by itself; a pool that wants nothing of it is not looked at for it."""
        logs = sources.followed(self._details, self._wanted)
        if logs or self._wanted & kinds.TICKS.keys():
            with self._pool.opened() as kept:
                self._add_looked_at(kept, logs)
            self._serve()
        self._timer = self._reactor.after(self._until_next_look(bool(logs)), self._look)

    def _until_next_look(self, logs: bool) -> float:
        """Soon while logs are followed, at the next tick while those are wanted, else when the tasks are others."""
        if logs:
            return LOOK_S
        if not self._wanted & kinds.TICKS.keys():
            return IDLE_S
        now = REAL.wall_ns() / 1e9
        return kinds.FIRST_TICK_S - now % kinds.FIRST_TICK_S + SLACK_S

    def _add_looked_at(self, kept: Kept, logs: list[sources.Followed]) -> None:
        self._pool.add(kept, sources.of_clock(kept, REAL.wall_ns() // 10**9, self._wanted))
        for log in logs:
            self._pool.add(kept, sources.of_log(kept, log, self._rows.get(log.task), self._names, REAL))

    # Telling --------------------------------------------------------------------------------------------------------------------------------------

    def _say(self, sentence: str) -> None:
        with contextlib.suppress(OSError):
            os.write(2, f"efsupervisor: {sentence}\n".encode())

    def _tell(self) -> None:
        """What ails us, for the task's status."""
        with self._pool.opened() as kept:
            waiting, discarded = len(kept.waiting), kept.discarded
        words = [f"{waiting} events wait" if waiting > 1 else "", f"{discarded} discarded" if discarded else ""]
        words.append("it broke the protocol (UNKNOWN)" if self._ear.mood is Mood.UNKNOWN else "")
        note = ", ".join(word for word in words if word)
        if note != self._note and self._core is not None:
            self._note = note
            self._core.send(NoteRequest(id=uuid.uuid4().hex, task=self._order.member, sentence=f"listener: {note}" if note else ""))


def main(text: str) -> None:
    """The whole process."""
    order = msgspec.json.decode(text, type=Order)
    try:
        bridge = Bridge(order)
    except OSError as error:
        os.write(2, f"efsupervisor: {order.command[0]} cannot be executed: {error}\n".encode())
        sys.exit(127)
    sys.exit(bridge.run())
