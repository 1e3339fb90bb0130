"""efsupervisord with one deliberate mistake, to prove that the chaos tests can fail: the mark of what went into stdin is written after the write.

This is what a plain reading of "remember how much was sent" gives.  A worker killed between the two is followed by one that sends the piece again.
Between the two is a fault point, FAULT, as the real register has them between its steps, so that a run does not hang on the luck of its kills.
"""

from __future__ import annotations

import sys

from efsupervisor.core.main import main
from efsupervisor.errors import JournalError
from efsupervisor.system import Real
from efsupervisor.task import stdin
from efsupervisor.task.delivery import Delivery, Record

FAULT = "naive:written"


class NaiveRegister:
    """Write, then save; nothing else tells a successor what happened in between."""

    def __init__(self, fd: int, record: Record, system: Real) -> None:
        self.fd = fd
        self._record = record
        self._system = system

    def begin(self) -> None:
        """Nothing to prepare."""

    def recover(self, state: Delivery) -> None:
        """The record is believed."""

    def put(self, piece: bytes | memoryview, state: Delivery) -> bool:
        """Write first, note it afterwards."""
        try:
            written = self._system.write(self.fd, piece)
        except BlockingIOError:
            return False
        if written != len(piece):
            raise JournalError(f"a pipe took {written} of {len(piece)} bytes that it had room for")
        self._system.fault(FAULT)
        state.put += written
        self._record.save(state)
        return True


def watchers() -> list[type]:
    """The watchers that use a register."""
    return [kind for kind in vars(stdin).values() if isinstance(kind, type) and hasattr(kind, "register_class")]


if __name__ == "__main__":
    found = watchers()
    if not found:
        sys.exit("no watcher has a register_class: the naive supervisor would be the honest one")
    for kind in found:
        kind.register_class = NaiveRegister  # type: ignore[attr-defined]
    sys.exit(main())
