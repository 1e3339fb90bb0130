"""A Core, or a middle interface, that is only its socket: it answers each request with what a test's function returns, and remembers the request."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

from efsupervisor import messages
from efsupervisor.channel import listen
from efsupervisor.messages.call import ToMiddle

CLOSE = object()
"""Returned in place of a reply: end the connection."""

Answer = Callable[[Any], list[object]]


class FakePeer:
    """Listens at folder/name from the beginning of the `with` block to its end, one connection after the other."""

    def __init__(self, folder: Path, name: str, vocabulary: object, answer: Answer) -> None:
        self.path = str(folder / name)
        self.asked: list[Any] = []
        self._name = name
        self._vocabulary = vocabulary
        self.failure: BaseException | None = None
        self._folder = folder
        self._answer = answer
        self._threads: list[threading.Thread] = []
        self._sockets: list[socket.socket] = []

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        assert self.failure is None, self.failure

    def start(self) -> None:
        """Listen."""
        listener = listen(str(self._folder), self._name)
        listener.setblocking(True)
        self._sockets.append(listener)
        self._run(lambda: self._accept(listener))

    def stop(self) -> None:
        """Be dead: connections end, new ones are refused."""
        for sock in list(self._sockets):
            try:
                sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue  # the peer was faster
        for thread in list(self._threads):
            thread.join(10)
            assert not thread.is_alive()
        for sock in self._sockets:
            sock.close()
        self._sockets.clear()
        self._threads.clear()

    def _run(self, work: Callable[[], None]) -> None:
        def guarded() -> None:
            try:
                work()
            except BaseException as error:  # handed to the test by __exit__
                self.failure = error

        thread = threading.Thread(target=guarded, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            self._sockets.append(connection)
            self._run(lambda connection=connection: self._serve(connection))  # type: ignore[misc]

    def _serve(self, connection: socket.socket) -> None:
        while True:
            try:
                frame = connection.recv(messages.MAX_FRAME)
            except OSError:
                return
            if not frame:
                return
            request = messages.decode(frame, self._vocabulary)
            self.asked.append(request)
            for reply in self._answer(request):
                if reply is CLOSE:
                    connection.shutdown(socket.SHUT_RDWR)
                    return
                connection.send(reply if isinstance(reply, bytes) else messages.encode(reply))  # type: ignore[arg-type]


class FakeCore(FakePeer):
    """A Core at folder/core.sock."""

    def __init__(self, folder: Path, answer: Answer) -> None:
        super().__init__(folder, "core.sock", messages.Request, answer)


class FakeMiddle(FakePeer):
    """A middle interface at folder/run/middle.sock."""

    def __init__(self, folder: Path, answer: Answer) -> None:
        (folder / "run").mkdir(exist_ok=True)
        super().__init__(folder / "run", "middle.sock", ToMiddle, answer)

    @property
    def calls(self) -> list[Any]:
        """What was asked but for signs of life."""
        return [call for call in self.asked if not call.id.endswith("sign-of-life")]
