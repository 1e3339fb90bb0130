"""Seed and scale of a chaos run, and the one line it prints.

EFS_CHAOS=full asks for the full run, EFS_CHAOS_SEED for a certain seed.
"""

from __future__ import annotations

import os
import random
from collections.abc import Iterator

import pytest

from tests.support.nemesis import Tally
from tests.support.report import Report, line
from tests.support.witness import Verdict


@pytest.fixture(scope="session")
def full() -> bool:
    """Whether the full run was asked for."""
    return os.environ.get("EFS_CHAOS", "") == "full"


@pytest.fixture
def seed() -> int:
    """The seed of this test."""
    return int(os.environ.get("EFS_CHAOS_SEED", "0")) or random.SystemRandom().randint(1, 999_999_999)


@pytest.fixture(scope="module")
def whole_run(pytestconfig: pytest.Config) -> Iterator[list[tuple[Tally, list[Verdict], int]]]:
    """Collects what the tests of a module did, and prints the sum at its end."""
    runs: list[tuple[Tally, list[Verdict], int]] = []
    yield runs
    if len(runs) > 1:
        recovery = {kind: 0 for tally, _, _ in runs for kind in tally.recovery_s}
        for tally, _, _ in runs:
            for kind, seconds in tally.recovery_s.items():
                recovery[kind] = max(recovery[kind], round(seconds * 1000))
        verdicts = [verdict for _, found, _ in runs for verdict in found]
        text = line(
            "chaos",
            sum(tally.total for tally, _, _ in runs),
            " ".join(str(tally.seed) for tally, _, _ in runs),
            verdicts,
            sum(c for *_, c in runs),
            recovery,
        )
        say(pytestconfig, text)


@pytest.fixture
def report(request: pytest.FixtureRequest, whole_run: list[tuple[Tally, list[Verdict], int]]) -> Report:
    """Prints the line of one test, past pytest's capture, and keeps it for the sum."""

    def tell(tally: Tally, verdicts: list[Verdict], copies: int) -> None:
        whole_run.append((tally, verdicts, copies))
        recovery = {kind: round(seconds * 1000) for kind, seconds in tally.recovery_s.items()}
        say(request.config, line(request.node.name, tally.total, str(tally.seed), verdicts, copies, recovery))

    return tell


def say(config: pytest.Config, text: str) -> None:
    """One line to the terminal, whatever pytest captures."""
    capture = config.pluginmanager.getplugin("capturemanager")
    if capture is None:
        print("\n" + text, flush=True)
        return
    with capture.global_and_fixture_disabled():
        print("\n" + text, flush=True)
