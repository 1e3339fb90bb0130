"""What is, shown to clients: the requests that change nothing.

Rows are made while frames leave (core/frames.py).  What an edge's consumer is behind is read from the hint beside the edge, as its producer does.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from fnmatch import fnmatchcase

import msgspec

from efsupervisor.conf.schema import FlowSpec, SupervisorSpec
from efsupervisor.core.changes import is_live
from efsupervisor.core.control import Client
from efsupervisor.core.core import Core
from efsupervisor.core.events import Found
from efsupervisor.core.frames import fitting, paged
from efsupervisor.core.registry import ALL
from efsupervisor.core.saved import FLOW, GROUP, SCHEDULE, SETTING, TASK
from efsupervisor.core.tasks import Task
from efsupervisor.core.wiring import Edge, edges
from efsupervisor.errors import Code, EfError
from efsupervisor.journal import Reader
from efsupervisor.messages import (
    EventsReply,
    EventsRequest,
    FlowRow,
    FlowsReply,
    FlowsRequest,
    GroupRow,
    GroupsReply,
    GroupsRequest,
    HistoryReply,
    HistoryRequest,
    ScheduleRow,
    SchedulesReply,
    SchedulesRequest,
    ServicesReply,
    ServicesRequest,
    SettingRow,
    SettingsReply,
    SettingsRequest,
    SpecsReply,
    SpecsRequest,
    TaskDetail,
)
from efsupervisor.states import Mode
from efsupervisor.system import folded, short_id
from efsupervisor.task.paths import TaskPaths
from efsupervisor.task.stdin import read_hint

MAX_EVENTS = 1000
MAX_RUNS = 1000


class Showing:
    """Answers from one Core."""

    def __init__(self, core: Core) -> None:
        self._core = core

    # What is supervised ---------------------------------------------------------------------------------------------------------------------------

    def specs(self, request: SpecsRequest) -> Iterator[SpecsReply]:
        """Everything about tasks."""
        tasks = self._core.registry.ordered()
        if request.names:
            tasks, unknown = self._core.registry.named(request.names)
            if unknown:
                raise EfError(f"{unknown[0].task}: {unknown[0].sentence}", Code.NO_SUCH_TASK)
        return paged(map(self._detail, tasks), lambda part, more: SpecsReply(id=request.id, tasks=part, more=more))

    def _detail(self, task: Task) -> TaskDetail:
        core, wiring = self._core, task.wiring
        return TaskDetail(
            spec=task.spec,
            origin=core.merged.origin(TASK, task.name) if task.configured else "left",
            folder=task.paths.folder,
            groups=core.registry.groups_of(task),
            from_tasks=list(dict.fromkeys(edge.producer for edge in wiring.inputs if edge.producer)),
            to_tasks=list(dict.fromkeys(name for edge in wiring.outputs for name, _folder in edge.consumers)),
        )

    def flows(self, request: FlowsRequest) -> Iterator[FlowsReply]:
        """Every edge of the named flows; without a name the own input queues of tasks too, as edges of no flow and no producer."""
        config = self._core.config
        wanted = _chosen(request.names, config.flows)
        shown = msgspec.structs.replace(config, flows=wanted)
        rows = (self._flow_row(edge) if edge.producer else self._queue_row(edge) for edge in edges(shown) if edge.producer or not request.names)
        return paged(rows, lambda part, more: FlowsReply(id=request.id, rows=part, more=more))

    def _flow_row(self, edge: Edge) -> FlowRow:
        core = self._core
        producer = core.registry.by_id(short_id(edge.producer))
        written = producer.report.out_bytes if producer is not None else 0
        suffix = "group" if edge.mode is Mode.SHARE else short_id(edge.consumers[0])
        blocked = {folded(name) for name in producer.report.blocked_by} if producer is not None else set()
        held = not blocked.isdisjoint(map(folded, edge.consumers))
        return FlowRow(
            flow=edge.flow,
            producer=edge.producer,
            consumers=list(edge.consumers),
            mode=edge.mode,
            origin=core.merged.origin(FLOW, edge.flow),
            lag_bytes=max(0, written - read_hint(f"{core.home.flows}/{edge.id}/cursor.{suffix}")),
            max_lag=edge.max_lag,
            overflow=edge.overflow,
            held_back=held,
            id=edge.id,
            held_since=producer.report.blocked_since if held and producer is not None else 0.0,
        )

    def _queue_row(self, edge: Edge) -> FlowRow:
        core, consumer = self._core, short_id(edge.consumers[0])
        reader = Reader(TaskPaths(core.home.task_dir(consumer)).input_journal, system=core.system)
        try:
            put = reader.end()
        finally:
            reader.close()
        lag = max(0, put - read_hint(f"{core.home.flows}/{edge.id}/cursor.{consumer}"))
        return FlowRow(flow="", producer="", consumers=list(edge.consumers), origin="own", lag_bytes=lag, id=edge.id)

    def groups(self, request: GroupsRequest) -> Iterator[GroupsReply]:
        """Every group with the tasks it stands for now."""
        core = self._core
        rows = (
            GroupRow(
                name=group.name,
                tasks=group.tasks,
                members=[task.name for task in core.registry.members(group)],
                origin=core.merged.origin(GROUP, group.name),
            )
            for group in core.config.groups
        )
        return paged(rows, lambda part, more: GroupsReply(id=request.id, rows=part, more=more))

    def schedules(self, request: SchedulesRequest) -> Iterator[SchedulesReply]:
        """Every schedule with its last and its next time."""
        core = self._core
        times = core.store.saved().times
        rows = []
        for spec in core.config.schedules:
            last = times.get(short_id(spec.name))
            rows.append(
                ScheduleRow(
                    spec=spec,
                    origin=core.merged.origin(SCHEDULE, spec.name),
                    next_wall=core.timetable.next_wall(spec.name),
                    last_wall=last.wall if last else 0.0,
                    last_outcome=last.outcome if last else "",
                    running=last.running if last else 0.0,
                    waiting=len(last.waiting) if last else 0,
                    skipped=last.skipped if last else 0,
                )
            )
        return paged(rows, lambda part, more: SchedulesReply(id=request.id, rows=part, more=more))

    # The supervisor itself ------------------------------------------------------------------------------------------------------------------------

    def settings(self, request: SettingsRequest) -> Iterator[SettingsReply]:
        """Every setting as text."""
        from efsupervisor.conf.settings import is_secret, keys, text_of  # late: 600 KiB of tables, for those who look at settings

        core = self._core
        spec, usual = core.config.supervisor, SupervisorSpec()
        rows = []
        for key in keys():
            value = text_of(spec, key)
            origin = "set" if (SETTING, key) in core.merged.added else "default" if value == text_of(usual, key) else "file"
            shown = "***" if value and is_secret(key) else value
            rows.append(SettingRow(key=key, value=shown, origin=origin, live=is_live(key)))
        return paged(rows, lambda part, more: SettingsReply(id=request.id, rows=part, more=more))

    def services(self, request: ServicesRequest) -> ServicesReply:
        """The siblings, and what ails the supervisor."""
        core = self._core
        ailments = [f"the saved state: {core.store.ailment}"] if core.store.ailment else []
        return ServicesReply(id=request.id, rows=core.services.rows(), ailments=[*ailments, *core.services.ailments(), *core.merged.aside])

    # What happened --------------------------------------------------------------------------------------------------------------------------------

    def events(self, client: Client, request: EventsRequest) -> None:
        """Transitions and alerts, at once or when there are some."""
        core = self._core
        names = frozenset(self._names(request.names))
        since = core.tale.events.next if request.since is None else max(0, request.since)
        limit = max(1, min(request.limit, MAX_EVENTS))
        client.waits_for += 1

        def answer(found: Found) -> None:
            client.waits_for -= 1
            client.reply([EventsReply(id=request.id, rows=found.rows, next=found.next, lost=found.lost)])

        try:
            core.tale.wait((client, request.id), since, limit, names, frozenset(request.what), request.wait_s, answer)
        except EfError:
            client.waits_for -= 1
            raise

    def gone(self, client: Client) -> None:
        """It waits for nothing any more."""
        self._core.tale.gone_client(client)

    def history(self, request: HistoryRequest) -> HistoryReply:
        """Ended runs, newest first."""
        limit = max(1, min(request.limit, MAX_RUNS))
        rows = self._core.store.history(tuple(self._names(request.names)), limit, request.before)
        return HistoryReply(id=request.id, rows=fitting(rows))

    def _names(self, words: list[str]) -> Iterable[str]:
        """Task names for words; a word that is no task's any more stands for itself, for what happened to it is still known."""
        tasks, unknown = self._core.registry.named(words)
        flows = [f"flow {name}" for name in map(self._core.flow_runs.known, words) if name]
        return [*(task.name for task in tasks), *flows, *(outcome.task for outcome in unknown if not set("*?[").intersection(outcome.task))]


def _chosen(words: list[str], flows: list[FlowSpec]) -> list[FlowSpec]:
    """The flows that were named, by name or pattern; all when none was."""
    if not words:
        return flows
    known = {folded(flow.name): flow for flow in flows}
    chosen: dict[str, FlowSpec] = {}
    for word in words:
        pattern = folded(word)
        found = {name: flow for name, flow in known.items() if pattern in (name, ALL) or fnmatchcase(name, pattern)}
        if not found:
            raise EfError(f"{word[:64]}: no flow has this name", Code.NO_SUCH_TASK)
        chosen |= found
    return list(chosen.values())
