"""Starts and stops that wait, played with records in place of workers: tables of cases, then whatever graph and whatever happens to it."""

from __future__ import annotations

import random

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from efsupervisor.conf.schema import Config, SupervisorSpec, TaskSpec
from efsupervisor.core import adoption
from efsupervisor.core.ordering import Ordering
from efsupervisor.core.registry import Registry
from efsupervisor.core.tasks import Task
from efsupervisor.messages import Report, Wiring
from efsupervisor.states import Goal, State
from efsupervisor.system import short_id
from efsupervisor.task.paths import TaskPaths


class Says:
    """A log that keeps its sentences."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def info(self, sentence: str) -> None:
        self.lines.append(sentence)


class House:
    """An Ordering over tasks whose workers are a flag.  happened: `start NAME`, `stop NAME`, in their order."""

    def __init__(self, specs: list[TaskSpec], bound: int = 0) -> None:
        self.registry = Registry()
        self.log = Says()
        self.strict = True
        self.happened: list[str] = []
        self.ordering = Ordering(self.registry, self.log, self._start, self._stop, lambda _task: None)  # type: ignore[arg-type]
        self.ordering.configure(Config(source="", supervisor=SupervisorSpec(parallel_starts=bound), tasks=specs))
        for spec in specs:
            folder = f"/var/tasks/{short_id(spec.name)}"
            report = Report(state=State.STOPPED, goal=Goal.TRM)
            wiring = Wiring(spec=spec, task_dir=folder, namespace="n")
            self.registry.add(Task(spec=spec, wiring=wiring, paths=TaskPaths(folder), report=report))

    def task(self, name: str) -> Task:
        found = self.registry.by_name(name)
        assert found is not None
        return found

    def _start(self, task: Task) -> None:
        assert not task.waits
        needs = [self.task(name) for name, condition in task.spec.depends_on.items() if condition == "ready"]
        assert not self.strict or all(other.report.state is State.RUNNING and other.goal is Goal.ACT and not other.stops_for for other in needs)
        self.happened.append(f"start {task.name}")
        task.queued = True

    def _stop(self, task: Task, _asked_by: str) -> None:
        self.happened.append(f"stop {task.name}")
        task.goal = Goal.TRM
        if task.waits:
            self.ordering.drop(task)
            self.becomes(task.name, State.STOPPED)

    def act(self, name: str) -> None:
        task = self.task(name)
        task.goal = Goal.ACT
        self.ordering.release(task)
        if task.report.state.at_rest:
            task.report = adoption.starting(task.report)
        if task.resting:
            self.ordering.begin(task)
        self.ordering.changed(task)

    def becomes(self, name: str, state: State, **more: object) -> None:
        """Its worker reports, and is gone when the task is at rest."""
        task = self.task(name)
        pid = 0 if state.at_rest or state is State.BACKOFF else 7
        task.report = msgspec.structs.replace(task.report, state=state, pid=pid, **more)
        if state.at_rest:
            task.queued = False
        self.ordering.changed(task)


def spec(name: str, *needs: str, condition: str = "ready", **more: object) -> TaskSpec:
    return TaskSpec(name=name, command=["x"], depends_on=dict.fromkeys(needs, condition), **more)  # type: ignore[arg-type]


def names(tasks: list[Task]) -> list[str]:
    return [task.name for task in tasks]


def test_a_start_waits_and_begins_as_soon_as_its_dependency_is_ready() -> None:
    house = House([spec("app", "db"), spec("db")])
    house.act("app")
    assert house.happened == [] and house.task("app").report.reason == "waits for db (ready), which is STOPPED" and house.task("app").stuck
    assert not house.task("app").resting and house.task("app").unmanned
    house.act("db")
    assert house.task("app").waits == "waits for db (ready)" and not house.task("app").stuck
    house.becomes("db", State.STARTING)
    house.becomes("db", State.RUNNING)
    assert house.happened == ["start db", "start app"]
    assert house.task("app").report.reason == "its worker is being started"


def test_that_what_it_waits_for_failed_goes_up_the_chain_and_back() -> None:
    house = House([spec("web", "app"), spec("app", "db"), spec("db")])
    for name in ("db", "app", "web"):
        house.act(name)
    house.becomes("db", State.FATAL, reason="gave up")
    assert house.task("app").waits == "waits for db (ready), which is FATAL: gave up"
    assert house.task("web").waits == "waits for app (ready), which waits itself" and house.task("web").stuck
    house.act("db")
    assert house.task("web").waits == "waits for app (ready)" and not house.task("web").stuck


def test_each_sentence_is_logged_once() -> None:
    house = House([spec("app", "db"), spec("db")])
    house.act("db")
    house.act("app")
    for _ in range(3):
        house.becomes("db", State.STARTING)
        house.becomes("db", State.BACKOFF)
    assert house.log.lines == ["task app: waits for db (ready)"]


def test_a_stop_waits_for_those_that_depend_on_it_and_are_stopped_too() -> None:
    house = House([spec("web", "app"), spec("app", "db"), spec("db")])
    for name in ("db", "app", "web"):
        house.act(name)
        house.becomes(name, State.RUNNING)
    for task in house.ordering.downwards(house.registry.ordered()):
        house.ordering.stop(task, "me")
    assert house.happened[3:] == ["stop web"]
    assert house.task("app").stops_after == "stops when web has stopped"
    house.becomes("web", State.STOPPING)
    assert house.happened[4:] == []
    house.becomes("web", State.STOPPED)
    assert house.happened[4:] == ["stop app"] and house.task("db").stops_for == "me"
    house.becomes("app", State.STOPPED)
    assert house.happened[5:] == ["stop db"]


def test_a_stop_of_it_alone_waits_for_nobody() -> None:
    house = House([spec("app", "db"), spec("db")])
    for name in ("db", "app"):
        house.act(name)
        house.becomes(name, State.RUNNING)
    house.ordering.stop(house.task("db"), "me")
    assert house.happened[2:] == ["stop db"]


def test_who_is_in_a_hurry_stops_all_at_once() -> None:
    house = House([spec("web", "app"), spec("app", "db"), spec("db")])
    for name in ("db", "app", "web"):
        house.act(name)
        house.becomes(name, State.RUNNING)
    for task in house.ordering.downwards(house.registry.ordered()):
        house.ordering.stop(task, "me")
    house.ordering.hurry()
    assert sorted(house.happened[3:]) == ["stop app", "stop db", "stop web"]


def test_no_more_start_at_once_than_the_bound_and_those_that_came_first_do_first() -> None:
    house = House([spec(f"t{number}") for number in range(5)], bound=2)
    for number in range(5):
        house.act(f"t{number}")
    assert house.happened == ["start t0", "start t1"]
    assert house.task("t4").waits == "waits for its turn: 2 tasks are starting already"
    house.becomes("t1", State.RUNNING)
    house.becomes("t0", State.BACKOFF)
    assert house.happened[2:] == ["start t2", "start t3"]
    house.becomes("t2", State.FATAL)
    assert house.happened[4:] == ["start t4"]


def test_a_bound_that_is_lifted_lets_all_begin() -> None:
    specs = [spec(f"t{number}") for number in range(3)]
    house = House(specs, bound=1)
    for number in range(3):
        house.act(f"t{number}")
    house.ordering.configure(Config(source="", tasks=specs))
    assert house.happened == ["start t0", "start t1", "start t2"]


def test_what_waits_for_its_turn_and_is_stopped_does_not_begin() -> None:
    house = House([spec(f"t{number}") for number in range(3)], bound=1)
    for number in range(3):
        house.act(f"t{number}")
    house.ordering.stop(house.task("t1"), "me")
    house.becomes("t0", State.RUNNING)
    assert house.happened == ["start t0", "stop t1", "start t2"]


def test_a_dependency_that_is_taken_away_lets_what_waits_begin() -> None:
    house = House([spec("app", "db"), spec("db")])
    house.act("app")
    house.strict = False  # the task's own record is another's to change
    house.ordering.configure(Config(source="", tasks=[spec("app"), spec("db")]))
    assert house.happened == ["start app"]


def test_what_is_needed_is_found_down_to_the_ground_and_what_is_there_is_not() -> None:
    house = House([spec("web", "app", "cache"), spec("app", "db"), spec("db"), spec("cache"), spec("other")])
    house.act("cache")
    house.becomes("cache", State.RUNNING)
    assert names(house.ordering.needed([house.task("web")])) == ["db", "app"]
    assert names(house.ordering.needed([house.task("web"), house.task("app")])) == ["db"]
    assert house.ordering.needed([house.task("other")]) == []


def test_what_ended_well_once_is_needed_again_only_when_all_begins_anew() -> None:
    house = House([spec("app", "migrate", condition="completed_successfully"), spec("migrate")])
    house.becomes("migrate", State.EXITED, exit_status=0)
    assert house.ordering.needed([house.task("app")]) == []
    assert names(house.ordering.needed([house.task("app")], anew=True)) == ["migrate"]
    house.becomes("migrate", State.EXITED, exit_status=256)
    assert names(house.ordering.needed([house.task("app")])) == ["migrate"]


def test_behind_one_that_waits_in_vain_the_failed_one_is_started_again() -> None:
    house = House([spec("web", "app"), spec("app", "db"), spec("db")])
    house.becomes("db", State.FATAL)
    house.act("app")
    assert house.task("app").stuck
    assert names(house.ordering.needed([house.task("web")])) == ["db"]


def test_followers_are_those_that_run_and_want_to_be() -> None:
    specs = [spec("a"), spec("b", "a", restart_with=True), spec("c", "b", restart_with=True), spec("d", "a"), spec("e", "a", restart_with=True)]
    house = House(specs)
    for name in ("a", "b", "c", "d"):
        house.act(name)
        house.becomes(name, State.RUNNING)
    assert names(house.ordering.followers([house.task("a")])) == ["b", "c"]


def test_orders_go_by_level_and_stops_by_priority_backwards() -> None:
    house = House([spec("app", "db"), spec("db"), spec("first", priority=1), spec("late", priority=2000)])
    every = house.registry.ordered()
    assert names(house.ordering.upwards(every)) == ["first", "db", "late", "app"]
    assert names(house.ordering.downwards(every)) == ["app", "late", "db", "first"]
    house.act("db")
    house.becomes("db", State.RUNNING)
    assert names(house.ordering.for_restart(every)) == ["db", "first", "late", "app"]


def test_a_long_chain_is_no_deep_recursion() -> None:
    count = 3000
    house = House([spec(f"t{number}", *([f"t{number - 1}"] if number else [])) for number in range(count)])
    for number in reversed(range(count)):
        house.act(f"t{number}")
    house.becomes("t0", State.FATAL)
    assert house.task(f"t{count - 1}").stuck
    for task in house.ordering.downwards(house.registry.ordered()):
        house.ordering.stop(task, "me")
    assert len(house.happened) == count + 1


# Whatever happens -----------------------------------------------------------------------------------------------------------------------------------


@st.composite
def graphs(draw: st.DrawFn) -> list[TaskSpec]:
    count = draw(st.integers(1, 8))
    specs = []
    for number in range(count):
        below = sorted(draw(st.sets(st.integers(0, number - 1), max_size=3))) if number else []
        specs.append(spec(f"t{number}", *[f"t{other}" for other in below], priority=draw(st.integers(1, 3))))
    return specs


class Play:
    """Random wishes and random fates; checks at each start and stop that it was allowed."""

    def __init__(self, specs: list[TaskSpec], bound: int, seed: int) -> None:
        self.house = House(specs, bound)
        self.random = random.Random(seed)
        self.bound = bound

    def step(self) -> None:
        house, name = self.house, self.random.choice([task.name for task in self.house.registry])
        task = house.task(name)
        match self.random.choice(("act", "act", "fate", "fate", "fate", "stop", "stop all")):
            case "act":
                if task.goal is Goal.TRM and not task.resting:
                    return  # the Core lets it rest first
                house.act(name)
            case "stop":
                house.ordering.stop(task, "me")
            case "stop all":
                for each in house.ordering.downwards(house.registry.ordered()):
                    house.ordering.stop(each, "me")
            case "fate":
                self.fate(task, (State.RUNNING, State.RUNNING, State.BACKOFF, State.FATAL))
        self.check()

    def fate(self, task: Task, states: tuple[State, ...]) -> None:
        if task.queued:
            self.house.becomes(task.name, State.STOPPED if task.goal is Goal.TRM else self.random.choice(states))

    def check(self) -> None:
        house = self.house
        starting = [task for task in house.registry if task.queued and task.report.state is State.STARTING and task.goal is Goal.ACT]
        assert not self.bound or len(starting) <= self.bound
        for task in house.registry:
            below = [house.task(other) for other in task.spec.depends_on]
            ready = all(other.report.state is State.RUNNING and other.goal is Goal.ACT and not other.stops_for for other in below)
            if task.waits and not task.waits.startswith("waits for its turn"):
                assert not ready, f"{task.name} waits although all is there"
            above = [house.task(identity.name) for identity in house.registry if task.name in identity.spec.depends_on]
            if task.stops_for:
                assert any(other.queued and (other.goal is Goal.TRM or other.stops_for) for other in above), f"{task.name} waits for nobody"

    def settle(self) -> None:
        """Everything is wanted and everything goes well."""
        house = self.house
        for _ in range(4 * len(house.registry)):
            for task in house.registry.ordered():
                if task.goal is Goal.TRM and task.queued:
                    house.becomes(task.name, State.STOPPED)
                if task.report.state.at_rest:
                    house.act(task.name)
                self.fate(task, (State.RUNNING,))
                self.check()


@settings(max_examples=100)
@given(graphs(), st.integers(0, 3), st.integers(0, 2**32))
def test_whatever_happens_nothing_waits_for_nothing_and_all_that_is_wanted_comes_up(specs: list[TaskSpec], bound: int, seed: int) -> None:
    play = Play(specs, bound, seed)
    for _ in range(30):
        play.step()
    play.settle()
    assert {task.name: task.report.state for task in play.house.registry} == dict.fromkeys((spec.name for spec in specs), State.RUNNING)
    for task in play.house.ordering.downwards(play.house.registry.ordered()):
        play.house.ordering.stop(task, "me")
    down: list[str] = []
    for _ in specs:
        for task in play.house.registry.ordered():
            if task.goal is Goal.TRM and task.queued:
                down.append(task.name)
                play.house.becomes(task.name, State.STOPPED)
                play.check()
    assert sorted(down) == sorted(spec.name for spec in specs)
    assert all(down.index(spec.name) < down.index(other) for spec in specs for other in spec.depends_on)


@pytest.mark.parametrize("state", [State.STARTING, State.BACKOFF])
def test_a_start_does_not_begin_while_its_dependency_is_not_ready(state: State) -> None:
    house = House([spec("app", "db"), spec("db")])
    house.act("db")
    house.act("app")
    house.becomes("db", state)
    assert house.happened == ["start db"]
