"""What kills: seeded, at instants from microseconds to 100 ms apart, one process or several at the same instant.

It finds a worker as /proc shows it, so that it can strike a newborn worker within microseconds of its fork.  A worker that dies twice within a
second is replaced with a delay that grows, so after a strike on a newborn the nemesis leaves that task alone for a little more than a second and
turns to the others.

A recovery is measured from a kill until the supervisor is in charge again as its own status says; for a program until its successor runs.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Collection
from pathlib import Path
from typing import Any

from efsupervisor.states import State
from tests.support import processes
from tests.support.supervisor import MARK, SUPPORT, Supervisor
from tests.support.wait import spin, until

REST_S = 1.1


@dataclasses.dataclass
class Tally:
    """What was done, and the longest recovery of each kind in seconds."""

    seed: int
    faults: dict[str, int] = dataclasses.field(default_factory=dict)
    recovery_s: dict[str, float] = dataclasses.field(default_factory=dict)

    def struck(self, kind: str, count: int = 1) -> None:
        """Count a fault."""
        self.faults[kind] = self.faults.get(kind, 0) + count

    def recovered(self, kind: str, began: float) -> None:
        """Note a recovery that began at this time."""
        self.recovery_s[kind] = max(self.recovery_s.get(kind, 0.0), time.monotonic() - began)

    @property
    def total(self) -> int:
        """All faults."""
        return sum(self.faults.values())


class Nemesis:
    """Kills processes of one supervisor; all randomness comes from the seed.

    streams: consumers without acknowledgements.  Where such a program dies in the same instant as its worker, its pipe dies with its last holder,
    and nobody can tell any more what it had read: it is given again.  So those two are never struck together here; a test of its own does that.
    """

    def __init__(self, supervisor: Supervisor, tasks: list[str], seed: int, *, streams: Collection[str] = ()) -> None:
        self.supervisor = supervisor
        self.tasks = tasks
        self.streams = frozenset(streams)
        self.dice = random.Random(seed)
        self.tally = Tally(seed)
        self._known: dict[str, tuple[int, int]] = {}
        self._ready_at = dict.fromkeys(tasks, 0.0)

    def gap(self) -> float:
        """A time between 10 microseconds and 100 ms, each order of magnitude as likely as another."""
        return float(10.0 ** self.dice.uniform(-5.0, -1.0))

    # Workers -------------------------------------------------------------------------------------------------------------------------------------

    def worker(self, task: str) -> int:
        """The pid of a task's worker now, 0 when there is none."""
        pid, ticks = self._known.get(task, (0, 0))
        if pid and processes.alive(pid, ticks):
            return pid
        child = self._newborn(task) if self.supervisor.core_pid else 0
        found = processes.look(child) if child else self.supervisor.workers().get(task)
        if found is None or found.state in "ZX":
            return 0
        self._known[task] = (found.pid, found.ticks)
        return found.pid

    def _newborn(self, task: str) -> int:
        """A worker that is a child of the Core: the quick way to see one right after its fork."""
        for pid in reversed(processes.children(self.supervisor.core_pid)):
            with contextlib.suppress(OSError), open(f"/proc/{pid}/comm", encoding="utf-8", errors="replace") as file:
                if file.read().rstrip("\n") == f"ef:{task}" and processes.alive(pid):
                    return pid
        return 0

    def _await_newborn(self, task: str, old: int, deadline_s: float = 15.0) -> int:
        end = time.monotonic() + deadline_s
        while time.monotonic() < end and processes.alive(self.supervisor.core_pid):
            pid = self._newborn(task)
            if pid and pid != old:
                return pid
        raise AssertionError(
            f"no worker of {task} came back after {old} within {deadline_s:g} s, or the Core died (seed {self.tally.seed})\n{self.supervisor.story()}"
        )

    def _rested(self) -> str:
        task = min(self.tasks, key=lambda name: (self._ready_at[name], self.dice.random()))
        rested = [name for name in self.tasks if self._ready_at[name] <= time.monotonic()]
        if rested:
            return self.dice.choice(rested)
        spin(max(0.0, self._ready_at[task] - time.monotonic()))
        return task

    def strike_worker(self) -> None:
        """Kill the worker of a task that had its rest, and with one chance in three its successor as well, within microseconds to 100 ms of its
        birth."""
        task = self._rested()
        spin(self.gap())
        old = self.worker(task)
        if not old:
            old = until(lambda: self.worker(task), 15, lambda: f"{task} has a worker (seed {self.tally.seed})\n{self.supervisor.story()}")
        began = time.monotonic()
        processes.send(old, signal.SIGKILL)
        self.tally.struck("worker")
        if self.dice.random() < 0.33:
            newborn = self._await_newborn(task, old)
            spin(self.gap())
            processes.send(newborn, signal.SIGKILL)
            self.tally.struck("worker")
            self._await_newborn(task, newborn)
        elif self.dice.random() < 0.5:
            self._await_newborn(task, old)
            self._in_charge(task, old, began)
        self._ready_at[task] = time.monotonic() + REST_S

    def _in_charge(self, task: str, old: int, began: float) -> None:
        def adopted() -> bool:
            with contextlib.suppress(OSError):
                row = self.supervisor.row(task)
                return row.worker_pid not in (0, old) and row.state in (State.RUNNING, State.STARTING, State.BACKOFF)
            return False

        until(adopted, 10, lambda: f"the Core knows the new worker of {task} (seed {self.tally.seed})\n{self.supervisor.story()}")
        self.tally.recovered("worker", began)

    def stop_worker(self, deadline_s: float) -> None:
        """SIGSTOP a worker for good; it has to be replaced."""
        task = self._rested()
        old = until(lambda: self.worker(task), 15, f"{task} has a worker")
        began = time.monotonic()
        processes.send(old, signal.SIGSTOP)
        self.tally.struck("hang")
        until(lambda: not processes.alive(old), deadline_s, lambda: f"the stopped worker {old} of {task} is killed\n{self.supervisor.story()}")
        self._in_charge(task, old, began)
        self.tally.recovered("hang", began)
        self._ready_at[task] = time.monotonic() + REST_S

    # Core ----------------------------------------------------------------------------------------------------------------------------------------

    def strike_core(self) -> None:
        """Kill the Core at a random instant and start another."""
        spin(self.gap())
        began = time.monotonic()
        self.supervisor.kill_core()
        self.tally.struck("core")
        self._restart_core(began)

    def strike_both(self) -> None:
        """Kill the Core and one worker, or the Core and every worker, at the same instant; start another Core."""
        workers = [pid for task in self.tasks if (pid := self.worker(task))]
        victims = workers if self.dice.random() < 0.4 else self.dice.sample(workers, min(1, len(workers)))
        spin(self.gap())
        began = time.monotonic()
        order = [self.supervisor.core_pid, *victims]
        self.dice.shuffle(order)
        for pid in order:
            processes.send(pid, signal.SIGKILL)
        self.tally.struck("both")
        self.supervisor.await_core_end()
        if self.dice.random() < 0.5:
            spin(self.gap())
        self._restart_core(began)

    def _restart_core(self, began: float) -> None:
        self.supervisor.start()
        wanted = set(self.tasks)

        def back() -> bool:
            with contextlib.suppress(OSError):
                rows = self.supervisor.status()
                return all(task in rows and rows[task].worker_pid and rows[task].state is not State.UNKNOWN for task in wanted)
            return False

        until(back, 20, lambda: f"every task has a worker again (seed {self.tally.seed}): {self.supervisor.status()}\n{self.supervisor.story()}")
        self.tally.recovered("core", began)

    # Programs ------------------------------------------------------------------------------------------------------------------------------------

    def strike_program(self, tasks: list[str]) -> None:
        """Kill a program; with one chance in four its worker at the same instant."""
        rested = [name for name in tasks if name not in self.streams or self._ready_at.get(name, 0.0) <= time.monotonic()]
        task = self.dice.choice(rested or tasks)
        old = until(
            lambda: self.supervisor.program_now(task), 20, lambda: f"{task} has a program (seed {self.tally.seed})\n{self.supervisor.story()}"
        )
        together = self.dice.random() < 0.25 and task not in self.streams
        worker = self.worker(task) if together and self._ready_at.get(task, 0.0) <= time.monotonic() else 0
        spin(self.gap())
        began = time.monotonic()
        processes.send(old, signal.SIGKILL)
        if worker:
            processes.send(worker, signal.SIGKILL)
            self.tally.struck("worker")
            self._ready_at[task] = time.monotonic() + REST_S
        self.tally.struck("program")
        until(
            lambda: self.supervisor.program_now(task) not in (0, old),
            20,
            lambda: f"{task} is back (seed {self.tally.seed})\n{self.supervisor.story()}",
        )
        self.tally.recovered("program", began)

    def pause_program(self, tasks: list[str]) -> None:
        """SIGSTOP a program for a moment; nothing may notice."""
        pid = self.supervisor.program_now(self.dice.choice(tasks))
        if pid:
            processes.send(pid, signal.SIGSTOP)
            spin(self.gap())
            processes.send(pid, signal.SIGCONT)
            self.tally.struck("pause")


class Sampler:
    """The outside witness of two copies (sampler.py), as a context manager; `result` holds its findings afterwards."""

    def __init__(self, supervisor: Supervisor) -> None:
        self._output = supervisor.folder / "sampler.json"
        self._mark = f"{MARK}={supervisor.mark}"
        self.result: dict[str, Any] = {}

    def __enter__(self) -> Sampler:
        command = [sys.executable, "-S", "-E", "-s", str(SUPPORT / "sampler.py"), str(self._output), self._mark]
        self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, env={"PATH": os.environ.get("PATH", "")})
        return self

    def __exit__(self, *_: object) -> None:
        self.finish()

    def finish(self) -> None:
        """End the sampler and read its findings; once is enough, more does no harm."""
        self._process.terminate()
        self._process.wait(10)
        with contextlib.suppress(FileNotFoundError):
            self.result = json.loads(Path(self._output).read_text(encoding="utf-8"))

    @property
    def copies(self) -> int:
        """Samples in which a task had two programs; there must have been samples."""
        assert self.result.get("samples", 0) > 0, "the sampler took no sample"
        return len(self.result["copies"])
