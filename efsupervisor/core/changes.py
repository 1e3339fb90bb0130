"""The difference between two configurations, and what making it so does to what runs.

A task's keys are of two kinds.  *Policies* are looked at when they are needed: the worker is told the new ones and goes on.  Everything else is
what the program was started with, and a running program cannot be given another command or environment: it is restarted.  A key that is not in
POLICIES counts as the second kind, so a key that somebody adds later does too much rather than nothing.

Flows apply in place.  But a program whose stdin was the empty device cannot be handed a pipe: when a flow gives a task its first input, its
program is restarted, and that is told as a change of the task.

Everything here is pure, and linear in the size of the configurations.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable
from typing import Any, NamedTuple, TypeVar

import msgspec

from efsupervisor.conf.schema import Config, FlowSpec, GroupSpec, InputSpec, ScheduleSpec, SupervisorSpec, TaskSpec
from efsupervisor.messages import Change
from efsupervisor.states import Goal
from efsupervisor.system import folded

ADDED, REMOVED, CHANGED = "added", "removed", "changed"
STARTS, STOPS, RESTARTS, IN_PLACE = "starts", "stops", "restarts", "in place"
AT_NEXT_START = "at the next start of efsupervisord"
RESTS = "does not start (autostart: false)"

POLICIES = frozenset({
    "autostart", "autorestart", "exitcodes", "startsecs", "startretries", "backoff_s", "backoff_max_s", "restart_burst", "restart_period_s",
    "depends_on", "restart_with", "essential", "stopsignal", "stopwaitsecs", "priority", "drain_s",
    "output.segment_bytes", "output.keep_bytes", "output.keep_age_s", "output.hard_bytes", "output.sync", "output.compress", "fed_logs",
    "stdout_logfile", "stdout_logfile_maxbytes", "stdout_logfile_backups", "stdout_syslog", "stderr_logfile", "stderr_logfile_maxbytes",
     "stderr_logfile_backups", "stderr_syslog", "strip_ansi", "stopasgroup", "killasgroup",
    "backoff_reset_s", "fatal_after_burst", "retry_fatal_s", "input.window", "input.ack", "input.max_deliveries", "input.on_poison",
    "input.max_event", "input.ack_timeout_s",
})  # fmt: skip
"""Keys of a task that a worker takes over while its program runs."""

FIXED = frozenset({"var"})
"""Keys of the supervisor that are read when it starts; all others apply at once."""

P = TypeVar("P", TaskSpec, FlowSpec, GroupSpec, ScheduleSpec)
Effect = Callable[[Any, Any, list[str]], str]
"""What a change of a part does: (as it was or None, as it will be or None, keys that differ)."""

FEW = 1
FIFTH = 5


def difference(old: Config, new: Config) -> list[Change]:
    """Every difference, sections in the order of the file and each with removals first."""
    changes = _supervisor(old.supervisor, new.supervisor)
    before, after = _with_inputs(old), _with_inputs(new)
    fed_by_flows = fed(new)
    for name, spec in after.items():
        former = before.get(name)
        if former is not None and former.input is not None and spec.input is None and name not in fed_by_flows:
            written = next(task for task in old.tasks if folded(task.name) == name)
            if written.input is None:  # its last flow went: its stdin stays as it is, and silent, until it is started again
                after[name] = msgspec.structs.replace(spec, input=former.input)
    changes += _parts("task", before, after, _task_effect)
    changes += _parts("flow", _by_name(old.flows), _by_name(new.flows), _in_place)
    changes += _parts("group", _by_name(old.groups), _by_name(new.groups), _in_place)
    changes += _parts("schedule", _by_name(old.schedules), _by_name(new.schedules), _in_place)
    return changes


def _by_name(parts: Iterable[P]) -> dict[str, P]:
    return {folded(part.name): part for part in parts}


def _with_inputs(config: Config) -> dict[str, TaskSpec]:
    """Tasks by folded name; one that only a flow feeds has the input that such a task gets."""
    names = fed(config)
    return {
        name: msgspec.structs.replace(spec, input=InputSpec()) if spec.input is None and name in names else spec
        for name, spec in _by_name(config.tasks).items()
    }


def fields_that_differ(old: msgspec.Struct, new: msgspec.Struct, prefix: str = "") -> list[str]:
    """Dotted keys whose values differ; of two structs each key of theirs, of a struct and nothing the key itself."""
    found: list[str] = []
    for key in new.__struct_fields__:
        before, after = getattr(old, key), getattr(new, key)
        if before == after:
            continue
        if isinstance(before, msgspec.Struct) and isinstance(after, msgspec.Struct):
            found += fields_that_differ(before, after, f"{prefix}{key}.")
        else:
            found.append(prefix + key)
    return found


def fed(config: Config) -> set[str]:
    """Folded names of the tasks that take events: they say `input:` or a flow ends at them."""
    names = {folded(name) for flow in config.flows for name in flow.consumers}
    return names | {folded(spec.name) for spec in config.tasks if spec.input is not None}


def _task_effect(old: TaskSpec | None, new: TaskSpec | None, fields: list[str]) -> str:
    if old is None:
        return STARTS if new is not None and new.autostart else RESTS
    if new is None:
        return STOPS
    return IN_PLACE if POLICIES.issuperset(fields) else RESTARTS


def _in_place(_old: Any, _new: Any, _fields: list[str]) -> str:
    return IN_PLACE


def _parts(noun: str, before: dict[str, P], after: dict[str, P], effect: Effect) -> list[Change]:
    gone = [part for name, part in before.items() if name not in after]
    removed = [Change(noun=noun, name=part.name, what=REMOVED, effect=effect(part, None, []), group=_group(part)) for part in gone]
    others = []
    for name, part in after.items():
        former = before.get(name)
        if former is None:
            others.append(Change(noun=noun, name=part.name, what=ADDED, effect=effect(None, part, []), group=_group(part)))
        elif former != part:
            fields = fields_that_differ(former, part)
            effected = effect(former, part, fields)
            others.append(Change(noun=noun, name=part.name, what=CHANGED, fields=fields, effect=effected, group=_group(part)))
    return removed + others


def _group(part: P) -> str:
    return part.group if isinstance(part, TaskSpec) else ""


def _supervisor(old: SupervisorSpec, new: SupervisorSpec) -> list[Change]:
    return [
        Change(noun="setting", name=key, what=CHANGED, fields=[key], effect=IN_PLACE if is_live(key) else AT_NEXT_START)
        for key in fields_that_differ(old, new)
    ]


def is_live(key: str) -> bool:
    """Whether a change of this key of the supervisor section works at once."""
    return key not in FIXED


# A part of a file ----------------------------------------------------------------------------------------------------------------------------------


def meant(spec: TaskSpec, only: Container[str]) -> bool:
    """Whether a task is one of these, or in one of these groups.  only: folded names."""
    return folded(spec.name) in only or (bool(spec.group) and folded(spec.group) in only)


def limited(old: Config, new: Config, only: Container[str]) -> Config:
    """The old configuration with the new one's tasks and groups of these names; nothing else of the new one."""
    before = {folded(spec.name): spec for spec in old.tasks}
    after = {folded(spec.name): spec for spec in new.tasks}
    names = list(dict.fromkeys([*after, *before]))
    chosen = [(after if meant(after.get(name) or before[name], only) else before).get(name) for name in names]
    groups = [group for group in old.groups if folded(group.name) not in only] + [group for group in new.groups if folded(group.name) in only]
    entries = [entry for entry in old.entries if not meant(entry, only)] + [entry for entry in new.entries if meant(entry, only)]
    return msgspec.structs.replace(old, tasks=[spec for spec in chosen if spec is not None], groups=groups, entries=entries)


def reduced(old: Config, only: Container[str]) -> Config:
    """The old configuration without the tasks and groups of these names."""
    tasks = [spec for spec in old.tasks if not meant(spec, only)]
    groups = [group for group in old.groups if folded(group.name) not in only]
    return msgspec.structs.replace(old, tasks=tasks, groups=groups, entries=[entry for entry in old.entries if not meant(entry, only)])


def still_in_a_flow(config: Config) -> str:
    """The first flow with a task that the configuration does not have; empty when there is none."""
    names = {folded(spec.name) for spec in config.tasks}
    return next((flow.name for flow in config.flows if not names.issuperset(map(folded, (*flow.producers, *flow.consumers)))), "")


# A file that was cut off ----------------------------------------------------------------------------------------------------------------------------


class Removals(NamedTuple):
    """Running tasks, and those of them that a new configuration no longer has."""

    running: int
    removed: list[str]

    @property
    def too_many(self) -> bool:
        """More than one, and more than a fifth: a person who means that can say so; a file that was cut off cannot."""
        return len(self.removed) > FEW and len(self.removed) * FIFTH > self.running


def looks_cut_off(old: Config, new: Config) -> bool:
    """Whether the new file could be the old one without its end: fewer tasks, those that are left are the first ones, and all but the last of them
    say what they said."""
    kept = len(new.tasks)
    if kept >= len(old.tasks):
        return False
    names = [folded(spec.name) for spec in new.tasks] == [folded(spec.name) for spec in old.tasks[:kept]]
    return names and new.tasks[:-1] == old.tasks[: max(0, kept - 1)]


def removals(changes: Iterable[Change], wanted: dict[str, Goal]) -> Removals:
    """What a change takes away from what is to run.  wanted: goal of each task by folded name."""
    running = {name for name, goal in wanted.items() if goal is Goal.ACT}
    gone = [change.name for change in changes if change.noun == "task" and change.what == REMOVED and folded(change.name) in running]
    return Removals(len(running), gone)
