"""The graph of dependencies and its judgements: tables of cases, and whatever graph there may be."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from efsupervisor.conf.depend import CONDITIONS
from efsupervisor.conf.schema import GroupSpec, TaskSpec
from efsupervisor.core.dependencies import NOT_ALIVE, Facts, Graph, Need, is_as, judge, may_start
from efsupervisor.messages import Report
from efsupervisor.states import Goal, State
from efsupervisor.system import short_id


def report(state: State, **more: object) -> Report:
    return Report(state=state, goal=Goal.ACT, **more)  # type: ignore[arg-type]


RUNNING = Facts(report(State.RUNNING, pid=7))
ILL = Facts(report(State.RUNNING, pid=7, health=f"disk; {NOT_ALIVE} (2 of 3): refused"))
FULL = Facts(report(State.RUNNING, pid=7, health="the disk is full"))
FORKED = Facts(report(State.STARTING))
STARTING = Facts(report(State.STARTING, pid=7))
BACKOFF = Facts(report(State.BACKOFF))
DONE = Facts(report(State.EXITED, exit_status=0))
FAILED = Facts(report(State.EXITED, exit_status=3 << 8, reason="exit status 3"))
KILLED = Facts(report(State.EXITED, exit_status=9))
UNKNOWN_END = Facts(report(State.EXITED, exit_status=0, exit_known=False))
FATAL = Facts(report(State.FATAL, reason="gave up"))
STOPPED = Facts(report(State.STOPPED, reason="stopped; exit status 0"))


@pytest.mark.parametrize(
    ("condition", "met"),
    [
        ("started", [RUNNING, ILL, FULL, STARTING, DONE, FAILED, KILLED, UNKNOWN_END]),
        ("ready", [RUNNING, ILL, FULL]),
        ("healthy", [RUNNING, FULL]),
        ("completed", [DONE, FAILED, KILLED, UNKNOWN_END]),
        ("completed_successfully", [DONE]),
    ],
)
def test_each_condition_is_met_by_these_states_and_no_others(condition: str, met: list[Facts]) -> None:
    every = [RUNNING, ILL, FULL, FORKED, STARTING, BACKOFF, DONE, FAILED, KILLED, UNKNOWN_END, FATAL, STOPPED]
    assert [facts for facts in every if is_as(condition, facts)] == met


def test_success_is_what_the_task_calls_so() -> None:
    assert is_as("completed_successfully", FAILED._replace(exitcodes=(0, 3)))


@pytest.mark.parametrize("condition", ["started", "ready", "healthy"])
def test_what_is_on_its_way_down_is_not_there_any_more(condition: str) -> None:
    assert not is_as(condition, RUNNING._replace(leaving=True))


@pytest.mark.parametrize(
    ("facts", "sentence", "stuck"),
    [
        (STARTING, "waits for db (ready)", False),
        (BACKOFF, "waits for db (ready)", False),
        (FATAL, "waits for db (ready), which is FATAL: gave up", True),
        (FAILED, "waits for db (ready), which is EXITED: exit status 3", True),
        (STOPPED, "waits for db (ready), which is STOPPED", True),
        (RUNNING._replace(leaving=True), "waits for db (ready), which is being stopped", True),
        (RUNNING._replace(again=True), "waits for db (ready), which is being restarted", False),
        (FORKED._replace(waiting=True), "waits for db (ready)", False),
        (FORKED._replace(waiting=True, stuck=True), "waits for db (ready), which waits itself", True),
        (None, "waits for db (ready), which does not exist", True),
    ],
)
def test_a_start_says_what_it_waits_for_and_whether_that_comes_by_itself(facts: Facts | None, sentence: str, stuck: bool) -> None:
    verdict = judge(Need("id", "db", "ready"), facts)
    assert (verdict.met, verdict.sentence, verdict.stuck) == (False, sentence, stuck)


def test_of_several_that_are_missing_the_one_that_will_not_come_is_told() -> None:
    facts = {"a": STARTING, "b": FATAL, "c": RUNNING}
    verdict = may_start([Need(name, name, "ready") for name in facts], facts.get)
    assert verdict.sentence == "waits for b (ready), which is FATAL: gave up, and others" and verdict.stuck
    assert may_start([Need("c", "c", "ready")], facts.get).met and may_start([], facts.get).met


def chain(length: int) -> Graph:
    return Graph([TaskSpec(name=f"t{n}", command=["x"], depends_on={f"t{n - 1}": "ready"} if n else {}) for n in range(length)])


def test_a_chain_of_many_has_as_many_levels_and_costs_their_sum() -> None:
    graph = chain(5000)
    assert graph.level(short_id("t4999")) == 4999
    assert graph.longest({short_id(f"t{n}"): 0.5 for n in range(5000)}) == 2500.0


def test_what_is_not_in_the_graph_costs_itself() -> None:
    assert Graph().longest({"a": 3.0, "b": 7.0}) == 7.0
    assert Graph().longest({}) == 0.0
    assert not Graph([TaskSpec(name="a", command=["x"])])


def test_a_name_in_another_spelling_is_the_same_task() -> None:
    graph = Graph([TaskSpec(name="Db", command=["x"]), TaskSpec(name="app", command=["x"], depends_on={"DB": "ready"})])
    assert graph.needs(short_id("app")) == [Need(short_id("db"), "Db", "ready")]
    assert graph.dependents(short_id("dB")) == [short_id("app")]


def test_a_cycle_that_groups_brought_about_hangs_nothing() -> None:
    tasks = [TaskSpec(name="a", command=["x"], depends_on={"g": "ready"}), TaskSpec(name="b", command=["x"], depends_on={"a": "ready"})]
    graph = Graph(tasks, [GroupSpec(name="g", tasks=["b"])])
    assert graph.level(short_id("a")) == 0
    assert graph.longest({short_id("a"): 2.0}) == 2.0


@st.composite
def graphs(draw: st.DrawFn) -> list[TaskSpec]:
    """Tasks that depend on some of those before them, in any order of writing."""
    count = draw(st.integers(1, 12))
    specs = []
    for number in range(count):
        below = draw(st.sets(st.integers(0, number - 1), max_size=4)) if number else set()
        needs = {f"t{other}": draw(st.sampled_from(CONDITIONS)) for other in below}
        specs.append(TaskSpec(name=f"t{number}", command=["x"], depends_on=needs))
    return draw(st.permutations(specs))


def _facts(state: str) -> Facts:
    return {"up": RUNNING, "over": DONE, "rest": STOPPED}[state]


def _walk(specs: list[TaskSpec], order: Iterator[int]) -> list[str]:
    """Start whatever may start, one at a time, until nothing may."""
    graph = Graph(specs)
    names = {short_id(spec.name): spec for spec in specs}
    wanted_over = {need.id for spec in specs for need in graph.needs(short_id(spec.name)) if need.condition.startswith("completed")}
    states = dict.fromkeys(names, "rest")
    started: list[str] = []
    while True:
        resting = (identity for identity, state in states.items() if state == "rest")
        free = [identity for identity in resting if may_start(graph.needs(identity), lambda other: _facts(states[other])).met]
        if not free:
            return started
        chosen = free[next(order) % len(free)]
        states[chosen] = "over" if chosen in wanted_over else "up"
        started.append(chosen)


@given(graphs(), st.lists(st.integers(0, 100), min_size=40, max_size=40))
def test_whatever_the_graph_everything_starts_after_all_that_it_needs(specs: list[TaskSpec], order: list[int]) -> None:
    if any(condition.startswith("completed") for spec in specs for condition in spec.depends_on.values()):
        specs = [_only_ready(spec) for spec in specs]  # one task cannot be both up and over for different others
    started = _walk(specs, iter(order))
    assert len(started) == len(specs)
    place = {identity: number for number, identity in enumerate(started)}
    graph = Graph(specs)
    assert all(place[need.id] < place[identity] for identity in place for need in graph.needs(identity))


def _only_ready(spec: TaskSpec) -> TaskSpec:
    return TaskSpec(name=spec.name, command=spec.command, depends_on=dict.fromkeys(spec.depends_on, "ready"))


@given(graphs())
def test_whatever_the_graph_a_level_is_above_all_that_it_needs(specs: list[TaskSpec]) -> None:
    graph = Graph(specs)
    for spec in specs:
        identity = short_id(spec.name)
        below = [graph.level(need.id) for need in graph.needs(identity)]
        assert graph.level(identity) == (max(below) + 1 if below else 0)
        assert all(identity in graph.dependents(need.id) for need in graph.needs(identity))


@given(graphs(), st.lists(st.floats(0, 100), min_size=12, max_size=12))
def test_whatever_the_graph_the_longest_way_is_no_shorter_than_any_way(specs: list[TaskSpec], costs: list[float]) -> None:
    graph = Graph(specs)
    cost = {short_id(spec.name): costs[number] for number, spec in enumerate(specs)}

    def longest_from(identity: str) -> float:
        return cost[identity] + max((longest_from(need.id) for need in graph.needs(identity)), default=0.0)

    assert graph.longest(cost) == pytest.approx(max(map(longest_from, cost)))
