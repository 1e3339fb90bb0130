"""Tasks: look at them, start and stop them, add, change and remove them, read what they wrote and how they ended."""

from __future__ import annotations

import signal
from typing import Annotated, Literal

from msgspec import Meta

from efsupervisor.errors import Code, EfError
from efsupervisor.interface.answers import done, first
from efsupervisor.interface.house import House
from efsupervisor.interface.instance import rolled
from efsupervisor.interface.verb import Names, Settings, SomeNames, TaskName, Verb, WaitDone
from efsupervisor.messages.call import Answer, Done, Piece, Runs, Specs, Tasks
from efsupervisor.messages.core import (
    ActRequest,
    AddTaskRequest,
    ClearLogRequest,
    DelTaskRequest,
    HistoryReply,
    HistoryRequest,
    ReadReply,
    ReadRequest,
    RestartRequest,
    SignalRequest,
    SpecsReply,
    SpecsRequest,
    StatusReply,
    StatusRequest,
    TaskDetail,
    TrmRequest,
)
from efsupervisor.states import Role

MAX_LINES = 10_000
MAX_PIECE = 48 << 10
Program = Annotated[list[str], Meta(max_length=10_000, description="the program and its arguments, word by word, instead of the setting `command`")]
Stream = Annotated[Literal["out", "err", "input", "dead"], Meta(description="which journal: stdout, stderr, own input queue or dead letters")]
Lines = Annotated[int, Meta(ge=0, le=MAX_LINES, description="how many of the last lines")]
Offset = Annotated[int, Meta(ge=0, description="byte of the journal to begin at, instead of the last lines")]


class TaskStatusVerb(Verb, frozen=True, kw_only=True):
    """Show state, pid, uptime, restarts, lag and reason of tasks."""

    name = "task.status"
    console = "shw status"
    command = "status"
    positional = ("names",)
    names: Names = []

    async def run(self, house: House) -> Answer:
        """Rows of the named tasks, of all without a name."""
        replies = await house.ask(StatusRequest(id=house.next_id(), names=self.names))
        parts = [reply for reply in replies if isinstance(reply, StatusReply)]
        return Tasks(rows=[row for part in parts for row in part.tasks], ending=any(part.ending for part in parts))


class TaskShow(Verb, frozen=True, kw_only=True):
    """Show how tasks are configured, where they come from, and their neighbours."""

    name = "task.show"
    console = "shw task"
    command = "show"
    positional = ("names",)
    names: Names = []

    async def run(self, house: House) -> Answer:
        """Specs of the named tasks, of all without a name."""
        return Specs(rows=await details(house, self.names))


class Act(Verb, frozen=True, kw_only=True):
    """Start tasks.

    Answers when each of them runs, is at rest or has failed; with `wait` off at once.  With `until` completed each must be a job, and it answers when
    all have come to their end, retries included.  What they depend on is started first if it is not there; with `anew` completed jobs among it run
    again.
    """

    name = "act"
    role = Role.OPERATE
    console = "act"
    command = "act"
    positional = ("names",)
    changes = True
    endless = True
    names: SomeNames
    wait: WaitDone = True
    until: Annotated[Literal["running", "completed"], Meta(description="what is waited for")] = "running"
    anew: Annotated[bool, Meta(description="run the jobs it depends on again")] = False

    async def run(self, house: House) -> Answer:
        """One outcome for each task."""
        until = "" if self.until == "running" else self.until
        return done(await house.ask(ActRequest(id=house.next_id(), names=self.names, wait=self.wait, until=until, anew=self.anew)))


class Trm(Verb, frozen=True, kw_only=True):
    """Stop tasks with all their descendants.

    Answers when each of them is at rest; with `wait` off at once.
    """

    name = "trm"
    role = Role.OPERATE
    console = "trm"
    command = "trm"
    positional = ("names",)
    changes = True
    endless = True
    names: SomeNames
    wait: WaitDone = True

    async def run(self, house: House) -> Answer:
        """One outcome for each task."""
        return done(await house.ask(TrmRequest(id=house.next_id(), names=self.names, wait=self.wait)))


class Restart(Verb, frozen=True, kw_only=True):
    """Stop tasks and start them again.

    A task that is at rest is just started.  Answers as `act` does.

    With `rolling` one after the other: each must run, and be ready, before the next is stopped, and the first that fails ends it.
    """

    name = "restart"
    role = Role.OPERATE
    console = "rst"
    command = "restart"
    positional = ("names",)
    changes = True
    endless = True
    names: SomeNames
    wait: WaitDone = True
    rolling: Annotated[bool, Meta(description="one after the other, not all at once")] = False
    max_unavailable: Annotated[int, Meta(ge=1, le=10_000, description="with `rolling`: so many at once")] = 1

    async def run(self, house: House) -> Answer:
        """One outcome for each task."""
        if self.rolling and not self.wait:
            raise EfError("a rolling restart waits for each task: it cannot be asked without waiting", Code.USAGE)
        if self.rolling:
            return await rolled(house, self.names, self.max_unavailable)
        return done(await house.ask(RestartRequest(id=house.next_id(), names=self.names, wait=self.wait)))


class TaskAdd(Verb, frozen=True, kw_only=True):
    """Add a task; it is saved, and started unless `autostart` is off.

    Settings are the keys that a task has in the configuration file, with a dot for keys below `input`, `output` and `environment`:
    `stopwaitsecs=3s`, `input.window=8`, `environment.TZ=UTC`.
    """

    name = "task.add"
    role = Role.ADMIN
    console = "add task"
    command = "add"
    positional = ("task", "program")
    verbatim = ("program",)
    changes = True
    task: Annotated[str, Meta(min_length=1, max_length=256, description="name of the new task")]
    program: Program = []
    settings: Settings = {}
    replace: Annotated[bool, Meta(description="an added task of this name gets this definition instead")] = False

    async def run(self, house: House) -> Answer:
        """One outcome."""
        from efsupervisor.interface.options import task_spec  # late on purpose, see there

        spec = task_spec(self.task, self.settings, self.program)
        return done(await house.ask(AddTaskRequest(id=house.next_id(), spec=spec, replace=self.replace)))


class TaskSet(Verb, frozen=True, kw_only=True):
    """Change an added task; the settings that are not named stay as they are.

    A task that does not exist is added when its program is said.  A task of the configuration file is changed there.
    """

    name = "task.set"
    role = Role.ADMIN
    console = "set task"
    command = "set"
    positional = ("task", "program")
    verbatim = ("program",)
    changes = True
    task: TaskName
    program: Program = []
    settings: Settings = {}
    unset: Annotated[list[str], Meta(max_length=1000, description="keys that go back to their defaults")] = []

    async def run(self, house: House) -> Answer:
        """One outcome."""
        former = await existing(house, self.task)
        if former is not None and former.origin == "file":
            raise EfError(f"task {former.spec.name} stands in the configuration file; change it there and say `efctl update`", Code.BAD_STATE)
        if former is None and not (self.program or "command" in self.settings):
            raise EfError(f"there is no task {self.task}; say its command too if it is to be added", Code.NO_SUCH_TASK)
        from efsupervisor.interface.options import task_spec  # late on purpose, see there

        spec = task_spec(self.task, self.settings, self.program, former.spec if former else None, self.unset)
        return done(await house.ask(AddTaskRequest(id=house.next_id(), spec=spec, replace=former is not None)))


class TaskDel(Verb, frozen=True, kw_only=True):
    """Stop added tasks, forget them and remove their folders with all they wrote."""

    name = "task.del"
    role = Role.ADMIN
    console = "del task"
    command = "del"
    positional = ("names",)
    changes = True
    endless = True
    names: SomeNames

    async def run(self, house: House) -> Answer:
        """One outcome for each task."""
        return done(await house.ask(DelTaskRequest(id=house.next_id(), names=self.names)))


class TaskLog(Verb, frozen=True, kw_only=True):
    """Read what a task wrote: the last lines, or from an offset on."""

    name = "task.log"
    console = "shw log"
    positional = ("task",)
    task: TaskName
    stream: Stream = "out"
    lines: Lines = 10
    offset: Offset | None = None
    limit: Annotated[int, Meta(ge=1, le=MAX_PIECE, description="at most this many bytes")] = MAX_PIECE

    async def run(self, house: House) -> Answer:
        """One piece of the journal; its `next` is where to go on."""
        request = ReadRequest(id=house.next_id(), task=self.task, stream=self.stream, offset=self.offset, lines=self.lines, limit=self.limit)
        reply = first(await house.ask(request), ReadReply)
        return Piece(task=self.task, stream=self.stream, offset=reply.offset, data=reply.data, next=reply.next, end=reply.end, framing=reply.framing)


class TaskSignal(Verb, frozen=True, kw_only=True):
    """Send a signal to the programs of tasks; to the program alone, not to its descendants."""

    name = "task.signal"
    role = Role.OPERATE
    console = "set signal"
    command = "signal"
    positional = ("signal", "names")
    changes = True
    signal: Annotated[str, Meta(min_length=1, max_length=20, description="its name or number: `HUP`, `SIGUSR1`, `10`")]
    names: SomeNames

    async def run(self, house: House) -> Answer:
        """One outcome for each task."""
        return done(await house.ask(SignalRequest(id=house.next_id(), names=self.names, signal=signal_number(self.signal))))


class TaskClear(Verb, frozen=True, kw_only=True):
    """Begin the logs of tasks anew: what they wrote is removed, but for what a consumer has not read yet."""

    name = "task.clear"
    role = Role.OPERATE
    console = "del log"
    command = "clear"
    positional = ("names",)
    changes = True
    names: SomeNames

    async def run(self, house: House) -> Answer:
        """One outcome for each task."""
        return done(await house.ask(ClearLogRequest(id=house.next_id(), names=self.names)))


class TaskHistory(Verb, frozen=True, kw_only=True):
    """Show how the last runs of tasks ended, newest first."""

    name = "task.history"
    console = "shw history"
    command = "history"
    positional = ("names",)
    names: Names = []
    limit: Annotated[int, Meta(ge=1, le=1000, description="at most this many runs")] = 50
    before: Annotated[int, Meta(ge=0, description="only runs with a lower number")] | None = None

    async def run(self, house: House) -> Answer:
        """Ended runs."""
        replies = await house.ask(HistoryRequest(id=house.next_id(), names=self.names, limit=self.limit, before=self.before))
        return Runs(rows=[row for reply in replies if isinstance(reply, HistoryReply) for row in reply.rows])


VERBS = (TaskStatusVerb, TaskShow, Act, Trm, Restart, TaskAdd, TaskSet, TaskDel, TaskLog, TaskSignal, TaskClear, TaskHistory)


# What other nouns need of tasks too ----------------------------------------------------------------------------------------------------------------


async def details(house: House, names: list[str]) -> list[TaskDetail]:
    """How the named tasks are configured, all without a name."""
    replies = await house.ask(SpecsRequest(id=house.next_id(), names=names))
    return [row for reply in replies if isinstance(reply, SpecsReply) for row in reply.tasks]


async def existing(house: House, name: str) -> TaskDetail | None:
    """The one task of this name; None when there is none.  A name that stands for several is refused."""
    try:
        rows = await details(house, [name])
    except EfError as error:
        if error.code is Code.NO_SUCH_TASK:
            return None
        raise
    if len(rows) > 1:
        raise EfError(f"{name} stands for {len(rows)} tasks; name one", Code.USAGE)
    return rows[0] if rows else None


def signal_number(text: str) -> int:
    """A signal by its name, with or without SIG, or by its number.  EfError USAGE for one that is none."""
    word = text.strip().upper()
    try:
        number = int(word) if word.isdecimal() else int(signal.Signals["SIG" + word.removeprefix("SIG")])
        return int(signal.Signals(number))
    except (KeyError, ValueError):
        raise EfError(f"{text[:20]!r} is no signal; say HUP, USR1, TERM or another that `kill -l` lists", Code.USAGE) from None


def outcome_of(answer: Answer) -> str:
    """The first thing that went wrong, empty when nothing did."""
    rows = answer.rows if isinstance(answer, Done) else []
    return next((row.sentence for row in rows if not row.ok), "")
