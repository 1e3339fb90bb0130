"""Nobody looked for a while (faults A6): the Core alone, or all of ours as on a suspended machine, stood still, and then go on.

Nobody is judged for the time in which nobody could answer, and deadlines move by it.  The small run stands still for longer than every deadline,
EFS_CHAOS=full for a minute.
"""

from __future__ import annotations

import signal
import time
from pathlib import Path

import pytest

from efsupervisor.reactor import GAP_S
from efsupervisor.states import State
from tests.support import processes
from tests.support.nemesis import Tally
from tests.support.report import Report
from tests.support.supervisor import Supervisor
from tests.support.wait import spin, until

TASKS = ("S", "T")
DEAF = "trap '' TERM; echo ready; while :; do sleep 1000; done"
GRACE_S = 6.0
QUICK = {"ping_s": 0.2, "ping_deadline_s": 0.5}


def stand_still(pids: list[int], gap_s: float) -> None:
    """SIGSTOP, a while, SIGCONT."""
    for pid in pids:
        processes.send(pid, signal.SIGSTOP)
    for pid in pids:
        until(lambda: (process := processes.look(pid)) and process.state == "T", 5, "it stands still")  # noqa: B023
    spin(gap_s)
    for pid in pids:
        processes.send(pid, signal.SIGCONT)


@pytest.mark.parametrize("who", ["core", "everybody"])
def test_a_gap_costs_nobody_his_life_and_moves_the_deadlines(tmp_path: Path, seed: int, full: bool, report: Report, who: str) -> None:
    gap_s, tally = 60.0 if full else GRACE_S + GAP_S, Tally(seed)
    sleeper = {"command": "sleep 100000", "startsecs": 0}
    tasks = {**dict.fromkeys(TASKS, sleeper), "D": {"command": ["sh", "-c", DEAF], "startsecs": 0, "stopwaitsecs": GRACE_S}}
    with Supervisor(tmp_path, tasks, supervisor=QUICK) as supervisor:
        for task in TASKS:
            supervisor.await_state(task, State.RUNNING)
        until(lambda: supervisor.output("D") == b"ready\n", 20, "D is deaf")
        deaf, core = supervisor.program_pid("D"), supervisor.core_pid
        workers = {name: supervisor.worker_pid(name) for name in tasks}
        programs = {name: supervisor.program_pid(name) for name in TASKS}
        asked = time.monotonic()
        if who == "everybody":
            supervisor.trm("D", wait=False)
            supervisor.await_state("D", State.STOPPING)
        stand_still([core, *(workers.values() if who == "everybody" else ())], gap_s)
        went_on = time.monotonic()
        tally.struck("gap")
        if who == "everybody":
            left_s = GRACE_S - (went_on - gap_s - asked)
            until(lambda: not processes.alive(deaf), GRACE_S + 10, "its grace ends")
            assert time.monotonic() - went_on > left_s - GAP_S - 0.5, "what was left of its grace when all stood still was left when they went on"
            supervisor.await_state("D", State.STOPPED)
        until(lambda: time.monotonic() - went_on > 2.0 and supervisor.status(), 10, "several pings have been sent since")
        tally.recovered("gap", went_on)
        rows = supervisor.status()
        assert supervisor.core_pid == core
        assert processes.alive(core)
        assert {name: supervisor.program_pid(name) for name in TASKS} == programs
        assert {name: rows[name].worker_pid for name in TASKS} == {name: workers[name] for name in TASKS}
        assert all(rows[name].state is State.RUNNING for name in TASKS)
        assert "killed and replaced" not in supervisor.story()
    report(tally, [], 0)
