"""The wall clock jumps by a second to ten years, forwards and backwards (faults B17, P8): nothing changes but stamps.

No grace period, start time, delay or deadline of a ping ends early or late for it; no program is ended or started again.  What schedules make of
skipped and repeated hours is in tests/unit/core/test_core_schedules.py.
"""

from __future__ import annotations

import random
import time
from pathlib import Path

from efsupervisor.states import State
from tests.support import processes
from tests.support.nemesis import Tally
from tests.support.report import Report
from tests.support.supervisor import SUPPORT, Supervisor
from tests.support.wait import spin, until

YEAR = 365 * 86_400 * 10**9
GRACE_S = 4.0
DEAF = "trap '' TERM; echo ready; while :; do sleep 1000; done"


class WallClock:
    """What is added to the clock of the supervisor under test."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.write_bytes(bytes(8))

    def jump(self, offset_ns: int) -> None:
        with open(self.path, "r+b", buffering=0) as file:
            file.write(offset_ns.to_bytes(8, "little", signed=True))


def test_whatever_the_wall_clock_does_nothing_is_killed_started_or_judged_early(tmp_path: Path, seed: int, full: bool, report: Report) -> None:
    dice, tally, clock = random.Random(seed), Tally(seed), WallClock(tmp_path / "jump")
    deaf = {"command": ["sh", "-c", DEAF], "startsecs": 0, "stopwaitsecs": GRACE_S, "autostart": False}
    tasks = {
        "S": {"command": "sleep 1000", "startsecs": 0},
        "late": {"command": "sleep 1000", "startsecs": GRACE_S, "autostart": False},
        "delayed": {"command": "false", "startsecs": 1, "startretries": 1000, "backoff_s": GRACE_S, "autostart": False},
        "deaf": deaf,
    }
    environment = {"EFS_TEST_JUMP": str(clock.path)}
    quick = {"ping_s": 0.2, "ping_deadline_s": 2}
    with Supervisor(tmp_path, tasks, supervisor=quick, environment=environment, launcher=SUPPORT / "jumping_supervisor.py") as supervisor:
        supervisor.await_state("S", State.RUNNING)
        kept = supervisor.program_pid("S"), supervisor.worker_pid("S"), supervisor.core_pid
        jumps = 500 if full else 60
        while tally.total < jumps:
            asked = time.monotonic()
            supervisor.act("deaf", "late", "delayed", wait=False)
            until(lambda: supervisor.output("deaf").endswith(b"ready\n") and supervisor.program_now("deaf"), 20, supervisor.story)
            supervisor.await_state("delayed", State.BACKOFF)
            row, began = supervisor.row("deaf"), time.monotonic()
            late = supervisor.row("late")
            supervisor.trm("deaf", wait=False)
            while time.monotonic() - began < GRACE_S - 1.0:
                size = 10.0 ** dice.uniform(9.0, 17.5)  # ns: one second to ten years
                clock.jump(dice.choice((-1, 1)) * min(10 * YEAR, int(size)))
                tally.struck("jump")
                spin(0.15)
            assert processes.alive(row.pid), f"killed {time.monotonic() - began:.1f} s after it was asked, its grace is {GRACE_S:g} s"
            now = supervisor.status()
            if time.monotonic() - asked < GRACE_S - 0.5:
                assert now["deaf"].state is State.STOPPING
                assert now["late"].state is State.STARTING
                assert now["late"].pid == late.pid
                assert now["delayed"].state is State.BACKOFF
            supervisor.await_state("deaf", State.STOPPED)
            assert time.monotonic() - began < GRACE_S + 5, "nor does it last any longer"
            supervisor.await_state("late", State.RUNNING)
            supervisor.trm("late", "delayed")
            assert (supervisor.program_pid("S"), supervisor.worker_pid("S"), supervisor.core_pid) == kept
        clock.jump(0)
        log = (supervisor.var / "log" / "efsupervisord.log").read_text(errors="replace")
        assert "killed and replaced" not in log
    report(tally, [], 0)
