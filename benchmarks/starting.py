"""Many tasks of `sleep`: from launch to all running, and until all have ended."""

from __future__ import annotations

import shutil
import statistics
import time
from collections.abc import Iterator
from typing import Protocol

from benchmarks.bench import Bench
from benchmarks.figures import Figure, Target
from benchmarks.ours import TaskKeys
from benchmarks.processes import Programs, nothing_left

FEW, MANY = 200, 1000
DEADLINE_S = 60.0
FASTER_THAN_SUPERVISORD = 3.0


class Startable(Protocol):
    """A supervisor, ours or another."""

    def launch(self) -> int: ...
    def stop(self) -> float: ...
    def close(self) -> None: ...


def sleepers(count: int) -> tuple[str, dict[str, TaskKeys]]:
    """So many tasks, and the argument by which their programs are found."""
    marker = f"86400.{time.monotonic_ns()}"
    sleep = shutil.which("sleep") or "/bin/sleep"
    return marker, {f"sleep-{number:04}": {"command": [sleep, marker], "startsecs": 0} for number in range(count)}


def measure(bench: Bench) -> Iterator[Figure]:
    """Seconds for 200 tasks and for 1,000."""
    begins, ends = [], []
    theirs: dict[str, list[tuple[float, float]]] = {}
    for _ in range(bench.some(5, 1)):
        marker, tasks = sleepers(FEW)
        begun, ended = _once(bench.ours(tasks), marker, FEW)
        begins.append(begun)
        ends.append(ended)
        for name, pair in bench.of_peers("start and stop", lambda peer: _once(peer, marker, FEW), lambda: tasks).items():  # noqa: B023 - used at once
            theirs.setdefault(name, []).append(pair)
    peers: list[dict[str, float | str]] = [
        {name: statistics.median(pair[which] for pair in pairs) for name, pairs in theirs.items()} for which in (0, 1)
    ]
    few = Figure(f"{FEW} tasks, launch to all running", "s", begins, Target(0.6), peers[0])
    yield few
    if isinstance(supervisord := peers[0].get("supervisord"), float):
        faster = supervisord / few.value
        yield Figure("  times faster than supervisord", "x", [faster], Target(FASTER_THAN_SUPERVISORD, at_least=True))
    yield Figure(f"{FEW} tasks, stop", "s", ends, Target(0.5), peers[1])
    yield from _many(bench, few.value)


def _many(bench: Bench, few_s: float) -> Iterator[Figure]:
    """Linear in tasks: 1,000 cost at most five times what 200 cost, and a tenth more."""
    begins, ends = [], []
    for _ in range(bench.some(3, 1)):
        marker, tasks = sleepers(MANY)
        begun, ended = _once(bench.ours(tasks), marker, MANY)
        begins.append(begun)
        ends.append(ended)
    limit = few_s * MANY / FEW * 1.1
    yield Figure(f"{MANY:,} tasks, launch to all running", "s", begins, Target(limit, text=f"<= {limit:.3g} (linear)"))
    yield Figure(f"{MANY:,} tasks, stop", "s", ends, Target(5.0))


def _once(supervisor: Startable, marker: str, count: int) -> tuple[float, float]:
    with nothing_left():
        programs = Programs(marker)
        try:
            begun_ns = supervisor.launch()
            programs.await_count(count, DEADLINE_S)
            took_s = (time.monotonic_ns() - begun_ns) / 1e9
            time.sleep(0.5)  # what follows the start is not part of the stop
            stopped_s = supervisor.stop()
            if left := programs.count(1):
                raise RuntimeError(f"{left} programs are left after an orderly stop")
            return took_s, stopped_s
        finally:
            supervisor.close()
