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
from benchmarks.peers import Unavailable, runsv
from benchmarks.processes import nothing_left
from efsupervisor.states import State

STARTSECS = 0.2
RUNIT_MS = 7.8
RUNIT_PATIENCE_S = 1.1
"""runsv waits up to a second before it starts a program again that lived less than that."""


def measure(bench: Bench) -> Iterator[Figure]:
    """Milliseconds, median of 12 kills each."""
    kills = bench.some(12, 4)
    peers: dict[str, float | str] = {}
    with nothing_left():
        peers |= _supervisord(bench, kills)
    with nothing_left():
        peers |= _runit(bench, kills)
    runit = peers.get("runit")
    limit = (runit if isinstance(runit, float) else RUNIT_MS) + 2.0
    alive, dead = _ours(bench, kills)
    target = Target(limit, text=f"<= {limit:.3g} (runit + 2)")
    yield Figure("restart after SIGKILL", "ms", alive, target, peers)
    yield Figure("the same, Core dead", "ms", dead, target, dict.fromkeys(peers, "never"))


def _ours(bench: Bench, kills: int) -> tuple[list[float], list[float]]:
    witness = bench.place("witness")
    task = {"command": bench.tool.command("witness", witness), "startsecs": STARTSECS, "restart_burst": 1000}
    with nothing_left(), bench.ours({"witness": task}) as ours:
        ours.await_state(State.RUNNING)
        alive = _killed(witness, kills, 2 * STARTSECS)
        ours.kill_core()
        return alive, _killed(witness, kills, 2 * STARTSECS)


def _supervisord(bench: Bench, kills: int) -> dict[str, float | str]:
    witness = bench.place("witness")
    peer = bench.supervisord({"witness": {"command": bench.tool.command("witness", witness), "startsecs": 0, "autorestart": "true"}})
    if peer is None:
        return {}
    with peer:
        return {peer.name: statistics.median(_killed(witness, kills, 2 * STARTSECS))}


def _runit(bench: Bench, kills: int) -> dict[str, float | str]:
    witness = bench.place("witness")
    try:
        with runsv(bench.place("runsv"), bench.tool.command("witness", witness)):
            return {"runit": statistics.median(_killed(witness, kills, RUNIT_PATIENCE_S))}
    except Unavailable as reason:
        bench.skipped["runit"] = str(reason)
        return {}


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
