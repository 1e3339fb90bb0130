"""depends_on: how it may be written, what it stands for, and what is refused."""

from __future__ import annotations

import pytest

from efsupervisor.conf import check_depend
from efsupervisor.conf.depend import cycle, edges
from efsupervisor.conf.loader import parse
from efsupervisor.conf.schema import Config, GroupSpec, TaskSpec
from efsupervisor.errors import ConfigError
from efsupervisor.interface.options import task_spec

TASKS = "tasks:\n  a: {command: x}\n  b: {command: x}\n"


def loaded(text: str) -> Config:
    return parse(text.encode(), "/etc/e.yaml")


def refused(text: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        loaded(text)
    return [sentence.removeprefix("/etc/e.yaml:") for sentence in caught.value.findings]


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("a", {"a": "ready"}),
        ("[a, B]", {"a": "ready", "B": "ready"}),
        ("{a: started, b: completed_successfully}", {"a": "started", "b": "completed_successfully"}),
        ("{a: healthy, b: completed}", {"a": "healthy", "b": "completed"}),
    ],
)
def test_one_name_a_list_or_names_with_conditions_may_be_written(written: str, meant: dict[str, str]) -> None:
    assert loaded(f"{TASKS}  c: {{command: x, depends_on: {written}}}\n").tasks[2].depends_on == meant


def test_a_name_that_is_nobodys_is_refused_in_its_line() -> None:
    text = f"{TASKS}  c:\n    command: x\n    depends_on:\n      - a\n      - bb\n"
    assert refused(text) == ['8: tasks.c.depends_on: there is no task or group "bb"; did you mean "b"?']


def test_a_condition_that_does_not_exist_is_refused_in_its_line() -> None:
    text = f"{TASKS}  c:\n    command: x\n    depends_on:\n      a: ready\n      b: helthy\n"
    assert refused(text) == ['8: tasks.c.depends_on.b: "helthy" is unknown; did you mean "healthy"?']


def test_a_cycle_is_refused_and_told_as_one_goes_round_it() -> None:
    text = "tasks:\n  a: {command: x, depends_on: c}\n  b: {command: x, depends_on: a}\n  c: {command: x, depends_on: B}\n"
    assert refused(text) == ["4: tasks.c.depends_on: closes a cycle: c -> b -> a -> c; none of them could ever be started"]


def test_a_task_cannot_depend_on_itself_nor_on_its_own_group() -> None:
    assert "closes a cycle: a -> a" in refused("tasks:\n  a: {command: x, depends_on: a}\n")[0]
    assert "closes a cycle: a -> a" in refused("tasks:\n  a: {command: x, depends_on: g}\ngroups:\n  g: {tasks: 'a*'}\n")[0]


def test_several_cycles_are_told_at_once() -> None:
    text = "tasks:\n" + "".join(f"  {one}: {{command: x, depends_on: {one}}}\n" for one in "abc")
    assert len(refused(text)) == 3


def test_too_many_dependencies_are_a_slip(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(check_depend, "MAX_EDGES", 3)
    text = f"{TASKS}  c: {{command: x, depends_on: [a, b]}}\n  d: {{command: x, depends_on: [a, b]}}\n"
    assert "one of 4 dependencies; at most 3" in refused(text)[0]


def test_a_group_stands_for_each_of_its_tasks_and_an_entry_for_its_instances() -> None:
    config = loaded("tasks:\n  w: {command: x, instances: 2}\n  c: {command: x, depends_on: {W: started}}\n")
    assert edges(config.tasks, config.groups) == {"c": {"w-0": ("w-0", "started"), "w-1": ("w-1", "started")}}


def test_a_pattern_of_a_group_is_looked_up_among_the_tasks() -> None:
    tasks = [TaskSpec(name=name, command=["x"]) for name in ("db-1", "db-2", "web")]
    tasks.append(TaskSpec(name="app", command=["x"], depends_on={"store": "ready", "nobody": "ready"}))
    assert edges(tasks, [GroupSpec(name="Store", tasks=["db-*"])]) == {
        "app": {"db-1": ("db-1", "ready"), "db-2": ("db-2", "ready"), "nobody": ("nobody", "ready")}
    }


def test_what_is_no_cycle_has_none() -> None:
    assert cycle({"b": {"a": ("a", "ready")}, "c": {"a": ("a", "ready"), "b": ("b", "ready")}}) == []


def test_a_command_says_dependencies_as_a_comma_list_or_with_conditions() -> None:
    assert task_spec("c", {"depends_on": "a, b"}, ["x"]).depends_on == {"a": "ready", "b": "ready"}
    assert task_spec("c", {"depends_on.a": "healthy"}, ["x"]).depends_on == {"a": "healthy"}
