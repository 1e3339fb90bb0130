"""What depends on what, with real programs that witness the order themselves."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from efsupervisor import messages
from efsupervisor.errors import Code
from efsupervisor.states import Goal, State
from tests.support.asking import add, ask, done
from tests.support.supervisor import Supervisor, program
from tests.support.wait import until


class Tale:
    """The file that all programs write into."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "tale"

    def task(self, name: str, *options: str, **keys: Any) -> dict[str, Any]:
        return {"command": program("orderly", self.path, name, *options), "startsecs": 0.2, **keys}

    def lines(self) -> list[str]:
        return self.path.read_text().splitlines() if self.path.exists() else []

    def before(self, first: str, then: str) -> bool:
        """Whether the last `first` was written before the last `then`, and both were."""
        lines = self.lines()[::-1]
        return lines.index(first) > lines.index(then)

    def forget(self) -> None:
        self.path.unlink()


@pytest.mark.alone
def test_starts_wait_for_what_comes_first_and_stops_go_the_other_way(tmp_path: Path) -> None:
    tale = Tale(tmp_path)
    tasks = {
        "web": tale.task("web", "end=0.3", depends_on=["app", "cache"]),
        "app": tale.task("app", "end=0.3", depends_on={"db": "ready"}),
        "cache": tale.task("cache", "end=0.3", depends_on={"db": "started"}),
        "db": tale.task("db", startsecs=0.5),
        "alone": tale.task("alone"),
    }
    with Supervisor(tmp_path, tasks) as supervisor:
        assert supervisor.row("app").reason == "waits for db (ready)"
        supervisor.await_state("web", State.RUNNING)
        assert tale.before("up db", "up app") and tale.before("up app", "up web") and tale.before("up cache", "up web")
        assert tale.before("up alone", "up web")
        begun = time.monotonic()
        reply = supervisor.trm("all")
        took = time.monotonic() - begun
        assert all(outcome.ok for outcome in reply.outcomes), reply
        assert tale.before("down web", "ending app") and tale.before("down web", "ending cache")
        assert tale.before("down app", "ending db") and tale.before("down cache", "ending db")
        assert tale.before("ending alone", "ending app"), "what is independent does not wait"
        assert tale.before("ending cache", "down app") and tale.before("ending app", "down cache"), "one level stops in parallel"
        assert took < 5


def test_a_start_brings_up_what_it_needs_and_nothing_else(tmp_path: Path) -> None:
    tale = Tale(tmp_path)
    off = {"autostart": False}
    tasks = {
        "web": tale.task("web", depends_on="app", **off),
        "app": tale.task("app", depends_on={"db": "ready", "migrate": "completed_successfully"}, **off),
        "db": tale.task("db", **off),
        "migrate": tale.task("migrate", "exit=0", "after=0.3", kind="job", depends_on="db", **off),
        "other": tale.task("other", **off),
    }
    del tasks["migrate"]["startsecs"]
    with Supervisor(tmp_path, tasks) as supervisor:
        reply = supervisor.act("web")
        assert [(outcome.task, outcome.ok) for outcome in reply.outcomes] == [("web", True)]
        assert [line for line in tale.lines() if line.startswith("up")] == ["up db", "up migrate", "up app", "up web"]
        assert tale.before("down migrate", "up app")
        assert supervisor.row("other").state is State.STOPPED
        supervisor.trm("db")
        assert supervisor.row("web").state is supervisor.row("app").state is State.RUNNING, "what depends on it stays"
        tale.forget()
        supervisor.trm("web", "app")
        supervisor.act("web")
        assert [line for line in tale.lines() if line.startswith("up")] == ["up db", "up app", "up web"], "what is completed is not done again"


def test_what_depends_on_a_failed_task_says_so_and_goes_on_waiting(tmp_path: Path) -> None:
    tale = Tale(tmp_path)
    switch = tmp_path / "works"
    tasks = {
        "db": {"command": ["sh", "-c", f"test -e {switch} && exec sleep 1000"], "startsecs": 0.1, "startretries": 0, "autostart": False},
        "app": tale.task("app", depends_on="db", autostart=False),
        "web": tale.task("web", depends_on="app", autostart=False),
    }
    with Supervisor(tmp_path, tasks) as supervisor:
        outcome = supervisor.act("web").outcomes[0]
        assert not outcome.ok and outcome.code is Code.TASK_FAILED
        assert outcome.sentence == "waits for app (ready), which waits itself; it goes on waiting"
        row = supervisor.row("app")
        assert row.state is State.STARTING and row.goal is Goal.ACT
        assert row.reason.startswith("waits for db (ready), which is FATAL: ")
        assert tale.lines() == []
        switch.touch()
        assert supervisor.act("db").outcomes[0].ok
        supervisor.await_state("web", State.RUNNING)
        assert tale.lines() == ["up app", "up web"]


def test_a_waiting_task_is_stopped_at_once_and_does_not_start_later(tmp_path: Path) -> None:
    tale = Tale(tmp_path)
    tasks = {"db": tale.task("db", autostart=False), "app": tale.task("app", depends_on="db")}
    with Supervisor(tmp_path, tasks) as supervisor:
        supervisor.await_state("db", State.RUNNING)
        supervisor.await_state("app", State.RUNNING)
        supervisor.trm("app", "db")
        supervisor.write({**tasks, "db": {**tasks["db"], "startsecs": 3}}, {}, {})
        ask(supervisor, messages.RereadRequest, messages.DifferenceReply, apply=True)
        supervisor.act("app", wait=False)
        until(lambda: supervisor.row("app").reason == "waits for db (ready)", 10, supervisor.story)
        assert supervisor.trm("app").outcomes[0].ok
        assert supervisor.row("app").state is State.STOPPED
        supervisor.await_state("db", State.RUNNING)
        assert tale.lines().count("up app") == 1


def test_a_restart_of_both_has_the_order_of_both_ways(tmp_path: Path) -> None:
    tale = Tale(tmp_path)
    tasks = {"db": tale.task("db", "end=0.2"), "app": tale.task("app", "end=0.2", depends_on="db")}
    with Supervisor(tmp_path, tasks) as supervisor:
        supervisor.await_state("app", State.RUNNING)
        tale.forget()
        done(supervisor, messages.RestartRequest, names=["db", "app"])
        assert tale.lines() == ["ending app", "down app", "ending db", "down db", "up db", "up app"]


def test_a_restart_takes_those_with_it_who_want_to_be(tmp_path: Path) -> None:
    tale = Tale(tmp_path)
    tasks = {
        "db": tale.task("db"),
        "stays": tale.task("stays", depends_on="db"),
        "follows": tale.task("follows", depends_on="db", restart_with=True),
    }
    with Supervisor(tmp_path, tasks) as supervisor:
        for name in tasks:
            supervisor.await_state(name, State.RUNNING)
        tale.forget()
        former = supervisor.program_pid("stays")
        done(supervisor, messages.RestartRequest, names=["db"])
        until(lambda: "up follows" in tale.lines(), 20, supervisor.story)
        assert tale.lines() == ["ending follows", "down follows", "ending db", "down db", "up db", "up follows"]
        assert supervisor.program_pid("stays") == former


def test_the_death_of_a_dependency_changes_nothing(tmp_path: Path) -> None:
    tale = Tale(tmp_path)
    tasks = {"db": tale.task("db"), "app": tale.task("app", depends_on="db", restart_with=True)}
    with Supervisor(tmp_path, tasks) as supervisor:
        supervisor.await_state("app", State.RUNNING)
        former = supervisor.program_pid("app"), supervisor.program_pid("db")
        supervisor.kill_program("db")
        until(lambda: supervisor.row("db").state is State.RUNNING and supervisor.row("db").restarts == 1, 20, supervisor.story)
        assert supervisor.program_pid("app") == former[0]


def test_a_shutdown_obeys_the_order(tmp_path: Path) -> None:
    tale = Tale(tmp_path)
    tasks = {"db": tale.task("db"), "app": tale.task("app", "end=0.5", depends_on="db"), "web": tale.task("web", "end=0.3", depends_on="app")}
    with Supervisor(tmp_path, tasks) as supervisor:
        supervisor.await_state("web", State.RUNNING)
        tale.forget()
        supervisor.stop()
        assert tale.lines() == ["ending web", "down web", "ending app", "down app", "ending db", "down db"]


def test_a_stop_that_waits_is_carried_out_by_the_next_core(tmp_path: Path) -> None:
    tale = Tale(tmp_path)
    tasks = {"db": tale.task("db"), "app": tale.task("app", "end=1", depends_on="db")}
    with Supervisor(tmp_path, tasks) as supervisor:
        supervisor.await_state("app", State.RUNNING)
        supervisor.trm("all", wait=False)
        until(lambda: "ending app" in tale.lines(), 10, supervisor.story)
        assert supervisor.row("db").reason == "stops when app has stopped"
        supervisor.kill_core()
        supervisor.start()
        supervisor.await_state("db", State.STOPPED)
        assert supervisor.await_state("app", State.STOPPED).goal is Goal.TRM
        assert tale.before("down app", "ending db")


@pytest.mark.alone
def test_many_start_with_a_bound_and_stop_in_parallel(tmp_path: Path) -> None:
    sleeper = {"command": "sleep 1000", "startsecs": 0}
    tasks: dict[str, Any] = {"w": {**sleeper, "instances": 100}, "app": {**sleeper, "depends_on": "w"}}
    with Supervisor(tmp_path, tasks, supervisor={"parallel_starts": 8}) as supervisor:
        supervisor.await_state("app", State.RUNNING)
        assert all(row.state is State.RUNNING for row in supervisor.status().values())
        begun = time.monotonic()
        assert all(outcome.ok for outcome in supervisor.trm("all").outcomes)
        assert time.monotonic() - begun < 10


def test_a_start_that_waits_is_known_to_the_next_core(tmp_path: Path) -> None:
    tale = Tale(tmp_path)
    switch = tmp_path / "works"
    tasks = {
        "db": {"command": ["sh", "-c", f"test -e {switch} && exec sleep 1000"], "startsecs": 0.1, "startretries": 0},
        "app": tale.task("app", depends_on="db"),
    }
    with Supervisor(tmp_path, tasks) as supervisor:
        supervisor.await_state("db", State.FATAL)
        until(lambda: "FATAL" in supervisor.row("app").reason, 10, supervisor.story)
        supervisor.kill_core()
        supervisor.start()
        until(lambda: "FATAL" in supervisor.row("app").reason, 10, supervisor.story)
        switch.touch()
        supervisor.act("db")
        supervisor.await_state("app", State.RUNNING)


def test_a_job_that_ran_once_and_waits_to_run_again_is_known_to_the_next_core(tmp_path: Path) -> None:
    tale = Tale(tmp_path)
    job = {"command": program("orderly", tale.path, "job", "exit=0"), "kind": "job", "depends_on": "db"}
    with Supervisor(tmp_path, {"db": tale.task("db"), "job": job}) as supervisor:
        supervisor.await_state("job", State.EXITED)
        supervisor.trm("db")
        supervisor.write({"db": {**tale.task("db"), "command": "false", "startretries": 0}, "job": job}, {}, {})
        ask(supervisor, messages.RereadRequest, messages.DifferenceReply, apply=True)
        assert not supervisor.act("job").outcomes[0].ok
        assert "FATAL" in supervisor.row("job").reason
        supervisor.kill_core()
        supervisor.start()
        until(lambda: "FATAL" in supervisor.row("job").reason, 10, supervisor.story)
        assert supervisor.row("job").goal is Goal.ACT and tale.lines().count("up job") == 1


def test_what_is_stopped_stays_so_at_the_next_start_and_what_needs_it_waits(tmp_path: Path) -> None:
    tale = Tale(tmp_path)
    tasks = {"db": tale.task("db"), "app": tale.task("app", depends_on="db")}
    with Supervisor(tmp_path, tasks) as supervisor:
        supervisor.await_state("app", State.RUNNING)
        supervisor.trm("db")
        supervisor.stop()
        supervisor.start()
        until(lambda: supervisor.row("app").reason == "waits for db (ready), which is STOPPED", 10, supervisor.story)
        assert supervisor.row("db").state is State.STOPPED


def test_no_more_tasks_start_at_once_than_the_bound_allows_and_those_in_order_of_priority(tmp_path: Path) -> None:
    tale = Tale(tmp_path)
    tasks = {f"t{number}": tale.task(f"t{number}", priority=number) for number in (3, 1, 4, 2)}
    with Supervisor(tmp_path, tasks, supervisor={"parallel_starts": 1}) as supervisor:
        assert "waits for its turn" in supervisor.row("t4").reason
        supervisor.await_state("t4", State.RUNNING)
        assert tale.lines() == ["up t1", "up t2", "up t3", "up t4"]
        tale.forget()
        supervisor.trm("all")
        assert sorted(line for line in tale.lines() if line.startswith("down")) == ["down t1", "down t2", "down t3", "down t4"]


def test_a_task_that_others_depend_on_is_not_deleted(tmp_path: Path) -> None:
    with Supervisor(tmp_path, {"a": {"command": "sleep 1000", "startsecs": 0}}) as supervisor:
        add(supervisor, "db", ["sleep", "1000"])
        add(supervisor, "app", ["sleep", "1000"], depends_on={"db": "ready"})
        reply = ask(supervisor, messages.DelTaskRequest, messages.DoneReply, names=["db"])
        assert [(outcome.ok, outcome.sentence) for outcome in reply.outcomes] == [(False, "task app depends on it: delete that first")]
        done(supervisor, messages.DelTaskRequest, names=["app", "db"])
