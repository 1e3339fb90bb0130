"""Settings of tasks and flows as pairs: the keys and values of the configuration file, merged into what was there."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from efsupervisor.conf.schema import FlowSpec, InputSpec, OutputSpec, TaskSpec
from efsupervisor.errors import Code, ConfigError, EfError
from efsupervisor.interface.options import flow_spec, task_spec
from efsupervisor.states import Mode, Protocol

WEB = TaskSpec(
    name="web", command=["web"], environment={"A": "1"}, stopwaitsecs=7.0, input=InputSpec(window=8, ack="echo"), output=OutputSpec(sync="always")
)


def findings(settings: dict[str, str], base: TaskSpec | None = None, unset: list[str] | None = None) -> list[str]:
    with pytest.raises(ConfigError) as raised:
        task_spec("web", settings, [], base, unset or [])
    return raised.value.findings


def test_a_new_task_has_the_defaults_and_what_was_said() -> None:
    settings = {"command": "sh -c 'exit 3'", "stopwaitsecs": "1m", "exitcodes": "0, 3", "output.keep_bytes": "64MiB", "environment.TZ": "UTC"}
    assert task_spec("t", settings, []) == TaskSpec(
        name="t",
        command=["sh", "-c", "exit 3"],
        stopwaitsecs=60.0,
        exitcodes=(0, 3),
        output=OutputSpec(keep_bytes=64 << 20),
        environment={"TZ": "UTC"},
    )


def test_a_program_is_taken_word_by_word() -> None:
    assert task_spec("t", {}, ["a b", "'", ""]).command == ["a b", "'", ""]


def test_a_key_below_input_makes_the_section() -> None:
    assert task_spec("t", {"input.protocol": "event"}, ["x"]).input == InputSpec(protocol=Protocol.EVENT)
    assert task_spec("t", {"input": ""}, ["x"]).input == InputSpec()


def test_what_is_not_said_stays_as_it_was() -> None:
    changed = task_spec("web", {"input.protocol": "event", "environment.B": "2"}, [], WEB)
    assert changed == TaskSpec(
        name="web",
        command=["web"],
        environment={"A": "1", "B": "2"},
        stopwaitsecs=7.0,
        input=InputSpec(protocol=Protocol.EVENT, window=8, ack="echo"),
        output=OutputSpec(sync="always"),
    )


def test_unset_keys_go_back_to_their_defaults() -> None:
    changed = task_spec("web", {}, [], WEB, ["environment.A", "stopwaitsecs", "input.window", "output"])
    assert changed == TaskSpec(name="web", command=["web"], input=InputSpec(ack="echo"))
    assert task_spec("web", {}, [], WEB, ["input"]).input is None


def test_every_mistake_is_found_at_once_and_names_the_key_and_the_nearest_one() -> None:
    found = findings({"comand": "x", "stopwaitsecs": "3q", "input.windw": "1", "inptu.window": "1"})
    assert [sentence.partition(":")[0] for sentence in found] == [
        "tasks.web.comand", "tasks.web.stopwaitsecs", "tasks.web.input.windw", "tasks.web.inptu", "tasks.web.command"
    ]  # fmt: skip
    assert 'did you mean "command"?' in found[0]
    assert 'did you mean "window"?' in found[2]


@pytest.mark.parametrize(
    ("settings", "what"),
    [
        ({"directory": "here"}, "relative"),
        ({"environment.A=B": "1"}, "name"),
        ({"redirect_stderr": "yes", "input.protocol": "event"}, "acknowledges its events on stderr"),
        ({"stopwaitsecs.x": "1"}, "must be one value"),
        ({"environment.A": "${HOME}"}, "HOME"),
    ],
)
def test_what_must_not_be_is_refused_as_in_a_file(settings: dict[str, str], what: str) -> None:
    assert what in "\n".join(findings(settings, WEB))


def test_a_program_said_in_two_ways_is_refused() -> None:
    with pytest.raises(EfError) as raised:
        task_spec("t", {"command": "x"}, ["y"])
    assert raised.value.code is Code.USAGE


def test_a_name_that_is_none_is_refused() -> None:
    with pytest.raises(ConfigError, match="space"):
        task_spec("we b", {}, ["x"])
    with pytest.raises(ConfigError, match="every task"):
        flow_spec("all", ["a"], ["b"], {})


def test_a_key_that_cannot_be_unset_is_said() -> None:
    assert "cannot be unset" in findings({}, WEB, ["command"])[0]
    assert 'did you mean "user"?' in findings({}, WEB, ["usr"])[0]


def test_a_flow_is_made_of_its_tasks_and_settings() -> None:
    made = flow_spec("f", ["a"], ["b", "c"], {"mode": "share", "max_lag": "1MiB"})
    assert made == FlowSpec(name="f", producers=["a"], consumers=["b", "c"], mode=Mode.SHARE, max_lag=1 << 20)
    with pytest.raises(ConfigError, match="mode"):
        flow_spec("f", ["a"], ["b"], {"mod": "share"})


KEYS = st.sampled_from(["command", "environment.A", "input.window", "input", "output.sync", "exitcodes", "", ".", "a.b.c", "environment", "type"])


@given(st.dictionaries(KEYS | st.text(max_size=6), st.text(max_size=12), max_size=5))
def test_any_pairs_are_a_spec_or_findings(settings: dict[str, str]) -> None:
    try:
        spec = task_spec("web", settings, [], WEB)
    except ConfigError as error:
        assert error.findings
    else:
        assert spec.name == "web"
