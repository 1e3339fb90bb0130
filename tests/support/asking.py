"""Requests of every kind to a supervisor under test, each with an id of its own, and specs whose programs carry the test's mark."""

from __future__ import annotations

import uuid
from typing import Any, TypeVar

from efsupervisor import messages
from efsupervisor.conf.schema import FlowSpec, TaskSpec
from tests.support.supervisor import MARK, Supervisor

R = TypeVar("R")


def ask(supervisor: Supervisor, kind: Any, expected: type[R], timeout_s: float = 30.0, **fields: Any) -> R:
    """One request; the reply is of the expected kind or the test fails."""
    reply = supervisor.ask(kind(id=fields.pop("id", uuid.uuid4().hex), **fields), timeout_s)
    assert isinstance(reply, expected), f"{kind.__name__} {fields}: {reply}\n{supervisor.story()}"
    return reply


def done(supervisor: Supervisor, kind: Any, **fields: Any) -> str:
    """One request that must succeed as a whole and for each part; what was said of them."""
    reply = ask(supervisor, kind, messages.DoneReply, **fields)
    assert all(outcome.ok for outcome in reply.outcomes), reply
    return "; ".join(f"{outcome.task}: {outcome.sentence}" for outcome in reply.outcomes)


def refused(supervisor: Supervisor, kind: Any, **fields: Any) -> messages.FailedReply:
    """One request that must be refused."""
    return ask(supervisor, kind, messages.FailedReply, **fields)


def spec(supervisor: Supervisor, name: str, command: list[str], **more: Any) -> TaskSpec:
    """A task to be added; its program carries the mark by which the test finds what is left."""
    return TaskSpec(name=name, command=command, environment={MARK: supervisor.mark}, **{"startsecs": 0.0, **more})


def add(supervisor: Supervisor, name: str, command: list[str], **more: Any) -> str:
    """Add a task; what was said."""
    return done(supervisor, messages.AddTaskRequest, spec=spec(supervisor, name, command, **more))


def flow(name: str, producer: str, consumer: str, **more: Any) -> FlowSpec:
    """A flow between two tasks."""
    return FlowSpec(name=name, producers=[producer], consumers=[consumer], **more)


def events(supervisor: Supervisor, since: int = 1, **fields: Any) -> list[messages.EventRow]:
    """Events that are kept."""
    return ask(supervisor, messages.EventsRequest, messages.EventsReply, since=since, limit=1000, **fields).rows


def runs(supervisor: Supervisor, *names: str) -> list[messages.RunRow]:
    """The newest ended runs, newest first."""
    return ask(supervisor, messages.HistoryRequest, messages.HistoryReply, names=list(names), limit=1000).rows


def details(supervisor: Supervisor) -> dict[str, messages.TaskDetail]:
    """What is configured, by task."""
    return {detail.spec.name: detail for detail in ask(supervisor, messages.SpecsRequest, messages.SpecsReply).tasks}
