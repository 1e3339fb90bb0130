"""Recovery: try a task's command on one given event beside the live task.

A second instance is an ordinary task of its own with the same command: a job that is started once, whose only input is its own queue, in no flow.  It
is added, given the event, started, waited for, read and removed by the same requests that anybody may make; the live task is never touched.

Its name is made from the call's id, so a call that is repeated (the middle interface was killed) finds what the first one made and goes on; the same
ids of requests make each step happen once.  A variable in its environment says until when it may be there: what is left over after that, because
nobody repeated the call, is removed by the next recovery.
"""

from __future__ import annotations

import hashlib
import time
from typing import Annotated

import msgspec
from msgspec import Meta

from efsupervisor.conf.schema import InputSpec, TaskSpec
from efsupervisor.errors import Code, EfError
from efsupervisor.interface.answers import done, first
from efsupervisor.interface.house import House
from efsupervisor.interface.stdin import Event, EventBytes, event_of
from efsupervisor.interface.task import details, existing
from efsupervisor.interface.verb import Names, TaskName, Verb
from efsupervisor.messages.call import Answer, Recovered, Tasks
from efsupervisor.messages.core import (
    ActRequest,
    AddTaskRequest,
    DelTaskRequest,
    PutRequest,
    ReadReply,
    ReadRequest,
    Reply,
    StatusReply,
    StatusRequest,
    TaskStatus,
    TrmRequest,
)
from efsupervisor.states import Kind, Role

MARK = "EFSUPERVISOR_RECOVERY_UNTIL"
"""Variable of a second instance: the wall clock second after which it is a left-over."""
GRACE_S = 300
MAX_READ = 24 << 10
"""Bytes of stdout and of stderr that are told; both fit into one frame."""
MAX_STEM = 40
FIRST_LOOK_S = 0.05
LONGEST_LOOK_S = 0.5


class RecoveryRun(Verb, frozen=True, kw_only=True):
    """Run a second instance of a task's command on one event, beside the live task, and tell what it did."""

    name = "recovery.run"
    role = Role.ADMIN
    console = "set recovery"
    command = "recovery"
    positional = ("task", "text")
    changes = True
    endless = True
    task: TaskName
    text: Event = ""
    data: EventBytes = b""
    timeout_s: Annotated[float, Meta(gt=0, le=3600, description="it is stopped after this many seconds")] = 60.0

    async def run(self, house: House) -> Answer:
        """How the second instance ended, and what it wrote."""
        call_id = house.next_id()
        event = event_of(self.text, self.data)
        original = await existing(house, self.task)
        if original is None:
            raise EfError(f"there is no task {self.task}", Code.NO_SUCH_TASK)
        if original.spec.input is None and not original.from_tasks:
            reason = "takes no events (no flow ends at it and it has no `input`): there is nothing to recover"
            raise EfError(f"task {original.spec.name} {reason}", Code.BAD_STATE)
        await _tidy(house)
        spec = instance(original.spec, call_id, time.time() + self.timeout_s + GRACE_S)
        await _add(house, spec, call_id)
        try:
            _expect(await house.ask(PutRequest(id=f"{call_id}-put", task=spec.name, put_id=call_id, data=event)))
            began = time.monotonic()
            await house.ask(ActRequest(id=f"{call_id}-act", names=[spec.name], wait=False))
            row, ended = await _wait(house, spec.name, self.timeout_s)
            if not ended:
                await house.ask(TrmRequest(id=f"{call_id}-trm", names=[spec.name], wait=True))
                row = await _status(house, spec.name)
            return await _told(house, original.spec.name, row, ended, time.monotonic() - began)
        finally:
            await house.ask(DelTaskRequest(id=f"{call_id}-del", names=[spec.name]))


class RecoveryShow(Verb, frozen=True, kw_only=True):
    """Show recoveries that are under way."""

    name = "recovery.show"
    console = "shw recovery"
    command = "recoveries"
    positional = ("names",)
    names: Names = []

    async def run(self, house: House) -> Answer:
        """Rows of the second instances of the named tasks, of all without a name."""
        stems = [stem(name) for name in self.names]
        names = [row.spec.name for row in await details(house, []) if MARK in row.spec.environment]
        wanted = [name for name in names if not stems or any(name.startswith(each) for each in stems)]
        if not wanted:
            return Tasks(rows=[])
        replies = await house.ask(StatusRequest(id=house.next_id(), names=wanted))
        return Tasks(rows=[row for reply in replies if isinstance(reply, StatusReply) for row in reply.tasks])


VERBS = (RecoveryRun, RecoveryShow)


def stem(name: str) -> str:
    """How the names of a task's second instances begin."""
    return name[:MAX_STEM].rstrip("._-") + "-recovery-"


def instance(spec: TaskSpec, call_id: str, until: float) -> TaskSpec:
    """The second instance of a task: its command on its own queue, once, with the end of the input behind the event.  Pure."""
    given = msgspec.structs.replace(spec.input or InputSpec(), stdin="eof", window=1, max_deliveries=1, on_poison="drop")
    return msgspec.structs.replace(
        spec,
        name=stem(spec.name) + hashlib.sha256(call_id.encode()).hexdigest()[:12],
        kind=Kind.JOB,
        autostart=False,
        autorestart="false",
        startsecs=0.0,
        startretries=0,
        environment=spec.environment | {MARK: str(int(until))},
        input=given,
    )


# Steps ---------------------------------------------------------------------------------------------------------------------------------------------


async def _tidy(house: House) -> None:
    """Remove second instances that nobody waits for any more."""
    now = time.time()
    for row in await details(house, []):
        until = row.spec.environment.get(MARK, "")
        if until.isdigit() and int(until) < now and row.origin == "added":
            await house.ask(DelTaskRequest(id=house.next_id(), names=[row.spec.name]))


async def _add(house: House, spec: TaskSpec, call_id: str) -> None:
    """Add the second instance; one that a first try of this call added is as good."""
    try:
        _expect(await house.ask(AddTaskRequest(id=call_id, spec=spec)))
    except EfError as error:
        if error.code is not Code.EXISTS:
            raise


def _expect(replies: list[Reply]) -> None:
    """EfError for the first outcome that is not ok."""
    for row in done(replies).rows:
        if not row.ok:
            raise EfError(row.sentence or f"{row.task}: {row.code}", row.code)


async def _wait(house: House, name: str, timeout_s: float) -> tuple[TaskStatus, bool]:
    """The status when it is at rest, or when the time is over; looks seldom after the first moments."""
    deadline, look_s = time.monotonic() + timeout_s, FIRST_LOOK_S
    while True:
        row = await _status(house, name)
        left_s = deadline - time.monotonic()
        if row.incarnation and row.state.at_rest:
            return row, True
        if left_s <= 0:
            return row, False
        await house.pause(min(look_s, left_s))
        look_s = min(look_s * 1.5, LONGEST_LOOK_S)


async def _status(house: House, name: str) -> TaskStatus:
    try:
        return first(await house.ask(StatusRequest(id=house.next_id(), names=[name])), StatusReply).tasks[0]
    except EfError as error:
        if error.code is not Code.NO_SUCH_TASK:
            raise
        raise EfError(f"the second instance {name} ran and is gone; what it told is lost, run the recovery again", Code.GONE) from error


async def _told(house: House, name: str, row: TaskStatus, ended: bool, took_s: float) -> Recovered:
    wrote = {}
    for stream in ("out", "err"):
        request = ReadRequest(id=house.next_id(), task=row.name, stream=stream, offset=0, limit=MAX_READ)
        wrote[stream] = first(await house.ask(request), ReadReply).data
    return Recovered(
        task=name,
        ended=ended,
        exit_status=row.exit_status,
        exit_known=row.exit_known,
        acknowledged=row.lag_bytes == 0 and row.dead_letters == 0,  # nothing is left in its queue: it took the event
        out=wrote["out"],
        err=wrote["err"],
        took_s=took_s,
        reason=row.reason,
    )
