"""What flows are to each other: who is fed twice, and whether events could go round.  Pure, on specs alone."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence

from efsupervisor.conf.schema import FlowSpec
from efsupervisor.system import folded

MAX_COMPARED = 1_000_000
"""Names of producers that are compared when it is looked for tasks that are fed twice; a configuration that needs more is taken as it is."""


def unfit_flow(flows: Sequence[FlowSpec]) -> str:
    """Why these flows cannot be together; empty when they can."""
    if has_cycle(flows):
        return "it closes a cycle and does not say `cycle: true`"
    twice = fed_twice(flows)
    return f"it feeds {twice[0][3]} what the flow {twice[0][1]} feeds it already" if twice else ""


def fed_twice(flows: Iterable[FlowSpec]) -> list[tuple[str, str, str, str]]:
    """(later flow, earlier flow, producer as written, consumer) for flows with a producer and a consumer in common, whatever their modes; at most
    one for each later flow.  Names are folded but for the producer's."""
    feeding: dict[str, list[FlowSpec]] = {}
    for flow in flows:
        for consumer in dict.fromkeys(map(folded, flow.consumers)):
            feeding.setdefault(consumer, []).append(flow)
    found: dict[str, tuple[str, str, str, str]] = {}
    looked: set[tuple[str, ...]] = set()
    budget = MAX_COMPARED
    for consumer, its in feeding.items():
        names = tuple(folded(flow.name) for flow in its)
        if len(its) < 2 or names in looked:  # consumers of the same flows have the same answer
            continue
        looked.add(names)
        budget -= sum(len(flow.producers) for flow in its)
        if budget < 0:
            break
        for later, earlier, producer in _in_common(its):
            found.setdefault(later, (later, earlier, producer, consumer))
    return list(found.values())


def _in_common(flows: list[FlowSpec]) -> Iterable[tuple[str, str, str]]:
    """(later flow, earlier flow, producer) for each flow with a producer that a flow before it has."""
    first: dict[str, str] = {}
    for flow in flows:
        this = folded(flow.name)
        for name in flow.producers:
            earlier = first.setdefault(folded(name), this)
            if earlier != this:
                yield this, earlier, name
                break


def has_cycle(flows: Iterable[FlowSpec]) -> bool:
    """Whether events could go round although no flow says so.  A flow is a node of its own among the tasks: linear in what is written."""
    following: dict[tuple[str, str], list[tuple[str, str]]] = {}
    waits_for: dict[tuple[str, str], int] = {}
    for flow in (each for each in flows if not each.cycle):
        node = ("flow", folded(flow.name))
        edges = [(("task", folded(name)), node) for name in flow.producers] + [(node, ("task", folded(name))) for name in flow.consumers]
        for before, after in edges:
            following.setdefault(before, []).append(after)
            waits_for[after] = waits_for.get(after, 0) + 1
            waits_for.setdefault(before, 0)
    free = deque(node for node, count in waits_for.items() if not count)
    left = len(waits_for)
    while free:
        left -= 1
        for after in following.get(free.popleft(), ()):
            waits_for[after] -= 1
            if not waits_for[after]:
                free.append(after)
    return left > 0
