"""A middle interface under test: its process, a Core that does what the test says, and callers at both doors."""

from __future__ import annotations

import os
import selectors
import signal
import socket
import subprocess
import sys
import threading
import uuid
from collections.abc import Callable, Iterable
from pathlib import Path
from types import TracebackType
from typing import Any

import msgspec
import zmq

from efsupervisor.channel import connect, listen
from efsupervisor.messages import (
    MAX_FRAME,
    DoneReply,
    FailedReply,
    Outcome,
    Request,
    ServicesReply,
    ServicesRequest,
    StatusReply,
    StatusRequest,
    TaskStatus,
    VersionReply,
    VersionRequest,
    decode,
    encode,
)
from efsupervisor.messages.call import Answer, Answered, Call, ConsoleCall, FromMiddle, Tasks, joined
from efsupervisor.states import Goal, State
from tests.support.wait import until

ROOT = Path(__file__).parent.parent.parent


class FakeCore:
    """Listens at var/core.sock.  answer(request): the replies; None leaves the request unanswered.  asked: every request, in order."""

    def __init__(self, var: Path, answer: Callable[[Any], Iterable[object] | None]) -> None:
        self.asked: list[Any] = []
        self.answer = answer
        self._listener = listen(str(var), "core.sock")
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._over, self._wake = socket.socketpair()
        self._selector.register(self._over, selectors.EVENT_READ)
        self._clients: set[socket.socket] = set()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._wake.close()
        self._thread.join(10)
        for each in (*self._clients, self._listener, self._over):
            each.close()
        self._selector.close()

    def hang_up(self) -> None:
        """End every connection."""
        for client in list(self._clients):
            client.shutdown(socket.SHUT_RDWR)

    def _run(self) -> None:
        while True:
            for key, _ in self._selector.select():
                if key.fileobj is self._over:
                    return
                if key.fileobj is self._listener:
                    client, _ = self._listener.accept()
                    self._clients.add(client)
                    self._selector.register(client, selectors.EVENT_READ)
                else:
                    self._serve(key.fileobj)  # type: ignore[arg-type]

    def _serve(self, client: socket.socket) -> None:
        frame = client.recv(MAX_FRAME + 1)
        if not frame:
            self._selector.unregister(client)
            self._clients.discard(client)
            client.close()
            return
        request = decode(frame, Request)
        self.asked.append(request)
        for reply in self.answer(request) or ():
            client.send(encode(reply))  # type: ignore[arg-type]


class Door:
    """A connection to middle.sock."""

    def __init__(self, path: str, timeout_s: float = 10.0) -> None:
        self.socket = connect(path)
        self.socket.setblocking(True)
        self.socket.settimeout(timeout_s)

    def send(self, message: object) -> None:
        self.socket.send(encode(message))  # type: ignore[arg-type]

    def receive(self) -> Answered | FailedReply:
        frame = self.socket.recv(MAX_FRAME + 1)
        if not frame:
            raise EOFError("the middle interface hung up")
        return decode(frame, FromMiddle)  # type: ignore[return-value]

    def answer(self, call_id: str) -> Answer | FailedReply:
        """The whole answer to this call; answers to others are passed over."""
        parts: list[Answer] = []
        while True:
            message = self.receive()
            if message.id != call_id:
                continue
            if isinstance(message, FailedReply):
                return message
            parts.append(message.answer)
            if not message.more:
                return joined(parts)

    def call(self, verb: str, fields: object = None, **more: Any) -> Answer | FailedReply:
        """Call and wait for the answer."""
        call_id = more.pop("id", uuid.uuid4().hex)
        self.send(Call(id=call_id, verb=verb, fields=msgspec.Raw(msgspec.json.encode(fields or {})), **more))
        return self.answer(call_id)

    def say(self, line: str, **more: Any) -> list[str]:
        """Say a line of the console language; the lines of the answer."""
        call_id = uuid.uuid4().hex
        self.send(ConsoleCall(id=call_id, line=line, **more))
        answer = self.answer(call_id)
        return answer.lines  # type: ignore[union-attr]

    def is_cut(self) -> bool:
        """The middle interface hangs up; EOF is waited for."""
        try:
            return self.socket.recv(MAX_FRAME + 1) == b""
        except ConnectionResetError:
            return True

    def close(self) -> None:
        self.socket.close()

    def __enter__(self) -> Door:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Dealer:
    """A plain ZeroMQ caller at middle.ipc, with a context of its own."""

    def __init__(self, path: str, kind: int = zmq.DEALER) -> None:
        self.context = zmq.Context()
        self.socket = self.context.socket(kind)
        self.socket.linger = 0
        self.socket.rcvtimeo = 10_000
        self.socket.sndtimeo = 10_000
        folder, name = os.path.split(path)
        self._folder = os.open(folder, os.O_PATH | os.O_DIRECTORY)
        self.socket.connect(f"ipc:///proc/self/fd/{self._folder}/{name}")

    def send(self, message: object) -> None:
        self.socket.send(encode(message))  # type: ignore[arg-type]

    def receive(self) -> Any:
        return decode(self.socket.recv(), FromMiddle)

    def call(self, verb: str, fields: object = None, **more: Any) -> Any:
        """Call and return the first frame of the answer."""
        self.send(Call(id=more.pop("id", uuid.uuid4().hex), verb=verb, fields=msgspec.Raw(msgspec.json.encode(fields or {})), **more))
        return self.receive()

    def close(self) -> None:
        self.socket.close(0)
        self.context.term()
        os.close(self._folder)

    def __enter__(self) -> Dealer:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class MiddleProcess:
    """The process.  var: the supervisor's folder, with `run` in it."""

    def __init__(self, var: Path) -> None:
        self.var = var
        self.run = var / "run"
        self.run.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.sock = str(self.run / "middle.sock")
        self.ipc = str(self.run / "middle.ipc")
        self._errors = (var / "middle.log").open("ab")
        self.process = self._start()

    def _start(self) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "tests.support.middle_process", str(self.var)]
        process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._errors)
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n", self.log
        return process

    @property
    def log(self) -> str:
        """What it logged."""
        return (self.var / "middle.log").read_text(errors="replace")

    def rss(self) -> int:
        """Resident bytes."""
        fields = (Path("/proc") / str(self.process.pid) / "statm").read_text().split()
        return int(fields[1]) * os.sysconf("SC_PAGE_SIZE")

    def door(self, timeout_s: float = 10.0) -> Door:
        return Door(self.sock, timeout_s)

    def dealer(self) -> Dealer:
        return Dealer(self.ipc)

    def kill_and_replace(self) -> None:
        """SIGKILL, and another one in its place, as the service host would have it."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(10)
        self._close_pipes()
        self.process = self._start()

    def logged(self, words: str) -> None:
        """Wait until the log says this."""
        until(lambda: words in self.log, 10, lambda: f"the log says {words!r}:\n{self.log}")

    def _close_pipes(self) -> None:
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                pipe.close()

    def close(self) -> None:
        """End it in order; it must end with status 0."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        status = self.process.wait(10)
        self._close_pipes()
        self._errors.close()
        assert status == 0, self.log

    def __enter__(self) -> MiddleProcess:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if kind is None:
            self.close()
        else:
            self.process.kill()
            self.process.wait(10)
            self._close_pipes()
            self._errors.close()


def core(request: Any) -> list[object]:
    """A Core that answers everything."""
    match request:
        case StatusRequest():
            return [StatusReply(id=request.id, tasks=[TaskStatus(name="a", state=State.RUNNING, goal=Goal.ACT)])]
        case VersionRequest():
            return [VersionReply(id=request.id, version="1", pid=os.getpid(), since_wall=1.0)]
        case ServicesRequest():
            return [ServicesReply(id=request.id, rows=[])]
        case _:
            return [DoneReply(id=request.id, outcomes=[Outcome(task="a", ok=True)])]


def works(middle: MiddleProcess) -> None:
    """A good call is answered at both doors."""
    with middle.door() as door:
        assert isinstance(door.call("task.status"), Tasks)
    with middle.dealer() as dealer:
        assert isinstance(dealer.call("task.status").answer, Tasks)
