"""Collectors: who is there, questions with ids of ours, answers from the right line only."""

from __future__ import annotations

from typing import Any

import pytest

from efsupervisor.core.middle.collectors import ANSWER_S, FRESH_S, MAX_PARTS, MAX_QUESTIONS, Collectors
from efsupervisor.errors import Code, EfError
from efsupervisor.messages import FailedReply
from efsupervisor.messages.call import Answered, ResourceQuery, ResultRow, Results, Text
from tests.unit.core.middle.fakes import FakeReactor

QUERY = ResourceQuery(id="callers own", names=["a"])


class FakeLine:
    def __init__(self) -> None:
        self.told: list[Any] = []

    def tell(self, message: object) -> None:
        self.told.append(message)


class Bench:
    def __init__(self) -> None:
        self.reactor = FakeReactor()
        self.collectors = Collectors(self.reactor)  # type: ignore[arg-type]
        self.line = FakeLine()
        self.came: list[object] = []
        self.wrong: list[Any] = []

    def ask(self, name: str = "resource") -> None:
        self.collectors.ask(name, QUERY, self.came.append, self.wrong.append)

    @property
    def code(self) -> Code:
        [error] = self.wrong
        assert isinstance(error, EfError)
        return error.code


@pytest.fixture
def bench() -> Bench:
    bench = Bench()
    bench.collectors.here(bench.line, "resource")
    return bench


def test_a_question_carries_an_id_of_ours_and_its_answer_is_relayed(bench: Bench) -> None:
    bench.ask()
    [query] = bench.line.told
    assert (query.names, query.id == QUERY.id) == (["a"], False)
    bench.collectors.said(bench.line, Answered(id=query.id, answer=Text(text="x")))
    assert bench.came == [Text(text="x")]
    bench.reactor.pass_(ANSWER_S + 1)
    assert bench.wrong == []


def test_an_answer_in_parts_is_made_whole(bench: Bench) -> None:
    bench.ask()
    rows = [ResultRow(task="a", offset=number, wall=1.0, data=b"") for number in range(2)]
    own = bench.line.told[0].id
    bench.collectors.said(bench.line, Answered(id=own, answer=Results(rows=rows[:1]), more=True))
    assert bench.came == []
    bench.collectors.said(bench.line, Answered(id=own, answer=Results(rows=rows[1:], posted=3)))
    assert bench.came == [Results(rows=rows, posted=3)]


def test_an_answer_without_end_is_given_up(bench: Bench) -> None:
    bench.ask()
    own = bench.line.told[0].id
    for _ in range(MAX_PARTS + 1):
        bench.collectors.said(bench.line, Answered(id=own, answer=Text(text="x"), more=True))
    assert bench.code is Code.TOO_LARGE


def test_what_another_line_says_is_no_answer(bench: Bench) -> None:
    bench.ask()
    own = bench.line.told[0].id
    bench.collectors.said(FakeLine(), Answered(id=own, answer=Text(text="forged")))
    bench.collectors.said(FakeLine(), FailedReply(id=own, code=Code.SYSTEM, sentence="forged"))
    assert (bench.came, bench.wrong) == ([], [])


def test_a_refusal_of_the_collector_is_raised(bench: Bench) -> None:
    bench.ask()
    bench.collectors.said(bench.line, FailedReply(id=bench.line.told[0].id, code=Code.NO_SUCH_TASK, sentence="no"))
    assert bench.code is Code.NO_SUCH_TASK


@pytest.mark.parametrize("name", ["result", "nonsense"])
def test_a_collector_that_never_spoke_is_not_there(bench: Bench, name: str) -> None:
    bench.collectors.here(bench.line, "nonsense")
    bench.ask(name)
    assert bench.code is Code.NOT_RUNNING


def test_one_that_was_not_heard_for_a_while_is_not_there_until_it_speaks_again(bench: Bench) -> None:
    bench.reactor.pass_(FRESH_S + 0.1)
    bench.ask()
    assert bench.code is Code.NOT_RUNNING
    bench.collectors.here(bench.line, "resource")
    bench.ask()
    assert len(bench.line.told) == 1


def test_the_last_one_to_say_a_name_has_it(bench: Bench) -> None:
    successor = FakeLine()
    bench.collectors.here(successor, "resource")
    bench.ask()
    assert (len(bench.line.told), len(successor.told)) == (0, 1)


def test_one_that_does_not_answer_is_told_in_time_and_its_late_answer_dropped(bench: Bench) -> None:
    bench.ask()
    bench.reactor.pass_(ANSWER_S + 0.1)
    assert bench.code is Code.TIMEOUT
    bench.collectors.said(bench.line, Answered(id=bench.line.told[0].id, answer=Text(text="late")))
    assert bench.came == []


def test_the_questions_of_one_that_goes_away_are_told_at_once(bench: Bench) -> None:
    bench.ask()
    bench.collectors.gone(bench.line)
    assert bench.code is Code.NOT_RUNNING
    bench.reactor.pass_(ANSWER_S + 0.1)
    assert len(bench.wrong) == 1


def test_the_number_of_questions_is_bounded(bench: Bench) -> None:
    for _ in range(MAX_QUESTIONS + 1):
        bench.ask()
    assert bench.code is Code.REFUSED
    assert len(bench.line.told) == MAX_QUESTIONS
