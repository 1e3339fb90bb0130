"""Between the Core and whoever asks it: the middle interface, and `efctl` where that one cannot be had."""

from __future__ import annotations

import msgspec

from efsupervisor.conf.schema import FlowSpec, GroupSpec, ScheduleSpec, TaskSpec
from efsupervisor.errors import Code
from efsupervisor.messages.frame import PROTOCOL, Message
from efsupervisor.states import Goal, Mode, State

# Client to Core -------------------------------------------------------------------------------------------------------------------------------------


class _Request(Message, frozen=True, kw_only=True):
    """id: of the asker's own choice, repeated on a retry; a request that changes something and comes again with an id of the last REMEMBERED is
    answered from memory.  asked_by: on whose behalf, for the log; empty: the connection's own peer.

    Where tasks are named, a name may be a task's, a group's, a pattern with `*`, `?` or `[...]`, or `all`."""

    id: str
    asked_by: str = ""


class StatusRequest(_Request, frozen=True, kw_only=True):
    """State of the named tasks, of all when the list is empty.  Answered by one or more StatusReply."""

    names: list[str] = []


class ActRequest(_Request, frozen=True, kw_only=True):
    """Start the named tasks (`all` stands for every one).  wait: answer only when each is RUNNING, at rest or has failed; until: `completed` waits
    for the end of jobs instead.  anew: jobs that these depend on are run again even if they are completed."""

    names: list[str]
    wait: bool = True
    until: str = ""
    anew: bool = False


class TrmRequest(_Request, frozen=True, kw_only=True):
    """Stop the named tasks.  wait: answer only when each is at rest."""

    names: list[str]
    wait: bool = True


class RestartRequest(_Request, frozen=True, kw_only=True):
    """Stop the named tasks and start them again; one at rest is just started.  wait: as for ActRequest."""

    names: list[str]
    wait: bool = True


class RunFlowRequest(_Request, frozen=True, kw_only=True):
    """Run a flow, or the tasks that a group stands for, to its end.  wait: answer only then, with an outcome for each part and one for the whole.
    The runs of its parts have the ticket that is made from the id of this request (system.ticket_of)."""

    flow: str
    wait: bool = True


class PutRequest(_Request, frozen=True, kw_only=True):
    """Append one event to a task's own input queue.  put_id: repeat it on a retry."""

    task: str
    put_id: str
    data: bytes


class LettersRequest(_Request, frozen=True, kw_only=True):
    """Dead letters of one task that are not settled: a page of them from number `since` on, or with `letter` that one, and more of it."""

    task: str
    since: int = 0
    letter: int | None = None


class SettleRequest(_Request, frozen=True, kw_only=True):
    """Put one dead letter's event back into its task's input queue, or drop the letter.  Doing it again is as good as once."""

    task: str
    letter: int
    put_back: bool


class ReadRequest(_Request, frozen=True, kw_only=True):
    """Bytes of a task's journal.  stream: out, err, input or dead.  offset: where to begin; None with `lines` reads the last `lines` lines."""

    task: str
    stream: str = "out"
    offset: int | None = None
    lines: int = 10
    limit: int = 48 << 10


class ClearRequest(_Request, frozen=True, kw_only=True):
    """Skip what waits in a task's own input queue; the task must be at rest."""

    names: list[str]


class SignalRequest(_Request, frozen=True, kw_only=True):
    """Send a signal to the program of each named task that runs; to the program alone, not to its descendants."""

    names: list[str]
    signal: int


class ClearLogRequest(_Request, frozen=True, kw_only=True):
    """Begin the logs of the named tasks anew; what a consumer has not read yet stays."""

    names: list[str]


class EmitRequest(_Request, frozen=True, kw_only=True):
    """An event of anybody's making, for event listeners (REMOTE_COMMUNICATION).  topic: its type, a word of the sender's."""

    topic: str
    data: bytes = b""


class NoteRequest(_Request, frozen=True, kw_only=True):
    """What ails a part of a task that has no worker's report: the bridge of an event listener.  It is shown with the task's health."""

    task: str
    sentence: str = ""


class SpecsRequest(_Request, frozen=True, kw_only=True):
    """Everything about the named tasks (all when empty): spec, origin, folders, neighbours.  Answered by one or more SpecsReply."""

    names: list[str] = []


class AddTaskRequest(_Request, frozen=True, kw_only=True):
    """A new task, saved, and started when its spec says autostart.  replace: an added task of this name gets this spec (a task of the file cannot be
    replaced: edit the file)."""

    spec: TaskSpec
    replace: bool = False


class DelTaskRequest(_Request, frozen=True, kw_only=True):
    """Stop added tasks, forget them and remove their folders."""

    names: list[str]


class FlowsRequest(_Request, frozen=True, kw_only=True):
    """Every edge of the named flows with its figures; without a name also the tasks' own input queues, which have neither flow nor producer.
    Answered by one or more FlowsReply."""

    names: list[str] = []


class AddFlowRequest(_Request, frozen=True, kw_only=True):
    """A new flow between tasks that exist, saved.  replace: as for AddTaskRequest."""

    flow: FlowSpec
    replace: bool = False


class DelFlowRequest(_Request, frozen=True, kw_only=True):
    """Forget added flows."""

    names: list[str]


class GroupsRequest(_Request, frozen=True, kw_only=True):
    """Every group.  Answered by GroupsReply."""


class SetGroupRequest(_Request, frozen=True, kw_only=True):
    """Make or replace an added group."""

    group: GroupSpec


class DelGroupRequest(_Request, frozen=True, kw_only=True):
    """Forget added groups."""

    names: list[str]


class SchedulesRequest(_Request, frozen=True, kw_only=True):
    """Every schedule with its next time.  Answered by SchedulesReply."""


class SetScheduleRequest(_Request, frozen=True, kw_only=True):
    """Make or replace an added schedule."""

    schedule: ScheduleSpec


class DelScheduleRequest(_Request, frozen=True, kw_only=True):
    """Forget added schedules."""

    names: list[str]


class SettingsRequest(_Request, frozen=True, kw_only=True):
    """The settings in force.  Answered by SettingsReply."""


class SetSettingRequest(_Request, frozen=True, kw_only=True):
    """Set one key of the `supervisor` section (`web.port`) at run time, saved; value as it would be written in the file, None goes back to the
    file."""

    key: str
    value: str | None = None


class RereadRequest(_Request, frozen=True, kw_only=True):
    """Read the configuration file again and say what differs from what runs.  apply: then make it so, all or nothing.  accept_removals: also when
    more than a fifth of the running tasks would be removed.  only: of these tasks and groups alone.  remove: take those away, at rest and whatever
    the file says; the next reading brings them back.  restart: afterwards start anew what is to start by itself, and stop everything else."""

    apply: bool = False
    accept_removals: bool = False
    only: list[str] = []
    remove: bool = False
    restart: bool = False


class EventsRequest(_Request, frozen=True, kw_only=True):
    """Transitions and alerts from number `since` on (None: from now on).  wait_s: answer late rather than with nothing.  names: of these tasks
    only."""

    since: int | None = 0
    limit: int = 200
    wait_s: float = 0.0
    names: list[str] = []
    what: list[str] = []


class HistoryRequest(_Request, frozen=True, kw_only=True):
    """The newest ended runs of the named tasks (all when empty), newest first; before: only those with a lower number."""

    names: list[str] = []
    limit: int = 50
    before: int | None = None


class ServicesRequest(_Request, frozen=True, kw_only=True):
    """The siblings, and what ails the supervisor.  Answered by ServicesReply."""


class ShutdownRequest(_Request, frozen=True, kw_only=True):
    """Stop every task in parallel, then the supervisor.  Answered by DoneReply when every task is at rest, just before the Core ends."""


class UpgradeRequest(_Request, frozen=True, kw_only=True):
    """Replace the running Core and its siblings by the installed version; tasks go on.  Answered by the new Core when the request is repeated on a
    new connection, by the old one only when it goes on."""


class ScaleRequest(_Request, frozen=True, kw_only=True):
    """So many instances of an entry that the file gives `instances`, saved.  Answered by DoneReply with an outcome for each that was added or, as
    soon as it is at rest, removed."""

    task: str
    instances: int


class VersionRequest(_Request, frozen=True, kw_only=True):
    """Who is there?"""


Request = (
    StatusRequest | ActRequest | TrmRequest | RestartRequest | PutRequest | ReadRequest | ClearRequest
    | SpecsRequest | AddTaskRequest | DelTaskRequest | FlowsRequest | AddFlowRequest | DelFlowRequest
    | GroupsRequest | SetGroupRequest | DelGroupRequest | SchedulesRequest | SetScheduleRequest | DelScheduleRequest
    | SettingsRequest | SetSettingRequest | RereadRequest | EventsRequest | HistoryRequest | ServicesRequest
    | ShutdownRequest | VersionRequest | SignalRequest | ClearLogRequest | EmitRequest | ScaleRequest | UpgradeRequest | NoteRequest
    | RunFlowRequest | LettersRequest | SettleRequest
)  # fmt: skip


# Rows ----------------------------------------------------------------------------------------------------------------------------------------------


class TaskStatus(msgspec.Struct, frozen=True, kw_only=True):
    """One row of a status.  uptime_s: of the program, 0 when none runs.  blocked_by: the consumers that hold it back, blocked_since: since when (wall
    time).  dropped_bytes: of its input, skipped by `overflow: drop-oldest` or removed by retention before they were read."""

    name: str
    state: State
    goal: Goal
    pid: int = 0
    uptime_s: float = 0.0
    reason: str = ""
    restarts: int = 0
    exit_status: int | None = None
    exit_known: bool = True
    blocked_by: list[str] = []
    kind_of: str = "service"
    finished: bool = False
    lag_bytes: int = 0
    outstanding: int = 0
    delivered: int = 0
    acknowledged: int = 0
    dead_letters: int = 0
    health: str = ""
    worker_pid: int = 0
    incarnation: int = 0
    since: float = 0.0
    dropped_bytes: int = 0
    blocked_since: float = 0.0


class TaskDetail(msgspec.Struct, frozen=True, kw_only=True):
    """A task as it is configured.  origin: `file`, `added`, or `left` (not configured any more, but something of it runs).  folder: where its
    journals are.  from_tasks, to_tasks: its neighbours in flows."""

    spec: TaskSpec
    origin: str = "file"
    folder: str = ""
    groups: list[str] = []
    from_tasks: list[str] = []
    to_tasks: list[str] = []


class FlowRow(msgspec.Struct, frozen=True, kw_only=True):
    """One edge.  lag_bytes: written and not yet acknowledged by the consumer; held_back: the producer waits for it, held_since: since when (wall
    time).  id: of the edge, the name of its folder."""

    flow: str
    producer: str
    consumers: list[str]
    mode: Mode = Mode.BROAD
    origin: str = "file"
    lag_bytes: int = 0
    max_lag: int = 0
    overflow: str = "block"
    held_back: bool = False
    id: str = ""
    held_since: float = 0.0


class GroupRow(msgspec.Struct, frozen=True, kw_only=True):
    """A group; members: the tasks it stands for now."""

    name: str
    tasks: list[str]
    members: list[str] = []
    origin: str = "file"


class ScheduleRow(msgspec.Struct, frozen=True, kw_only=True):
    """A schedule; times are wall clock seconds, 0 for none.  running: the due time whose run is under way; waiting: due times whose runs wait for its
    end; skipped: how many times were left out because the run before was not over."""

    spec: ScheduleSpec
    origin: str = "file"
    next_wall: float = 0.0
    last_wall: float = 0.0
    last_outcome: str = ""
    running: float = 0.0
    waiting: int = 0
    skipped: int = 0


class SettingRow(msgspec.Struct, frozen=True, kw_only=True):
    """One setting: the value in force as text, where it comes from (`default`, `file`, `set`), and whether a change works at once."""

    key: str
    value: str
    origin: str = "default"
    live: bool = True


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """One difference between the file and what runs.  what: `added`, `removed` or `changed`.  fields: which keys.  effect: what applying it does
    (`starts`, `stops`, `restarts`, `in place`, `at the next start of efsupervisord`)."""

    noun: str
    name: str
    what: str
    fields: list[str] = []
    effect: str = ""
    group: str = ""


class EventRow(msgspec.Struct, frozen=True, kw_only=True):
    """Something that happened.  seq: counts up, never used twice in one var/.  what: `state` for a transition (before, after, pid), else the kind of
    an alert (`message`, `dead-letter`, `health`, ...) with the event in progress and the last lines the program said.  `supervisor` and `group`: the
    supervisor and the groups themselves change; `remote`: somebody outside said something.  facts: words `key:value` for event listeners (tries,
    pid, expected)."""

    seq: int
    wall: float
    what: str
    task: str
    sentence: str = ""
    before: str = ""
    after: str = ""
    pid: int = 0
    event: bytes = b""
    lines: list[str] = []
    facts: str = ""


class RunRow(msgspec.Struct, frozen=True, kw_only=True):
    """One ended life of a program, or one run of a flow (task: `flow NAME`).  out_bytes, err_bytes: what it wrote, from out_from and err_from on;
    in_bytes: what it was given.  events_in, events_out: the same counted, -1 where nobody did.  state: what the task became; SKIPPED: a time of a
    schedule that was left out.  attempt: which life of its run, 0 when not known.  cause, ticket: who wanted the run, and its id, which the parts of
    a flow's run share."""

    number: int
    task: str
    incarnation: int
    began: float
    ended: float
    exit_status: int | None = None
    exit_known: bool = True
    state: str = ""
    reason: str = ""
    out_bytes: int = 0
    err_bytes: int = 0
    pid: int = 0
    attempt: int = 0
    cause: str = ""
    ticket: str = ""
    out_from: int = 0
    err_from: int = 0
    in_bytes: int = 0
    events_in: int = -1
    events_out: int = -1


class Cause(msgspec.Struct, frozen=True, kw_only=True):
    """One link of the chain of causes of a task's state.  what: `now`, `waits` (a dependency), `held` (a consumer), `run`, `state`, `asked`, or the
    kind of an alert.  about: another task that is to blame.  lines: what the program said last."""

    wall: float
    what: str
    sentence: str
    about: str = ""
    lines: list[str] = []


class Twig(msgspec.Struct, frozen=True, kw_only=True):
    """One line of a tree of processes, depth first.  what: `supervisor`, `host`, `sibling`, `task`, `worker`, `program`, `process` or `more` (then
    `name` says how many are not shown).  name: of the task or sibling, else the command.  state: of a task, or the kernel's letter.  cpu: per cent of
    one processor where the collector knows, -1 elsewhere.  cpu_s: processor time so far.  rss: bytes."""

    depth: int
    what: str
    name: str
    pid: int = 0
    state: str = ""
    cpu: float = -1.0
    cpu_s: float = 0.0
    rss: int = 0


class ServiceRow(msgspec.Struct, frozen=True, kw_only=True):
    """One sibling.  state: STARTING, RUNNING, BACKOFF, STOPPED.  since: wall time of that state.  reason: why it was last replaced."""

    name: str
    state: State = State.STOPPED
    pid: int = 0
    since: float = 0.0
    restarts: int = 0
    reason: str = ""
    health: str = ""


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one task of a command."""

    task: str
    ok: bool
    code: Code = Code.OK
    sentence: str = ""


class _Reply(Message, frozen=True, kw_only=True):
    id: str


class StatusReply(_Reply, frozen=True, kw_only=True):
    """Some rows; `more` says that another StatusReply with the same id follows.  ending: the supervisor is shutting down."""

    tasks: list[TaskStatus]
    more: bool = False
    ending: bool = False


class DoneReply(_Reply, frozen=True, kw_only=True):
    """One outcome for each task that was named."""

    outcomes: list[Outcome] = []


class ReadReply(_Reply, frozen=True, kw_only=True):
    """Bytes from `offset` on (after gaps were skipped); end: the journal's end when it was read; next: where to go on.  framing: how they are told
    apart (states.Framing; a number that is not there: not at all)."""

    offset: int
    data: bytes
    next: int
    end: int
    framing: int = 0


class SpecsReply(_Reply, frozen=True, kw_only=True):
    """Some tasks; `more` as in StatusReply."""

    tasks: list[TaskDetail]
    more: bool = False


class FlowsReply(_Reply, frozen=True, kw_only=True):
    """Some edges; `more` as in StatusReply."""

    rows: list[FlowRow]
    more: bool = False


class GroupsReply(_Reply, frozen=True, kw_only=True):
    """Every group; `more` as in StatusReply."""

    rows: list[GroupRow]
    more: bool = False


class SchedulesReply(_Reply, frozen=True, kw_only=True):
    """Every schedule; `more` as in StatusReply."""

    rows: list[ScheduleRow]
    more: bool = False


class SettingsReply(_Reply, frozen=True, kw_only=True):
    """Every setting."""

    rows: list[SettingRow]
    more: bool = False


class DifferenceReply(_Reply, frozen=True, kw_only=True):
    """What differs; applied: it does no longer.  `more` as in StatusReply."""

    changes: list[Change]
    applied: bool = False
    more: bool = False


class EventsReply(_Reply, frozen=True, kw_only=True):
    """Events in order; next: where to go on; lost: how many between `since` and the first of these are not kept any more."""

    rows: list[EventRow]
    next: int
    lost: int = 0


class HistoryReply(_Reply, frozen=True, kw_only=True):
    """Ended runs, newest first."""

    rows: list[RunRow]


class ServicesReply(_Reply, frozen=True, kw_only=True):
    """The siblings; ailments: sentences about the supervisor itself (a disk that is full, a state file that is locked)."""

    rows: list[ServiceRow]
    ailments: list[str] = []


class VersionReply(_Reply, frozen=True, kw_only=True):
    """The Core's version, pid, start (wall time) and protocol."""

    version: str
    pid: int
    since_wall: float
    protocol: int = PROTOCOL


class LetterRow(msgspec.Struct, frozen=True, kw_only=True):
    """One dead letter.  letter: its number.  offset, length: where the event lies in its producer's journal (producer empty: the own input queue).
    deliveries: 0 when no program ever had it.  died, status: how the program died last, and its wait status where that is known.  event: what it
    says, or the beginning of it (cut).  lines: the last of stderr, only when one letter was asked for."""

    task: str
    letter: int
    producer: str
    offset: int
    length: int
    deliveries: int
    reason: str
    wall: float
    died: str = ""
    status: int | None = None
    event: bytes = b""
    cut: bool = False
    lines: list[str] = []
    edge: str = ""


class LettersReply(_Reply, frozen=True, kw_only=True):
    """Some letters, oldest first; next: where to go on, None at the end."""

    rows: list[LetterRow]
    next: int | None = None


class FailedReply(_Reply, frozen=True, kw_only=True):
    """The request as a whole was not carried out."""

    code: Code
    sentence: str


Reply = (
    StatusReply | DoneReply | ReadReply | VersionReply | FailedReply | SpecsReply | FlowsReply | GroupsReply | SchedulesReply | SettingsReply
    | DifferenceReply | EventsReply | HistoryReply | ServicesReply | LettersReply
)  # fmt: skip
