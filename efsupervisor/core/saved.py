"""What was added by command, and how it and the file make one configuration.

The file is what people write, the saved state what they said to the running supervisor; both are wanted, and where they disagree the file wins:
it is the one that was reviewed, that is under version control, and that somebody can look at.  So what was added under a name that the file has
meanwhile, or that no longer fits what the file says, is *set aside*: it has no effect, it is told in the log, and it stays saved, because taking
the name out of the file brings it back.

Order: the file's parts first and as written, then the added ones in the order in which they were added; `priority` decides before that.

Everything here is pure.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple, TypeVar

import msgspec

from efsupervisor.conf import depend
from efsupervisor.conf.flows import unfit_flow
from efsupervisor.conf.schema import Config, FlowSpec, GroupSpec, ScheduleSpec, SupervisorSpec, TaskSpec
from efsupervisor.core.store_rows import Saved, Scale
from efsupervisor.errors import EfError
from efsupervisor.system import folded

Named = TaskSpec | FlowSpec | GroupSpec | ScheduleSpec
N = TypeVar("N", TaskSpec, FlowSpec, GroupSpec, ScheduleSpec)
WithSetting = Callable[[SupervisorSpec, str, str], SupervisorSpec]
"""A spec with one dotted key set to a value as text; EfError when there is no such key or it does not take the value."""

TASK, FLOW, GROUP, SCHEDULE, SETTING = "task", "flow", "group", "schedule", "setting"


class Merged(NamedTuple):
    """The configuration in force.  file: what it was made from.  added: (noun, folded name) of what comes from commands.  aside: a sentence for
    each thing that was set aside."""

    config: Config
    file: Config
    added: frozenset[tuple[str, str]] = frozenset()
    aside: tuple[str, ...] = ()

    def origin(self, noun: str, name: str) -> str:
        """`added` or `file`."""
        return "added" if (noun, folded(name)) in self.added else "file"


def with_setting(spec: SupervisorSpec, key: str, value: str) -> SupervisorSpec:
    """The WithSetting of the configuration's own tables."""
    from efsupervisor.conf.settings import with_setting  # late: 600 KiB, for those who set something

    return with_setting(spec, key, value)


def merge(file: Config, added: Saved, with_setting: WithSetting, types: Callable[[str], object]) -> Merged:
    """File and added parts as one configuration that is consistent whatever either holds.  types: EfError for a task type that does not exist."""
    aside: list[str] = []
    written, file = file, _scaled(file, added.scales, aside) if added.scales else file
    taken = _names(file.tasks) | _names(file.groups)
    tasks = [spec for spec in _fitting(added.tasks, taken, "task", aside) if _type_exists(spec, types, aside)]
    tasks = _without_cycles(file, tasks, aside)
    groups = _fitting(added.groups, taken | _names(tasks), "group", aside)
    schedules = _fitting(added.schedules, _names(file.schedules), "schedule", aside)
    flows = _flows(file, _fitting(added.flows, _names(file.flows), "flow", aside), _names(file.tasks) | _names(tasks), aside)
    supervisor, kept = _settings(file.supervisor, added.settings, with_setting, aside)
    config = msgspec.structs.replace(
        file,
        supervisor=supervisor,
        tasks=[*file.tasks, *tasks],
        flows=[*file.flows, *flows],
        groups=[*file.groups, *groups],
        schedules=[*file.schedules, *schedules],
    )
    parts: list[tuple[str, Iterable[Named]]] = [(TASK, tasks), (FLOW, flows), (GROUP, groups), (SCHEDULE, schedules)]
    marks = {(noun, folded(part.name)) for noun, specs in parts for part in specs} | {(SETTING, key) for key in kept}
    return Merged(config, written, frozenset(marks), tuple(aside))


def _scaled(file: Config, scales: dict[str, Scale], aside: list[str]) -> Config:
    """The file with as many instances of each entry as are wanted; what the file says since is the last word."""
    from efsupervisor.conf.scaling import entry_of, scaled, unfit  # late: it brings the tables' fields, for those who scale something

    for scale in scales.values():
        entry = entry_of(file, scale.task)
        if entry is None or entry.instances != scale.written:
            why = "it has no instances" if entry is None else f"the configuration says {entry.instances} now"
        else:
            why = unfit(file, entry, scale.instances)
        if why or entry is None:
            aside.append(f"{scale.instances} instances of {scale.task} were wanted by command, which is set aside: {why}")
        else:
            file = scaled(file, entry, scale.instances)
    return file


def _names(parts: Iterable[Named]) -> set[str]:
    return {folded(part.name) for part in parts}


def _fitting(parts: Iterable[N], taken: set[str], noun: str, aside: list[str]) -> list[N]:
    """Those whose name is free."""
    fitting = []
    for part in parts:
        if folded(part.name) in taken:
            aside.append(f"{noun} {part.name} was added by command, but the configuration has that name now: the added one is set aside")
        else:
            fitting.append(part)
    return fitting


def _type_exists(spec: TaskSpec, types: Callable[[str], object], aside: list[str]) -> bool:
    try:
        types(spec.type)
    except EfError as error:
        aside.append(f"task {spec.name} was added by command, but is set aside: {error.message}")
        return False
    return True


def _without_cycles(file: Config, tasks: list[TaskSpec], aside: list[str]) -> list[TaskSpec]:
    """Those whose dependencies close no cycle with the file's and with the ones before."""
    fitting: list[TaskSpec] = []
    for spec in tasks:
        if spec.depends_on and depend.cycle(depend.edges([*file.tasks, *fitting, spec], file.groups)):
            why = "with the configuration as it is now its depends_on closes a cycle"
            aside.append(f"task {spec.name} was added by command, but {why}: it is set aside")
        else:
            fitting.append(spec)
    return fitting


def _flows(file: Config, flows: list[FlowSpec], tasks: set[str], aside: list[str]) -> list[FlowSpec]:
    """Those whose tasks are all there, and which close no cycle with the ones before and bring nothing that another brings already."""
    fitting: list[FlowSpec] = []
    for flow in flows:
        missing = [name for name in (*flow.producers, *flow.consumers) if folded(name) not in tasks]
        if missing:
            aside.append(f"flow {flow.name} was added by command, but there is no task {missing[0]} now: the flow is set aside")
        elif why := unfit_flow([*file.flows, *fitting, flow]):
            aside.append(f"flow {flow.name} was added by command, but with the configuration as it is now {why}: it is set aside")
        else:
            fitting.append(flow)
    return fitting


def _settings(
    spec: SupervisorSpec, settings: dict[str, str], with_setting: WithSetting, aside: list[str]
) -> tuple[SupervisorSpec, list[str]]:
    """The file's settings with those that were set by command.

    A part (the web, a collector) is judged when all of its settings are there: they are applied while it is switched off, and it is switched on last.
    One that cannot be switched on with them stays as the file has it.
    """
    kept: list[str] = []
    for part in dict.fromkeys(key.partition(".")[0] for key in settings):
        mine = {key: value for key, value in settings.items() if key.partition(".")[0] == part}
        spec, good = _of_part(spec, part, mine, with_setting, aside)
        kept += good
    return spec, [key for key in settings if key in kept]


def _of_part(
    spec: SupervisorSpec, part: str, settings: dict[str, str], with_setting: WithSetting, aside: list[str]
) -> tuple[SupervisorSpec, list[str]]:
    before, switch, kept = spec, f"{part}.enabled", []
    enabled = getattr(getattr(spec, part, None), "enabled", None)
    final = settings.get(switch, "true" if enabled else "false")
    if enabled:
        spec = with_setting(spec, switch, "false")
    for key, value in settings.items():
        if key != switch:
            try:
                spec = with_setting(spec, key, value)
            except EfError as error:
                aside.append(f"setting {key} was set by command, but its value cannot be used: {error.message}")
            else:
                kept.append(key)
    if enabled is None:
        return spec, kept
    try:
        return with_setting(spec, switch, final), [*kept, *([switch] if switch in settings else [])]
    except EfError as error:
        aside.append(f"settings {', '.join(settings)} were set by command, but cannot be used together: {error.message}")
        return before, []


# One change -----------------------------------------------------------------------------------------------------------------------------------------


def put(parts: list[N], part: N) -> list[N]:
    """The parts with this one added at the end, or in the place of the one of its name."""
    name = folded(part.name)
    if any(folded(each.name) == name for each in parts):
        return [part if folded(each.name) == name else each for each in parts]
    return parts + [part]  # noqa: RUF005 - mypy cannot follow the other spelling


def without(parts: list[N], names: Iterable[str]) -> list[N]:
    """The parts without those of these names."""
    gone = {folded(name) for name in names}
    return [each for each in parts if folded(each.name) not in gone]
