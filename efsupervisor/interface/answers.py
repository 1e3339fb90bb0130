"""From the Core's replies to answers: the few shapes that several nouns share.  Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar

from efsupervisor.errors import Code, EfError
from efsupervisor.messages.call import Done
from efsupervisor.messages.core import DoneReply, Reply
from efsupervisor.system import folded

R = TypeVar("R")


def done(replies: Iterable[Reply]) -> Done:
    """The outcomes of every DoneReply."""
    return Done(rows=[row for reply in replies if isinstance(reply, DoneReply) for row in reply.outcomes])


def first(replies: Iterable[Reply], kind: type[R]) -> R:
    """The one reply of this kind; EfError when the Core answered with something else."""
    for reply in replies:
        if isinstance(reply, kind):
            return reply
    raise EfError(f"the Core answered with no {kind.__name__}; is efsupervisord of another version?", Code.INTERNAL)


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
