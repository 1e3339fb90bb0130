"""The console language: what a line means, what is wrong with it, and that no line does harm."""

from __future__ import annotations

import contextlib
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from efsupervisor.errors import Code, EfError
from efsupervisor.interface import VERBS
from efsupervisor.interface.console import FIRST, MAX_LINE, Word, members, parse, split, usage
from efsupervisor.interface.flow import FlowAdd
from efsupervisor.interface.stdin import StdinPut
from efsupervisor.interface.task import Act, TaskSet


def refusal(line: str) -> EfError:
    with pytest.raises(EfError) as raised:
        parse(line)
    return raised.value


def test_names_are_comma_lists_with_or_without_blanks() -> None:
    assert parse("act a,b , c") == parse("act a b c") == Act(names=["a", "b", "c"])


def test_quotes_keep_blanks_and_the_sign_of_a_key() -> None:
    assert parse("""set stdin t 'a=b  c' "d \\" e" f\\ g""") == StdinPut(task="t", text='a=b  c d " e f g')


def test_a_word_with_a_key_is_a_setting_only_where_settings_are() -> None:
    assert parse("set task t stopwaitsecs=3s") == TaskSet(task="t", settings={"stopwaitsecs": "3s"})
    assert "act knows no" in refusal("act t stopwaitsecs=3s").message


def test_behind_two_dashes_everything_goes_by_position() -> None:
    assert parse("set task t -- run --x=1 -- y") == TaskSet(task="t", program=["run", "--x=1", "--", "y"])


def test_aliases_of_the_configuration_file_are_fields() -> None:
    assert parse("set flow f from=a to=b,c") == FlowAdd(flow="f", producers=["a"], consumers=["b", "c"])


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ("", "an empty line says nothing"),
        ("   ", "an empty line says nothing"),
        ("acct a", 'did you mean "act"?'),
        ("shw", "shw status|task|"),
        ("shw tsk", 'did you mean "task"?'),
        ("act", "names is missing; say: act NAMES..."),
        ("set flow f to=b", "from is missing"),
        ("act a wait=perhaps", "neither true nor false"),
        ("set recovery a timeout_s=3q", "is not a duration"),
        ("shw log a lines=-1", "lines"),
        ("shw log a stream=nose", "stream"),
        ("shw log a b", "one word too many"),
        ("act a wait=no wait=no", "said twice"),
        ("set task t x=1 x=2", "said twice"),
        ("act 'a", "never closed"),
        ('act "a', "never closed"),
        ("act a\\", "ends with a backslash"),
        ("set conf", "key is missing"),
        ("set conf a=1 b=2", "knows no"),
    ],
)
def test_what_is_wrong_is_said_with_what_would_be_right(line: str, what: str) -> None:
    error = refusal(line)
    assert error.code is Code.USAGE
    assert what in error.message


def test_a_line_over_the_limit_is_refused_unread() -> None:
    assert refusal("act " + "a" * MAX_LINE).code is Code.TOO_LARGE


def test_a_line_of_too_many_words_is_refused() -> None:
    assert refusal("act " + "a " * 20_000).code is Code.TOO_LARGE


@pytest.mark.parametrize(
    "line", ["act " + "a," * 49_000, "act " + '"' * 99_000, "act " + "\\a" * 49_000, "act " + "'a'" * 33_000, "set task t " + "a=" * 49_000]
)
def test_long_lines_take_no_long_time(line: str) -> None:
    begun = time.process_time()
    with contextlib.suppress(EfError):  # what it means is not the question here
        parse(line)
    assert time.process_time() - begun < 2.0


@given(st.text(max_size=200))
def test_any_line_is_a_verb_or_an_error_that_says_why(line: str) -> None:
    try:
        verb = parse(line)
    except EfError as error:
        assert error.code in (Code.USAGE, Code.TOO_LARGE)
        assert error.message
    else:
        assert type(verb) in VERBS.values()


LINES = st.lists(
    st.one_of(
        st.sampled_from([word for verb in VERBS.values() for word in verb.console.split()]),
        st.sampled_from(
            ["a", "b,c", "all", "wait=no", "from=a", "to=b", "=", "a=", "=b", "--", "'", '"', "\\", ",", "settings=x", "data=!", "lines=1"]
        ),
        st.text(max_size=6),
    ),
    max_size=8,
).map(" ".join)


@given(LINES)
def test_lines_that_are_nearly_right_are_a_verb_or_an_error_too(line: str) -> None:
    try:
        verb = parse(line)
    except EfError as error:
        assert error.code is Code.USAGE
    else:
        assert type(verb) in VERBS.values()


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=10), max_size=6))
def test_a_quoted_word_comes_out_as_it_went_in(words: list[str]) -> None:
    line = " ".join('"' + word.replace("\\", "\\\\").replace('"', '\\"') + '"' for word in words)
    assert list(split(line)) == [Word(word) for word in words if word != "--"] or "--" in words


@given(st.lists(st.text("abc._-", min_size=1, max_size=8)))
def test_members_of_a_list_are_kept_in_order(names: list[str]) -> None:
    assert members(" , ".join(names)) == names


def test_each_usage_begins_with_words_that_are_understood() -> None:
    for verb in VERBS.values():
        if verb.console:
            assert usage(verb).removeprefix("say: ").split()[0] in FIRST
