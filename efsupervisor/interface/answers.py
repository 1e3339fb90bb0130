"""From the Core's replies to answers: the few shapes that several nouns share."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar

from efsupervisor.errors import Code, EfError
from efsupervisor.interface.house import House
from efsupervisor.messages.call import Difference, Done
from efsupervisor.messages.core import DifferenceReply, DoneReply, Reply, StatusReply, StatusRequest
from efsupervisor.system import folded

R = TypeVar("R")


def done(replies: Iterable[Reply]) -> Done:
    """The outcomes of every DoneReply."""
    return Done(rows=[row for reply in replies if isinstance(reply, DoneReply) for row in reply.outcomes])


def difference(replies: Iterable[Reply]) -> Difference:
    """Every frame of a difference as one."""
    parts = [reply for reply in replies if isinstance(reply, DifferenceReply)]
    return Difference(rows=[row for part in parts for row in part.changes], applied=any(part.applied for part in parts))


def first(replies: Iterable[Reply], kind: type[R]) -> R:
    """The one reply of this kind; EfError when the Core answered with something else."""
    for reply in replies:
        if isinstance(reply, kind):
            return reply
    raise EfError(f"the Core answered with no {kind.__name__}; is efsupervisord of another version?", Code.INTERNAL)


async def resolved(house: House, names: list[str]) -> list[str]:
    """The names of the tasks that were meant (groups, patterns and `all` are the Core's to know); none stay none, which stands for all."""
    if not names:
        return []
    replies = await house.ask(StatusRequest(id=house.next_id(), names=names))
    return [row.name for reply in replies if isinstance(reply, StatusReply) for row in reply.tasks]


def chosen(rows: list[R], names: list[str], what: str) -> list[R]:
    """The rows with these names, all without a name; EfError for a name that none has."""
    if not names or "all" in names:
        return rows
    by_name = {folded(name_of(row)): row for row in rows}
    unknown = [name for name in names if folded(name) not in by_name]
    if unknown:
        known = ", ".join(sorted(map(name_of, rows))[:10]) or "none"
        raise EfError(f"there is no {what} {unknown[0][:64]!r}; there are: {known}", Code.NO_SUCH_TASK)
    return [by_name[folded(name)] for name in names]


def name_of(row: object) -> str:
    """The name of a row, or of its spec."""
    return str(getattr(row, "name", "") or getattr(getattr(row, "spec", None), "name", ""))
