"""The deliberate mistake that the tests must find: the mark of what went into stdin is written after the write."""

from __future__ import annotations

from efsupervisor.errors import JournalError
from efsupervisor.system import Real
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
