"""Events a second from task to journal to task, each acknowledged, beside the same consumer on bare pipes without any journal."""

from __future__ import annotations

import statistics
import subprocess
from collections.abc import Iterator
from pathlib import Path

from benchmarks.bench import Bench
from benchmarks.figures import Figure, Target
from benchmarks.ours import TaskKeys
from benchmarks.processes import nothing_left
from benchmarks.tool import LINE, await_file

DEADLINE_S = 120.0
AIM = 0.7
WINDOWS = {1: (10_000, 60_000), 8: (80_000, 400_000), 64: (400_000, 1_600_000)}
"""Window: events/s that must be reached, events in a run."""


def measure(bench: Bench) -> Iterator[Figure]:
    """Events/s between the consumer's first and last event."""
    for window, (least, events) in WINDOWS.items():
        count = events // bench.some(1, 8)
        ours, bare = [], []
        for _ in range(bench.some(5, 1)):
            bare.append(_on_pipes(bench, window, count))
            ours.append(_on_journal(bench, window, count))
        limit = statistics.median(bare)
        share = [each / pipes for each, pipes in zip(ours, bare, strict=True)]
        note = "kernel: the same consumer on bare pipes"
        yield Figure(f"events, window {window}", "1/s", ours, Target(least, at_least=True), {"kernel": limit}, note)
        yield Figure("  of the pipes'", "x", share, Target(AIM, at_least=True, text=f"aim {AIM}"))


def _on_journal(bench: Bench, window: int, count: int) -> float:
    done = bench.place("done")
    tasks: dict[str, TaskKeys] = {
        "producer": {"command": bench.tool.command("produce", count * LINE, LINE, bench.place("begun")), "kind": "job"},
        "consumer": {"command": bench.tool.command("acknowledge", count, done), "input": {"protocol": "event", "window": window}},
    }
    with nothing_left(), bench.ours(tasks, {"events": {"from": "producer", "to": "consumer", "start": "begin"}}):
        return _rate(done, count)


def _on_pipes(bench: Bench, window: int, count: int) -> float:
    done = bench.place("done")
    subprocess.run(bench.tool.command("drive", window, count, LINE, done), check=True, timeout=DEADLINE_S)
    return _rate(done, count)


def _rate(done: Path, count: int) -> float:
    first_ns, last_ns = await_file(done, DEADLINE_S)
    return (count - 1) / ((last_ns - first_ns) / 1e9)
