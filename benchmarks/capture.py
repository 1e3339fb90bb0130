"""How fast one task's stdout gets into its log, beside `producer | cat > file`."""

from __future__ import annotations

import shlex
import statistics
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from benchmarks.bench import Bench
from benchmarks.figures import Figure, Target
from benchmarks.peers import Peer, Wanted
from benchmarks.processes import nothing_left
from benchmarks.tool import LINE, await_file
from efsupervisor.states import State

MIB = 1 << 20
DEADLINE_S = 120.0
FASTER_THAN_SUPERVISORD = 5.0


def measure(bench: Bench) -> Iterator[Figure]:
    """MiB/s from the producer's first write until the last byte is in the log; each run takes all of them in turn."""
    size = bench.some(1024, 128) * MIB
    ours, bare = [], []
    theirs: dict[str, list[float]] = {}
    for _ in range(bench.some(5, 1)):
        bare.append(_into_cat(bench, size))
        ours.append(_into_ours(bench, size))
        for name, rate in _into_peers(bench, size // 4).items():
            theirs.setdefault(name, []).append(rate)
    peers: dict[str, float | str] = {"kernel": statistics.median(bare), **{name: statistics.median(rates) for name, rates in theirs.items()}}
    figure = Figure("stdout into the log", "MiB/s", ours, None, peers, "kernel: producer | cat > file")
    yield figure
    if isinstance(supervisord := peers.get("supervisord"), float):
        yield Figure("  times supervisord", "x", [figure.value / supervisord], Target(FASTER_THAN_SUPERVISORD, at_least=True))
    yield Figure("  of the kernel's", "x", [each / limit for each, limit in zip(ours, bare, strict=True)])


def _into_ours(bench: Bench, size: int) -> float:
    begun = bench.place("begun")
    task = {"command": bench.tool.command("produce", size, LINE, begun), "kind": "job", "autostart": False}
    with nothing_left(), bench.ours({"producer": task}) as ours:
        ours.await_state(State.STOPPED)
        ours.act("producer")
        return _rate(begun, size, lambda: ours.journal_end("producer"))


def _into_peers(bench: Bench, size: int) -> dict[str, float]:
    begun, log = bench.place("begun"), bench.place("log")

    def programs() -> Wanted:
        begun.unlink(missing_ok=True)
        log.unlink(missing_ok=True)
        command = bench.tool.command("produce", size, LINE, begun)
        return {"producer": {"command": command, "startsecs": 0, "autorestart": "false", "stdout_logfile": log, "stdout_logfile_maxbytes": 0}}

    def rate(peer: Peer) -> float:
        with peer:
            return _rate(begun, size, lambda: log.stat().st_size if log.exists() else 0)

    try:
        return bench.of_peers("log", rate, programs, lambda kind: kind.logs)
    finally:
        log.unlink(missing_ok=True)


def _into_cat(bench: Bench, size: int) -> float:
    begun, log = bench.place("begun"), bench.place("log")
    produce = shlex.join(bench.tool.command("produce", size, LINE, begun))
    subprocess.run(["sh", "-c", f"{produce} | cat > {shlex.quote(str(log))}"], check=True, timeout=DEADLINE_S)
    ended_ns = time.monotonic_ns()
    log.unlink()
    return size / MIB / ((ended_ns - await_file(begun, 1.0)[0]) / 1e9)


def _rate(begun: Path, size: int, in_log: Callable[[], int]) -> float:
    until = time.monotonic() + DEADLINE_S
    while (have := in_log()) < size:
        if time.monotonic() > until:
            raise TimeoutError(f"{have} of {size} bytes are in the log after {DEADLINE_S:g} s")
        time.sleep(0.003)
    return size / MIB / ((time.monotonic_ns() - await_file(begun, 1.0)[0]) / 1e9)
