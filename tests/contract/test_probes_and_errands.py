"""Probes, errands and the notification socket on the real machine: they end by themselves, say why, and leave nothing."""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from efsupervisor.conf.endpoint import Endpoint
from efsupervisor.conf.schema import TaskSpec
from efsupervisor.messages import Wiring
from efsupervisor.reactor import Reactor
from efsupervisor.system import REAL
from efsupervisor.task import spawn, tree
from efsupervisor.task.errand import Errands, Outcome
from efsupervisor.task.notify import Notice, NotifySocket, descends, parent_of
from efsupervisor.task.probe import Call
from efsupervisor.task.seat import Seat
from tests.support import processes
from tests.support.wait import until


@pytest.fixture
def reactor() -> Iterator[Reactor]:
    made = Reactor(REAL)
    yield made
    made.close()


@pytest.fixture
def server() -> Iterator[socket.socket]:
    with socket.socket() as made:
        made.bind(("127.0.0.1", 0))
        made.listen()
        made.settimeout(5)
        yield made


def port_of(server: socket.socket) -> int:
    return int(server.getsockname()[1])


def call(reactor: Reactor, port: int, path: str = "", timeout_s: float = 2.0, serve: Callable[[], None] = lambda: None) -> str:
    """The result of one call; serve: what the other side does once, when it may."""
    results: list[str] = []
    Call(reactor, Endpoint("127.0.0.1", port, path), timeout_s, results.append)
    reactor.turn(0.2)
    serve()
    until(lambda: reactor.turn(0.01) or results, 5, "the call ends")
    assert len(results) == 1
    return results[0].partition(": ")[2]


def test_a_port_that_takes_a_connection_is_well_and_another_is_refused(reactor: Reactor, server: socket.socket) -> None:
    assert call(reactor, port_of(server)) == ""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        assert call(reactor, port_of(unused)) == "Connection refused"


@pytest.mark.parametrize(
    ("answer", "result"),
    [
        (b"HTTP/1.1 200 OK\r\n\r\n", ""),
        (b"HTTP/1.0 204\r\n", ""),
        (b"HTTP/1.1 302 Found\r\n\r\n", "status 302"),
        (b"HTTP/1.1 503 no\r\n\r\n", "status 503"),
        (b"SSH-2.0-OpenSSH\r\n", "the answer is not HTTP"),
        (b"x" * 10_000, "the answer is not HTTP"),
        (b"", "closed without an answer"),
    ],
)
def test_an_answer_is_judged_by_its_first_line(reactor: Reactor, server: socket.socket, answer: bytes, result: str) -> None:
    asked: list[bytes] = []

    def serve() -> None:
        peer, _ = server.accept()
        with peer:
            reactor.turn(0.1)
            asked.append(peer.recv(4096))
            with contextlib.suppress(ConnectionError):
                peer.sendall(answer)

    assert call(reactor, port_of(server), "/health?a=b", serve=serve) == result
    assert asked[0].startswith(b"GET /health?a=b HTTP/1.1\r\nHost: 127.0.0.1:")


def test_a_server_that_says_nothing_costs_the_time_out(reactor: Reactor, server: socket.socket) -> None:
    assert call(reactor, port_of(server), "/", timeout_s=0.1) == "no answer within 0.1 s"


def test_calls_leave_no_descriptor(reactor: Reactor, server: socket.socket) -> None:
    before = os.listdir("/proc/self/fd")
    for _ in range(5):
        call(reactor, port_of(server), "/", timeout_s=0.01)
    cancelled = Call(reactor, Endpoint("127.0.0.1", port_of(server), "/"), 5.0, lambda _: pytest.fail("cancelled"))
    cancelled.cancel()
    reactor.turn(0)
    assert len(os.listdir("/proc/self/fd")) == len(before)


# Errands --------------------------------------------------------------------------------------------------------------------------------------------


class Sender:
    """Errands of a worker that is this process."""

    def __init__(self, folder: Path, reactor: Reactor) -> None:
        self.reactor = reactor
        self.wiring = Wiring(spec=TaskSpec(name="t", command=["x"]), task_dir=str(folder), namespace="n")
        seat = Seat(
            self.wiring, REAL, reactor, boot="b", say=lambda *_: None, tell=lambda _: None, dirty=lambda: None, core_connected=lambda: False
        )  # fmt: skip
        self.errands = Errands(seat)
        self.outcomes: list[Outcome] = []

    def send(self, *command: str, timeout_s: float = 5.0) -> Any:
        return self.errands.send(spawn.plan(self.wiring, 1)._replace(argv=list(command)), "t", timeout_s, self.outcomes.append)

    def outcome(self) -> Outcome:
        """Wait for one."""

        def turned() -> list[Outcome]:
            self.reactor.turn(0.01)
            self.errands.reaped(tree.reap_all(REAL)[0])
            return self.outcomes

        until(turned, 10, "the errand ends")
        return self.outcomes.pop()


@pytest.fixture
def sender(tmp_path: Path, reactor: Reactor) -> Iterator[Sender]:
    made = Sender(tmp_path, reactor)
    yield made
    made.errands.cancel_all()
    until(lambda: not tree.reap_all(REAL)[1], 5, "nothing of it is left")


@pytest.mark.parametrize(
    ("command", "sentence"),
    [
        (["true"], ""),
        (["false"], "exit status 1"),
        (["sh", "-c", "echo one; echo two >&2; exit 3"], "exit status 3: one | two"),
        (["sh", "-c", "kill -9 $$"], "killed by SIGKILL"),
        (["sh", "-c", "printf '\\033[31mred'; exit 1"], "exit status 1: ?[31mred"),
        (["no-such-command"], "exit status 127: 'no-such-command' cannot be executed: No such file or directory"),
        (["sh", "-c", "yes | head -c 1000000; exit 1"], "exit status 1: y | y | y"),
        (["sh", "-c", "test -t 0 || read x || exit 0; exit 1"], ""),
    ],
)
def test_an_errand_ends_with_its_status_and_its_last_words(sender: Sender, command: list[str], sentence: str) -> None:
    sender.send(*command)
    assert sender.outcome().sentence == sentence


def test_an_errand_that_takes_too_long_is_killed_with_its_session(sender: Sender) -> None:
    errand = sender.send("sh", "-c", "trap : TERM; sleep 1000 & echo begun; wait; sleep 1000", timeout_s=0.3)
    assert sender.outcome().sentence == "took longer than 0.3 s: begun"
    until(lambda: not processes.alive(errand.pid), 5, "it is dead")
    until(lambda: not tree.reap_all(REAL)[1], 5, "and reaped")


def test_an_errand_can_be_given_less_time_and_be_forgotten(sender: Sender) -> None:
    errand = sender.send("sleep", "1000", timeout_s=1000)
    sender.errands.shorten(errand, 0.1)
    assert sender.outcome().sentence == "took longer than 1000 s"
    errand = sender.send("sleep", "1000", timeout_s=1000)
    sender.errands.cancel(errand)
    until(lambda: not tree.reap_all(REAL)[1], 5, "it is dead")
    assert sender.outcomes == []


def test_an_errand_has_nothing_of_ours_open(sender: Sender) -> None:
    passed_on = {int(name) for name in os.listdir("/proc/self/fd") if _inheritable(int(name))}  # the test's own surroundings; a worker has none
    sender.send("sh", "-c", "ls /proc/self/fd | tr '\\n' ' '; exit 1")
    seen = set(map(int, sender.outcome().sentence.removeprefix("exit status 1: ").split()))
    assert len(seen - passed_on - {0, 1, 2}) == 1, "the folder that ls reads, and nothing else"


def _inheritable(fd: int) -> bool:
    try:
        return os.get_inheritable(fd)
    except OSError:
        return False


# Notifications --------------------------------------------------------------------------------------------------------------------------------------


def test_a_datagram_is_heard_from_the_family_only_and_its_descriptors_are_not_taken(tmp_path: Path, reactor: Reactor) -> None:
    heard: list[Notice] = []
    family: set[int] = set()
    path = str(tmp_path / "s")
    listening = NotifySocket(reactor, path, os.getuid(), os.getgid(), lambda pid: descends(pid, frozenset(family), parent_of), heard.append)
    before = len(os.listdir("/proc/self/fd"))
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as speaker:
        speaker.sendto(b"READY=1", path)
        reactor.turn(1)
        assert (heard, listening.refused) == ([], 1)
        family.add(os.getpid())
        speaker.connect(path)
        socket.send_fds(speaker, [b"READY=1\nBARRIER=1"], [0, 0, 0])
        reactor.turn(1)
        assert heard == [Notice(ready=True)]
        assert len(os.listdir("/proc/self/fd")) == before + 1
        speaker.send(b"x" * 60_000)
        speaker.send(b"STATUS=on")
        reactor.turn(1)
        assert heard[-1] == Notice(status="on")
    listening.close()
