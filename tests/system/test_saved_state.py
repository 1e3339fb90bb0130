"""What was said by command outlives every end of the supervisor, with what the operator wanted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from efsupervisor import messages
from efsupervisor.conf.schema import GroupSpec, ScheduleSpec
from efsupervisor.errors import Code
from efsupervisor.states import Goal, State
from tests.support.asking import add, ask, details, done, flow, refused, runs, spec
from tests.support.supervisor import Supervisor
from tests.support.wait import until

SLEEPER: dict[str, Any] = {"command": "sleep 100000", "startsecs": 0}


def again(supervisor: Supervisor, how: str) -> None:
    """End the Core and start another."""
    if how == "stopped":
        supervisor.stop()
    else:
        supervisor.kill_core()
    supervisor.start()


@pytest.mark.parametrize("how", ["stopped", "killed"])
def test_tasks_flows_groups_schedules_and_settings_that_were_added_come_back_in_their_order(tmp_path: Path, how: str) -> None:
    with Supervisor(tmp_path, {"A": SLEEPER}) as supervisor:
        for name in ("zeta", "alpha", "middle"):
            add(supervisor, name, ["sleep", "100000"])
        add(supervisor, "eater", ["cat"])
        done(supervisor, messages.AddFlowRequest, flow=flow("meal", "A", "eater"))
        done(supervisor, messages.SetGroupRequest, group=GroupSpec(name="letters", tasks=["*a"]))
        done(supervisor, messages.SetScheduleRequest, schedule=ScheduleSpec(name="nightly", cron="0 3 * * *", trm=["letters"]))
        done(supervisor, messages.SetSettingRequest, key="history", value="777")
        for name in ("zeta", "alpha", "middle", "eater"):
            supervisor.await_state(name, State.RUNNING)
        pid = supervisor.program_pid("zeta")
        again(supervisor, how)
        known = details(supervisor)
        assert list(known) == ["A", "zeta", "alpha", "middle", "eater"]
        assert {name: detail.origin for name, detail in known.items()} == {"A": "file"} | dict.fromkeys(list(known)[1:], "added")
        assert known["eater"].from_tasks == ["A"]
        for name in known:
            supervisor.await_state(name, State.RUNNING)
        assert (supervisor.program_pid("zeta") == pid) is (how == "killed")
        groups = ask(supervisor, messages.GroupsRequest, messages.GroupsReply).rows
        assert [(row.name, row.members, row.origin) for row in groups] == [("letters", ["A", "zeta", "alpha"], "added")]
        schedules = ask(supervisor, messages.SchedulesRequest, messages.SchedulesReply).rows
        assert [(row.spec.name, row.origin, row.next_wall > 0) for row in schedules] == [("nightly", "added", True)]
        settings = {row.key: row for row in ask(supervisor, messages.SettingsRequest, messages.SettingsReply).rows}
        assert (settings["history"].value, settings["history"].origin) == ("777", "set")
        assert (settings["alerts"].origin, settings["var"].origin) == ("default", "file")


def test_what_an_operator_stopped_stays_stopped_and_what_he_started_is_started(tmp_path: Path) -> None:
    tasks = {"on": SLEEPER, "off": {**SLEEPER, "autostart": False}, "quiet": {**SLEEPER, "autostart": False}}
    with Supervisor(tmp_path, tasks) as supervisor:
        supervisor.await_state("on", State.RUNNING)
        supervisor.trm("on")
        supervisor.act("off")
        for how in ("stopped", "killed", "stopped"):
            again(supervisor, how)
            supervisor.await_state("off", State.RUNNING)
            assert {name: row.state for name, row in supervisor.status().items()} == {
                "on": State.STOPPED,
                "off": State.RUNNING,
                "quiet": State.STOPPED,
            }


def test_an_autostart_that_the_file_changed_since_has_the_last_word(tmp_path: Path) -> None:
    with Supervisor(tmp_path, {"A": SLEEPER, "B": {**SLEEPER, "autostart": False}}) as supervisor:
        supervisor.await_state("A", State.RUNNING)
        supervisor.act("A", "B")
        supervisor.stop()
        supervisor.write({"A": {**SLEEPER, "autostart": False}, "B": {**SLEEPER, "autostart": True}}, {}, {})
        supervisor.start()
        supervisor.await_state("B", State.RUNNING)
        assert supervisor.row("A").state is State.STOPPED


def test_a_job_that_ran_to_its_end_is_not_run_again_because_somebody_once_started_it(tmp_path: Path) -> None:
    with Supervisor(tmp_path, {"J": {"command": "true", "kind": "job", "autostart": False}}) as supervisor:
        supervisor.act("J")
        supervisor.await_state("J", State.EXITED)
        again(supervisor, "stopped")
        assert supervisor.row("J").state in (State.STOPPED, State.EXITED)
        assert len(runs(supervisor, "J")) == 1


def test_a_restart_that_was_cut_by_the_cores_death_is_completed_by_the_next(tmp_path: Path) -> None:
    slow = {"command": ["sh", "-c", "trap 'sleep 1; exit 0' TERM; while :; do sleep 0.05; done"], "startsecs": 0, "stopwaitsecs": 20}
    with Supervisor(tmp_path, {"S": slow}) as supervisor:
        supervisor.await_state("S", State.RUNNING)
        done(supervisor, messages.RestartRequest, names=["S"], wait=False)
        supervisor.await_state("S", State.STOPPING)
        supervisor.kill_core()
        supervisor.start()
        until(lambda: supervisor.row("S").state is State.RUNNING and supervisor.row("S").incarnation == 2, 20, supervisor.story)


def test_a_name_that_the_file_has_meanwhile_is_the_files_and_the_added_task_waits_for_its_turn(tmp_path: Path) -> None:
    with Supervisor(tmp_path, {"A": SLEEPER}) as supervisor:
        add(supervisor, "both", ["sleep", "200000"])
        supervisor.await_state("both", State.RUNNING)
        supervisor.stop()
        supervisor.write({"A": SLEEPER, "Both": SLEEPER}, {}, {})
        supervisor.start()
        assert details(supervisor)["Both"].origin == "file"
        assert "task both was added by command" in supervisor.story()
        assert any("both" in ailment for ailment in ask(supervisor, messages.ServicesRequest, messages.ServicesReply).ailments)
        supervisor.write({"A": SLEEPER}, {}, {})
        ask(supervisor, messages.RereadRequest, messages.DifferenceReply, apply=True)
        assert details(supervisor)["both"].spec.command == ["sleep", "200000"]


def test_a_deleted_task_is_gone_with_its_folder_and_its_intent(tmp_path: Path) -> None:
    with Supervisor(tmp_path, {"A": SLEEPER}) as supervisor:
        add(supervisor, "X", ["sleep", "100000"], autostart=False)
        supervisor.act("X")
        assert supervisor.task_dir("X").is_dir()
        assert done(supervisor, messages.DelTaskRequest, names=["x"]) == "X: removed"
        until(lambda: not supervisor.task_dir("X").exists(), 10, "the folder is removed")
        assert list(details(supervisor)) == ["A"]
        add(supervisor, "X", ["sleep", "100000"], autostart=False)
        again(supervisor, "stopped")
        assert supervisor.row("X").state is State.STOPPED


def test_what_stands_in_the_file_is_changed_in_the_file(tmp_path: Path) -> None:
    with Supervisor(tmp_path, {"A": SLEEPER, "B": SLEEPER}, {"f": {"from": "A", "to": "B"}}) as supervisor:
        assert refused(supervisor, messages.AddTaskRequest, spec=spec(supervisor, "a", ["true"]), replace=True).code is Code.EXISTS
        assert str(supervisor.config) in refused(supervisor, messages.AddFlowRequest, flow=flow("F", "A", "B")).sentence
        for kind, names in ((messages.DelTaskRequest, ["A"]), (messages.DelFlowRequest, ["f"])):
            (outcome,) = ask(supervisor, kind, messages.DoneReply, names=names).outcomes
            assert outcome.code is Code.REFUSED and str(supervisor.config) in outcome.sentence
        assert {name: row.goal for name, row in supervisor.status().items()} == {"A": Goal.ACT, "B": Goal.ACT}


def test_a_name_is_taken_by_a_task_or_a_group_and_never_by_both(tmp_path: Path) -> None:
    with Supervisor(tmp_path, {"A": SLEEPER}) as supervisor:
        assert refused(supervisor, messages.SetGroupRequest, group=GroupSpec(name="a", tasks=["A"])).code is Code.EXISTS
        done(supervisor, messages.SetGroupRequest, group=GroupSpec(name="g", tasks=["A"]))
        assert refused(supervisor, messages.AddTaskRequest, spec=spec(supervisor, "G", ["true"])).code is Code.EXISTS
        done(supervisor, messages.DelGroupRequest, names=["g"])
        add(supervisor, "G", ["sleep", "100000"])


def test_an_added_task_takes_another_spec_and_is_restarted_only_for_what_needs_it(tmp_path: Path) -> None:
    with Supervisor(tmp_path, {}) as supervisor:
        add(supervisor, "X", ["sleep", "100000"])
        supervisor.await_state("X", State.RUNNING)
        pid = supervisor.program_pid("X")
        assert refused(supervisor, messages.AddTaskRequest, spec=spec(supervisor, "X", ["sleep", "1"])).code is Code.EXISTS
        said = done(supervisor, messages.AddTaskRequest, spec=spec(supervisor, "X", ["sleep", "100000"], priority=5), replace=True)
        assert said == "X: replaced, in place"
        assert supervisor.program_pid("X") == pid
        done(supervisor, messages.AddTaskRequest, spec=spec(supervisor, "X", ["sleep", "200000"]), replace=True)
        until(lambda: supervisor.row("X").state is State.RUNNING and supervisor.row("X").pid != pid, 20, supervisor.story)


def test_a_schedule_acts_at_its_time_and_its_outcome_is_kept(tmp_path: Path) -> None:
    tasks = {"A": {**SLEEPER, "autostart": False}, "Q": {"command": "cat", "input": {"protocol": "stream"}, "startsecs": 0}}
    with Supervisor(tmp_path, tasks) as supervisor:
        done(supervisor, messages.SetScheduleRequest, schedule=ScheduleSpec(name="wake", cron="* * * * * *", act=["A"], task="Q", put="due {time}"))
        supervisor.await_state("A", State.RUNNING)
        until(lambda: supervisor.output("Q").startswith(b"due 20"), 20, supervisor.story)
        assert "asked by schedule wake" in supervisor.story()

        def outcome() -> str:
            return ask(supervisor, messages.SchedulesRequest, messages.SchedulesReply).rows[0].last_outcome

        until(lambda: outcome() == "2 as wanted", 10, outcome)
        done(supervisor, messages.DelScheduleRequest, names=["wake"])
        again(supervisor, "stopped")
        supervisor.await_state("A", State.RUNNING)
        assert ask(supervisor, messages.SchedulesRequest, messages.SchedulesReply).rows == []


def test_a_setting_works_at_once_and_goes_back_to_what_the_file_says(tmp_path: Path) -> None:
    with Supervisor(tmp_path, {"A": SLEEPER}, supervisor={"log_level": "warning"}) as supervisor:
        supervisor.await_state("A", State.RUNNING)
        assert done(supervisor, messages.SetSettingRequest, key="log_level", value="info") == "log_level: is info now"
        assert "STOPPED -> STARTING" not in supervisor.story()
        supervisor.trm("A")
        until(lambda: "STOPPING -> STOPPED" in supervisor.story(), 10, "the worker writes what is wanted now")
        assert done(supervisor, messages.SetSettingRequest, key="log_level") == "log_level: is warning now, as the configuration says"
        supervisor.act("A")
        supervisor.trm("A")
        assert supervisor.story().count("STOPPING -> STOPPED") == 2  # the file and stderr have the one line
        assert refused(supervisor, messages.SetSettingRequest, key="log_levl", value="info").code is Code.USAGE
        assert refused(supervisor, messages.SetSettingRequest, key="history", value="many").code is Code.CONFIG
        assert refused(supervisor, messages.SetSettingRequest, key="var", value="/tmp").code is Code.USAGE
