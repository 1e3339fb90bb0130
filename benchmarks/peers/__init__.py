"""Other supervisors, used as ours is used, so that a figure and its peers are taken by the same lines.

supervisord and circus come from the package index, each into an environment of its own in the user's cache folder, never into the project's.  s6 and
runit are used when they are installed.  What cannot be measured is said with its reason, and costs only its own column.
"""

from __future__ import annotations

from pathlib import Path

from benchmarks.peers.circus import Circus
from benchmarks.peers.peer import Peer, Unavailable, Wanted, cache, environment, quietly
from benchmarks.peers.runit import Runit
from benchmarks.peers.s6 import S6
from benchmarks.peers.supervisord import Supervisord

PEERS: dict[str, type[Peer]] = {each.name: each for each in (Supervisord, Circus, S6, Runit)}

__all__ = ["PEERS", "Peer", "Supervisord", "Unavailable", "Wanted", "available", "cache", "environment", "quietly"]


def available(names: list[str]) -> tuple[dict[str, Path], dict[str, str]]:
    """Where the binaries of these peers are; and why those that cannot be measured cannot."""
    found: dict[str, Path] = {}
    refused: dict[str, str] = {}
    for name in names:
        try:
            found[name] = PEERS[name].binaries()
        except Unavailable as reason:
            refused[name] = str(reason)
    return found, refused
