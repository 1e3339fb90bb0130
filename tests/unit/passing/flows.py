"""A supervisor's folder with edges, made as Core and workers make them, without any of their processes."""

from __future__ import annotations

import os
from pathlib import Path

from efsupervisor.conf.schema import Config, FlowSpec, InputSpec, TaskSpec
from efsupervisor.core.wiring import Wirer, edges
from efsupervisor.journal import Claim, Claims, Writer
from efsupervisor.passing.edges import Ref, paths
from efsupervisor.states import Mode
from efsupervisor.system import REAL
from efsupervisor.task.delivery import Delivery, EdgeState, Record, Run


class Folder:
    """`var` with tasks p and c (and d) and one flow from p."""

    def __init__(self, folder: Path, mode: Mode = Mode.BROAD, consumers: tuple[str, ...] = ("c",), start: str = "begin") -> None:
        self.var = str(folder)
        for name in ("tasks", "flows"):
            (folder / name).mkdir()
        tasks = [TaskSpec(name=name, command=["cat"], input=InputSpec() if name != "p" else None) for name in ("p", "c", "d")]
        for task in tasks:
            os.makedirs(paths(self.var, task.name).run)
        self.config = Config(
            source="x", tasks=tasks, flows=[FlowSpec(name="f", producers=["p"], consumers=list(consumers), mode=mode, start=start)]
        )
        Wirer(self.var, "n", "log", REAL).wire(self.config)
        self.refs = [Ref(self.var, edge.id, edge.producer, edge.consumers, edge.mode) for edge in edges(self.config)]
        self.ref = self.refs[0]
        self._writers: dict[str, Writer] = {}

    def write(self, folder: str, data: bytes, wall_ns: int = 0) -> None:
        """Append to a journal; wall_ns: also to its time index."""
        writer = self.writer(folder)
        writer.append(data)
        if wall_ns:
            writer.index(wall_ns, checksum=None)

    def writer(self, folder: str) -> Writer:
        """The one writer of a journal."""
        if folder not in self._writers:
            self._writers[folder] = Writer(folder, system=REAL, boot_id="b", segment_bytes=1 << 20)
        return self._writers[folder]

    def produce(self, data: bytes, wall_ns: int = 0) -> None:
        """p writes."""
        self.write(paths(self.var, "p").out_journal, data, wall_ns)

    def deliver(self, cursor: int, given: int, lengths: tuple[int, ...] = (), dropped: int = 0, task: str = "c", ref: Ref | None = None) -> None:
        """The delivery record of a consumer: what is acknowledged, what was given, and the sizes of what is out."""
        record, state = Record(paths(self.var, task).delivery, REAL), Delivery()
        state.sequence = record.load().sequence
        state.incarnation = 1
        state.edges = [EdgeState((ref or self.ref).id, cursor, given, 0, dropped)]
        if lengths:
            state.runs.append(Run(0, cursor, given - cursor, list(lengths)))
        record.save(state)
        record.close()

    def claim(self, member: int, *claims: tuple[int, int]) -> None:
        """A member of the group takes events."""
        group = Claims(self.ref.folder, system=REAL, member=member)
        with group.locked() as mine:
            assert mine
            group.claim(1, [Claim(*each) for each in claims])
        group.close()

    def close(self) -> None:
        for writer in self._writers.values():
            writer.close()
