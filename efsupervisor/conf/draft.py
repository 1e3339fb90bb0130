"""A configuration that was read but not yet checked: its parts, each with the place where it stands.

Parts come from several files; a Section knows the findings of its own."""

from __future__ import annotations

from dataclasses import dataclass, field

from efsupervisor.conf.fields import Section
from efsupervisor.conf.schema import FlowSpec, GroupSpec, ScheduleSpec, SupervisorSpec, TaskSpec
from efsupervisor.system import folded


@dataclass(frozen=True)
class Task:
    """A task and where it stands."""

    spec: TaskSpec
    at: Section


@dataclass(frozen=True)
class Flow:
    """A flow and where it stands."""

    spec: FlowSpec
    at: Section


@dataclass(frozen=True)
class Group:
    """A group and where it stands."""

    spec: GroupSpec
    at: Section


@dataclass(frozen=True)
class Schedule:
    """A schedule and where it stands."""

    spec: ScheduleSpec
    at: Section


@dataclass
class Draft:
    """The parts in the order in which they were read.  at: where the supervisor's keys stand.  whole: false when a file could not be read to its
    end.  entries: what was written with `instances`, as it was."""

    supervisor: SupervisorSpec
    at: Section
    tasks: list[Task] = field(default_factory=list)
    flows: list[Flow] = field(default_factory=list)
    groups: list[Group] = field(default_factory=list)
    schedules: list[Schedule] = field(default_factory=list)
    entries: list[TaskSpec] = field(default_factory=list)
    whole: bool = True


def known_tasks(draft: Draft) -> dict[str, Task]:
    """The tasks by folded name; of two with one name the first."""
    return {folded(task.spec.name): task for task in reversed(draft.tasks)}


def place(at: Section, key: str, number: int) -> tuple[int, str]:
    """Line and path of one name of a list, or of the single name."""
    item = f"{key}[{number}]"
    return at.line_of(item if item in at.lines else key), f"{at.path}.{item if item in at.lines else key}"
