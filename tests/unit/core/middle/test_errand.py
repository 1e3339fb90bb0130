"""One verb under way: steps, what comes at once and what comes later, and its one end."""

from __future__ import annotations

import logging
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from efsupervisor.core.middle.errand import Errand
from efsupervisor.errors import Code, EfError
from efsupervisor.interface.house import Wait
from efsupervisor.messages.call import Answer, Text

LOG = logging.getLogger("test")


class Later:
    """A thing to wait for that comes when the test says so."""

    def __init__(self) -> None:
        self.done: Callable[[Any], None]
        self.failed: Callable[[BaseException], None]

    def wait(self) -> Wait:
        return Wait(self._begin)

    def _begin(self, done: Callable[[Any], None], failed: Callable[[BaseException], None]) -> None:
        self.done, self.failed = done, failed


def begin(coroutine: Coroutine[Any, Any, Answer]) -> tuple[Errand, list[Answer | EfError]]:
    ends: list[Answer | EfError] = []
    errand = Errand(coroutine, ends.append, LOG)
    errand.start()
    return errand, ends


def test_what_comes_later_is_a_further_step() -> None:
    later = Later()

    async def verb() -> Answer:
        return Text(text=await later.wait() + await later.wait())

    _, ends = begin(verb())
    assert ends == []
    later.done("a")
    assert ends == []
    later.done("b")
    assert ends == [Text(text="ab")]


def test_a_thousand_things_that_come_at_once_need_no_deep_stack() -> None:
    async def verb() -> Answer:
        return Text(text=str(sum([await Wait(lambda done, failed: done(1)) for _ in range(10_000)])))

    assert begin(verb())[1] == [Text(text="10000")]


def test_what_goes_wrong_is_raised_inside_and_may_be_dealt_with() -> None:
    later = Later()

    async def verb() -> Answer:
        try:
            await later.wait()
        except EfError as error:
            return Text(text=error.message)
        return Text(text="")

    _, ends = begin(verb())
    later.failed(EfError("no"))
    assert ends == [Text(text="no")]


def test_only_the_first_word_counts() -> None:
    first, second = Later(), Later()

    async def verb() -> Answer:
        await first.wait()
        return Text(text=await second.wait())

    _, ends = begin(verb())
    first.done(1)
    first.done("this is not for the second")
    first.failed(EfError("nor is this"))
    assert ends == []
    second.done("once")
    assert ends == [Text(text="once")]


def test_a_refusal_is_the_end() -> None:
    async def verb() -> Answer:
        raise EfError("no", Code.BAD_STATE)

    ends = begin(verb())[1]
    assert isinstance(ends[0], EfError)
    assert ends[0].code is Code.BAD_STATE


def test_a_fault_of_ours_is_logged_and_answered_as_that(caplog: pytest.LogCaptureFixture) -> None:
    async def verb() -> Answer:
        raise KeyError("oops")

    ends = begin(verb())[1]
    assert isinstance(ends[0], EfError)
    assert ends[0].code is Code.INTERNAL
    assert "KeyError" in caplog.text


def test_what_was_cancelled_never_ends_and_lets_go_of_what_it_holds() -> None:
    later, released = Later(), []

    async def verb() -> Answer:
        try:
            await later.wait()
        finally:
            released.append(True)
        return Text(text="")

    errand, ends = begin(verb())
    errand.cancel()
    later.done(1)
    assert ends == []
    assert released == [True]
