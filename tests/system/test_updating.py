"""The file read again: only what changed is touched, all or nothing, and a file that is broken or cut off stops nothing."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import pytest

from efsupervisor import messages
from efsupervisor.core import configuration
from efsupervisor.core.configuration import Found, Reread
from efsupervisor.core.descriptors import Descriptors
from efsupervisor.errors import Code, EfError
from efsupervisor.reactor import Reactor
from efsupervisor.states import Goal, State
from efsupervisor.system import REAL
from tests.support import processes
from tests.support.asking import add, ask, details, refused
from tests.support.supervisor import Supervisor
from tests.support.wait import until

SLEEPER: dict[str, Any] = {"command": "sleep 100000", "startsecs": 0}
DEAF: dict[str, Any] = {"command": ["sh", "-c", "trap '' TERM; while :; do sleep 0.1; done"], "startsecs": 0, "stopwaitsecs": 600}


def reread(supervisor: Supervisor, **fields: Any) -> dict[str, tuple[str, str]]:
    """What differs: name -> (what, effect)."""
    reply = ask(supervisor, messages.RereadRequest, messages.DifferenceReply, **fields)
    assert reply.applied is fields.get("apply", False)
    return {f"{change.noun} {change.name}": (change.what, change.effect) for change in reply.changes}


def pids(supervisor: Supervisor, *names: str) -> dict[str, int]:
    return {name: supervisor.program_pid(name) for name in names}


def test_only_what_changed_is_touched(tmp_path: Path) -> None:
    before = {"stays": SLEEPER, "goes": SLEEPER, "other": SLEEPER, "policy": DEAF, "a": SLEEPER, "b": SLEEPER}
    with Supervisor(tmp_path, before) as supervisor:
        add(supervisor, "added", ["sleep", "100000"])
        for name in (*before, "added"):
            supervisor.await_state(name, State.RUNNING)
        former = pids(supervisor, "stays", "other", "policy", "a", "b", "added")
        after = {
            "stays": SLEEPER,
            "other": {**SLEEPER, "command": "sleep 200000"},
            "policy": {**DEAF, "stopwaitsecs": 0.2},
            "a": SLEEPER,
            "b": SLEEPER,
            "new": SLEEPER,
            "rests": {**SLEEPER, "autostart": False},
        }
        supervisor.write(after, {}, {"history": 50})
        expected = {
            "setting history": ("changed", "in place"),
            "task goes": ("removed", "stops"),
            "task other": ("changed", "restarts"),
            "task policy": ("changed", "in place"),
            "task new": ("added", "starts"),
            "task rests": ("added", "does not start (autostart: false)"),
        }
        assert reread(supervisor) == expected
        assert pids(supervisor, *former) == former
        folder = supervisor.task_dir("goes")
        assert reread(supervisor, apply=True) == expected
        until(lambda: "goes" not in supervisor.status(), 20, supervisor.story)
        until(lambda: supervisor.row("other").state is State.RUNNING and supervisor.program_pid("other") != former["other"], 20, supervisor.story)
        supervisor.await_state("new", State.RUNNING)
        assert supervisor.row("rests").state is State.STOPPED
        assert folder.is_dir()
        same = {name: pid for name, pid in former.items() if name != "other"}
        assert pids(supervisor, *same) == same
        assert reread(supervisor) == {}
        supervisor.trm("policy")  # within 600 s only because the worker has heard of the new limit
        assert supervisor.row("policy").exit_status == signal.SIGKILL


def test_a_task_that_was_stopped_by_an_operator_is_not_started_by_a_change_of_its_command(tmp_path: Path) -> None:
    with Supervisor(tmp_path, {"A": SLEEPER}) as supervisor:
        supervisor.await_state("A", State.RUNNING)
        supervisor.trm("A")
        supervisor.write({"A": {**SLEEPER, "command": "sleep 3"}}, {}, {})
        assert reread(supervisor, apply=True) == {"task A": ("changed", "restarts")}
        assert supervisor.row("A").state is State.STOPPED
        assert details(supervisor)["A"].spec.command == ["sleep", "3"]


def test_a_broken_file_changes_nothing_and_names_line_and_key(tmp_path: Path) -> None:
    with Supervisor(tmp_path, {"A": SLEEPER, "B": SLEEPER}) as supervisor:
        for name in ("A", "B"):
            supervisor.await_state(name, State.RUNNING)
        former = pids(supervisor, "A", "B")
        good = supervisor.config.read_text()
        broken = {good.replace("command: sleep", "comand: sleep"): "comand", "tasks: [": "efsupervisor.yaml:1", "\0": "efsupervisor.yaml"}
        for text, words in broken.items():
            supervisor.write({}, {}, {}, text)
            failed = refused(supervisor, messages.RereadRequest, apply=True)
            assert failed.code is Code.CONFIG and words in failed.sentence
        supervisor.config.unlink()
        assert refused(supervisor, messages.RereadRequest, apply=True).code is Code.CONFIG
        assert pids(supervisor, "A", "B") == former
        supervisor.config.write_text(good)
        assert reread(supervisor, apply=True) == {}


def test_a_task_type_that_does_not_exist_in_the_new_file_leaves_everything_as_it_was(tmp_path: Path) -> None:
    with Supervisor(tmp_path, {"A": SLEEPER}) as supervisor:
        supervisor.await_state("A", State.RUNNING)
        supervisor.write({"B": {**SLEEPER, "type": "nosuch"}}, {}, {})
        assert refused(supervisor, messages.RereadRequest, apply=True).code is Code.CONFIG
        assert supervisor.row("A").state is State.RUNNING


def test_an_edge_that_cannot_be_made_leaves_everything_as_it_was(tmp_path: Path) -> None:
    with Supervisor(tmp_path, {"A": SLEEPER, "B": SLEEPER}) as supervisor:
        for name in ("A", "B"):
            supervisor.await_state(name, State.RUNNING)
        former = pids(supervisor, "A", "B")
        flows = supervisor.var / "flows"
        flows.rename(supervisor.var / "elsewhere")
        flows.write_text("in the way")
        supervisor.write({"A": {**SLEEPER, "command": "sleep 5"}, "B": SLEEPER}, {"f": {"from": "A", "to": "B"}}, {})
        assert refused(supervisor, messages.RereadRequest, apply=True).code is Code.SYSTEM
        assert pids(supervisor, "A", "B") == former
        assert details(supervisor)["A"].spec.command == ["sleep", "100000"]
        flows.unlink()
        (supervisor.var / "elsewhere").rename(flows)


def test_a_file_cut_at_every_line_stops_nothing_and_one_that_is_meant_so_does(tmp_path: Path) -> None:
    tasks = {f"t{number}": SLEEPER for number in range(7)}
    with Supervisor(tmp_path, tasks) as supervisor:
        for name in tasks:
            supervisor.await_state(name, State.RUNNING)
        lines = supervisor.config.read_text().splitlines(keepends=True)
        codes = set()
        for cut in range(len(lines) - 1, -1, -1):
            supervisor.write({}, {}, {}, "".join(lines[:cut]))
            reply = supervisor.ask(messages.RereadRequest(id=f"cut {cut}", apply=True), 30)
            if isinstance(reply, messages.FailedReply):
                codes.add(reply.code)
            else:  # the last task without its last keys is a valid one
                assert isinstance(reply, messages.DifferenceReply)
                assert all(change.what == "changed" for change in reply.changes)
        assert codes == {Code.CONFIG, Code.BAD_STATE}
        assert {row.goal for row in supervisor.status().values()} == {Goal.ACT}
        assert len(supervisor.status()) == 7
        supervisor.write(dict(list(tasks.items())[:6]), {}, {})
        assert "..." in refused(supervisor, messages.RereadRequest, apply=True).sentence
        supervisor.config.write_text(supervisor.config.read_text() + "...\n")
        assert reread(supervisor, apply=True) == {"task t6": ("removed", "stops")}
        supervisor.write({}, {}, {})
        reread(supervisor, apply=True, accept_removals=True)
        until(lambda: supervisor.status() == {}, 20, supervisor.story)


def test_a_task_that_is_taken_out_and_put_back_while_it_still_stops_runs_again(tmp_path: Path) -> None:
    slow = {"command": ["sh", "-c", "trap 'sleep 1; exit 0' TERM; while :; do sleep 0.05; done"], "startsecs": 0}
    with Supervisor(tmp_path, {"S": slow, "A": SLEEPER}) as supervisor:
        supervisor.await_state("S", State.RUNNING)
        supervisor.write({"A": SLEEPER}, {}, {})
        reread(supervisor, apply=True)
        supervisor.await_state("S", State.STOPPING)
        supervisor.write({"S": slow, "A": SLEEPER}, {}, {})
        reread(supervisor, apply=True)
        until(lambda: supervisor.row("S").state is State.RUNNING and supervisor.row("S").incarnation == 2, 20, supervisor.story)
        assert details(supervisor)["S"].origin == "file"


def test_the_loop_goes_on_while_the_file_is_read(tmp_path: Path) -> None:
    """The child is stopped while it reads; meanwhile everybody else is answered."""
    with Supervisor(tmp_path, {"A": SLEEPER}) as supervisor, supervisor.connect(30) as client:
        supervisor.config.unlink()
        os.mkfifo(supervisor.config)  # refused at once by a reader that looks first, so nobody hangs on it
        client.send(messages.encode(messages.RereadRequest(id="fifo")))
        assert supervisor.row("A").name == "A"
        reply = messages.decode(client.recv(messages.MAX_FRAME), messages.Reply)
        assert isinstance(reply, messages.FailedReply) and reply.code is Code.CONFIG
        supervisor.config.unlink()


def test_a_reader_that_hangs_is_killed_and_the_next_one_is_asked_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = tmp_path / "x.yaml"
    config.write_text("supervisor: {}\n")
    monkeypatch.setattr(configuration, "DEADLINE_S", 0.3)
    answer = configuration._answer
    monkeypatch.setattr(configuration, "_answer", lambda *_arguments: signal.pause())
    reactor, answers = Reactor(REAL), list[Found | EfError]()
    reading = Reread(str(config), reactor, REAL, Descriptors(), lambda: None)
    reading.ask(answers.append)
    children = processes.children(os.getpid())
    reading.ask(lambda found: answers.append(found))
    monkeypatch.setattr(configuration, "_answer", answer)
    while len(answers) < 2:
        reactor.turn(5.0)
    assert isinstance(answers[0], EfError) and answers[0].code is Code.TIMEOUT
    assert isinstance(answers[1], Found)
    for pid in children:
        assert os.WTERMSIG(os.waitpid(pid, 0)[1]) == signal.SIGKILL
    os.wait()
    reactor.close()


def test_settings_of_the_file_apply_at_once_and_a_new_var_at_the_next_start(tmp_path: Path) -> None:
    with Supervisor(tmp_path, {"A": SLEEPER}) as supervisor:
        supervisor.await_state("A", State.RUNNING)
        supervisor.write({"A": SLEEPER}, {}, {"var": str(tmp_path / "another"), "log_level": "debug"})
        expected = {"setting log_level": ("changed", "in place"), "setting var": ("changed", "at the next start of efsupervisord")}
        assert reread(supervisor) == expected
        assert reread(supervisor, apply=True) == expected
        settings = {row.key: row.value for row in ask(supervisor, messages.SettingsRequest, messages.SettingsReply).rows}
        assert (settings["log_level"], settings["var"]) == ("debug", str(supervisor.var))
        supervisor.write({"A": SLEEPER}, {}, {})
