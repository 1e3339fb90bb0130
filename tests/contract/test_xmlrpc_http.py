"""HTTP of XML-RPC on real sockets: what supervisorctl's own reader needs, and clients that are not polite."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import os
import socket
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from efsupervisor.core.web.xmlrpc import doors
from efsupervisor.core.web.xmlrpc.doors import Door
from efsupervisor.core.web.xmlrpc.http import MAX_HEAD, Asked, Connection, RpcServer
from efsupervisor.core.web.xmlrpc.marshal import MAX_BODY
from efsupervisor.errors import EfError
from efsupervisor.reactor import Reactor
from efsupervisor.system import REAL

CALL = b"POST /RPC2 HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\nab"


class Pieces:
    """A stream of these pieces; then it ends."""

    def __init__(self, *pieces: bytes) -> None:
        self.left = list(pieces)
        self.closed = False

    def more(self) -> bytes | None:
        return self.left.pop(0) if self.left else None

    def close(self) -> None:
        self.closed = True


class Server:
    """A server that answers a call with its body, and /stream with pieces."""

    def __init__(self, folder: Path) -> None:
        self.reactor = Reactor(REAL)
        self.rpc = RpcServer(self.reactor, request_s=0.3)
        self.path = str(folder / "s.sock")
        self.asked: list[Asked] = []
        self.pieces = Pieces(b"one", b"", b"two")
        self.rpc.listen(doors.opened(Door(path=self.path)), self.serve)

    def serve(self, asked: Asked, connection: Connection) -> None:
        self.asked.append(asked)
        if asked.path == "/stream":
            connection.stream(self.pieces, 0.01, "text/plain")
        elif asked.path == "/boom":
            raise RuntimeError("boom")
        else:
            connection.reply(asked.body)

    def say(self, data: bytes, *, until: bytes | None = None, turns: int = 400) -> bytes:
        """Send bytes; everything that comes back until the connection ends, or until these bytes have come."""
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(self.path)
            client.setblocking(False)
            came = b""
            for _ in range(turns):
                data = left_to_send(client, data)
                self.reactor.turn(0.005)
                try:
                    piece = client.recv(65536)
                except BlockingIOError:
                    continue
                except ConnectionResetError:
                    break
                came += piece
                if not piece or (until is not None and came.endswith(until)):
                    break
            return came


def left_to_send(client: socket.socket, data: bytes) -> bytes:
    """Send what goes now; what is left.  Nothing when the other end does not listen any more."""
    try:
        return data[client.send(data) :] if data else b""
    except BlockingIOError:
        return data
    except OSError:
        return b""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    found = Server(tmp_path)
    yield found
    found.rpc.close()
    found.reactor.close()


def test_a_connection_carries_many_calls_and_they_are_answered_in_order(server: Server) -> None:
    came = server.say(CALL + b"\r\n" + CALL.replace(b"ab", b"cd"), until=b"cd")
    assert came.count(b"HTTP/1.1 200 OK\r\n") == 2
    assert came.index(b"\r\n\r\nab") < came.index(b"\r\n\r\ncd")


def test_a_client_of_http_1_0_gets_its_answer_and_the_end(server: Server) -> None:
    came = server.say(b"POST /RPC2 HTTP/1.0\r\nContent-Length: 2\r\n\r\nab")
    assert came.endswith(b"\r\nConnection: close\r\n\r\nab")


def test_a_stream_is_chunked_in_small_letters_and_ends_with_the_connection(server: Server) -> None:
    came = server.say(b"GET /stream HTTP/1.1\r\nHost: \r\nAccept-Encoding: chunked\r\n\r\n\r\n")
    assert b"\r\nTransfer-Encoding: chunked\r\n" in came
    assert came.partition(b"\r\n\r\n")[2] == b"3\r\none\r\n3\r\ntwo\r\n"
    assert server.pieces.closed


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"nonsense\r\n\r\n", 400),
        (b"GET http://x/ HTTP/1.1\r\n\r\n", 400),
        (b"GET / HTTP/2\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost : a\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 411),
        (b"POST / HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % (MAX_BODY + 1), 413),
        (b"POST / HTTP/1.1\r\nContent-Length: " + b"9" * 400 + b"\r\n\r\n", 413),
        (b"GET / HTTP/1.1\r\nX: " + b"x" * (MAX_HEAD + 10), 431),
        (b"GET /boom HTTP/1.1\r\n\r\n", 500),
        (b"GET / HT", 408),
        (b"POST / HTTP/1.1\r\nContent-Length: 5\r\n\r\nab", 408),
    ],
)
def test_what_cannot_be_served_is_refused_and_the_connection_ends(server: Server, data: bytes, status: int) -> None:
    assert server.say(data).startswith(b"HTTP/1.1 %d " % status)
    assert server.say(CALL, until=b"ab").endswith(b"ab")


def test_the_socket_has_its_mode_and_is_made_anew_after_a_death(tmp_path: Path) -> None:
    door = Door(path=str(tmp_path / "s.sock"), mode=0o770)
    left = doors.opened(door)
    assert stat.S_IMODE(os.stat(door.path).st_mode) == 0o770
    with pytest.raises(EfError, match="somebody serves"):
        doors.opened(door)
    left.close()
    doors.opened(door).close()


def test_a_path_may_be_longer_than_an_address_holds(tmp_path: Path) -> None:
    folder = tmp_path / ("d" * 120)
    folder.mkdir()
    with contextlib.closing(doors.opened(Door(path=str(folder / "s.sock")))), socket.socket(socket.AF_UNIX) as client:
        directory = os.open(folder, os.O_PATH)
        client.connect(f"/proc/self/fd/{directory}/s.sock")
        os.close(directory)


def basic(text: str) -> str:
    return "Basic " + base64.b64encode(text.encode()).decode()


@pytest.mark.parametrize("known", ["open sesame", "{SHA}" + hashlib.sha1(b"open sesame").hexdigest()])
def test_only_the_right_user_and_password_pass(known: str) -> None:
    door = Door(path="/x", user="admin", password=known)
    assert doors.admits(door, basic("admin:open sesame"))
    others = [basic(text) for text in ("admin:", "admin", "Admin:open sesame", "admin:open sesame ", f"admin:{known}x")]
    for wrong in ("", "Basic", "Basic !!!", "Bearer x", *others):
        assert not doors.admits(door, wrong)
    assert doors.admits(Door(path="/x"), "")
