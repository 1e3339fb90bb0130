"""A job each second, and the Core is killed over and over: every due time that was taken has its run, and none has two."""

from __future__ import annotations

import contextlib
import random
import signal
import time
from datetime import datetime
from pathlib import Path

import pytest

from efsupervisor import messages
from efsupervisor.conf.schema import ScheduleSpec
from efsupervisor.system import short_id, ticket_of
from tests.support import processes
from tests.support.asking import ask, done
from tests.support.supervisor import Supervisor
from tests.support.wait import until
from tests.system.test_jobs import counted, history, times_run

KILLS = 12
STEPS = "schedule:taken=0.1,schedule:begun=0.1,store:written=0.02"
LIFE = "life:begun=0.15,life:marked=0.15,life:ended=0.15,spawn:fork=0.05,spawn:forked=0.05,spawn:record=0.05,spawn:recorded=0.05"


def dead(supervisor: Supervisor) -> bool:
    return supervisor._init.status(supervisor.core_pid) is not None


def again(supervisor: Supervisor) -> None:
    """A Core that answers; one that dies before it does is followed by another."""
    while True:
        supervisor.await_core_end()
        supervisor.launch()
        with contextlib.suppress(AssertionError):  # it may die while it is asked
            until(lambda: dead(supervisor) or supervisor._answers(), 20, supervisor.story)
        if not dead(supervisor):
            return


@pytest.mark.parametrize("seed", [1, 2])
def test_every_due_time_has_one_run_however_often_the_core_is_killed(tmp_path: Path, seed: int) -> None:
    rows, due = ticked(tmp_path, seed, STEPS)
    assert len(rows) == due == times_run(tmp_path)
    assert all(row.exit_status == 0 for row in rows)


@pytest.mark.parametrize("seed", [3, 4])
def test_no_due_time_has_two_runs_when_workers_die_between_any_two_steps_too(tmp_path: Path, seed: int) -> None:
    """A worker that dies before its child executes leaves a run that was begun and of which nobody knows more: it is not begun again."""
    rows, due = ticked(tmp_path, seed, f"{STEPS},{LIFE}")
    assert len(rows) == due >= times_run(tmp_path)
    assert all(row.exit_status in (0, signal.SIGKILL) or not row.exit_known for row in rows)


def ticked(tmp_path: Path, seed: int, faults: str) -> tuple[list[messages.RunRow], int]:
    """Let it tick while the Core is killed; the rows of the job's runs, and how many due times were dealt with."""
    chance = random.Random(seed)
    tasks = {"tick": counted(tmp_path, ":"), "times": {"command": "cat", "input": {"protocol": "stream"}, "startsecs": 0}}
    with Supervisor(tmp_path, tasks, environment={"EFSUPERVISOR_FAULTS": faults}) as supervisor:
        spec = ScheduleSpec(name="s", cron="* * * * * *", act=["tick"], task="times", put="{time}", missed="all", overlap="queue")
        supervisor.ask(messages.SetScheduleRequest(id="once", schedule=spec))
        for _ in range(KILLS):
            end = time.monotonic() + chance.uniform(0.2, 1.5)
            while time.monotonic() < end and not dead(supervisor):
                time.sleep(0.01)
            if not dead(supervisor):
                processes.send(supervisor.core_pid, signal.SIGKILL)
            again(supervisor)
        supervisor._environment.pop("EFSUPERVISOR_FAULTS")
        if not dead(supervisor):
            processes.send(supervisor.core_pid, signal.SIGKILL)
        again(supervisor)
        off = ScheduleSpec(name="s", cron="0 0 1 1 *", act=["tick"], task="times", put="{time}", missed="all", overlap="queue")
        done(supervisor, messages.SetScheduleRequest, schedule=off)

        def at_rest() -> bool:
            row = ask(supervisor, messages.SchedulesRequest, messages.SchedulesReply).rows[0]
            return not (row.running or row.waiting)

        until(at_rest, 60, supervisor.story)
        times = supervisor.output("times").split()
        rows = [row for row in history(supervisor, "tick") if row.incarnation]
        assert len(times) > KILLS / 2
        assert times == sorted(set(times)), "in order, each once"
        twice = [row for row in rows if [other.ticket for other in rows].count(row.ticket) > 1]
        assert not twice, f"one life for each ticket: {twice}\n{supervisor.story()}"
        tickets = {ticket_of(f"schedule {short_id('s')} {datetime.fromisoformat(each.decode()).timestamp():.3f}"): each for each in times}
        lost = [each for ticket, each in tickets.items() if ticket not in {row.ticket for row in rows}]
        assert not lost, f"a run for each time: {lost}\n{supervisor.story()}"
        return rows, len(times)
