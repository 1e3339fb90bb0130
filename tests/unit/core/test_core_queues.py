"""The four queues: order of arrival over all of them."""

from __future__ import annotations

import pytest

from efsupervisor.core import queues
from efsupervisor.core.queues import Entry, Queue, Queues


def entry(queue: Queue, name: str, done: list[str]) -> Entry:
    return Entry(queue, lambda: done.append(name))


def work_all(waiting: Queues) -> None:
    while (head := waiting.pop()) is not None:
        head.work()


def test_entries_of_different_queues_are_worked_in_the_order_in_which_they_arrived() -> None:
    waiting, done = Queues(), []  # type: ignore[var-annotated]
    arrivals = [Queue.TRM, Queue.ACT, Queue.DEL, Queue.ACT, Queue.ADD, Queue.TRM]
    for number, queue in enumerate(arrivals):
        waiting.put(entry(queue, f"{number} {queue.value}", done))
    work_all(waiting)
    assert done == ["0 trm_task", "1 act_task", "2 del_task", "3 act_task", "4 add_task", "5 trm_task"]


def test_what_arrives_while_the_queues_are_worked_comes_after_what_was_there() -> None:
    waiting, done = Queues(), []  # type: ignore[var-annotated]
    waiting.put(Entry(Queue.DEL, lambda: waiting.put(entry(Queue.ACT, "late", done))))
    waiting.put(entry(Queue.TRM, "early", done))
    work_all(waiting)
    assert done == ["early", "late"]


def test_an_empty_house_of_queues_gives_nothing() -> None:
    assert Queues().pop() is None


def test_a_request_that_would_overfill_the_queues_is_seen_before_anything_is_queued(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queues, "MAX_ENTRIES", 3)
    waiting = Queues()
    waiting.put(entry(Queue.ACT, "one", []))
    assert waiting.has_room(2)
    assert not waiting.has_room(3)
