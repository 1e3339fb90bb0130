"""The way from a thread to the loop and back."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from efsupervisor.core.web import link as module
from efsupervisor.core.web.link import Link
from efsupervisor.errors import Code, EfError
from efsupervisor.messages.call import Call, ConsoleCall, Text
from efsupervisor.reactor import Reactor
from efsupervisor.system import REAL


class FakeDealer:
    """Answers at once, refuses, or never answers, by the verb."""

    def __init__(self) -> None:
        self.threads: set[int] = set()

    def ask(self, call, done, failed, deadline_s=5.0) -> None:  # type: ignore[no-untyped-def]
        self.threads.add(threading.get_ident())
        assert not isinstance(call, ConsoleCall)
        if call.verb == "good":
            done(Text(text=call.id))
        elif call.verb == "bad":
            failed(EfError("no", Code.BAD_STATE))


@pytest.fixture
def loop() -> Iterator[tuple[Link, FakeDealer]]:
    reactor, dealer = Reactor(REAL), FakeDealer()
    link = Link(reactor, dealer)
    thread = threading.Thread(target=reactor.run)
    thread.start()
    yield link, dealer
    reactor.stop()
    with pytest.raises(EfError):
        link.ask(Call(id="last", verb="bad"), 5.0)  # it wakes the loop, which ends then
    thread.join(10)
    link.close()
    reactor.close()


def test_an_answer_comes_back_to_the_thread_that_asked(loop: tuple[Link, FakeDealer]) -> None:
    link, dealer = loop
    answers: dict[str, object] = {}

    def ask(name: str) -> None:
        answers[name] = link.ask(Call(id=name, verb="good"), 5.0)

    threads = [threading.Thread(target=ask, args=(str(number),)) for number in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert answers == {str(number): Text(text=str(number)) for number in range(20)}
    assert len(dealer.threads) == 1 and threading.get_ident() not in dealer.threads


def test_an_error_is_raised_in_the_thread_that_asked(loop: tuple[Link, FakeDealer]) -> None:
    with pytest.raises(EfError, match="no") as raised:
        loop[0].ask(Call(id="x", verb="bad"), 5.0)
    assert raised.value.code is Code.BAD_STATE


def test_no_thread_waits_beyond_its_deadline(loop: tuple[Link, FakeDealer], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SLACK_S", 0.0)
    with pytest.raises(EfError) as raised:
        loop[0].ask(Call(id="x", verb="silent"), 0.01)
    assert raised.value.code is Code.TIMEOUT
