"""One edge of a share group: events are claimed before they are taken, so that each goes to one member.

The claims log decides (efsupervisor.journal.claims); its holder is the program's incarnation, so a worker's death returns nothing.  The lock on the
log is never waited for: `take` returns None with `hungry` set and the worker calls again through a timer.  What this incarnation claimed but has not
put into its runs yet is `held[taken:]`; that is also how a successor finds what its predecessor had just claimed.
"""

from __future__ import annotations

from collections.abc import Callable

from efsupervisor.journal import Claim, Claims
from efsupervisor.journal.framing import payload, terminator, wrap
from efsupervisor.messages import InEdge
from efsupervisor.states import Framing
from efsupervisor.system import Real
from efsupervisor.task.delivery import FROM, TERMINATED, TO, EdgeState, Run
from efsupervisor.task.source import Batch, Oversize, Source, unfit


class ShareSource(Source):
    """A share edge as one of its members sees it.  Its `state.cursor` is the group's floor, for lag and retention."""

    def __init__(self, edge: InEdge, index: int, state: EdgeState, *, max_event: int, system: Real, lost: Callable[[str], None]) -> None:
        super().__init__(edge, index, state, max_event=max_event, system=system, lost=lost)
        self._claims = Claims(edge.folder, system=system, member=edge.member)
        self._system = system
        self._incarnation = 0
        self._begun = False
        self._waiting: list[Claim] = []
        self._dropped_to = 0
        self.contended = False
        """The lock was taken by another member at the last try; call again soon."""

    def begin(self, incarnation: int) -> None:
        """A life begins, or a successor takes it over.  What it holds already is looked up at the first `take`, under the lock."""
        self._incarnation = incarnation
        self._begun = False
        self._waiting = []

    def _synchronise(self) -> None:
        """Under the lock: what of our claims is not in the runs yet."""
        held = self._claims.held(self._incarnation)
        base = self._claims.held_base(self._incarnation)
        # a log that knows less than we took was begun anew with its flow: what we took is none of its claims, and counts no more
        self.state.taken = min(self.state.taken, base + len(held))
        self._waiting = list(held[max(0, self.state.taken - base) :])
        self.state.cursor = self._claims.floor()
        self._begun = True

    def take(self, room: int, limit: int) -> Batch | Oversize | None:
        """As Source.take; claims what it takes.  An Oversize is claimed already and passed with `pass_oversize`."""
        self.hungry = False
        if not self._incarnation or (not self._waiting and not self._claim(room, limit)):
            return None
        return self._batch(room, limit)

    def _batch(self, room: int, limit: int) -> Batch | Oversize:
        """Neighbouring claims as one run."""
        first = self._waiting[0]
        framing = first.framing
        to = framing if self.reframe < 0 else self.reframe
        if first.length > self._max_event and self.is_oversize(self.content(first.offset, first.length), framing):
            return Oversize(first.offset, first.length)
        spans = [first.length]
        for claim in self._waiting[1:room]:
            size = sum(spans)
            if claim.offset != first.offset + size or size + claim.length > limit or claim.framing != framing or claim.length > self._max_event:
                break
            spans.append(claim.length)
        data = self.content(first.offset, sum(spans))
        wire, at = [], 0
        for span in spans:
            record = wrap(to, payload(framing, data[at : at + span]))
            if record is None:
                break
            wire.append(record)
            at += span
        if not wire:
            return Oversize(first.offset, first.length, unfit(to))
        taken = len(wire)
        flags = 0 if framing == Framing.NETSTRING or data[:at].endswith(terminator(framing)) else TERMINATED
        del self._waiting[:taken]
        self.state.taken += taken
        return Batch(b"".join(wire), Run(self.index, first.offset, at, [len(each) for each in wire], framing | to << TO, flags, spans[:taken]))

    def _claim(self, room: int, limit: int) -> bool:
        """Claim up to `room` events; True when there are some in `_waiting` now."""
        with self._claims.locked() as locked:
            self.contended = not locked
            if not locked:
                return False
            self._synchronise()
            if not self._waiting:
                wanted = list(self._claims.free()[:room])
                if not wanted:
                    wanted = self._new(room, limit)
                # also when there is nothing to claim: the producer may be held back by what the group has not heard of
                self._claims.acknowledged(self._incarnation, self.acknowledged())
                if wanted:
                    self._claims.claim(self._incarnation, wanted)
                self._synchronise()
        return bool(self._waiting)

    def _new(self, room: int, limit: int) -> list[Claim]:
        """Events that nobody claimed yet, found by the ordinary reader."""
        if self.state.next != self._claims.next:
            super().rewind(self._claims.next)
        found = super().take(room, limit)
        if found is None:
            return []
        if isinstance(found, Oversize):
            framing = self._framing()
            super().rewind(found.offset + found.length)
            return [Claim(found.offset, found.length, framing)]
        claims, at = [], found.run.offset
        for size in found.run.spans:
            length = min(size, found.run.offset + found.run.length - at)
            claims.append(Claim(at, length, found.run.framing & FROM))
            at += length
        return claims

    def drop_to(self, max_lag: int) -> int:
        """As Source.drop_to, for the whole group: what nobody claimed yet is skipped, by one of them.  0 when another has the lock: it does it."""
        end = self.reader.end()
        if end - max(self.state.next, self._dropped_to) <= max_lag:
            return 0
        with self._claims.locked() as locked:
            if not locked:
                return 0
            target = self.reader.record_start(end - max_lag)
            skipped = self._claims.skip_to(target)
            self._dropped_to = self._claims.next
            self.state.cursor = self._claims.floor()
        self.state.dropped += skipped
        return skipped

    acknowledged: Callable[[], int] = staticmethod(lambda: 0)
    """Set by the watcher: events of this edge acknowledged in this incarnation."""

    def behind(self) -> bool:
        """Others of the group have events out: the group's floor will move without a ring."""
        return bool(self._incarnation) and self.state.cursor < self._claims.next

    def pass_oversize(self) -> None:
        """The oversize event that `take` showed is settled."""
        del self._waiting[:1]
        self.state.taken += 1

    def give_back(self, incarnation: int, acknowledged: int) -> bool:
        """The program of this incarnation is dead, or this task left the group and has nothing of it out any more: return what is not acknowledged.
        False when the lock was taken (call again)."""
        with self._claims.locked() as locked:
            if locked:
                self._claims.give_back(incarnation, max(0, acknowledged))
                self._incarnation, self._begun, self._waiting = 0, False, []  # nothing may be claimed for a holder that gave back
                self.state.cursor = self._claims.floor()
        self.contended = not locked
        return locked

    def drained(self) -> bool:
        """Every event of the group is acknowledged."""
        with self._claims.locked() as locked:
            if not locked:
                self.contended = True
                return False
            if self._begun:
                self._claims.acknowledged(self._incarnation, self.acknowledged())
            self._synchronise()
            next_ = self._claims.next
            free = bool(self._claims.free())
        if free or self._waiting or self.state.cursor < next_:
            return False
        if self.state.next != next_:
            super().rewind(next_)
        return super().drained()

    def close(self) -> None:
        """Close journal and claims."""
        super().close()
        self._claims.close()
