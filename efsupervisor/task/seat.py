"""What a worker lends to its watchers: the machine, the loop, the task's paths and spec, and ways to be heard.

It is the one object that StdIn, StdOut and the outlets share; none of them knows the worker.
"""

from __future__ import annotations

import os
from collections.abc import Callable

from efsupervisor.conf.schema import TaskSpec
from efsupervisor.messages import Alert, Wiring
from efsupervisor.reactor import Reactor
from efsupervisor.system import Real
from efsupervisor.task.paths import TaskPaths

DATA, STATE = b"d", b"s"
"""What is rung at a doorbell: there may be more to read; the state of a neighbour changed."""


class Seat:
    """Shared by the parts of one worker."""

    def __init__(
        self,
        wiring: Wiring,
        system: Real,
        reactor: Reactor,
        *,
        boot: str,
        say: Callable[[str, str], None],
        tell: Callable[[object], None],
        dirty: Callable[[], None],
        core_connected: Callable[[], bool],
    ) -> None:
        self.wiring = wiring
        self.system = system
        self.reactor = reactor
        self.paths = TaskPaths(wiring.task_dir)
        self.boot = boot
        self.say = say
        self.tell = tell
        self.dirty = dirty
        self.core_connected = core_connected
        self.health: dict[str, str] = {}
        self._bells: dict[str, int] = {}
        self.pack: Callable[[str, Callable[[], None]], None] = lambda _folder, _packed: None
        """Compress the closed segments of a journal, some time; then something is called."""

    @property
    def spec(self) -> TaskSpec:
        """The task's spec as it is now."""
        return self.wiring.spec

    def alert(self, what: str, sentence: str, event: bytes = b"", lines: list[str] | None = None) -> None:
        """Say it in the log and to the Core."""
        self.say("WARN", sentence)
        self.tell(Alert(what=what, sentence=sentence, event=event[:4096], lines=lines or []))

    def message(self, sentence: str, event: bytes, lines: list[str]) -> None:
        """What the program itself had to say: an alert of the task."""
        self.say("WARN", sentence)
        self.tell(Alert(what="message", sentence=sentence, event=event, lines=lines))

    def ill(self, part: str, sentence: str) -> None:
        """A part cannot work now; said once, shown until `well`."""
        if self.health.get(part) != sentence:
            self.health[part] = sentence
            self.alert("health", sentence)
            self.dirty()

    def well(self, part: str) -> None:
        """The part works again."""
        if self.health.pop(part, None) is not None:
            self.say("INFO", f"{part} works again")
            self.dirty()

    def ring(self, task_dir: str, what: bytes = DATA) -> None:
        """Ring a neighbour's doorbell; one that does not exist yet or is full needs no ringing: its worker looks when it starts."""
        fd = self._bells.get(task_dir)
        try:
            if fd is None:
                fd = self._bells[task_dir] = self.system.open(TaskPaths(task_dir).fifo("bell"), os.O_RDWR | os.O_NONBLOCK)
            self.system.write(fd, what)
        except (FileNotFoundError, BlockingIOError):
            return

    def forget_bells(self) -> None:
        """Neighbours changed: open their bells anew."""
        for fd in self._bells.values():
            self.system.close(fd)
        self._bells.clear()
