"""`instances: N`: one entry as N tasks."""

from __future__ import annotations

import pytest

from efsupervisor.conf.loader import parse
from efsupervisor.conf.logs import with_fed_logs
from efsupervisor.conf.schema import GroupSpec, TaskSpec
from efsupervisor.errors import ConfigError


def test_each_instance_is_a_task_and_the_entrys_name_their_group() -> None:
    config = parse(b"tasks:\n  web: {command: cat, instances: 3}\n  a: {command: cat}\n", "/etc/x.yaml")
    assert [(task.name, task.group, task.instance, task.instances) for task in config.tasks] == [
        ("web-0", "web", 0, 1), ("web-1", "web", 1, 1), ("web-2", "web", 2, 1), ("a", "", 0, 1),
    ]  # fmt: skip
    assert config.groups == [GroupSpec(name="web", tasks=["web-0", "web-1", "web-2"])]


def test_more_instances_change_none_of_those_that_are_there() -> None:
    few, many = (parse(f"tasks:\n  web: {{command: cat, instances: {count}}}\n".encode(), "/etc/x.yaml") for count in (2, 3))
    assert many.tasks[:2] == few.tasks


def test_names_follow_the_pattern_from_the_first_number() -> None:
    text = b'tasks:\n  w: {command: cat, instances: 2, first_instance: 9, process_name: "%(program_name)s_%(process_num)02d"}\n'
    assert [task.name for task in parse(text, "/etc/x.yaml").tasks] == ["w_09", "w_10"]


def test_a_flow_names_all_instances_by_the_entry() -> None:
    text = b"tasks:\n  a: {command: cat}\n  b: {command: cat, instances: 2, input: {protocol: event}}\nflows:\n  f: {from: a, to: b, mode: share}\n"
    assert parse(text, "/etc/x.yaml").flows[0].consumers == ["b-0", "b-1"]


@pytest.mark.parametrize(
    ("key", "said"),
    [
        ('process_name: "x"', "same name"),
        ('process_name: "%(nothing)s"', "may have %(program_name)s"),
        ('process_name: "%(process_num)9999d"', "may have %(program_name)s"),
        ("instances: 0", "is outside 1 to 10,000"),
    ],
)
def test_a_pattern_that_gives_no_names_is_refused_at_its_line(key: str, said: str) -> None:
    with pytest.raises(ConfigError, match=r"x\.yaml:[23]:") as caught:
        parse(f"tasks:\n  web: {{command: cat, {'' if 'instances' in key else 'instances: 2, '}{key}}}\n".encode(), "/etc/x.yaml")
    assert said in caught.value.message


def test_a_log_that_is_named_twice_is_fed_and_not_linked() -> None:
    def spec(name: str, out: str, err: str = "", **more: bool) -> TaskSpec:
        return TaskSpec(name=name, command=["x"], stdout_logfile=out, stderr_logfile=err, **more)  # type: ignore[arg-type]

    tasks = [spec("a", "/l/x"), spec("b", "/l/x"), spec("c", "/l/c", "/l/c"), spec("d", "/l/d", "/l/e")]
    tasks += [spec("e", "/l/f", "/l/f", redirect_stderr=True), spec("f", "auto", "auto")]
    assert [task.name for task in with_fed_logs(tasks) if task.fed_logs] == ["a", "b", "c"]
