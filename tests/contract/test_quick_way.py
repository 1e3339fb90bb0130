"""What `efctl status` may import: every module costs a part of the 80 ms that it has."""

from __future__ import annotations

import subprocess
import sys

import pytest

QUICK = """
import sys
from efsupervisor.cli import main
main.run(["--var", "/nonexistent", "status"])
print("\\n".join(sorted(sys.modules)))
"""
OWN = {
    "efsupervisor", "efsupervisor.channel", "efsupervisor.errors", "efsupervisor.reactor", "efsupervisor.states", "efsupervisor.system",
    "efsupervisor.cli", "efsupervisor.cli.client", "efsupervisor.cli.edge", "efsupervisor.cli.line", "efsupervisor.cli.main",
    "efsupervisor.cli.output", "efsupervisor.cli.render", "efsupervisor.cli.table", "efsupervisor.cli.terminal", "efsupervisor.cli.verbs",
    "efsupervisor.cli.where", "efsupervisor.conf", "efsupervisor.conf.schema",
    "efsupervisor.messages", "efsupervisor.messages.core", "efsupervisor.messages.frame", "efsupervisor.messages.service",
    "efsupervisor.messages.worker",
}  # fmt: skip
NEVER = ("click", "rich", "zmq", "yaml", "asyncio", "readline", "json", "subprocess", "logging", "psutil", "werkzeug", "urllib3")


@pytest.fixture(scope="module")
def loaded() -> set[str]:
    done = subprocess.run([sys.executable, "-c", QUICK], capture_output=True, text=True, timeout=60, check=True)
    assert "not running" in done.stderr
    return set(done.stdout.split())


def test_the_quick_way_loads_no_heavy_package(loaded: set[str]) -> None:
    assert loaded.isdisjoint(NEVER)


def test_the_quick_way_loads_no_room_that_it_does_not_need(loaded: set[str]) -> None:
    assert {name for name in loaded if name.split(".")[0] == "efsupervisor"} <= OWN


def test_a_command_of_efctls_own_making_does_not_load_every_verb() -> None:
    script = QUICK.replace('"status"', '"tail", "a"')
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True)
    loaded = set(done.stdout.split())
    assert "click" in loaded
    assert "efsupervisor.interface.task" not in loaded
