"""XML-RPC in the web listener: from a request at a door to the desk, and logs that are followed.

    POST /RPC2*                     a call
    GET  /logtail/NAME[/CHANNEL]    a process's log as it grows, its last bytes first
    GET  /mainlogtail               the supervisor's own

A page in somebody's browser may send a call, too, and the browser would add the password that it knows: so a request that says another origin than
the Host it was sent to is refused.
"""

from __future__ import annotations

import contextlib
import os
import socket
from urllib.parse import unquote, urlsplit

from efsupervisor.conf.schema import XmlRpcSpec
from efsupervisor.core.dealer import Dealer
from efsupervisor.core.sibling import Sibling
from efsupervisor.core.web.auth import Tries
from efsupervisor.core.web.xmlrpc import logs, marshal
from efsupervisor.core.web.xmlrpc.desk import RpcDesk
from efsupervisor.core.web.xmlrpc.doors import Door, admits
from efsupervisor.core.web.xmlrpc.faults import RpcFault
from efsupervisor.core.web.xmlrpc.house import RpcHouse, drive
from efsupervisor.core.web.xmlrpc.http import Asked, Connection, RpcServer
from efsupervisor.core.web.xmlrpc.methods import log_of
from efsupervisor.errors import EfError
from efsupervisor.journal import Reader
from efsupervisor.system import System
from efsupervisor.task.paths import TaskPaths

RPC, LOGTAIL, MAINLOGTAIL = "/RPC2", "/logtail/", "/mainlogtail"
LAST_BYTES = 1024
"""What of a log is sent before it is followed."""

EVERY_S = 0.1
PIECE = 32 << 10
TEXT = "text/plain;charset=utf-8"
MAX_KNOWN = 256


class XmlRpc:
    """Serves on sockets that were opened by the monitor, until closed."""

    def __init__(self, sibling: Sibling, dealer: Dealer, spec: XmlRpcSpec, doors: list[tuple[Door, socket.socket]]) -> None:
        self._sibling = sibling
        self._house = RpcHouse(sibling.reactor, dealer, sibling.system, spec, sibling.place.log or f"{sibling.var}/log/efsupervisord.log")
        self._desk = RpcDesk(self._house)
        self._tries = Tries()
        self._known: dict[bytes, tuple[str, tuple[object, ...]]] = {}
        self.http = RpcServer(sibling.reactor, sibling.spec.web.request_s)
        for door, sock in doors:
            self.http.listen(sock, lambda asked, connection, door=door: self._serve(door, asked, connection))  # type: ignore[misc]

    def close(self) -> None:
        """Give everything back."""
        self.http.close()

    def leave(self) -> None:
        """The listener is ending: whether the supervisor is, too, a client that asks now is told so."""
        self._house.ending = True
        self.http.stop_listening()

    def _serve(self, door: Door, asked: Asked, connection: Connection) -> None:
        status = self._status(door, asked)
        if status:
            connection.refuse(status, 'WWW-Authenticate: Basic realm="default"\r\n' if status == 401 else "")
        elif asked.path.startswith(RPC):
            self._call(asked, connection)
        elif asked.path.startswith(LOGTAIL):
            self._log_tail(asked.path[len(LOGTAIL) :], connection)
        else:
            self._main_log_tail(connection)

    def _status(self, door: Door, asked: Asked) -> int:
        """A status that refuses the request, 0 for none."""
        authorization = asked.headers.get("authorization", "")
        if door.user:
            now = self._sibling.reactor.now
            if asked.address and self._tries.wait_s(asked.address, authorization, now) > 0.0:
                return 429
            if not admits(door, authorization):
                if asked.address and authorization:
                    self._tries.wrong(asked.address, now)
                return 401
            if asked.address:
                self._tries.right(asked.address, authorization)
        if foreign(asked):
            return 403
        if asked.path.startswith(RPC):
            return 0 if asked.method == "POST" else 405
        known = asked.path.startswith(LOGTAIL) or asked.path == MAINLOGTAIL
        return 404 if not known else 0 if asked.method == "GET" else 405

    # Calls ----------------------------------------------------------------------------------------------------------------------------------------

    def _call(self, asked: Asked, connection: Connection) -> None:
        """Pollers say the same words again and again: a short body that was understood once is remembered."""
        call = self._known.get(asked.body)
        if call is None:
            try:
                call = marshal.call(asked.body)
            except marshal.Unreadable as error:
                self._sibling.log.warning("XML-RPC: a call of %d bytes is refused: %s", len(asked.body), error)
                connection.refuse(400)
                return
            if len(asked.body) < 1024 and all(isinstance(each, str | int | bool) for each in call[1]):
                if len(self._known) >= MAX_KNOWN:
                    self._known.clear()
                self._known[asked.body] = call
        self._desk.serve(call[0], call[1], connection.reply)

    # Logs -----------------------------------------------------------------------------------------------------------------------------------------

    def _log_tail(self, rest: str, connection: Connection) -> None:
        name, _, channel = (unquote(rest) if "%" in rest else rest).partition("/")
        stream = {"": "out", "stdout": "out", "stderr": "err"}.get(channel)

        async def look() -> tuple[str, int]:
            each = (await self._house.picture()).one(name)
            paths = TaskPaths(each.detail.folder)
            if stream is None:
                return "", 0
            log_of(self._house, each, stream)
            folder = paths.out_journal if stream == "out" else paths.err_journal
            reader = Reader(folder, system=self._house.system)
            try:
                return folder, max(reader.first(), reader.end() - LAST_BYTES)
            finally:
                reader.close()

        def found(place: tuple[str, int]) -> None:
            folder, offset = place
            if not folder:
                connection.refuse(404)
                return
            connection.stream(JournalTail(folder, offset, self._house.system), EVERY_S, TEXT)

        def not_found(error: BaseException) -> None:
            if not isinstance(error, RpcFault | EfError | OSError):
                self._sibling.log.error("a log could not be followed", exc_info=error)
            connection.refuse(404)

        drive(look(), found, not_found)

    def _main_log_tail(self, connection: Connection) -> None:
        try:
            tail = FileTail(self._house.log, LAST_BYTES)
        except OSError:
            connection.refuse(404)
            return
        connection.stream(tail, EVERY_S, TEXT)


def foreign(asked: Asked) -> bool:
    """Whether another page than ours sent this."""
    origin = asked.headers.get("origin")
    if origin is not None and urlsplit(origin).netloc.lower() != asked.headers.get("host", "").lower():
        return True
    return asked.headers.get("sec-fetch-site", "none") not in ("none", "same-origin")


class Whole:
    """Whole characters of bytes that come in pieces."""

    def __init__(self) -> None:
        self._rest = b""
        self._begun = False

    def __call__(self, data: bytes) -> bytes:
        """What can be sent now."""
        if not self._begun and data:
            data, self._begun = data[logs.lead(data) :], True
        data = self._rest + data
        end = logs.whole_characters(data)
        data, self._rest = data[:end], data[end:]
        return data.decode("utf-8", "backslashreplace").encode()


class JournalTail:
    """A journal from an offset on."""

    def __init__(self, folder: str, offset: int, system: System) -> None:
        self._reader = Reader(folder, system=system)
        self._offset = offset
        self._whole = Whole()

    def more(self) -> bytes | None:
        """What came; empty for nothing."""
        try:
            self._offset = max(self._offset, self._reader.skip(self._offset))
            data = self._reader.read(self._offset, PIECE)
        except (EfError, OSError):
            return None
        self._offset += len(data)
        return self._whole(data)

    def close(self) -> None:
        """Give the descriptor back."""
        self._reader.close()


class FileTail:
    """An ordinary file, from its last bytes on; a new one of the same name is gone on with.  OSError when there is none."""

    def __init__(self, path: str, last: int) -> None:
        self._path = path
        self._file = open(path, "rb")  # noqa: SIM115  owned until close
        self._file.seek(max(0, os.fstat(self._file.fileno()).st_size - last))
        self._whole = Whole()

    def more(self) -> bytes | None:
        """What came; empty for nothing."""
        data = self._file.read(PIECE)
        if not data:
            with contextlib.suppress(OSError):
                self._follow()
                data = self._file.read(PIECE)
        return self._whole(data)

    def _follow(self) -> None:
        now, there = os.fstat(self._file.fileno()), os.stat(self._path)
        if (now.st_dev, now.st_ino) != (there.st_dev, there.st_ino):
            self._file.close()
            self._file = open(self._path, "rb")  # noqa: SIM115  owned until close
        elif now.st_size < self._file.tell():
            self._file.seek(0)

    def close(self) -> None:
        """Give the descriptor back."""
        self._file.close()
