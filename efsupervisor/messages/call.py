"""Between the middle interface and whoever speaks to it: commands in, answers out.

A Call names a verb (efsupervisor.interface) and carries its fields as JSON, which the middle interface decodes into that verb's own type; a
ConsoleCall carries one line of the console language.  Both come from `efctl` over a Unix socket, and from the web listener and the collectors over
ZeroMQ.  A reply has the call's id; a call that changes something and comes again with the same id is not run twice, so ids are unique.

A collector is also asked: it says Here, and from then on gets Queries on the same line and answers them as it would be answered.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec

from efsupervisor.messages.core import (
    Cause,
    Change,
    EventRow,
    FailedReply,
    FlowRow,
    GroupRow,
    LetterRow,
    Outcome,
    RunRow,
    ScheduleRow,
    ServiceRow,
    SettingRow,
    TaskDetail,
    TaskStatus,
    Twig,
)
from efsupervisor.messages.frame import MAX_FRAME, PROTOCOL, Message
from efsupervisor.states import Mode, Role, State


class Call(Message, frozen=True, kw_only=True):
    """Do this.  fields: the verb's fields as a JSON object.  deadline_s: how long the caller waits; 0 without limit (then it asks `daemon.version`
    meanwhile for a sign of life).  role: at most this, whatever the caller's uid would allow.  on_behalf: who is meant, for the log.  language: `en`
    or `ko`, of texts for people."""

    id: str
    verb: str
    fields: msgspec.Raw = msgspec.Raw(b"{}")
    deadline_s: float = 5.0
    role: Role = Role.ADMIN
    on_behalf: str = ""
    language: str = "en"


class ConsoleCall(Message, frozen=True, kw_only=True):
    """One line of the console language; answered by Lines.  language: `en` or `ko`."""

    id: str
    line: str
    deadline_s: float = 5.0
    role: Role = Role.ADMIN
    on_behalf: str = ""
    language: str = "en"


class Here(Message, frozen=True, kw_only=True):
    """A collector (`resource`, `result`) is on this line and may be asked; said every second."""

    name: str


# Answers --------------------------------------------------------------------------------------------------------------------------------------------


class Tasks(Message, frozen=True, kw_only=True):
    """Status of tasks.  ending: the supervisor is shutting down."""

    rows: list[TaskStatus]
    ending: bool = False


class Specs(Message, frozen=True, kw_only=True):
    """Tasks as they are configured."""

    rows: list[TaskDetail]


class Flows(Message, frozen=True, kw_only=True):
    """Edges."""

    rows: list[FlowRow]


class Letters(Message, frozen=True, kw_only=True):
    """Dead letters, task by task, oldest first.  whole: one was asked for, and is told with all that is known."""

    rows: list[LetterRow]
    whole: bool = False


class Groups(Message, frozen=True, kw_only=True):
    """Groups."""

    rows: list[GroupRow]


class Schedules(Message, frozen=True, kw_only=True):
    """Schedules."""

    rows: list[ScheduleRow]


class Settings(Message, frozen=True, kw_only=True):
    """Settings in force."""

    rows: list[SettingRow]


class Difference(Message, frozen=True, kw_only=True):
    """What differs between the file and what runs (or did, when it was applied)."""

    rows: list[Change]
    applied: bool = False


class Events(Message, frozen=True, kw_only=True):
    """What happened; next: where to go on."""

    rows: list[EventRow]
    next: int = 0
    lost: int = 0


class Runs(Message, frozen=True, kw_only=True):
    """Ended runs."""

    rows: list[RunRow]


class Done(Message, frozen=True, kw_only=True):
    """One outcome for each thing that was named."""

    rows: list[Outcome]


class Piece(Message, frozen=True, kw_only=True):
    """Bytes of a journal; fields as in ReadReply."""

    task: str
    stream: str
    offset: int
    data: bytes
    next: int
    end: int
    framing: int = 0


class Text(Message, frozen=True, kw_only=True):
    """Text for a person, lines ended by newlines."""

    text: str


class Lines(Message, frozen=True, kw_only=True):
    """The console language's answer: each line begins with `OK : ` or `NOK : `.  code: of the first NOK, `ok` when there is none."""

    lines: list[str]
    code: str = "ok"


class About(Message, frozen=True, kw_only=True):
    """Who answers: the Core, its siblings, and what ails them.  ready: every sibling that is wanted runs."""

    version: str
    pid: int
    since: float
    protocol: int = PROTOCOL
    services: list[ServiceRow] = []
    ailments: list[str] = []
    ready: bool = True


class NodeSample(msgspec.Struct, frozen=True, kw_only=True):
    """The machine at one time.  cpu: per cent of all processors; rates are per second since the look before."""

    wall: float
    cpu: float = 0.0
    cpus: int = 1
    load1: float = 0.0
    memory_total: int = 0
    memory_used: int = 0
    swap_used: int = 0
    disk_total: int = 0
    disk_used: int = 0
    disk_read: float = 0.0
    disk_written: float = 0.0
    net_received: float = 0.0
    net_sent: float = 0.0
    processes: int = 0


class TaskSample(msgspec.Struct, frozen=True, kw_only=True):
    """A task's whole tree at one time.  cpu: per cent of one processor.  rss, pss: bytes (pss 0 where it was not read).  worker_rss: its worker's."""

    wall: float
    cpu: float = 0.0
    rss: int = 0
    threads: int = 0
    fds: int = 0
    processes: int = 0
    read: float = 0.0
    written: float = 0.0
    worker_rss: int = 0


class TaskFigures(msgspec.Struct, frozen=True, kw_only=True):
    """One task's samples, oldest first; the last one only unless a history was asked for."""

    task: str
    samples: list[TaskSample]


class Resources(Message, frozen=True, kw_only=True):
    """Figures of the node (oldest first) and of tasks.  interval_s: between two looks."""

    node: list[NodeSample]
    rows: list[TaskFigures]
    interval_s: float = 5.0


class ResultRow(msgspec.Struct, frozen=True, kw_only=True):
    """One result: a line that a task wrote to stdout, where it stands in the journal, and when it was seen."""

    task: str
    offset: int
    wall: float
    data: bytes


class Results(Message, frozen=True, kw_only=True):
    """The last results, oldest first for each task.  posted, waiting, dropped: what became of posts."""

    rows: list[ResultRow]
    posted: int = 0
    waiting: int = 0
    dropped: int = 0


class Recovered(Message, frozen=True, kw_only=True):
    """What a second instance made of one event.  ended: false when the time-out ended it."""

    task: str
    ended: bool
    exit_status: int | None = None
    exit_known: bool = True
    acknowledged: bool = False
    out: bytes = b""
    err: bytes = b""
    took_s: float = 0.0
    reason: str = ""


class Causes(Message, frozen=True, kw_only=True):
    """Why a task is in its state: the present first, then newest first."""

    task: str
    state: State
    rows: list[Cause]


class Tree(Message, frozen=True, kw_only=True):
    """Processes, depth first."""

    rows: list[Twig]


class EdgeFigures(msgspec.Struct, frozen=True, kw_only=True):
    """How one edge is.  lag_events: exact, or an estimate from samples of the log (lag_exact false); -1: not known (netstrings).  oldest_s: age of
    the oldest event that is not acknowledged, to about a second; 0 when there is none.  in_*: what the producer wrote, out_*: what consumers
    acknowledged, a second over the window; events -1 where they are not told apart.  in_flight: events given and not acknowledged, -1 for a stream,
    where in_flight_bytes says what was given and may not be read yet.  acknowledged_bytes: since the edge was made.  dropped_bytes: skipped, never
    delivered.  held_since: wall time since which the producer is held back by it, 0 while it is not.  cursor, end: offsets in the producer's log, of
    what is acknowledged and of what is written."""

    flow: str
    producer: str
    consumers: list[str]
    mode: Mode = Mode.BROAD
    overflow: str = "block"
    max_lag: int = 0
    lag_bytes: int = 0
    lag_events: int = 0
    lag_exact: bool = True
    oldest_s: float = 0.0
    in_bytes_s: float = 0.0
    in_events_s: float = 0.0
    out_bytes_s: float = 0.0
    out_events_s: float = 0.0
    in_flight: int = 0
    in_flight_bytes: int = 0
    acknowledged_bytes: int = 0
    dropped_bytes: int = 0
    held_since: float = 0.0
    cursor: int = 0
    end: int = 0


class FlowFigures(Message, frozen=True, kw_only=True):
    """How edges are.  window_s: seconds between the two looks that rates are made from."""

    rows: list[EdgeFigures]
    window_s: float = 1.0


class Arrow(msgspec.Struct, frozen=True, kw_only=True):
    """One edge of a picture, with the states of the tasks at its ends; a share edge has all its consumers.  held: the producer waits for it."""

    flow: str
    producer: str
    consumers: list[str]
    mode: Mode = Mode.BROAD
    producer_state: State = State.STOPPED
    consumer_states: list[State] = []
    lag_bytes: int = 0
    held: bool = False


class Graph(Message, frozen=True, kw_only=True):
    """The edges between tasks, for a picture."""

    rows: list[Arrow]


class Passed(msgspec.Struct, frozen=True, kw_only=True):
    """One event that passed.  direction: `in` (given to the task), `out` or `err` (written by it).  wall: when it was seen.  data: its beginning;
    length: of the whole.  missed: events of the same task and direction right before it that are not shown; -1: some, it is not known how many."""

    wall: float
    direction: str
    task: str
    data: bytes = b""
    length: int = 0
    missed: int = 0
    producer: str = ""


class Passing(Message, frozen=True, kw_only=True):
    """What passed since a position; next: the position to go on from."""

    rows: list[Passed]
    next: str = ""


Answer = (
    Tasks | Specs | Flows | Groups | Schedules | Settings | Difference | Events | Runs | Done | Piece | Text | Lines | About | Resources | Results
    | Recovered | Causes | Tree | FlowFigures | Graph | Passing | Letters
)  # fmt: skip


class Answered(Message, frozen=True, kw_only=True):
    """The answer to a call.  One that does not fit into a frame comes as several with the same id; all but the last say `more`, and their rows
    (texts, lines) are parts of one list (text)."""

    id: str
    answer: Answer
    more: bool = False


# What a collector is asked -------------------------------------------------------------------------------------------------------------------------


class ResourceQuery(Message, frozen=True, kw_only=True):
    """Figures of the node and the tasks (all when empty).  samples: how many of the last for each."""

    id: str
    names: list[str] = []
    samples: int = 1


class ResultQuery(Message, frozen=True, kw_only=True):
    """Last results of the tasks (all when empty)."""

    id: str
    names: list[str] = []
    limit: int = 20


ToMiddle = Call | ConsoleCall | Here | Answered | FailedReply
"""What arrives at the middle interface; Answered and FailedReply come from collectors that were asked."""
FromMiddle = Answered | FailedReply | ResourceQuery | ResultQuery
"""What leaves it."""


def joined(parts: Sequence[Answer]) -> Answer:
    """Answers that came in several frames as one: rows (lines, text) one after the other, everything else from the last."""
    last = parts[-1]
    if len(parts) == 1:
        return last
    if isinstance(last, Text):
        return Text(text="".join(part.text for part in parts if isinstance(part, Text)))
    if isinstance(last, Lines):
        every = [part for part in parts if isinstance(part, Lines)]
        return Lines(lines=[line for part in every for line in part.lines], code=next((part.code for part in every if part.code != "ok"), "ok"))
    rows = [row for part in parts for row in getattr(part, "rows", [])]
    if isinstance(last, Resources):
        return msgspec.structs.replace(last, rows=rows, node=[sample for part in parts if isinstance(part, Resources) for sample in part.node])
    return msgspec.structs.replace(last, rows=rows) if hasattr(last, "rows") else last


ROOM = MAX_FRAME - (8 << 10)
"""Bytes of rows in one frame; the rest is for what surrounds them."""

_json = msgspec.json.Encoder()


def parted(answer: Answer) -> Iterator[Answer]:
    """An answer as parts that each fit into a frame; `joined` makes it whole again.  What cannot be divided comes as it is."""
    if isinstance(answer, Resources):
        yield from (msgspec.structs.replace(answer, node=part, rows=[]) for part in _batches(answer.node))
        answer = msgspec.structs.replace(answer, node=[])
    field = next((each for each in ("rows", "lines") if hasattr(answer, each)), "")
    if field:
        for part in _batches(getattr(answer, field)):
            yield msgspec.structs.replace(answer, **{field: part})
    elif isinstance(answer, Text) and len(answer.text) * 6 > ROOM:
        step = ROOM // 6  # a character takes at most six bytes in JSON
        for start in range(0, len(answer.text), step):
            yield Text(text=answer.text[start : start + step])
    else:
        yield answer


def _batches(rows: Sequence[object]) -> Iterator[list[object]]:
    """The rows in lists that each fit; at least one list."""
    part: list[object] = []
    size = 0
    for row in rows:
        length = len(_json.encode(row)) + 1
        if part and size + length > ROOM:
            yield part
            part, size = [], 0
        part.append(row)
        size += length
    yield part
