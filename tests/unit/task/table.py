"""A table for the watchers of one task: its folder, a loop whose clock stands still, producers' journals, and a program that is two descriptors.

Everything happens in this process.  The files and FIFOs are real, the machine that the watchers use is scripted (tests.unit.journal.fakes): it can be
killed before any call, and `bury` does what the kernel does for a dead worker.  What survives a worker is the Table; a Sitting is one worker's life.
"""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from efsupervisor.conf.schema import InputSpec, TaskSpec
from efsupervisor.journal import Writer
from efsupervisor.messages import HoldInput, InEdge, ReleaseInput, Wiring
from efsupervisor.reactor import Reactor
from efsupervisor.states import Mode
from efsupervisor.system import REAL
from efsupervisor.task.default import DefaultTaskDelHelper, DefaultTaskHelper
from efsupervisor.task.delivery import saved
from efsupervisor.task.paths import TaskPaths
from efsupervisor.task.seat import Seat
from efsupervisor.task.stdin import FlowStdIn
from tests.unit.journal.fakes import Killed, Machine

BOOT = "00000000-0000-0000-0000-000000000001"


class Clock:
    """Time that moves only when it is told."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now


class Program:
    """What a program is to its worker: it reads its stdin and writes its stderr."""

    def __init__(self, stdin: int, err: str) -> None:
        self.stdin = stdin
        self._err = os.open(err, os.O_RDWR | os.O_NONBLOCK)
        os.set_blocking(stdin, False)
        self.received = b""
        self.saw_end = False
        self.alive = True

    def read(self, limit: int = 1 << 20) -> bytes:
        """What is there, at most `limit` bytes."""
        try:
            data = os.read(self.stdin, limit)
        except BlockingIOError:
            return b""
        self.saw_end = self.saw_end or not data
        self.received += data
        return data

    def say(self, data: bytes) -> None:
        """Write to stderr."""
        assert os.write(self._err, data) == len(data)

    def answer_all(self) -> None:
        """Read what is there and acknowledge each line with a blank one."""
        count = self.read().count(b"\n")
        if count:
            self.say(b"\n" * count)

    def die(self) -> None:
        """Its descriptors are closed."""
        if self.alive:
            self.alive = False
            os.close(self.stdin)
            os.close(self._err)


class Table:
    """What outlives a worker.  inputs: the edges of the task, from `producer`."""

    def __init__(self, folder: Path, watcher: type[FlowStdIn], *, spec: InputSpec | None = None, **more: Any) -> None:
        self.folder = folder
        self.watcher = watcher
        self.task = TaskSpec(name="c", command=["cat"], input=spec or InputSpec(), **more)
        self.inputs: list[InEdge] = []
        self.producers: dict[str, Writer] = {}
        self.clock = Clock()
        self.incarnation = 0
        """Of the life that was begun and is not ended, 0 when there is none."""
        self.last = 0
        self.program: Program | None = None
        self.programs: list[Program] = []
        self.said: list[str] = []
        self.told: list[object] = []
        self.dir = str(folder / "consumeraaaa")
        DefaultTaskHelper(REAL).prepare(self.wiring)
        self.paths = TaskPaths(self.dir)
        self._held = [os.open(self.paths.fifo(name), os.O_RDONLY | os.O_NONBLOCK) for name in ("out", "err")]  # as the Core does

    @property
    def wiring(self) -> Wiring:
        return Wiring(spec=self.task, task_dir=self.dir, namespace="n", inputs=list(self.inputs))

    def producer(self, name: str, **more: Any) -> Writer:
        """A producer's journal and the edge that begins there."""
        number = len(self.inputs) + 1
        edge_folder = self.folder / f"edge{number}"
        edge_folder.mkdir(exist_ok=True)
        journal = str(self.folder / name / "out")
        (self.folder / name).mkdir(exist_ok=True)
        self.inputs.append(InEdge(id=f"{number:016x}", producer=name, folder=str(edge_folder), journal=journal, **more))
        self.producers[name] = Writer(journal, system=REAL, boot_id=BOOT)
        return self.producers[name]

    def close(self) -> None:
        """Give everything back; again is harmless."""
        if not self._held:
            return
        for program in self.programs:
            program.die()
        for writer in self.producers.values():
            writer.close()
        for fd in self._held:
            os.close(fd)
        self._held = []
        DefaultTaskDelHelper(REAL).remove(self.dir)

    def cursor(self, number: int = 1) -> int:
        """What the record says of an edge."""
        edge = saved(self.paths.delivery, REAL).edge(f"{number:016x}")
        return edge.cursor if edge else 0


class Sitting:
    """One worker's life at the table, as far as its input goes.  machine: its system, which may kill it; then `killed` is true and nothing of it is
    left."""

    def __init__(self, table: Table, machine: Machine | None = None) -> None:
        self.table = table
        self.machine = machine or Machine()
        self.reactor = Reactor(table.clock)
        self.killed = False
        self.watcher: FlowStdIn
        self.do(self._sit)

    def _sit(self) -> None:
        table = self.table
        seat = Seat(
            table.wiring, self.machine, self.reactor, boot=BOOT, say=lambda level, text: table.said.append(f"{level} {text}"),  # type: ignore[arg-type]
            tell=table.told.append, dirty=lambda: None, core_connected=lambda: False,
        )  # fmt: skip
        self.watcher = table.watcher(seat)
        if table.incarnation:
            self.watcher.recover(table.incarnation, table.program is not None and table.program.alive)

    def do(self, step: Callable[[], Any]) -> Any:
        """One step of the worker; whether it was killed meanwhile is remembered."""
        if self.killed:
            return None
        try:
            return step()
        except Killed:
            self.killed = True
            self.leave()
            return None

    def spare(self) -> bool:
        """No kill from now on; whether it was killed before."""
        self.machine.script = lambda name: None
        return self.killed

    def begin(self) -> None:
        """Start the program."""
        table = self.table

        def open_() -> None:
            incarnation = max(table.last + 1, self.watcher.incarnation)
            stdin = self.watcher.open(incarnation)
            table.incarnation = table.last = incarnation  # the incarnation log has its begin, the child has its stdin
            table.program = Program(os.dup(stdin), table.paths.fifo("err"))
            table.programs.append(table.program)
            self.machine.close(stdin)
            self.watcher.began()

        self.do(open_)

    def turn(self, times: int = 1) -> None:
        """Turns of the loop; nothing is waited for."""
        for _ in range(times):
            self.do(lambda: self.reactor.turn(0.0))

    def end(self, own_death: bool = True) -> None:
        """The program is dead: drain and close the life, as often as it takes."""
        table = self.table

        def close() -> None:
            for _ in range(100):
                if self.watcher.drain() and self.watcher.close(table.incarnation, own_death):
                    table.incarnation, table.program = 0, None
                    return
                self.reactor.turn(0.0)
            raise AssertionError("the life cannot be closed")

        self.do(close)

    def leave(self) -> None:
        """The worker's process is gone: so are its descriptors, the reactor's too."""
        self.machine.bury()
        with contextlib.suppress(OSError):
            self.reactor.close()

    def rest(self) -> None:
        """An orderly end of the worker."""
        if not self.killed:
            self.watcher.shut()
            self.leave()


def shut_disk(name: str = "pwrite") -> Callable[[str], int | None]:
    """A script: no room."""

    def script(call: str) -> int | None:
        if call == name:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return None

    return script


def holds(told: list[object]) -> list[str]:
    """What the Core was asked about write ends."""
    return [type(message).__name__ for message in told if isinstance(message, HoldInput | ReleaseInput)]


SHARE = Mode.SHARE
