"""What holds for every test.

    unit      no processes of ours, no waiting; mirrors the package
    contract  what must stay as it is between parts and versions: frames, layers, documents
    system    the daemon, real processes, deaths
    chaos     kills at random and at fault points

Hypothesis has no deadline: a test is right or wrong, not fast or slow, and the machine may be busy.

Most tests run side by side.  Those that hold a promise about time to the clock, and all that kill at random instants, are marked `alone` and run
after the rest, one by one: there nothing else may take the processors away.
"""

from __future__ import annotations

import signal
from pathlib import Path

import pytest
from hypothesis import settings

CHAOS = Path(__file__).with_name("chaos")

# Whoever runs the tests in the background, or under nohup, made us ignore these, and every program that a test starts would ignore them too.
signal.signal(signal.SIGINT, signal.default_int_handler)
for ignored in (signal.SIGHUP, signal.SIGQUIT):
    signal.signal(ignored, signal.SIG_DFL)

settings.register_profile("efsupervisor", deadline=None, print_blob=True)
settings.load_profile("efsupervisor")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Whatever kills at random runs alone."""
    for item in items:
        if CHAOS in item.path.parents:
            item.add_marker(pytest.mark.alone)
