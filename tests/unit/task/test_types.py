"""The table of task types: what a type must have, what is refused and how, and types of other distributions."""

from __future__ import annotations

import socket
from collections.abc import Callable
from importlib import metadata
from typing import Any

import pytest

from efsupervisor import task
from efsupervisor.channel import Channel
from efsupervisor.errors import Code, EfError, TypeRefused
from efsupervisor.states import Protocol
from efsupervisor.task.default import REQUIRED, DefaultTask, Forked
from efsupervisor.task.process import ProcessTask
from efsupervisor.task.stdin import StdIn
from efsupervisor.task.stdout import StdOut


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    """A table of its own for each test, and nothing discovered yet."""
    monkeypatch.setattr(task, "_TABLE", dict(task._TABLE))
    monkeypatch.setattr(task, "_refused", {})
    monkeypatch.setattr(task, "_discovered", False)


def found(monkeypatch: pytest.MonkeyPatch, **types: Callable[[], Any]) -> list[str]:
    """Other distributions offer these; the names that were loaded so far."""
    loaded: list[str] = []

    class Entry:
        def __init__(self, name: str) -> None:
            self.name = name

        def load(self) -> Any:
            loaded.append(self.name)
            return types[self.name]()

    def entry_points(*, group: str) -> list[Entry]:
        assert group == "efsupervisor.task_types"
        return [Entry(name) for name in types]

    monkeypatch.setattr(metadata, "entry_points", entry_points)
    return loaded


class Own(DefaultTask):
    """Everything a type needs."""

    stdin_classes = {None: StdIn, Protocol.STREAM: StdIn, Protocol.EVENT: StdIn}
    stdout_class = StdOut

    def act(self, leave_core: Callable[[], None]) -> Forked:
        return super().act(leave_core)

    def trm(self, channel: Channel, asked_by: str) -> None:
        super().trm(channel, asked_by)

    def run(self, sock: socket.socket) -> None:
        """Nothing."""


def without(function: str) -> type[DefaultTask]:
    """The same without one of its functions."""
    members = {name: value for name, value in vars(Own).items() if name != function and not name.startswith("__")}
    return type("Without", (DefaultTask,), members)


def test_process_is_there_with_its_watchers() -> None:
    row = task.task_type("process")
    assert row.task is ProcessTask
    assert set(row.stdin) == {None, *Protocol}


def test_a_type_that_has_everything_is_registered() -> None:
    assert task.register("own", Own).task is Own
    assert task.task_type("own").task is Own


@pytest.mark.parametrize("function", REQUIRED)
def test_a_type_that_lacks_a_required_function_is_refused_by_its_name(function: str) -> None:
    with pytest.raises(TypeRefused, match=f"lacks {function}: a type implements act, trm, run") as refused:
        task.register("half", without(function))
    assert refused.value.code is Code.REFUSED
    assert "half" not in task.type_names()


def test_a_type_that_lacks_all_is_told_all() -> None:
    with pytest.raises(TypeRefused, match="lacks act, trm, run"):
        task.register("none", type("Empty", (DefaultTask,), {}))


def test_a_function_may_be_inherited_from_another_type() -> None:
    assert task.register("child", type("Child", (Own,), {})).task.__name__ == "Child"


@pytest.mark.parametrize(
    ("attribute", "sentence"), [("stdin_classes", "has no StdIn class for: no input, stream, event"), ("stdout_class", "has no stdout_class")]
)
def test_a_type_that_lacks_a_watcher_is_refused(attribute: str, sentence: str) -> None:
    with pytest.raises(TypeRefused, match=sentence):
        task.register("half", without(attribute))


def test_a_type_that_serves_only_some_protocols_is_told_which_are_missing() -> None:
    with pytest.raises(TypeRefused, match="no StdIn class for: event"):
        task.register("half", type("Half", (Own,), {"stdin_classes": {None: StdIn, Protocol.STREAM: StdIn}}))


def test_a_name_is_taken_once() -> None:
    with pytest.raises(TypeRefused, match="registered already, by ProcessTask"):
        task.register("process", Own)
    assert task.task_type("process").task is ProcessTask


def test_an_unknown_type_names_the_nearest_one(monkeypatch: pytest.MonkeyPatch) -> None:
    found(monkeypatch)
    with pytest.raises(EfError, match="no task type 'proces'; did you mean 'process'") as raised:
        task.task_type("proces")
    assert raised.value.code is Code.CONFIG
    with pytest.raises(EfError, match="there are process"):
        task.task_type("zzz")


def test_types_of_other_distributions_are_found_when_they_are_asked_for_and_not_before(monkeypatch: pytest.MonkeyPatch) -> None:
    loaded = found(monkeypatch, elsewhere=lambda: Own)
    assert task.task_type("process").task is ProcessTask
    assert loaded == []
    assert task.task_type("elsewhere").task is Own
    assert task.type_names() == ["elsewhere", "eventlistener", "process"]
    assert loaded == ["elsewhere"]


def test_a_type_of_another_distribution_that_cannot_be_used_disturbs_no_other_and_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> Any:
        raise ImportError("no module named 'java'")

    found(monkeypatch, broken=broken, half=lambda: without("run"), none=lambda: 7, good=lambda: Own, process=lambda: Own)
    assert task.type_names() == ["eventlistener", "good", "process"]
    for name, reason in (("broken", "no module named 'java'"), ("half", "lacks run"), ("none", "cannot be used")):
        with pytest.raises(TypeRefused, match=reason):
            task.task_type(name)
        assert reason in task.refused_types()[name]
    assert "process" not in task.refused_types(), "the one that came first stays usable"
    assert task.task_type("process").task is ProcessTask
