"""A connection that carries frames: nothing blocks, nothing grows without bound, every end is told once."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from efsupervisor import messages
from efsupervisor.channel import MAX_QUEUED, Channel, connect, listen
from efsupervisor.messages import MAX_FRAME, Ping, Pong, ToWorker
from efsupervisor.reactor import Reactor
from tests.unit.task.table import Clock


class Line:
    """A channel and the bare socket at its other end."""

    def __init__(self) -> None:
        self.reactor = Reactor(Clock())
        ours, self.peer = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.peer.setblocking(False)
        self.heard: list[object] = []
        self.ends: list[str] = []
        self.channel = Channel(ours, self.reactor, ToWorker, self.heard.append, self.ends.append)

    def turn(self) -> None:
        self.reactor.turn(0.0)

    def close(self) -> None:
        self.channel.close()
        self.peer.close()
        self.reactor.close()


@pytest.fixture
def line() -> Iterator[Line]:
    """A line that is closed at the end."""
    made = Line()
    yield made
    made.close()


def test_messages_go_both_ways(line: Line) -> None:
    line.channel.send(Pong(number=7))
    assert line.peer.recv(MAX_FRAME) == messages.encode(Pong(number=7))
    line.peer.send(messages.encode(Ping(number=1)))
    line.peer.send(messages.encode(Ping(number=2)))
    line.turn()
    assert line.heard == [Ping(number=1), Ping(number=2)]


@pytest.mark.parametrize("frame", [b"\xffrubbish", b"\x01{", messages.encode(Pong(number=1)), b"\x01" + b" " * MAX_FRAME])
def test_what_is_no_message_of_the_vocabulary_ends_the_line_with_its_reason(line: Line, frame: bytes) -> None:
    line.peer.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4 * MAX_FRAME)
    line.peer.send(frame)
    line.turn()
    assert (line.heard, len(line.ends), line.channel.open) == ([], 1, False)
    assert line.ends[0]


def test_a_descriptor_comes_with_its_message_and_belongs_to_who_takes_it() -> None:
    reactor, heard = Reactor(Clock()), list[tuple[object, int]]()
    one, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    reader, writer = os.pipe()
    taker = Channel(other, reactor, ToWorker, lambda message: heard.append((message, taker.taken_fd())), lambda _reason: None, takes_fds=True)
    giver = Channel(one, reactor, ToWorker, lambda _message: None, lambda _reason: None)
    giver.send(Ping(number=1), writer)
    giver.send(Ping(number=2))
    os.close(writer)
    reactor.turn(0.0)
    assert [message for message, _ in heard] == [Ping(number=1), Ping(number=2)] and heard[1][1] == -1
    copy = heard[0][1]
    assert not os.get_inheritable(copy)
    os.write(copy, b"x")
    os.close(copy)
    assert os.read(reader, 2) == b"x" and os.read(reader, 1) == b"", "nobody else has it"
    os.close(reader)
    giver.close()
    taker.close()
    reactor.close()


@pytest.mark.parametrize("takes_fds", [True, False])
def test_a_descriptor_that_nobody_takes_is_closed(takes_fds: bool) -> None:
    reactor = Reactor(Clock())
    one, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    reader, writer = os.pipe()
    deaf = Channel(other, reactor, ToWorker, lambda _message: None, lambda _reason: None, takes_fds=takes_fds)
    giver = Channel(one, reactor, ToWorker, lambda _message: None, lambda _reason: None)
    giver.send(Ping(number=1), writer)
    os.close(writer)
    reactor.turn(0.0)
    assert os.read(reader, 1) == b"", "no copy is left open"
    os.close(reader)
    giver.close()
    deaf.close()
    reactor.close()


def test_the_end_of_the_peer_is_told_once_and_sending_afterwards_is_harmless(line: Line) -> None:
    line.peer.close()
    line.turn()
    assert line.ends == ["the peer closed the connection"]
    line.channel.send(Ping(number=1))
    line.channel.close()
    line.channel.flush()
    assert len(line.ends) == 1
    assert line.channel.fileno() == -1


def test_a_peer_found_dead_while_sending_is_told_once(line: Line) -> None:
    line.peer.close()
    line.channel.send(Ping(number=1))
    assert (len(line.ends), line.channel.open) == (1, False)


def test_what_was_sent_before_the_end_is_heard_before_it(line: Line) -> None:
    line.peer.send(messages.encode(Ping(number=1)))
    line.peer.close()
    line.turn()
    assert (line.heard, line.ends) == ([Ping(number=1)], ["the peer closed the connection"])


def test_frames_that_the_peer_does_not_take_wait_and_arrive_in_order(line: Line) -> None:
    count = 3000
    for number in range(count):
        line.channel.send(Ping(number=number))
    assert line.ends == []
    arrived: list[object] = []
    for _ in range(count):
        try:
            while True:
                arrived.append(messages.decode(line.peer.recv(MAX_FRAME), ToWorker))
        except BlockingIOError:
            if len(arrived) == count:
                break
            line.turn()
    assert arrived == [Ping(number=number) for number in range(count)]


def test_a_peer_that_never_reads_is_given_up(line: Line) -> None:
    for number in range(2 * MAX_QUEUED):
        line.channel.send(Ping(number=number))
    assert line.ends == ["the peer does not read what it is sent"]


def test_a_talkative_peer_leaves_others_their_turn(line: Line) -> None:
    line.peer.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
    for number in range(100):
        line.peer.send(messages.encode(Ping(number=number)))
    line.turn()
    assert 0 < len(line.heard) < 100
    line.turn()
    assert len(line.heard) == 100


def test_an_owner_that_closes_while_it_hears_hears_no_more(line: Line) -> None:
    def hear(message: object) -> None:
        line.heard.append(message)
        line.channel.close()

    line.channel._on_message = hear
    for number in range(2):
        line.peer.send(messages.encode(Ping(number=number)))
    line.turn()
    assert (line.heard, line.ends) == ([Ping(number=0)], [])


def test_the_kernel_says_who_the_peer_is(line: Line) -> None:
    assert line.channel.peer() == (os.getpid(), os.geteuid(), os.getegid())


# Addresses -----------------------------------------------------------------------------------------------------------------------------------------


def test_a_path_longer_than_an_address_may_be_is_listened_at_and_connected_to(tmp_path: Path) -> None:
    folder = tmp_path / ("x" * 100) / ("y" * 100)
    folder.mkdir(parents=True)
    listener = listen(str(folder), "sock")
    assert (folder / "sock").stat().st_mode & 0o777 == 0o600
    client = connect(str(folder / "sock"))
    listener.accept()[0].close()
    client.close()
    listener.close()


def test_who_holds_the_lock_takes_the_place_of_an_old_socket(tmp_path: Path) -> None:
    first = listen(str(tmp_path), "sock")
    first.close()
    with pytest.raises(ConnectionRefusedError):
        connect(str(tmp_path / "sock"))
    second = listen(str(tmp_path), "sock")
    connect(str(tmp_path / "sock")).close()
    second.close()


def test_a_listener_whose_backlog_is_full_never_keeps_us_waiting(tmp_path: Path) -> None:
    listener = listen(str(tmp_path), "sock", backlog=0)
    first = connect(str(tmp_path / "sock"))
    with pytest.raises(BlockingIOError):
        connect(str(tmp_path / "sock"))
    first.close()
    listener.close()


def test_nobody_there_is_said_as_the_kernel_says_it(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        connect(str(tmp_path / "sock"))
