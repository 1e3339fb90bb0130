"""`efctl daemon upgrade`: another version takes over in the same process; programs, events in flight and whoever waits notice nothing."""

from __future__ import annotations

import os
import signal
import socket
from pathlib import Path

import pytest

from efsupervisor.messages import MAX_FRAME, RestartRequest, UpgradeRequest, VersionReply, VersionRequest, encode
from efsupervisor.states import State
from tests.support.field import Field
from tests.support.nemesis import Sampler
from tests.support.supervisor import Supervisor
from tests.support.wait import until

LAUNCHER = """\
import sys
import efsupervisor
efsupervisor.__version__ = {version!r}
from efsupervisor.core.main import main
if __name__ == "__main__":
    sys.exit(main())
"""
SLEEPER = {"command": ["sleep", "1000"], "startsecs": 0}


def install(launcher: Path, version: str) -> None:
    """What the next start of efsupervisord will run."""
    launcher.write_text(LAUNCHER.format(version=version))


def about(supervisor: Supervisor) -> VersionReply:
    reply = supervisor.ask(VersionRequest(id="who"))
    assert isinstance(reply, VersionReply)
    return reply


def test_a_newer_version_takes_over_under_traffic_and_no_event_is_lost_and_no_pid_changes(tmp_path: Path) -> None:
    launcher = tmp_path / "efsupervisord.py"
    install(launcher, "1.0")
    field = Field(tmp_path, seed=4711, launcher=launcher)
    with Sampler(field.supervisor) as sampler, field.supervisor as supervisor:
        field.await_traffic()
        programs = {name: supervisor.program_pid(name) for name in field.tasks}
        workers = {name: supervisor.worker_pid(name) for name in field.tasks}
        for version in ("1.1", "1.2", "1.3", "0.9"):
            install(launcher, version)
            said = supervisor.efctl("daemon", "upgrade")
            assert said.returncode == 0, said.stderr.decode() + supervisor.story()
            assert f"efsupervisord {version} took over from" in said.stdout.decode()
            assert (about(supervisor).version, about(supervisor).pid) == (version, supervisor.core_pid)
            field.await_traffic()
        assert {name: supervisor.program_pid(name) for name in field.tasks} == programs
        assert {name: supervisor.worker_pid(name) for name in field.tasks} == workers
        trouble = field.settle_down()
        verdicts = field.verdicts()
        sampler.finish()
        assert [str(verdict) for verdict in verdicts if not verdict.clean] == [], trouble
        assert (trouble, sampler.copies) == ("", 0)


def test_siblings_are_replaced_and_the_answer_comes_back_though_the_middle_interface_was_one_of_them(tmp_path: Path) -> None:
    launcher = tmp_path / "efsupervisord.py"
    install(launcher, "1.0")
    with Supervisor(tmp_path, {"a": SLEEPER}, supervisor={"services": True}, launcher=launcher) as supervisor:
        supervisor.await_state("a", State.RUNNING)
        names = ("host", "middle", "resource")
        former = {supervisor.await_service(name) for name in names}
        install(launcher, "2.0")
        said = supervisor.efctl("daemon", "upgrade")
        assert (said.returncode, b"2.0 took over from 1.0" in said.stdout) == (0, True), said.stderr.decode() + supervisor.story()
        assert not former & {supervisor.await_service(name) for name in names}
        assert supervisor.efctl("status").returncode == 0


@pytest.mark.parametrize(
    ("broken", "word"),
    [
        ("raise ImportError('half installed')", "half installed"),
        ("import time; print('hm'); raise SystemExit(3)", "hm"),
        ('print(\'{"version": "7", "var": "/elsewhere", "takes_over": true}\')', "another state folder"),
        ('print(\'{"version": "0.0"}\')', "cannot take over"),
    ],
)
def test_a_version_that_cannot_start_leaves_the_old_one_running_with_its_siblings(tmp_path: Path, broken: str, word: str) -> None:
    launcher = tmp_path / "efsupervisord.py"
    install(launcher, "1.0")
    with Supervisor(tmp_path, {"a": SLEEPER}, launcher=launcher) as supervisor:
        pid = supervisor.await_state("a", State.RUNNING).pid
        launcher.write_text(broken)
        said = supervisor.efctl("daemon", "upgrade")
        assert said.returncode != 0
        assert word in said.stderr.decode() and "1.0 goes on" in said.stderr.decode()
        assert (about(supervisor).version, supervisor.row("a").pid) == ("1.0", pid)
        install(launcher, "1.0")


def test_a_configuration_that_is_broken_leaves_the_old_version_running(tmp_path: Path) -> None:
    with Supervisor(tmp_path, {"a": SLEEPER}) as supervisor:
        supervisor.await_state("a", State.RUNNING)
        good = supervisor.config.read_text()
        supervisor.config.write_text(good.replace("command", "comand"))
        said = supervisor.efctl("daemon", "upgrade")
        assert said.returncode != 0
        assert "comand" in said.stderr.decode()
        assert supervisor.row("a").state is State.RUNNING
        supervisor.config.write_text(good)


def test_a_request_that_was_answered_before_is_not_carried_out_again_by_the_new_version(tmp_path: Path) -> None:
    with Supervisor(tmp_path, {"a": SLEEPER}) as supervisor:
        supervisor.await_state("a", State.RUNNING)
        request = RestartRequest(id="only-once", names=["a"])
        first = supervisor.ask(request)
        pid = supervisor.await_state("a", State.RUNNING).pid
        since = about(supervisor).since_wall
        assert supervisor.efctl("daemon", "upgrade").returncode == 0
        assert about(supervisor).since_wall > since
        assert supervisor.ask(request) == first
        assert supervisor.row("a").pid == pid


def test_a_restart_of_which_the_first_half_was_told_is_brought_to_its_end(tmp_path: Path) -> None:
    stubborn = {"command": ["sh", "-c", "trap '' TERM; while :; do sleep 0.2; done"], "startsecs": 0, "stopwaitsecs": 4}
    with Supervisor(tmp_path, {"a": stubborn}) as supervisor:
        pid = supervisor.await_state("a", State.RUNNING).pid
        supervisor.ask(RestartRequest(id="half", names=["a"], wait=False))
        supervisor.await_state("a", State.STOPPING)
        assert supervisor.efctl("daemon", "upgrade").returncode == 0
        until(lambda: (row := supervisor.row("a")).state is State.RUNNING and row.pid not in (0, pid), 20, "it runs again")


def test_the_lock_is_held_at_every_instant_and_a_signal_that_comes_meanwhile_is_obeyed(tmp_path: Path) -> None:
    with Supervisor(tmp_path, {"a": SLEEPER}) as supervisor:
        supervisor.await_state("a", State.RUNNING)
        with supervisor.connect() as client:
            client.send(encode(UpgradeRequest(id="u")))
            refusals = [supervisor.run_daemon().returncode for _ in range(4)]
            assert refusals == [73] * 4
            assert client.recv(MAX_FRAME) == b""
        until(lambda: "after an upgrade" in supervisor.story(), 20, supervisor.story)
        with supervisor.connect() as client:
            client.send(encode(UpgradeRequest(id="v")))
            until(lambda: execed(client), 20, "the new program begins")
            os.kill(supervisor.core_pid, signal.SIGTERM)
        assert supervisor.await_core_end() == 0


def execed(client: socket.socket) -> bool:
    """Its sockets closed: execve has just happened, and nothing of the new program runs yet or little."""
    return client.recv(MAX_FRAME) == b""


AS_WAS = """\
import json, sys
import efsupervisor
from efsupervisor.messages import frame

efsupervisor.__version__ = {version!r}

YOUNG = {{"health", "dropped_bytes", "finished", "blocked_by", "log_level", "log_format", "asked_by", "fed_logs", "depends_on", "hooks"}}


class Encoder:
    def __init__(self, encoder):
        self.encoder = encoder

    def encode(self, message):
        return json.dumps(changed(json.loads(self.encoder.encode(message)))).encode()


def changed(value):
    if isinstance(value, list):
        return [changed(each) for each in value]
    if not isinstance(value, dict):
        return value
    kept = {{name: changed(each) for name, each in value.items() if {newer} or name not in YOUNG}}
    return kept | {{"added_later": {{"deep": [1]}}}} if {newer} and ("name" in kept or "kind" in kept) else kept


frame._encoder = Encoder(frame._encoder)
from efsupervisor.core.main import main
if __name__ == "__main__":
    sys.exit(main())
"""


def test_a_newer_core_works_with_older_workers_and_an_older_core_with_newer_ones(tmp_path: Path) -> None:
    launcher = tmp_path / "efsupervisord.py"
    launcher.write_text(AS_WAS.format(version="1.0", newer=False))
    field = Field(tmp_path, seed=4712, launcher=launcher, parts=("E8", "F", "G"))
    with field.supervisor as supervisor:
        field.await_traffic()
        for version, newer in (("2.0", True), ("1.0", False)):
            workers = {name: supervisor.worker_pid(name) for name in field.tasks}
            launcher.write_text(AS_WAS.format(version=version, newer=newer))
            assert supervisor.efctl("daemon", "upgrade").returncode == 0, supervisor.story()
            assert about(supervisor).version == version
            field.await_traffic()
            assert {name: supervisor.worker_pid(name) for name in field.tasks} == workers, "nobody was replaced for what it says"
            assert all(row.state is State.RUNNING and row.worker_pid for row in supervisor.status().values())
            supervisor.trm("G", "E8")  # the workers of the other version obey
            supervisor.act("G", "E8")  # and these are ours, met by the next Core
            supervisor.await_state("E8", State.RUNNING)
        trouble = field.settle_down()
        assert [str(verdict) for verdict in field.verdicts() if not verdict.clean] == [], trouble
        assert trouble == ""
