"""The table of task types: which class runs a type, with which StdIn and StdOut, and who prepares and removes its files.

    type      task          stdin (no input / stream / event)          stdout
    process   ProcessTask   StdIn / StreamStdIn / EventStdIn            StdOut

Further types come from other distributions through the entry-point group `efsupervisor.task_types`: each entry names a subclass of DefaultTask.  A
type that lacks one of the required functions is refused when it is registered, naming what is missing; it never gets as far as a task.
"""

from __future__ import annotations

from typing import NamedTuple

from efsupervisor.errors import Code, EfError, TypeRefused
from efsupervisor.states import Protocol
from efsupervisor.task.default import (
    REQUIRED,
    DefaultTask,
    DefaultTaskDelHelper,
    DefaultTaskHelper,
)
from efsupervisor.task.process import ListenerTask, ProcessTask
from efsupervisor.task.stdin import StdIn
from efsupervisor.task.stdout import StdOut

ENTRY_POINTS = "efsupervisor.task_types"


class TaskType(NamedTuple):
    """One row of the table."""

    name: str
    task: type[DefaultTask]
    helper: type[DefaultTaskHelper]
    del_helper: type[DefaultTaskDelHelper]
    stdin: dict[Protocol | None, type[StdIn]]
    stdout: type[StdOut]


_TABLE: dict[str, TaskType] = {}
_refused: dict[str, str] = {}
_discovered = False


def register(
    name: str,
    task: type[DefaultTask],
    *,
    helper: type[DefaultTaskHelper] = DefaultTaskHelper,
    del_helper: type[DefaultTaskDelHelper] = DefaultTaskDelHelper,
) -> TaskType:
    """Add a type.  TypeRefused when it lacks a required function or the name is taken."""
    if name in _TABLE:
        raise TypeRefused(f"task type {name!r} is registered already, by {_TABLE[name].task.__qualname__}")
    missing = [function for function in REQUIRED if not _implements(task, function)]
    if missing:
        raise TypeRefused(f"task type {name!r} ({task.__qualname__}) lacks {', '.join(missing)}: a type implements {', '.join(REQUIRED)}")
    stdin = getattr(task, "stdin_classes", {})
    lacking = [protocol or "no input" for protocol in (None, *Protocol) if protocol not in stdin]
    if lacking:
        raise TypeRefused(f"task type {name!r} ({task.__qualname__}) has no StdIn class for: {', '.join(lacking)}")
    stdout = getattr(task, "stdout_class", None)
    if stdout is None:
        raise TypeRefused(f"task type {name!r} ({task.__qualname__}) has no stdout_class")
    row = TaskType(name, task, helper, del_helper, stdin, stdout)
    _TABLE[name] = row
    return row


def _implements(task: type, function: str) -> bool:
    """The class, or one between it and DefaultTask, has the function; DefaultTask's own is only the frame."""
    return any(function in vars(base) for base in task.__mro__ if base not in (DefaultTask, object))


def task_type(name: str) -> TaskType:
    """The row of a type; EfError naming the nearest when there is none."""
    row = _TABLE.get(name)
    if row is None:
        _discover()
        row = _TABLE.get(name)
    if row is not None:
        return row
    if name in _refused:
        raise TypeRefused(_refused[name])
    import difflib  # late: the Core is forked for every worker, and this is for a mistake

    near = difflib.get_close_matches(name, _TABLE, 1)
    raise EfError(f"there is no task type {name!r}" + (f"; did you mean {near[0]!r}?" if near else f": there are {', '.join(_TABLE)}"), Code.CONFIG)


def type_names() -> list[str]:
    """Every registered type."""
    _discover()
    return sorted(_TABLE)


def refused_types() -> dict[str, str]:
    """Types of other distributions that cannot be used: the name, and a sentence that says why."""
    _discover()
    return {name: why for name, why in _refused.items() if name not in _TABLE}  # whose name was taken, ours is used


def _discover() -> None:
    """Load the types of other distributions, once; one that cannot be used is remembered with its reason and disturbs nothing else."""
    global _discovered
    if _discovered:
        return
    _discovered = True
    from importlib import metadata  # late: 3 MB that every worker would carry, for a table that usually has one row

    for entry in metadata.entry_points(group=ENTRY_POINTS):
        try:
            register(entry.name, entry.load())
        except (TypeRefused, ImportError, AttributeError, TypeError) as error:
            _refused[entry.name] = f"task type {entry.name!r} cannot be used: {error}"


register("process", ProcessTask)
register("eventlistener", ListenerTask)
