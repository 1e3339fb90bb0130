"""Live scaling, restarts one after the other, and pids, with real programs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from efsupervisor import messages
from efsupervisor.errors import Code
from efsupervisor.states import State
from tests.support.asking import add, ask, done, refused
from tests.support.supervisor import Supervisor, program
from tests.support.wait import until

SLEEPER: dict[str, Any] = {"command": "sleep 100000", "startsecs": 0}


def scale(supervisor: Supervisor, task: str, instances: int) -> str:
    return done(supervisor, messages.ScaleRequest, task=task, instances=instances)


def test_instances_come_and_go_and_those_that_stay_are_not_touched(tmp_path: Path) -> None:
    with Supervisor(tmp_path, {"w": {**SLEEPER, "instances": 2}, "other": SLEEPER}) as supervisor:
        for name in ("w-0", "w-1", "other"):
            supervisor.await_state(name, State.RUNNING)
        former = {name: supervisor.program_pid(name) for name in ("w-0", "w-1", "other")}
        told = supervisor.efctl("scale", "w", "4")
        assert told.returncode == 0, told.stderr
        assert b"w-2: RUNNING, pid " in told.stdout and b"w-3: RUNNING, pid " in told.stdout
        assert {name: supervisor.program_pid(name) for name in former} == former
        assert len(supervisor.status("w")) == 4, "the group has all of them"
        assert scale(supervisor, "W", 4) == "w: has 4 instances already"
        assert sorted(scale(supervisor, "w", 1).split("; ")) == ["w-1: removed", "w-2: removed", "w-3: removed"]
        until(lambda: set(supervisor.status()) == {"w-0", "other"}, 20, supervisor.story)
        assert {name: supervisor.program_pid(name) for name in ("w-0", "other")} == {name: former[name] for name in ("w-0", "other")}


def test_a_scale_is_saved_until_the_file_says_another_number(tmp_path: Path) -> None:
    tasks = {"w": {**SLEEPER, "instances": 2}}
    with Supervisor(tmp_path, tasks) as supervisor:
        scale(supervisor, "w", 3)
        supervisor.await_state("w-2", State.RUNNING)
        former = supervisor.program_pid("w-2")
        supervisor.kill_core()
        supervisor.start()
        assert set(supervisor.status()) == {"w-0", "w-1", "w-2"}
        assert supervisor.program_pid("w-2") == former
        reply = ask(supervisor, messages.RereadRequest, messages.DifferenceReply, apply=True)
        assert reply.changes == []
        supervisor.write({"w": {**SLEEPER, "instances": 4}}, {}, {})
        ask(supervisor, messages.RereadRequest, messages.DifferenceReply, apply=True)
        assert set(supervisor.status()) == {"w-0", "w-1", "w-2", "w-3"}
        assert "3 instances of w were wanted by command, which is set aside: the configuration says 4 now" in supervisor.story()


def test_flows_gain_and_lose_instances_with_it(tmp_path: Path) -> None:
    tasks = {"source": {**SLEEPER, "autostart": False}, "w": {**SLEEPER, "instances": 2, "input": {"protocol": "event"}}}
    with Supervisor(tmp_path, tasks, {"f": {"from": "source", "to": "w", "mode": "share"}}) as supervisor:
        scale(supervisor, "w", 3)
        flow = ask(supervisor, messages.FlowsRequest, messages.FlowsReply, names=["f"]).rows[0]
        assert flow.consumers == ["w-0", "w-1", "w-2"]
        scale(supervisor, "w", 1)
        assert ask(supervisor, messages.FlowsRequest, messages.FlowsReply, names=["f"]).rows[0].consumers == ["w-0"]
        until(lambda: set(supervisor.status()) == {"source", "w-0"}, 20, supervisor.story)


def test_what_cannot_be_scaled_is_refused_with_what_to_do(tmp_path: Path) -> None:
    tasks = {
        "w": {**SLEEPER, "instances": 2},
        "w-3": SLEEPER,
        "app": {**SLEEPER, "depends_on": "w-1"},
        "single": SLEEPER,
    }
    with Supervisor(tmp_path, tasks) as supervisor:
        request = messages.ScaleRequest
        assert "1 to 10,000 instances" in refused(supervisor, request, task="w", instances=0).sentence
        clash = refused(supervisor, request, task="w", instances=4)
        assert clash.sentence == "w cannot have 4 instances: w-3 is the name of another task or group" and clash.code is Code.BAD_STATE
        assert refused(supervisor, request, task="w", instances=1).sentence.endswith("app depends on an instance that would go")
        assert "write `instances: 2` there" in refused(supervisor, request, task="single", instances=2).sentence
        assert "say `efctl scale w N`" in refused(supervisor, request, task="w-0", instances=2).sentence
        assert refused(supervisor, request, task="nobody", instances=2).code is Code.NO_SUCH_TASK
        assert set(supervisor.status()) == {"w-0", "w-1", *tasks} - {"w"}


def test_a_rolling_restart_waits_until_each_is_ready(tmp_path: Path) -> None:
    tale = tmp_path / "tale"
    command = program("orderly", tale, "x")
    with Supervisor(tmp_path, {"w": {"command": command, "startsecs": 0.3, "instances": 3}}) as supervisor:
        for name in ("w-0", "w-1", "w-2"):
            supervisor.await_state(name, State.RUNNING)
        former = {name: supervisor.program_pid(name) for name in supervisor.status()}
        tale.unlink()
        told = supervisor.efctl("restart", "--rolling", "w")
        assert told.returncode == 0, told.stderr
        assert tale.read_text().split("\n")[:9] == ["ending x", "down x", "up x"] * 3
        assert all(supervisor.program_pid(name) != pid for name, pid in former.items())
        events = ask(supervisor, messages.EventsRequest, messages.EventsReply, limit=1000).rows
        story = [(row.task, row.after) for row in events if row.after in ("RUNNING", "STOPPING")][-6:]
        assert story == [(name, state) for name in ("w-0", "w-1", "w-2") for state in ("STOPPING", "RUNNING")]


def test_a_rolling_restart_ends_at_the_first_failure(tmp_path: Path) -> None:
    works = tmp_path / "works"
    works.touch()
    command = ["sh", "-c", f"test -e {works} && exec sleep 1000"]
    with Supervisor(tmp_path, {"w": {"command": command, "startsecs": 0.1, "startretries": 0, "instances": 3}}) as supervisor:
        for name in ("w-0", "w-1", "w-2"):
            supervisor.await_state(name, State.RUNNING)
        works.unlink()
        former = supervisor.program_pid("w-1")
        told = supervisor.efctl("restart", "--rolling", "w")
        assert told.returncode != 0
        assert b"w-0: FATAL" in told.stdout + told.stderr
        assert b"w-1: not restarted: w-0 failed" in told.stdout + told.stderr
        assert supervisor.program_pid("w-1") == former


def test_pids_are_told_one_a_line(tmp_path: Path) -> None:
    with Supervisor(tmp_path, {"a": SLEEPER, "b": {**SLEEPER, "autostart": False}}) as supervisor:
        supervisor.await_state("a", State.RUNNING)
        assert supervisor.efctl("pid").stdout == b"%d\n" % supervisor.core_pid
        assert supervisor.efctl("pid", "a").stdout == b"%d\n" % supervisor.program_pid("a")
        assert supervisor.efctl("pid", "all").stdout == b"%d\n0\n" % supervisor.program_pid("a")
        told = supervisor.efctl("pid", "b")
        assert told.returncode != 0 and b"b is STOPPED: it has no pid" in told.stderr


def test_a_task_that_is_added_is_one(tmp_path: Path) -> None:
    with Supervisor(tmp_path, {"a": SLEEPER}) as supervisor:
        told = supervisor.efctl("add", "w", "instances=2", "sleep", "1000")
        assert told.returncode != 0 and b"`instances` can be said in the configuration file" in told.stderr
        add(supervisor, "w", ["sleep", "1000"])
        until(lambda: supervisor.row("w").state is State.RUNNING, 20, supervisor.story)
