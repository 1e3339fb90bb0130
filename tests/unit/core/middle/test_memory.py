"""Which calls are known: under way, answered, or forgotten."""

from __future__ import annotations

import pytest

from efsupervisor.core.middle.memory import Memory
from efsupervisor.errors import Code, EfError
from efsupervisor.messages.call import Text


def test_a_call_is_found_while_it_is_under_way_and_after_it_was_answered() -> None:
    memory: Memory[str] = Memory()
    memory.begin(0, "a", "content", "job")
    entry = memory.find(0, "a", "content")
    assert entry is not None
    assert (entry.job, entry.outcome) == ("job", None)
    memory.end(0, "a", Text(text="x"))
    assert (entry.job, entry.outcome) == (None, Text(text="x"))


def test_another_users_call_with_the_same_id_is_another_call() -> None:
    memory: Memory[str] = Memory()
    memory.begin(0, "a", "content", "job")
    assert memory.find(1, "a", "content") is None


def test_the_same_id_for_something_else_is_refused() -> None:
    memory: Memory[str] = Memory()
    memory.begin(0, "a", "content", "job")
    with pytest.raises(EfError) as raised:
        memory.find(0, "a", "other")
    assert raised.value.code is Code.BAD_REQUEST


@pytest.mark.parametrize("code", [Code.TIMEOUT, Code.NOT_RUNNING, Code.INTERNAL])
def test_an_accident_may_be_tried_again(code: Code) -> None:
    memory: Memory[str] = Memory()
    memory.begin(0, "a", "content", "job")
    memory.end(0, "a", EfError("x", code))
    assert memory.find(0, "a", "content") is None


def test_a_refusal_is_remembered() -> None:
    memory: Memory[str] = Memory()
    memory.begin(0, "a", "content", "job")
    memory.end(0, "a", EfError("x", Code.NO_SUCH_TASK))
    assert memory.find(0, "a", "content") is not None


def test_the_oldest_answers_are_forgotten_for_each_user_and_calls_under_way_never() -> None:
    memory: Memory[str] = Memory(kept=10)
    memory.begin(0, "slow", "content", "job")
    memory.begin(1, "other", "content", "job")
    memory.end(1, "other", Text(text=""))
    for number in range(1000):
        memory.begin(0, str(number), "content", "job")
        memory.end(0, str(number), Text(text=""))
    assert len(memory) == 12
    assert memory.find(0, "slow", "content") is not None
    assert memory.find(1, "other", "content") is not None
    assert memory.find(0, "989", "content") is None
    assert memory.find(0, "990", "content") is not None
