"""Alerts between the Core's long polls and the posts."""

from __future__ import annotations

import json

from efsupervisor.core.collector.alerts import NAME, ROOM, Alerts
from efsupervisor.messages.core import EventRow


def row(seq: int, what: str = "message") -> EventRow:
    return EventRow(seq=seq, wall=1.5, what=what, task="T", sentence=f"sentence {seq}", event=b"\xff", lines=["a", "b"])


def test_transitions_are_no_alerts() -> None:
    alerts = Alerts()
    alerts.fetched([row(1, "state"), row(2)], 3, 0)
    assert [json.loads(record)["seq"] for record in alerts.look({}, 10).records] == [2]


def test_what_was_not_accepted_is_given_again_and_what_was_is_not() -> None:
    alerts = Alerts()
    alerts.fetched([row(number) for number in range(5)], 5, 0)
    first = alerts.look({}, 2)
    assert first.until == {NAME: 2}
    assert alerts.look({}, 2, first.until).records == first.records
    assert [json.loads(record)["seq"] for record in alerts.look(first.until, 10).records] == [2, 3, 4]
    assert alerts.waiting({NAME: 4}) == 1


def test_a_record_says_all_that_is_known() -> None:
    alerts = Alerts()
    alerts.fetched([row(7)], 8, 0)
    assert json.loads(alerts.look({}, 1).records[0]) == {
        "at": NAME, "next": 8, "seq": 7, "time": 1.5, "task": "T", "what": "message", "sentence": "sentence 7", "lines": ["a", "b"],
        "event": {"base64": "/w=="},
    }  # fmt: skip


def test_alerts_that_the_core_did_not_keep_are_counted_once() -> None:
    alerts = Alerts()
    alerts.fetched([row(10)], 11, 4)
    assert alerts.look({}, 10).lost == 4
    assert alerts.look({}, 10).lost == 0


def test_no_more_are_held_than_there_is_room_for() -> None:
    alerts = Alerts()
    alerts.fetched([row(number) for number in range(ROOM)], ROOM, 0)
    assert not alerts.has_room
    alerts.look({NAME: 1}, 1)
    assert alerts.has_room


def test_a_late_answer_of_before_is_not_taken_twice() -> None:
    alerts = Alerts()
    alerts.fetched([row(1), row(2)], 3, 0)
    alerts.fetched([row(1)], 2, 0)
    assert alerts.waiting({}) == 2
