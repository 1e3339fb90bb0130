"""Names, order and the index by program."""

from __future__ import annotations

import msgspec

from efsupervisor.conf.schema import TaskSpec
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
    for spelling in ("import", "IMPORT", "ｉｍｐｏｒｔ"):  # noqa: RUF001 - look-alikes are the point
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
