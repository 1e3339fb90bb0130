"""`efctl top`, `why` and `tree` beside a real supervisor; top on a pseudo terminal."""

from __future__ import annotations

import json
import signal
import sys
from pathlib import Path

import pytest

from efsupervisor.states import State
from tests.support.screen import Screen
from tests.support.supervisor import Supervisor
from tests.support.wait import until

SLEEPER = {"command": ["sleep", "1000"], "startsecs": 0}


def screen(supervisor: Supervisor, *words: str, columns: int = 120) -> Screen:
    command = [sys.executable, "-m", "efsupervisor.cli.main", "-c", str(supervisor.config), "top", "--interval", "0.3", *words]
    return Screen(command, supervisor.clean_environment | {"TERM": "xterm"}, supervisor.folder, columns)


def test_top_is_drawn_obeys_keys_and_gives_the_terminal_back(tmp_path: Path) -> None:
    with Supervisor(tmp_path, {"web": SLEEPER, "db": SLEEPER, "job": SLEEPER}) as supervisor:
        supervisor.await_state("job", State.RUNNING)
        with screen(supervisor) as terminal:
            assert "CPU%*" in terminal.see("3 RUNNING")
            terminal.type("n")
            shown = terminal.see("NAME*")
            assert shown.index("db  ") < shown.index("job ") < shown.index("web ")
            terminal.type("/we")
            assert "1 shown" in terminal.see("filter: we_")
            terminal.type("\r")
            assert "db" not in terminal.see("filter: we (Esc: none)")
            terminal.type("\x1b")
            terminal.see("3 tasks")
            supervisor.trm("db")
            terminal.see("1 STOPPED")
            terminal.type("q")
            assert terminal.ended() == 0
        assert terminal.raw.count("\x1b[?1049h") == terminal.raw.count("\x1b[?1049l") == 1
        assert terminal.raw.index("\x1b[?25l") < terminal.raw.index("\x1b[?25h")
        assert "\x1b[2J" not in terminal.raw


def test_top_follows_the_size_of_the_window_and_outlives_the_core(tmp_path: Path) -> None:
    with Supervisor(tmp_path, {"web": SLEEPER}) as supervisor:
        supervisor.await_state("web", State.RUNNING)
        with screen(supervisor, "--interval", "3000") as terminal:
            terminal.see("IN-FLIGHT")
            terminal.resize(30)
            assert "IN-FLIGHT" not in terminal.see("1 task")
        with screen(supervisor) as terminal:
            terminal.see("1 RUNNING")
            supervisor.kill_core()
            terminal.see("not running")
            supervisor.start()
            terminal.see("1 RUNNING")
            terminal.type("\x03")
            assert terminal.ended() == 128 + signal.SIGINT
            assert terminal.raw.endswith("\x1b[?1049l") or "\x1b[?1049l" in terminal.raw


def test_top_for_scripts_is_a_table_or_a_document(tmp_path: Path) -> None:
    with Supervisor(tmp_path, {"web": SLEEPER, "db": SLEEPER}) as supervisor:
        supervisor.await_state("db", State.RUNNING)
        table = supervisor.efctl("top", "--once", "--sort", "name").stdout.decode().splitlines()
        assert [line.split()[0] for line in table] == ["NAME", "db", "web"]
        (row,) = json.loads(supervisor.efctl("top", "--json", "web").stdout)
        assert (row["name"], row["state"], row["pid"]) == ("web", "RUNNING", supervisor.program_pid("web"))
        assert supervisor.efctl("top", "--once", "nosuch").returncode == 3


def test_top_says_that_no_supervisor_runs(tmp_path: Path) -> None:
    supervisor = Supervisor(tmp_path, {"web": SLEEPER})
    said = supervisor.efctl("top", "--once")
    supervisor.abandon()
    assert (said.returncode, b"not running" in said.stderr) == (69, True)


def test_why_a_task_failed_is_told_with_its_last_words(tmp_path: Path) -> None:
    bad = {"command": ["sh", "-c", "echo no such file: web.conf >&2; exit 3"], "startretries": 1, "backoff_s": 0.1}
    with Supervisor(tmp_path, {"bad": bad, "web": SLEEPER}) as supervisor:
        supervisor.await_state("bad", State.FATAL)
        story = supervisor.efctl("why", "bad").stdout.decode()
        assert "bad: it is FATAL" in story and "wanted running" in story
        assert "| no such file: web.conf (2 times)" in story
        assert "exit status 3" in story
        rows = json.loads(supervisor.efctl("why", "bad", "--json").stdout)["rows"]
        times = [row["wall"] for row in rows if row["what"] in ("run", "state", "asked")]
        assert len(times) > 2
        assert times == sorted(times, reverse=True)
        assert supervisor.efctl("why", "nosuch").returncode == 3


@pytest.mark.parametrize("services", [False, True])
def test_the_tree_shows_every_process_of_a_task_and_of_the_supervisor(tmp_path: Path, services: bool) -> None:
    family = {"command": ["sh", "-c", "sleep 1001 & setsid -f sleep 1002; wait"], "startsecs": 0}
    with Supervisor(tmp_path, {"web": family}, supervisor={"services": services}) as supervisor:
        supervisor.await_state("web", State.RUNNING)
        if services:
            supervisor.await_service("middle")

        def commands() -> dict[str, dict[str, object]]:
            return {row["name"]: row for row in json.loads(supervisor.efctl("tree", "--json").stdout)}

        rows = until(lambda: found if {"sleep 1001", "sleep 1002"} <= set(found := commands()) else None, 15, "both are there")
        assert rows["efsupervisord"]["pid"] == supervisor.core_pid
        assert rows["worker of web"]["pid"] == supervisor.worker_pid("web")
        assert rows["web"]["state"] == "RUNNING"
        assert ("middle" in rows) is services
        text = supervisor.efctl("tree", "web").stdout.decode()
        assert "└─ worker of web" in text and "efsupervisord" not in text
