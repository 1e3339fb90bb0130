"""Runs one verb: a coroutine that is taken one step further each time what it waits for has come.

Many errands are under way at once and none knows of another.  A step runs until the verb waits again, never blocks, and is never entered twice: what
comes at once is taken up in the same loop, so that a verb with a thousand quick steps needs no deep stack.

What a verb raises besides EfError is a fault of ours: it is logged with its stack and answered as INTERNAL, and the other errands go on.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Coroutine
from typing import Any

from efsupervisor.errors import Code, EfError
from efsupervisor.interface.house import Wait
from efsupervisor.messages.call import Answer


class Errand:
    """One verb under way.  on_end(outcome): called once, possibly inside `start`; never after `cancel`."""

    def __init__(self, coroutine: Coroutine[Wait, Any, Answer], on_end: Callable[[Answer | EfError], None], log: logging.Logger) -> None:
        self.over = False
        self._coroutine = coroutine
        self._on_end = on_end
        self._log = log

    def start(self) -> None:
        """Take the first step."""
        self._go(None, None)

    def cancel(self) -> None:
        """Nobody waits for the outcome, and nothing is changed by it: stop where it is."""
        if not self.over:
            self.over = True
            self._coroutine.close()

    def _go(self, value: Any, error: BaseException | None) -> None:
        while not self.over:
            wait = self._step(value, error)
            if wait is None:
                return
            slot = _Slot(self)
            wait.begin(slot.done, slot.failed)
            if not slot.settled:
                slot.late = True
                return
            value, error = slot.value, slot.error

    def _step(self, value: Any, error: BaseException | None) -> Wait | None:
        try:
            return self._coroutine.throw(error) if error is not None else self._coroutine.send(value)
        except StopIteration as end:
            self._end(end.value)
        except EfError as refusal:
            self._end(refusal)
        except Exception:  # the edge between one caller's command and everybody's interface
            self._log.exception("a command failed through a fault of efsupervisor")
            self._end(EfError("this command met a fault of efsupervisor; the daemon's log says which", Code.INTERNAL))
        return None

    def _end(self, outcome: Answer | EfError) -> None:
        self.over = True
        self._on_end(outcome)


class _Slot:
    """What one Wait brings: kept when it comes at once, a further step when it comes later.  Only the first word counts."""

    __slots__ = ("_errand", "error", "late", "settled", "value")

    def __init__(self, errand: Errand) -> None:
        self._errand = errand
        self.late = self.settled = False
        self.value: Any = None
        self.error: BaseException | None = None

    def done(self, value: Any) -> None:
        self._settle(value, None)

    def failed(self, error: BaseException) -> None:
        self._settle(None, error)

    def _settle(self, value: Any, error: BaseException | None) -> None:
        if self.settled:
            return
        self.settled = True
        self.value, self.error = value, error
        if self.late:
            self._errand._go(value, error)
