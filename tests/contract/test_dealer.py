"""The line to the middle interface, against a ROUTER of our own: answers in parts, errors, deadlines, and a middle interface that is replaced."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import zmq

from efsupervisor.core.dealer import MAX_CALLS, Dealer
from efsupervisor.errors import Code, EfError
from efsupervisor.messages import FailedReply, decode, encode
from efsupervisor.messages.call import Answered, Call, Here, Lines, ResourceQuery, Tasks, Text, ToMiddle
from efsupervisor.reactor import Reactor
from efsupervisor.system import REAL
from tests.support.wait import until


class Router:
    """The other end.  Deep folders are bound as the dealer connects: through a descriptor."""

    def __init__(self, folder: Path) -> None:
        self._folder = os.open(folder, os.O_PATH)
        self._context = zmq.Context()
        self.socket: zmq.Socket[bytes] | None = None
        self.heard: list[object] = []
        self.peer = b""
        self.bind()

    def bind(self) -> None:
        self.socket = self._context.socket(zmq.ROUTER)
        self.socket.linger = 0
        self.socket.bind(f"ipc:///proc/self/fd/{self._folder}/middle.ipc")

    def listen(self) -> None:
        assert self.socket is not None
        with contextlib.suppress(zmq.Again):
            while True:
                self.peer, frame = self.socket.recv_multipart(zmq.NOBLOCK)
                self.heard.append(decode(frame, ToMiddle))

    def say(self, *frames: bytes) -> None:
        assert self.socket is not None
        self.socket.send_multipart([self.peer, *frames])

    def die(self) -> None:
        if self.socket is not None:
            self.socket.close()
            self.socket = None

    def close(self) -> None:
        self.die()
        self._context.term()
        os.close(self._folder)


class Stage:
    """A dealer, its loop, and what became of its calls."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.reactor = Reactor(REAL)
        self.router: Router | None = None
        self.done: dict[str, object] = {}
        self.dealer = Dealer(self.reactor, str(folder), on_query=self.queried)
        self.queries: list[tuple[object, Callable[[object], None]]] = []

    def queried(self, query: object, answer: Callable[[object], None]) -> None:
        self.queries.append((query, answer))

    def open(self) -> Router:
        self.router = Router(self.folder)
        self.until(lambda: self.dealer.connected, "it is connected")
        return self.router

    def ask(self, call_id: str, deadline_s: float | None = 5.0) -> None:
        def keep(answer: object) -> None:
            self.done[call_id] = answer

        self.dealer.ask(Call(id=call_id, verb="status"), keep, keep, deadline_s)

    def until(self, predicate: Callable[[], object], what: str) -> None:
        def look() -> bool:
            self.reactor.turn(0.01)
            if self.router is not None and self.router.socket is not None:
                self.router.listen()
            return bool(predicate())

        until(look, 10, what)

    def heard(self, count: int) -> list[object]:
        assert self.router is not None
        router = self.router
        self.until(lambda: len(router.heard) >= count, f"{count} messages are heard")
        return router.heard

    def close(self) -> None:
        self.dealer.close()
        self.reactor.close()
        if self.router is not None:
            self.router.close()


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    folder = tmp_path / ("deep" * 30)
    folder.mkdir()
    made = Stage(folder)
    yield made
    made.close()


def test_a_call_is_answered_by_its_id_whatever_the_order(stage: Stage) -> None:
    router = stage.open()
    stage.ask("one")
    stage.ask("two")
    assert [getattr(each, "id", "") for each in stage.heard(2)] == ["one", "two"]
    router.say(encode(Answered(id="two", answer=Text(text="2"))))
    router.say(encode(Answered(id="one", answer=Text(text="1"))))
    stage.until(lambda: len(stage.done) == 2, "both are answered")
    assert stage.done == {"two": Text(text="2"), "one": Text(text="1")}


def test_an_answer_in_several_frames_arrives_as_one(stage: Stage) -> None:
    router = stage.open()
    stage.ask("lines")
    stage.heard(1)
    router.say(encode(Answered(id="lines", answer=Lines(lines=["OK : a"]), more=True)))
    router.say(encode(Answered(id="lines", answer=Lines(lines=["NOK : b"], code="bad-state"), more=True)))
    router.say(encode(Answered(id="lines", answer=Lines(lines=["OK : c"]))))
    stage.until(lambda: stage.done, "the answer is whole")
    assert stage.done["lines"] == Lines(lines=["OK : a", "NOK : b", "OK : c"], code="bad-state")


def test_a_refusal_comes_as_an_error_with_its_code(stage: Stage) -> None:
    router = stage.open()
    stage.ask("x")
    stage.heard(1)
    router.say(encode(FailedReply(id="x", code=Code.REFUSED, sentence="not you")))
    stage.until(lambda: stage.done, "the refusal arrives")
    error = stage.done["x"]
    assert isinstance(error, EfError) and (error.code, error.message) == (Code.REFUSED, "not you")


def test_a_call_before_there_is_a_middle_interface_is_sent_when_there_is(stage: Stage) -> None:
    stage.ask("early")
    stage.until(lambda: True, "the loop turns")
    stage.open()
    assert getattr(stage.heard(1)[0], "id", "") == "early"


def test_a_call_that_nobody_answers_fails_at_its_deadline_and_says_whether_anybody_was_there(stage: Stage) -> None:
    stage.ask("nobody", 0.1)
    stage.until(lambda: stage.done, "the first deadline passes")
    stage.open()
    stage.ask("silent", 0.1)
    stage.until(lambda: len(stage.done) == 2, "the second deadline passes")
    codes = {name: error.code for name, error in stage.done.items() if isinstance(error, EfError)}
    assert codes == {"nobody": Code.NOT_RUNNING, "silent": Code.TIMEOUT}


def test_a_late_answer_and_one_that_nobody_asked_for_disturb_nothing(stage: Stage) -> None:
    router = stage.open()
    stage.ask("late", 0.05)
    stage.heard(1)
    stage.until(lambda: stage.done, "the deadline passes")
    router.say(encode(Answered(id="late", answer=Text(text="too late"))))
    router.say(encode(Answered(id="never-asked", answer=Text(text="?"))))
    stage.ask("next")
    stage.heard(2)
    router.say(encode(Answered(id="next", answer=Text(text="fine"))))
    stage.until(lambda: "next" in stage.done, "the next call is answered")
    assert isinstance(stage.done["late"], EfError) and stage.done["next"] == Text(text="fine")


def test_when_the_middle_interface_is_replaced_what_is_not_answered_is_asked_again_with_the_same_id(stage: Stage) -> None:
    router = stage.open()
    stage.ask("answered")
    stage.ask("half")
    stage.heard(2)
    router.say(encode(Answered(id="answered", answer=Text(text="yes"))))
    router.say(encode(Answered(id="half", answer=Text(text="the first "), more=True)))
    stage.until(lambda: "answered" in stage.done, "the first is answered")
    router.die()
    stage.until(lambda: not stage.dealer.connected, "the death is noticed")
    stage.ask("meanwhile")
    router.heard.clear()
    router.bind()
    assert sorted(getattr(each, "id", "") for each in stage.heard(2)) == ["half", "meanwhile"]
    router.say(encode(Answered(id="half", answer=Text(text="whole"))))
    stage.until(lambda: "half" in stage.done, "it is answered by the second")
    assert stage.done["half"] == Text(text="whole")


@pytest.mark.parametrize(
    "frames", [[b""], [b"\xff"], [b"\x01{"], [b"\x02{}"], [b"\x01[]"], [b"\x01null"], [b"a", b"b", b"c"], [b"x" * 200_000]], ids=range(8)
)
def test_what_is_no_message_is_passed_over_and_the_line_stays(stage: Stage, frames: list[bytes]) -> None:
    router = stage.open()
    stage.ask("x")
    stage.heard(1)
    router.say(*frames)
    router.say(encode(Answered(id="x", answer=Tasks(rows=[]))))
    stage.until(lambda: stage.done, "the answer behind it arrives")
    assert stage.done["x"] == Tasks(rows=[])


def test_a_frame_over_the_limit_cuts_the_line_and_the_call_is_asked_again(stage: Stage) -> None:
    router = stage.open()
    stage.ask("x")
    stage.heard(1)
    router.say(b"x" * (2 << 20))
    router.heard.clear()
    stage.heard(1)
    router.say(encode(Answered(id="x", answer=Text(text="small"))))
    stage.until(lambda: stage.done, "the answer arrives")
    assert stage.done["x"] == Text(text="small")


def test_a_collector_says_that_it_is_here_and_answers_what_it_is_asked(stage: Stage) -> None:
    router = stage.open()
    stage.dealer.here("resource")
    stage.until(lambda: Here(name="resource") in router.heard, "it says Here once it is connected")
    router.say(encode(ResourceQuery(id="q1", names=["a"])))
    router.say(encode(ResourceQuery(id="q2")))
    stage.until(lambda: len(stage.queries) == 2, "the queries arrive")
    (first, answer), (_second, refuse) = stage.queries
    assert first == ResourceQuery(id="q1", names=["a"])
    refuse(EfError("too early", Code.BAD_STATE))
    answer(Text(text="figures"))
    wanted = [FailedReply(id="q2", code=Code.BAD_STATE, sentence="too early"), Answered(id="q1", answer=Text(text="figures"))]
    stage.until(lambda: [each for each in router.heard if not isinstance(each, Here)] == wanted, "both are answered")


def test_an_id_that_is_under_way_and_a_call_too_many_are_refused_but_never_inside_ask(stage: Stage) -> None:
    for number in range(MAX_CALLS):
        stage.ask(str(number))
    refused: list[EfError] = []
    for call_id in ("0", "one-too-many"):
        stage.dealer.ask(Call(id=call_id, verb="status"), lambda _answer: None, refused.append)
    assert refused == []
    stage.until(lambda: len(refused) == 2, "both are refused")
    assert [error.code for error in refused] == [Code.REFUSED] * 2


def test_whoever_waits_when_the_line_is_closed_is_told_and_nothing_is_left(tmp_path: Path) -> None:
    before, threads = len(os.listdir("/proc/self/fd")), threading.active_count()
    stage = Stage(tmp_path)
    stage.ask("x", None)
    stage.close()
    assert isinstance(stage.done["x"], EfError) and stage.done["x"].code is Code.NOT_RUNNING
    assert (len(os.listdir("/proc/self/fd")), threading.active_count()) == (before, threads)


def test_a_line_at_rest_does_not_wake_its_loop(stage: Stage) -> None:
    stage.open()
    for _ in range(3):
        stage.reactor.turn(0.05)
    turned: list[float] = []
    stage.reactor.after(0.3, lambda: turned.append(1.0))
    turns = 0
    while not turned:
        stage.reactor.turn()
        turns += 1
    assert turns <= 2
