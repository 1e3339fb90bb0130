"""Cycles of flows that stand still: who cannot move, and that it is told once, and not while it may still move."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from efsupervisor.conf.schema import TaskSpec
from efsupervisor.core.registry import Registry
from efsupervisor.core.standstill import PATIENCE_S, Standstill, circle, standing
from efsupervisor.core.tale import Tale
from efsupervisor.core.tasks import Task, row
from efsupervisor.messages import OutEdge, Report, Wiring
from efsupervisor.reactor import Reactor
from efsupervisor.states import Goal, State
from efsupervisor.task.paths import TaskPaths
from tests.support.stores import Clock, opened

RING = {"a": [frozenset("b")], "b": [frozenset("c")], "c": [frozenset("a")]}


@pytest.mark.parametrize(
    ("waits", "still"),
    [
        ({}, ""),
        (RING, "abc"),
        ({"a": [frozenset("a")]}, "a"),
        ({**RING, "d": [frozenset("a")]}, "abcd"),  # it waits for the ring
        ({"a": [frozenset("b")], "b": [frozenset("c")]}, ""),  # c is to blame: its state says why
        ({**RING, "c": [frozenset("ax")]}, ""),  # x of the group may take it
        ({**RING, "c": [frozenset("x"), frozenset("a")]}, "abc"),  # one edge that never clears is enough
    ],
)
def test_who_waits_for_ever(waits: dict[str, list[frozenset[str]]], still: str) -> None:
    assert standing(waits) == set(still)


def test_the_way_round_is_told_in_the_order_in_which_they_wait() -> None:
    assert circle(RING, set("abc"), "b") == ["b", "c", "a"]
    assert circle({**RING, "d": [frozenset("a")]}, set("abcd"), "d") == ["a", "b", "c"]


class Stage:
    """Tasks a -> b -> a and their reports."""

    def __init__(self, folder: Path) -> None:
        self.clock = Clock()
        self.reactor = Reactor(self.clock)
        log: Any = SimpleNamespace(echo=lambda _: None, warning=lambda _: None)
        self.tale = Tale(self.reactor, self.clock, log, opened(folder))
        self.registry = Registry()
        for name, after in (("a", "b"), ("b", "a")):
            spec = TaskSpec(name=name, command=["x"])
            outputs = [OutEdge(id="1" * 16, folder="/f", consumers=[(after, "/" + after)])]
            wiring = Wiring(spec=spec, task_dir="/" + name, namespace="n", outputs=outputs)
            report = Report(state=State.RUNNING, goal=Goal.ACT)
            self.registry.add(Task(spec=spec, wiring=wiring, paths=TaskPaths("/var/" + name), report=report))
        self.standstill = Standstill(self.registry, self.reactor, self.tale)
        self.standstill.enabled = True

    def says(self, name: str, *blocked_by: str, state: State = State.RUNNING) -> None:
        task = self.registry.by_name(name)
        assert task is not None
        task.report = msgspec.structs.replace(task.report, blocked_by=list(blocked_by), state=state)
        self.standstill.reported(task)

    def passes(self, seconds: float) -> None:
        for _ in range(10):  # in steps: a loop that slept for long shifts its deadlines
            self.clock.now += seconds / 10
            self.reactor.turn(0.0)

    def shown(self, name: str) -> str:
        task = self.registry.by_name(name)
        assert task is not None
        return row(task, 1.0).health

    def alerts(self) -> list[str]:
        return [each.sentence for each in self.tale.events.since(0, 100, frozenset(), frozenset()).rows if each.what == "standstill"]


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    return Stage(tmp_path)


def test_a_ring_that_stays_full_is_told_and_shown_until_it_moves(stage: Stage) -> None:
    stage.says("a", "b")
    stage.says("b", "a")
    assert not stage.alerts()
    stage.passes(PATIENCE_S)
    assert len(stage.alerts()) == 2
    assert stage.shown("a").startswith("stands still: a -> b -> a wait for each other; a larger max_lag or")
    assert stage.shown("b").startswith("stands still: b -> a -> b")
    stage.says("a", "b")  # a report with other figures is no news
    stage.passes(PATIENCE_S)
    assert len(stage.alerts()) == 2
    stage.says("b")
    assert stage.shown("a") == stage.shown("b") == ""


def test_a_ring_that_moves_on_in_time_is_not_told(stage: Stage) -> None:
    stage.says("a", "b")
    stage.says("b", "a")
    stage.passes(PATIENCE_S / 2)
    stage.says("a")
    stage.passes(PATIENCE_S)
    assert not stage.alerts() and stage.shown("b") == ""


def test_a_task_at_rest_does_not_stand_in_a_ring(stage: Stage) -> None:
    stage.says("a", "b", state=State.STOPPED)
    stage.says("b", "a")
    stage.passes(PATIENCE_S)
    assert not stage.alerts()


def test_where_no_flow_says_cycle_nothing_is_looked_at(stage: Stage) -> None:
    stage.standstill.enabled = False
    stage.says("a", "b")
    stage.says("b", "a")
    stage.passes(PATIENCE_S)
    assert not stage.alerts()
