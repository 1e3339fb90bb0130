"""Dead letters on their way to people, and what people do with them.

A letter is put back by an ordinary put with an id of its own, and is noted as settled when the put is confirmed.  Whatever dies in between, the
letter is still there or its event is in the queue, and putting it back again appends nothing twice.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable

from efsupervisor.core.puts import Puts
from efsupervisor.core.tasks import Task
from efsupervisor.errors import Code, EfError
from efsupervisor.messages import LetterRow, LettersReply, LettersRequest, Outcome, PutDone, SettleRequest
from efsupervisor.system import Real
from efsupervisor.task import dead
from efsupervisor.task.queue import PUT_BACK

PAGE_ROWS = 100
PAGE_BYTES = 4 << 20
"""Of the journal, for one page: no list of letters holds up the loop."""
PREVIEW = 100
WHOLE = 32 << 10
LARGEST_PUT = 96 << 10
"""Bytes of an event that fit into one message to a worker."""


def page(task: Task, request: LettersRequest, system: Real) -> LettersReply:
    """The letters that were asked for.  EfError for one that is not there."""
    if request.letter is not None:
        found = dead.letter(task.paths, request.letter, system)
        return LettersReply(id=request.id, rows=[_row(task.name, request.letter, found, whole=True)])
    known = dead.settled(task.paths, system)
    rows: list[LetterRow] = []
    with contextlib.closing(dead.letters(task.paths, request.since, system)) as found_ones:
        for number, following, found in found_ones:
            if number not in known:
                rows.append(_row(task.name, number, found, whole=False))
            if len(rows) == PAGE_ROWS or following - request.since > PAGE_BYTES:
                return LettersReply(id=request.id, rows=rows, next=following)
    return LettersReply(id=request.id, rows=rows)


def _row(task: str, number: int, found: dead.DeadLetter, *, whole: bool) -> LetterRow:
    content, limit = found.content, WHOLE if whole else PREVIEW
    return LetterRow(
        task=task, letter=number, producer=found.producer, offset=found.offset, length=found.length, deliveries=found.deliveries,
        reason=found.reason[:300], wall=found.wall, died=found.died, status=found.status, event=content[:limit],
        cut=found.length > min(limit, len(content)), lines=found.lines if whole else [], edge=found.edge,
    )  # fmt: skip


def settle(task: Task, request: SettleRequest, puts: Puts, system: Real, reply: Callable[[Outcome], None]) -> None:
    """Do what is asked and say what came of it, once.  EfError for a letter that is not there or cannot be put back."""

    def outcome(sentence: str, code: Code = Code.OK) -> None:
        reply(Outcome(task=task.name, ok=code is Code.OK, code=code, sentence=f"dead letter {request.letter}: {sentence}"))

    wanted = dead.PUT_BACK if request.put_back else dead.DROPPED
    found = dead.letter(task.paths, request.letter, system)
    former = dead.settled(task.paths, system).get(request.letter)
    if former is not None:
        outcome(f"was {dead.WORDS[former]} already", Code.OK if former == wanted else Code.BAD_STATE)
        return
    if not request.put_back:
        dead.settle(task.paths, request.letter, wanted, system)
        outcome("dropped")
        return
    event = dead.event_of(found)
    if not task.unmanned and len(event) > LARGEST_PUT:
        reason = f"its event of {len(event)} bytes is too large to be handed to a worker: stop {task.name}, put it back, start it"
        raise EfError(reason, Code.BAD_STATE)

    def done(put: PutDone) -> None:
        if put.error:
            outcome(put.error, Code.SYSTEM)
            return
        system.fault("letter:put")
        try:
            dead.settle(task.paths, request.letter, wanted, system)
        except OSError as error:
            outcome(f"is in the input queue, but stands here still ({error.strerror}); putting it back again puts nothing", Code.SYSTEM)
            return
        outcome(f"put back, at offset {put.offset} of the input queue")

    puts.put(task, f"{PUT_BACK}{request.letter}", event, done)
