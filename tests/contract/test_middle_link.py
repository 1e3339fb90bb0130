"""The line to the Core, over real sockets and a real loop: windows, lost connections, requests that are repeated and those that are not."""

from __future__ import annotations

import errno
import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from efsupervisor.core.middle.link import MAX_HANGUPS, MAX_LINES, MAX_WAITING, WINDOW, Link
from efsupervisor.core.middle.pool import MAX_WAITING as MAX_WORKS
from efsupervisor.core.middle.pool import Pool
from efsupervisor.errors import Code, EfError
from efsupervisor.messages import (
    MAX_FRAME,
    ActRequest,
    DoneReply,
    FailedReply,
    Request,
    ShutdownRequest,
    StatusReply,
    StatusRequest,
    decode,
    encode,
)
from efsupervisor.reactor import Reactor
from efsupervisor.system import REAL


class Bench:
    """A link whose connections end here.  refusing: nobody listens."""

    def __init__(self) -> None:
        self.reactor = Reactor(REAL)
        self.link = Link("core.sock", self.reactor, self._connect)
        self.ends: list[socket.socket] = []
        self.refusing = False
        self.came: list[list[Any]] = []
        self.wrong: list[Any] = []

    def _connect(self, _path: str) -> socket.socket:
        if self.refusing:
            raise ConnectionRefusedError(errno.ECONNREFUSED, "nobody listens")
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        theirs.settimeout(5)
        self.ends.append(theirs)
        return ours

    def ask(self, request: Any, patience_s: float | None = None) -> Any:
        return self.link.ask(request, self.came.append, self.wrong.append, patience_s)

    def read(self, end: int = -1) -> Any:
        return decode(self.ends[end].recv(MAX_FRAME), Request)

    def reply(self, message: Any, end: int = -1) -> None:
        self.ends[end].send(encode(message))
        self.turn()

    def turn(self, count: int = 5) -> None:
        for _ in range(count):
            self.reactor.turn(0.02)

    def close(self) -> None:
        self.link.close()
        for end in self.ends:
            end.close()
        self.reactor.close()


@pytest.fixture
def bench() -> Iterator[Bench]:
    bench = Bench()
    yield bench
    bench.close()


def status(number: int = 1) -> StatusRequest:
    return StatusRequest(id=f"s{number}")


def test_all_frames_of_an_answer_come_together(bench: Bench) -> None:
    bench.ask(status())
    assert bench.read() == status()
    first, last = StatusReply(id="s1", tasks=[], more=True), StatusReply(id="s1", tasks=[])
    bench.reply(first)
    assert bench.came == []
    bench.reply(last)
    assert bench.came == [[first, last]]


def test_a_refusal_is_raised(bench: Bench) -> None:
    bench.ask(status())
    bench.reply(FailedReply(id="s1", code=Code.NO_SUCH_TASK, sentence="no"))
    assert bench.wrong[0].code is Code.NO_SUCH_TASK


def test_answers_to_nobody_are_passed_over(bench: Bench) -> None:
    bench.ask(status())
    bench.reply(StatusReply(id="other", tasks=[]))
    assert (bench.came, bench.wrong) == ([], [])


def test_a_full_connection_is_not_waited_for_and_idle_ones_are_closed(bench: Bench) -> None:
    for number in range(WINDOW + 1):
        bench.ask(status(number))
    assert len(bench.ends) == 2
    assert bench.read().id == f"s{WINDOW}"
    bench.reply(StatusReply(id=f"s{WINDOW}", tasks=[]))
    assert len(bench.came) == 1
    assert bench.ends[1].recv(10) == b""


def test_beyond_all_windows_requests_wait_their_turn_and_then_are_refused(bench: Bench) -> None:
    room = WINDOW * MAX_LINES
    for number in range(room + MAX_WAITING + 1):
        bench.ask(status(number))
    assert len(bench.ends) == MAX_LINES
    assert [error.code for error in bench.wrong] == [Code.REFUSED]
    assert bench.read(0).id == "s0"
    bench.reply(StatusReply(id="s0", tasks=[]), 0)
    ids = [bench.read(0).id for _ in range(WINDOW)]
    assert ids[-1] == f"s{room}"


def test_what_was_not_answered_is_asked_again_on_a_new_connection(bench: Bench) -> None:
    bench.ask(ActRequest(id="1", names=["a"]))
    bench.read()
    bench.ends[-1].send(encode(StatusReply(id="1", tasks=[], more=True)))
    bench.ends[-1].close()
    bench.turn()
    assert len(bench.ends) == 2
    assert bench.read() == ActRequest(id="1", names=["a"])
    bench.reply(DoneReply(id="1", outcomes=[]))
    assert bench.came == [[DoneReply(id="1", outcomes=[])]], "half an answer of the connection before does not count"


def test_a_request_at_which_the_core_always_hangs_up_is_given_back(bench: Bench) -> None:
    bench.ask(status())
    for _ in range(MAX_HANGUPS):
        bench.ends[-1].close()
        bench.turn(10)
    assert bench.wrong[0].code is Code.INTERNAL
    assert len(bench.ends) == MAX_HANGUPS


def test_a_shutdown_is_not_said_to_a_successor(bench: Bench) -> None:
    bench.ask(ShutdownRequest(id="1"))
    bench.ends[-1].close()
    bench.turn()
    assert bench.wrong[0].code is Code.NOT_RUNNING
    assert len(bench.ends) == 1


def test_while_nobody_listens_requests_wait_and_are_known_to_be_unsent(bench: Bench) -> None:
    bench.refusing = True
    ask = bench.ask(status())
    bench.turn()
    assert not ask.sent
    assert bench.link.lost_at is not None
    bench.refusing = False
    bench.turn(30)
    assert ask.sent
    assert bench.link.lost_at is None
    assert bench.read() == status()


def test_patience_ends_and_the_late_answer_is_nobodys(bench: Bench) -> None:
    bench.ask(status(), 0.05)
    bench.turn(10)
    assert bench.wrong[0].code is Code.TIMEOUT
    bench.reply(StatusReply(id="s1", tasks=[]))
    assert bench.came == []
    bench.ask(status())
    bench.reply(StatusReply(id="s1", tasks=[]))
    assert len(bench.came) == 1


def test_a_request_that_fits_into_no_frame_is_given_back(bench: Bench) -> None:
    bench.ask(ActRequest(id="1", names=["x" * MAX_FRAME]))
    assert bench.wrong[0].code is Code.TOO_LARGE
    assert bench.ends == []


def test_the_same_id_twice_at_once_is_refused(bench: Bench) -> None:
    bench.ask(status())
    bench.ask(status())
    assert bench.wrong[0].code is Code.EXISTS


# Threads ------------------------------------------------------------------------------------------------------------------------------------------


def test_slow_work_comes_back_as_a_callback_of_the_loop(bench: Bench) -> None:
    pool = Pool(bench.reactor)
    threads: list[str] = []

    def work() -> str:
        threads.append(threading.current_thread().name)
        return "done"

    def broken() -> str:
        raise FileNotFoundError("gone")

    came: list[tuple[str, str]] = []
    pool.submit(work, lambda result: came.append((result, threading.current_thread().name)), bench.wrong.append)
    pool.submit(broken, bench.wrong.append, bench.wrong.append)
    while len(came) + len(bench.wrong) < 2:
        bench.reactor.turn(1.0)
    assert came == [("done", threading.main_thread().name)]
    assert threads[0].startswith("slow-")
    assert isinstance(bench.wrong[0], EfError)
    assert bench.wrong[0].code is Code.SYSTEM
    pool.close()


def test_more_slow_work_than_may_wait_is_refused_at_once(bench: Bench) -> None:
    pool, gate = Pool(bench.reactor), threading.Event()
    for _ in range(MAX_WORKS + 10):
        pool.submit(gate.wait, bench.came.append, bench.wrong.append)
    assert bench.wrong
    assert {error.code for error in bench.wrong} == {Code.REFUSED}
    gate.set()
    while len(bench.came) + len(bench.wrong) < MAX_WORKS + 10:
        bench.reactor.turn(1.0)
    pool.close()
