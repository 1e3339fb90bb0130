"""Another number of instances of an entry than the file says: the configuration that comes of it.

The names are made as they were for the file, so those instances that stay are the same tasks; what is added comes behind them, what goes are the
last ones.  A flow that names every instance gets and loses them too; one that names some of them is about these.  Pure.
"""

from __future__ import annotations

import msgspec

from efsupervisor.conf.fields import instance_name
from efsupervisor.conf.logs import with_fed_logs
from efsupervisor.conf.schema import Config, FlowSpec, GroupSpec, TaskSpec
from efsupervisor.system import folded

PATTERN = "%(program_name)s-%(process_num)d"


def instances_of(entry: TaskSpec) -> list[TaskSpec]:
    """The tasks that are made of one entry."""
    found = []
    for number in range(entry.first_instance, entry.first_instance + entry.instances):
        name = instance_name(entry.process_name or PATTERN, entry.name, number)
        found.append(
            msgspec.structs.replace(entry, name=name, process_name=name, group=entry.name, instance=number, instances=1, first_instance=0)
        )
    return found


def entry_of(config: Config, name: str) -> TaskSpec | None:
    """The entry with `instances` that has this name."""
    return next((entry for entry in config.entries if folded(entry.name) == folded(name)), None)


def names_of(entry: TaskSpec, count: int) -> list[str]:
    """The names of so many instances."""
    return [spec.name for spec in instances_of(msgspec.structs.replace(entry, instances=count))]


def unfit(config: Config, entry: TaskSpec, count: int) -> str:
    """Why there cannot be so many instances, as the end of a sentence; empty when there can."""
    before, after = names_of(entry, entry.instances), names_of(entry, count)
    own = set(map(folded, before))
    taken = {folded(name) for name in [spec.name for spec in config.tasks] + [group.name for group in config.groups]} - own
    clash = next((name for name in after if folded(name) in taken), "")
    if clash:
        return f"{clash} is the name of another task or group"
    gone = own - set(map(folded, after))
    named = [flow for flow in config.flows if gone.intersection(map(folded, (*flow.producers, *flow.consumers)))]
    flow = next((flow.name for flow in named if not _all(flow, own)), "")
    if flow:
        return f"the flow {flow} names an instance that would go"
    needing = next((spec.name for spec in config.tasks if folded(spec.name) not in gone and gone.intersection(map(folded, spec.depends_on))), "")
    return f"{needing} depends on an instance that would go" if needing else ""


def scaled(config: Config, entry: TaskSpec, count: int) -> Config:
    """The configuration with so many instances of the entry; it must not be unfit."""
    own = set(map(folded, names_of(entry, entry.instances)))
    made = instances_of(msgspec.structs.replace(entry, instances=count))
    names = [spec.name for spec in made]
    at = next(number for number, spec in enumerate(config.tasks) if folded(spec.name) in own)
    others = [spec for spec in config.tasks if folded(spec.name) not in own]
    return msgspec.structs.replace(
        config,
        tasks=with_fed_logs([*others[:at], *made, *others[at:]]),
        flows=[_flow(flow, own, names) for flow in config.flows],
        groups=[GroupSpec(name=group.name, tasks=names) if folded(group.name) == folded(entry.name) else group for group in config.groups],
    )


def _flow(flow: FlowSpec, own: set[str], names: list[str]) -> FlowSpec:
    return msgspec.structs.replace(flow, producers=_listed(flow.producers, own, names), consumers=_listed(flow.consumers, own, names))


def _listed(listed: list[str], own: set[str], names: list[str]) -> list[str]:
    if not own.issubset(map(folded, listed)):
        return listed
    at = next(number for number, name in enumerate(listed) if folded(name) in own)
    others = [name for name in listed if folded(name) not in own]
    return [*others[:at], *names, *others[at:]]


def _all(flow: FlowSpec, own: set[str]) -> bool:
    """Whether each side of a flow names all of them, or none."""
    sides = (set(map(folded, flow.producers)), set(map(folded, flow.consumers)))
    return all(own.issubset(side) or own.isdisjoint(side) for side in sides)
