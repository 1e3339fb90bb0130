"""What people see: neutral text, prefixes, figures, the table."""

from __future__ import annotations

import itertools
import signal
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from efsupervisor.cli import render, table
from efsupervisor.errors import Code
from efsupervisor.messages import Outcome, TaskStatus
from efsupervisor.states import Goal, State

OVERRIDES = {"RLO", "LRO", "RLE", "LRE", "PDF", "RLI", "LRI", "FSI", "PDI"}
HOSTILE = st.lists(
    st.one_of(
        st.binary(max_size=6),
        st.sampled_from(
            [b"\x1b[2J", b"\r\n", b"\r", b"\n", "é한🙂".encode(), "\u202e".encode(), b"\xc2\x9b31m", b"\xe2\x82", b"\x9b1m", b"\0", b"text"]
        ),
    ),
    max_size=8,
).map(b"".join)


def in_pieces(data: bytes, cuts: list[int]) -> list[bytes]:
    borders = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    return [data[start:end] for start, end in itertools.pairwise(borders)]


def neutral(pieces: list[bytes]) -> bytes:
    filter_ = render.Neutral()
    return b"".join([filter_(piece) for piece in pieces] + [filter_(b"", final=True)])


@given(HOSTILE, st.lists(st.integers(0, 100), max_size=5))
def test_nothing_that_a_terminal_obeys_comes_through_however_the_bytes_are_cut(data: bytes, cuts: list[int]) -> None:
    shown = neutral(in_pieces(data, cuts)).decode("utf-8")
    assert shown == neutral([data]).decode("utf-8")
    assert [c for c in shown if c not in "\n\t" and (unicodedata.category(c) == "Cc" or unicodedata.bidirectional(c) in OVERRIDES)] == []


@given(st.text(st.characters(codec="utf-8", categories=["L", "N", "P", "Zs"]) | st.sampled_from("\n\t")))
def test_plain_text_of_any_script_is_not_touched(text: str) -> None:
    assert neutral([text.encode()]) == text.encode()


def test_control_characters_are_shown_as_marks() -> None:
    assert neutral([b"a\x1b[31mb\rc\x07\x7f\xff\n"]) == b"a^[[31mb^Mc^G^?\\xff\n"


def test_a_dos_line_end_is_a_line_end() -> None:
    assert neutral([b"a\r", b"\nb\r\n"]) == b"a\nb\n"


def test_a_sentence_keeps_its_lines_and_loses_what_a_terminal_would_obey() -> None:
    assert render.harmless("a: no\n\tb\x1b[31m\r\u202ec 작업") == "a: no\n\tb^[[31m^M\\u202ec 작업"


def test_one_line_stays_one_line() -> None:
    assert render.one_line("a\nb\tc\x1b[0m\u2028d") == "a b c^[[0m\\u2028d"


@given(st.lists(st.binary(max_size=12), max_size=8).map(b"\n".join), st.lists(st.integers(0, 100), max_size=5))
def test_each_line_gets_the_prefix_once_and_taking_it_off_gives_the_original(data: bytes, cuts: list[int]) -> None:
    lines = render.Lines(b"task | ")
    shown = b"".join([lines(piece) for piece in in_pieces(data, cuts)] + [lines(b"", final=True)])
    parts = shown.split(b"\n")
    last = parts.pop()
    assert all(part.startswith(b"task | ") for part in parts)
    assert last.startswith(b"task | ") or not last
    assert b"\n".join(part.removeprefix(b"task | ") for part in [*parts, last]) == data


def test_a_line_is_held_until_it_is_whole() -> None:
    lines = render.Lines(b"> ")
    assert lines(b"a\nb") == b"> a\n"
    assert lines(b"c\n") == b"> bc\n"


def test_an_endless_line_goes_on_in_parts_with_one_prefix() -> None:
    lines = render.Lines(b"> ")
    part = b"x" * (render.Lines.MAX_HELD + 1)
    assert lines(part) == b"> " + part
    assert lines(part) == part
    assert lines(b"end\nnext\n") == b"end\n> next\n"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-1.0, "0.0s"),
        (0.44, "0.4s"),
        (59.9, "59s"),
        (60, "1m00s"),
        (723, "12m03s"),
        (3600, "1h00m"),
        (25500, "7h05m"),
        (273600, "3d04h"),
        (8640000, "100d00h"),
    ],
)
def test_durations_are_short(seconds: float, text: str) -> None:
    assert render.duration(seconds) == text


@pytest.mark.parametrize(
    ("count", "text"), [(0, "0"), (1023, "1023"), (1024, "1.0K"), (1536, "1.5K"), (64 << 20, "64M"), (3 << 40, "3.0T"), (5000 << 40, "5000T")]
)
def test_sizes_have_a_unit(count: int, text: str) -> None:
    assert render.size(count) == text


@pytest.mark.parametrize(
    ("status", "known", "text"),
    [
        (0, True, "exit status 0"),
        (3 << 8, True, "exit status 3"),
        (int(signal.SIGKILL), True, "killed by SIGKILL"),
        (127 - 1, True, "killed by signal 126"),
        (None, True, ""),
    ],
)
def test_an_ending_is_a_phrase(status: int | None, known: bool, text: str) -> None:
    assert render.ending(status, known=known) == text


def test_an_unknown_ending_is_never_a_guess() -> None:
    assert render.ending(0, known=False) == "ended, its exit status is not known"


def status(name: str, **fields: object) -> TaskStatus:
    return TaskStatus(**{"name": name, "state": State.RUNNING, "goal": Goal.ACT, **fields})  # type: ignore[arg-type]


def columns(line: str, word: str) -> int:
    """Screen column at which a word begins."""
    return sum(2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in line[: line.index(word)])


def test_columns_begin_at_the_same_place_whatever_script_a_name_is_in() -> None:
    rows = [
        status("a", state=State.STOPPED),
        status("이벤트-작업", state=State.FATAL, reason="because"),
        status("a-much-longer-name", state=State.STOPPING),
    ]
    heading, *lines = table.status(rows).splitlines()
    place = columns(heading, "STATE")
    assert [columns(line, state) for line, state in zip(lines, ("STOPPED", "FATAL", "STOPPING"), strict=True)] == [place] * 3
    assert columns(lines[1], "because") == columns(heading, "REASON")


def test_a_row_says_why_a_task_is_where_it_is() -> None:
    rows = [
        status("held", pid=7, uptime_s=61.0, blocked_by=["slow", "dead"], lag_bytes=2048, restarts=3),
        status("done", state=State.EXITED, exit_status=256),
        status("lost", state=State.EXITED, exit_known=False),
        status("poisoned", dead_letters=1),
        status("told", state=State.FATAL, reason="no such file\x1b[2J", exit_status=0),
    ]
    lines = table.status(rows).splitlines()[1:]
    assert lines[0].split(maxsplit=6) == ["held", "RUNNING", "7", "1m01s", "3", "2.0K", "held back by slow, dead"]
    assert lines[1].endswith("exit status 1")
    assert lines[2].endswith("not known")
    assert lines[3].endswith("1 dead letter")
    assert lines[4].endswith("no such file^[[2J")


def test_an_outcome_is_one_line_even_when_nothing_was_said() -> None:
    assert render.outcome(Outcome(task="a", ok=True), "started") == "a: started\n"
    assert render.outcome(Outcome(task="a", ok=False, code=Code.TASK_FAILED), "started") == "a: task-failed\n"
    assert render.outcome(Outcome(task="a", ok=False, code=Code.SYSTEM, sentence="no\nroom"), "started") == "a: no room\n"
