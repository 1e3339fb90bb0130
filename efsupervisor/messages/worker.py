"""Between the Core and a task's worker: what a worker must know, and what they tell each other."""

from __future__ import annotations

import msgspec

from efsupervisor.conf.schema import TaskSpec
from efsupervisor.messages.frame import Message
from efsupervisor.states import Goal, Mode, State

# What a worker must know of the edges around its task ---------------------------------------------------------------------------------------------


class InEdge(msgspec.Struct, frozen=True, kw_only=True):
    """One edge that ends at this task.  folder: the edge's folder; journal: the producer's stdout journal; producer_dir: its task folder.  member:
    this task's number in a share group, peers: the other members' task folders.  job: the producer runs to completion.  A task's own input queue is
    an edge without producer (producer_dir empty)."""

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
    that marks the task's processes.  log: path of the daemon's log; log_level, log_format: what of it is written, and how.
    identifier: what the supervisor calls itself."""

    spec: TaskSpec
    task_dir: str
    namespace: str
    inputs: list[InEdge] = []
    outputs: list[OutEdge] = []
    log: str = ""
    log_level: str = "info"
    log_format: str = "text"
    identifier: str = "supervisor"


# Core to worker -------------------------------------------------------------------------------------------------------------------------------------


class Hello(Message, frozen=True, kw_only=True):
    """First word of a Core on a new connection.  The worker answers with Report.  wants_socket: and before it with SocketHeld, if it
    has the listening socket of its task."""

    core_pid: int
    version: str = ""
    wants_socket: bool = False


class SetGoal(Message, frozen=True, kw_only=True):
    """What is wanted from now on.  asked_by is shown in the log.  ticket: 16 hex digits that name this wish, so that it is fulfilled once however
    often it is said; empty for one that nobody repeats."""

    goal: Goal
    asked_by: str = ""
    ticket: str = ""


class Rewire(Message, frozen=True, kw_only=True):
    """The task's spec and edges changed.  Edges apply at once, the spec at the program's next start."""

    wiring: Wiring


class Ping(Message, frozen=True, kw_only=True):
    """Sign of life wanted; answered from the worker's main loop by Pong with the same number."""

    number: int


class Reaped(Message, frozen=True, kw_only=True):
    """The Core, as subreaper, reaped this program.  status: wait status, None when the Core does not know it."""

    pid: int
    start_ticks: int
    status: int | None = None


class Held(Message, frozen=True, kw_only=True):
    """Answer to HoldInput and ReleaseInput.  since_before: the Core held this incarnation's write end already before it was asked."""

    incarnation: int
    held: bool
    since_before: bool = False


class PutEvent(Message, frozen=True, kw_only=True):
    """One event for the task's own input queue; the id makes a retry append once."""

    put_id: str
    data: bytes


class SendSignal(Message, frozen=True, kw_only=True):
    """Send this signal to the program, and to nobody else."""

    number: int


class ClearLogs(Message, frozen=True, kw_only=True):
    """Begin the logs anew; answered by LogsCleared with the same id."""

    order: str


# Worker to Core -------------------------------------------------------------------------------------------------------------------------------------


class Report(Message, frozen=True, kw_only=True):
    """A worker's state, sent at each change and on request.  since_wall: when the state began.  exit_status: wait status of the last incarnation,
    None when unknown or none yet.  reason: one sentence for a person.  final: the worker ends after this and the task is at rest. blocked_by: names
    of consumers that hold this task back.  waits_until: monotonic deadline of a BACKOFF, 0 else.  ticket, cause: of the wish that began the present
    or last run, and who had it; attempt: number of its present or last life, from 1.  blocked_since: wall time since which somebody holds this task
    back, 0 while nobody does."""

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
    ticket: str = ""
    cause: str = ""
    attempt: int = 0
    blocked_since: float = 0.0


class SocketHeld(Message, frozen=True, kw_only=True):
    """The listening socket of this task (`socket`), which comes with this message as a descriptor."""

    socket: str


class Pong(Message, frozen=True, kw_only=True):
    """Answer to Ping."""

    number: int


class AskReaped(Message, frozen=True, kw_only=True):
    """Did the Core reap this program, and with which status?  Answered by Reaped."""

    pid: int
    start_ticks: int


class HoldInput(Message, frozen=True, kw_only=True):
    """Please keep the write end of this incarnation's stdin open (path of the FIFO); answered by Held."""

    incarnation: int
    path: str


class ReleaseInput(Message, frozen=True, kw_only=True):
    """The end of the input was recorded: close the write end; answered by Held."""

    incarnation: int


class PutDone(Message, frozen=True, kw_only=True):
    """The event with this id is in the queue (offset), or an error says why not."""

    put_id: str
    offset: int = -1
    error: str = ""


class LogsCleared(Message, frozen=True, kw_only=True):
    """The logs begin anew, or an error says why not."""

    order: str
    error: str = ""


class Alert(Message, frozen=True, kw_only=True):
    """Something an operator should hear of: a dead letter, a full disk, a poison event, a message on stderr of an event task.  wall: when, for one
    that is told late because no Core was there; 0: now."""

    what: str
    sentence: str
    event: bytes = b""
    lines: list[str] = []
    wall: float = 0.0


ToWorker = Hello | SetGoal | Rewire | Ping | Reaped | Held | PutEvent | SendSignal | ClearLogs
FromWorker = Report | Pong | AskReaped | HoldInput | ReleaseInput | PutDone | Alert | LogsCleared | SocketHeld
