"""StdIn: the watcher that brings a task's events from its producers' journals to the program's stdin.

One StdIn serves one worker.  The worker calls `recover` once, then for each incarnation `open` (before the fork), `began` (after it), `pump` whenever
something may be possible, and `close` when the program is dead, its tree swept and its output drained.  All state that outlives the worker is in the
delivery record (efsupervisor.task.delivery); a watcher may be killed between any two statements.

Stdin is a FIFO of its own for each incarnation.  The program holds it read-write, so that no death of ours is an end-of-file to it; under `stdin:
eof` it holds only the read end, and the end is given by recording it, then closing every write end, the worker's last.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection

from efsupervisor.messages import HoldInput, InEdge, ReleaseInput
from efsupervisor.reactor import WRITE, Timer
from efsupervisor.states import Kind, Mode
from efsupervisor.system import Real
from efsupervisor.task.delivery import (
    MAX_EDGES,
    Delivery,
    EdgeState,
    Record,
    Register,
    RegisterLike,
)
from efsupervisor.task.drops import Drops
from efsupervisor.task.leaving import former_edge
from efsupervisor.task.paths import TaskPaths
from efsupervisor.task.record import read_state
from efsupervisor.task.seat import DATA, Seat
from efsupervisor.task.share import ShareSource
from efsupervisor.task.source import Source

GROUP_LOOK_S = 0.05
RETRY_S = 0.001
"""Delay before a claims log whose lock was taken is tried again."""


class Figures:
    """What a report shows of an input."""

    __slots__ = ("acknowledged", "dead_letters", "delivered", "dropped_bytes", "lag_bytes", "outstanding")

    def __init__(
        self, delivered: int = 0, acknowledged: int = 0, outstanding: int = 0, lag_bytes: int = 0, dropped_bytes: int = 0, dead_letters: int = 0
    ) -> None:
        self.delivered = delivered
        self.acknowledged = acknowledged
        self.outstanding = outstanding
        self.lag_bytes = lag_bytes
        self.dropped_bytes = dropped_bytes
        self.dead_letters = dead_letters


class StdIn:
    """A task without input: stdin is /dev/null.  Also the interface of the others."""

    serves_stderr = False
    """The watcher reads stderr itself; the worker must not."""

    def __init__(self, seat: Seat) -> None:
        self.seat = seat

    @property
    def incarnation(self) -> int:
        """The lowest number that the next incarnation may have."""
        return 0

    def recover(self, incarnation: int, alive: bool) -> None:
        """Take over from a worker that was killed; `alive`: the program of this incarnation runs."""

    def open(self, incarnation: int) -> int:
        """A descriptor for the child's stdin, owned by the caller."""
        return self.seat.system.open("/dev/null", os.O_RDONLY)

    def began(self) -> None:
        """The program was forked."""

    def pump(self) -> None:
        """Do what can be done now."""

    def neighbours_changed(self) -> None:
        """A producer's state changed."""

    def died(self, status: int | None, why: str) -> None:
        """The program's wait status, None when unknown, and why we ended it, if we did; said before `close`."""

    hung: Callable[[str], None] = staticmethod(lambda why: None)
    """Called when the program does not take its events any more; set by the worker."""

    def rewired(self) -> None:
        """The edges changed."""

    def core_came(self) -> None:
        """A Core connected."""

    def input_held(self, incarnation: int, held: bool, since_before: bool) -> None:
        """Answer of the Core to HoldInput and ReleaseInput."""

    def drain(self) -> bool:
        """After the program's death: read what is left of what this watcher serves; True at its end."""
        return True

    def close(self, incarnation: int, own_death: bool) -> bool:
        """The program is dead and drained: set the cursors for the next incarnation.  own_death: it died by itself, so the oldest event may be
        charged. False: not possible now, call again soon.  Calling it again for a closed incarnation changes nothing."""
        return True

    def figures(self) -> Figures:
        """For the report."""
        return Figures()

    def taken(self, incarnation: int) -> tuple[int, int]:
        """What this life was given so far, asked before `close`: bytes, and events (-1: nobody counted them)."""
        return 0, -1

    def err_end(self) -> int:
        """End of the stderr journal, where this watcher serves stderr."""
        return 0

    @property
    def false_end(self) -> bool:
        """The program may have seen an end-of-file that was none."""
        return False

    @property
    def poisoned(self) -> str:
        """Why the task must stop (`on_poison: stop`), or empty."""
        return ""

    def shut(self) -> None:
        """The worker ends: close every descriptor."""


class FlowStdIn(StdIn):
    """What `stream` and `event` share: the record, the sources, the FIFO, the end of the input."""

    register_class: type[RegisterLike] = Register

    def __init__(self, seat: Seat) -> None:
        super().__init__(seat)
        self._record = Record(seat.paths.delivery, seat.system)
        self.state: Delivery = self._record.load()
        self.sources: list[Source] = []
        self._leaving: list[Source] = []
        self._turn = 0
        self._fd = -1
        self._peek = -1
        self._register: RegisterLike | None = None
        self._pending: bytes | memoryview = b""
        self._timer: Timer | None = None
        self._ending = False
        self._live = False  # between `open` and `began` there is a FIFO but no life yet: nothing may be taken for it
        self._trusted = False
        self._producers_done = False
        self._asked_hold = False
        self._drops = Drops(seat)
        self._hints: dict[str, int] = {}
        self._flags: dict[str, int] = {}
        self._wire()

    # Edges ------------------------------------------------------------------------------------------------------------------------------------------

    def _wire(self) -> None:
        """Build the sources; an edge keeps its place in the record, a new one begins where its cursor file says.

        A source that is there already goes on as it is.  One whose edge was taken away gives no more events, but is kept while the record lists some
        of it: they are acknowledged, and written to their end, as if nothing had happened.  A member that left its group is kept until it has told
        the group what is acknowledged and given back what it claimed and never put; see _leave_groups.
        """
        state = self.state
        wanted = self.seat.wiring.inputs
        if len(wanted) > MAX_EDGES:
            self.seat.alert("edges", f"{len(wanted)} edges end at this task, at most {MAX_EDGES} can be served: the rest is ignored")
            wanted = wanted[:MAX_EDGES]
        former = {source.edge.id: source for source in self.sources}
        former |= {source.edge.id: source for source in self._leaving if source.edge.mode is Mode.SHARE}
        left = [source for source in self._leaving if source.edge.mode is Mode.BROAD]
        ids = {edge.id for edge in wanted}
        goes = [*left, *(source for edge_id, source in former.items() if edge_id not in ids), *self._left_groups(ids | set(former))]
        if not state.runs and not any(self._is_needed(source) for source in goes):
            state.edges = list({edge.id: edge for edge in state.edges if edge.id in ids}.values())
        ended = {id(source.state) for source in left}
        self.sources = [self._source_of(edge, former.get(edge.id), ended) for edge in wanted]
        self._leaving = [source for source in goes if self._is_needed(source)]
        for source in goes:
            if source not in self._leaving:
                source.close()
        self._find_former()

    def _source_of(self, edge: InEdge, former: Source | None, ended: Collection[int] = ()) -> Source:
        """A source for an edge.  ended: places in the record (by identity) of edges that were taken away; one that comes again begins anew."""
        known = self.state.edge(edge.id)
        if known is None or id(known) in ended:
            start = read_hint(hint_path(edge, self.seat.paths.id)) if edge.mode is Mode.BROAD else 0
            known = EdgeState(edge.id, start, start)
            self.state.edges.append(known)
            self._hints.pop(edge.id, None)
        index = self.state.edges.index(known)
        if former is not None and former.state is known:
            former.rewired(edge, index, self._max_event())
            source = former
        else:
            if former is not None:
                former.close()
            source = self._made(edge, index, known)
        if isinstance(source, ShareSource):
            source.acknowledged = self._counter(index, known)
        return source

    def _made(self, edge: InEdge, index: int, known: EdgeState) -> Source:
        kind = ShareSource if edge.mode is Mode.SHARE else Source
        source = kind(edge, index, known, max_event=self._max_event(), system=self.seat.system, lost=self._lost)
        source.reframe = self.framing
        source.broken = self._broken
        if isinstance(source, ShareSource):
            source.acknowledged = self._counter(index, known)
        return source

    @property
    def framing(self) -> int:
        """How this watcher frames what it gives (states.Framing); -1: as the producers do."""
        return -1

    def _broken(self, sentence: str) -> None:
        self.seat.alert("framing", sentence)

    def _is_needed(self, source: Source) -> bool:
        """Events of it are out (their bytes may be asked for), or a record of it is half put, or its group waits for a last word."""
        return self._is_out(source) or isinstance(source, ShareSource)

    def _is_out(self, source: Source) -> bool:
        return any(run.edge == source.index for run in self.state.runs)

    def _left_groups(self, known: Collection[str]) -> list[Source]:
        """Groups that this task left while no worker of it lived: what its program claimed must come back all the same."""
        found: list[Source] = []
        served = {source.index for source in self._leaving}
        for index, state in enumerate(self.state.edges):
            edge = former_edge(self.seat.paths, state.id) if state.id not in known and index not in served else None
            if edge is not None and edge.mode is Mode.SHARE and os.path.exists(edge.folder + "/claims"):
                found.append(self._made(edge, index, state))
        return found

    def _leave_groups(self) -> None:
        """A group that was left hears what is acknowledged, and gets back what was claimed and never put, once nothing of it is out any more."""
        for source in [one for one in self._leaving if isinstance(one, ShareSource) and not self._is_out(one)]:
            if not self._last_word(source):
                self._soon()
                continue
            for peer in source.edge.peers:
                self.seat.ring(peer, DATA)
            source.state.taken = 0  # should it come again: the group knows no claim of ours
            self._leaving.remove(source)
            source.close()
            if not self.state.runs:
                self.state.edges = [edge for edge in self.state.edges if edge is not source.state]
                self._wire()  # places in the record have moved
            self._save()

    def _last_word(self, source: ShareSource) -> bool:
        """Whether the group knows now; it does not need to when its flow is gone, and the claims with it."""
        try:
            return source.give_back(self.state.incarnation, source.acknowledged())
        except FileNotFoundError:
            return True

    def _find_former(self) -> None:
        """A predecessor was killed while events of an edge were out that was taken away since."""
        served = {source.index for source in (*self.sources, *self._leaving)}
        for index in {run.edge for run in self.state.runs} - served:
            known = self.state.edges[index]
            edge = former_edge(self.seat.paths, known.id)
            if edge is not None:
                self._leaving.append(self._made(edge, index, known))

    def _source(self, index: int) -> Source | None:
        """The source at this place in the record, also one that is leaving."""
        return next((source for source in (*self.sources, *self._leaving) if source.index == index), None)

    def _counter(self, index: int, edge: EdgeState) -> Callable[[], int]:
        return lambda: edge.taken - sum(len(run.lengths) for run in self.state.runs if run.edge == index)

    def _max_event(self) -> int:
        spec = self.seat.spec.input
        return spec.max_event if spec else 1 << 20

    def _lost(self, sentence: str) -> None:
        self.seat.alert("lost", sentence)

    def rewired(self) -> None:
        """Edges changed; the record keeps every cursor."""
        self._wire()
        self._save()
        if self._live:
            self._begin_claims()
        self.pump()

    @property
    def incarnation(self) -> int:
        """The record's number: at `close` it moves to the next life."""
        return self.state.incarnation

    # The FIFO ---------------------------------------------------------------------------------------------------------------------------------------

    def _path(self, incarnation: int) -> str:
        return self.seat.paths.fifo(f"in.{incarnation}")

    @property
    def ends(self) -> bool:
        """Whether end-of-file is given when every producer has finished (in no flow: when the own queue is empty, if `stdin: eof` is written)."""
        return self._wish == "eof" or (not self._wish and self.seat.spec.kind is Kind.JOB)

    @property
    def _wish(self) -> str:
        return self.seat.spec.input.stdin if self.seat.spec.input else ""

    def open(self, incarnation: int) -> int:
        """A fresh FIFO, its register at zero; the record says that nothing was put."""
        system, state, path = self.seat.system, self.state, self._path(incarnation)
        state.incarnation = incarnation
        state.put = state.base = state.acknowledged = 0
        state.end_given = state.gap = False
        remove(system, path)
        system.mkfifo(path, 0o666)
        self._attach(incarnation, write=True)
        assert self._register is not None
        self._register.begin()
        self._save()
        if self.ends:
            self.seat.tell(HoldInput(incarnation=incarnation, path=path))
        self._trusted = True
        return system.open(path, os.O_RDONLY if self.ends else os.O_RDWR)

    def _attach(self, incarnation: int, *, write: bool) -> None:
        system, path = self.seat.system, self._path(incarnation)
        self._peek = system.open(path, os.O_RDONLY | os.O_NONBLOCK)
        self._fd = system.open(path, os.O_RDWR | os.O_NONBLOCK) if write else -1
        self._register = self.register_class(self._fd if write else self._peek, self._record, system)

    def _detach(self) -> None:
        self._live = False
        for fd in (self._fd, self._peek):
            if fd >= 0:
                self.seat.reactor.forget(fd)
                self.seat.system.close(fd)
        self._fd = self._peek = -1
        self._register = None
        self._pending = b""

    def recover(self, incarnation: int, alive: bool) -> None:
        """Find out what the program was given, and go on there."""
        state = self.state
        if state.incarnation != incarnation or not incarnation:
            return
        try:
            self._attach(incarnation, write=not state.end_given)
        except FileNotFoundError:
            return
        assert self._register is not None
        self._register.recover(state)
        self._trusted = alive
        self._ending = state.end_given
        self._live = alive
        self._begin_claims()
        self._resume()
        if self.ends and not state.end_given and alive:
            self._trusted = True
            self._asked_hold = True
            self.seat.tell(HoldInput(incarnation=incarnation, path=self._path(incarnation)))

    def _resume(self) -> None:
        """Rebuild what is pending from `state.put` and the runs."""
        raise AssertionError("each protocol has its own")

    def core_came(self) -> None:
        """A new Core holds our write end too."""
        if self.ends and self._fd >= 0 and not self.state.end_given:
            self.seat.tell(HoldInput(incarnation=self.state.incarnation, path=self._path(self.state.incarnation)))

    def input_held(self, incarnation: int, held: bool, since_before: bool) -> None:
        """HoldInput: was there a moment without any write end?  ReleaseInput: now we may close ours."""
        if incarnation != self.state.incarnation:
            return
        if held and self._asked_hold and not since_before:
            self.state.gap = True
            self._save()
        self._asked_hold = False
        if not held and self._ending:
            self._close_write_end()

    def began(self) -> None:
        """Claims of the new life begin; then the first events go out."""
        self._live = True
        self._begin_claims()
        self.pump()
        self.neighbours_changed()

    def _begin_claims(self) -> None:
        for source in (*self.sources, *self._leaving):
            if isinstance(source, ShareSource):
                source.begin(self.state.incarnation)

    def _soon(self) -> None:
        """A claims lock was taken: try again in a moment."""
        if self._timer is None or self._timer.callback is None:
            self._timer = self.seat.reactor.after(RETRY_S, self._retry)

    def _retry(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self.pump()

    def _wait_for_room(self) -> None:
        self.seat.reactor.watch(self._fd, WRITE, self._has_room)

    def _has_room(self, _events: int) -> None:
        self.seat.reactor.forget(self._fd)
        self.pump()

    # The end of the input ---------------------------------------------------------------------------------------------------------------------------

    def neighbours_changed(self) -> None:
        """A neighbour's state changed: have all producers finished now?"""
        if not self.ends:
            return
        flows = [source for source in self.sources if source.edge.producer_dir]
        # in no flow, only a wish that was written ends the input: a job with nothing but its own queue may be given more by hand
        self._producers_done = all(self._has_finished(source) for source in flows) if flows else self._wish == "eof"
        self._maybe_end()

    def _maybe_end(self) -> None:
        """Give the end of the input when every producer has finished and nothing of it is left.  The producers' states were read before their
        journals are looked at, so nothing that was written before the end can be missed."""
        if not self._producers_done or not self._live or self._fd < 0 or self.state.end_given or self._pending:
            return
        if not all([source.drained() for source in self.sources]):
            self._look_later()
        elif self._everything_acknowledged():
            self._give_end()

    def _everything_acknowledged(self) -> bool:
        return True

    def _has_finished(self, source: Source) -> bool:
        report = read_state(TaskPaths(source.edge.producer_dir))
        return report is not None and report.finished

    def _look_later(self) -> None:
        """Something is left although the producers are done.  Our own rest brings us back when it is put or acknowledged; the other members of a
        share group do not ring for that."""
        if any(isinstance(source, ShareSource) for source in self.sources) and (self._timer is None or self._timer.callback is None):
            self._timer = self.seat.reactor.after(GROUP_LOOK_S, self._look_again)

    def _look_again(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self.pump()
        self._maybe_end()

    def _give_end(self) -> None:
        self.state.end_given = True
        self._save()
        self._ending = True
        self.seat.system.fault("end:recorded")
        self.seat.tell(ReleaseInput(incarnation=self.state.incarnation))
        if not self.seat.core_connected():
            self._close_write_end()

    def _close_write_end(self) -> None:
        if self._fd >= 0:
            self.seat.reactor.forget(self._fd)
            self.seat.system.close(self._fd)
            self._fd = -1

    @property
    def false_end(self) -> bool:
        """All write ends were closed once before the end was given."""
        return self.state.gap and not self.state.end_given

    # Saving and hints -------------------------------------------------------------------------------------------------------------------------------

    def _save(self) -> None:
        self._record.save(self.state)

    def _settle_cursors(self) -> None:
        """Each broad edge's cursor is its first outstanding byte, or where reading goes on."""
        firsts: dict[int, int] = {}
        for run in self.state.runs:
            firsts.setdefault(run.edge, run.offset)
        for source in self.sources:
            if source.edge.mode is Mode.BROAD:
                source.state.cursor = firsts.get(source.index, source.state.next)

    def _hint(self) -> None:
        """Tell producers how far we are (files beside the edge), and ring those that wait for it."""
        moved = False
        for source in self.sources:
            cursor = source.state.cursor
            if self._hints.get(source.edge.id) == cursor:
                continue
            self._hints[source.edge.id] = cursor
            write_hint(self.seat, self._flags, hint_path(source.edge, self.seat.paths.id), cursor)
            moved = True
        if moved:
            self.seat.dirty()
        for source in self.sources:
            folder = source.edge.producer_dir
            if folder and self._is_blocked(folder) and (
                source.state.cursor == source.state.next or source.end() - source.state.cursor <= source.edge.max_lag // 2
            ):
                self.seat.ring(folder)

    def _is_blocked(self, producer_dir: str) -> bool:
        path = TaskPaths(producer_dir).blocked
        fd = self._flags.get(path)
        try:
            if fd is None:
                fd = self._flags[path] = self.seat.system.open(path, os.O_RDONLY)
            return self.seat.system.pread(fd, 1, 0) == b"1"
        except FileNotFoundError:
            return False

    def _overflow(self) -> None:
        """`overflow: drop-oldest`: skip what is more than max_lag behind, but never the rest of a record whose beginning was given."""
        for source in self.sources:
            if source.edge.overflow != "drop-oldest":
                continue
            if not source.at_boundary():
                if source.end() - source.state.next > source.edge.max_lag:
                    source.end_soon()
            elif skipped := source.drop_to(source.edge.max_lag):
                self._drops.tell(source, skipped)

    def figures(self) -> Figures:
        """For the report."""
        state = self.state
        outstanding = state.outstanding
        return Figures(
            delivered=state.acknowledged + outstanding,
            acknowledged=state.acknowledged,
            outstanding=outstanding,
            lag_bytes=sum(max(0, source.end() - source.state.cursor) for source in self.sources),
            dropped_bytes=sum(edge.dropped for edge in state.edges),
            dead_letters=state.dead_letters,
        )

    def taken(self, incarnation: int) -> tuple[int, int]:
        """Bytes that were put, and events."""
        return (self.state.put, self._events_taken()) if self.state.incarnation == incarnation else (0, -1)

    def _events_taken(self) -> int:
        return self.state.acknowledged

    def shut(self) -> None:
        """Close everything."""
        self._detach()
        if self._timer is not None:
            self._timer.cancel()
        for source in (*self.sources, *self._leaving):
            source.close()
        for fd in self._flags.values():
            self.seat.system.close(fd)
        self._flags.clear()
        self._record.close()

    # What `close` needs -----------------------------------------------------------------------------------------------------------------------------

    def _return_claims(self, incarnation: int) -> bool:
        """Give unacknowledged claims back to their groups; True when all are."""
        for source in (*self.sources, *self._leaving):
            if isinstance(source, ShareSource):
                if not source.give_back(incarnation, source.acknowledged()):
                    return False
                for peer in source.edge.peers:
                    self.seat.ring(peer, DATA)
        return True

    def _next_life(self, incarnation: int) -> None:
        """The record for the next incarnation: nothing outstanding, every edge at its cursor."""
        state = self.state
        state.runs.clear()
        if self._leaving:
            self._wire()
        for source in self.sources:
            edge = source.state
            edge.taken = 0
            if source.edge.mode is Mode.BROAD:
                source.rewind(edge.cursor)
        state.incarnation = incarnation + 1
        state.put = state.base = state.acknowledged = 0
        self._save()
        self.seat.system.fault("close:recorded")
        self._detach()
        self._ending = False
        remove(self.seat.system, self._path(incarnation))
        self._hint()


def hint_path(edge: InEdge, task_id: str) -> str:
    """Where a consumer's cursor of an edge is shown to its producer."""
    return f"{edge.folder}/cursor.{'group' if edge.mode is Mode.SHARE else task_id}"


def read_hint(path: str) -> int:
    """A cursor hint; 0 when there is none yet."""
    try:
        with open(path, "rb") as file:
            data = file.read(8)
    except FileNotFoundError:
        return 0
    return int.from_bytes(data, "little") if len(data) == 8 else 0


def write_hint(seat: Seat, descriptors: dict[str, int], path: str, cursor: int) -> None:
    """Show a cursor; the record is what counts, so a folder that was removed meanwhile is no error."""
    try:
        fd = descriptors.get(path)
        if fd is None:
            fd = descriptors[path] = seat.system.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW)
        seat.system.pwrite(fd, cursor.to_bytes(8, "little"), 0)
    except FileNotFoundError:
        return


def remove(system: Real, path: str) -> None:
    """Unlink a file that may not be there."""
    try:
        system.unlink(path)
    except FileNotFoundError:
        return
