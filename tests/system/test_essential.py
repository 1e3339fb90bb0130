"""A task that is essential: its end is the end of everything, in order and with a status that tells; a stop by hand is no such end."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from efsupervisor.states import State
from tests.support.supervisor import Supervisor
from tests.support.wait import until

OTHER = {"command": "sleep 100000", "startsecs": 0}


@pytest.mark.parametrize(
    ("command", "status"),
    [("exit 3", 3), ("exit 0", 0), ("kill -9 $$", 128 + 9), ("exec /nowhere/at/all", 127)],
    ids=["status", "success", "signal", "no-program"],
)
def test_the_end_of_an_essential_task_is_the_end_of_the_supervisor_with_its_status(tmp_path: Path, command: str, status: int) -> None:
    go = tmp_path / "go"
    script = f"until test -e {go}; do sleep 0.05; done; {command}"
    main = {"command": ["sh", "-c", script], "essential": True, "autorestart": "false", "startsecs": 0}
    with Supervisor(tmp_path, {"main": main, "other": OTHER}) as this:
        this.await_state("other", State.RUNNING)
        other = this.program_pid("other")
        go.touch()
        assert os.waitstatus_to_exitcode(this.await_core_end()) == status
        assert not Path(f"/proc/{other}").exists(), "what else ran was stopped before"
        assert "task main is essential and has ended" in this.story()


def test_an_essential_task_that_is_stopped_or_started_again_ends_nothing(tmp_path: Path) -> None:
    main = {"command": "sleep 100000", "essential": True, "startsecs": 0, "backoff_s": "10ms"}
    with Supervisor(tmp_path, {"main": main, "other": OTHER}) as this:
        this.await_state("main", State.RUNNING)
        former = this.kill_program("main")
        until(lambda: this.program_now("main") not in (0, former), 20, this.story)
        assert this.efctl("restart", "main").returncode == 0
        assert this.efctl("stop", "main").returncode == 0
        assert this.status()["main"].state is State.STOPPED
        assert this.status()["other"].state is State.RUNNING
