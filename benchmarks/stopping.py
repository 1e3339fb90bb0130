"""Stopping twelve tasks that each need a second to end."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks.bench import Bench
from benchmarks.figures import Figure, Target
from benchmarks.peers import Wanted
from benchmarks.processes import nothing_left
from benchmarks.starting import Startable

TASKS = 12
READY_S = 30.0


def measure(bench: Bench) -> Iterator[Figure]:
    """Seconds from SIGTERM to the supervisor until it has ended."""
    folders: list[Path] = []

    def programs() -> Wanted:
        folder, tasks = _slow_tasks(bench)
        folders.append(folder)
        return tasks

    peers: dict[str, float | str] = {**bench.of_peers("stop", lambda peer: _once(peer, folders[-1]), programs)}
    took = []
    for _ in range(bench.some(3, 1)):
        folder, tasks = _slow_tasks(bench)
        took.append(_once(bench.ours(tasks), folder))
    yield Figure(f"stop of {TASKS} tasks that need 1 s each", "s", took, Target(1.2), peers)


def _slow_tasks(bench: Bench) -> tuple[Path, dict[str, dict[str, object]]]:
    """Each leaves a file when its handler stands, so that no signal comes too early."""
    folder = bench.place("ready")
    folder.mkdir()
    script = 'trap "sleep 1; kill $!; exit 0" TERM; sleep 86400 & : > "$0"; wait'
    return folder, {f"slow-{number}": {"command": ["sh", "-c", script, str(folder / str(number))], "startsecs": 0} for number in range(TASKS)}


def _once(supervisor: Startable, folder: Path) -> float:
    with nothing_left():
        try:
            supervisor.launch()
            until = time.monotonic() + READY_S
            while len(list(folder.iterdir())) < TASKS:
                if time.monotonic() > until:
                    raise TimeoutError(f"not every task is ready after {READY_S:g} s")
                time.sleep(0.01)
            time.sleep(0.5)  # what follows the start is not part of the stop
            return supervisor.stop()
        finally:
            supervisor.close()
