"""Both doors of the middle interface: what is no call is answered or its sender is cut, thousands of times, in flat memory; strangers are refused."""

from __future__ import annotations

import os
import socket
import stat
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import zmq

from efsupervisor.channel import connect
from efsupervisor.errors import Code
from efsupervisor.messages import MAX_FRAME, FailedReply, StatusRequest, encode
from efsupervisor.messages.call import Call, ConsoleCall, Tasks
from tests.support.middle import FakeCore, MiddleProcess, core, works
from tests.support.wait import until

MIB = 1 << 20
FLAT = 32 * MIB
NOBODY = 65534


@pytest.fixture(scope="module")
def middle(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MiddleProcess]:
    """One middle interface for all tests of this file: what one of them does must not harm the next."""
    var = tmp_path_factory.mktemp("middle")
    fake = FakeCore(var, core)
    with MiddleProcess(var) as process:
        yield process
    fake.close()


def body(text: str | bytes) -> bytes:
    return b"\x01" + (text.encode() if isinstance(text, str) else text)


MALFORMED: dict[str, bytes] = {
    "empty": b"",
    "a list": body("[]"),
    "null": body("null"),
    "a number": body("1"),
    "another protocol's command": body('{"command":1}'),
    "no kind": body("{}"),
    "an unknown kind": body('{"kind":"Nonsense","id":"1"}'),
    "a message of another vocabulary": encode(StatusRequest(id="1")),
    "no protocol version": b'{"kind":"Call","id":"1","verb":"act"}',
    "another protocol version": b"\x02" + encode(Call(id="1", verb="act"))[1:],
    "bytes that are no text": body(b"\xff\xfe"),
    "a lone surrogate": body(b'{"kind":"Call","id":"\\ud800","verb":"act"}'),
    "deep nesting": body('{"kind":"Call","id":"1","verb":"act","fields":' + "[" * 60_000),
    "deep nesting that ends": body('{"kind":"Call","id":"1","verb":"act","x":' + "[" * 30_000 + "]" * 30_000 + "}"),
    "not a number": body('{"kind":"Call","id":"1","verb":"act","deadline_s":NaN}'),
    "deep nesting in fields": body('{"kind":"Call","id":"1","verb":"act","fields":{"names":' + "[" * 10_000 + "]" * 10_000 + "}}"),
    "an endless number": body('{"kind":"Call","id":"1","verb":"act","deadline_s":' + "9" * 100_000 + "}"),
    "a wrong type": body('{"kind":"Call","id":1,"verb":"act"}'),
    "cut in the middle": encode(Call(id="1", verb="act"))[:-3],
    "something behind": encode(Call(id="1", verb="act")) + b"{}",
    "over the limit": body(b" " * MAX_FRAME),
}
EACH = pytest.mark.parametrize("frame", MALFORMED.values(), ids=MALFORMED)

WRONG_CALLS = [
    Call(id="1", verb="nonsense"),
    Call(id="1", verb="act", fields=msgspec.Raw(b'{"names":' + b"[" * 100 + b"]" * 100 + b"}")),
    Call(id="1", verb="act", fields=msgspec.Raw(b"[]")),
    Call(id="1", verb="act", fields=msgspec.Raw(b'{"names":[1e999]}')),
    Call(id="", verb="act"),
    Call(id="x" * 10_000, verb="act"),
    ConsoleCall(id="1", line="'"),
    ConsoleCall(id="1", line="\0\x1b[2J"),
]


# Unix socket --------------------------------------------------------------------------------------------------------------------------------------


@EACH
def test_a_frame_that_is_no_call_ends_its_connection_and_no_other(middle: MiddleProcess, frame: bytes) -> None:
    with middle.door() as good, middle.door() as bad:
        assert isinstance(good.call("task.status"), Tasks)
        bad.socket.send(frame)
        assert bad.is_cut()
        assert isinstance(good.call("task.status"), Tasks)


@pytest.mark.parametrize("call", WRONG_CALLS)
def test_a_call_that_means_nothing_is_answered(middle: MiddleProcess, call: Any) -> None:
    with middle.door() as door:
        door.send(call)
        answer = door.receive()
        assert answer.id == call.id[:200]
        assert isinstance(answer, FailedReply) or answer.answer.code == "usage"  # type: ignore[union-attr]
    with middle.dealer() as dealer:
        dealer.send(call)
        assert dealer.receive() == answer


def test_thousands_of_broken_frames_over_the_unix_socket_leave_memory_flat(middle: MiddleProcess) -> None:
    works(middle)
    frames = list(MALFORMED.values())
    before = middle.rss()
    for number in range(3000):
        with middle.door() as door:
            door.socket.send(frames[number % len(frames)])
            assert door.is_cut()
    assert middle.rss() - before < FLAT
    works(middle)


def test_a_caller_that_asks_without_reading_is_cut_and_others_go_on(middle: MiddleProcess) -> None:
    with middle.door() as greedy:
        greedy.socket.setblocking(False)
        before = middle.rss()
        deadline = time.monotonic() + 10
        cut = False
        while not cut and time.monotonic() < deadline:
            try:
                greedy.send(Call(id="1", verb="help.topic"))
            except BlockingIOError:
                time.sleep(0.001)
            except (BrokenPipeError, ConnectionResetError):
                cut = True
        assert cut
        assert middle.rss() - before < FLAT
    works(middle)


# ZeroMQ ------------------------------------------------------------------------------------------------------------------------------------------


@EACH
def test_a_message_that_is_no_call_is_answered_over_zeromq(middle: MiddleProcess, frame: bytes) -> None:
    with middle.dealer() as dealer:
        dealer.socket.send(frame)
        answer = dealer.receive()
        assert isinstance(answer, FailedReply)
        assert answer.code in (Code.BAD_REQUEST, Code.VERSION, Code.TOO_LARGE)
        assert isinstance(dealer.call("task.status").answer, Tasks)


@pytest.mark.parametrize("parts", [2, 3, 100])
def test_a_message_of_several_frames_is_refused(middle: MiddleProcess, parts: int) -> None:
    with middle.dealer() as dealer:
        dealer.socket.send_multipart([encode(Call(id="1", verb="task.status"))] * parts)
        answer = dealer.receive()
        assert (type(answer), answer.code) == (FailedReply, Code.BAD_REQUEST)


def test_a_frame_over_a_mebibyte_cuts_the_connection_which_may_come_again(middle: MiddleProcess) -> None:
    before = middle.rss()
    with middle.dealer() as dealer:
        dealer.socket.send(b"\x01" * (2 * MIB))
        dealer.socket.rcvtimeo = 300
        with pytest.raises(zmq.Again):
            dealer.receive()
        dealer.socket.rcvtimeo = 10_000
        assert isinstance(dealer.call("task.status").answer, Tasks)
    assert middle.rss() - before < FLAT


def test_thousands_of_broken_messages_over_zeromq_leave_memory_flat(middle: MiddleProcess) -> None:
    works(middle)
    frames = list(MALFORMED.values())
    with middle.dealer() as dealer:
        for number in range(200):
            dealer.socket.send(frames[number % len(frames)])
            dealer.receive()
        before = middle.rss()
        for number in range(10_000):
            dealer.socket.send(frames[number % len(frames)])
            if number % 7 == 0:
                dealer.socket.send_multipart([b"x"] * 5)
                assert isinstance(dealer.receive(), FailedReply)
            assert isinstance(dealer.receive(), FailedReply)
    assert middle.rss() - before < FLAT
    works(middle)


def test_hundreds_of_connections_that_come_and_go_leave_memory_and_descriptors_flat(middle: MiddleProcess) -> None:
    works(middle)
    descriptors = Path("/proc") / str(middle.process.pid) / "fd"
    before, held = middle.rss(), len(list(descriptors.iterdir()))
    for _ in range(400):
        with middle.dealer() as dealer:
            dealer.call("task.status")
    assert middle.rss() - before < FLAT
    until(lambda: len(list(descriptors.iterdir())) <= held + 2, 10, "the descriptors of connections that are gone are closed")


@pytest.mark.parametrize("text", [b"GET / HTTP/1.1\r\n\r\n", b"\0" * 1000, b"\xff\0\0\0\0\0\0\0\x01\x7f\x03\0NULL", b"\xff" * 5000])
def test_who_speaks_no_zeromq_at_its_door_harms_nobody(middle: MiddleProcess, text: bytes) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as raw:
        raw.connect(middle.ipc)
        raw.sendall(text)
        works(middle)


@pytest.mark.alone
def test_a_dealer_that_does_not_read_holds_up_nobody_and_its_answers_are_dropped(middle: MiddleProcess) -> None:
    with middle.dealer() as deaf:
        deaf.socket.rcvhwm = 1
        before = middle.rss()
        for number in range(2000):
            deaf.send(Call(id=str(number), verb="help.topic"))
        begun = time.monotonic()
        works(middle)
        assert time.monotonic() - begun < 5.0
        assert middle.rss() - before < FLAT


# Who may speak ------------------------------------------------------------------------------------------------------------------------------------


def test_both_sockets_are_for_their_owner_alone(middle: MiddleProcess) -> None:
    for path in (middle.sock, middle.ipc):
        about = os.stat(path)
        assert stat.S_IMODE(about.st_mode) == 0o600
        assert about.st_uid == os.geteuid()
    assert stat.S_IMODE(os.stat(middle.run).st_mode) == 0o700


def as_nobody(work: Any) -> str:
    """What `work` says in a child of another user."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.setgroups([])
        os.setgid(NOBODY)
        os.setuid(NOBODY)
        try:
            said = work()
        except Exception as error:
            said = type(error).__name__
        os.write(writer, said.encode())
        os._exit(0)
    os.close(writer)
    os.waitpid(child, 0)
    with os.fdopen(reader, "rb") as pipe:
        return pipe.read().decode()


def open_to_all(middle: MiddleProcess) -> None:
    """Take the modes away, so that only our own checks are left."""
    for path in (*middle.run.parents, middle.run):
        if path.stat().st_uid == os.geteuid() and path != Path("/"):
            path.chmod(path.stat().st_mode | 0o055)
    for path in (middle.sock, middle.ipc):
        os.chmod(path, 0o666)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be somebody else")
def test_another_user_is_refused_at_both_doors_even_if_the_modes_let_him_in(middle: MiddleProcess) -> None:
    open_to_all(middle)

    def at_the_unix_socket() -> str:
        sock = connect(middle.sock)
        sock.setblocking(True)
        sock.settimeout(5)
        try:
            sock.send(encode(Call(id="1", verb="task.status")))
        except BrokenPipeError:
            return "cut"
        try:
            return "cut" if sock.recv(1000) == b"" else "answered"
        except ConnectionResetError:
            return "cut"

    def over_zeromq() -> str:
        with middle.dealer() as dealer:
            dealer.socket.rcvtimeo = 500
            dealer.send(Call(id="1", verb="task.status"))
            return "answered" if dealer.receive() else ""

    def at_the_path_of_zeromq() -> str:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as raw:
            raw.connect(middle.ipc)
            return "the path is open"

    assert as_nobody(at_the_path_of_zeromq) == "the path is open"
    middle.logged("refused a connection at middle.ipc")
    assert as_nobody(at_the_unix_socket) == "cut"
    middle.logged("refused a connection of uid 65534")
    assert as_nobody(over_zeromq) == "Again"
    works(middle)
