"""`instances: N`: one entry as N tasks that differ in name and number.

The entry's own name becomes a group of them, and stands for all of them where a flow names it.  None of the tasks knows N, so that raising it touches
none that runs.  Pure; changes the draft in place, before it is checked.
"""

from __future__ import annotations

from dataclasses import replace as with_spec

import msgspec

from efsupervisor.conf.draft import Draft, Flow, Group, Task
from efsupervisor.conf.fields import Section, instance_name
from efsupervisor.conf.scaling import instances_of
from efsupervisor.conf.schema import GroupSpec
from efsupervisor.system import folded


def expand_instances(draft: Draft) -> None:
    """Put the instances of each entry in its place.  Two that would have one name are left for the check of names."""
    made: dict[str, list[str]] = {}
    tasks: list[Task] = []
    draft.entries = [task.spec for task in draft.tasks if task.spec.instances != 1]
    for task in draft.tasks:
        if task.spec.instances == 1:
            tasks.append(_single(task))
            continue
        each = [Task(spec, task.at) for spec in instances_of(task.spec)]
        made[folded(task.spec.name)] = [one.spec.name for one in each]
        draft.groups.append(Group(GroupSpec(name=task.spec.name, tasks=[one.spec.name for one in each]), _place(task.at)))
        tasks += each
    draft.tasks = tasks
    if made:
        draft.flows = [_flow(flow, made) for flow in draft.flows]


def _single(task: Task) -> Task:
    spec = task.spec
    if not spec.process_name and not spec.first_instance:
        return task
    name = instance_name(spec.process_name or spec.name, spec.name, spec.first_instance)
    return Task(msgspec.structs.replace(spec, process_name=name, instance=spec.first_instance, first_instance=0), task.at)


def _place(at: Section) -> Section:
    """The group stands where `instances` is written."""
    return Section(at.findings, at.line, at.path, lines={"tasks": at.line_of("instances")})


def _flow(flow: Flow, made: dict[str, list[str]]) -> Flow:
    def meant(names: list[str]) -> list[str]:
        return [each for name in names for each in made.get(folded(name), [name])]

    spec = flow.spec
    if not any(folded(name) in made for name in (*spec.producers, *spec.consumers)):
        return flow
    return with_spec(flow, spec=msgspec.structs.replace(spec, producers=meant(spec.producers), consumers=meant(spec.consumers)))
