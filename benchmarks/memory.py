"""Proportional memory (PSS): of a worker, of the Core, and of a supervisor without a task, alone and with its siblings."""

from __future__ import annotations

import time
from collections.abc import Iterator

from benchmarks.bench import Bench
from benchmarks.figures import Figure, Target
from benchmarks.peers import Peer
from benchmarks.processes import Programs, descendants, nothing_left, pss_kib
from benchmarks.starting import DEADLINE_S, FEW, sleepers
from efsupervisor.states import State

SETTLE_S = 2.0
SIBLINGS_S = 8.0


def measure(bench: Bench) -> Iterator[Figure]:
    """KiB and MiB; programs are not counted."""
    marker, tasks = sleepers(FEW)
    peers = [bench.of_peers("memory", lambda peer: _peer(peer, marker, FEW), lambda: tasks)]
    peers.append(bench.of_peers("memory without a task", lambda peer: _peer(peer, "", 0), dict))
    with nothing_left(), bench.ours(tasks, settings={"services": False}) as ours:
        workers = [row.worker_pid for row in ours.await_state(State.RUNNING)]
        time.sleep(SETTLE_S)
        of_workers, of_core = sum(map(pss_kib, workers)), pss_kib(ours.core_pid)
    alone = _whole(bench, {"services": False})
    lean = _whole(bench, {name: {"enabled": False} for name in ("web", "resource", "result")})
    whole = _whole(bench, {})
    yield Figure("memory of a worker (PSS)", "KiB", [of_workers / FEW], Target(800, text="<= 800, aim 500"))
    yield Figure(f"Core with {FEW} tasks (PSS)", "MiB", [of_core / 1024])
    yield Figure("all of it, for each task", "KiB", [(of_workers + of_core) / FEW], peers={name: kib / FEW for name, kib in peers[0].items()})
    yield Figure("no task, no sibling (PSS)", "MiB", [alone / 1024], peers={name: kib / 1024 for name, kib in peers[1].items()})
    yield Figure("no task, web and collectors off (PSS)", "MiB", [lean / 1024], Target(25))
    yield Figure("no task, every sibling (PSS)", "MiB", [whole / 1024], Target(80))


def _whole(bench: Bench, settings: dict[str, object]) -> float:
    """KiB of the Core and of everything below it; there are no tasks."""
    with nothing_left(), bench.ours({}, settings=settings) as ours:
        ours.await_state(State.RUNNING)
        time.sleep(SIBLINGS_S)
        return sum(map(pss_kib, [ours.core_pid, *descendants(ours.core_pid)]))


def _peer(peer: Peer, marker: str, count: int) -> float:
    """KiB of its own processes."""
    programs = Programs(marker)
    with peer:
        peer.await_up()
        programs.await_count(count, DEADLINE_S)
        time.sleep(SETTLE_S)
        return sum(map(pss_kib, peer.own()))
