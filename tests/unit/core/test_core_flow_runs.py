"""What belongs to a flow that is run as one thing, and what is told of its run."""

from __future__ import annotations

import pytest

from efsupervisor.conf.schema import FlowSpec, TaskSpec
from efsupervisor.core.flow_runs import connected, summed
from efsupervisor.core.store_rows import FlowRun
from efsupervisor.core.tasks import Task
from efsupervisor.errors import Code
from efsupervisor.messages import InEdge, Outcome, OutEdge, Report, RunRow, Wiring
from efsupervisor.states import Goal, State
from efsupervisor.task.paths import TaskPaths


def flow(name: str, producers: str, consumers: str) -> FlowSpec:
    return FlowSpec(name=name, producers=list(producers), consumers=list(consumers))


@pytest.mark.parametrize(
    ("flows", "services", "parts"),
    [
        ([flow("f", "a", "b")], "", "ab"),
        ([flow("f", "b", "c"), flow("g", "a", "b"), flow("h", "c", "d"), flow("other", "x", "y")], "", "abcd"),  # both ways along jobs
        ([flow("f", "a", "L"), flow("g", "x", "L")], "L", "aL"),  # a service is the border
        ([flow("f", "a", "S"), flow("g", "S", "z")], "S", "aS"),
        ([flow("f", "a", "bc"), flow("g", "bc", "d")], "", "abcd"),  # a diamond
        ([flow("f", "A", "b"), flow("g", "B", "c")], "", "Abc"),  # names are compared as names are
    ],
)
def test_the_parts_of_a_flow_are_what_jobs_connect_with_it(flows: list[FlowSpec], services: str, parts: str) -> None:
    found = connected(flows[0], flows, lambda name: name not in services)
    assert [name.lower() for name in found] == list(parts.lower())


def test_many_producers_and_consumers_are_not_multiplied() -> None:
    names = [f"t{number}" for number in range(4000)]
    wide = FlowSpec(name="wide", producers=names[:2000], consumers=names[2000:])
    assert len(connected(wide, [wide], lambda name: True)) == 4000


def test_a_cycle_that_no_configuration_has_ends_the_search_all_the_same() -> None:
    flows = [flow("f", "a", "b"), flow("g", "b", "a")]
    assert sorted(connected(flows[0], flows, lambda name: True)) == ["a", "b"]


def part(name: str, before: str = "", after: str = "") -> Task:
    spec = TaskSpec(name=name, command=["true"])
    inputs = [InEdge(id="e", producer=before, folder="/f", journal="/j")] if before else []
    outputs = [OutEdge(id="e", folder="/f", consumers=[(after, "/c")])] if after else []
    wiring = Wiring(spec=spec, task_dir="/t", namespace="n", inputs=inputs, outputs=outputs)
    return Task(spec=spec, wiring=wiring, paths=TaskPaths("/t"), report=Report(state=State.EXITED, goal=Goal.ACT))


def row(name: str, status: int | None = 0, **more: int) -> RunRow:
    return RunRow(number=1, task=name, incarnation=1, began=1.0, ended=2.0, exit_status=status, exit_known=status is not None, **more)


PIPE = [part("a", after="b"), part("b", "a", "c"), part("c", "b")]
RUN = FlowRun(name="f", ticket="00000000000000aa", cause="schedule night", began=1.0)


def good(name: str) -> Outcome:
    return Outcome(task=name, ok=True)


def bad(name: str, sentence: str = "EXITED: exit status 1") -> Outcome:
    return Outcome(task=name, ok=False, code=Code.TASK_FAILED, sentence=sentence)


def test_a_whole_takes_what_its_first_part_takes_and_gives_what_its_last_gives() -> None:
    rows = {
        "a": row("a", in_bytes=5, events_in=1, out_bytes=10, err_bytes=1), "b": row("b", in_bytes=10, out_bytes=20, err_bytes=2),
        "c": row("c", in_bytes=20, out_bytes=30, events_out=3, err_bytes=4),
    }  # fmt: skip
    found = summed(RUN, PIPE, rows, [good("a"), good("b"), good("c")], 9.0)
    assert (found.in_bytes, found.events_in, found.out_bytes, found.events_out, found.err_bytes) == (5, 1, 30, 3, 7)
    assert (found.task, found.state, found.exit_status, found.ticket, found.cause) == ("flow f", "EXITED", 0, RUN.ticket, "schedule night")
    assert (found.began, found.ended, found.reason) == (1.0, 9.0, "3 parts: exit status 0")


@pytest.mark.parametrize(
    ("rows", "outcomes", "status", "state"),
    [
        ([row("a", 4 << 8), row("b", 3 << 8), row("c")], [bad("a"), bad("b"), good("c")], 3 << 8, "EXITED"),  # of the last that failed
        ([row("a", 9), row("b"), row("c")], [bad("a"), good("b"), good("c")], 9, "EXITED"),
        ([row("a"), row("b", None), row("c")], [good("a"), bad("b"), good("c")], None, "FATAL"),  # unknown is never success, nor a guess
        ([row("a"), row("b")], [good("a"), good("b"), bad("c", "waits for x")], None, "FATAL"),  # it never ran
    ],
)
def test_a_whole_ends_as_a_pipe_does_under_pipefail(rows: list[RunRow], outcomes: list[Outcome], status: int | None, state: str) -> None:
    found = summed(RUN, PIPE, {each.task: each for each in rows}, outcomes, 9.0)
    assert (found.exit_status, found.exit_known, found.state) == (status, status is not None, state)
    assert found.reason == "; ".join(f"{each.task}: {each.sentence}" for each in outcomes if not each.ok)
