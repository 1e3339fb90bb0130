"""What more consumers cost their producer: one task read by one other, and by eight (`broad`: each gets everything).

The consumers read the producer's log files, so its worker does the same work for one and for eight.  Its CPU, start included, is the figure; the time
until all have everything moves with the cores that eight readers take.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator

from benchmarks.bench import Bench
from benchmarks.figures import Figure, Target
from benchmarks.ours import TaskKeys
from benchmarks.processes import activity, nothing_left
from benchmarks.tool import LINE, await_file
from efsupervisor.states import State

MIB = 1 << 20
CONSUMERS = 8
DEADLINE_S = 120.0
FLAT = 1.2
"""As flat as scheduling on a few cores lets it be."""


def measure(bench: Bench) -> Iterator[Figure]:
    """CPU of the producer's worker in milliseconds for each GiB."""
    size = bench.some(512, 32) * MIB // LINE * LINE  # whole lines: the producer stays, and half of one would wait for its rest
    one, many, spans_s = [], [], []
    for _ in range(bench.some(5, 1)):
        one.append(_cost_ms(bench, size, 1)[0])
        cost_ms, span_s = _cost_ms(bench, size, CONSUMERS)
        many.append(cost_ms)
        spans_s.append(size * CONSUMERS / MIB / span_s)
    yield Figure("fan-out: CPU of the producer's worker, 1 consumer", "ms/GiB", one)
    yield Figure(f"fan-out: the same, {CONSUMERS} broad consumers", "ms/GiB", many)
    share = [each / alone for each, alone in zip(many, one, strict=True)]
    yield Figure("  times that of one", "x", share, Target(FLAT, text=f"<= {FLAT} (flat)"))
    yield Figure(f"  what {CONSUMERS} consumers read together", "MiB/s", spans_s)


def _cost_ms(bench: Bench, size: int, consumers: int) -> tuple[float, float]:
    """CPU for each GiB; seconds from the first write until the last consumer has read everything."""
    begun, done = bench.place("begun"), [bench.place("done") for _ in range(consumers)]
    produce = shlex.join(bench.tool.command("produce", size, LINE, begun))
    producer: TaskKeys = {"command": ["sh", "-c", f"{produce}; exec sleep 86400"], "autostart": False}  # its worker stays to be looked at
    sinks = [bench.tool.command("sink", size, each) for each in done]
    readers: dict[str, TaskKeys] = {f"reader{number}": {"command": sink, "input": {"protocol": "stream"}} for number, sink in enumerate(sinks)}
    flows: dict[str, TaskKeys] = {name: {"from": "producer", "to": name, "start": "begin"} for name in readers}
    with nothing_left(), bench.ours({"producer": producer, **readers}, flows) as ours:
        ours.await_settled(dict.fromkeys(readers, State.RUNNING) | {"producer": State.STOPPED})
        ours.act("producer")
        first_ns = await_file(begun, DEADLINE_S)[0]
        worker = next(row.worker_pid for row in ours.status() if row.name == "producer")
        last_ns = max(await_file(each, DEADLINE_S)[0] for each in done)
        spent_ns = activity(worker).cpu_ns
    return spent_ns / 1e6 / (size / (1 << 30)), (last_ns - first_ns) / 1e9
