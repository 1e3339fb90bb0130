"""The client against a Core that answers, hesitates, dies, comes back, or is not there."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest

from efsupervisor import messages
from efsupervisor.cli import client as client_module
from efsupervisor.cli import line
from efsupervisor.cli.client import Client
from efsupervisor.cli.line import MAX_SILENT_ENDS, Clock
from efsupervisor.errors import Code, EfError
from efsupervisor.messages import (
    ActRequest,
    DoneReply,
    FailedReply,
    Outcome,
    PutRequest,
    ReadReply,
    Request,
    ShutdownRequest,
    StatusReply,
    TaskStatus,
    TrmRequest,
    VersionReply,
    VersionRequest,
)
from efsupervisor.states import Goal, State
from efsupervisor.system import REAL, boot_id
from tests.unit.cli.fake_core import CLOSE, FakeCore


def row(name: str) -> TaskStatus:
    return TaskStatus(name=name, state=State.RUNNING, goal=Goal.ACT)


def whoever(request: Request) -> VersionReply:
    return VersionReply(id=request.id, version="0", pid=os.getpid(), since_wall=0.0)


def acted(replies: list[messages.Reply]) -> list[Outcome]:
    return [outcome for reply in replies if isinstance(reply, DoneReply) for outcome in reply.outcomes]


def record_a_core(folder: Path, pid: int, start_ticks: int) -> None:
    (folder / "core.json").write_text(json.dumps({"version": 1, "pid": pid, "start_ticks": start_ticks, "boot_id": boot_id(), "since": 0.0}))


class Patience:
    """A clock whose time passes only by waiting; `then` is run at the first wait."""

    def __init__(self, then: object = None) -> None:
        self.now = 0.0
        self._then = then

    def wait(self, seconds: float) -> None:
        self.now += seconds
        then, self._then = self._then, None
        if callable(then):
            then()

    @property
    def clock(self) -> Clock:
        return Clock(lambda: self.now, self.wait)


# Answers ------------------------------------------------------------------------------------------------------------------------------------------


def test_a_status_in_several_frames_is_one_list_in_order(folder: Path) -> None:
    def answer(request: Request) -> list[object]:
        return [StatusReply(id=request.id, tasks=[row("a"), row("b")], more=True), StatusReply(id=request.id, tasks=[row("c")])]

    with FakeCore(folder, answer) as core, Client(core.path) as client:
        assert [task.name for task in client.status([])] == ["a", "b", "c"]


def test_one_connection_serves_several_requests_and_late_answers_to_others_are_passed_over(folder: Path) -> None:
    def answer(request: Request) -> list[object]:
        stale = StatusReply(id="an earlier one", tasks=[row("stale")])
        return [stale, ReadReply(id=request.id, offset=5, data=b"x", next=6, end=6)]

    with FakeCore(folder, answer) as core, Client(core.path) as client:
        assert client.read("t", "out").data == b"x"
        assert client.read("t", "out", offset=6).next == 6
    assert len({request.id for request in core.asked}) == 2


def test_no_two_clients_ever_use_the_same_id_for_the_core_remembers_them(folder: Path) -> None:
    ids = {client.next_id() for client in (Client(str(folder)), Client(str(folder))) for _ in range(3)}
    assert len(ids) == 6


def test_a_failure_is_raised_with_the_cores_sentence_and_code(folder: Path) -> None:
    def answer(request: Request) -> list[object]:
        return [FailedReply(id=request.id, code=Code.NO_SUCH_TASK, sentence="x: did you mean y?")]

    with FakeCore(folder, answer) as core, Client(core.path) as client, pytest.raises(EfError, match="did you mean y") as raised:
        client.status(["x"])
    assert raised.value.code is Code.NO_SUCH_TASK


def test_a_failure_without_an_id_answers_whatever_was_asked(folder: Path) -> None:
    failure = FailedReply(id="", code=Code.BAD_REQUEST, sentence="no request")
    with FakeCore(folder, lambda _: [failure]) as core, Client(core.path) as client, pytest.raises(EfError, match="no request"):
        client.version()


def test_a_reply_of_another_protocol_version_is_named_as_that(folder: Path) -> None:
    with FakeCore(folder, lambda _: [b"\x02{}"]) as core, Client(core.path) as client, pytest.raises(EfError) as raised:
        client.version()
    assert raised.value.code is Code.VERSION


def test_a_request_over_the_limit_is_refused_before_anybody_is_asked(folder: Path) -> None:
    with Client(str(folder / "core.sock")) as client, pytest.raises(EfError) as raised:
        client.put("t", "id", b"x" * messages.MAX_FRAME)
    assert raised.value.code is Code.TOO_LARGE


def test_a_name_that_is_no_text_is_a_sentence(folder: Path) -> None:
    with Client(str(folder / "core.sock")) as client, pytest.raises(EfError) as raised:
        client.status(["\udcff"])
    assert raised.value.code is Code.BAD_NAME


# Nobody there -------------------------------------------------------------------------------------------------------------------------------------


def never() -> Clock:
    def wait(_seconds: float) -> None:
        raise AssertionError("nobody runs: there is nothing to wait for")

    return Clock(time.monotonic, wait)


@pytest.mark.parametrize("what", ["no folder", "no socket", "a socket that nobody serves", "a plain file", "a folder that is a file"])
def test_a_supervisor_that_does_not_run_is_said_without_waiting(folder: Path, what: str) -> None:
    path = folder / "core.sock"
    if what == "no folder":
        path = folder / "gone" / "core.sock"
    elif what == "a socket that nobody serves":
        with FakeCore(folder, lambda _: []):
            pass
        assert path.is_socket()
    elif what == "a plain file":
        path.write_text("")
    elif what == "a folder that is a file":
        (folder / "file").write_text("")
        path = folder / "file" / "core.sock"
    with Client(str(path), never()) as client, pytest.raises(EfError, match="not running") as raised:
        client.status([])
    assert raised.value.code is Code.NOT_RUNNING


@pytest.mark.parametrize("start_ticks", [0, -1])
def test_a_record_of_a_dead_core_is_no_reason_to_wait(folder: Path, start_ticks: int) -> None:
    record_a_core(folder, os.getpid(), start_ticks)
    with Client(str(folder / "core.sock"), never()) as client, pytest.raises(EfError, match="not running"):
        client.status([])


@pytest.mark.parametrize("text", ["", "[]", "{", '{"pid": "x", "start_ticks": 1, "boot_id": ""}', '{"pid": 1}'])
def test_a_damaged_record_is_no_reason_to_wait(folder: Path, text: str) -> None:
    (folder / "core.json").write_text(text)
    with Client(str(folder / "core.sock"), never()) as client, pytest.raises(EfError, match="not running"):
        client.status([])


def test_a_core_that_is_just_starting_is_waited_for(folder: Path) -> None:
    record_a_core(folder, os.getpid(), REAL.start_ticks("self") or 0)
    core = FakeCore(folder, lambda request: [StatusReply(id=request.id, tasks=[row("a")])])
    try:
        with Client(core.path, Patience(core.start).clock) as client:
            assert [task.name for task in client.status([])] == ["a"]
    finally:
        core.stop()


def test_a_core_that_never_gets_to_listen_is_given_up_at_the_deadline(folder: Path) -> None:
    record_a_core(folder, os.getpid(), REAL.start_ticks("self") or 0)
    patience = Patience()
    with Client(str(folder / "core.sock"), patience.clock) as client, pytest.raises(EfError) as raised:
        client.status([])
    assert raised.value.code is Code.NOT_RUNNING
    assert patience.now >= client_module.ANSWER_S


def test_a_user_without_permission_is_told_so(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_path: str) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(line, "connect", refuse)
    with Client(str(folder / "core.sock"), never()) as client, pytest.raises(EfError) as raised:
        client.status([])
    assert raised.value.code is Code.REFUSED


def test_a_full_backlog_is_tried_again_until_the_deadline(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_path: str) -> None:
        raise BlockingIOError(11, "Resource temporarily unavailable")

    monkeypatch.setattr(line, "connect", full)
    patience = Patience()
    with Client(str(folder / "core.sock"), patience.clock) as client, pytest.raises(EfError) as raised:
        client.status([])
    assert raised.value.code is Code.TIMEOUT
    assert patience.now >= client_module.ANSWER_S


# A Core that dies in between ----------------------------------------------------------------------------------------------------------------------


def test_a_put_is_repeated_with_its_own_id_when_the_core_dies_before_the_answer(folder: Path) -> None:
    answers = iter([[CLOSE], None])

    def answer(request: Request) -> list[object]:
        return next(answers) or [DoneReply(id=request.id, outcomes=[Outcome(task="t", ok=True)])]

    with FakeCore(folder, answer) as core, Client(core.path) as client:
        assert client.put("t", "the-id", b"event").ok
    puts = [request for request in core.asked if isinstance(request, PutRequest)]
    assert [(put.put_id, put.data) for put in puts] == [("the-id", b"event")] * 2


def test_rows_of_a_status_that_broke_off_do_not_appear_twice(folder: Path) -> None:
    endings = iter([[CLOSE], None])

    def answer(request: Request) -> list[object]:
        first = StatusReply(id=request.id, tasks=[row("a")], more=True)
        return [first, *(next(endings) or [StatusReply(id=request.id, tasks=[row("b")])])]

    with FakeCore(folder, answer) as core, Client(core.path) as client:
        assert [task.name for task in client.status([])] == ["a", "b"]


def test_a_core_that_is_killed_and_started_again_is_found_again(folder: Path) -> None:
    def answer(request: Request) -> list[object]:
        return [ReadReply(id=request.id, offset=0, data=b"", next=0, end=0)]

    first, second = FakeCore(folder, answer), FakeCore(folder, answer)
    try:
        first.start()
        with Client(first.path, Patience(second.start).clock) as client:
            client.read("t", "out")
            first.stop()
            client.read("t", "out", offset=0)
    finally:
        first.stop()
        second.stop()
    assert (len(first.asked), len(second.asked)) == (1, 1)


def test_a_core_that_stays_dead_is_given_up_at_the_deadline(folder: Path) -> None:
    patience = Patience()
    core = FakeCore(folder, lambda request: [whoever(request)])
    try:
        core.start()
        with Client(core.path, patience.clock) as client:
            client.version()
            core.stop()
            with pytest.raises(EfError) as raised:
                client.version()
    finally:
        core.stop()
    assert raised.value.code is Code.NOT_RUNNING
    assert patience.now >= client_module.ANSWER_S


def test_a_core_that_hangs_up_each_time_is_not_asked_for_ever(folder: Path) -> None:
    with FakeCore(folder, lambda _: [CLOSE]) as core, Client(core.path) as client, pytest.raises(EfError) as raised:
        client.status([])
    assert raised.value.code is Code.REFUSED
    assert len(core.asked) == MAX_SILENT_ENDS


def test_a_shutdown_is_never_repeated_for_it_might_hit_the_successor(folder: Path) -> None:
    with FakeCore(folder, lambda _: [CLOSE]) as core, Client(core.path) as client, pytest.raises(EfError) as raised:
        client.ask(ShutdownRequest(id="end"), waits=True)
    assert raised.value.code is Code.NOT_RUNNING
    assert [type(request) for request in core.asked] == [ShutdownRequest]


# A Core that does not answer ----------------------------------------------------------------------------------------------------------------------


def test_a_silent_core_is_a_time_out(folder: Path) -> None:
    with FakeCore(folder, lambda _: []) as core, Client(core.path, answer_s=0.05) as client, pytest.raises(EfError) as raised:
        client.status([])
    assert raised.value.code is Code.TIMEOUT
    assert str(os.getpid()) in raised.value.message


def test_a_waiting_request_goes_on_as_long_as_the_core_gives_signs_of_life(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_module, "PING_S", 0.001)
    acting: list[str] = []

    def answer(request: Request) -> list[object]:
        if isinstance(request, ActRequest):
            acting.append(request.id)
            return []
        pongs = sum(isinstance(asked, VersionRequest) for asked in core.asked)
        done = DoneReply(id=acting[0], outcomes=[Outcome(task="t", ok=True)])
        return [whoever(request), *([done] if pongs == 5 else [])]

    with FakeCore(folder, answer) as core, Client(core.path) as client:
        assert [outcome.task for outcome in acted(client.ask(ActRequest(id="act", names=["t"]), waits=True))] == ["t"]
    assert len(acting) == 1


def test_a_waiting_request_ends_when_the_core_stops_giving_signs_of_life(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_module, "PING_S", 0.001)
    with FakeCore(folder, lambda _: []) as core, Client(core.path, answer_s=0.05) as client, pytest.raises(EfError) as raised:
        client.ask(TrmRequest(id="trm", names=["t"]), waits=True)
    assert raised.value.code is Code.TIMEOUT


def test_a_command_that_does_not_wait_asks_for_no_sign_of_life(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_module, "PING_S", 0.001)
    with FakeCore(folder, lambda _: []) as core, Client(core.path, answer_s=0.05) as client, pytest.raises(EfError):
        client.ask(ActRequest(id="act", names=["t"], wait=False))
    assert [type(request) for request in core.asked] == [ActRequest]
