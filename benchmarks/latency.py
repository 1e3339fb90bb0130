"""From a producer's write to its consumer's read on an idle machine: lines that carry their own time, some milliseconds apart."""

from __future__ import annotations

import shlex
import subprocess
from collections.abc import Iterator

from benchmarks.bench import Bench
from benchmarks.figures import Figure, Target
from benchmarks.ours import TaskKeys
from benchmarks.processes import nothing_left
from benchmarks.tool import await_file

GAP_MS = 5
DEADLINE_S = 60.0
WARM = 0.1
"""The first part of the lines is not counted: both programs have just been started."""


def measure(bench: Bench) -> Iterator[Figure]:
    """p50 and p99 in milliseconds for both protocols."""
    count = bench.some(1000, 200)
    pipe = _sorted_ms(_through_pipe(bench, count))
    for protocol in ("stream", "event"):
        runs = [_sorted_ms(_through_flow(bench, count, protocol)) for _ in range(bench.some(3, 1))]
        for percent, limit in ((50, 0.2), (99, 1.0)):
            values = [_percentile(run, percent) for run in runs]
            bare: dict[str, float | str] = {"kernel": _percentile(pipe, percent)}
            yield Figure(f"write to read, {protocol}, p{percent}", "ms", values, Target(limit), bare, "kernel: a | b")


def _through_flow(bench: Bench, count: int, protocol: str) -> list[int]:
    done = bench.place("done")
    tasks: dict[str, TaskKeys] = {
        "a": {"command": bench.tool.command("stamp", count, GAP_MS), "kind": "job"},
        "b": {"command": bench.tool.command("compare", count, done, *(["ack"] if protocol == "event" else [])), "input": {"protocol": protocol}},
    }
    with nothing_left(), bench.ours(tasks, {"lines": {"from": "a", "to": "b", "start": "begin"}}):
        return await_file(done, DEADLINE_S)


def _through_pipe(bench: Bench, count: int) -> list[int]:
    done = bench.place("done")
    stamp, compare = shlex.join(bench.tool.command("stamp", count, GAP_MS)), shlex.join(bench.tool.command("compare", count, done))
    subprocess.run(["sh", "-c", f"{stamp} | {compare}"], check=True, timeout=DEADLINE_S)
    return await_file(done, DEADLINE_S)


def _sorted_ms(late_ns: list[int]) -> list[float]:
    return sorted(each / 1e6 for each in late_ns[int(len(late_ns) * WARM) :])


def _percentile(ordered: list[float], percent: int) -> float:
    return ordered[min(len(ordered) - 1, len(ordered) * percent // 100)]
