"""Variables of the environment in values."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from efsupervisor.conf import expand
from efsupervisor.conf.convert import Unfit
from efsupervisor.conf.expand import Expansion
from efsupervisor.conf.loader import load, parse
from efsupervisor.conf.schema import Config
from efsupervisor.errors import ConfigError

ENVIRONMENT = {"HOME": "/home/ann", "FILE": "my file", "EMPTY": "", "SNEAKY": "${HOME}", "SIZE": "2MiB", "BAD": "\udcff", "QUOTE": "it's"}


def read(text: str) -> Config:
    return parse(text.encode(), "/srv/f.yaml", environment=ENVIRONMENT)


def refusal(text: str) -> str:
    with pytest.raises(ConfigError) as caught:
        read(text)
    (finding,) = caught.value.findings
    return finding


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("${HOME}", "/home/ann"),
        ("a${HOME}b${HOME}", "a/home/annb/home/ann"),
        ("${NONE:-x y}", "x y"),
        ("${EMPTY:-x}", "x"),
        ("${EMPTY}", ""),
        ("${NONE:-}", ""),
        ("${HOME:-x}", "/home/ann"),
        ("$${HOME}", "${HOME}"),
        ("$$${HOME}", "$${HOME}"),
        ("$${", "${"),
        ("$HOME $ $$ 100$", "$HOME $ $$ 100$"),
        ("${SNEAKY}", "${HOME}"),
        ("${NONE:-$HOME}", "$HOME"),
    ],
)
def test_a_variable_is_replaced_by_its_value_once(text: str, value: str) -> None:
    assert Expansion(ENVIRONMENT).text(text) == value


@pytest.mark.parametrize("text", ["${", "${}", "${HOME", "${1A}", "${A-b}", "${A b}", "${:-x}", "${A:b}", "${A:-${HOME}}", "${ä}"])
def test_a_brace_that_is_no_variable_is_refused_and_says_how_to_write_it(text: str) -> None:
    with pytest.raises(Unfit, match=r"write \$\{NAME\} or \$\{NAME:-default\}, and \$\$\{ where the text itself is meant"):
        Expansion(ENVIRONMENT | {"A": "a"}).text(text)


@given(st.text("$${}:-AB \n", max_size=40))
def test_any_text_is_expanded_or_refused(text: str) -> None:
    try:
        expanded = Expansion({"A": "$$", "B": ""}).text(text)
    except Unfit:
        return
    assert "${" in text or expanded == text


def test_a_missing_variable_is_told_with_the_nearest_name_or_with_what_to_write() -> None:
    text = "tasks:\n  a:\n    command: cat\n    directory: {}\n"
    assert refusal(text.replace("{}", "${HOEM}/x")) == (
        '/srv/f.yaml:4: tasks.a.directory: the environment has no variable "HOEM"; did you mean "HOME"?'
    )
    assert refusal(text.replace("{}", "${XYZZY}")) == (
        '/srv/f.yaml:4: tasks.a.directory: the environment has no variable "XYZZY"; write ${XYZZY:-default} where it may be missing, '
        "$${XYZZY} where the program is to see it"
    )


def test_values_of_every_kind_are_expanded() -> None:
    config = read(
        "supervisor: {var: '${HOME}/var'}\n"
        "tasks:\n  a:\n    command: cat\n    environment: {A: '${FILE}', B: '$${FILE}'}\n    exitcodes: ['${NONE:-3}', 4]\n"
        "    output: {segment_bytes: '${SIZE}'}\n"
    )
    (task,) = config.tasks
    assert config.supervisor.var == "/home/ann/var"
    assert (task.environment, task.exitcodes, task.output.segment_bytes) == ({"A": "my file", "B": "${FILE}"}, (3, 4), 2 << 20)


def test_a_value_with_blanks_or_quotes_stays_one_argument() -> None:
    config = read(
        "tasks:\n  a: {command: \"cat ${FILE} '${FILE}'x ${QUOTE} ${NONE:-a b}\"}\n  b: {command: [cat, '${FILE}']}\n"
        "  c:\n    command: sh -c 'echo $${FILE}'\n"
    )
    assert [task.command for task in config.tasks] == [
        ["cat", "my file", "my filex", "it's", "a b"],
        ["cat", "my file"],
        ["sh", "-c", "echo ${FILE}"],
    ]


def test_names_and_keys_are_not_expanded() -> None:
    text = "tasks:\n  a: {command: cat, input: {}}\nflows:\n  f: {from: '${FILE}', to: a}\n"
    assert refusal(text) == '/srv/f.yaml:4: flows.f.from: there is no task "${FILE}"'
    assert "a name may not contain" in refusal("tasks:\n  ${FILE}: {command: cat}\n")
    assert read("tasks:\n  a: {command: cat, environment: {'${FILE}': x}}\n").tasks[0].environment == {"${FILE}": "x"}


def test_a_program_gets_no_variable_of_ours_that_was_not_written() -> None:
    assert read("tasks:\n  a: {command: cat}\n").tasks[0].environment == {}


def test_an_item_of_a_list_is_told_at_its_own_line() -> None:
    text = "tasks:\n  a:\n    command:\n    - cat\n    - ${NOPE1}\n"
    assert refusal(text).startswith('/srv/f.yaml:5: tasks.a.command[1]: the environment has no variable "NOPE1"')


def test_bytes_that_are_no_text_are_refused() -> None:
    assert (
        refusal("tasks:\n  a: {command: cat, user: '${BAD}'}\n")
        == '/srv/f.yaml:2: tasks.a.user: the variable "BAD" holds bytes that are no UTF-8 text'
    )


def test_a_short_file_cannot_ask_for_gigabytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(expand, "MAX_EXPANSION", 100)
    with pytest.raises(ConfigError, match="variables add more than 100 characters to this configuration"):
        read("tasks:\n  a: {command: '" + "${HOME}" * 12 + "'}\n")


def test_the_environment_is_our_own_when_nobody_names_another(tmp_path: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EFS_TEST_PLACE", "/place")
    path = f"{tmp_path}/f.yaml"
    with open(path, "w", encoding="ascii") as file:
        file.write("tasks:\n  a: {command: cat, directory: '${EFS_TEST_PLACE}'}\n")
    assert load(path).tasks[0].directory == "/place"
