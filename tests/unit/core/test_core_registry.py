"""Names, order and the index by program."""

from __future__ import annotations

import msgspec

from efsupervisor.conf.schema import GroupSpec, TaskSpec
from efsupervisor.core.registry import Registry
from efsupervisor.core.tasks import Task
from efsupervisor.errors import Code
from efsupervisor.messages import Report, Wiring
from efsupervisor.states import Goal, State
from efsupervisor.system import short_id
from efsupervisor.task.paths import TaskPaths


def make(name: str, priority: int = 999) -> Task:
    spec = TaskSpec(name=name, command=["true"], priority=priority)
    folder = f"/var/tasks/{short_id(name)}"
    report = Report(state=State.STOPPED, goal=Goal.TRM)
    return Task(spec=spec, wiring=Wiring(spec=spec, task_dir=folder, namespace="n"), paths=TaskPaths(folder), report=report)


def registry(*tasks: Task) -> Registry:
    made = Registry()
    for task in tasks:
        made.add(task)
    return made


def test_tasks_are_ordered_by_priority_and_then_as_they_were_written() -> None:
    assert [task.name for task in registry(make("b"), make("late", 1000), make("a"), make("first", 1)).ordered()] == ["first", "b", "a", "late"]


def test_a_name_is_found_in_every_spelling_that_means_the_same() -> None:
    known = registry(make("Straße"), make("import"))
    for spelling in ("import", "IMPORT", "ｉｍｐｏｒｔ"):
        found = known.by_name(spelling)
        assert found is not None and found.name == "import"
    assert known.by_name("STRASSE") is not None


def test_all_stands_for_every_task_and_each_is_named_once() -> None:
    found, unknown = registry(make("a"), make("b")).named(["b", "all", "B"])
    assert [task.name for task in found] == ["b", "a"]
    assert not unknown


def test_a_task_that_is_called_all_is_meant_by_its_name() -> None:
    found, _unknown = registry(make("all"), make("b")).named(["all"])
    assert [task.name for task in found] == ["all"]


def test_a_mistyped_name_gets_the_nearest_one_in_its_refusal() -> None:
    _found, unknown = registry(make("import"), make("export")).named(["imprt", "something-else"])
    assert [outcome.code for outcome in unknown] == [Code.NO_SUCH_TASK] * 2
    assert "import" in unknown[0].sentence
    assert "mean" not in unknown[1].sentence


def test_a_program_is_found_by_pid_and_start_time_and_only_while_it_is_reported() -> None:
    task = make("a")
    known = registry(task)
    task.report = msgspec.structs.replace(task.report, pid=50, start_ticks=9)
    known.reported(task)
    assert known.by_program(50, 9) is task
    assert known.by_program(50, 8) is None
    task.report = msgspec.structs.replace(task.report, pid=60, start_ticks=9)
    known.reported(task)
    assert known.by_program(50, 9) is None
    known.drop(task)
    assert known.by_program(60, 9) is None
    assert len(known) == 0


# Groups and patterns ---------------------------------------------------------------------------------------------------------------------------


def grouped(*groups: GroupSpec) -> Registry:
    known = registry(make("web.1"), make("web.2"), make("Import"), make("export"))
    known.groups = {group.name: group for group in groups}
    return known


def names(known: Registry, *words: str) -> list[str]:
    return [task.name for task in known.named(words)[0]]


def test_a_pattern_stands_for_every_task_that_it_matches_in_their_order_and_whatever_their_case() -> None:
    known = grouped()
    assert names(known, "WEB.*") == ["web.1", "web.2"]
    assert names(known, "*port") == ["Import", "export"]
    assert names(known, "web.[2-9]", "?mport", "web.*") == ["web.2", "Import", "web.1"]


def test_a_pattern_that_matches_nothing_says_so() -> None:
    found, unknown = grouped().named(["x*"])
    assert found == []
    assert (unknown[0].task, unknown[0].code, unknown[0].sentence) == ("x*", Code.NO_SUCH_TASK, "no task matches this pattern")


def test_a_group_stands_for_its_members_each_once_and_in_its_own_order() -> None:
    known = grouped(GroupSpec(name="g", tasks=["export", "web.*", "EXPORT", "gone"]))
    assert names(known, "G") == ["export", "web.1", "web.2"]
    assert known.named(["g"])[1] == []


def test_a_group_is_never_part_of_a_group() -> None:
    known = grouped(GroupSpec(name="g", tasks=["export"]), GroupSpec(name="h", tasks=["g", "import"]))
    assert names(known, "h") == ["Import"]


def test_a_group_without_tasks_says_so() -> None:
    _found, unknown = grouped(GroupSpec(name="g", tasks=["gone", "x*"])).named(["g"])
    assert unknown[0].sentence == "this group has no tasks now"


def test_a_task_goes_before_a_group_of_its_name_and_a_group_before_the_word_all() -> None:
    known = grouped(GroupSpec(name="import", tasks=["web.1"]), GroupSpec(name="all", tasks=["web.2"]))
    assert names(known, "import") == ["Import"]
    assert names(known, "all") == ["web.2"]


def test_a_task_knows_its_groups_by_name_and_by_pattern() -> None:
    known = grouped(GroupSpec(name="g", tasks=["web.*"]), GroupSpec(name="h", tasks=["WEB.1"]), GroupSpec(name="i", tasks=["all"]))
    task = known.by_name("web.1")
    assert task is not None
    assert known.groups_of(task) == ["g", "h", "i"]
    other = known.by_name("export")
    assert other is not None
    assert known.groups_of(other) == ["i"]


def test_a_mistyped_group_is_suggested_too() -> None:
    _found, unknown = grouped(GroupSpec(name="nightly", tasks=["export"])).named(["nighly"])
    assert "did you mean nightly?" in unknown[0].sentence


def test_another_priority_moves_a_task_and_keeps_its_age() -> None:
    known = registry(make("a"), make("b"), make("c", 5))
    task = known.by_name("b")
    assert task is not None
    task.spec = msgspec.structs.replace(task.spec, priority=5)
    known.reorder(task)
    assert [each.name for each in known.ordered()] == ["b", "c", "a"]
