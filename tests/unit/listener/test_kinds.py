"""Types of events and their payloads, as supervisord has them."""

from __future__ import annotations

import pytest

from efsupervisor.conf.web import EVENT_TYPES
from efsupervisor.listener import kinds
from efsupervisor.messages.core import EventRow

CALLED = {"web": ("proc", "grp")}


def row(before: str, after: str, what: str = "state", task: str = "web", **others: object) -> EventRow:
    return EventRow(seq=1, wall=0.0, what=what, task=task, before=before, after=after, pid=9, facts="tries:2 pid:9 expected:1", **others)  # type: ignore[arg-type]


def test_the_configuration_knows_the_same_types() -> None:
    assert sorted(EVENT_TYPES) == sorted(kinds.NAMES)


def test_a_parent_stands_for_all_of_its_children() -> None:
    assert kinds.subscribed(["TICK", "PROCESS_LOG_STDOUT"]) == {"TICK_5", "TICK_60", "TICK_3600", "PROCESS_LOG_STDOUT"}
    assert kinds.subscribed(["EVENT"]) == set(kinds.LEAVES)
    assert kinds.subscribed([]) == frozenset()


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ("STOPPED", "STARTING", ["PROCESS_STATE_STARTING processname:proc groupname:grp from_state:STOPPED tries:2"]),
        ("STARTING", "BACKOFF", ["PROCESS_STATE_BACKOFF processname:proc groupname:grp from_state:STARTING tries:2"]),
        ("STARTING", "RUNNING", ["PROCESS_STATE_RUNNING processname:proc groupname:grp from_state:STARTING pid:9"]),
        ("RUNNING", "STOPPING", ["PROCESS_STATE_STOPPING processname:proc groupname:grp from_state:RUNNING pid:9"]),
        ("STOPPING", "STOPPED", ["PROCESS_STATE_STOPPED processname:proc groupname:grp from_state:STOPPING pid:9"]),
        ("RUNNING", "EXITED", ["PROCESS_STATE_EXITED processname:proc groupname:grp from_state:RUNNING expected:1 pid:9"]),
        ("BACKOFF", "FATAL", ["PROCESS_STATE_FATAL processname:proc groupname:grp from_state:BACKOFF"]),
        (
            "RUNNING",
            "STARTING",
            [
                "PROCESS_STATE_EXITED processname:proc groupname:grp from_state:RUNNING expected:1 pid:9",
                "PROCESS_STATE_STARTING processname:proc groupname:grp from_state:EXITED tries:2",
            ],
        ),
    ],
)
def test_a_transition_is_told_as_supervisord_tells_it(before: str, after: str, expected: list[str]) -> None:
    assert [f"{event.name} {event.payload.decode()}" for event in kinds.of_row(row(before, after), CALLED)] == expected


def test_the_supervisor_groups_and_others_are_told() -> None:
    assert kinds.of_row(row("", "RUNNING", "supervisor", ""), {}) == [("SUPERVISOR_STATE_CHANGE_RUNNING", b"")]
    assert kinds.of_row(row("", "ADDED", "group", "g"), {}) == [("PROCESS_GROUP_ADDED", b"groupname:g\n")]
    assert kinds.of_row(row("", "", "remote", "", sentence="kind", event=b"data"), {}) == [("REMOTE_COMMUNICATION", b"type:kind\ndata")]
    assert kinds.of_row(row("", "", "dead-letter"), {}) == []


@pytest.mark.parametrize(
    ("before", "now", "names"),
    [(9, 9, []), (9, 10, ["TICK_5"]), (59, 60, ["TICK_5", "TICK_60"]), (3599, 7300, ["TICK_5", "TICK_60", "TICK_3600"]), (60, 30, [])],
)
def test_ticks_come_when_their_time_is_over(before: int, now: int, names: list[str]) -> None:
    assert [event.name for event in kinds.ticks(before, now)] == names


def test_a_tick_says_when_it_was_due() -> None:
    assert kinds.ticks(9, 13)[0].payload == b"when:10"
