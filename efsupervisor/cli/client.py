"""The Core as efctl sees it: one request of messages/core.py, all frames of its answer.  What a person sees when it does not answer: `line`.

Requests that are meant to wait (`act`, `trm` and `shutdown` until tasks are at rest) have no limit of their own, but the Core must answer a
VersionRequest on the same connection meanwhile.  All requests may be repeated (those that change something carry an id that the Core remembers, a put
its own) but `shutdown`, which might hit the successor.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Self, TypeVar

import msgspec

from efsupervisor import messages
from efsupervisor.cli.line import Clock, Limits, Line, Peer
from efsupervisor.errors import EfError

ANSWER_S = 5.0
PING_S = 1.5
_ADVICE = "; start it with `efsupervisord -c FILE`"
_QUICK = messages.StatusReply | messages.ReadReply | messages.VersionReply | messages.DoneReply | messages.FailedReply
"""What `efctl status` and its like may hear."""
_ENDLESS = "only a reply or an error ends the loop"

Kind = TypeVar("Kind", bound=messages.Message)


class _CoreRecord(msgspec.Struct):
    """What is needed of core.json."""

    pid: int
    start_ticks: int
    boot_id: str


class Client:
    """Speaks with the Core that listens at `path`.  The caller closes it (or uses it as a context manager).

    Every method raises EfError with a sentence for a person and the code of errors.TABLE, never OSError.
    """

    def __init__(self, path: str, clock: Clock | None = None, answer_s: float = ANSWER_S) -> None:
        self.path = path
        self.line = Line(Peer(path, "efsupervisord", messages.Reply, _sign_of_life, lambda: _alive(path), answer_s, PING_S, _ADVICE), clock)
        self._answer_s = answer_s
        self._ids = f"efctl-{os.urandom(8).hex()}-"
        self._number = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection; the next request makes a new one."""
        self.line.close()

    def fileno(self) -> int:
        """The connection's descriptor, -1 while there is none."""
        return self.line.fileno()

    def next_id(self) -> str:
        """An id that nobody else uses."""
        self._number += 1
        return f"{self._ids}{self._number}"

    # What commands call --------------------------------------------------------------------------------------------------------------------------

    def status(self, names: list[str]) -> list[messages.TaskStatus]:
        """Rows of the named tasks, of all when the list is empty."""
        replies = self.ask(messages.StatusRequest(id=self.next_id(), names=names), vocabulary=_QUICK)
        return [row for reply in replies if isinstance(reply, messages.StatusReply) for row in reply.tasks]

    def put(self, task: str, put_id: str, data: bytes) -> messages.Outcome:
        """Append one event to a task's input queue; the same put_id again appends nothing."""
        for reply in self.ask(messages.PutRequest(id=self.next_id(), task=task, put_id=put_id, data=data)):
            if isinstance(reply, messages.DoneReply) and reply.outcomes:
                return reply.outcomes[0]
        return messages.Outcome(task=task, ok=True)

    def read(self, task: str, stream: str, *, offset: int | None = None, lines: int = 10) -> messages.ReadReply:
        """Bytes of a journal: from `offset`, or the last `lines` lines."""
        return self._one(messages.ReadRequest(id=self.next_id(), task=task, stream=stream, offset=offset, lines=lines), messages.ReadReply)

    def version(self) -> messages.VersionReply:
        """Who is there."""
        return self._one(messages.VersionRequest(id=self.next_id()), messages.VersionReply)

    def ask(self, request: messages.Request, *, waits: bool = False, vocabulary: object = messages.Reply) -> list[messages.Reply]:
        """Every frame of the answer to any request.  waits: it may take as long as the Core gives signs of life."""
        limits = Limits(None if waits else self._answer_s, watched=waits, repeat=not isinstance(request, messages.ShutdownRequest))
        replies: list[messages.Reply] = []
        for reply in self._replies(request, limits, vocabulary):
            if reply is None:
                replies.clear()
                continue
            replies.append(reply)
            if not getattr(reply, "more", False):
                return replies
        raise AssertionError(_ENDLESS)

    def _one(self, request: messages.Request, kind: type[Kind]) -> Kind:
        for reply in self._replies(request, Limits(self._answer_s), _QUICK):
            if isinstance(reply, kind):
                return reply
        raise AssertionError(_ENDLESS)

    def _replies(self, request: messages.Request, limits: Limits, vocabulary: object) -> Iterator[messages.Reply | None]:
        for reply in self.line.ask(request, request.id, limits, vocabulary):
            if isinstance(reply, messages.FailedReply):
                raise EfError(reply.sentence, reply.code)
            assert reply is None or isinstance(reply, messages.Reply)
            yield reply


def _sign_of_life(request_id: str) -> msgspec.Struct:
    return messages.VersionRequest(id=request_id)


def _alive(path: str) -> bool:
    """Whether core.json beside the socket names a living process."""
    try:
        with open(os.path.join(os.path.dirname(path), "core.json"), "rb") as file:
            record = msgspec.json.decode(file.read(65536), type=_CoreRecord)
    except (OSError, msgspec.DecodeError):
        return False
    from efsupervisor.system import REAL, boot_id  # late on purpose: needed only when no connection can be made

    return record.boot_id == boot_id() and REAL.start_ticks(record.pid) == record.start_ticks
