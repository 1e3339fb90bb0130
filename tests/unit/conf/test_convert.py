"""Texts to values, each with what it must not take."""

from __future__ import annotations

import shlex

import pytest
from hypothesis import given
from hypothesis import strategies as st

from efsupervisor.conf.convert import Unfit, duration, size, words


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0", 0),
        ("65536", 65_536),
        ("64KiB", 65_536),
        ("64 kib", 65_536),
        ("1.5MiB", 1_572_864),
        ("2GiB", 2 << 30),
        ("1TiB", 1 << 40),
        ("10KB", 10_000),
        ("3MB", 3_000_000),
        ("7B", 7),
    ],
)
def test_a_size_is_a_number_of_bytes(text: str, value: int) -> None:
    assert size(text) == value


@pytest.mark.parametrize("text", ["", "-1", "64M", "64m", "1KiBB", "KiB", "1e3", "0x10", "1,000", "1_000", "٣", "9" * 19, "1 000", "0.1KiB"])
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(Unfit):
        size(text)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0", 0.0),
        ("10", 10.0),
        ("0.25", 0.25),
        ("500ms", 0.5),
        ("10s", 10.0),
        ("5m", 300.0),
        ("5 min", 300.0),
        ("1h30m", 5400.0),
        ("1d", 86_400.0),
        ("2w", 1_209_600.0),
        ("3us", 3e-06),
    ],
)
def test_a_duration_is_a_number_of_seconds(text: str, value: float) -> None:
    assert duration(text) == value


@pytest.mark.parametrize("text", ["", "-1", "s", "22:22", "1e3", "inf", "nan", "1x", "1h 30m x", "٣s", "1month", "1s" * 8])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(Unfit):
        duration(text)


@given(st.text(st.sampled_from("ab \t\n'\"\\$é\u3000#"), max_size=20).filter(lambda text: "\\\n" not in text))
def test_a_command_is_split_as_shlex_splits_it(text: str) -> None:
    try:
        expected = shlex.split(text)
    except ValueError:
        with pytest.raises(Unfit):
            words(text)
    else:
        assert words(text) == expected


def test_a_backslash_at_the_end_of_a_line_continues_it() -> None:
    assert words("run \\\n  --fast \\\n  a\\\nb \"c\\\nd\" 'e\\\nf'\\\n") == ["run", "--fast", "ab", "cd", "e\\\nf"]


def test_a_word_of_a_mebibyte_is_split_in_one_pass() -> None:
    long = "x" * (1 << 20)
    assert words(f"a '{long}' \"{long}\" {long}") == ["a", long, long, long]
    with pytest.raises(Unfit):
        words('"' + "\\\\" * (1 << 19))
