"""Another number of instances: which tasks, flows and groups come of it, and when it cannot be."""

from __future__ import annotations

import pytest

from efsupervisor.conf.loader import parse
from efsupervisor.conf.scaling import entry_of, instances_of, scaled, unfit
from efsupervisor.conf.schema import Config, TaskSpec

TEXT = """
tasks:
  first: {command: x}
  w: {command: x, instances: 2, stdout_logfile: /tmp/w.log, input: {}}
  last: {command: x, depends_on: w}
flows:
  fan: {from: first, to: w}
groups:
  some: {tasks: [w-0, last]}
"""


def loaded(text: str = TEXT) -> Config:
    return parse(text.encode(), "/etc/e.yaml")


def entry(config: Config, name: str = "w") -> TaskSpec:
    found = entry_of(config, name)
    assert found is not None
    return found


@pytest.mark.parametrize("count", [1, 2, 5])
def test_it_is_as_if_the_file_had_said_so(count: int) -> None:
    config = loaded()
    written = loaded(TEXT.replace("instances: 2", f"instances: {count}")) if count > 1 else None
    found = scaled(config, entry(config), count)
    assert [spec.name for spec in found.tasks] == ["first", *(f"w-{number}" for number in range(count)), "last"]
    assert next(group.tasks for group in found.groups if group.name == "w") == [f"w-{number}" for number in range(count)]
    assert found.flows[0].consumers == [f"w-{number}" for number in range(count)]
    if written is not None:
        assert found == Config(**{key: getattr(written, key) for key in written.__struct_fields__} | {"entries": config.entries})


def test_those_that_stay_are_the_same_tasks() -> None:
    config = loaded()
    assert scaled(config, entry(config), 3).tasks[1:3] == config.tasks[1:3]


def test_two_that_share_a_log_file_feed_it_and_one_alone_does_not() -> None:
    config = loaded(TEXT.replace("instances: 2", "instances: 3"))
    assert all(spec.fed_logs for spec in config.tasks if spec.group == "w")
    assert not scaled(config, entry(config), 1).tasks[1].fed_logs


def test_numbers_and_names_are_those_that_the_entry_says() -> None:
    config = loaded('tasks:\n  w: {command: x, instances: 2, first_instance: 7, process_name: "%(program_name)s_%(process_num)02d"}\n')
    assert [(spec.name, spec.instance) for spec in scaled(config, entry(config, "W"), 3).tasks] == [("w_07", 7), ("w_08", 8), ("w_09", 9)]


def test_a_flow_that_names_some_keeps_these_and_holds_them_fast() -> None:
    config = loaded(TEXT.replace("to: w}", "to: w-1}"))
    assert scaled(config, entry(config), 3).flows[0].consumers == ["w-1"]
    assert unfit(config, entry(config), 1) == "the flow fan names an instance that would go"
    assert unfit(config, entry(config), 3) == ""


def test_a_name_that_is_taken_and_a_task_that_depends_on_one_stand_against_it() -> None:
    config = loaded(TEXT + "  w-4: {tasks: last}\n")
    assert unfit(config, entry(config), 5) == "w-4 is the name of another task or group"
    assert unfit(config, entry(config), 4) == ""
    config = loaded(TEXT.replace("depends_on: w", "depends_on: [w-1]"))
    assert unfit(config, entry(config), 1) == "last depends on an instance that would go"


def test_what_has_no_instances_is_no_entry() -> None:
    assert entry_of(loaded(), "first") is None
    assert entry_of(loaded(), "w-0") is None
    assert [spec.instances for spec in instances_of(entry(loaded()))] == [1, 1]
