"""Events put by hand on their way into a task's own input queue: by its worker, or by the Core when the task is at rest.

A put that a worker did not confirm is given to its successor; the id makes that harmless.  Nothing here is kept over the Core's death: whoever put
asks again with the same id.
"""

from __future__ import annotations

from collections.abc import Callable

from efsupervisor.conf.schema import framing_of
from efsupervisor.core.tasks import Link, Put, Task
from efsupervisor.errors import Code, EfError
from efsupervisor.messages import InEdge, Outcome, PutDone, PutEvent
from efsupervisor.system import Real
from efsupervisor.task.paths import TaskPaths

MAX_PUTS = 256
"""Events that may be on their way to one worker."""

PutQueue = Callable[[TaskPaths, str, bytes, Real, int], int]
"""Appends one event to the input queue of a task at rest, framed so (states.Framing); the offset."""

ClearQueue = Callable[[TaskPaths, InEdge, Real], int]
"""Skips what waits in the input queue of a task at rest; how many bytes."""


class Puts:
    """All puts; those that wait are kept in their Task."""

    def __init__(self, put: PutQueue, clear: ClearQueue, system: Real) -> None:
        self._put = put
        self._clear = clear
        self._system = system

    def put(self, task: Task, put_id: str, data: bytes, reply: Callable[[PutDone], None]) -> None:
        """Append one event.  A retry with the same id appends once."""
        if task.unmanned:
            reply(self._append(task, put_id, data))
        elif len(task.puts) >= MAX_PUTS:
            reply(PutDone(put_id=put_id, error=f"{MAX_PUTS} events are on their way to this task already; try again"))
        else:
            former = task.puts.get(put_id)
            if former is not None:
                former.reply(PutDone(put_id=put_id, error="the same event was put again meanwhile"))
            task.puts[put_id] = Put(data, reply)
            if task.link is not None and task.link.channel is not None and task.link.final is None:
                task.link.channel.send(PutEvent(put_id=put_id, data=data))

    def again(self, task: Task, link: Link) -> None:
        """A worker that is new to us has spoken: give it what its predecessor did not confirm."""
        channel = link.channel
        if not link.resent and channel is not None:
            link.resent = True
            for put_id, put in list(task.puts.items()):  # a send that finds the worker dead ends the link and may empty the list
                channel.send(PutEvent(put_id=put_id, data=put.data))

    def rested(self, task: Task) -> None:
        """The worker ended before it confirmed these."""
        waiting, task.puts = task.puts, {}
        for put_id, put in waiting.items():
            put.reply(self._append(task, put_id, put.data))

    def cleared(self, task: Task) -> Outcome:
        """Skip what waits; the task must be at rest."""

        def failed(code: Code, sentence: str) -> Outcome:
            return Outcome(task=task.name, ok=False, code=code, sentence=sentence)

        own = next((edge for edge in task.wiring.inputs if not edge.producer_dir), None)
        if own is None:
            return failed(Code.NO_INPUT, "has no input queue")
        if not task.unmanned:
            return failed(Code.BAD_STATE, "its queue can be cleared when it is at rest: stop it first")
        try:
            skipped = self._clear(task.paths, own, self._system)
        except EfError as error:
            return failed(error.code, error.message)
        except OSError as error:
            return failed(Code.SYSTEM, f"its queue could not be cleared: {error}")
        return Outcome(task=task.name, ok=True, sentence=f"{skipped} bytes that waited in its queue are skipped")

    def _append(self, task: Task, put_id: str, data: bytes) -> PutDone:
        try:
            return PutDone(put_id=put_id, offset=self._put(task.paths, put_id, data, self._system, framing_of(task.wiring.spec)))
        except (EfError, OSError) as error:
            return PutDone(put_id=put_id, error=str(error))
