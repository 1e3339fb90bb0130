"""How far one stream was posted: a small file that makes a post happen once in the eyes of the server.

A batch is noted as *pending*, with its number and where it ends, before it is posted, and the position moves there when the server has accepted it.
A successor of a killed collector finds the pending batch, reads the same records again and posts them under the same number; a server that had
accepted it already sees an id that it knows.  (Only the time of a result may be told more exactly the second time.)

Positions are named offsets: a task's id and an offset in its journal, or the one name of a stream that has one source.
"""

from __future__ import annotations

import msgspec

from efsupervisor.log import neutral
from efsupervisor.system import Real, write_whole

VERSION = 1

Position = dict[str, int]


class Pending(msgspec.Struct, frozen=True, kw_only=True):
    """A batch that may be on its way.  until: where each source it draws from ends.  records: how many."""

    sequence: int
    until: Position
    records: int


class State(msgspec.Struct, frozen=True, kw_only=True):
    """The file.  sequence: of the last accepted batch.  dropped: records that never reached the server."""

    version: int = VERSION
    sequence: int = 0
    position: Position = {}
    pending: Pending | None = None
    dropped: int = 0


class Cursor:
    """The cursor of one stream at `path`; its folder exists.

    A file that is damaged begins anew at `fresh` under a higher number (numbers are wall-clock based then), so that no id is ever used for two
    batches. A disk that is full keeps the state in memory: `ailment` says so, and the next change writes it.
    """

    def __init__(self, path: str, system: Real, fresh: Position) -> None:
        self._path = path
        self._system = system
        self.ailment = ""
        self.state = self._read(fresh)

    @property
    def pending(self) -> Pending | None:
        """The batch that is on its way."""
        return self.state.pending

    def begin(self, until: Position, records: int) -> Pending:
        """Note a batch before it is posted."""
        pending = Pending(sequence=self.state.sequence + 1, until=until, records=records)
        self._write(msgspec.structs.replace(self.state, pending=pending))
        return pending

    def accepted(self) -> None:
        """The server has it: go on behind it."""
        self._finish(0)

    def refused(self) -> None:
        """The server will never take it: go on behind it, and count what is lost."""
        self._finish(self.state.pending.records if self.state.pending else 0)

    def split(self) -> None:
        """The server does not take it as it is: another batch, with another number, will begin at the same place."""
        if self.state.pending is not None:
            self._write(msgspec.structs.replace(self.state, sequence=self.state.pending.sequence, pending=None))

    def skipped(self, position: Position, dropped: int) -> None:
        """What was not posted in time is gone; nothing is pending."""
        merged = {**self.state.position, **position}
        self._write(msgspec.structs.replace(self.state, position=merged, dropped=self.state.dropped + dropped, pending=None))

    def forget(self, names: set[str]) -> None:
        """These sources are no more."""
        left = {name: offset for name, offset in self.state.position.items() if name not in names}
        if left != self.state.position:
            self._write(msgspec.structs.replace(self.state, position=left))

    def _finish(self, lost: int) -> None:
        pending = self.state.pending
        if pending is None:
            return
        self._write(
            State(
                sequence=pending.sequence,
                position={**self.state.position, **pending.until},
                dropped=self.state.dropped + lost,
            )
        )

    def _read(self, fresh: Position) -> State:
        try:
            with open(self._path, "rb") as file:
                state = msgspec.json.decode(file.read(), type=State)
        except FileNotFoundError:
            return State(position=fresh)
        except (OSError, msgspec.DecodeError) as error:
            self.ailment = f"{self._path} is damaged and was begun anew: {neutral(str(error))}"
            return State(sequence=self._system.wall_ns() // 1000, position=fresh)
        if state.version != VERSION:
            self.ailment = f"{self._path} has version {state.version}, this is {VERSION}: it was begun anew"
            return State(sequence=self._system.wall_ns() // 1000, position=fresh)
        return state

    def _write(self, state: State) -> None:
        self.state = state
        try:
            write_whole(self._system, self._path, msgspec.json.encode(state))
        except OSError as error:
            self.ailment = f"{self._path} cannot be written: {error.strerror}; a batch may be posted twice after a crash"
        else:
            self.ailment = ""
