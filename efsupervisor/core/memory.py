"""Requests that change something happen once, however often they are asked: the answers to the last ones are remembered by id.

Whoever asks may lose its connection before the answer comes, and asks again with the same id.  Then it gets the answer that there is, or the one
that will come; the work is not done twice.  So such work is never done for a connection but for an Asked, which outlives it.

An id that comes back with another request is somebody's mistake, and refused: guessing which of the two is meant would be worse.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Protocol

import msgspec

from efsupervisor.core.handover import Remembered
from efsupervisor.errors import Code
from efsupervisor.messages import DoneReply, FailedReply, Reply, Request, decode, encode

REMEMBERED = 1000
MAX_OUTCOMES = 50_000
"""Rows in all remembered answers; the oldest go first."""


HANDED = 200
MAX_HANDED_BYTES = 256 << 10
"""How many answers outlive an upgrade, and the size of one that does."""

REPEATABLE = frozenset({"ActRequest", "TrmRequest", "PutRequest", "ShutdownRequest", "RunFlowRequest", "SettleRequest"})
"""What comes to the same when it is done twice: what was wanted is saved, and an event has an id of its own."""

UPGRADE = "UpgradeRequest"
"""Answered by whoever comes, not by memory."""

UNKNOWN_OUTCOME = "efsupervisord was upgraded while this was under way; `efctl status` and `efctl events` tell what came of it"


class Asker(Protocol):
    """Who gets a reply.  waits_for: requests of its own that are under way."""

    waits_for: int

    def reply(self, replies: Iterable[Reply]) -> None: ...


class Asked:
    """One request that changes something: what the desk works for in place of the connection."""

    def __init__(self, who: str, content: bytes, kind: str = "") -> None:
        self.content = content
        self.kind = kind
        self.waits_for = 0
        self.answer: list[Reply] | None = None
        self._who = who
        self._askers: list[Asker] = []

    def __str__(self) -> str:
        return self._who

    def join(self, asker: Asker) -> None:
        """One more that wants the answer."""
        if self.answer is not None:
            asker.reply(self.answer)
        else:
            asker.waits_for += 1
            self._askers.append(asker)

    def leave(self, asker: Asker) -> None:
        """A connection is gone; the work goes on."""
        if asker in self._askers:
            self._askers.remove(asker)

    def reply(self, replies: Iterable[Reply]) -> None:
        """The answer, once."""
        self.answer = list(replies)
        askers, self._askers = self._askers, []
        for asker in askers:
            asker.waits_for -= 1
            asker.reply(self.answer)

    @property
    def size(self) -> int:
        """Rows of the answer."""
        return sum(len(frame.outcomes) if isinstance(frame, DoneReply) else 1 for frame in self.answer or ())


class Memory:
    """The last requests by id.  Only root and our own user may ask at all, and a retry may come through another door (straight to the Core instead of
    through the middle interface) and then on behalf of another; so neither counts."""

    def __init__(self) -> None:
        self._asked: dict[str, Asked] = {}

    def __len__(self) -> int:
        return len(self._asked)

    def known(self, who: str, request: Request) -> tuple[Asked, bool]:
        """The entry of a request, and whether it is a new one that is to be worked.  A request without an id is always new and never remembered."""
        content = hashlib.sha256(msgspec.json.encode(msgspec.structs.replace(request, asked_by=""))).digest()
        request_id = request.id
        former = self._asked.get(request_id) if request_id else None
        if former is None:
            asked = Asked(who, content, type(request).__name__)
            if request_id:
                self._asked[request_id] = asked
                self._trim()
            return asked, True
        if former.content != content:
            asked = Asked(who, content)
            sentence = f"the id {request_id[:64]!r} was used for another request: give each request an id of its own"
            asked.reply([FailedReply(id=request_id, code=Code.BAD_REQUEST, sentence=sentence)])
            return asked, False
        return former, False

    def told(self) -> list[Remembered]:
        """The last HANDED answers, for the Core that takes our place; and what is under way, but for what may be done again."""
        found = [
            Remembered(id=name, content=asked.content, kind=asked.kind, frames=[encode(frame) for frame in asked.answer or ()])
            for name, asked in list(self._asked.items())[-HANDED:]
            if asked.kind != UPGRADE and (asked.answer is not None or asked.kind not in REPEATABLE)
        ]
        return [each for each in found if sum(map(len, each.frames)) <= MAX_HANDED_BYTES]

    def taken(self, remembered: Iterable[Remembered]) -> None:
        """What the Core before us remembered is known here too.  What was under way then is answered with that."""
        for each in remembered:
            asked = self._asked[each.id] = Asked("", each.content, each.kind)
            frames = [decode(frame, Reply) for frame in each.frames]
            asked.answer = frames or [FailedReply(id=each.id, code=Code.BAD_STATE, sentence=UNKNOWN_OUTCOME)]  # type: ignore[assignment]

    def gone(self, asker: Asker) -> None:
        """A connection ended."""
        for asked in self._asked.values():
            if asked.answer is None:
                asked.leave(asker)

    def _trim(self) -> None:
        while len(self._asked) > REMEMBERED or (len(self._asked) > 1 and sum(each.size for each in self._asked.values()) > MAX_OUTCOMES):
            del self._asked[next(iter(self._asked))]
