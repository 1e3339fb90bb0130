"""Probes: one look at a program from outside: does it take a connection, does it answer, does a command succeed?

Nothing waits: a connection is made without blocking and the loop says when it is there; the request is a few bytes by hand; a command is an errand.
Every probe ends once: with nothing (it is well) or with a sentence, at its time-out at the latest.
"""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Callable

from efsupervisor.conf import endpoint
from efsupervisor.conf.endpoint import Endpoint
from efsupervisor.conf.schema import AliveSpec, ReadySpec
from efsupervisor.reactor import READ, WRITE, Reactor
from efsupervisor.task.errand import Errand, Errands, Outcome
from efsupervisor.task.spawn import Plan

MAX_HEAD = 4096
KINDS = ("tcp", "http", "exec")

Done = Callable[[str], None]


class Call:
    """One connection to an endpoint; with a path the first line of an answer is read as well."""

    def __init__(self, reactor: Reactor, where: Endpoint, timeout_s: float, done: Done) -> None:
        self._reactor = reactor
        self._where = where
        self._done: Done | None = done
        self._head = b""
        self._timer = reactor.after(timeout_s, lambda: self._end(f"no answer within {timeout_s:g} s"))
        self._socket: socket.socket | None = None
        number = self._connect()
        if number in (0, errno.EINPROGRESS):
            reactor.watch(self._open.fileno(), WRITE, self._connected)
        else:
            reactor.defer(lambda: self._end(os.strerror(number)))

    def _connect(self) -> int:
        """The number of the error, 0 for none."""
        where = self._where
        try:
            self._socket = socket.socket(where.family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
        except OSError as error:
            return error.errno or errno.EIO
        return self._socket.connect_ex((where.address, where.port))

    @property
    def _open(self) -> socket.socket:
        assert self._socket is not None
        return self._socket

    def cancel(self) -> None:
        """Nobody wants the result any more."""
        self._done = None
        self._end("")

    def _connected(self, _events: int) -> None:
        number = self._open.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if number:
            self._end(os.strerror(number))
        elif not self._where.path:
            self._end("")
        else:
            self._ask()

    def _ask(self) -> None:
        host = f"[{self._where.host}]" if ":" in self._where.host else self._where.host
        request = f"GET {self._where.path} HTTP/1.1\r\nHost: {host}:{self._where.port}\r\nUser-Agent: efsupervisor\r\nConnection: close\r\n\r\n"
        try:
            self._open.send(request.encode())
        except OSError as error:
            self._end(error.strerror or "the request cannot be sent")
            return
        self._reactor.watch(self._open.fileno(), READ, self._answered)

    def _answered(self, _events: int) -> None:
        try:
            data = self._open.recv(MAX_HEAD)
        except BlockingIOError:
            return
        except OSError as error:
            self._end(error.strerror or "the answer cannot be read")
            return
        self._head += data
        if b"\n" in self._head or not data or len(self._head) >= MAX_HEAD:
            self._end(judged(self._head))

    def _end(self, sentence: str) -> None:
        self._timer.cancel()
        if self._socket is not None and self._socket.fileno() >= 0:
            self._reactor.forget(self._socket.fileno())
            self._socket.close()
        done, self._done = self._done, None
        if done is not None:
            done(f"{self._where.host}:{self._where.port}{self._where.path}: {sentence}" if sentence else "")


def judged(head: bytes) -> str:
    """What the first line of an answer means; empty for a status of 200 to 299."""
    words = head.partition(b"\n")[0].split()
    if not head:
        return "closed without an answer"
    if len(words) < 2 or not words[0].startswith(b"HTTP/1.") or len(words[1]) != 3 or not words[1].isdigit():
        return "the answer is not HTTP"
    return "" if words[1].startswith(b"2") else f"status {words[1].decode()}"


class Round:
    """One look with several probes at once; `done` is called with {kind: sentence} when the last has ended."""

    def __init__(
        self,
        reactor: Reactor,
        errands: Errands,
        spec: ReadySpec | AliveSpec,
        kinds: frozenset[str],
        plan: Callable[[], Plan],
        done: Callable[[dict[str, str]], None],
    ) -> None:
        self._errands = errands
        self._results: dict[str, str] = {}
        self._kinds = kinds
        self._done: Callable[[dict[str, str]], None] | None = done
        self._calls: list[Call] = []
        self._errand: Errand | None = None
        for kind, where in (("tcp", endpoint.tcp(spec.tcp)), ("http", endpoint.http(spec.http))):
            if kind in kinds and where is not None:
                self._calls.append(Call(reactor, where, spec.timeout_s, self._ended(kind)))
        if "exec" in kinds:
            ended = self._ended("exec")

            def outcome(result: Outcome) -> None:
                ended("" if result.good else f"{spec.exec[0]}: {result.sentence}")

            self._errand = errands.send(plan(), "probe", spec.timeout_s, outcome)

    def _ended(self, kind: str) -> Done:
        def ended(sentence: str) -> None:
            self._results[kind] = sentence
            if self._kinds <= self._results.keys() and self._done is not None:
                done, self._done = self._done, None
                done(self._results)

        return ended

    def cancel(self) -> None:
        """Nobody wants the results any more."""
        self._done = None
        for call in self._calls:
            call.cancel()
        if self._errand is not None and self._errand.done is not None:
            self._errands.cancel(self._errand)


def kinds_of(spec: ReadySpec | AliveSpec) -> frozenset[str]:
    """The kinds of probes that a section asks for."""
    return frozenset(kind for kind in KINDS if getattr(spec, kind))
