"""Names and the words that are nearest to a slip."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from efsupervisor.conf.names import MAX_NAME, fault, kept, nearest, shown
from efsupervisor.system import folded


@pytest.mark.parametrize("name", ["a", "1", "a.b_c-d", "a..b", "작업", "задача-1", "मराठी", "مهمة", "x" * MAX_NAME, "2a"])
def test_letters_and_digits_of_any_script_are_a_name(name: str) -> None:
    assert fault(name) == ""


@pytest.mark.parametrize(
    "name",
    [
        "",
        "²",
        "½",
        "a\u0301\u20dd",
        "\u0301a",
        "a\n",
        "a\0",
        "a\u200d",
        "ㅤ",
        "x" * (MAX_NAME + 1),
        "all",
        "\uff21\uff2c\uff2c",
        "-",
        "a.",
        "😀",
        "a\ud800",
    ],
)
def test_what_is_not_seen_not_typed_or_reserved_is_no_name(name: str) -> None:
    assert fault(name)


@given(st.text(max_size=70))
def test_a_name_that_is_allowed_is_one_word_to_the_console_and_stays_itself(text: str) -> None:
    name = kept(text)
    if not fault(name):
        assert name.isprintable() and not set(name) & set(" ,/'\"\\:;*")
        assert kept(name) == name
        assert folded(folded(name)) == folded(name) != "all"


@given(st.text(max_size=300))
def test_shown_text_is_one_printable_line(text: str) -> None:
    assert shown(text).isprintable()


def test_the_nearest_word_is_found_whatever_its_case_and_none_when_nothing_is_near() -> None:
    known = ["command", "kind", "environment"]
    assert nearest("comand", known) == "command"
    assert nearest("KIND", known) == "kind"
    assert nearest("zebra", known) == ""
    assert nearest("x" * 1_000_000, ["x" * 1_000_000]) == ""
    assert nearest("a", []) == ""
