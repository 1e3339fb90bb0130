"""Calls that change something, by caller and id: under way, or what was answered.  So a call that comes again is not run twice.

The last KEPT outcomes of each user are remembered; calls under way always are (their number is the desk's to bound).  An outcome that tells of an
accident on the way (no Core, no time) is not remembered: the same call may be tried again, and the Core knows its id.  Pure data.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Generic, TypeVar

from efsupervisor.errors import Code, EfError
from efsupervisor.messages.call import Answer

J = TypeVar("J")

KEPT = 1000
ACCIDENTS = frozenset({Code.TIMEOUT, Code.NOT_RUNNING, Code.SYSTEM, Code.INTERNAL, Code.REFUSED})


class Entry(Generic[J]):
    """One call.  content: what was asked, so that another question under the same id is found out.  job: while it is under way."""

    __slots__ = ("content", "job", "outcome")

    def __init__(self, content: object, job: J) -> None:
        self.content = content
        self.job: J | None = job
        self.outcome: Answer | EfError | None = None


class Memory(Generic[J]):
    """What is known of earlier calls."""

    def __init__(self, kept: int = KEPT) -> None:
        self._kept = kept
        self._entries: dict[tuple[int, str], Entry[J]] = {}
        self._done: dict[int, OrderedDict[str, None]] = {}

    def __len__(self) -> int:
        return len(self._entries)

    def find(self, uid: int, call_id: str, content: object) -> Entry[J] | None:
        """The earlier call with this id.  EfError BAD_REQUEST when it asked for something else."""
        entry = self._entries.get((uid, call_id))
        if entry is not None and entry.content != content:
            raise EfError("this id was used for another command before; ids are used once", Code.BAD_REQUEST)
        return entry

    def begin(self, uid: int, call_id: str, content: object, job: J) -> None:
        """A call is under way."""
        self._entries[uid, call_id] = Entry(content, job)

    def end(self, uid: int, call_id: str, outcome: Answer | EfError) -> None:
        """What came of it."""
        entry = self._entries[uid, call_id]
        if isinstance(outcome, EfError) and outcome.code in ACCIDENTS:
            del self._entries[uid, call_id]
            return
        entry.outcome, entry.job = outcome, None
        done = self._done.setdefault(uid, OrderedDict())
        done[call_id] = None
        while len(done) > self._kept:
            oldest, _ = done.popitem(last=False)
            del self._entries[uid, oldest]
