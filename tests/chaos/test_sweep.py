"""The sweep (faults A19, B2, B3; T8): the Nth call of a kind fails, N = 1, 2, 3 ..., once and from there on, in the Core, in workers and in children
that are about to become programs.

After each point, within 5 s: the same Core, every task runs once under a worker that answers, and no program of which nobody asked it was ended.  At
the end of a run: no line was lost, torn or doubled, and the sampler never saw two copies.

The small run is a sample; EFS_CHAOS=full goes through all of them, more than 2,000, or as far as EFS_CHAOS_SECONDS allow each of the roles.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import random
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from efsupervisor import messages
from efsupervisor.errors import EfError
from efsupervisor.states import State
from tests.support import processes
from tests.support.fault_table import CALLS, ROLES, Point, Table
from tests.support.field import RESTARTS, Field
from tests.support.nemesis import Sampler, Tally
from tests.support.report import Report
from tests.support.supervisor import SUPPORT
from tests.support.wait import Overdue, spin, until

VICTIMS = [f"V{number}" for number in range(16)]
"""Not a multiple of three, so that each has its turn to be stopped, orphaned and killed."""
SOME = 24
DEEPEST = 24
"""Largest N: a round makes some calls a hundred times, and the later ones are like the earlier ones."""
RECOVERED_S = 5.0
LASTING_S = 0.2
TROUBLE = (OSError, EfError, AssertionError)


class Sweep:
    """One supervisor under traffic, a table of faults, and what came of each."""

    def __init__(self, folder: Path, seed: int) -> None:
        path = folder / "faults"
        self.table = Table(path)
        sleeper = {"command": ["sleep", "1000"], **RESTARTS}
        self.field = Field(
            folder, seed=seed, rate=150, parts=("E8", "F"), segment=16 << 10, environment={"EFS_TEST_FAULTS": str(path)},
            launcher=SUPPORT / "faulty_supervisor.py", more=dict.fromkeys(VICTIMS, sleeper), supervisor={"ping_s": 0.5, "ping_deadline_s": 2},
        )  # fmt: skip
        self.supervisor = self.field.supervisor
        self.tally = Tally(seed)
        self.troubles: list[str] = []
        self._log = folder / "troubles"
        self.kept: dict[str, int] = {}
        self._victims = itertools.cycle(VICTIMS)
        self._workers: dict[str, int] = {}

    def begin(self) -> None:
        """Traffic flows, everybody runs; remember who may not change."""
        self.field.await_traffic()
        until(self.well, 20, lambda: f"it begins well\n{self.supervisor.story()}")
        self.kept = {name: self.supervisor.program_pid(name) for name in self.field.tasks}

    def trouble(self, text: str) -> None:
        """Kept for the end; a long run can be looked at meanwhile."""
        self.troubles.append(text)
        with open(self._log, "a", encoding="utf-8") as file:
            file.write(text + "\n\n")

    # A round --------------------------------------------------------------------------------------------------------------------------------------

    def ask(self, request: messages.StatusRequest | messages.ActRequest | messages.TrmRequest) -> None:
        """Somebody asks; what becomes of this one request does not matter."""
        with contextlib.suppress(*TROUBLE):
            self.supervisor.ask(request, 1.0)

    def round(self) -> str:
        """Something of everything: a status, a stop, a worker that dies, a program that dies, a start; whom the stop hit."""
        stopped, orphaned, killed = (next(self._victims) for _ in range(3))
        with contextlib.suppress(*TROUBLE):
            rows = self.supervisor.status(timeout_s=1.0)
            self.ask(messages.TrmRequest(id="t", names=[stopped], wait=False))
            for pid in (rows[orphaned].worker_pid, rows[killed].pid):
                if pid:
                    processes.send(pid, 9)
        self.ask(messages.ActRequest(id="a", names=[stopped], wait=False))
        self.ask(messages.StatusRequest(id="s", names=[]))
        return stopped

    def well(self) -> bool:
        """Every task runs under a worker that answers, and its program is there."""
        with contextlib.suppress(*TROUBLE):
            rows = self.supervisor.status(timeout_s=1.0)
            self._workers = {name: row.worker_pid for name, row in rows.items()}
            return all(row.state is State.RUNNING and row.worker_pid and processes.alive(row.pid) for row in rows.values())
        return False

    def census(self) -> dict[tuple[str, str], int]:
        """How often each call is made in a round, up to DEEPEST."""
        before = {(role, call): self.table.counted(role, call) for role in ROLES for call in CALLS}
        for _ in range(3):
            self.round()
            until(self.well, 20, lambda: f"a round without a fault ends well\n{self.supervisor.story()}")
        return {key: min(DEEPEST, (self.table.counted(*key) - count + 2) // 3) for key, count in before.items()}

    def strike(self, point: Point) -> None:
        """One point, and what must hold after it."""
        core, before = self.supervisor.core_pid, dict(self._workers)
        self.table.arm(point)
        stopped = {self.round()}
        if point.lasting:
            spin(LASTING_S)
        else:
            with contextlib.suppress(Overdue):
                until(lambda: self.table.hits, 0.3)
        if not self.table.hits:
            stopped.add(self.round())  # a round makes some calls more often than the next
        hit = self.table.disarm()
        began = time.monotonic()
        if not hit:
            return
        self.tally.struck(f"{point.role} {'lasting' if point.lasting else 'single'}")
        self.ask(messages.ActRequest(id="b", names=sorted(stopped), wait=False))  # the start may be what failed
        try:
            until(self.well, 20)
        except Overdue:
            self.trouble(f"{point}: not well within 20 s: {self._rows()}\n{self.supervisor.story()}")
        self.tally.recovered(point.role, began)
        if time.monotonic() - began > RECOVERED_S:
            self.trouble(f"{point}: well only after {time.monotonic() - began:.1f} s")
        self._judge(point, core)
        if any(before.get(name) != pid for name, pid in self._workers.items() if name in self.kept):
            spin(1.1)  # a worker that dies twice within a second is replaced later and later, by design

    def _judge(self, point: Point, core: int) -> None:
        if not processes.alive(core):
            self.trouble(f"{point}: the Core ended\n{self.supervisor.story()}")
            self.supervisor.start()
        for name, pid in self.kept.items():
            if not processes.alive(pid):
                self.trouble(f"{point}: the program of {name} (pid {pid}) ended")
                self.kept[name] = self.supervisor.program_pid(name)

    def _rows(self) -> str:
        with contextlib.suppress(*TROUBLE):
            return "; ".join(
                f"{name} {row.state.name} pid {row.pid} worker {row.worker_pid} {row.reason}"
                for name, row in self.supervisor.status(timeout_s=2.0).items()
                if row.state is not State.RUNNING or not row.worker_pid or not processes.alive(row.pid)
            )
        return "the Core does not answer"


def points(role: str, census: dict[tuple[str, str], int]) -> Iterator[Point]:
    """All points of a role."""
    for call, errors in CALLS.items():
        for number in range(1, census[role, call] + 1):
            for error in errors:
                for lasting in (False, True):
                    yield Point(role, call, error, number, lasting)


@pytest.mark.parametrize("role", ROLES)
def test_whatever_call_fails_once_or_for_a_while_everything_goes_on(tmp_path: Path, seed: int, full: bool, report: Report, role: str) -> None:
    sweep = Sweep(tmp_path, seed)
    with Sampler(sweep.supervisor) as sampler, sweep.supervisor:
        sweep.begin()
        wanted = list(points(role, sweep.census()))
        random.Random(seed).shuffle(wanted)
        assert len(wanted) > SOME, "the calls of this role are seen"
        end, tried = time.monotonic() + float(os.environ.get("EFS_CHAOS_SECONDS", "inf")), 0
        for point in wanted if full else wanted[:SOME]:
            sweep.strike(point)
            tried += 1
            if time.monotonic() > end:
                break
        trouble = sweep.field.settle_down()
        verdicts = sweep.field.verdicts()
        sampler.finish()
        report(sweep.tally, verdicts, sampler.copies + sum(verdict.copies for verdict in verdicts))
        bad = [str(verdict) for verdict in verdicts if not verdict.clean]
        assert not (bad or trouble or sweep.troubles), "\n".join([f"seed {seed}", *sweep.troubles, *bad, trouble])
        assert sampler.copies == 0, sampler.result
    assert sweep.tally.total > tried // 4, f"the faults missed what is done: {sweep.tally.faults} of {tried}"
