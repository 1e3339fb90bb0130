"""An edge that was taken away while events of it are at the program: what it was, read from its own folder.

The events that are out are still acknowledged, and a worker that takes over must be able to finish one that is half in the pipe; so the journal of
an edge is needed for as long as the delivery record lists events of it, whatever the configuration says meanwhile.  The Core leaves the folder there.
"""

from __future__ import annotations

import os

import msgspec

from efsupervisor.messages import InEdge
from efsupervisor.states import Mode
from efsupervisor.system import short_id
from efsupervisor.task.paths import TaskPaths


class _Member(msgspec.Struct):
    id: str
    member: int = 0


class _EdgeFile(msgspec.Struct):
    """What is needed of edge.json."""

    producer: str
    mode: Mode
    consumers: list[_Member] = []
    departed: list[_Member] = []


def former_edge(paths: TaskPaths, edge_id: str) -> InEdge | None:
    """The edge as this task knew it; None when nothing is left of it."""
    var = os.path.dirname(os.path.dirname(paths.folder))
    folder = f"{var}/flows/{edge_id}"
    try:
        with open(folder + "/edge.json", "rb") as file:
            about = msgspec.json.decode(file.read(), type=_EdgeFile)
    except (FileNotFoundError, msgspec.DecodeError):
        return None
    member = next((each.member for each in (*about.consumers, *about.departed) if each.id == paths.id), 0)
    producer_dir = f"{var}/tasks/{short_id(about.producer)}" if about.producer else ""
    journal = TaskPaths(producer_dir).out_journal if about.producer else paths.input_journal
    peers = [f"{var}/tasks/{each.id}" for each in about.consumers if each.id != paths.id] if about.mode is Mode.SHARE else []
    return InEdge(
        id=edge_id, producer=about.producer, folder=folder, journal=journal, producer_dir=producer_dir, mode=about.mode, member=member, peers=peers
    )
