"""ResourceCollector: what the node and each task's tree cost, in bounded memory and, when a url is set, as JSON to a web server.

A look goes over the tasks a few at a time, so that a thousand of them never keep a question or a sign of life waiting, and looks are as far apart as
twenty times what one costs, so that looking never becomes what is seen.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator

import msgspec

from efsupervisor.conf.schema import SupervisorSpec
from efsupervisor.core.collector.announcer import Slice
from efsupervisor.core.collector.cursor import Position
from efsupervisor.core.collector.memory import Memory
from efsupervisor.core.collector.sampling import Machine, Subject, Trees
from efsupervisor.core.collector.spool import Spool
from efsupervisor.core.collector.stream import Stream, folder_of
from efsupervisor.core.dealer import Dealer, Query
from efsupervisor.core.sibling import Sibling
from efsupervisor.errors import Code, EfError
from efsupervisor.messages.call import Answer, Call, NodeSample, ResourceQuery, Resources, Tasks, TaskSample

NAME = "resource"
PIECE_S = 0.01
"""How long a look goes on before the loop has its turn."""

SHARE = 20
"""A look may cost one part in so many of the time between two."""


class Look(msgspec.Struct, frozen=True):
    """One look as it is posted."""

    time: float
    node: NodeSample
    tasks: dict[str, TaskSample]


class ResourceCollector:
    """The sibling's part; made once in its process."""

    def __init__(self, sibling: Sibling) -> None:
        self._sibling = sibling
        self._memory = Memory(sibling.spec.resource.keep)
        self._machine = Machine(sibling.var)
        self._trees = Trees()
        self._spool: Spool | None = None
        self._stream = Stream(
            sibling, NAME, self, url_of=lambda spec: spec.resource.url, fresh=dict, ailing=self._ailing
        )  # fmt: skip
        self._dealer = Dealer(sibling.reactor, sibling.run_dir, on_query=self._queried)
        self._dealer.here(NAME)
        sibling.on_configure(self._configure)
        self._begin()

    def close(self) -> None:
        """Give everything back."""
        self._stream.close()
        self._dealer.close()
        if self._spool is not None:
            self._spool.close()

    # Source: what waits is in the spool, which is opened with the first post -----------------------------------------------------------------------

    def look(self, position: Position, limit: int, until: Position | None = None) -> Slice:
        """See Source."""
        return self._spooled().look(position, limit, until)

    def waiting(self, position: Position) -> int:
        """Bytes that wait."""
        return self._spooled().waiting(position)

    def _spooled(self) -> Spool:
        if self._spool is None:
            folder = f"{folder_of(self._sibling)}/{NAME}.spool"
            self._spool = Spool(folder, self._sibling.system, self._sibling.spec.post.spool_bytes)
        return self._spool

    # Looking ---------------------------------------------------------------------------------------------------------------------------------------

    def _begin(self) -> None:
        """Ask which tasks there are; without an answer the node alone is looked at."""
        call = Call(id=uuid.uuid4().hex, verb="task.status")
        self._dealer.ask(call, self._told, lambda _error: self._told(Tasks(rows=[])), deadline_s=5.0)

    def _told(self, answer: Answer) -> None:
        assert isinstance(answer, Tasks)
        system = self._sibling.system
        began, wall = system.monotonic(), system.wall_ns() / 1e9
        subjects = [Subject(row.name, row.pid, row.worker_pid) for row in answer.rows]
        if answer.rows:
            self._memory.only({subject.name for subject in subjects})
        look = Look(wall, self._machine.look(began, wall), {})
        self._memory.node(look.node)
        self._go_on(look, self._trees.look(subjects, began, wall), began, 0.0)

    def _go_on(self, look: Look, samples: Iterator[tuple[str, TaskSample]], began: float, spent_s: float) -> None:
        """One piece of a look."""
        monotonic = self._sibling.system.monotonic
        start = monotonic()
        for name, sample in samples:
            look.tasks[name] = sample
            self._memory.task(name, sample)
            if monotonic() - start >= PIECE_S:
                spent_s += monotonic() - start
                self._sibling.reactor.after(0.0, lambda spent_s=spent_s: self._go_on(look, samples, began, spent_s))  # type: ignore[misc]
                return
        self._done(look, began, spent_s + monotonic() - start)

    def _done(self, look: Look, began: float, spent_s: float) -> None:
        if self._stream.awake:
            try:
                self._spooled().put(look, self._stream.position)
            except OSError as error:
                self._sibling.health(f"a look could not be kept for posting: {error.strerror}")
            else:
                self._stream.poke()
                self._ailing()
        gap_s = max(self._sibling.spec.resource.interval_s, spent_s * SHARE)
        self._sibling.reactor.after(max(0.0, gap_s - (self._sibling.system.monotonic() - began)), self._begin)

    # Being asked -----------------------------------------------------------------------------------------------------------------------------------

    def _queried(self, query: Query, answer: Callable[[Answer | EfError], None]) -> None:
        if not isinstance(query, ResourceQuery):
            answer(EfError("the resource collector knows resources only", Code.BAD_REQUEST))
            return
        node = self._memory.last_of_node(query.samples)
        rows = self._memory.last_of_tasks(set(query.names), query.samples)
        answer(Resources(node=node, rows=rows, interval_s=self._sibling.spec.resource.interval_s))

    def _configure(self, spec: SupervisorSpec) -> None:
        self._memory.configure(spec.resource.keep)
        self._stream.configure()

    def _ailing(self) -> None:
        self._sibling.health(self._stream.ailment)


def main(sibling: Sibling) -> None:
    """The sibling's process."""
    collector = ResourceCollector(sibling)
    sibling.run()
    collector.close()
