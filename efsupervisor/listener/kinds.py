"""Types of events as supervisord 4.3 names them, their parents, and what our rows mean in them.  Pure.

Ours may go from RUNNING to a new start in one step; supervisord's listeners (crashmail) wait for PROCESS_STATE_EXITED, so such a step is told as the
two that supervisord would tell.  Source: supervisor 4.3.0, events.py."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from efsupervisor.messages.core import EventRow

STATES = ("STOPPED", "EXITED", "STARTING", "STOPPING", "BACKOFF", "FATAL", "RUNNING", "UNKNOWN")
TICKS = {"TICK_5": 5, "TICK_60": 60, "TICK_3600": 3600}
FIRST_TICK_S = 5
CHILDREN: dict[str, tuple[str, ...]] = {
    "PROCESS_STATE": tuple(f"PROCESS_STATE_{state}" for state in STATES),
    "PROCESS_LOG": ("PROCESS_LOG_STDOUT", "PROCESS_LOG_STDERR"),
    "PROCESS_COMMUNICATION": ("PROCESS_COMMUNICATION_STDOUT", "PROCESS_COMMUNICATION_STDERR"),
    "SUPERVISOR_STATE_CHANGE": ("SUPERVISOR_STATE_CHANGE_RUNNING", "SUPERVISOR_STATE_CHANGE_STOPPING"),
    "TICK": tuple(TICKS),
    "PROCESS_GROUP": ("PROCESS_GROUP_ADDED", "PROCESS_GROUP_REMOVED"),
}
LEAVES = (*(leaf for leaves in CHILDREN.values() for leaf in leaves), "REMOTE_COMMUNICATION")
NAMES = ("EVENT", *CHILDREN, *LEAVES)
"""What a listener may subscribe to."""

STATE, SUPERVISOR, GROUP, REMOTE = "state", "supervisor", "group", "remote"
"""Kinds of our rows that become events."""


class Event(NamedTuple):
    """One event.  name: a leaf.  payload: its body."""

    name: str
    payload: bytes


def subscribed(words: Iterable[str]) -> frozenset[str]:
    """The leaves that are meant; a parent stands for all of its children."""
    wanted = frozenset(words)
    if "EVENT" in wanted:
        return frozenset(LEAVES)
    inherited = {leaf for parent, leaves in CHILDREN.items() if parent in wanted for leaf in leaves}
    return frozenset(inherited | (wanted & set(LEAVES)))


def of_row(row: EventRow, names: dict[str, tuple[str, str]]) -> list[Event]:
    """What a row of the Core's is to a listener.  names: process and group of each task, where they are not its name."""
    match row.what:
        case "state":
            process, group = names.get(row.task, (row.task, row.task))
            return [_state(process, group, before, after, row) for before, after in steps(row.before, row.after)]
        case "supervisor" if row.after in ("RUNNING", "STOPPING"):
            return [Event(f"SUPERVISOR_STATE_CHANGE_{row.after}", b"")]
        case "group" if row.after in ("ADDED", "REMOVED"):
            return [Event(f"PROCESS_GROUP_{row.after}", f"groupname:{row.task}\n".encode())]
        case "remote":
            return [Event("REMOTE_COMMUNICATION", f"type:{row.sentence}\n".encode() + row.event)]
        case _:
            return []


def steps(before: str, after: str) -> list[tuple[str, str]]:
    """A transition as supervisord would make it."""
    if before == "RUNNING" and after in ("STARTING", "BACKOFF", "FATAL"):
        return [("RUNNING", "EXITED"), ("EXITED", "STARTING")] if after == "STARTING" else [("RUNNING", "EXITED"), ("EXITED", after)]
    if before == "STARTING" and after == "FATAL":
        return [("STARTING", "BACKOFF"), ("BACKOFF", "FATAL")]
    return [(before, after)]


def _state(process: str, group: str, before: str, after: str, row: EventRow) -> Event:
    facts = dict(word.split(":", 1) for word in row.facts.split())
    words = [f"processname:{process}", f"groupname:{group}", f"from_state:{before}"]
    match after:
        case "STARTING" | "BACKOFF":
            words.append(f"tries:{facts.get('tries', '0')}")
        case "EXITED":
            words += [f"expected:{facts.get('expected', '0')}", f"pid:{facts.get('pid', '0')}"]
        case "RUNNING" | "STOPPING" | "STOPPED":
            words.append(f"pid:{facts.get('pid', str(row.pid))}")
    return Event(f"PROCESS_STATE_{after}", " ".join(words).encode())


def log_event(process: str, group: str, pid: int, channel: str, data: bytes) -> Event:
    """What a process wrote."""
    head = f"processname:{process} groupname:{group} pid:{pid} channel:{channel}\n".encode()
    return Event(f"PROCESS_LOG_{channel.upper()}", head + data)


def communication(process: str, group: str, pid: int, channel: str, data: bytes) -> Event:
    """What a process said between the tokens."""
    return Event(f"PROCESS_COMMUNICATION_{channel.upper()}", f"processname:{process} groupname:{group} pid:{pid}\n".encode() + data)


def ticks(before: int, now: int) -> list[Event]:
    """The ticks between two times (whole seconds of the wall clock); a clock that was set back gives none, one that jumped gives one of each."""
    found = []
    for name, period in TICKS.items():
        if now // period > before // period:
            found.append(Event(name, f"when:{now // period * period}".encode()))
    return found
