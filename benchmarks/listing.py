"""`efctl status` from the shell, and the time until efctl says something."""

from __future__ import annotations

import os
import statistics
import subprocess
import time
from collections.abc import Iterator

from benchmarks.bench import Bench
from benchmarks.figures import Figure, Target
from benchmarks.ours import EFCTL, environment
from benchmarks.peers import Peer
from benchmarks.processes import Programs, nothing_left
from benchmarks.starting import DEADLINE_S, FEW, MANY, sleepers
from efsupervisor.states import State


def measure(bench: Bench) -> Iterator[Figure]:
    """Milliseconds of wall time, the shell's fork and exec included."""
    times = bench.some(15, 5)
    marker, tasks = sleepers(FEW)
    peers: dict[str, float | str] = {**bench.of_peers("status", lambda peer: _peer(peer, marker, times), lambda: tasks)}
    with nothing_left(), bench.ours(tasks) as ours:
        ours.await_state(State.RUNNING)
        few = [_whole_ms([*ours.efctl, "status"]) for _ in range(times)]
        first = [_first_output_ms([*ours.efctl, "status", "sleep-0000"]) for _ in range(times)]
    yield Figure(f"efctl status, {FEW} tasks", "ms", few, Target(80), peers)
    yield Figure("efctl status of one task, first output", "ms", first, Target(80))
    yield Figure("efctl --help, first output", "ms", [_first_output_ms([*EFCTL, "--help"]) for _ in range(times)], Target(80))
    _marker, tasks = sleepers(MANY)
    with nothing_left(), bench.ours(tasks) as ours:
        ours.await_state(State.RUNNING)
        many = [_whole_ms([*ours.efctl, "status"]) for _ in range(times)]
    yield Figure(f"efctl status, {MANY:,} tasks", "ms", many, Target(150))


def _peer(peer: Peer, marker: str, times: int) -> float:
    programs = Programs(marker)
    with peer:
        programs.await_count(FEW, DEADLINE_S)
        peer.await_up()
        time.sleep(1.0)
        return statistics.median(_whole_ms(peer.status, peer.running) for _ in range(times))


def _whole_ms(command: list[str], running: bytes = b"RUNNING") -> float:
    begun_ns = time.monotonic_ns()
    done = subprocess.run(command, stdout=subprocess.PIPE, env=environment(), check=False, timeout=DEADLINE_S)
    took_ms = (time.monotonic_ns() - begun_ns) / 1e6
    if (listed := done.stdout.count(running)) < FEW:
        raise RuntimeError(f"{command[0]} ended with {done.returncode} and lists {listed} programs that run")
    return took_ms


def _first_output_ms(command: list[str]) -> float:
    begun_ns = time.monotonic_ns()
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment()) as process:
        assert process.stdout is not None
        said = os.read(process.stdout.fileno(), 1)
        took_ms = (time.monotonic_ns() - begun_ns) / 1e6
        process.stdout.read()
    if not said:
        raise RuntimeError(f"{command[0]} says nothing")
    return took_ms
