"""Bytes a second of a logged `stream` flow `a -> b`, beside `a | tee file | b` and the shell's own `head | tee file | wc -c`."""

from __future__ import annotations

import shlex
import statistics
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks.bench import Bench
from benchmarks.figures import Figure, Target
from benchmarks.ours import TaskKeys
from benchmarks.processes import nothing_left
from benchmarks.tool import LINE, await_file

MIB = 1 << 20
DEADLINE_S = 120.0


def measure(bench: Bench) -> Iterator[Figure]:
    """MiB/s from the first write of `a` to the last read of `b`."""
    size = bench.some(1024, 128) * MIB
    ours, bare, shell = [], [], []
    for _ in range(bench.some(5, 1)):
        bare.append(_through_tee(bench, size))
        shell.append(_in_shell(bench, size))
        ours.append(_through_flow(bench, size))
    share = [each / tee for each, tee in zip(ours, bare, strict=True)]
    yield Figure("stream flow, logged", "MiB/s", ours, None, {"kernel": statistics.median(bare)}, "kernel: a | tee file | b")
    yield Figure("  of tee's", "x", share, Target(0.9, at_least=True))
    yield Figure("head | tee file | wc -c in the shell", "MiB/s", shell)


def _through_flow(bench: Bench, size: int) -> float:
    begun, done = bench.place("begun"), bench.place("done")
    tasks: dict[str, TaskKeys] = {
        "a": {"command": bench.tool.command("produce", size, LINE, begun), "kind": "job"},
        "b": {"command": bench.tool.command("sink", size, done), "input": {"protocol": "stream"}},
    }
    with nothing_left(), bench.ours(tasks, {"bytes": {"from": "a", "to": "b", "start": "begin"}}):
        return _rate(begun, done, size)


def _through_tee(bench: Bench, size: int) -> float:
    begun, done, log = bench.place("begun"), bench.place("done"), bench.place("log")
    produce = shlex.join(bench.tool.command("produce", size, LINE, begun))
    sink = shlex.join(bench.tool.command("sink", size, done))
    try:
        subprocess.run(["sh", "-c", f"{produce} | tee {shlex.quote(str(log))} | {sink}"], check=True, timeout=DEADLINE_S)
        return _rate(begun, done, size)
    finally:
        log.unlink(missing_ok=True)


def _in_shell(bench: Bench, size: int) -> float:
    """Zeros, with the start of four programs."""
    log = bench.place("log")
    begun = time.monotonic()
    try:
        subprocess.run(
            ["sh", "-c", f"head -c {size} /dev/zero | tee {shlex.quote(str(log))} | wc -c"], check=True, stdout=subprocess.DEVNULL, timeout=DEADLINE_S
        )
        return size / MIB / (time.monotonic() - begun)
    finally:
        log.unlink(missing_ok=True)


def _rate(begun: Path, done: Path, size: int) -> float:
    (ended_ns,) = await_file(done, DEADLINE_S)
    return size / MIB / ((ended_ns - await_file(begun, 1.0)[0]) / 1e9)
