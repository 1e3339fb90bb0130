"""The saved state: writing, opening and listing with 100,000 ended runs in the file.  Nothing but the Core's own library is started."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

from benchmarks.bench import Bench
from benchmarks.figures import Figure, Target
from efsupervisor.core.store import Store
from efsupervisor.messages import RunRow
from efsupervisor.system import REAL

ROWS = 100_000
LISTING = Target(100)


class _Silent:
    def info(self, sentence: str) -> None:
        """Nobody reads it."""

    warning = error = info


def measure(bench: Bench) -> Iterator[Figure]:
    """Milliseconds, each the median of some."""
    rows, times = bench.some(ROWS, ROWS // 10), bench.some(15, 5)
    place = bench.place("state")
    place.mkdir(mode=0o700)
    path = str(place / "lib" / "state.sqlite")
    store = Store.open(path, system=REAL, log=_Silent(), history=ROWS)
    commands = [_command_ms(store, number) for number in range(times * 4)]
    yield Figure("a command on disk (synchronous=FULL)", "ms", commands)
    pieces = _filled(store, rows)
    yield Figure(f"{rows:,} runs written, for each turn of the loop", "ms", pieces, note=f"the longest {max(pieces):.0f} ms")
    store.close()
    opened = []
    for _ in range(times):
        begun_ns = time.monotonic_ns()
        store = Store.open(path, system=REAL, log=_Silent(), history=ROWS)
        opened.append((time.monotonic_ns() - begun_ns) / 1e6)
        store.close()
    yield Figure(f"state file of {rows:,} runs opened and checked", "ms", opened, Target(1000))
    store = Store.open(path, system=REAL, log=_Silent(), history=ROWS)
    names = [f"task-{number}" for number in range(1000)]
    for what, ask in (
        ("newest of all", lambda: store.history(limit=200)),
        ("newest of one task", lambda: store.history(names[:1], 200)),
        ("newest of 1,000 tasks", lambda: store.history(names, 200)),
        ("of a task that never ran", lambda: store.history(["never"], 200)),
        ("the oldest page", lambda: store.history(limit=200, before=201)),
    ):
        yield Figure(f"  listing, {what}", "ms", [_ms(ask) for _ in range(times)], LISTING)
    store.close()


def _command_ms(store: Store, number: int) -> float:
    store.set_setting("key", str(number))
    return _ms(store.flush)


def _filled(store: Store, rows: int) -> list[float]:
    """As the Core does it: some come, some are written; milliseconds of each write."""
    took = []
    for number in range(rows):
        task = f"task-{number * 7919 % rows}"
        store.ran(RunRow(number=0, task=task, incarnation=1, began=1.0, ended=2.0, state="BACKOFF", reason="exit status 1 (not expected)"))
        if number % 250 == 249:
            took.append(_ms(store.flush))
    return took


def _ms(work: Callable[[], object]) -> float:
    begun_ns = time.monotonic_ns()
    work()
    return (time.monotonic_ns() - begun_ns) / 1e6
