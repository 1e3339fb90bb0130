"""Requests that come again: through which door does not matter."""

from __future__ import annotations

from efsupervisor.core.memory import Memory
from efsupervisor.messages import ActRequest


def test_a_retry_through_another_door_is_the_same_request() -> None:
    memory = Memory()
    first, new = memory.known(0, "1", "middle", ActRequest(id="1", names=["a"], asked_by="uid 0 pid 7"))
    assert new
    assert memory.known(0, "1", "efctl", ActRequest(id="1", names=["a"])) == (first, False)


def test_another_request_under_the_same_id_is_not() -> None:
    memory = Memory()
    first, _ = memory.known(0, "1", "x", ActRequest(id="1", names=["a"]))
    other, new = memory.known(0, "1", "x", ActRequest(id="1", names=["b"]))
    assert other is not first
    assert not new
