"""What the processes of a supervisor do while nothing happens: wake-ups and CPU over some seconds."""

from __future__ import annotations

import time
from collections.abc import Iterator

from benchmarks.bench import Bench
from benchmarks.figures import Figure, Target
from benchmarks.peers import Peer
from benchmarks.processes import Activity, Programs, activity, descendants, nothing_left
from benchmarks.starting import DEADLINE_S, FEW, sleepers
from efsupervisor.states import State

SETTLE_S = 8.0


def measure(bench: Bench) -> Iterator[Figure]:
    """Wake-ups of all workers and of the Core in 10 s, CPU in per cent of one core."""
    span_s = bench.some(10, 3)
    marker, tasks = sleepers(FEW)
    peers = bench.of_peers("idle", lambda peer: _peer(peer, marker, span_s), lambda: tasks)
    off = {name: {"enabled": False} for name in ("resource", "result")}
    with nothing_left(), bench.ours(tasks, settings=off) as ours:
        rows = ours.await_state(State.RUNNING)
        workers, programs = [row.worker_pid for row in rows], {row.pid for row in rows}
        time.sleep(SETTLE_S)
        siblings = sorted(descendants(ours.core_pid) - {*workers, *programs})
        done = _done([ours.core_pid, *workers, *siblings], span_s)
    core, of_workers = done[0], done[1 : 1 + len(workers)]
    bare = sum(each.cpu_ns for each in done[: 1 + len(workers)]) / 1e9 / span_s * 100
    cpu = sum(each.cpu_ns for each in done) / 1e9 / span_s * 100
    theirs: list[dict[str, float | str]] = [{name: figure[which] for name, figure in peers.items()} for which in (0, 1)]
    yield Figure(f"idle: wake-ups of {FEW} workers in {span_s} s", "", [sum(each.wakeups for each in of_workers)], Target(0))
    yield Figure(f"idle: wake-ups of the Core in {span_s} s", "", [core.wakeups], Target(span_s / 2), theirs[0])
    yield Figure("idle: CPU of Core and workers", "%", [bare], peers=theirs[1])
    yield Figure("idle: CPU of all, collectors off", "%", [cpu], Target(0.05))


def _done(pids: list[int], span_s: float) -> list[Activity]:
    before = [activity(pid) for pid in pids]
    time.sleep(span_s)
    return [activity(pid) - earlier for pid, earlier in zip(pids, before, strict=True)]


def _peer(peer: Peer, marker: str, span_s: float) -> tuple[float, float]:
    """Wake-ups and CPU of its own processes together."""
    programs = Programs(marker)
    with peer:
        programs.await_count(FEW, DEADLINE_S)
        time.sleep(SETTLE_S)
        done = _done(peer.own(), span_s)
        return float(sum(each.wakeups for each in done)), sum(each.cpu_ns for each in done) / 1e9 / span_s * 100
