"""The words that processes of ours say to each other: frozen typed structs, one encode, one decode, version first.

A frame is one byte of protocol version and then one JSON object with a `kind`.  Frames travel over SOCK_SEQPACKET Unix sockets, so a frame is a
message and never more than MAX_FRAME bytes.  A newer program may add fields at the end, with defaults; an older one ignores them.  A kind that is
not known, a field of the wrong type or another version is a ProtocolError, and the connection is closed by whoever finds it.

Two vocabularies: ToWorker / FromWorker between the Core and a task's worker; Request / Reply between a client and the Core (the middle
interface speaks the same).  No dict passes this edge.  Bytes are base64 in the JSON.
"""

from __future__ import annotations

import msgspec

from efsupervisor.conf.schema import TaskSpec
from efsupervisor.errors import Code, ProtocolError
from efsupervisor.states import Goal, Mode, State

PROTOCOL = 1
MAX_FRAME = 128 << 10
"""Bytes of one frame; below the default send buffer of a Unix socket, so that a whole frame always fits into an empty one."""


class _Message(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind"):
    pass


# What a worker must know of the edges around its task ---------------------------------------------------------------------------------------------


class InEdge(msgspec.Struct, frozen=True, kw_only=True):
    """One edge that ends at this task.  folder: the edge's folder; journal: the producer's stdout journal; producer_dir: its task folder.  member: this
    task's number in a share group, peers: the other members' task folders.  job: the producer runs to completion.  A task's own input queue is an edge
    without producer (producer_dir empty)."""

    id: str
    producer: str
    folder: str
    journal: str
    producer_dir: str = ""
    mode: Mode = Mode.BROAD
    member: int = 0
    max_lag: int = 64 << 20
    overflow: str = "block"
    peers: list[str] = []
    job: bool = False


class OutEdge(msgspec.Struct, frozen=True, kw_only=True):
    """One edge that begins at this task, as its producer sees it.  consumers: (name, task folder) of each."""

    id: str
    folder: str
    consumers: list[tuple[str, str]]
    mode: Mode = Mode.BROAD
    max_lag: int = 64 << 20
    overflow: str = "block"
    on_consumers_done: str = "stop"


class Wiring(msgspec.Struct, frozen=True, kw_only=True):
    """Everything a worker is told when it is forked: the task, where it lives, and its edges.  namespace: identity of this var/, part of the cookie
    that marks the task's processes.  log: path of the daemon's log."""

    spec: TaskSpec
    task_dir: str
    namespace: str
    inputs: list[InEdge] = []
    outputs: list[OutEdge] = []
    log: str = ""


# Core to worker -------------------------------------------------------------------------------------------------------------------------------------


class Hello(_Message, frozen=True, kw_only=True):
    """First word of a Core on a new connection.  The worker answers with Report."""

    core_pid: int
    version: str = ""


class SetGoal(_Message, frozen=True, kw_only=True):
    """What is wanted from now on.  asked_by is shown in the log."""

    goal: Goal
    asked_by: str = ""


class Rewire(_Message, frozen=True, kw_only=True):
    """The task's spec and edges changed.  Edges apply at once, the spec at the program's next start."""

    wiring: Wiring


class Ping(_Message, frozen=True, kw_only=True):
    """Sign of life wanted; answered from the worker's main loop by Pong with the same number."""

    number: int


class Reaped(_Message, frozen=True, kw_only=True):
    """The Core, as subreaper, reaped this program.  status: wait status, None when the Core does not know it."""

    pid: int
    start_ticks: int
    status: int | None = None


class Held(_Message, frozen=True, kw_only=True):
    """Answer to HoldInput and ReleaseInput.  since_before: the Core held this incarnation's write end already before it was asked."""

    incarnation: int
    held: bool
    since_before: bool = False


class PutEvent(_Message, frozen=True, kw_only=True):
    """One event for the task's own input queue; the id makes a retry append once."""

    put_id: str
    data: bytes


# Worker to Core -------------------------------------------------------------------------------------------------------------------------------------


class Report(_Message, frozen=True, kw_only=True):
    """A worker's state, sent at each change and on request.  since_wall: when the state began.  exit_status: wait status of the last incarnation, None when
    unknown or none yet.  reason: one sentence for a person.  final: the worker ends after this and the task is at rest.
    blocked_by: names of consumers that hold this task back.  waits_until: monotonic deadline of a BACKOFF, 0 else."""

    state: State
    goal: Goal
    incarnation: int = 0
    pid: int = 0
    start_ticks: int = 0
    since_wall: float = 0.0
    exit_status: int | None = None
    exit_known: bool = True
    finished: bool = False
    reason: str = ""
    final: bool = False
    restarts: int = 0
    failures: int = 0
    blocked_by: list[str] = []
    worker_pid: int = 0
    out_bytes: int = 0
    err_bytes: int = 0
    dead_letters: int = 0
    delivered: int = 0
    acknowledged: int = 0
    outstanding: int = 0
    lag_bytes: int = 0
    dropped_bytes: int = 0
    health: str = ""


class Pong(_Message, frozen=True, kw_only=True):
    """Answer to Ping."""

    number: int


class AskReaped(_Message, frozen=True, kw_only=True):
    """Did the Core reap this program, and with which status?  Answered by Reaped."""

    pid: int
    start_ticks: int


class HoldInput(_Message, frozen=True, kw_only=True):
    """Please keep the write end of this incarnation's stdin open (path of the FIFO); answered by Held."""

    incarnation: int
    path: str


class ReleaseInput(_Message, frozen=True, kw_only=True):
    """The end of the input was recorded: close the write end; answered by Held."""

    incarnation: int


class PutDone(_Message, frozen=True, kw_only=True):
    """The event with this id is in the queue (offset), or an error says why not."""

    put_id: str
    offset: int = -1
    error: str = ""


class Alert(_Message, frozen=True, kw_only=True):
    """Something an operator should hear of: a dead letter, a full disk, a poison event, a message on stderr of an event task."""

    what: str
    sentence: str
    event: bytes = b""
    lines: list[str] = []


ToWorker = Hello | SetGoal | Rewire | Ping | Reaped | Held | PutEvent
FromWorker = Report | Pong | AskReaped | HoldInput | ReleaseInput | PutDone | Alert


# Client to Core -------------------------------------------------------------------------------------------------------------------------------------


class _Request(_Message, frozen=True, kw_only=True):
    id: str


class StatusRequest(_Request, frozen=True, kw_only=True):
    """State of the named tasks, of all when the list is empty.  Answered by one or more StatusReply."""

    names: list[str] = []


class ActRequest(_Request, frozen=True, kw_only=True):
    """Start the named tasks (`all` stands for every one).  wait: answer only when each is RUNNING, at rest or has failed."""

    names: list[str]
    wait: bool = True


class TrmRequest(_Request, frozen=True, kw_only=True):
    """Stop the named tasks.  wait: answer only when each is at rest."""

    names: list[str]
    wait: bool = True


class PutRequest(_Request, frozen=True, kw_only=True):
    """Append one event to a task's own input queue.  put_id: repeat it on a retry."""

    task: str
    put_id: str
    data: bytes


class ReadRequest(_Request, frozen=True, kw_only=True):
    """Bytes of a task's journal.  stream: out, err, input or dead.  offset: where to begin; None with `lines` reads the last `lines` lines."""

    task: str
    stream: str = "out"
    offset: int | None = None
    lines: int = 10
    limit: int = 48 << 10


class ShutdownRequest(_Request, frozen=True, kw_only=True):
    """Stop every task in parallel, then the supervisor.  Answered by DoneReply when every task is at rest, just before the Core ends."""


class VersionRequest(_Request, frozen=True, kw_only=True):
    """Who is there?"""


Request = StatusRequest | ActRequest | TrmRequest | PutRequest | ReadRequest | ShutdownRequest | VersionRequest


class TaskStatus(msgspec.Struct, frozen=True, kw_only=True):
    """One row of a status.  uptime_s: of the program, 0 when none runs.  worker_alive: a worker answers."""

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


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one task of a command."""

    task: str
    ok: bool
    code: Code = Code.OK
    sentence: str = ""


class _Reply(_Message, frozen=True, kw_only=True):
    id: str


class StatusReply(_Reply, frozen=True, kw_only=True):
    """Some rows; `more` says that another StatusReply with the same id follows."""

    tasks: list[TaskStatus]
    more: bool = False


class DoneReply(_Reply, frozen=True, kw_only=True):
    """One outcome for each task that was named."""

    outcomes: list[Outcome] = []


class ReadReply(_Reply, frozen=True, kw_only=True):
    """Bytes from `offset` on (after gaps were skipped); end: the journal's end when it was read; next: where to go on."""

    offset: int
    data: bytes
    next: int
    end: int


class VersionReply(_Reply, frozen=True, kw_only=True):
    """The Core's version, pid, start (wall time) and protocol."""

    version: str
    pid: int
    since_wall: float
    protocol: int = PROTOCOL


class FailedReply(_Reply, frozen=True, kw_only=True):
    """The request as a whole was not carried out."""

    code: Code
    sentence: str


Reply = StatusReply | DoneReply | ReadReply | VersionReply | FailedReply

_encoder = msgspec.json.Encoder()
_PREFIX = bytes([PROTOCOL])


def encode(message: _Message) -> bytes:
    """The frame of a message."""
    return _PREFIX + _encoder.encode(message)


_decoders: dict[object, msgspec.json.Decoder[object]] = {}


def decode(frame: bytes, vocabulary: object) -> object:
    """The message of a frame; `vocabulary` is ToWorker, FromWorker, Request or Reply.  ProtocolError for everything else."""
    if not frame:
        raise ProtocolError("an empty frame is no message")
    if len(frame) > MAX_FRAME:
        raise ProtocolError(f"a frame of {len(frame)} bytes is over the limit of {MAX_FRAME}", Code.TOO_LARGE)
    if frame[0] != PROTOCOL:
        raise ProtocolError(f"protocol version {frame[0]} is not {PROTOCOL}: use the efctl that belongs to this efsupervisord", Code.VERSION)
    decoder = _decoders.get(vocabulary)
    if decoder is None:
        decoder = _decoders[vocabulary] = msgspec.json.Decoder(vocabulary)
    try:
        return decoder.decode(frame[1:])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ProtocolError(f"not a message of this protocol: {error}") from error
