"""The middle interface between its callers, a Core and collectors that do what the test says: retries, deadlines, deaths, relays."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from efsupervisor.errors import Code
from efsupervisor.messages import FailedReply
from efsupervisor.messages.call import About, Answered, Call, Here, ResourceQuery, Resources
from tests.support.middle import FakeCore, MiddleProcess, core, works
from tests.support.wait import until


@pytest.fixture
def fake_core(tmp_path: Path) -> Iterator[FakeCore]:
    fake = FakeCore(tmp_path, core)
    yield fake
    fake.close()


@pytest.fixture
def middle(tmp_path: Path, fake_core: FakeCore) -> Iterator[MiddleProcess]:
    with MiddleProcess(tmp_path) as process:
        yield process


def test_a_socket_that_somebody_took_away_ends_the_middle_interface_for_another_to_come(tmp_path: Path, fake_core: FakeCore) -> None:
    process = MiddleProcess(tmp_path)
    os.unlink(process.ipc)
    process.logged("took one of the sockets")
    assert process.process.wait(10) == 0
    process.close()


def test_a_retry_after_a_kill_asks_the_core_with_the_same_id(middle: MiddleProcess, fake_core: FakeCore) -> None:
    fake_core.answer = lambda request: None
    with middle.door() as door:
        door.send(Call(id="once", verb="act", fields=msgspec.Raw(b'{"names":["a"]}')))
        until(lambda: fake_core.asked, 10, "the Core was asked")
        middle.kill_and_replace()
        assert door.is_cut()
    fake_core.answer = core
    with middle.door() as door:
        assert not isinstance(door.call("act", {"names": ["a"]}, id="once"), FailedReply)
    assert [request.id for request in fake_core.asked] == ["once", "once"]


def test_a_core_that_hangs_up_is_asked_again_with_the_same_id(middle: MiddleProcess, fake_core: FakeCore) -> None:
    fake_core.answer = lambda request: None
    with middle.door() as door:
        door.send(Call(id="once", verb="act", fields=msgspec.Raw(b'{"names":["a"]}')))
        until(lambda: fake_core.asked, 10, "the Core was asked")
        fake_core.answer = core
        fake_core.hang_up()
        assert not isinstance(door.answer("once"), FailedReply)
    assert [request.id for request in fake_core.asked] == ["once", "once"]


@pytest.mark.alone
def test_a_silent_core_is_told_in_time_and_daemon_version_still_answers(middle: MiddleProcess, fake_core: FakeCore) -> None:
    fake_core.answer = lambda request: None
    with middle.door() as door:
        begun = time.monotonic()
        about = door.call("daemon.version")
        assert isinstance(about, About)
        assert not about.ready
        assert about.pid == os.getpid()
        assert "has not answered" in about.ailments[0]
        late = door.call("task.status", deadline_s=0.5)
        assert isinstance(late, FailedReply)
        assert late.code is Code.TIMEOUT
        assert time.monotonic() - begun < 5.0


def test_a_dead_core_is_told_in_time(tmp_path: Path) -> None:
    with MiddleProcess(tmp_path) as middle, middle.door() as door:
        about = door.call("daemon.version")
        assert isinstance(about, About)
        assert not about.ready
        failure = door.call("act", {"names": ["a"]}, deadline_s=0.3)
        assert isinstance(failure, FailedReply)
        assert "nothing was done" in failure.sentence
        fake = FakeCore(tmp_path, core)
        assert not isinstance(door.call("act", {"names": ["a"]}), FailedReply)
        fake.close()


@pytest.mark.alone
def test_hundreds_of_waiting_calls_hold_up_nobody(middle: MiddleProcess, fake_core: FakeCore) -> None:
    fake_core.answer = lambda request: None if type(request).__name__ == "ActRequest" else core(request)
    with middle.dealer() as dealer:
        for number in range(400):
            dealer.send(Call(id=f"slow{number}", verb="act", fields=msgspec.Raw(b'{"names":["a"]}'), deadline_s=0.0))
        until(lambda: len(fake_core.asked) == 400, 10, lambda: f"the Core was asked, {len(fake_core.asked)} times")
        begun = time.monotonic()
        works(middle)
        assert time.monotonic() - begun < 5.0


def test_a_caller_that_waits_is_given_signs_of_life_on_the_same_connection(middle: MiddleProcess, fake_core: FakeCore) -> None:
    fake_core.answer = lambda request: None if type(request).__name__ == "ActRequest" else core(request)
    with middle.door() as door:
        door.send(Call(id="slow", verb="act", fields=msgspec.Raw(b'{"names":["a"]}'), deadline_s=0.0))
        for _ in range(3):
            about = door.call("daemon.version", id="sign-of-life")
            assert isinstance(about, About)
            assert about.ready
        fake_core.answer = core
        fake_core.hang_up()
        assert not isinstance(door.answer("slow"), FailedReply)


def test_calls_of_a_caller_that_left_are_ended_or_finished(middle: MiddleProcess, fake_core: FakeCore) -> None:
    fake_core.answer = lambda request: None
    with middle.door() as door:
        door.send(Call(id="look", verb="task.status", deadline_s=0.0))
        door.send(Call(id="deed", verb="act", fields=msgspec.Raw(b'{"names":["a"]}'), deadline_s=0.0))
        until(lambda: len(fake_core.asked) == 2, 10, "the Core was asked")
    fake_core.answer = core
    fake_core.hang_up()
    middle.logged("act a: done")
    assert [type(request).__name__ for request in fake_core.asked].count("StatusRequest") == 1


def test_a_collector_that_says_it_is_here_is_asked_and_its_answer_relayed(middle: MiddleProcess) -> None:
    with middle.door() as door, middle.dealer() as collector:
        missing = door.call("resource.show")
        assert isinstance(missing, FailedReply)
        assert missing.code is Code.NOT_RUNNING
        collector.send(Here(name="resource"))
        collector.call("daemon.version")
        door.send(Call(id="mine", verb="resource.show", fields=msgspec.Raw(b'{"names":["a"],"samples":3}')))
        query = collector.receive()
        assert isinstance(query, ResourceQuery)
        assert (query.names, query.samples) == (["a"], 3)
        assert query.id != "mine"
        with middle.dealer() as stranger:
            stranger.send(Answered(id=query.id, answer=Resources(node=[], rows=[], interval_s=66.0)))
            stranger.call("daemon.version")
        collector.send(Answered(id=query.id, answer=Resources(node=[], rows=[], interval_s=2.0)))
        assert door.answer("mine") == Resources(node=[], rows=[], interval_s=2.0)


def test_the_daemons_log_is_read_in_a_thread(middle: MiddleProcess, tmp_path: Path) -> None:
    (tmp_path / "log").mkdir()
    (tmp_path / "log" / "efsupervisord.log").write_bytes(b"one\ntwo\n")
    with middle.door() as door:
        assert door.say("shw daemon lines=1") == ["OK : two"]
        os.unlink(tmp_path / "log" / "efsupervisord.log")
        assert door.say("shw daemon")[0].startswith("NOK : it could not be read")
