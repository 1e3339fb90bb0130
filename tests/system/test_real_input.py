"""A flow over a real log: failed passwords kept, counted by address, and each recorded as an alert; compared with what the shell makes of the
same file.

The log is OpenSSH_2k.log of the Loghub collection, looked for in the folder that EFS_TEST_DATA names, or in ../shared/data beside the checkout.
It is never copied.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from efsupervisor.states import State
from tests.support.nemesis import Nemesis
from tests.support.supervisor import ROOT, Supervisor
from tests.support.wait import until

NAME = "OpenSSH_2k.log"
COUNT = "grep -oE 'from [0-9]+[.][0-9]+[.][0-9]+[.][0-9]+' | sort | uniq -c"
ALERTS = 'while IFS= read -r line; do printf "%s\\n" "$line" >> "$1"; echo >&2; done'


@pytest.fixture
def log() -> Path:
    """The log file, or a skip."""
    places = [Path(folder) for folder in (os.environ.get("EFS_TEST_DATA", ""), str(ROOT.parent / "shared" / "data")) if folder]
    for place in places:
        if (place / NAME).is_file():
            return place / NAME
    pytest.skip(f"{NAME} is not there; EFS_TEST_DATA may name the folder that holds it")


def shell(script: str, *arguments: str) -> bytes:
    """What the shell makes of it."""
    return subprocess.run(
        ["sh", "-c", script, "sh", *arguments], capture_output=True, check=True, env={"LC_ALL": "C", "PATH": os.environ["PATH"]}
    ).stdout


def test_jobs_count_failed_passwords_as_the_shell_does(log: Path, tmp_path: Path) -> None:
    plain = {"kind": "job", "environment": {"LC_ALL": "C"}}
    tasks = {
        "log": {"command": ["cat", str(log)], **plain},
        "failed": {"command": ["grep", "--line-buffered", "Failed password"], **plain},
        "addresses": {"command": ["sh", "-c", COUNT], **plain},
    }
    flows = {"lines": {"from": "log", "to": "failed", "start": "begin"}, "kept": {"from": "failed", "to": "addresses", "start": "begin"}}
    with Supervisor(tmp_path, tasks, flows) as supervisor:
        rows = {name: supervisor.await_state(name, State.EXITED) for name in tasks}
        expected = shell(f'grep "Failed password" "$1" | {COUNT}', str(log))
        assert len(expected.splitlines()) > 10
        assert supervisor.output("addresses") == expected
        assert supervisor.output("log") == log.read_bytes()
        assert all(row.exit_status == 0 for row in rows.values())


@pytest.mark.parametrize("kills", [0, 6])
def test_services_record_every_failed_password_as_an_alert_whether_workers_die_or_not(log: Path, tmp_path: Path, kills: int) -> None:
    alerts = tmp_path / "alerts"
    quick = {"startsecs": 0, "backoff_s": 0.001}
    tasks = {
        "log": {"command": ["cat", str(log)], "kind": "job", "autostart": False},
        "failed": {"command": ["grep", "--line-buffered", "Failed password"], "input": {"protocol": "stream", "stdin": "open"}, **quick},
        "alerts": {"command": ["sh", "-c", ALERTS, "sh", str(alerts)], "input": {"protocol": "event", "window": 8}, **quick},
    }
    flows = {"lines": {"from": "log", "to": "failed", "start": "begin"}, "kept": {"from": "failed", "to": "alerts", "start": "begin"}}
    expected = shell('grep "Failed password" "$1"', str(log))
    with Supervisor(tmp_path, tasks, flows) as supervisor:
        for name in ("failed", "alerts"):
            supervisor.await_state(name, State.RUNNING)
        pids = {name: supervisor.program_pid(name) for name in ("failed", "alerts")}
        assert all(outcome.ok for outcome in supervisor.act("log", wait=False).outcomes)
        nemesis = Nemesis(supervisor, ["failed", "alerts"], 1)
        while nemesis.tally.total < kills:
            nemesis.strike_worker()
        until(lambda: alerts.exists() and alerts.stat().st_size >= len(expected), 30, lambda: f"every alert is recorded\n{supervisor.story()}")
        assert alerts.read_bytes() == expected
        assert {name: supervisor.program_pid(name) for name in pids} == pids
        counted = shell(f'cat "$1" | {COUNT}', str(alerts))
        assert counted == shell(f'grep "Failed password" "$1" | {COUNT}', str(log))
        until(
            lambda: supervisor.row("alerts").outstanding == 0 and supervisor.row("alerts").lag_bytes == 0, 10, lambda: str(supervisor.row("alerts"))
        )
