"""What clients ask, answered: each request of the protocol has one function here, which answers at once or leaves a Pending behind.

A reply is made of frames below the protocol's limit, whatever the number of tasks.  What is wrong with a request is said in the reply; only a request
that cannot be answered as a whole gets a FailedReply. """

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator

import msgspec

from efsupervisor.core.control import Client
from efsupervisor.core.core import Core
from efsupervisor.core.registry import ALL
from efsupervisor.core.tasks import Task, row
from efsupervisor.core.waiting import Pending
from efsupervisor.errors import Code, EfError
from efsupervisor.journal import Reader
from efsupervisor.messages import (
    MAX_FRAME,
    ActRequest,
    DoneReply,
    FailedReply,
    Outcome,
    PutDone,
    PutRequest,
    ReadReply,
    ReadRequest,
    Reply,
    ServicesReply,
    ServicesRequest,
    ShutdownRequest,
    StatusReply,
    StatusRequest,
    TaskStatus,
    TrmRequest,
    VersionReply,
    VersionRequest,
)
from efsupervisor.states import Goal
from efsupervisor.task.paths import TaskPaths

ROOM = MAX_FRAME - (4 << 10)
"""Bytes of rows or outcomes in one frame; the rest is for what surrounds them."""

MAX_READ = 48 << 10
MAX_LINES = 10_000
TAIL_BYTES = 8 << 20
"""How far back the last lines are looked for."""

MAX_ID = 200
_TICKS_A_SECOND = 100
_json = msgspec.json.Encoder()


class Desk:
    """Serves requests on behalf of clients.  `since_wall` is the Core's start."""

    def __init__(self, core: Core, since_wall: float) -> None:
        self._core = core
        self._since_wall = since_wall

    def serve(self, client: Client, request: object) -> None:
        """Answer one request, now or later."""
        try:
            self._dispatch(client, request)
        except EfError as error:
            self._fail(client, request, error.code, error.message)
        except OSError as error:
            self._fail(client, request, Code.SYSTEM, f"the request could not be carried out: {error}")

    def forget(self, client: Client) -> None:
        """The client is gone; what it asked for goes on."""
        self._core.waiting.forget(client)

    def _dispatch(self, client: Client, request: object) -> None:
        match request:
            case StatusRequest():
                client.reply(self._status(request))
            case ActRequest():
                self._goal(client, request.id, request.names, Goal.ACT, request.wait)
            case TrmRequest():
                self._goal(client, request.id, request.names, Goal.TRM, request.wait)
            case PutRequest():
                self._put(client, request)
            case ReadRequest():
                client.reply([self._read(request)])
            case ShutdownRequest():
                self._shutdown(client, request)
            case ServicesRequest():
                services = self._core.services
                client.reply([ServicesReply(id=request.id, rows=services.rows(), ailments=services.ailments())])
            case VersionRequest():
                version = VersionReply(id=request.id, version=self._core.version, pid=self._core.system.getpid(), since_wall=self._since_wall)
                client.reply([version])
            case _:
                self._fail(client, request, Code.BAD_REQUEST, "this efsupervisord does not know the request")

    def _fail(self, client: Client, request: object, code: Code, sentence: str) -> None:
        client.reply([FailedReply(id=getattr(request, "id", ""), code=code, sentence=sentence)])

    # Status ---------------------------------------------------------------------------------------------------------------------------------------

    def _status(self, request: StatusRequest) -> Iterator[StatusReply]:
        tasks = self._core.registry.ordered()
        if request.names:
            tasks, unknown = self._core.registry.named(request.names)
            if unknown:
                raise EfError(f"{unknown[0].task}: {unknown[0].sentence}", Code.NO_SUCH_TASK)
        now_s = time.clock_gettime(time.CLOCK_BOOTTIME)
        rows = (row(task, now_s - task.report.start_ticks / _TICKS_A_SECOND) for task in tasks)
        return status_frames(request.id, rows)

    # Goals ----------------------------------------------------------------------------------------------------------------------------------------

    def _goal(self, client: Client, request_id: str, names: list[str], goal: Goal, wait: bool) -> None:
        tasks, unknown = self._core.registry.named(names)
        if not self._core.has_room(len(tasks)):
            raise EfError("too many requests wait already; try again", Code.REFUSED)
        queue = self._core.act_task if goal is Goal.ACT else self._core.trm_task
        if wait and tasks:
            queue(tasks, str(client), self._pending(client, request_id, goal, len(tasks), unknown))
            return
        queue(tasks, str(client))
        accepted = [Outcome(task=task.name, ok=True, sentence="asked for") for task in tasks]
        client.reply(done_frames(request_id, unknown + accepted))

    def _pending(self, client: Client, request_id: str, goal: Goal, count: int, outcomes: list[Outcome]) -> Pending:
        client.waits_for += 1

        def reply(done: list[Outcome]) -> None:
            client.waits_for -= 1
            client.reply(done_frames(request_id, done))

        return Pending(client, goal, count, outcomes, reply)

    def _shutdown(self, client: Client, request: ShutdownRequest) -> None:
        def reply() -> None:
            client.waits_for -= 1
            client.reply(done_frames(request.id, [Outcome(task=ALL, ok=True, sentence="everything is stopped")]))

        client.waits_for += 1
        self._core.shutdown(str(client), reply)

    # Events and logs ------------------------------------------------------------------------------------------------------------------------------

    def _put(self, client: Client, request: PutRequest) -> None:
        task = self._one(request.task)
        check_put(task, request)
        client.waits_for += 1

        def reply(done: PutDone) -> None:
            client.waits_for -= 1
            sentence = done.error or f"in the queue at offset {done.offset}"
            code = Code.SYSTEM if done.error else Code.OK
            client.reply([DoneReply(id=request.id, outcomes=[Outcome(task=task.name, ok=not done.error, code=code, sentence=sentence)])])

        self._core.puts.put(task, request.put_id, request.data, reply)

    def _read(self, request: ReadRequest) -> ReadReply:
        task = self._one(request.task)
        reader = Reader(journal_of(task.paths, request.stream), system=self._core.system)
        try:
            return read(reader, request)
        finally:
            reader.close()

    def _one(self, name: str) -> Task:
        tasks, unknown = self._core.registry.named([name])
        if unknown or len(tasks) != 1:
            raise EfError(f"{name[:64]}: {unknown[0].sentence if unknown else 'one task must be named'}", Code.NO_SUCH_TASK)
        return tasks[0]


# Frames -------------------------------------------------------------------------------------------------------------------------------------------


def status_frames(request_id: str, rows: Iterable[TaskStatus]) -> Iterator[StatusReply]:
    """StatusReply after StatusReply, each below the limit, all but the last with `more`."""
    part: list[TaskStatus] = []
    size = 0
    for each in rows:
        length = len(_json.encode(each)) + 1
        if part and size + length > ROOM:
            yield StatusReply(id=request_id, tasks=part, more=True)
            part, size = [], 0
        part.append(each)
        size += length
    yield StatusReply(id=request_id, tasks=part)


def done_frames(request_id: str, outcomes: list[Outcome]) -> list[Reply]:
    """One DoneReply with what fits: failures first and whole, then what went well, then a count of what is left out."""
    ranked = sorted(outcomes, key=lambda outcome: outcome.ok)
    kept: list[Outcome] = []
    size = 0
    for number, outcome in enumerate(ranked):
        size += len(_json.encode(outcome)) + 1
        if size > ROOM:
            left = ranked[number:]
            bad = next((one for one in left if not one.ok), None)
            sentence = f"and {len(left)} more tasks" + ("" if bad is None else ", not all of them as asked; see their status")
            kept.append(Outcome(task=ALL, ok=bad is None, code=bad.code if bad else Code.OK, sentence=sentence))
            break
        kept.append(outcome)
    if len(kept) == len(outcomes):
        kept = list(outcomes)
    return [DoneReply(id=request_id, outcomes=kept)]


# Journals -----------------------------------------------------------------------------------------------------------------------------------------


def journal_of(paths: TaskPaths, stream: str) -> str:
    """Folder of one of a task's journals."""
    folders = {"out": paths.out_journal, "err": paths.err_journal, "input": paths.input_journal, "dead": paths.dead_journal}
    try:
        return folders[stream]
    except KeyError:
        raise EfError(f"a task has no stream {stream[:64]!r}: say out, err, input or dead", Code.USAGE) from None


def read(reader: Reader, request: ReadRequest) -> ReadReply:
    """Bytes of a journal for one reply.  An offset beyond the end reads nothing there."""
    end = reader.end()
    wanted = request.offset if request.offset is not None else tail_offset(reader, end, max(0, min(request.lines, MAX_LINES)))
    offset = reader.skip(max(0, wanted))
    data = reader.read(offset, max(1, min(request.limit, MAX_READ))) if offset < end else b""
    return ReadReply(id=request.id, offset=offset, data=data, next=offset + len(data), end=end)


def tail_offset(reader: Reader, end: int, lines: int) -> int:
    """Where the last `lines` lines begin; looks back no further than TAIL_BYTES, so that no log can hold up the loop."""
    floor = max(reader.first(), end - TAIL_BYTES)
    at, wanted = end, lines + 1
    if lines == 0:
        return end
    while at > floor:
        start = max(floor, at - MAX_READ)
        piece = _whole(reader.read, start, at)
        if at == end and not piece.endswith(b"\n"):
            wanted -= 1  # the last line has no end yet
        found = piece.count(b"\n")
        if found >= wanted:
            cut = len(piece)
            for _ in range(wanted):
                cut = piece.rindex(b"\n", 0, cut)
            return start + cut + 1
        wanted -= found
        at = start
    return floor


def _whole(read_at: Callable[[int, int], bytes], start: int, end: int) -> bytes:
    """The bytes between two offsets; a hole in the journal reads as zeros."""
    pieces: list[bytes] = []
    while start < end:
        piece = read_at(start, end - start) or bytes(end - start)
        pieces.append(piece)
        start += len(piece)
    return b"".join(pieces)


def check_put(task: Task, request: PutRequest) -> None:
    """EfError when this task cannot take this event."""
    if not any(not edge.producer_dir for edge in task.wiring.inputs):
        raise EfError(f"task {task.name} takes no events: give it an `input:` section or a flow that ends at it", Code.NO_INPUT)
    limit = task.spec.input.max_event if task.spec.input else 1 << 20
    if len(request.data) > limit:
        raise EfError(f"an event of {len(request.data)} bytes is over task {task.name}'s limit of {limit} (input: max_event)", Code.TOO_LARGE)
    if b"\n" in request.data.removesuffix(b"\n"):
        raise EfError("an event is one line; this one holds a newline: put the lines one by one", Code.BAD_REQUEST)
    if not 0 < len(request.put_id) <= MAX_ID:
        raise EfError(f"a put needs an id of 1 to {MAX_ID} characters, so that a retry appends once", Code.BAD_REQUEST)

