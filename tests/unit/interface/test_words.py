"""The lines that answer the console language."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from efsupervisor.errors import Code, ConfigError, EfError
from efsupervisor.interface.house import Caller
from efsupervisor.interface.words import MAX_TEXT, answer, flat, is_well, refused, said
from efsupervisor.messages.call import Done, Lines, Piece, Tasks
from efsupervisor.messages.core import DoneReply, Outcome, StatusReply, TaskStatus
from efsupervisor.states import Goal, Role, State
from tests.unit.interface.fake_house import FakeHouse


def row(state: State, **more: object) -> TaskStatus:
    return TaskStatus(name="a", state=state, goal=Goal.ACT, **more)  # type: ignore[arg-type]


def console(line: str, house: FakeHouse) -> Lines:
    coroutine = answer(line, house)
    try:
        coroutine.send(None)
    except StopIteration as end:
        lines: Lines = end.value
        return lines
    raise AssertionError("it waits for something")


def test_a_listing_says_the_words_of_both_traditions() -> None:
    house = FakeHouse(lambda request: [StatusReply(id=request.id, tasks=[row(State.RUNNING, pid=7, uptime_s=3.2), row(State.FATAL, reason="why")])])
    assert console("shw status", house) == Lines(lines=["OK : a ACT OK RUNNING pid 7 uptime 3s", "OK : a ACT ABN FATAL why"])


def test_each_outcome_is_a_line_and_the_first_failure_gives_the_code() -> None:
    outcomes = [Outcome(task="a", ok=True, sentence="runs"), Outcome(task="b", ok=False, code=Code.NO_SUCH_TASK, sentence="no task has this name")]
    house = FakeHouse(lambda request: [DoneReply(id=request.id, outcomes=outcomes)])
    assert console("act a,b", house) == Lines(lines=["OK : a runs", "NOK : b no task has this name"], code="no-such-task")


def test_a_line_that_is_wrong_is_answered_and_asks_nobody() -> None:
    house = FakeHouse(lambda request: [])
    lines = console("acct a", house)
    assert lines.code == "usage"
    assert lines.lines[0].startswith("NOK : ")
    assert house.asked == []


def test_a_caller_without_the_role_is_refused_before_anything_is_asked() -> None:
    house = FakeHouse(lambda request: [])
    house.caller = Caller(Role.VIEW, "somebody")
    assert console("act a", house) == Lines(lines=["NOK : act needs the role operate; somebody has view"], code="refused")
    assert house.asked == []


def test_every_finding_of_a_configuration_is_a_line_of_its_own() -> None:
    assert refused(ConfigError(["one", "two"])) == Lines(lines=["NOK : one", "NOK : two"], code="config")


def test_nothing_is_said_as_something() -> None:
    assert said(Tasks(rows=[])).lines == ["OK : none"]
    assert said(Done(rows=[])).lines == ["OK : nothing to do"]


def test_the_output_of_a_task_cannot_forge_a_line() -> None:
    piece = Piece(task="a", stream="out", offset=0, data=b"one\r\x1b[2Jtwo\n\xff\n", next=1, end=1)
    lines = said(piece).lines
    assert all(line.startswith("OK : ") and line.isprintable() for line in lines)
    assert refused(EfError("a\rOK : b")).lines == ["NOK : a", "NOK : OK : b"]


def test_a_task_is_well_unless_somebody_should_look() -> None:
    assert is_well(row(State.EXITED, exit_status=0))
    assert is_well(row(State.STOPPED))
    for bad in (
        row(State.EXITED, exit_status=256),
        row(State.EXITED, exit_status=0, exit_known=False),
        row(State.BACKOFF),
        row(State.RUNNING, health="x"),
    ):
        assert not is_well(bad)


@given(st.text(max_size=300))
def test_a_line_is_one_line_and_drives_no_terminal(text: str) -> None:
    assert all(each.isprintable() or each == "\t" for each in flat(text))


def test_a_long_line_is_cut() -> None:
    assert len(flat("x" * 100_000)) == MAX_TEXT
