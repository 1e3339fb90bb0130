"""The protocol with a listener, byte by byte."""

from __future__ import annotations

import pytest

from efsupervisor.listener.talk import MAX_RESULT_LINE, Ear, Mood, Said, envelope


def heard(*pieces: bytes, busy: bool = False) -> tuple[list[Said], Mood]:
    ear = Ear()
    if busy:
        ear.heard(b"READY\n")
        ear.sent()
    return [said for piece in pieces for said in ear.heard(piece)], ear.mood


def test_an_envelope_counts_bytes() -> None:
    assert envelope("s", "p", 3, 2, "TICK_5", "é".encode()) == "ver:3.0 server:s serial:3 pool:p poolserial:2 eventname:TICK_5 len:2\né".encode()


def test_words_are_understood_however_they_are_cut() -> None:
    whole = b"RESULT 2\nOKREADY\n"
    for cut in range(len(whole) + 1):
        assert heard(whole[:cut], whole[cut:], busy=True) == ([Said.OK, Said.READY], Mood.READY)


@pytest.mark.parametrize(("result", "said"), [(b"RESULT 2\nOK", Said.OK), (b"RESULT 4\nFAIL", Said.FAIL), (b"RESULT 0\n", Said.FAIL)])
def test_anything_but_ok_is_a_failure(result: bytes, said: Said) -> None:
    assert heard(result, busy=True) == ([said], Mood.ACKNOWLEDGED)


@pytest.mark.parametrize("data", [b"READ!", b"hello\n", b"\n", b"RESULT 2\nOK"])
def test_what_is_not_ready_is_nonsense_before_an_event(data: bytes) -> None:
    assert heard(data) == ([Said.NONSENSE], Mood.UNKNOWN)


@pytest.mark.parametrize(
    "data", [b"nonsense\n", b"RESULT x\n", b"RESULT -1\n", b"RESULT 99999999999\n", b"RESULT " + b"1" * MAX_RESULT_LINE, b"READY\n"]
)
def test_what_is_no_result_is_nonsense_while_busy(data: bytes) -> None:
    assert heard(data, busy=True) == ([Said.NONSENSE], Mood.UNKNOWN)


def test_who_speaks_while_ready_is_unknown_for_ever() -> None:
    assert heard(b"READY\n", b"x", b"READY\n") == ([Said.READY, Said.NONSENSE], Mood.UNKNOWN)
