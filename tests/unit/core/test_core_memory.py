"""A request that comes again is answered again, not worked again."""

from __future__ import annotations

from collections.abc import Iterable

from efsupervisor.core import memory
from efsupervisor.core.memory import Memory
from efsupervisor.errors import Code
from efsupervisor.messages import ActRequest, DoneReply, FailedReply, Outcome, Reply, TrmRequest


class Client:
    """A connection that keeps its replies."""

    def __init__(self) -> None:
        self.waits_for = 0
        self.replies: list[Reply] = []

    def reply(self, replies: Iterable[Reply]) -> None:
        self.replies += replies


ACT = ActRequest(id="1", names=["a"])
DONE = [DoneReply(id="1", outcomes=[Outcome(task="a", ok=True)])]


def test_a_repeated_request_is_not_new_and_gets_the_answer_of_the_first() -> None:
    kept, first, second = Memory(), Client(), Client()
    asked, new = kept.known("me", ACT)
    assert new and str(asked) == "me"
    asked.join(first)
    asked.reply(iter(DONE))
    again, new = kept.known("me", ACT)
    again.join(second)
    assert not new
    assert first.replies == second.replies == DONE


def test_both_get_the_one_answer_when_the_first_is_still_under_way() -> None:
    kept, first, second = Memory(), Client(), Client()
    asked, _ = kept.known("me", ACT)
    asked.join(first)
    again, new = kept.known("me", ACT)
    again.join(second)
    assert not new and (first.waits_for, second.waits_for) == (1, 1)
    asked.reply(DONE)
    assert first.replies == second.replies == DONE
    assert (first.waits_for, second.waits_for) == (0, 0)


def test_a_connection_that_ended_gets_nothing_and_the_one_that_asks_again_does() -> None:
    kept, gone, stays = Memory(), Client(), Client()
    asked, _ = kept.known("me", ACT)
    asked.join(gone)
    kept.gone(gone)
    asked.reply(DONE)
    kept.known("me", ACT)[0].join(stays)
    assert gone.replies == []
    assert stays.replies == DONE


def test_a_retry_through_another_door_and_on_behalf_of_another_is_the_same_request() -> None:
    kept = Memory()
    asked, _ = kept.known("me", ACT)
    assert kept.known("you", ActRequest(id="1", names=["a"], asked_by="you")) == (asked, False)


def test_an_id_that_comes_back_with_another_request_is_refused_and_the_first_stays_known() -> None:
    kept, client = Memory(), Client()
    asked, _ = kept.known("me", ACT)
    asked.reply(DONE)
    for other in (TrmRequest(id="1", names=["a"]), ActRequest(id="1", names=["b"])):
        wrong, new = kept.known("me", other)
        wrong.join(client)
        assert not new
        reply = client.replies.pop()
        assert isinstance(reply, FailedReply) and reply.code is Code.BAD_REQUEST
    assert kept.known("me", ACT) == (asked, False)


def test_requests_without_an_id_are_always_new() -> None:
    kept = Memory()
    assert kept.known("me", ActRequest(id="", names=["a"]))[1]
    assert kept.known("me", ActRequest(id="", names=["a"]))[1]
    assert len(kept) == 0


def test_the_oldest_are_forgotten_by_number_and_by_size() -> None:
    kept = Memory()
    for number in range(memory.REMEMBERED + 10):
        kept.known("me", ActRequest(id=f"{number}", names=["a"]))[0].reply(DONE)
    assert len(kept) == memory.REMEMBERED
    assert kept.known("me", ActRequest(id="0", names=["a"]))[1]
    large = [DoneReply(id="x", outcomes=[Outcome(task="a", ok=True)] * (memory.MAX_OUTCOMES // 2 + 1))]
    for number in range(5):
        kept.known("me", ActRequest(id=f"large {number}", names=["a"]))[0].reply(large)
    kept.known("me", ActRequest(id="last", names=["a"]))
    assert len(kept) <= 3


def test_a_pending_request_that_was_forgotten_still_answers_who_waits() -> None:
    kept, client = Memory(), Client()
    asked, _ = kept.known("me", ActRequest(id="first", names=["a"]))
    asked.join(client)
    for number in range(memory.REMEMBERED):
        kept.known("me", ActRequest(id=f"{number}", names=["a"]))
    asked.reply(DONE)
    assert client.replies == DONE
