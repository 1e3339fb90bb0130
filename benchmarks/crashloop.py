"""What a hundred programs that die at once cost their supervisor, once the delays between their starts have grown."""

from __future__ import annotations

import time
from collections.abc import Iterator

from benchmarks.bench import Bench
from benchmarks.figures import Figure, Target
from benchmarks.processes import activity, nothing_left

TASKS = 100
SETTLE_S = 60.0
"""By then the delay has nearly grown to backoff_max_s."""


def measure(bench: Bench) -> Iterator[Figure]:
    """CPU of the Core, and of the Core with all workers, in per cent of one core."""
    span_s = bench.some(120, 60)  # each task is started about once a minute then
    tasks = {f"loop{number}": {"command": ["/bin/false"], "startretries": 1_000_000} for number in range(TASKS)}
    with nothing_left(), bench.ours(tasks, settings={"services": False}) as ours:
        time.sleep(SETTLE_S)
        pids = [ours.core_pid, *(row.worker_pid for row in ours.status())]
        before = {pid: activity(pid).cpu_ns for pid in pids}
        restarts = sum(row.restarts for row in ours.status())
        time.sleep(span_s)
        spent = [(activity(pid).cpu_ns - before[pid]) / 1e9 / span_s * 100 for pid in pids]
        starts = sum(row.restarts for row in ours.status()) - restarts
    note = f"{starts / span_s:.1f} starts a second"
    yield Figure(f"crash loop: CPU of the Core, {TASKS} tasks", "%", [spent[0]], Target(2.0), note=note)
    yield Figure(f"crash loop: CPU of the Core and {TASKS} workers", "%", [sum(spent)], Target(2.0), note=note)
