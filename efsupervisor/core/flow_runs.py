"""Flows and groups of jobs that are run as one thing: all parts are started, their ends are waited for, and one row of the history tells of it.

The parts of a flow are its tasks and those that flows connect with them, as far as jobs reach: a job hands the search on, a service is its border.  A
service is started when it does not run, and not waited for.  The parts of a group are the tasks that it stands for.

The exit status of a run is that of a pipe under `pipefail`: 0 when every job ended as it should, else that of the last part, in the order of the
flow, that did not.

A run has a ticket, which its parts' runs share.  It is saved while it is under way, so the next Core waits for it in the place of one that died; the
parts that had ended meanwhile are not run again (core/tasks.py, served).

This module must never start a task by itself, but by the Core's queues.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

import msgspec

from efsupervisor.conf.schema import FlowSpec
from efsupervisor.core.store_rows import FlowRun
from efsupervisor.core.tasks import Task, clipped, under_way
from efsupervisor.core.waiting import Pending
from efsupervisor.errors import Code, EfError
from efsupervisor.messages import Outcome, RunRow
from efsupervisor.states import Goal, Kind, State
from efsupervisor.system import folded, short_id, ticket_of
from efsupervisor.task.policy import describe

if TYPE_CHECKING:
    from efsupervisor.core.core import Core

ROWS_A_PART = 20
"""Rows of the history that are looked through for the attempts of one part."""

Told = Callable[[list[Outcome]], None]


class FlowRuns:
    """The runs of one Core that are under way, by the short id of what is run."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._runs: dict[str, FlowRun] = {}
        self._told: dict[str, list[Told]] = {}

    def resume(self) -> None:
        """What the last Core left under way is waited for, and started where it was not yet."""
        for run in self._core.store.saved().runs:
            try:
                tasks = self.parts(run.name)
            except EfError as error:
                self._core.log.warning(f"flow {run.name}: its run {run.ticket} cannot be gone on with: {error.message}")
                self._core.store.del_run(run.name)
            else:
                self._start(run, tasks)

    def is_under_way(self, name: str) -> bool:
        """Whether a run of it is, or one of its jobs is by itself."""
        if short_id(name) in self._runs:
            return True
        try:
            return any(under_way(task) for task in self.parts(name))
        except EfError:
            return False

    def begin(self, name: str, asked_by: str, words: str, told: Told) -> None:
        """Run it.  words: name this wish; the same while it is under way is waited for too.  EfError NO_SUCH_TASK, or BAD_STATE while it is run."""
        name, ticket = self.known(name) or name, ticket_of(words)
        tasks = self.parts(name)
        former = self._runs.get(short_id(name))
        if former is not None and former.ticket == ticket:
            self._told[short_id(name)].append(told)
            return
        if former is not None:
            raise EfError(f"{name} is being run already (run {former.ticket}, by {former.cause}); wait for its end", Code.BAD_STATE)
        busy = [task.name for task in tasks if under_way(task)]
        if busy:
            raise EfError(f"{name} cannot be run: {busy[0]} runs already; wait for its end, or stop it", Code.BAD_STATE)
        run = FlowRun(name=name, ticket=ticket, cause=asked_by, began=self._wall())
        self._core.store.put_run(run)
        self._core.store.flush()
        self._start(run, tasks, told)

    def _start(self, run: FlowRun, tasks: list[Task], *told: Told) -> None:
        identity = short_id(run.name)
        self._runs[identity], self._told[identity] = run, list(told)
        self._core.log.info(f"flow {run.name}: run {run.ticket} begins with {len(tasks)} parts, asked by {run.cause}")
        pending = Pending(Goal.ACT, len(tasks), [], lambda outcomes: self._over(run, tasks, outcomes), completed=True)
        self._core.act_task(tasks, run.cause, pending, intent=True, ticket=run.ticket, anew=True)

    def _over(self, run: FlowRun, tasks: list[Task], outcomes: list[Outcome]) -> None:
        core, identity = self._core, short_id(run.name)
        if self._runs.get(identity) is not run or core.ending:
            return  # what a shutdown stops is gone on with by the next Core
        del self._runs[identity]
        rows = self._rows(run, tasks)
        row, bad = summed(run, tasks, rows, outcomes, self._wall()), any(not outcome.ok for outcome in outcomes)
        core.store.del_run(run.name)
        if not self._is_known(row):
            core.store.ran(row)
            core.log.info(f"flow {run.name}: run {run.ticket} is over: {row.reason}")
            if bad:
                core.tale.failed(row)
        order = {task.name: number for number, task in enumerate(tasks)}
        parts = [_with_figures(outcome, rows.get(outcome.task)) for outcome in sorted(outcomes, key=lambda outcome: order.get(outcome.task, 0))]
        whole = Outcome(task=row.task, ok=not bad, code=Code.TASK_FAILED if bad else Code.OK, sentence=f"run {run.ticket}: {row.reason}")
        for each in self._told.pop(identity):
            each([*parts, whole])

    def _is_known(self, row: RunRow) -> bool:
        """A run whose end was told before: somebody asks again who did not hear of it, and its parts were not run a second time."""
        try:
            return any(former.ticket == row.ticket for former in self._core.store.history((row.task,), ROWS_A_PART))
        except EfError:
            return False

    def _rows(self, run: FlowRun, tasks: Iterable[Task]) -> dict[str, RunRow]:
        """The last attempt of each part of this run."""
        found: dict[str, RunRow] = {}
        for task in tasks:
            try:
                rows = self._core.store.history((task.name,), ROWS_A_PART)
            except EfError:
                continue
            mine = [row for row in rows if row.ticket == run.ticket]
            if mine:
                found[task.name] = mine[0]
        return found

    def parts(self, name: str) -> list[Task]:
        """The tasks of a flow, in its order, or those that a word stands for.  EfError NO_SUCH_TASK when there is none, BAD_STATE without a job."""
        core = self._core
        flow = self._flow(name)
        if flow is not None:
            kinds = {folded(task.name): task.spec.kind for task in core.registry}
            tasks = core.registry.named(connected(flow, core.config.flows, lambda each: kinds.get(folded(each)) is Kind.JOB))[0]
        else:
            tasks, unknown = core.registry.named([name])
            if unknown:
                raise EfError(f"{name[:64]}: no flow has this name, and {unknown[0].sentence}", Code.NO_SUCH_TASK)
        if not any(task.spec.kind is Kind.JOB for task in tasks):
            raise EfError(f"{name[:64]} has no part that comes to an end: only jobs (`kind: job`) can be run so", Code.BAD_STATE)
        return tasks

    def _flow(self, name: str) -> FlowSpec | None:
        return next((flow for flow in self._core.config.flows if folded(flow.name) == folded(name)), None)

    def known(self, name: str) -> str:
        """The name of a flow or a group as it is written in the configuration; empty when it is none."""
        flow = self._flow(name)
        if flow is not None:
            return flow.name
        group = self._core.registry.groups.get(folded(name))
        return group.name if group is not None else ""

    def _wall(self) -> float:
        return self._core.system.wall_ns() / 1e9


def connected(flow: FlowSpec, flows: Iterable[FlowSpec], is_job: Callable[[str], bool]) -> list[str]:
    """Names of the tasks of a flow and of those connected with them through jobs, what produces before what consumes.  Pure, and but for long chains
    linear in what the flows name."""
    at: dict[str, list[FlowSpec]] = {}
    for each in flows:
        for name in (*each.producers, *each.consumers):
            at.setdefault(folded(name), []).append(each)
    known: dict[str, str] = {}
    within = {flow.name: flow}
    todo = [*flow.producers, *flow.consumers]
    while todo:
        name = todo.pop()
        if folded(name) in known:
            continue
        known[folded(name)] = name
        for each in at.get(folded(name), []) if is_job(name) else ():
            if each.name not in within:
                within[each.name] = each
                todo += [*each.producers, *each.consumers]
    depth = _depths(known, list(within.values()))
    return [known[identity] for identity in sorted(known, key=lambda each: (depth[each], each))]


def _depths(names: Iterable[str], flows: list[FlowSpec]) -> dict[str, int]:
    """By folded name, the longest way to it; a flow has no cycles, and if it had, the search would end all the same."""
    depth = dict.fromkeys(names, 0)
    for _ in range(len(depth)):
        deeper = False
        for flow in flows:
            level = 1 + max((depth[folded(name)] for name in flow.producers), default=-1)
            for identity in map(folded, flow.consumers):
                if depth[identity] < level:
                    depth[identity], deeper = level, True
        if not deeper:
            break
    return depth


def summed(run: FlowRun, tasks: list[Task], rows: dict[str, RunRow], outcomes: list[Outcome], now_wall: float) -> RunRow:
    """The row of a whole run: what its first parts were given, what its last ones wrote, what all said on stderr.  Pure."""
    by_name = {outcome.task: outcome for outcome in outcomes}
    bad = [by_name[task.name] for task in tasks if task.name in by_name and not by_name[task.name].ok]
    last = rows.get(bad[-1].task) if bad else None
    known = not bad or (last is not None and last.exit_known)
    names = {task.name for task in tasks}
    first = [rows[task.name] for task in tasks if task.name in rows and not any(edge.producer in names for edge in task.wiring.inputs)]
    ends = [task for task in tasks if task.name in rows and not any(name in names for edge in task.wiring.outputs for name, _ in edge.consumers)]
    final = [rows[task.name] for task in ends]
    return RunRow(
        number=0,
        task=f"flow {run.name}",
        incarnation=0,
        began=run.began,
        ended=now_wall,
        exit_status=0 if not bad else last.exit_status if last is not None else None,
        exit_known=known,
        state=(State.EXITED if known else State.FATAL).value,
        reason=clipped("; ".join(f"{each.task}: {each.sentence}" for each in bad)) if bad else f"{len(tasks)} parts: {describe(0)}",
        out_bytes=sum(row.out_bytes for row in final),
        err_bytes=sum(row.err_bytes for row in rows.values()),
        attempt=1,
        cause=run.cause,
        ticket=run.ticket,
        in_bytes=sum(row.in_bytes for row in first),
        events_in=_total(row.events_in for row in first),
        events_out=_total(row.events_out for row in final),
    )


def _with_figures(outcome: Outcome, row: RunRow | None) -> Outcome:
    """What a part says of its end, and how long it took and what came in and out."""
    if row is None:
        return outcome
    came = f"in {row.in_bytes} bytes{_events(row.events_in)}, out {row.out_bytes} bytes{_events(row.events_out)}"
    return msgspec.structs.replace(outcome, sentence=f"{outcome.sentence}; {row.ended - row.began:.1f} s, {came}")


def _events(count: int) -> str:
    return f" ({count} events)" if count >= 0 else ""


def _total(counts: Iterable[int]) -> int:
    known = [count for count in counts if count >= 0]
    return sum(known) if known else -1
