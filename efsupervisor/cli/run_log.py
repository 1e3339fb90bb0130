"""`efctl log TASK --run NUMBER`: what one run of a task wrote, cut out of its journal.

The row of the history says from where to where; what of it retention has removed is said, as for any other log.
"""

from __future__ import annotations

from typing import BinaryIO, NamedTuple

from efsupervisor.cli.client import Client
from efsupervisor.cli.tail import Read, Reader, Wish, run
from efsupervisor.cli.terminal import PLAIN, Look
from efsupervisor.errors import Code, EfError
from efsupervisor.messages import HistoryReply, HistoryRequest, RunRow


class Part(NamedTuple):
    """A piece of a journal that ends where the run did."""

    offset: int
    data: bytes
    next: int
    end: int
    framing: int = 0


def of_run(client: Client, task: str, number: int, wish: Wish, out: BinaryIO, look: Look = PLAIN) -> int:
    """Show it.  EfError NO_SUCH_TASK for a run that is not known or of another task, USAGE for a wish that no run can fulfil."""
    if wish.follow or wish.stream not in ("out", "err"):
        raise EfError("a run that has ended has the streams `out` and `err`, and nothing that could be followed", Code.USAGE)
    row = found(client, task, number)
    begin, size = (row.out_from, row.out_bytes) if wish.stream == "out" else (row.err_from, row.err_bytes)

    def read(offset: int | None, lines: int) -> Read:
        return cut(client.read(row.task, wish.stream, offset=begin if offset is None else offset, lines=lines), begin + size)

    readers: dict[str, Reader] = {row.task: read}
    return run(readers, wish._replace(since=begin), out, look)


def found(client: Client, task: str, number: int) -> RunRow:
    """The row with this number."""
    replies = client.ask(HistoryRequest(id=client.next_id(), names=[task], limit=1, before=number + 1))
    rows = [row for reply in replies if isinstance(reply, HistoryReply) for row in reply.rows]
    if not rows or rows[0].number != number or not rows[0].incarnation:
        raise EfError(f"{task} has no run {number} that is remembered; `efctl history {task}` lists those that are", Code.NO_SUCH_TASK)
    return rows[0]


def cut(piece: Read, end: int) -> Part:
    """Without what later runs wrote."""
    data = piece.data[: max(0, end - piece.offset)]
    return Part(min(piece.offset, end) if not data else piece.offset, data, min(piece.next, end), min(piece.end, end), piece.framing)
