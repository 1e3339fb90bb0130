"""The announcer of a collector: which batch is posted next, and what follows from the server's answer.

Deciding only: it takes records from a Source, notes batches in a Cursor, and hands out a Post; the collector has it posted
(efsupervisor.core.collector.poster) and tells the Answer.  One post at a time for each stream, so the server gets records in order.

    IDLE --records--> POSTING --2xx--> IDLE
                         | 408 425 429 5xx, no answer, 3xx 401 403 404 ...  --> WAITING (doubled delay, Retry-After) --> POSTING the same batch
                         ` 400 413 422: the content is refused -> half as many records; a single one, refused three times, is dropped and counted

A batch's id is `<supervisor>-<stream>-<number>`: the same for every try, also by a successor.  Delivery is at least once; a server that remembers ids
sees each batch once.
"""

from __future__ import annotations

import base64
import enum
import os
from collections.abc import Sequence
from typing import NamedTuple, Protocol

import msgspec

from efsupervisor.core.collector.cursor import Cursor, Pending, Position

FIRST_DELAY_S = 0.5
MAX_BODY = 1 << 20
"""Bytes of records in one post; a single larger record is posted alone."""

MAX_REFUSALS = 3
CONTENT_REFUSED = frozenset({400, 413, 422})


class Slice(NamedTuple):
    """Records from a position on.  records: JSON each.  until: the position behind them.  lost: records that are gone before the first."""

    records: list[bytes]
    until: Position
    lost: int = 0


class Source(Protocol):
    """Where a stream's records come from."""

    def look(self, position: Position, limit: int, until: Position | None = None) -> Slice:
        """At most `limit` records behind `position`; with `until` exactly those up to there (what is left of them).  Reading changes nothing."""
        ...

    def waiting(self, position: Position) -> int:
        """How many records (or bytes, where that is not known) wait behind a position; 0 when none does."""
        ...


class Post(NamedTuple):
    """What is to be sent.  id: the same for each try of the batch."""

    id: str
    body: bytes


class Answer(NamedTuple):
    """What came of it.  status: of HTTP, 0 when there was no whole answer.  retry_after_s: what the server asked for.  sentence: for a person."""

    status: int
    sentence: str = ""
    retry_after_s: float = 0.0


class Phase(enum.Enum):
    """What is going on."""

    IDLE = enum.auto()
    POSTING = enum.auto()
    WAITING = enum.auto()


class Announcer:
    """One stream.  node, supervisor: said in each post.  batch: most records of one post.  retry_max_s: longest delay between tries.

    due: monotonic time of the next try while WAITING.  ailment: why posts fail, a sentence; empty while they do not.  posted: records accepted by
    the server in this life."""

    def __init__(self, stream: str, source: Source, cursor: Cursor, *, node: str, supervisor: str, batch: int, retry_max_s: float) -> None:
        self.stream = stream
        self.phase = Phase.IDLE
        self.due = 0.0
        self.ailment = ""
        self.posted = 0
        self._source = source
        self._cursor = cursor
        self._node = node
        self._supervisor = supervisor
        self._batch = self._limit = batch
        self._retry_max_s = retry_max_s
        self._failures = 0
        self._refusals = 0

    @property
    def dropped(self) -> int:
        """Records that never reached the server, in all lives."""
        return self._cursor.state.dropped

    @property
    def waiting(self) -> int:
        """What is not accepted yet, as its source counts it."""
        return self._source.waiting(self._cursor.state.position)

    def next(self, now: float) -> Post | None:
        """What is to be posted now; None while a post is under way, a delay runs or there is nothing."""
        if self.phase is Phase.POSTING or (self.phase is Phase.WAITING and now < self.due):
            return None
        post = self._again() or self._fresh()
        self.phase = Phase.POSTING if post is not None else Phase.IDLE
        return post

    def answered(self, answer: Answer, now: float) -> None:
        """The post that `next` gave out came back."""
        if 200 <= answer.status < 300:
            self._accepted()
        elif answer.status in CONTENT_REFUSED:
            self._content_refused(answer, now)
        else:
            self._failed(answer, now)

    # What is posted ------------------------------------------------------------------------------------------------------------------------------

    def _again(self) -> Post | None:
        """The pending batch; None when there is none, or nothing of it is left."""
        pending = self._cursor.pending
        if pending is None:
            return None
        found = self._source.look(self._cursor.state.position, pending.records, pending.until)
        if not found.records:
            self._cursor.refused()
            return None
        return self._made(pending, found)

    def _fresh(self) -> Post | None:
        found = _cut(self._source.look(self._cursor.state.position, self._limit))
        if found.lost:
            self._cursor.skipped({} if found.records else found.until, found.lost)
        if not found.records:
            return None
        return self._made(self._cursor.begin(found.until, len(found.records)), found)

    def _made(self, pending: Pending, found: Slice) -> Post:
        identity = f"{self._supervisor}-{self.stream}-{pending.sequence}"
        head = {
            "version": 1,
            "id": identity,
            "stream": self.stream,
            "node": self._node,
            "supervisor": self._supervisor,
            "sequence": pending.sequence,
            "dropped": self.dropped,
        }
        return Post(identity, msgspec.json.encode({**head, "records": [msgspec.Raw(record) for record in found.records]}))

    # What follows --------------------------------------------------------------------------------------------------------------------------------

    def _accepted(self) -> None:
        self.posted += self._cursor.pending.records if self._cursor.pending else 0
        self._cursor.accepted()
        self.phase, self.ailment = Phase.IDLE, self._cursor.ailment
        self._failures = self._refusals = 0
        self._limit = min(self._batch, self._limit * 2)

    def _content_refused(self, answer: Answer, now: float) -> None:
        pending = self._cursor.pending
        if pending is not None and pending.records > 1:
            self._limit = max(1, pending.records // 2)
            self._cursor.split()
            self.phase = Phase.IDLE
            return
        self._refusals += 1
        if self._refusals < MAX_REFUSALS:
            self._failed(answer, now)
            return
        self._refusals = 0
        self._cursor.refused()
        self.phase = Phase.IDLE
        self.ailment = f"the server refused a record of stream {self.stream} {MAX_REFUSALS} times ({answer.sentence}); it was dropped"

    def _failed(self, answer: Answer, now: float) -> None:
        self._failures += 1
        delay_s = min(self._retry_max_s, FIRST_DELAY_S * 2 ** min(self._failures - 1, 30))
        delay_s = min(self._retry_max_s, max(delay_s, answer.retry_after_s))
        self.phase, self.due = Phase.WAITING, now + delay_s * _jitter()
        self.ailment = f"posts of stream {self.stream} fail: {answer.sentence}; tried again in about {delay_s:.3g} s"


def _cut(found: Slice) -> Slice:
    """As many of the records as fit into one post, the first in any case."""
    size = 0
    for number, record in enumerate(found.records):
        size += len(record) + 1
        if number and size > MAX_BODY:
            return Slice(found.records[:number], _until(found.records, number, found.until), found.lost)
    return found


def _until(records: Sequence[bytes], number: int, until: Position) -> Position:
    """The position behind the `number`-th record, which it names itself."""
    nexts: Position = {}
    for record in records[:number]:
        place = msgspec.json.decode(record, type=_Place)
        nexts[place.at] = place.next
    return {name: nexts[name] for name in until if name in nexts}


class _Place(msgspec.Struct):
    """Where a record stood: every record says its source and the offset behind it."""

    at: str
    next: int


def text_or_base64(data: bytes) -> dict[str, str]:
    """Bytes for JSON: `text` when they are UTF-8, else `base64`."""
    try:
        return {"text": data.decode()}
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(data).decode()}


def _jitter() -> float:
    """0.9 to 1: servers that come back are not met by everybody at once, and no delay is longer than was said."""
    return 1 - int.from_bytes(os.urandom(2)) / (1 << 16) / 10
