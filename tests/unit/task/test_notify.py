"""What a program says of itself, and who may say it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from efsupervisor.task.notify import LONGEST_US, MAX_STATUS, Notice, descends, parse


@pytest.mark.parametrize(
    ("data", "notice"),
    [
        (b"READY=1", Notice(ready=True)),
        (b"READY=0", Notice()),
        (b"READY=1\nSTATUS=it works\n", Notice(ready=True, status="it works")),
        (b"STATUS=", Notice(status="")),
        (b"STATUS=a=b", Notice(status="a=b")),
        (b"WATCHDOG=1", Notice(alive=True)),
        (b"WATCHDOG=trigger", Notice(trigger=True)),
        (b"WATCHDOG_USEC=20000000", Notice(watchdog_us=20_000_000)),
        (b"EXTEND_TIMEOUT_USEC=5000000\nSTOPPING=1", Notice(stopping=True, extend_us=5_000_000)),
        (b"EXTEND_TIMEOUT_USEC=-5", Notice()),
        (b"EXTEND_TIMEOUT_USEC=99999999999999999999", Notice(extend_us=LONGEST_US)),
        (b"MAINPID=4711\nFDSTORE=1\nX_OTHER=1", Notice()),
        (b"", Notice()),
        (b"nonsense", Notice()),
        (b"STATUS=\x1b[31mred\xff", Notice(status="?[31mred\ufffd")),
    ],
)
def test_a_datagram_says_what_the_protocol_says(data: bytes, notice: Notice) -> None:
    assert parse(data) == notice


@given(st.binary(max_size=5000))
def test_no_datagram_is_too_strange(data: bytes) -> None:
    notice = parse(data)
    assert notice.status is None or (len(notice.status) <= MAX_STATUS and all(each.isprintable() for each in notice.status))
    assert 0 <= notice.extend_us <= LONGEST_US


TREE = {10: 5, 11: 10, 12: 11, 5: 1, 99: 98, 98: 1}


@pytest.mark.parametrize(("pid", "belongs"), [(10, True), (11, True), (12, True), (99, False), (5, False), (1234, None)])
def test_a_sender_belongs_when_one_of_its_ancestors_is_of_the_family(pid: int, belongs: bool | None) -> None:
    assert descends(pid, frozenset({10}), TREE.get) is belongs


def test_a_chain_that_breaks_off_or_never_ends_belongs_to_nobody() -> None:
    assert descends(20, frozenset({10}), {20: 21}.get) is False
    assert descends(20, frozenset({10}), {20: 21, 21: 20}.get) is False
