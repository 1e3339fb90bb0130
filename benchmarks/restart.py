"""A program killed by SIGKILL until its successor runs, with the Core alive and with the Core dead.

The program itself writes when it began; nothing is polled for the figure.  It lives longer than `startsecs` before each kill, so that no back-off
applies.
"""

from __future__ import annotations

import os
import signal
import statistics
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks.bench import Bench
from benchmarks.figures import Figure, Target
from benchmarks.peers import PEERS, Peer, Wanted
from benchmarks.processes import nothing_left
from efsupervisor.states import State

STARTSECS = 0.2
RUNIT_MS = 7.8


def measure(bench: Bench) -> Iterator[Figure]:
    """Milliseconds, median of 12 kills each."""
    kills = bench.some(12, 4)
    witness = bench.place("witness")

    def kept_alive(peer: Peer) -> float:
        with peer:
            return statistics.median(_killed(witness, kills, peer.patience_s))

    def programs() -> Wanted:
        witness.unlink(missing_ok=True)
        return {"witness": {"command": bench.tool.command("witness", witness), "startsecs": 0, "autorestart": "true"}}

    peers: dict[str, float | str] = {**bench.of_peers("restart", kept_alive, programs)}
    runit = peers.get("runit")
    limit = (runit if isinstance(runit, float) else RUNIT_MS) + 2.0
    alive, dead = _ours(bench, kills)
    target = Target(limit, text=f"<= {limit:.3g} (runit + 2)")
    yield Figure("restart after SIGKILL", "ms", alive, target, peers)
    yield Figure("the same, Core dead", "ms", dead, target, {name: PEERS[name].orphaned for name in peers})


def _ours(bench: Bench, kills: int) -> tuple[list[float], list[float]]:
    witness = bench.place("witness")
    task = {"command": bench.tool.command("witness", witness), "startsecs": STARTSECS, "restart_burst": 1000}
    with nothing_left(), bench.ours({"witness": task}) as ours:
        ours.await_state(State.RUNNING)
        alive = _killed(witness, kills, 2 * STARTSECS)
        ours.kill_core()
        return alive, _killed(witness, kills, 2 * STARTSECS)


def _killed(witness: Path, times: int, patience_s: float) -> list[float]:
    """Kill the newest process in the witness's file, again and again; milliseconds until each successor."""
    took_ms = []
    for _ in range(times):
        pid, begun_ns = _newest(witness, 0)
        time.sleep(max(0.0, patience_s - (time.monotonic_ns() - begun_ns) / 1e9))
        killed_ns = time.monotonic_ns()
        os.kill(pid, signal.SIGKILL)
        _successor, since_ns = _newest(witness, pid)
        took_ms.append((since_ns - killed_ns) / 1e6)
    return took_ms


def _newest(witness: Path, not_this: int, deadline_s: float = 30.0) -> tuple[int, int]:
    """pid and start of the latest process, once it is another one."""
    until = time.monotonic() + deadline_s
    while time.monotonic() < until:
        lines = witness.read_text(encoding="ascii").splitlines(keepends=True) if witness.exists() else []
        if lines and lines[-1].endswith("\n"):
            pid, since_ns = map(int, lines[-1].split())
            if pid != not_this:
                return pid, since_ns
        time.sleep(0.001)
    raise TimeoutError(f"no successor within {deadline_s:g} s")
