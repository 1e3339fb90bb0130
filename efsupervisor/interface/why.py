"""Why a task is in its present state: what a person would gather from status, events, history, flows and logs, put in order.

The verb asks; `story` is pure and tells it: what is the case now and what holds the task there, then how it came to this, newest first, back to the
last time that somebody asked for something.  What the task depends on is asked too, one step far: `efctl why` of that one goes on from there.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from efsupervisor.errors import Code, EfError
from efsupervisor.interface.answers import first
from efsupervisor.interface.house import House
from efsupervisor.interface.verb import TaskName, Verb
from efsupervisor.messages.call import Answer, Causes
from efsupervisor.messages.core import (
    Cause,
    EventRow,
    EventsReply,
    EventsRequest,
    FlowRow,
    FlowsReply,
    FlowsRequest,
    HistoryReply,
    HistoryRequest,
    ReadReply,
    ReadRequest,
    RunRow,
    SpecsReply,
    SpecsRequest,
    StatusReply,
    StatusRequest,
    TaskDetail,
    TaskStatus,
)
from efsupervisor.states import Goal, State

STEPS = 20
"""Steps of the way back that are told."""

LOOK_BACK = 5000
"""Events that are looked through for the task's own."""

LAST_WORDS = 5
RUNS = 5
SAME_S = 2.0
"""A run's end and the transition that it caused are this near to each other."""


class Facts(NamedTuple):
    """What is known.  others: the tasks it depends on or waits for.  held: its edges as a producer whose consumers are behind.  last_words: the end
    of stderr."""

    row: TaskStatus
    detail: TaskDetail | None = None
    others: Sequence[TaskStatus] = ()
    held: Sequence[FlowRow] = ()
    events: Sequence[EventRow] = ()
    runs: Sequence[RunRow] = ()
    last_words: Sequence[str] = ()


class TaskWhy(Verb, frozen=True, kw_only=True):
    """Tell why a task is in its present state: what holds it there, and how it came to this, newest first."""

    name = "task.why"
    console = "shw why"
    command = "why"
    positional = ("task",)
    task: TaskName

    async def run(self, house: House) -> Answer:
        """The causes, each with its time."""
        rows = await _status(house, [self.task])
        if len(rows) != 1:
            raise EfError(f"{self.task} stands for {len(rows)} tasks; name one", Code.USAGE)
        row = rows[0]
        specs = await house.ask(SpecsRequest(id=house.next_id(), names=[row.name]))
        detail = next((each for reply in specs if isinstance(reply, SpecsReply) for each in reply.tasks), None)
        edges = await house.ask(FlowsRequest(id=house.next_id()))
        flows = [each for reply in edges if isinstance(reply, FlowsReply) for each in reply.rows]
        runs = first(await house.ask(HistoryRequest(id=house.next_id(), names=[row.name], limit=RUNS)), HistoryReply).rows
        others = await _others(house, row, detail)
        facts = Facts(
            row, detail, others, [flow for flow in flows if flow.held_back and flow.producer == row.name], await _events(house, row.name), runs,
            await _last_words(house, row),
        )  # fmt: skip
        return Causes(task=row.name, state=row.state, rows=story(facts))


VERBS = (TaskWhy,)


async def _status(house: House, names: list[str]) -> list[TaskStatus]:
    replies = await house.ask(StatusRequest(id=house.next_id(), names=names))
    return [row for reply in replies if isinstance(reply, StatusReply) for row in reply.tasks]


async def _others(house: House, row: TaskStatus, detail: TaskDetail | None) -> list[TaskStatus]:
    names = list(dict.fromkeys([*row.blocked_by, *(detail.spec.depends_on if detail is not None else ())]))
    if not names:
        return []
    try:
        return await _status(house, names)
    except EfError as error:
        if error.code is not Code.NO_SUCH_TASK:
            raise
        return []  # one of them was taken away meanwhile


async def _events(house: House, name: str) -> list[EventRow]:
    """The task's events among the last LOOK_BACK of all, oldest first."""
    end = first(await house.ask(EventsRequest(id=house.next_id(), since=None, limit=1)), EventsReply).next
    at, rows = max(0, end - LOOK_BACK), list[EventRow]()
    while at < end:
        reply = first(await house.ask(EventsRequest(id=house.next_id(), since=at, limit=1000, names=[name])), EventsReply)
        rows += reply.rows
        if reply.next <= at:
            break
        at = reply.next
    return rows


async def _last_words(house: House, row: TaskStatus) -> list[str]:
    """The last lines on stderr of a task that is not well; nothing when it has none."""
    if row.state in (State.RUNNING, State.STOPPED):
        return []
    try:
        reply = first(await house.ask(ReadRequest(id=house.next_id(), task=row.name, stream="err", lines=LAST_WORDS)), ReadReply)
    except EfError:
        return []  # a task without a log of its own: the story goes without
    return counted([line for line in reply.data.decode("utf-8", "replace").splitlines() if line.strip()])


def counted(lines: Sequence[str]) -> list[str]:
    """The lines; equal ones in a row are one, with how many they were."""
    runs = [(line, len(list(same))) for line, same in itertools.groupby(lines)]
    return [f"{line} ({count} times)" if count > 1 else line for line, count in runs]


# The story ----------------------------------------------------------------------------------------------------------------------------------------


def story(facts: Facts) -> list[Cause]:
    """What is the case, what holds it there, and how it came to this."""
    return [_now(facts), *_holding(facts), *_before(facts)]


def _now(facts: Facts) -> Cause:
    row = facts.row
    wanted = "" if _as_wanted(row) else f"; it is wanted {'running' if row.goal is Goal.ACT else 'stopped'}"
    reason = f": {row.reason}" if row.reason else ""
    return Cause(wall=row.since, what="now", sentence=f"it is {row.state.value}{reason}{wanted}", lines=list(facts.last_words))


def _as_wanted(row: TaskStatus) -> bool:
    return (row.goal is Goal.ACT) == (row.state in (State.RUNNING, State.STARTING)) or row.finished


def _holding(facts: Facts) -> Iterable[Cause]:
    """What keeps it from going on, each with the state of whoever is to blame."""
    row, by_name = facts.row, {other.name: other for other in facts.others}
    if row.goal is Goal.ACT and facts.detail is not None and row.state is not State.RUNNING:
        for name, condition in facts.detail.spec.depends_on.items():
            other = by_name.get(name)
            if other is not None and not _fulfilled(other, condition):
                yield Cause(wall=other.since, what="waits", sentence=f"it depends on {name} ({condition}), and {_is(other)}", about=name)
    for name in row.blocked_by:
        lag = next((f": {flow.lag_bytes} bytes wait, {flow.max_lag} may" for flow in facts.held if name in flow.consumers), "")
        yield Cause(wall=row.blocked_since or row.since, what="held", about=name,
                    sentence=f"it is held back by its consumer {name}{lag}" + (f"; {_is(by_name[name])}" if name in by_name else ""))  # fmt: skip
    if row.health:
        yield Cause(wall=row.since, what="health", sentence=row.health)
    if row.dead_letters:
        yield Cause(wall=row.since, what="dead-letter", sentence=f"{row.dead_letters} events were put aside: `efctl tail --stream dead {row.name}`")


def _is(other: TaskStatus) -> str:
    held = f", itself held back by {', '.join(other.blocked_by)}" if other.blocked_by else ""
    return f"{other.name} is {other.state.value}" + (f": {other.reason}" if other.reason else "") + held


def _fulfilled(other: TaskStatus, condition: str) -> bool:
    """Roughly what the Core decides exactly: enough to name who may be waited for."""
    if condition == "completed_successfully":
        return other.finished or (other.state is State.EXITED and other.exit_status == 0)
    if condition == "completed":
        return other.state is State.EXITED or other.finished
    if condition == "started":
        return other.state in (State.STARTING, State.RUNNING)
    return other.state is State.RUNNING and not other.health


def _before(facts: Facts) -> list[Cause]:
    """The way back, newest first, to the last time that somebody asked for something."""
    runs = [_run(run, facts.row.reason) for run in facts.runs]
    ends = [run.ended for run in facts.runs]
    steps = [_step(event) for event in facts.events if not _repeats(event, ends)]
    ordered = sorted([*runs, *steps], key=lambda cause: cause.wall, reverse=True)
    origin = next((place for place, cause in enumerate(ordered) if cause.what == "asked"), len(ordered))
    return ordered[: min(origin + 1, STEPS)]


def _repeats(event: EventRow, ends: Sequence[float]) -> bool:
    """Whether the end of a run, which says more, tells of the same."""
    return event.what == "state" and event.after in ("EXITED", "FATAL", "BACKOFF", "STOPPED") and any(abs(event.wall - end) < SAME_S for end in ends)


def _run(run: RunRow, said: str) -> Cause:
    """One run's end; a reason that was said of the present already is not repeated."""
    lived = f"run {run.incarnation} (pid {run.pid})" if run.pid else f"run {run.incarnation}"
    then = f" and the task became {run.state}" if run.state else ""
    sentence = f"{lived} ended after {max(0.0, run.ended - run.began):.1f} s{then}"
    sentence += "" if run.reason and run.reason == said else f": {run.reason or 'no reason is known'}"
    return Cause(wall=run.ended, what="run", sentence=sentence)


def _step(event: EventRow) -> Cause:
    if event.what != "state":
        return Cause(wall=event.wall, what=event.what, sentence=event.sentence, lines=event.lines)
    again = event.after == "STARTING" and event.before in ("BACKOFF", "RUNNING", "STARTING")
    asked = event.sentence.startswith("asked by ") and not again
    change = f"{event.before or 'nothing'} -> {event.after}"
    if again:
        return Cause(wall=event.wall, what="state", sentence=f"{change}: tried again")
    return Cause(wall=event.wall, what="asked" if asked else "state", sentence=f"{change}: {event.sentence}" if event.sentence else change)
