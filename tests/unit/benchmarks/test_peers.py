"""The other supervisors: who is there, and that one that fails costs nobody else's figure."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

import pytest

from benchmarks import bench as bench_module
from benchmarks import peers
from benchmarks.bench import Bench
from benchmarks.peers import PEERS, Peer, Unavailable


class Here(Peer):
    """A peer without a process."""

    name = "here"
    command = status = ["true"]  # type: ignore[assignment]

    @staticmethod
    def binaries() -> Path:
        return Path("/bin")

    def write(self, programs: Any) -> None:
        self.programs = programs

    def await_up(self) -> None:
        pass


class Away(Here):
    """One that cannot be measured."""

    name = "away"

    @staticmethod
    def binaries() -> Path:
        raise Unavailable("it is not installed")


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch) -> dict[str, type[Peer]]:
    known: dict[str, type[Peer]] = {"here": Here, "away": Away, "there": Here}
    monkeypatch.setattr(peers, "PEERS", known)
    monkeypatch.setattr(bench_module, "PEERS", known)
    monkeypatch.setattr(bench_module, "nothing_left", contextlib.nullcontext)
    return known


def test_the_four_are_known_by_their_names() -> None:
    assert list(PEERS) == ["supervisord", "circus", "s6", "runit"]


def test_who_is_away_is_said_with_the_reason(registry: dict[str, type[Peer]]) -> None:
    assert peers.available(["here", "away"]) == ({"here": Path("/bin")}, {"away": "it is not installed"})


def test_a_peer_that_fails_costs_only_its_own_column(registry: dict[str, type[Peer]], tmp_path: Path) -> None:
    bench = Bench(tmp_path, quick=True, peers={"here": Path("/bin"), "there": Path("/bin")})
    seen: list[Peer] = []

    def measure(peer: Peer) -> int:
        seen.append(peer)
        if len(seen) == 1:
            raise TimeoutError("it does not come up after 120 s")
        return 7

    assert bench.of_peers("restart", measure, dict) == {"there": 7}
    assert bench.skipped == {"here, restart": "it does not come up after 120 s"}


@pytest.mark.parametrize("kind", PEERS.values(), ids=PEERS)
def test_every_program_that_is_wanted_is_in_the_configuration(kind: type[Peer], tmp_path: Path) -> None:
    peer = kind(tmp_path / "peer", Path("/bin"), {"one": {"command": ["sleep", "a b"]}, "two": {"command": ["sleep", "86400"]}})
    files = [path for path in peer.folder.rglob("*") if path.is_file()]
    text = "\n".join(f"{path}\n{path.read_text()}" for path in files)
    assert all(word in text for word in ("one", "two", "'a b'", "86400"))
