"""The lines of a supervisord.conf: comments, continuations, merging, and where each value stands."""

from __future__ import annotations

import configparser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from efsupervisor.conf.findings import Findings
from efsupervisor.conf.ini.lines import Document, without_comment


def read(text: str) -> tuple[Document, list[str]]:
    document, findings = Document(), Findings("a.conf")
    document.take(text, findings)
    return document, findings.sentences()


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("a=1", "a=1"),
        ("a=1 ; why", "a=1"),
        ("a=1 # why", "a=1"),
        ("a=1;b", "a=1;b"),
        ("a=1#b", "a=1#b"),
        ('a="x ; y"', 'a="x'),
        ("; all", ""),
        ("   # all", ""),
        ("a=1\t;x", "a=1"),
        ("a=;x ;y", "a=;x"),
    ],
)
def test_a_comment_begins_a_line_or_follows_a_blank_even_inside_quotes(line: str, said: str) -> None:
    assert without_comment(line)[0] == said


def test_a_deeper_line_continues_a_value_and_a_comment_in_between_does_not_end_it() -> None:
    document, findings = read("[program:a]\ncommand = x\n  --one\n; no\n  --two ; no\n\n  --three\nuser=b\n")
    assert findings == []
    value = document.value("program:a", "command")
    assert value is not None and (value.text, value.line) == ("x\n--one\n--two\n\n--three", 2)
    user = document.value("program:a", "user")
    assert user is not None and (user.text, user.line) == ("b", 8)


def test_what_comes_again_is_merged_and_the_last_word_wins() -> None:
    document, findings = read("[a]\nx=1\nY=2\n[b]\nx=3\n[a]\nx=4\n")
    assert findings == []
    assert document.names() == ["a", "b"]
    assert {key: (each.text, each.line) for key, each in document.options("a").items()} == {"x": ("4", 7), "y": ("2", 3)}


def test_default_lends_its_options_and_is_no_section() -> None:
    document, _ = read("[DEFAULT]\nx=1\ny=1\n[a]\ny=2\n")
    assert document.names() == ["a"]
    assert [document.value("a", key).text for key in ("x", "y")] == ["1", "2"]  # type: ignore[union-attr]


def test_what_is_no_option_is_a_finding_with_its_line() -> None:
    _, findings = read("early\n[a]\nnothing\n= x\n")
    assert findings == [
        'a.conf:1: "early" stands before the first [section]',
        'a.conf:3: a: "nothing" is no option: write name=value',
        'a.conf:4: a: "= x" is no option: write name=value',
    ]


def test_here_is_put_in_place_once_for_each_file() -> None:
    document, _ = read("[a]\nx=%(here)s/1\n")
    document.place_here("/first")
    document.take("[b]\nx=%(here)s/2\n", Findings("b.conf"))
    document.place_here("/second")
    assert [document.value(name, "x").text for name in "ab"] == ["/first/1", "/second/2"]  # type: ignore[union-attr]


LINE = st.text(alphabet=" \t=:;[]ab%", max_size=12)
"""With one kind of comment sign alone: where `;` and `#` stand in one line, Python before 3.14 may pass over the first of them."""


@given(st.lists(st.one_of(LINE, st.sampled_from(["[a]", "[b]", "x = 1", " y", "", "; c"])), max_size=12))
def test_every_text_is_read_as_pythons_parser_reads_it(lines: list[str]) -> None:
    text = "\n".join(lines)
    theirs = configparser.RawConfigParser(inline_comment_prefixes=(";", "#"), strict=False)
    try:
        theirs.read_string(text)
        refused = False
    except configparser.Error:
        refused = True
    document, findings = read(text)
    assert bool(findings) is refused
    if not refused:
        expected = {name: dict(theirs.items(name)) for name in theirs.sections()}
        assert {name: {key: each.text for key, each in document.options(name).items()} for name in document.names()} == expected
