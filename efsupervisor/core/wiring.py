"""From a configuration to what each worker must know: its edges, and their folders on disk.

An edge is a folder below var/flows.  `broad` makes one for each pair of producer and consumer, `share` one for each producer with all its consumers,
and every task that can take events has one more, without a producer: its own input queue.  The folder's name is derived from who takes part, so it is
the same after every start.

What is fixed when an edge is made: where it begins to read.  `cursor.<consumer id>` (8 bytes, little endian; `cursor.group` for a share group) is
written once, before any producer that this Core starts can write, and never by the Core again: from then on it is the consumer's word to its
producer.  The file is replaced by rename and comes last, so a crash in between makes the edge again.

Member numbers of a share group are part of the claims log, so they are never given to another task: a task that left keeps its number in edge.json.
"""

from __future__ import annotations

import contextlib
import hashlib
import os

import msgspec

from efsupervisor.conf.schema import Config, FlowSpec, SupervisorSpec, TaskSpec
from efsupervisor.journal import Claims, Reader
from efsupervisor.messages import InEdge, OutEdge, Wiring
from efsupervisor.states import Framing, Mode
from efsupervisor.system import Real, folded, short_id, write_whole
from efsupervisor.task.paths import TaskPaths
from efsupervisor.task.queue import forget_edge
from efsupervisor.task.stdin import read_hint

VERSION = 1
OWN_INPUT = "input"


class Member(msgspec.Struct, frozen=True, kw_only=True):
    """One consumer of an edge: its name, short id and number in the claims log."""

    name: str
    id: str
    member: int = 0


class EdgeFile(msgspec.Struct, frozen=True, kw_only=True):
    """edge.json.  start: the offset at which the edge began.  departed: former consumers; their numbers stay theirs."""

    version: int = VERSION
    flow: str
    producer: str
    consumers: list[Member]
    mode: Mode
    start: int
    framing: int = int(Framing.LINES)
    departed: list[Member] = []


class Edge(msgspec.Struct, frozen=True, eq=False):
    """One edge as the configuration has it.  producer empty: a task's own input queue.  start: `end`, `begin`, or an offset."""

    id: str
    flow: str
    producer: str
    consumers: tuple[str, ...]
    mode: Mode
    start: str
    max_lag: int = 64 << 20
    overflow: str = "block"
    on_consumers_done: str = "continue"
    framing: Framing = Framing.LINES
    members: dict[str, int] = msgspec.field(default_factory=dict)


def edge_id(flow: str, producer: str, consumer: str = "") -> str:
    """Sixteen hex digits that stand for an edge; consumer only for broad edges."""
    parts = [folded(flow), short_id(producer) if producer else OWN_INPUT]
    if consumer:
        parts.append(short_id(consumer))
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]


def edges(config: Config) -> list[Edge]:
    """Every edge of a configuration, flows in the order in which they were written and then the tasks' own input queues.  Pure."""
    specs = {folded(spec.name): spec for spec in config.tasks}
    found = [edge for flow in config.flows for producer in flow.producers for edge in _of_producer(flow, producer, specs)]
    fed = {folded(name) for flow in config.flows for name in flow.consumers}
    return found + [_own_input(spec) for spec in config.tasks if takes_events(spec, folded(spec.name) in fed)]


def takes_events(spec: TaskSpec, fed: bool) -> bool:
    """Whether a task has an input queue of its own: it says `input:` or a flow ends at it."""
    return fed or spec.input is not None


def _of_producer(flow: FlowSpec, producer: str, specs: dict[str, TaskSpec]) -> list[Edge]:
    def made(identity: str, consumers: tuple[str, ...]) -> Edge:
        first = specs[folded(consumers[0])].input
        return Edge(
            id=identity,
            flow=flow.name,
            producer=producer,
            consumers=consumers,
            mode=flow.mode,
            start=flow.start,
            max_lag=flow.max_lag,
            overflow=flow.overflow,
            on_consumers_done=flow.on_consumers_done,
            framing=first.framing if first else Framing.LINES,
        )

    if flow.mode is Mode.SHARE:
        return [made(edge_id(flow.name, producer), tuple(flow.consumers))]
    return [made(edge_id(flow.name, producer, consumer), (consumer,)) for consumer in flow.consumers]


def _own_input(spec: TaskSpec) -> Edge:
    framing = spec.input.framing if spec.input else Framing.LINES
    return Edge(edge_id(OWN_INPUT, "", spec.name), OWN_INPUT, "", (spec.name,), Mode.BROAD, "begin", framing=framing)


# On disk ------------------------------------------------------------------------------------------------------------------------------------------


class Wirer:
    """Makes edge folders and the Wiring of each task.  Owns no descriptor between calls."""

    def __init__(self, var: str, namespace: str, log: str, system: Real) -> None:
        self._var = var
        self._namespace = namespace
        self._log = log
        self._supervisor = SupervisorSpec()
        self._system = system

    def wire(self, config: Config, known: frozenset[str] | None = None) -> dict[str, Wiring]:
        """The Wiring of every task by short id, after each edge's folder was made.  known: ids of the edges that are in force now; an edge that is
        not among them begins anew, whatever it was once (None: at the start, when every folder that is there is in force).  OSError or EfError when
        an edge cannot be made: nothing may be started."""
        self._supervisor = config.supervisor
        inputs: dict[str, list[InEdge]] = {}
        outputs: dict[str, list[OutEdge]] = {}
        for edge in edges(config):
            if known is None or edge.id not in known or edge.mode is Mode.SHARE:
                self._make(edge, anew=known is not None and edge.id not in known)
            for consumer in map(folded, edge.consumers):
                inputs.setdefault(consumer, []).append(self._in_edge(edge, consumer))
            if edge.producer:
                outputs.setdefault(folded(edge.producer), []).append(self._out_edge(edge))
        return {short_id(spec.name): self._of(spec, inputs.get(folded(spec.name), []), outputs.get(folded(spec.name), [])) for spec in config.tasks}

    def _of(self, spec: TaskSpec, inputs: list[InEdge], outputs: list[OutEdge]) -> Wiring:
        return Wiring(
            spec=spec,
            task_dir=self._task_dir(spec.name),
            namespace=self._namespace,
            inputs=inputs,
            outputs=outputs,
            log=self._log,
            log_level=self._supervisor.log_level,
            log_format=self._supervisor.log_format,
            identifier=self._supervisor.xmlrpc.identifier,
        )

    def _task_dir(self, name: str) -> str:
        return f"{self._var}/tasks/{short_id(name)}"

    def _folder(self, edge: Edge) -> str:
        return f"{self._var}/flows/{edge.id}"

    def _journal(self, edge: Edge) -> str:
        if edge.producer:
            return TaskPaths(self._task_dir(edge.producer)).out_journal
        return TaskPaths(self._task_dir(edge.consumers[0])).input_journal

    def _in_edge(self, edge: Edge, name: str) -> InEdge:
        return InEdge(
            id=edge.id,
            producer=edge.producer,
            folder=self._folder(edge),
            journal=self._journal(edge),
            producer_dir=self._task_dir(edge.producer) if edge.producer else "",
            mode=edge.mode,
            member=edge.members.get(name, 0),
            max_lag=edge.max_lag,
            overflow=edge.overflow,
            peers=[self._task_dir(other) for other in edge.consumers if folded(other) != name] if edge.mode is Mode.SHARE else [],
        )

    def _out_edge(self, edge: Edge) -> OutEdge:
        return OutEdge(
            id=edge.id,
            folder=self._folder(edge),
            consumers=[(consumer, self._task_dir(consumer)) for consumer in edge.consumers],
            mode=edge.mode,
            max_lag=edge.max_lag,
            overflow=edge.overflow,
            on_consumers_done=edge.on_consumers_done,
        )

    def _make(self, edge: Edge, *, anew: bool) -> None:
        folder = self._folder(edge)
        with contextlib.suppress(FileExistsError):
            self._system.mkdir(folder, 0o700)
        old = _read(folder + "/edge.json")
        if anew and old is not None:
            self._end_former(folder, edge)
        start = old.start if old is not None and not anew else self._start(edge)
        file = seated(edge, old, start)
        edge.members.update({folded(member.name): member.member for member in file.consumers})
        if file != old:
            write_whole(self._system, folder + "/edge.json", msgspec.json.encode(file))
        self._fix_start(edge, folder, start)

    def _end_former(self, folder: str, edge: Edge) -> None:
        """The same edge was there once and was taken away: what it was up to counts no more."""
        names = ("claims", "cursor.group") if edge.mode is Mode.SHARE else (f"cursor.{short_id(edge.consumers[0])}",)
        for name in names:
            with contextlib.suppress(FileNotFoundError):
                self._system.unlink(f"{folder}/{name}")
        for consumer in edge.consumers:
            forget_edge(TaskPaths(self._task_dir(consumer)), edge.id, self._system)

    def _start(self, edge: Edge) -> int:
        """The offset at which a new edge begins to read, never beyond the journal's end: where a record begins.  `end` is where the record
        begins that is being written now: the rest of it alone would be a torn event."""
        if edge.start == "begin":
            return 0
        reader = Reader(self._journal(edge), system=self._system)
        try:
            end = reader.end()
            return reader.record_start(end if edge.start == "end" else min(int(edge.start), end))
        finally:
            reader.close()

    def _fix_start(self, edge: Edge, folder: str, start: int) -> None:
        if edge.mode is Mode.SHARE:
            # a claims file that lost its beginning with the power is begun again where everything below is known to be acknowledged
            Claims.create(folder, system=self._system, start=max(start, read_hint(f"{folder}/cursor.group")))
            self._cursor(f"{folder}/cursor.group", start)
        else:
            self._cursor(f"{folder}/cursor.{short_id(edge.consumers[0])}", start)

    def _cursor(self, path: str, start: int) -> None:
        if not os.path.exists(path):
            write_whole(self._system, path, start.to_bytes(8, "little"))


def seated(edge: Edge, old: EdgeFile | None, start: int) -> EdgeFile:
    """edge.json for an edge: former members keep their numbers, new ones get the next.  Pure."""
    known = {member.id: member for member in ([*old.consumers, *old.departed] if old is not None else [])}
    following = max((member.member for member in known.values()), default=-1) + 1
    present: list[Member] = []
    for consumer in edge.consumers:
        identity = short_id(consumer)
        if identity in known:
            number = known[identity].member
        else:
            number, following = following, following + 1
        present.append(Member(name=consumer, id=identity, member=number))
    ids = {member.id for member in present}
    departed = [member for identity, member in known.items() if identity not in ids]
    return EdgeFile(
        flow=edge.flow, producer=edge.producer, consumers=present, mode=edge.mode, start=start, framing=int(edge.framing), departed=departed
    )


def _read(path: str) -> EdgeFile | None:
    try:
        with open(path, "rb") as file:
            return msgspec.json.decode(file.read(), type=EdgeFile)
    except (FileNotFoundError, msgspec.DecodeError):
        return None
