"""Schedules of jobs, and flows that are run to their end, with a cron of seconds."""

from __future__ import annotations

import itertools
import os
import signal
import time
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from efsupervisor import messages
from efsupervisor.conf.schema import ScheduleSpec
from efsupervisor.errors import Code
from efsupervisor.states import State
from tests.support.asking import ask, done, events, refused
from tests.support.supervisor import Supervisor
from tests.support.wait import until
from tests.system.test_jobs import counted, efctl, history, job, times_run

SECOND = "* * * * * *"


def set_schedule(supervisor: Supervisor, name: str = "s", cron: str = SECOND, **keys: Any) -> None:
    done(supervisor, messages.SetScheduleRequest, schedule=ScheduleSpec(name=name, cron=cron, **keys))


def schedule(supervisor: Supervisor) -> messages.ScheduleRow:
    return ask(supervisor, messages.SchedulesRequest, messages.SchedulesReply).rows[0]


def run_flow(supervisor: Supervisor, name: str, **more: Any) -> list[messages.Outcome]:
    return ask(supervisor, messages.RunFlowRequest, messages.DoneReply, flow=name, **more).outcomes


def test_a_time_while_the_run_before_goes_on_is_left_out_and_counted(tmp_path: Path) -> None:
    with Supervisor(tmp_path, {"slow": counted(tmp_path, "sleep 2.5")}) as supervisor:
        set_schedule(supervisor, act=["slow"])
        until(lambda: schedule(supervisor).skipped >= 2, 20, supervisor.story)
        assert times_run(tmp_path) == 1
        row = next(row for row in history(supervisor, "slow") if row.state == "SKIPPED")
        assert row.cause == "schedule s" and row.reason.endswith("the run before is not over (overlap: forbid)")
        assert any(event.task == "slow" for event in events(supervisor, what=["skipped"]))
        until(lambda: times_run(tmp_path) == 2, 20, supervisor.story)
        assert [row.cause for row in history(supervisor, "slow") if row.incarnation] == ["schedule s"]
        until(lambda: "schedule s" in efctl(supervisor, "history", "slow")[1], 5, "the table shows the cause")


def test_times_wait_in_order_for_the_run_before_them(tmp_path: Path) -> None:
    tale = tmp_path / "tale"
    with Supervisor(tmp_path, {"slow": job(f"date +%s >> {tale}; sleep 1.6; echo end >> {tale}")}) as supervisor:
        set_schedule(supervisor, act=["slow"], overlap="queue")
        until(lambda: schedule(supervisor).waiting >= 2, 20, supervisor.story)
        done(supervisor, messages.SetScheduleRequest, schedule=ScheduleSpec(name="s", cron="0 0 1 1 *", act=["slow"], overlap="queue"))
        until(lambda: schedule(supervisor).waiting == 0 and schedule(supervisor).running == 0, 60, supervisor.story)
        words = tale.read_text().split()
        assert words[1::2] == ["end"] * (len(words) // 2) and len(words) >= 6, "never two at once"
        assert len({row.ticket for row in history(supervisor, "slow")}) == len(words) // 2
        assert schedule(supervisor).skipped == 0 and schedule(supervisor).last_outcome == "slow: completed: exit status 0"


def test_the_new_takes_the_place_of_what_runs(tmp_path: Path) -> None:
    with Supervisor(tmp_path, {"slow": counted(tmp_path, "sleep 100")}) as supervisor:
        set_schedule(supervisor, act=["slow"], overlap="replace")
        until(lambda: times_run(tmp_path) >= 3, 30, supervisor.story)
        done(supervisor, messages.DelScheduleRequest, names=["s"])
        rows = [row for row in history(supervisor, "slow") if row.ended]
        assert {row.state for row in rows} <= {"STOPPED", "STARTING"} and all(row.reason for row in rows)
        assert all(os.WTERMSIG(row.exit_status or 0) == signal.SIGTERM for row in rows)
        assert "(overlap: replace)" in supervisor.story()


@pytest.mark.parametrize("missed", ["once", "all"])
def test_what_fell_due_while_no_core_ran_obeys_missed(tmp_path: Path, missed: str) -> None:
    """Every second a job is run and its due time is put into a task: which times were dealt with can be read from that."""
    tasks = {"quick": counted(tmp_path, ":"), "times": {"command": "cat", "input": {"protocol": "stream"}, "startsecs": 0}}
    with Supervisor(tmp_path, tasks) as supervisor:

        def times() -> list[int]:
            return [int(datetime.fromisoformat(line.decode()).timestamp()) for line in supervisor.output("times").split()]

        set_schedule(supervisor, act=["quick"], task="times", put="{time}", missed=missed, overlap="queue")
        until(lambda: len(times()) >= 2, 20, supervisor.story)
        supervisor.kill_core()
        gone = int(time.time())
        until(lambda: time.time() - gone > 6, 20, "some times pass")
        supervisor.start()
        until(lambda: times()[-1] > gone + 7, 30, supervisor.story)
        done(supervisor, messages.DelScheduleRequest, names=["s"])
        found = times()
        assert found == sorted(set(found)), "in order, and none twice"
        gaps = [later - earlier for earlier, later in itertools.pairwise(found) if later > gone]
        assert (max(gaps) == 1) if missed == "all" else (max(gaps) >= 4)


@pytest.mark.parametrize("where", ["taken", "begun"])
def test_a_core_that_dies_between_taking_a_time_and_starting_its_run_runs_it_once(tmp_path: Path, where: str) -> None:
    """`taken`: the time is saved, nothing was started yet.  `begun`: the job was started, and nobody noted its end."""
    with Supervisor(tmp_path, {"once": counted(tmp_path, "sleep 1")}, environment={"EFSUPERVISOR_FAULTS": f"schedule:{where}=1"}) as supervisor:
        supervisor.ask(messages.SetScheduleRequest(id="x", schedule=ScheduleSpec(name="s", cron=next_minute_and(2), act=["once"])))
        supervisor.await_core_end(20)
        begun = times_run(tmp_path)
        assert begun <= (where == "begun")
        supervisor._environment.pop("EFSUPERVISOR_FAULTS")
        supervisor.start()
        until(lambda: schedule(supervisor).last_outcome == "once: completed: exit status 0", 20, supervisor.story)
        assert times_run(tmp_path) == 1
        (row,) = history(supervisor, "once")
        assert (row.cause, row.exit_status) == ("schedule s", 0)


def next_minute_and(seconds: int) -> str:
    """A cron text of one second of this hour that is so many from now."""
    at = datetime.fromtimestamp(datetime.now().timestamp() + seconds)
    return f"{at.second} {at.minute} {at.hour} {at.day} {at.month} *"


ETL = {
    "extract": job("seq 100"),
    "transform": job("grep 7", input={"protocol": "stream"}),
    "load": job('while read -r x; do echo "$x"; echo >&2; done', input={"protocol": "event"}),
}
PIPE = {"rows": {"from": "extract", "to": "transform"}, "clean": {"from": "transform", "to": "load"}}


def test_a_flow_is_run_to_its_end_and_tells_of_every_part(tmp_path: Path) -> None:
    with Supervisor(tmp_path, ETL, PIPE) as supervisor:
        for _ in range(2):
            status, out, err = efctl(supervisor, "flow", "run", "Rows")
            assert (status, err) == (0, ""), supervisor.story()
        lines = out.splitlines()
        assert [line.partition(":")[0] for line in lines] == ["extract", "transform", "load", "flow rows"]
        assert lines[0].endswith("in 0 bytes, out 292 bytes (100 events)")
        assert lines[1].endswith("in 292 bytes (100 events), out 56 bytes (19 events)")
        assert lines[2].endswith("in 56 bytes (19 events), out 56 bytes (19 events)")
        run = lines[3].split()[3].strip(":")
        row = history(supervisor, "rows")[-1]
        assert (row.task, row.ticket, row.state, row.exit_status, row.out_bytes, row.events_out) == ("flow rows", run, "EXITED", 0, 56, 19)
        assert {history(supervisor, name)[-1].ticket for name in ETL} == {run}
        assert supervisor.output("load").count(b"\n") == 38


def test_a_part_that_fails_is_the_failure_of_the_whole_as_in_a_pipe(tmp_path: Path) -> None:
    tasks = ETL | {"extract": job("seq 10; exit 4"), "transform": job("cat; exit 3", input={"protocol": "stream"}, retries=1)}
    with Supervisor(tmp_path, tasks, PIPE) as supervisor:
        status, out, err = efctl(supervisor, "flow", "run", "clean")
        assert status == 1 and "load: completed" in out
        assert "extract: EXITED: exit status 4" in err and "transform: EXITED: exit status 3; gave up after 2 attempts" in err
        row = history(supervisor, "clean")[-1]
        assert (row.exit_status, row.exit_known) == (3 << 8, True), "of the last part that failed, as pipefail gives it"
        (event,) = events(supervisor, what=["failed"])
        assert event.task == "flow clean" and "extract: EXITED: exit status 4" in event.sentence


def test_what_cannot_be_run_is_refused_with_a_sentence(tmp_path: Path) -> None:
    tasks = {**ETL, "extract": job("sleep 100"), "web": {"command": ["sleep", "1000"], "startsecs": 0}}
    with Supervisor(tmp_path, tasks, PIPE) as supervisor:
        assert refused(supervisor, messages.RunFlowRequest, flow="row").code is Code.NO_SUCH_TASK
        no = refused(supervisor, messages.RunFlowRequest, flow="web")
        assert no.code is Code.BAD_STATE and "only jobs" in no.sentence
        run_flow(supervisor, "rows", wait=False)
        supervisor.await_state("extract", State.RUNNING)
        no = refused(supervisor, messages.RunFlowRequest, flow="rows")
        assert no.code is Code.BAD_STATE and "is being run already" in no.sentence
        no = refused(supervisor, messages.RunFlowRequest, flow="clean")
        assert no.code is Code.BAD_STATE and "extract runs already" in no.sentence
        supervisor.trm("extract", "transform", "load")
        until(lambda: history(supervisor, "rows"), 10, supervisor.story)
        assert history(supervisor, "rows")[0].state == "FATAL"


def test_a_flow_run_outlives_every_core(tmp_path: Path) -> None:
    tasks = ETL | {"extract": counted(tmp_path, "seq 50; sleep 2; seq 51 100")}
    with Supervisor(tmp_path, tasks, PIPE) as supervisor:
        run_flow(supervisor, "rows", wait=False, id="mine")
        until(lambda: times_run(tmp_path) == 1, 10, supervisor.story)
        supervisor.kill_core()
        supervisor.start()
        outcomes = run_flow(supervisor, "rows", id="mine")
        assert all(outcome.ok for outcome in outcomes), outcomes
        for _ in range(2):
            (row,) = history(supervisor, "rows")
            assert (row.exit_status, row.events_out) == (0, 19)
            assert times_run(tmp_path) == 1 and supervisor.output("load").count(b"\n") == 19
            supervisor.kill_core()
            supervisor.start()
            assert run_flow(supervisor, "rows", id="mine") == outcomes, "whoever did not hear of it is told again, and nothing runs"


def test_a_schedule_runs_a_flow_and_tells_of_each_run(tmp_path: Path) -> None:
    with Supervisor(tmp_path, ETL, PIPE) as supervisor:
        set_schedule(supervisor, run=["rows"], cron="*/2 * * * * *")
        until(lambda: len(history(supervisor, "rows")) >= 2, 20, supervisor.story)
        done(supervisor, messages.DelScheduleRequest, names=["s"])
        assert {(row.cause, row.exit_status) for row in history(supervisor, "rows")} == {("schedule s", 0)}
        assert len({row.ticket for row in history(supervisor, "rows")}) == len(history(supervisor, "rows"))
