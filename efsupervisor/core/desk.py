"""What clients ask, answered: each request of the protocol has one function, here or in a room beside, which answers at once or leaves a Pending
behind.

    showing     what is: tasks, flows, groups, schedules, settings, siblings, events, history
    altering    what is to be: tasks, flows, groups, schedules, settings, the file read again
    here        goals, events that are put, and the Core itself

A reply is made of frames below the protocol's limit, whatever the number of tasks.  What is wrong with a request is said in the reply; only a request
that cannot be answered as a whole gets a FailedReply.

A request that changes something is worked for an Asked (core/memory.py), not for the connection it came on: whoever asks again with the same id gets
the same answer.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator
from typing import Any

import msgspec

from efsupervisor.conf.schema import framing_of
from efsupervisor.core import letters
from efsupervisor.core.altering import Altering
from efsupervisor.core.control import Client
from efsupervisor.core.core import Core
from efsupervisor.core.frames import done_frames, status_frames
from efsupervisor.core.handover import Handover
from efsupervisor.core.journals import journal_of, read
from efsupervisor.core.memory import Asked, Asker, Memory
from efsupervisor.core.registry import ALL
from efsupervisor.core.showing import Showing
from efsupervisor.core.tasks import Task, clipped, row
from efsupervisor.core.upgrade import Upgrade
from efsupervisor.core.waiting import Pending
from efsupervisor.errors import Code, EfError
from efsupervisor.journal import Reader
from efsupervisor.messages import (
    ActRequest,
    AddFlowRequest,
    AddTaskRequest,
    ClearLogRequest,
    ClearRequest,
    DelFlowRequest,
    DelGroupRequest,
    DelScheduleRequest,
    DelTaskRequest,
    DoneReply,
    EmitRequest,
    EventsRequest,
    FailedReply,
    FlowsRequest,
    GroupsRequest,
    HistoryRequest,
    LettersRequest,
    NoteRequest,
    Outcome,
    PutDone,
    PutRequest,
    ReadReply,
    ReadRequest,
    RereadRequest,
    RestartRequest,
    RunFlowRequest,
    ScaleRequest,
    SchedulesRequest,
    ServicesRequest,
    SetGroupRequest,
    SetScheduleRequest,
    SetSettingRequest,
    SettingsRequest,
    SettleRequest,
    ShutdownRequest,
    SignalRequest,
    SpecsRequest,
    StatusReply,
    StatusRequest,
    TrmRequest,
    UpgradeRequest,
    VersionReply,
    VersionRequest,
)
from efsupervisor.states import Goal, Kind
from efsupervisor.system import ticket_of
from efsupervisor.task.queue import framed

MAX_ID = 200
MAX_ASKED_BY = 200
RUNNING, COMPLETED = "running", "completed"
_TICKS_A_SECOND = 100

Work = Callable[[Any, Any], None]


class Desk:
    """Serves requests on behalf of clients.  `since_wall` is the Core's start."""

    def __init__(self, core: Core, altering: Altering, upgrade: Upgrade, memory: Memory, since_wall: float) -> None:
        self._core = core
        self._since_wall = since_wall
        self._memory = memory
        showing = Showing(core)
        self._showing = showing
        self._looks: dict[type, Work] = {
            StatusRequest: lambda client, request: client.reply(self._status(request)),
            ReadRequest: lambda client, request: client.reply([self._read(request)]),
            VersionRequest: lambda client, request: client.reply([self._version(request)]),
            SpecsRequest: lambda client, request: client.reply(showing.specs(request)),
            FlowsRequest: lambda client, request: client.reply(showing.flows(request)),
            GroupsRequest: lambda client, request: client.reply(showing.groups(request)),
            SchedulesRequest: lambda client, request: client.reply(showing.schedules(request)),
            SettingsRequest: lambda client, request: client.reply(showing.settings(request)),
            ServicesRequest: lambda client, request: client.reply([showing.services(request)]),
            HistoryRequest: lambda client, request: client.reply([showing.history(request)]),
            EventsRequest: showing.events,
            LettersRequest: lambda client, request: client.reply([letters.page(self._one(request.task), request, core.system)]),
        }
        self._changes: dict[type, Work] = {
            ActRequest: self._act,
            TrmRequest: lambda asked, request: self._goal(asked, request, Goal.TRM, core.trm_task),
            RestartRequest: lambda asked, request: self._goal(asked, request, Goal.ACT, core.restart_task),
            RunFlowRequest: self._run_flow,
            PutRequest: self._put,
            ClearRequest: self._clear,
            SettleRequest: self._settle,
            ClearLogRequest: self._clear_logs,
            SignalRequest: self._signal,
            EmitRequest: self._emit,
            NoteRequest: self._noted,
            ShutdownRequest: self._shutdown,
            AddTaskRequest: altering.add_task,
            DelTaskRequest: altering.del_task,
            AddFlowRequest: altering.add_flow,
            DelFlowRequest: altering.del_flow,
            SetGroupRequest: altering.set_group,
            DelGroupRequest: altering.del_group,
            SetScheduleRequest: altering.set_schedule,
            DelScheduleRequest: altering.del_schedule,
            SetSettingRequest: altering.set_setting,
            ScaleRequest: altering.scale,
            RereadRequest: altering.reread,
            UpgradeRequest: upgrade.begin,
        }

    def serve(self, client: Client, request: Any) -> None:
        """Answer one request, now or later."""
        work = self._looks.get(type(request))
        if work is not None:
            self._try(work, client, request)
            return
        work = self._changes.get(type(request))
        if work is None:
            _fail(client, request, Code.BAD_REQUEST, "this efsupervisord does not know the request")
            return
        who = request.asked_by[:MAX_ASKED_BY] or str(client)
        asked, new = self._memory.known(who, request)
        asked.join(client)
        if new:
            self._try(work, asked, request)

    def take(self, handed: Handover) -> None:
        """What the Core before us in this process remembered; and the upgrade that brought us is answered, whenever it is asked again."""
        self._memory.taken(handed.memory)
        version = f"efsupervisord {self._core.version}"
        change = f"{version} took over from {handed.version}" if handed.version != self._core.version else f"{version} began anew"
        self._core.log.info(f"upgrade: {change}, asked by {handed.asked_by}")
        request = UpgradeRequest(id=handed.request_id)
        asked, _ = self._memory.known(handed.asked_by, request)
        asked.reply(done_frames(request.id, [Outcome(task=ALL, ok=True, sentence=f"{change}; tasks went on")]))

    def forget(self, client: Client) -> None:
        """The client is gone; what it asked for goes on."""
        self._showing.gone(client)
        self._memory.gone(client)

    def _try(self, work: Work, client: Asker, request: Any) -> None:
        try:
            work(client, request)
        except EfError as error:
            _fail(client, request, error.code, error.message)
        except OSError as error:
            _fail(client, request, Code.SYSTEM, f"the request could not be carried out: {error}")

    def _version(self, request: VersionRequest) -> VersionReply:
        core = self._core
        return VersionReply(id=request.id, version=core.version, pid=core.system.getpid(), since_wall=self._since_wall)

    # Status ---------------------------------------------------------------------------------------------------------------------------------------

    def _status(self, request: StatusRequest) -> Iterator[StatusReply]:
        tasks = self._core.registry.ordered()
        if request.names:
            tasks, unknown = self._core.registry.named(request.names)
            if unknown:
                raise EfError(f"{unknown[0].task}: {unknown[0].sentence}", Code.NO_SUCH_TASK)
        now_s = time.clock_gettime(time.CLOCK_BOOTTIME)
        rows = (row(task, now_s - task.report.start_ticks / _TICKS_A_SECOND) for task in tasks)
        return status_frames(request.id, rows, ending=self._core.ending)

    # Goals ----------------------------------------------------------------------------------------------------------------------------------------

    def _act(self, asked: Asked, request: ActRequest) -> None:
        if request.until not in ("", RUNNING, COMPLETED):
            raise EfError(f"until is {RUNNING} or {COMPLETED}, not {request.until[:40]!r}", Code.USAGE)
        ticket = ticket_of(request.id)

        def queue(tasks: list[Task], asked_by: str, pending: Pending | None = None, *, intent: bool = False) -> None:
            if pending is not None:
                pending.completed = request.until == COMPLETED
            self._core.act_task(tasks, asked_by, pending, intent=intent, ticket=ticket, anew=request.anew)

        if request.until == COMPLETED:
            endless = [task.name for task in self._core.registry.named(request.names)[0] if task.spec.kind is not Kind.JOB]
            if endless:
                raise EfError(f"{endless[0]} is a service and never completes: only jobs (`kind: job`) can be waited for until then", Code.BAD_STATE)
        self._goal(asked, request, Goal.ACT, queue)

    def _run_flow(self, asked: Asked, request: RunFlowRequest) -> None:
        if request.wait:
            self._core.flow_runs.begin(request.flow, str(asked), request.id, lambda done: asked.reply(done_frames(request.id, done)))
            return
        self._core.flow_runs.begin(request.flow, str(asked), request.id, lambda _done: None)
        sentence = f"run {ticket_of(request.id)} begins"
        asked.reply(done_frames(request.id, [Outcome(task=request.flow[:64], ok=True, sentence=sentence)]))

    def _goal(self, asked: Asked, request: ActRequest | TrmRequest | RestartRequest, goal: Goal, queue: Callable[..., None]) -> None:
        tasks, unknown = self._core.registry.named(request.names)
        if not self._core.has_room(len(tasks)):
            raise EfError("too many requests wait already; try again", Code.REFUSED)
        if request.wait and tasks:
            pending = Pending(goal, len(tasks), unknown, lambda done: asked.reply(done_frames(request.id, done)))
            queue(tasks, str(asked), pending, intent=True)
            return
        queue(tasks, str(asked), intent=True)
        accepted = [Outcome(task=task.name, ok=True, sentence="asked for") for task in tasks]
        asked.reply(done_frames(request.id, unknown + accepted))

    def _shutdown(self, asked: Asked, request: ShutdownRequest) -> None:
        done = done_frames(request.id, [Outcome(task=ALL, ok=True, sentence="everything is stopped")])
        self._core.shutdown(str(asked), lambda: asked.reply(done))

    # Events and logs ------------------------------------------------------------------------------------------------------------------------------

    def _put(self, asked: Asked, request: PutRequest) -> None:
        task = self._one(request.task)
        check_put(task, request)

        def reply(done: PutDone) -> None:
            sentence = done.error or f"in the queue at offset {done.offset}"
            code = Code.SYSTEM if done.error else Code.OK
            asked.reply([DoneReply(id=request.id, outcomes=[Outcome(task=task.name, ok=not done.error, code=code, sentence=sentence)])])

        self._core.puts.put(task, request.put_id, request.data, reply)

    def _settle(self, asked: Asked, request: SettleRequest) -> None:
        task = self._one(request.task)
        if request.put_back:
            check_input(task)

        def reply(outcome: Outcome) -> None:
            asked.reply([DoneReply(id=request.id, outcomes=[outcome])])

        letters.settle(task, request, self._core.puts, self._core.system, reply)

    def _clear(self, asked: Asked, request: ClearRequest) -> None:
        tasks, outcomes = self._core.registry.named(request.names)
        asked.reply(done_frames(request.id, outcomes + [self._core.puts.cleared(task) for task in tasks]))

    def _clear_logs(self, asked: Asked, request: ClearLogRequest) -> None:
        tasks, outcomes = self._core.registry.named(request.names)
        left = len(tasks)

        def told(outcome: Outcome) -> None:
            nonlocal left
            left -= 1
            outcomes.append(outcome)
            if not left:
                asked.reply(done_frames(request.id, outcomes))

        for task in tasks:
            self._core.orders.clear(task, request.id, told)
        if not tasks:
            asked.reply(done_frames(request.id, outcomes))

    def _signal(self, asked: Asked, request: SignalRequest) -> None:
        if not 0 < request.signal < signal.NSIG:
            raise EfError(f"there is no signal {request.signal}", Code.USAGE)
        tasks, outcomes = self._core.registry.named(request.names)
        asked.reply(done_frames(request.id, outcomes + [self._core.orders.signal(task, request.signal) for task in tasks]))

    def _noted(self, asked: Asked, request: NoteRequest) -> None:
        task = self._one(request.task)
        task.note = clipped(request.sentence)
        asked.reply(done_frames(request.id, [Outcome(task=task.name, ok=True)]))

    def _emit(self, asked: Asked, request: EmitRequest) -> None:
        self._core.tale.emitted(request.topic, request.data)
        asked.reply(done_frames(request.id, [Outcome(task=ALL, ok=True, sentence="said")]))

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


def _fail(client: Asker, request: msgspec.Struct, code: Code, sentence: str) -> None:
    client.reply([FailedReply(id=getattr(request, "id", ""), code=code, sentence=sentence)])


def check_input(task: Task) -> None:
    """EfError when this task takes no events."""
    if not any(not edge.producer_dir for edge in task.wiring.inputs):
        raise EfError(f"task {task.name} takes no events: give it an `input:` section or a flow that ends at it", Code.NO_INPUT)


def check_put(task: Task, request: PutRequest) -> None:
    """EfError when this task cannot take this event."""
    check_input(task)
    limit = task.spec.input.max_event if task.spec.input else 1 << 20
    if len(request.data) > limit:
        raise EfError(f"an event of {len(request.data)} bytes is over task {task.name}'s limit of {limit} (input: max_event)", Code.TOO_LARGE)
    framed(framing_of(task.spec), request.data)
    if not 0 < len(request.put_id) <= MAX_ID:
        raise EfError(f"a put needs an id of 1 to {MAX_ID} characters, so that a retry appends once", Code.BAD_REQUEST)
