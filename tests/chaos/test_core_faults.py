"""Every single call of the Core's loop fails once, one after the other (faults A19): it goes on, and everything is as it should be afterwards."""

from __future__ import annotations

import contextlib
import random
from pathlib import Path

from efsupervisor.errors import EfError
from efsupervisor.states import State
from tests.support import processes
from tests.support.supervisor import SUPPORT, Supervisor
from tests.support.wait import until

SLEEPER = {"command": ["sleep", "1000"], "startsecs": 0, "backoff_s": 0.01, "startretries": 1000, "restart_burst": 1_000_000}
TASKS = ("a", "b")
SOME = 8
MANY = 1_000_000


class Faults:
    """The countdown that the Core looks at."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.write_bytes(bytes(8))

    def arm(self, number: int) -> None:
        with open(self.path, "r+b", buffering=0) as file:
            file.write(number.to_bytes(4, "little") + (number % 3).to_bytes(4, "little"))

    def spent(self) -> int:
        """Calls since `arm(MANY)`."""
        return MANY - int.from_bytes(self.path.read_bytes()[:4], "little")

    def disarm(self) -> bool:
        """Whether the fault happened."""
        happened = self.path.read_bytes()[:4] == bytes(4)
        self.arm(0)
        return happened


def ask(supervisor: Supervisor) -> None:
    """Somebody asks; what becomes of this one request does not matter."""
    with contextlib.suppress(OSError, EfError, AssertionError):
        supervisor.status(timeout_s=2.0)


def scenario(supervisor: Supervisor) -> None:
    """Something of everything: a status, a worker that dies, a program that dies, a stop, a start."""
    ask(supervisor)
    worker = supervisor.workers().get("a")
    if worker is not None:
        processes.send(worker.pid, 9)
    pid = supervisor.program_now("b")
    if pid:
        processes.send(pid, 9)
    ask(supervisor)
    with contextlib.suppress(OSError, EfError, AssertionError):
        supervisor.trm("a", wait=False)
    with contextlib.suppress(OSError, EfError, AssertionError):
        supervisor.act("a", wait=False)
    ask(supervisor)


def well(supervisor: Supervisor, core: int) -> bool:
    """Both tasks run, once each, under workers that answer, and the Core is the same."""
    with contextlib.suppress(OSError, EfError, AssertionError):
        rows = supervisor.status(timeout_s=2.0)
        good = all(rows[name].state is State.RUNNING and rows[name].worker_pid and processes.alive(rows[name].pid) for name in TASKS)
        return good and processes.alive(core)
    return False


def copies(supervisor: Supervisor) -> int:
    return sum(1 for process in supervisor.ours() if process.name == "sleep")


def test_whatever_single_call_fails_the_core_goes_on_and_both_tasks_run_once(tmp_path: Path, seed: int, full: bool) -> None:
    faults = Faults(tmp_path / "countdown")
    environment = {"EFS_TEST_COUNTDOWN": str(faults.path)}
    tasks = dict.fromkeys(TASKS, SLEEPER)
    happened = 0
    with Supervisor(tmp_path, tasks, launcher=SUPPORT / "faulty_core.py", environment=environment) as supervisor:
        core = supervisor.core_pid
        until(lambda: well(supervisor, core), 20, "it begins well")
        faults.arm(MANY)
        scenario(supervisor)
        calls = faults.spent()
        faults.arm(0)
        assert calls > SOME, "the Core is seen at work"
        until(lambda: well(supervisor, core), 20, "it was one round without a fault")
        numbers = range(1, 2000) if full else sorted(random.Random(seed).sample(range(1, calls), SOME))
        for number in numbers:
            faults.arm(number)
            scenario(supervisor)
            with contextlib.suppress(OSError, EfError, AssertionError):
                supervisor.act("a", wait=False)  # the stop may have come last, or the start may be what failed
            hit = faults.disarm()
            happened += hit
            with contextlib.suppress(OSError, EfError, AssertionError):
                supervisor.act("a", wait=False)
            until(lambda: well(supervisor, core), 20, lambda: f"all is well after call {number} failed (seed {seed})\n{supervisor.story()}")  # noqa: B023
            until(lambda: copies(supervisor) == len(TASKS), 5, lambda: f"one copy each after call {number}\n{supervisor.story()}")  # noqa: B023
            if full and not hit:
                break
    assert happened > len(numbers) // 2 or full, f"the faults missed what the Core does: {happened} of {len(numbers)}"
    assert (tmp_path / "core.stderr").read_text().count("fault: ") == happened
