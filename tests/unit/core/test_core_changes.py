"""The difference between two configurations, and what applying it does."""

from __future__ import annotations

import msgspec
import pytest

from efsupervisor.conf.schema import (
    Config,
    FlowSpec,
    GroupSpec,
    InputSpec,
    OutputSpec,
    ScheduleSpec,
    SupervisorSpec,
    TaskSpec,
    WebSpec,
)
from efsupervisor.core.changes import POLICIES, difference, fields_that_differ, is_live, looks_cut_off, removals
from efsupervisor.messages import Change
from efsupervisor.states import Framing, Goal, Kind, Protocol


def task(name: str, **more: object) -> TaskSpec:
    return TaskSpec(**{"name": name, "command": ["true"], **more})  # type: ignore[arg-type]


def config(*tasks: TaskSpec, **more: object) -> Config:
    return Config(source="/etc/x.yaml", tasks=list(tasks), **more)  # type: ignore[arg-type]


def told(old: Config, new: Config) -> list[tuple[str, str, str, str]]:
    return [(change.noun, change.name, change.what, change.effect) for change in difference(old, new)]


def test_a_configuration_does_not_differ_from_itself() -> None:
    whole = config(task("a"), task("b"), flows=[FlowSpec(name="f", producers=["a"], consumers=["b"])], groups=[GroupSpec(name="g", tasks=["a"])])
    assert difference(whole, msgspec.json.decode(msgspec.json.encode(whole), type=Config)) == []


def test_tasks_come_go_and_stay_by_name_in_any_spelling() -> None:
    assert told(config(task("a"), task("b")), config(task("c"), task("d", autostart=False), task("b"))) == [
        ("task", "a", "removed", "stops"),
        ("task", "c", "added", "starts"),
        ("task", "d", "added", "does not start (autostart: false)"),
    ]


CHANGED: dict[str, object] = {
    "command": ["false"], "type": "other", "kind": Kind.JOB, "directory": "/", "user": "nobody", "umask": "077", "environment": {"A": "1"},
    "autostart": False, "autorestart": "false", "exitcodes": (0, 1), "startsecs": 2.0, "startretries": 9, "backoff_s": 0.5, "backoff_max_s": 70.0,
    "restart_burst": 1, "restart_period_s": 1.0, "stopsignal": "INT", "stopwaitsecs": 1.0, "priority": 1, "redirect_stderr": True, "drain_s": 1.0,
}  # fmt: skip
RESTARTING = {"command", "type", "kind", "directory", "user", "umask", "environment", "redirect_stderr"}


def test_every_policy_is_a_key_and_a_key_that_nobody_called_one_restarts() -> None:
    inner = {f"input.{key}" for key in InputSpec.__struct_fields__} | {f"output.{key}" for key in OutputSpec.__struct_fields__}
    every = set(TaskSpec.__struct_fields__) | inner
    assert every > POLICIES
    assert RESTARTING | {"name", "input.protocol", "input.stdin", "input.framing"} <= every - POLICIES
    assert CHANGED.keys() - RESTARTING <= POLICIES


@pytest.mark.parametrize("key", CHANGED)
def test_a_policy_applies_in_place_and_what_the_program_was_started_with_restarts_it(key: str) -> None:
    (change,) = difference(config(task("a")), config(task("a", **{key: CHANGED[key]})))
    assert change == Change(noun="task", name="a", what="changed", fields=[key], effect="restarts" if key in RESTARTING else "in place")


@pytest.mark.parametrize(
    ("key", "value", "effect"),
    [
        ("protocol", Protocol.EVENT, "restarts"),
        ("stdin", "eof", "restarts"),
        ("framing", Framing.NUL, "restarts"),
        ("window", 8, "in place"),
        ("ack", "echo", "in place"),
        ("max_deliveries", 1, "in place"),
        ("on_poison", "drop", "in place"),
        ("max_event", 5, "in place"),
    ],
)
def test_keys_of_the_input_are_told_apart(key: str, value: object, effect: str) -> None:
    (change,) = difference(config(task("a", input=InputSpec())), config(task("a", input=InputSpec(**{key: value}))))  # type: ignore[arg-type]
    assert (change.fields, change.effect) == ([f"input.{key}"], effect)


def test_one_policy_beside_one_other_key_restarts() -> None:
    (change,) = difference(config(task("a")), config(task("a", priority=1, user="nobody")))
    assert (change.fields, change.effect) == (["user", "priority"], "restarts")


FED = FlowSpec(name="f", producers=["p"], consumers=["c"])


def test_a_first_flow_restarts_its_consumer_and_a_second_does_not() -> None:
    assert told(config(task("p"), task("c")), config(task("p"), task("c"), flows=[FED])) == [
        ("task", "c", "changed", "restarts"),
        ("flow", "f", "added", "in place"),
    ]
    second = FlowSpec(name="g", producers=["q"], consumers=["c"])
    before = config(task("p"), task("q"), task("c"), flows=[FED])
    assert told(before, msgspec.structs.replace(before, flows=[FED, second])) == [("flow", "g", "added", "in place")]


def test_a_first_flow_to_a_task_that_says_input_restarts_nobody() -> None:
    tasks = (task("p"), task("c", input=InputSpec()))
    assert told(config(*tasks), config(*tasks, flows=[FED])) == [("flow", "f", "added", "in place")]


def test_the_last_flow_that_goes_restarts_nobody() -> None:
    assert told(config(task("p"), task("c"), flows=[FED]), config(task("p"), task("c"))) == [("flow", "f", "removed", "in place")]


def test_an_input_that_is_written_where_a_flow_had_made_it_is_compared_key_by_key() -> None:
    before, after = config(task("p"), task("c"), flows=[FED]), config(task("p"), task("c", input=InputSpec(window=4)), flows=[FED])
    assert [(change.fields, change.effect) for change in difference(before, after)] == [(["input.window"], "in place")]


def test_flows_groups_and_schedules_change_in_place() -> None:
    old = config(task("p"), task("c"), flows=[FED], groups=[GroupSpec(name="g", tasks=["p"])], schedules=[ScheduleSpec(name="s", cron="* * * * *")])
    new = msgspec.structs.replace(
        old,
        flows=[msgspec.structs.replace(FED, max_lag=1)],
        groups=[GroupSpec(name="g", tasks=["c"])],
        schedules=[ScheduleSpec(name="s", cron="1 * * * *")],
    )
    assert [(change.noun, change.fields, change.effect) for change in difference(old, new)] == [
        ("flow", ["max_lag"], "in place"),
        ("group", ["tasks"], "in place"),
        ("schedule", ["cron"], "in place"),
    ]


def test_settings_are_told_by_their_dotted_keys_and_only_var_waits_for_the_next_start() -> None:
    new = SupervisorSpec(var="/elsewhere", log_level="debug", web=WebSpec(port=1))
    assert told(config(), config(supervisor=new)) == [
        ("setting", "var", "changed", "at the next start of efsupervisord"),
        ("setting", "log_level", "changed", "in place"),
        ("setting", "web.port", "changed", "in place"),
    ]
    assert fields_that_differ(SupervisorSpec(), new) == ["var", "log_level", "web.port"]
    assert not is_live("var") and is_live("web.port")


@pytest.mark.parametrize(
    ("running", "gone", "too_many"),
    [(1, 1, False), (2, 1, False), (2, 2, True), (10, 2, False), (10, 3, True), (9, 2, True), (100, 20, False), (100, 21, True), (0, 0, False)],
)
def test_more_than_one_and_more_than_a_fifth_of_what_runs_is_too_many_to_lose_unasked(running: int, gone: int, too_many: bool) -> None:
    changes = [Change(noun="task", name=f"T{n}", what="removed") for n in range(gone)]
    changes += [Change(noun="task", name="stopped", what="removed"), Change(noun="flow", name="t5", what="removed")]
    wanted = {f"t{n}": Goal.ACT for n in range(running)} | {"stopped": Goal.TRM}
    found = removals(changes, wanted)
    assert (found.running, len(found.removed), found.too_many) == (running, gone, too_many)


@pytest.mark.parametrize(
    ("left", "cut"),
    [("a b c", False), ("a b", True), ("a", True), ("", True), ("A B", False), ("b c", False), ("a c", False), ("a b c d", False), ("a d", False)],
)
def test_a_file_that_has_only_the_first_tasks_left_looks_cut_off(left: str, cut: bool) -> None:
    whole = config(*(task(name) for name in "abc"))
    assert looks_cut_off(whole, config(*(task(name) for name in left.split()))) is cut


def test_the_last_task_of_a_file_that_was_cut_off_may_have_lost_some_of_its_keys() -> None:
    whole = config(task("a"), task("b", priority=1), task("c"))
    assert looks_cut_off(whole, config(task("a"), task("b")))
    assert not looks_cut_off(whole, config(task("a", priority=2), task("b", priority=1)))
