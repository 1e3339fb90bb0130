"""A verb's way: the middle interface, or without it efctl itself over the Core's socket; never longer than it may take."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from efsupervisor.cli import middle as middle_module
from efsupervisor.cli import session as session_module
from efsupervisor.cli.session import Session, language_of
from efsupervisor.cli.where import Place
from efsupervisor.errors import Code, EfError
from efsupervisor.interface.daemon import DaemonVersion
from efsupervisor.interface.resource import ResourceShow
from efsupervisor.interface.task import Act, TaskDel, TaskStatusVerb
from efsupervisor.messages import (
    ActRequest,
    DelTaskRequest,
    DoneReply,
    FailedReply,
    Outcome,
    Request,
    StatusReply,
    StatusRequest,
    TaskStatus,
    VersionReply,
    VersionRequest,
)
from efsupervisor.messages.call import About, Answered, Call, ConsoleCall, Done, Lines, Tasks, Text
from efsupervisor.states import Goal, State
from tests.unit.cli.fake_core import CLOSE, FakeCore, FakeMiddle


def row(name: str) -> TaskStatus:
    return TaskStatus(name=name, state=State.RUNNING, goal=Goal.ACT)


def core_of(request: Request) -> list[object]:
    if isinstance(request, VersionRequest):
        return [VersionReply(id=request.id, version="0", pid=1, since_wall=0.0)]
    if isinstance(request, StatusRequest):
        return [StatusReply(id=request.id, tasks=[row("from-the-core")])]
    return [DoneReply(id=request.id, outcomes=[Outcome(task="t", ok=True, sentence="by the Core")])]


def silent(_request: object) -> list[object]:
    return []


def alive(call: Call) -> Answered:
    return Answered(id=call.id, answer=About(version="0", pid=1, since=1.0))


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def session(folder: Path, said: list[str]) -> Iterator[Session]:
    with Session(Place(str(folder / "core.sock"), str(folder), str(folder / "run" / "middle.sock")), say=said.append) as session:
        yield session


@pytest.fixture
def quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    """Patience in hundredths of a second."""
    monkeypatch.setattr(middle_module, "SILENCE_S", 0.06)
    monkeypatch.setattr(middle_module, "PING_S", 0.02)


def names(answer: Any) -> list[str]:
    return [each.name for each in answer.rows]


# The middle interface -----------------------------------------------------------------------------------------------------------------------------


def test_a_verb_is_one_call_with_its_fields_and_nobody_else_is_asked(folder: Path, session: Session) -> None:
    def answer(call: Call) -> list[object]:
        return [Answered(id=call.id, answer=Tasks(rows=[row("a")]))]

    with FakeCore(folder, core_of) as core, FakeMiddle(folder, answer) as middle:
        assert names(session.do(TaskStatusVerb(names=["a"]))) == ["a"]
    (call,) = middle.calls
    assert (call.verb, msgspec.json.decode(call.fields)["names"]) == ("task.status", ["a"])
    assert 0 < call.deadline_s < 5
    assert core.asked == []


def test_an_answer_in_several_frames_is_one(folder: Path, session: Session) -> None:
    def answer(call: Call) -> list[object]:
        return [Answered(id=call.id, answer=Tasks(rows=[row("a")]), more=True), Answered(id=call.id, answer=Tasks(rows=[row("b")]))]

    with FakeMiddle(folder, answer):
        assert names(session.do(TaskStatusVerb())) == ["a", "b"]


def test_texts_and_lines_in_several_frames_are_one_too() -> None:
    assert middle_module.joined([Text(text="a"), Text(text="b")]) == Text(text="ab")
    assert middle_module.joined([Lines(lines=["NOK : a"], code="usage"), Lines(lines=["OK : b"])]) == Lines(lines=["NOK : a", "OK : b"], code="usage")


def test_what_the_middle_interface_refuses_is_refused_and_not_tried_elsewhere(folder: Path, session: Session) -> None:
    def answer(call: Call) -> list[object]:
        return [FailedReply(id=call.id, code=Code.NO_SUCH_TASK, sentence="there is no x")]

    with FakeCore(folder, core_of) as core, FakeMiddle(folder, answer), pytest.raises(EfError, match="there is no x") as raised:
        session.do(TaskStatusVerb(names=["x"]))
    assert raised.value.code is Code.NO_SUCH_TASK
    assert core.asked == []


def test_a_call_whose_connection_ends_is_repeated_with_the_same_id(folder: Path, session: Session) -> None:
    first = iter([[CLOSE]])

    def answer(call: Call) -> list[object]:
        return next(first, None) or [Answered(id=call.id, answer=Done(rows=[]))]

    with FakeMiddle(folder, answer) as middle:
        session.do(TaskDel(names=["a"]))
    assert len(middle.calls) == 2
    assert len({call.id for call in middle.calls}) == 1


@pytest.mark.usefixtures("quickly")
def test_a_slow_answer_is_waited_for_as_long_as_there_are_signs_of_life(folder: Path, session: Session) -> None:
    acting: list[str] = []

    def answer(call: Call) -> list[object]:
        if call.verb == "act":
            acting.append(call.id)
            return []
        pongs = sum(asked.verb == "daemon.version" for asked in middle.asked)
        return [alive(call), *([Answered(id=acting[0], answer=Done(rows=[]))] if pongs == 6 else [])]

    with FakeCore(folder, core_of) as core, FakeMiddle(folder, answer) as middle:
        session.do(Act(names=["a"]))
    assert len(acting) == 1
    assert core.asked == []
    assert middle.calls[0].deadline_s == 0


def test_work_that_takes_long_is_looked_at_meanwhile(folder: Path, session: Session) -> None:
    looks: list[int] = []

    def answer(call: Call) -> list[object]:
        while not looks:
            time.sleep(0.01)
        return [Answered(id=call.id, answer=Done(rows=[]))]

    with FakeMiddle(folder, answer):
        session.do(Act(names=["a"]), lambda: looks.append(1))
    assert looks


# Without it ---------------------------------------------------------------------------------------------------------------------------------------


def test_without_a_middle_interface_the_verb_is_run_here_and_nothing_is_said_on_stderr(
    folder: Path, session: Session, said: list[str], capfd: pytest.CaptureFixture[str]
) -> None:
    with FakeCore(folder, core_of) as core:
        assert names(session.do(TaskStatusVerb(names=["a"]))) == ["from-the-core"]
    assert [request.names for request in core.asked] == [["a"]]
    assert len(said) == 1  # only who asked to be told hears it
    assert "the Core itself is asked" in said[0]
    assert capfd.readouterr() == ("", "")


@pytest.mark.usefixtures("quickly")
def test_a_middle_interface_that_is_silent_is_given_up_and_the_core_gets_the_same_id(folder: Path, session: Session) -> None:
    with FakeCore(folder, core_of) as core, FakeMiddle(folder, silent) as middle:
        answer = session.do(TaskDel(names=["a"]))
    assert isinstance(answer, Done)
    assert [outcome.sentence for outcome in answer.rows] == ["by the Core"]
    (request,) = core.asked
    assert isinstance(request, DelTaskRequest)
    assert request.id == middle.calls[0].id


@pytest.mark.usefixtures("quickly")
def test_a_silent_one_is_left_alone_for_the_next_lines(folder: Path, session: Session) -> None:
    with FakeCore(folder, core_of) as core, FakeMiddle(folder, silent) as middle:
        session.do(TaskStatusVerb())
        session.do(TaskStatusVerb())
    assert len(middle.calls) == 1
    assert len(core.asked) == 2


@pytest.mark.usefixtures("quickly")
def test_one_that_dies_and_does_not_come_back_leaves_the_call_to_the_core(folder: Path, session: Session) -> None:
    def answer(_call: Call) -> list[object]:
        os.unlink(middle.path)
        return [CLOSE]

    with FakeCore(folder, core_of) as core, FakeMiddle(folder, answer) as middle:
        session.do(Act(names=["a"]))
    (request,) = core.asked
    assert isinstance(request, ActRequest)
    assert request.id == middle.calls[0].id


@pytest.mark.usefixtures("quickly")
def test_a_middle_interface_that_only_knows_that_the_core_is_silent_is_no_sign_of_life(folder: Path, session: Session) -> None:
    def answer(call: Call) -> list[object]:
        return [Answered(id=call.id, answer=About(version="0", pid=1, since=0.0, ready=False))] if call.verb == "daemon.version" else []

    with FakeCore(folder, core_of) as core, FakeMiddle(folder, answer):
        session.do(Act(names=["a"]))
    assert [type(request) for request in core.asked] == [ActRequest]


@pytest.mark.alone
@pytest.mark.usefixtures("quickly")
def test_when_both_are_silent_it_is_a_time_out_in_all(folder: Path, session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session_module, "ANSWER_S", 0.3)
    began = time.monotonic()
    with FakeCore(folder, silent), FakeMiddle(folder, silent), pytest.raises(EfError, match="efsupervisord") as raised:
        session.do(TaskStatusVerb())
    assert raised.value.code is Code.TIMEOUT
    assert time.monotonic() - began < 1


@pytest.mark.alone
def test_nobody_at_all_is_said_at_once(session: Session) -> None:
    began = time.monotonic()
    with pytest.raises(EfError, match=r"efsupervisord is not running.*efsupervisord -c FILE") as raised:
        session.do(TaskStatusVerb())
    assert raised.value.code is Code.NOT_RUNNING
    assert time.monotonic() - began < 0.2


def test_figures_need_the_collector_and_so_the_middle_interface(folder: Path, session: Session) -> None:
    with FakeCore(folder, core_of), pytest.raises(EfError, match="resource collector") as raised:
        session.do(ResourceShow())
    assert raised.value.code is Code.NOT_RUNNING


def test_figures_of_a_supervisor_that_does_not_run_are_not_the_collectors_fault(session: Session) -> None:
    with pytest.raises(EfError, match="efsupervisord is not running"):
        session.do(ResourceShow())


def test_to_the_core_it_is_the_same_request_whichever_way_it_came(folder: Path, session: Session) -> None:
    with FakeCore(folder, core_of) as core:
        session.do(TaskDel(names=["a"]))
    (request,) = core.asked
    assert request.asked_by == f"uid {os.geteuid()} pid {os.getpid()}"  # as the middle interface names whom the kernel says it is


def test_requests_of_one_verb_have_ids_that_belong_together(folder: Path, session: Session) -> None:
    def answer(request: Request) -> list[object]:
        return [FailedReply(id=request.id, code=Code.BAD_REQUEST, sentence="no")]

    with FakeCore(folder, answer) as core, pytest.raises(EfError):
        session.do(DaemonVersion())
    house = session._house(session.core, "call", patient=False)
    assert [house.next_id() for _ in range(3)] == ["call", "call.2", "call.3"]
    assert len(core.asked) == 1


# The console language -----------------------------------------------------------------------------------------------------------------------------


def test_a_console_line_goes_as_it_is_with_the_callers_language(folder: Path) -> None:
    def answer(call: ConsoleCall) -> list[object]:
        return [Answered(id=call.id, answer=Lines(lines=["OK : said"]))]

    place = Place(str(folder / "core.sock"), str(folder), str(folder / "run" / "middle.sock"))
    with FakeMiddle(folder, answer) as middle, Session(place, "ko") as session:
        assert session.console("shw task a").lines == ["OK : said"]
    assert [(call.line, call.language) for call in middle.calls] == [("shw task a", "ko")]


def test_without_a_middle_interface_a_console_line_is_answered_here(folder: Path, session: Session) -> None:
    with FakeCore(folder, core_of):
        assert session.console("act a").lines == ["OK : t by the Core"]
        wrong = session.console("shw nonsense")
    assert wrong.code == Code.USAGE
    assert wrong.lines[0].startswith("NOK : ")


@pytest.mark.parametrize(
    ("environment", "language"),
    [
        ({}, "en"),
        ({"LANG": "ko_KR.UTF-8"}, "ko"),
        ({"LANG": "ko_KR.UTF-8", "LC_ALL": "C"}, "en"),
        ({"LANG": "de_DE", "LC_MESSAGES": "ko"}, "ko"),
        ({"LC_ALL": "", "LANG": "ko"}, "ko"),
    ],
)
def test_the_language_is_the_locales(environment: dict[str, str], language: str) -> None:
    assert language_of(environment) == language
