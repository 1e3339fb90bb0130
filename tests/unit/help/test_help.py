"""Help: every verb and every subject in both languages, found by whatever somebody calls it, and fit for a terminal."""

from __future__ import annotations

from pathlib import Path

import pytest

from efsupervisor import help as pages
from efsupervisor.conf import settings
from efsupervisor.errors import TABLE, Code, EfError
from efsupervisor.help import declared, korean, written
from efsupervisor.help.declared import _width, columns, field_texts, paragraphs
from efsupervisor.interface import VERBS
from efsupervisor.states import State

BOTH = pytest.mark.parametrize("language", written.LANGUAGES)
FOLDER = Path(pages.__file__).parent / "texts"


def is_korean(text: str) -> bool:
    return any("가" <= character <= "힣" for character in text)


# Verbs ---------------------------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("verb", list(VERBS))
def test_every_verb_and_every_field_says_in_both_languages_what_it_is(verb: str) -> None:
    said = [*paragraphs(VERBS[verb]), *(field.description for field in field_texts(VERBS[verb]))]
    assert all(said)
    assert [text for text in said if not is_korean(korean.TEXTS.get(text, ""))] == []


def test_no_translation_is_left_over() -> None:
    said = {text for verb in VERBS.values() for text in (*paragraphs(verb), *(field.description for field in field_texts(verb)))}
    assert set(korean.TEXTS) - said == set()


def test_a_literal_stays_in_a_translation() -> None:
    for english, translated in korean.TEXTS.items():
        for literal in english.split("`")[1::2]:
            assert f"`{literal}`" in translated or "=" in literal, english


@BOTH
@pytest.mark.parametrize("name", list(VERBS))
def test_a_verb_is_found_by_its_name_its_command_and_its_words_in_the_console(name: str, language: str) -> None:
    verb = VERBS[name]
    page = pages.text(name, language)
    assert declared.summary(verb, language) in page
    assert f'{{"verb": "{name}"' in page
    for way in filter(None, (verb.command, verb.console)):
        if way.replace(" ", "-") not in written.ORDER and way not in pages.OWN:
            assert declared.summary(verb, language) in pages.text(way.upper(), language)


def test_a_page_tells_what_is_required_what_is_the_default_and_who_may() -> None:
    page = pages.text("act", "en")
    assert page.startswith("act - Start tasks.\n")
    assert "names  tasks, groups, patterns with `*`, or `all` (required)" in page
    assert "wait   answer when it is done, not at once (default: true)" in page
    assert "efctl    act NAMES" in page
    assert "Needs the role operate." in page
    korean_page = pages.text("act", "ko")
    assert "(필수)" in korean_page and "(기본값: true)" in korean_page and "operate 권한이 필요합니다." in korean_page


@BOTH
def test_a_command_of_efctl_that_is_no_verb_has_the_page_of_the_verb_that_it_says(language: str) -> None:
    for command, verb in pages.OWN.items():
        assert declared.summary(VERBS[verb], language) in pages.text(command, language)


@BOTH
def test_a_noun_lists_what_can_be_done_with_it(language: str) -> None:
    page = pages.text("flow", language)
    words = [line.split()[:2] for line in page.splitlines() if not line.startswith("      ")]
    assert words == [["flow", word] for word in ("ls", "status", "graph", "add", "del", "run")]


# Written texts -------------------------------------------------------------------------------------------------------------------------------------


@BOTH
def test_every_text_is_there_in_every_language_and_no_other(language: str) -> None:
    assert {path.stem for path in (FOLDER / language).glob("*")} == set(written.ORDER)


@BOTH
@pytest.mark.parametrize("name", written.ORDER)
def test_a_text_has_a_title_and_fits_a_terminal(name: str, language: str) -> None:
    text = pages.text(name, language)
    lines = text.split("\n")
    assert lines[0] and not lines[0].endswith(".") and lines[1] == "" and text.endswith("\n") and not text.endswith("\n\n")
    assert max(map(_width, lines)) <= 116
    assert all(line == line.rstrip() and "\t" not in line for line in lines)
    assert is_korean(lines[0]) is (language == "ko")


@pytest.mark.parametrize("name", written.ORDER)
def test_both_languages_show_the_same_commands(name: str) -> None:
    def commands(language: str) -> list[str]:
        lines = [line.strip() for line in pages.text(name, language).splitlines() if line.startswith("    ")]
        return [
            line.split("  ")[0] for line in lines if line.startswith(("efctl ", "efsupervisord ", "curl ")) and not is_korean(line.split("  ")[0])
        ]

    english = commands("en")
    assert [line for line in commands("ko") if line not in english] == []


@BOTH
def test_every_exit_status_and_every_state_is_explained(language: str) -> None:
    statuses = {int(line.split()[0]) for line in pages.text("exit-statuses", language).splitlines() if line.startswith("    ")}
    assert statuses == {verdict.exit_status for verdict in TABLE.values()}
    assert all(f"    {state}" in pages.text("tasks", language) for state in State)


# Finding -------------------------------------------------------------------------------------------------------------------------------------------


@BOTH
def test_the_overview_names_every_subject_and_every_command(language: str) -> None:
    overview = pages.text("", language)
    assert overview == pages.text("  ", language)
    for topic in pages.topics(language):
        assert topic.name in overview
        assert pages.text(topic.name, language)


def test_every_key_of_the_configuration_is_explained() -> None:
    every = settings.keys()
    for key in every:
        full = key if "." in key else f"supervisor.{key}"
        assert pages.text(full, "en").startswith(f"{full}\n    {settings.describe(key).replace('``', '')[:40]}")
    assert "restart_period_s" in pages.text("restart_burst", "en")
    assert pages.text("supervisor.web.port", "ko") == pages.text("web.port", "ko")


def test_a_subject_is_found_in_any_spelling() -> None:
    assert pages.text("Exit Statuses", "en") == pages.text("exit-statuses", "en")
    assert pages.text("`flow  ADD`", "ko") == pages.text("flow add", "ko")


def test_what_is_not_known_is_told_with_the_nearest_topic_in_the_readers_language() -> None:
    for language, sentence in (
        ("en", 'there is no help about "flwos"; did you mean "flows"?'),
        ("ko", '"flwos"에 대한 도움말이 없습니다. 혹시 "flows"'),
    ):
        with pytest.raises(EfError) as caught:
            pages.text("flwos", language)
        assert caught.value.code is Code.NO_SUCH_TASK
        assert caught.value.message.startswith(sentence)
    with pytest.raises(EfError, match="`efctl help` lists what there is"):
        pages.text("x\x1b[2J" + "y" * 5000, "en")


@pytest.mark.parametrize("topic", ["../en/tasks", "..", "/etc/passwd", "en/tasks", "a\0b", "*", "."])
def test_no_topic_reads_another_file(topic: str) -> None:
    with pytest.raises(EfError):
        pages.text(topic, "en")


@pytest.mark.parametrize(
    ("environment", "language"),
    [
        ({}, "en"),
        ({"LANG": "ko_KR.UTF-8"}, "ko"),
        ({"LANG": "KO_KR"}, "ko"),
        ({"LANG": "ko_KR.UTF-8", "LC_ALL": "C"}, "en"),
        ({"LANG": "en_US.UTF-8", "LC_MESSAGES": "ko_KR.UTF-8"}, "ko"),
        ({"LANG": "ko_KR.UTF-8", "LC_ALL": ""}, "ko"),
        ({"LANG": "de_DE.UTF-8"}, "en"),
    ],
)
def test_the_language_is_that_of_the_locale(environment: dict[str, str], language: str) -> None:
    assert pages.language(environment) == language


def test_a_language_that_nobody_wrote_is_shown_in_english() -> None:
    assert pages.text("tasks", "fr") == pages.text("tasks", "en")
    assert pages.text("tasks", "ko_KR") == pages.text("tasks", "ko")


def test_columns_are_wrapped_where_a_terminal_shows_them() -> None:
    rows = [("가나", "다라 " * 60), ("abcd", "word " * 60)]
    lines = columns(rows).splitlines()
    assert max(map(_width, lines)) <= declared.WIDTH
    assert [line for line in lines if line.startswith("  가나  다라")] and [line for line in lines if line.startswith("  abcd  word")]
