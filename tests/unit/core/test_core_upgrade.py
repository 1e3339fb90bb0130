"""An upgrade's pure parts: who may take over, what is handed over, and what is believed of it."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from efsupervisor.core.handover import VARIABLE, Handover, Remembered, give, take, take_back
from efsupervisor.core.memory import UNKNOWN_OUTCOME, Memory
from efsupervisor.core.reaper import Dead, Graveyard
from efsupervisor.core.trial import Finding, objection
from efsupervisor.core.upgrade import verdict
from efsupervisor.errors import Code, EfError
from efsupervisor.messages import ActRequest, DoneReply, FailedReply, Outcome, RestartRequest, UpgradeRequest
from efsupervisor.system import REAL

MINE = Finding(version="1", var="/v", protocol=1, state=2, takes_over=True)


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({}, ""),
        ({"version": "2", "state": 3, "tasks": 9}, ""),
        ({"takes_over": False}, "cannot take over"),
        ({"var": "/w"}, "another state folder"),
        ({"protocol": 2}, "speaks protocol 2"),
        ({"state": 1}, "cannot read the saved state"),
    ],
)
def test_who_cannot_take_over_is_told_why(changes: dict[str, Any], word: str) -> None:
    why = objection(msgspec.structs.replace(MINE, **changes), MINE)
    assert (word in why) if word else why == ""


def test_a_trials_last_line_is_its_finding_and_everything_else_is_why_not() -> None:
    good = msgspec.json.encode(MINE).decode()
    assert verdict(f"a warning\n{good}\n", MINE) == MINE
    for said, code, word in (
        (None, Code.TIMEOUT, "did not say within"),
        ("", Code.CONFIG, "it says nothing"),
        ("x.yaml:3: no such key", Code.CONFIG, "no such key"),
        ('{"version": "9"}', Code.REFUSED, "cannot take over"),
    ):
        with pytest.raises(EfError, match=word) as raised:
            verdict(said, MINE)
        assert raised.value.code is code


@pytest.fixture
def lock() -> Iterator[int]:
    reader, writer = os.pipe()
    os.close(writer)
    fcntl.fcntl(reader, fcntl.F_SETFD, fcntl.FD_CLOEXEC)
    yield reader
    os.close(reader)


def handover(lock: int, **changes: Any) -> Handover:
    fields: dict[str, Any] = {"pid": os.getpid(), "start_ticks": REAL.start_ticks("self"), "lock_fd": lock, "again": [("a", "somebody")]}
    return Handover(**(fields | changes))


def closes_on_exec(fd: int) -> bool:
    return bool(fcntl.fcntl(fd, fcntl.F_GETFD) & fcntl.FD_CLOEXEC)


def test_what_is_given_outlives_execve_and_is_taken_once(lock: int) -> None:
    environment: dict[str, str] = {}
    fds = give(handover(lock), environment)
    assert not any(map(closes_on_exec, fds))
    assert take(environment, REAL) == handover(lock)
    assert closes_on_exec(lock)
    assert take(environment, REAL) is None
    assert environment == {}


def test_an_execve_that_failed_leaves_everything_as_it_was(lock: int) -> None:
    environment: dict[str, str] = {}
    fds = give(handover(lock), environment)
    take_back(fds, environment)
    assert (environment, closes_on_exec(lock)) == ({}, True)
    with pytest.raises(OSError, match="Bad file"):
        os.fstat(fds[0])


@pytest.mark.parametrize("changes", [{"pid": 1}, {"start_ticks": 1}])
def test_what_another_process_wrote_is_not_believed(lock: int, changes: dict[str, Any]) -> None:
    environment: dict[str, str] = {}
    (handed, _) = give(handover(lock, **changes), environment)
    assert take(environment, REAL) is None
    os.close(handed)


@pytest.mark.parametrize("said", ["", "x", "1", "-3", "999999", "99999999999999"])
def test_somebodys_variable_of_that_name_is_an_ordinary_start(said: str) -> None:
    environment = {VARIABLE: said}
    assert take(environment, REAL) is None
    assert environment == {}


class Asker:
    waits_for = 0

    def __init__(self) -> None:
        self.got: list[Any] = []

    def reply(self, replies: Any) -> None:
        self.got += replies


def asked_again(memory: Memory, request: Any) -> tuple[list[Any], bool]:
    asked, new = memory.known("x", request)
    asker = Asker()
    asked.join(asker)
    return asker.got, new


def test_answers_outlive_an_upgrade_and_what_was_under_way_is_done_again_only_where_that_is_the_same() -> None:
    before, after = Memory(), Memory()
    answer = DoneReply(id="1", outcomes=[Outcome(task="a", ok=True)])
    before.known("x", ActRequest(id="1", names=["a"]))[0].reply([answer])
    before.known("x", ActRequest(id="2", names=["a"]))
    before.known("x", RestartRequest(id="3", names=["a"]))
    before.known("x", UpgradeRequest(id="4"))
    after.taken(before.told())
    assert asked_again(after, ActRequest(id="1", names=["a"])) == ([answer], False)
    assert asked_again(after, ActRequest(id="2", names=["a"])) == ([], True)
    assert asked_again(after, RestartRequest(id="3", names=["a"])) == ([FailedReply(id="3", code=Code.BAD_STATE, sentence=UNKNOWN_OUTCOME)], False)
    assert asked_again(after, UpgradeRequest(id="4")) == ([], True)


def test_an_answer_that_is_too_long_is_not_handed_over() -> None:
    memory = Memory()
    rows = [Outcome(task="a" * 200, ok=True)] * 2000
    memory.known("x", ActRequest(id="1", names=["a"]))[0].reply([DoneReply(id="1", outcomes=rows)])
    assert memory.told() == []


def test_a_newer_programs_handover_is_read_by_an_older_one() -> None:
    document = msgspec.json.decode(msgspec.json.encode(Handover(pid=1, start_ticks=2, lock_fd=3, memory=[Remembered(id="1", content=b"x")])))
    assert msgspec.convert(document | {"added_later": {"deep": [1]}}, Handover).lock_fd == 3
    assert msgspec.convert({"pid": 1, "start_ticks": 2, "lock_fd": 3}, Handover).memory == []


def test_the_last_dead_are_told() -> None:
    graveyard = Graveyard()
    for pid in range(5):
        graveyard.bury(Dead(pid, pid * 10, 0))
    assert graveyard.last(2) == [(3, 30, 0), (4, 40, 0)]
