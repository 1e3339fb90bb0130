"""A Core that is only its socket: it answers each request with what a test's function returns, and remembers what was asked."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Self

from efsupervisor import messages
from efsupervisor.channel import listen

CLOSE = object()
"""Returned in place of a reply: end the connection."""

Answer = Callable[[messages.Request], list[object]]


class FakeCore:
    """Listens at folder/core.sock from the beginning of the `with` block to its end, one connection after the other."""

    def __init__(self, folder: Path, answer: Answer) -> None:
        self.path = str(folder / "core.sock")
        self.asked: list[messages.Request] = []
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
        listener = listen(str(self._folder), "core.sock")
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
            request = messages.decode(frame, messages.Request)
            self.asked.append(request)  # type: ignore[arg-type]
            for reply in self._answer(request):  # type: ignore[arg-type]
                if reply is CLOSE:
                    connection.shutdown(socket.SHUT_RDWR)
                    return
                connection.send(reply if isinstance(reply, bytes) else messages.encode(reply))  # type: ignore[arg-type]
