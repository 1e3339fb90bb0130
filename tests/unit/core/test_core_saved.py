"""The file and what was added by command make one configuration, whatever either holds."""

from __future__ import annotations

import msgspec
import pytest

from efsupervisor.conf.schema import Config, FlowSpec, GroupSpec, ScheduleSpec, SupervisorSpec, TaskSpec
from efsupervisor.core.saved import Merged, merge, put, with_setting, without
from efsupervisor.core.store_rows import Saved, Scale
from efsupervisor.errors import EfError


def task(name: str, **more: object) -> TaskSpec:
    return TaskSpec(name=name, command=["true"], **more)  # type: ignore[arg-type]


def flow(name: str, producer: str, consumer: str) -> FlowSpec:
    return FlowSpec(name=name, producers=[producer], consumers=[consumer])


def types(name: str) -> object:
    if name != "process":
        raise EfError(f"there is no task type {name!r}")
    return None


def merged(file: Config, **added: object) -> Merged:
    return merge(file, Saved(**added), with_setting, types)  # type: ignore[arg-type]


FILE = Config(source="/etc/x.yaml", tasks=[task("a"), task("b")], flows=[flow("ab", "a", "b")], groups=[GroupSpec(name="both", tasks=["a", "b"])])


def test_what_was_added_follows_what_the_file_says_in_its_own_order() -> None:
    found = merged(FILE, tasks=[task("z"), task("c")], flows=[flow("bz", "b", "z")], groups=[GroupSpec(name="g", tasks=["z"])])
    assert [spec.name for spec in found.config.tasks] == ["a", "b", "z", "c"]
    assert [spec.name for spec in found.config.flows] == ["ab", "bz"]
    assert [spec.name for spec in found.config.groups] == ["both", "g"]
    assert found.aside == ()
    assert found.file is FILE


def test_the_origin_of_each_part_is_known_in_every_spelling() -> None:
    found = merged(FILE, tasks=[task("Zeta")], schedules=[ScheduleSpec(name="s", cron="* * * * *")])
    assert [found.origin("task", name) for name in ("A", "zeta", "ZETA")] == ["file", "added", "added"]
    assert found.origin("schedule", "s") == "added"
    assert found.origin("flow", "zeta") == "file"


@pytest.mark.parametrize(
    ("added", "word"),
    [
        ({"tasks": [task("A")]}, "task A"),
        ({"tasks": [task("BOTH")]}, "task BOTH"),
        ({"groups": [GroupSpec(name="Both", tasks=["a"])]}, "group Both"),
        ({"groups": [GroupSpec(name="b", tasks=["a"])]}, "group b"),
        ({"flows": [flow("AB", "a", "b")]}, "flow AB"),
        ({"flows": [flow("x", "a", "gone")]}, "no task gone"),
        ({"flows": [flow("x", "b", "a")]}, "closes a cycle"),
        ({"flows": [flow("x", "a", "b")]}, "feeds b what the flow ab feeds it already"),
        ({"tasks": [task("t", type="talend")]}, "no task type 'talend'"),
        ({"settings": {"web.prot": "1"}}, "web.prot was set"),
        ({"settings": {"web.port": "much"}}, "web.port was set"),
    ],
)
def test_what_does_not_fit_the_file_is_set_aside_and_told_and_nothing_else_is(added: dict[str, object], word: str) -> None:
    found = merged(FILE, **added)
    assert found.config == FILE
    assert len(found.aside) == 1 and word in found.aside[0]


def test_a_group_may_not_have_the_name_of_a_task_that_was_added_before() -> None:
    found = merged(FILE, tasks=[task("new")], groups=[GroupSpec(name="New", tasks=["a"])])
    assert [spec.name for spec in found.config.groups] == ["both"]
    assert "group New" in found.aside[0]


def test_a_cycle_that_is_meant_is_kept() -> None:
    found = merged(FILE, flows=[msgspec.structs.replace(flow("x", "b", "a"), cycle=True)])
    assert [each.name for each in found.config.flows] == ["ab", "x"] and not found.aside


def test_a_flow_whose_task_was_set_aside_follows_it() -> None:
    found = merged(FILE, tasks=[task("t", type="talend")], flows=[flow("at", "a", "t")])
    assert found.config.flows == FILE.flows
    assert len(found.aside) == 2


def test_settings_go_over_those_of_the_file() -> None:
    file = msgspec.structs.replace(FILE, supervisor=SupervisorSpec(log_level="warning", history=5))
    found = merged(file, settings={"log_level": "debug", "web.port": "8080"})
    assert (found.config.supervisor.log_level, found.config.supervisor.web.port, found.config.supervisor.history) == ("debug", 8080, 5)
    assert {found.origin("setting", key) for key in ("log_level", "web.port")} == {"added"}
    assert found.origin("setting", "history") == "file"


SECURE = {"web.certificate": "/etc/c.pem", "web.key": "/etc/k.pem", "web.host": "0.0.0.0"}


@pytest.mark.parametrize("order", [list(SECURE), list(reversed(SECURE))])
@pytest.mark.parametrize("switch", [{}, {"web.enabled": "true"}])
def test_settings_that_need_each_other_are_judged_together(order: list[str], switch: dict[str, str]) -> None:
    found = merged(FILE, settings={**{key: SECURE[key] for key in order}, **switch})
    web = found.config.supervisor.web
    assert (web.certificate, web.key, web.host, web.enabled) == ("/etc/c.pem", "/etc/k.pem", "0.0.0.0", True)
    assert not found.aside


def test_settings_that_do_not_fit_each_other_leave_the_part_as_the_file_has_it() -> None:
    found = merged(FILE, settings={"web.host": "0.0.0.0", "web.port": "9", "log_level": "debug"})
    assert found.config.supervisor.web == FILE.supervisor.web
    assert found.config.supervisor.log_level == "debug"
    assert found.origin("setting", "web.port") == "file"
    assert len(found.aside) == 1 and "web.host, web.port" in found.aside[0]


def test_a_part_is_put_in_its_own_place_or_at_the_end_and_taken_out_by_any_spelling() -> None:
    parts = [task("a"), task("b")]
    assert [(each.name, each.priority) for each in put(parts, task("A", priority=1))] == [("A", 1), ("b", 999)]
    assert [each.name for each in put(parts, task("c"))] == ["a", "b", "c"]
    assert [each.name for each in without(parts, ["B", "x"])] == ["a"]


def test_an_added_task_whose_dependencies_close_a_cycle_now_is_set_aside() -> None:
    file = Config(source="/etc/x.yaml", tasks=[task("a", depends_on={"B": "ready"})])
    found = merged(file, tasks=[task("b", depends_on={"a": "ready"}), task("c", depends_on={"a": "ready"})])
    assert [spec.name for spec in found.config.tasks] == ["a", "c"]
    assert found.aside == ("task b was added by command, but with the configuration as it is now its depends_on closes a cycle: it is set aside",)


def test_a_number_of_instances_holds_until_the_file_says_another_one() -> None:
    entry = task("w", instances=2)
    file = Config(source="/etc/x.yaml", tasks=[task("w-0"), task("w-1")], groups=[GroupSpec(name="w", tasks=["w-0", "w-1"])], entries=[entry])
    found = merged(file, scales={"id": Scale(task="w", instances=3, written=2)})
    assert [spec.name for spec in found.config.tasks] == ["w-0", "w-1", "w-2"]
    assert found.file is file and found.aside == ()
    found = merged(file, scales={"id": Scale(task="w", instances=3, written=4)})
    assert [spec.name for spec in found.config.tasks] == ["w-0", "w-1"]
    assert found.aside == ("3 instances of w were wanted by command, which is set aside: the configuration says 2 now",)
    found = merged(Config(source="/etc/x.yaml"), scales={"id": Scale(task="w", instances=3, written=2)})
    assert found.aside == ("3 instances of w were wanted by command, which is set aside: it has no instances",)
