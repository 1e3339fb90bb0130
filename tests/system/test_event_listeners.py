"""Event listeners with real programs: what they are told, and what becomes of those that fail, hang, die or talk nonsense."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest

from efsupervisor.states import State
from tests.support.supervisor import Supervisor, program
from tests.support.wait import until

CAPTURED = "printf 'a<!--XSUPERVISOR:BEGIN-->ütf<!--XSUPERVISOR:END-->b'; sleep 1000"


def listener(folder: Path, *words: str, **others: Any) -> dict[str, Any]:
    """A task that is a listener; it writes what it hears to folder/heard."""
    return {"type": "eventlistener", "command": program("listener", folder / "heard", *words), "startsecs": 0, **others}


def heard(folder: Path, name: str = "") -> list[dict[str, Any]]:
    """The events that arrived, in order."""
    path = folder / "heard"
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.endswith("}")] if path.exists() else []
    return [row for row in rows if row["name"].startswith(name)]


def await_heard(supervisor: Supervisor, name: str, count: int = 1, deadline_s: float = 20.0) -> list[dict[str, Any]]:
    """Wait until so many events of this type have arrived."""

    def enough() -> list[dict[str, Any]] | None:
        found = heard(supervisor.folder, name)
        return found if len(found) >= count else None

    return until(enough, deadline_s, lambda: f"{count} {name}; heard: {heard(supervisor.folder)}\n{supervisor.story()}")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path


def test_a_listener_is_told_of_states_of_the_supervisor_and_of_others(folder: Path) -> None:
    tasks = {
        "ears": listener(folder, events=["EVENT"], buffer_size=1000),
        "t": {"command": ["sh", "-c", "exit 3"], "autostart": False, "startsecs": 0, "autorestart": "false"},
    }
    with Supervisor(folder, tasks, supervisor={"xmlrpc": {"identifier": "house"}}) as supervisor:
        await_heard(supervisor, "SUPERVISOR_STATE_CHANGE_RUNNING")
        supervisor.act("t")
        exited = await_heard(supervisor, "PROCESS_STATE_EXITED")[0]
        pid = next(int(row["payload"].rpartition(":")[2]) for row in heard(folder, "PROCESS_STATE_RUNNING") if "processname:t " in row["payload"])
        assert exited["payload"] == f"processname:t groupname:t from_state:RUNNING expected:0 pid:{pid}"
        supervisor.efctl("emit", "greeting", "안녕")
        remote = await_heard(supervisor, "REMOTE_COMMUNICATION")[0]
        assert remote["payload"] == "type:greeting\n안녕"
        serial = remote["serial"]
        length = len(remote["payload"].encode())
        assert remote["head"] == (
            f"ver:3.0 server:house serial:{serial} pool:ears poolserial:{serial} eventname:REMOTE_COMMUNICATION len:{length}\n"
        )
        assert int(await_heard(supervisor, "TICK_5", deadline_s=15)[0]["payload"].partition(":")[2]) % 5 == 0
        serials = [row["serial"] for row in heard(folder)]
        assert serials == sorted(set(serials))


def test_a_listener_gets_only_what_it_wants_and_a_parent_stands_for_its_children(folder: Path) -> None:
    tasks = {
        "ears": listener(folder, events=["PROCESS_COMMUNICATION", "PROCESS_LOG_STDOUT"]),
        "t": {
            "command": ["sh", "-c", CAPTURED], "autostart": False, "startsecs": 0, "stdout_capture_maxbytes": 4096, "stdout_events_enabled": True,
        },
    }  # fmt: skip
    with Supervisor(folder, tasks) as supervisor:
        supervisor.await_state("ears", State.RUNNING)
        until(lambda: (supervisor.var / "listeners" / "ears" / "pool").exists(), 10, "the pool has begun")
        supervisor.act("t")
        pid = supervisor.row("t").pid
        said = await_heard(supervisor, "PROCESS_COMMUNICATION_STDOUT")[0]
        assert said["payload"] == f"processname:t groupname:t pid:{pid}\nütf"
        logs = await_heard(supervisor, "PROCESS_LOG_STDOUT", 2)
        assert "".join(row["payload"].partition("\n")[2] for row in logs) == "ab"
        assert {row["name"] for row in heard(folder)} == {"PROCESS_COMMUNICATION_STDOUT", "PROCESS_LOG_STDOUT"}


def test_an_event_that_a_listener_fails_comes_again(folder: Path) -> None:
    with Supervisor(folder, {"ears": listener(folder, "fail=2", events=["REMOTE_COMMUNICATION"])}) as supervisor:
        supervisor.await_state("ears", State.RUNNING)
        supervisor.efctl("emit", "k", "x")
        rows = await_heard(supervisor, "REMOTE_COMMUNICATION", 3)
        assert {row["serial"] for row in rows} == {rows[0]["serial"]}


@pytest.mark.parametrize("victim", ["program", "worker", "core"])
def test_no_event_is_lost_when_somebody_is_killed(folder: Path, victim: str) -> None:
    with Supervisor(folder, {"ears": listener(folder, "hang=1", events=["REMOTE_COMMUNICATION"])}) as supervisor:
        supervisor.await_state("ears", State.RUNNING)
        supervisor.efctl("emit", "k", "first")
        await_heard(supervisor, "REMOTE_COMMUNICATION")
        supervisor.efctl("emit", "k", "second")
        row = supervisor.row("ears")
        if victim == "core":
            os.kill(supervisor.core_pid, signal.SIGKILL)
            supervisor.start()
        elif victim == "worker":
            os.kill(row.worker_pid, signal.SIGKILL)
        os.kill(row.pid, signal.SIGKILL)
        payloads = [each["payload"] for each in await_heard(supervisor, "REMOTE_COMMUNICATION", 2)]
        assert payloads[:2] == ["type:k\nfirst", "type:k\nfirst"]


def test_a_hung_listener_fills_its_own_buffer_and_is_seen_in_the_status(folder: Path) -> None:
    with Supervisor(folder, {"ears": listener(folder, "hang=1", events=["REMOTE_COMMUNICATION"], buffer_size=3)}) as supervisor:
        supervisor.await_state("ears", State.RUNNING)
        for number in range(8):
            supervisor.efctl("emit", "k", str(number))
        until(
            lambda: "3 events wait, 4 discarded" in supervisor.row("ears").health, 20,
            lambda: f"the status tells it: {supervisor.row('ears').health}\n{supervisor.output('ears', 'err')!r}",
        )  # fmt: skip
        assert b"event buffer overflowed, discarding event 2" in supervisor.output("ears", "err")


def test_a_listener_that_talks_nonsense_gets_nothing_more_and_runs_on(folder: Path) -> None:
    with Supervisor(folder, {"ears": listener(folder, "nonsense=1", events=["REMOTE_COMMUNICATION"])}) as supervisor:
        pid = supervisor.await_state("ears", State.RUNNING).pid
        supervisor.efctl("emit", "k", "x")
        until(lambda: "UNKNOWN" in supervisor.row("ears").health, 15, lambda: f"the status tells it\n{supervisor.story()}")
        supervisor.efctl("emit", "k", "y")
        assert supervisor.row("ears").pid == pid
        assert [row["payload"] for row in heard(folder)] == ["type:k\nx"]


def test_each_event_goes_to_one_of_a_pool(folder: Path) -> None:
    tasks = {"ears": listener(folder, events=["REMOTE_COMMUNICATION"], instances=3, buffer_size=100)}
    with Supervisor(folder, tasks) as supervisor:
        for name in supervisor.status():
            supervisor.await_state(name, State.RUNNING)
        for number in range(9):
            supervisor.efctl("emit", "k", str(number))
        rows = await_heard(supervisor, "REMOTE_COMMUNICATION", 9)
        assert sorted(row["payload"] for row in rows) == sorted(f"type:k\n{number}" for number in range(9))
