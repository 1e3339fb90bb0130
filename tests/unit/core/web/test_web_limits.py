"""Deadlines of connections and heads of requests: pure rules."""

from __future__ import annotations

import pytest

from efsupervisor.conf.schema import WebSpec
from efsupervisor.core.web import limits
from efsupervisor.core.web.limits import Wait

WEB = WebSpec(request_s=5.0, idle_s=15.0)


class Head:
    """A head as the parser gives it."""

    def __init__(self, headers: dict[str, str] | None = None, **others: object) -> None:
        self.headers = {"HOST": "127.0.0.1"} if headers is None else headers
        self.command = str(others.get("command", "GET"))
        self.version = str(others.get("version", "1.1"))
        self.chunked = bool(others.get("chunked", False))
        self.request_uri = str(others.get("request_uri", "/api/v1/health"))


@pytest.mark.parametrize(
    ("wait", "waited_s", "silent_s", "overdue"),
    [
        (Wait.IDLE, 14.9, 14.9, False),
        (Wait.IDLE, 15.1, 15.1, True),
        (Wait.ARRIVING, 4.9, 0.0, False),
        (Wait.ARRIVING, 5.1, 0.0, True),
        (Wait.SERVING, 1e6, 1e6, False),
        (Wait.SENDING, 59.0, 1.0, False),
        (Wait.SENDING, 61.0, 0.0, True),
        (Wait.SENDING, 16.0, 15.1, True),
        (Wait.LINGERING, 1.9, 0.0, False),
        (Wait.LINGERING, 2.1, 0.0, True),
    ],
)
def test_each_wait_has_its_own_deadline(wait: Wait, waited_s: float, silent_s: float, overdue: bool) -> None:
    assert limits.is_overdue(wait, waited_s, silent_s, WEB) is overdue


def test_a_byte_a_second_does_not_lengthen_the_time_for_a_request() -> None:
    assert limits.is_overdue(Wait.ARRIVING, 5.1, 0.01, WEB)


def test_a_plain_head_is_let_through() -> None:
    assert limits.fault_of(Head()) == ""
    assert limits.fault_of(Head({"HOST": "a", "CONTENT_LENGTH": "3"}, command="POST")) == ""
    assert limits.fault_of(Head({"HOST": "a"}, command="POST", chunked=True)) == ""


@pytest.mark.parametrize(
    "head",
    [
        Head({"HOST": "a", "CONTENT_LENGTH": "3"}, chunked=True),
        Head({"HOST": "a", "TRANSFER_ENCODING": "chunked"}, version="1.0"),
        Head({}),
        Head({"HOST": "a, b"}),
        Head(version="2.0"),
        Head(version=""),
        Head(command="BREW"),
        Head(request_uri="http://127.0.0.1/api/v1/health"),
        Head(request_uri="*"),
        Head(request_uri="/a%00b"),
    ],
)
def test_what_two_readers_could_read_in_two_ways_is_refused(head: Head) -> None:
    assert limits.fault_of(head)


@pytest.mark.parametrize(
    ("head", "body"),
    [
        (Head(), False),
        (Head({"CONTENT_LENGTH": "0"}), False),
        (Head({"CONTENT_LENGTH": "00"}), False),
        (Head({"CONTENT_LENGTH": "10"}), True),
        (Head(chunked=True), True),
    ],
)
def test_a_body_that_follows_is_seen_in_the_head(head: Head, body: bool) -> None:
    assert limits.has_body(head) is body


def test_there_are_never_more_connections_than_descriptors() -> None:
    assert limits.connections(4096, 100_000) == 4096
    assert limits.connections(4096, 1024) == 896
    assert limits.connections(4096, 20) == 16
