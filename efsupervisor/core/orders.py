"""What a worker is told to do once, beside its goal: send its program a signal, begin its logs anew.

A signal is for the program that runs now, so nothing is kept of it.  Logs are begun anew by the worker, for it is their one writer; the order is
given again to a successor, which is harmless, and carried out here when the task is at rest: then nobody writes.

Nothing of this outlives the Core: whoever asked asks again.
"""

from __future__ import annotations

from collections.abc import Callable

from efsupervisor.core.tasks import Link, Task
from efsupervisor.errors import Code, EfError
from efsupervisor.journal import Writer
from efsupervisor.messages import ClearLogs, Outcome, SendSignal
from efsupervisor.states import State
from efsupervisor.system import Real

SIGNALLABLE = frozenset({State.STARTING, State.RUNNING, State.STOPPING})
MAX_ORDERS = 64
CLEARED = "its logs begin anew"

Told = Callable[[Outcome], None]


class Orders:
    """All orders; those that wait are kept in their Task."""

    def __init__(self, system: Real) -> None:
        self._system = system

    def signal(self, task: Task, number: int) -> Outcome:
        """Tell the worker."""
        channel = task.link.channel if task.link is not None else None
        if task.report.state not in SIGNALLABLE or not task.report.pid:
            return Outcome(task=task.name, ok=False, code=Code.BAD_STATE, sentence=f"is {task.report.state}: there is no program to send a signal to")
        if channel is None:
            return Outcome(task=task.name, ok=False, code=Code.NOT_RUNNING, sentence="its worker is being replaced; try again")
        channel.send(SendSignal(number=number))
        return Outcome(task=task.name, ok=True, sentence=f"signal {number} for pid {task.report.pid}")

    def clear(self, task: Task, order: str, told: Told) -> None:
        """Begin the logs of a task anew; `told` once it is done.  order: an id, the same on a retry."""

        def done(error: str) -> None:
            told(_outcome(task, error))

        if task.unmanned:
            done(self._clear_here(task))
        elif len(task.orders) >= MAX_ORDERS:
            done("too many orders are on their way to its worker; try again")
        else:
            task.orders[order] = done
            if task.link is not None and task.link.channel is not None and task.link.final is None:
                task.link.channel.send(ClearLogs(order=order))

    def again(self, task: Task, link: Link) -> None:
        """A worker that is new to us: what its predecessor did not confirm.  Call it before Puts.again, which marks the link."""
        channel = link.channel
        if not link.resent and channel is not None:
            for order in list(task.orders):
                channel.send(ClearLogs(order=order))

    def rested(self, task: Task) -> None:
        """The worker ended before it confirmed these."""
        waiting, task.orders = task.orders, {}
        if waiting:
            error = self._clear_here(task)
            for done in waiting.values():
                done(error)

    def _clear_here(self, task: Task) -> str:
        if task.wiring.outputs:
            return "it is at rest and others read its log: start it first"
        try:
            for folder in (task.paths.out_journal, task.paths.err_journal):
                clear(folder, self._system)
        except (EfError, OSError) as error:
            return str(error)
        return ""


def clear(folder: str, system: Real) -> None:
    """Begin the journal of a task at rest anew; a journal that does not exist stays so.  EfError or OSError as Writer."""
    try:
        system.stat(folder)
    except FileNotFoundError:
        return
    writer = Writer(folder, system=system)
    try:
        writer.clear(writer.end)
    finally:
        writer.close(clean=True)


def _outcome(task: Task, error: str) -> Outcome:
    return Outcome(task=task.name, ok=not error, code=Code.SYSTEM if error else Code.OK, sentence=error or CLEARED)
