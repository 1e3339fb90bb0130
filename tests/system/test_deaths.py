"""Deaths of the Core, of workers and of programs: who goes on, who comes back, and what is known afterwards."""

from __future__ import annotations

import contextlib
import os
import signal
from pathlib import Path
from typing import Any

import pytest

from efsupervisor.states import Goal, State
from tests.support import processes
from tests.support.supervisor import Supervisor, program
from tests.support.wait import until

SLEEPER: dict[str, Any] = {"command": "sleep 100000", "startsecs": 0, "backoff_s": 0.001}


def test_after_trm_nothing_is_left_of_a_program_that_daemonises_and_is_deaf_to_sigterm(tmp_path: Path) -> None:
    nest = tmp_path / "nest"
    nest.mkdir()
    tasks = {"D": {"command": program("daemoniser", nest), "stopwaitsecs": 0.5}}
    with Supervisor(tmp_path, tasks) as supervisor:
        until(lambda: len(list(nest.iterdir())) == 4, 20, "the program and its three daemons are ready")
        everybody = [int(path.name) for path in nest.iterdir()]
        assert all(processes.alive(pid) for pid in everybody)
        done = supervisor.efctl("trm", "D")
        assert done.returncode == 0, done
        assert [pid for pid in everybody if processes.alive(pid)] == []
        assert supervisor.row("D").state is State.STOPPED


def test_daemons_that_a_program_leaves_behind_are_swept_before_it_is_started_again(tmp_path: Path) -> None:
    nest = tmp_path / "nest"
    nest.mkdir()
    tasks = {"D": {"command": program("daemoniser", nest, "stay=0"), "kind": "job", "autorestart": "false", "drain_s": 0.2}}
    with Supervisor(tmp_path, tasks) as supervisor:
        supervisor.await_state("D", State.EXITED)
        first = [int(path.name) for path in nest.iterdir()]
        until(lambda: not any(processes.alive(pid) for pid in first), 10, "the daemons of the first life are gone")


def test_a_grandchild_that_nobody_can_find_holds_stdout_open_and_delays_the_next_life_no_longer_than_drain_s(tmp_path: Path) -> None:
    """After an adoption a daemon with a session of its own and an empty environment cannot be told from a stranger: the stated limit."""
    nest = tmp_path / "nest"
    nest.mkdir()
    tasks = {"D": {"command": program("daemoniser", nest), "drain_s": 0.3, "startsecs": 0, "backoff_s": 0.001, "stopwaitsecs": 0.5}}
    lost: list[int] = []
    with Supervisor(tmp_path, tasks) as supervisor:
        until(lambda: len(list(nest.iterdir())) == 4, 20, "the program and its three daemons are ready")
        first, everybody = supervisor.program_pid("D"), [int(path.name) for path in nest.iterdir()]
        try:
            old = supervisor.kill_worker("D")
            until(lambda: supervisor.row("D").worker_pid not in (0, old), 10, "another worker adopted it")
            processes.send(first, signal.SIGKILL)
            until(lambda: supervisor.program_now("D") not in (0, first), 15, lambda: f"the next life begins\n{supervisor.story()}")
            assert "holds the output of the ended program open" in supervisor.story()
            lost = [pid for pid in everybody if processes.alive(pid)]
            assert len(lost) == 1
            assert b"EFS_COOKIE" not in processes.environment(lost[0])
        finally:
            for pid in everybody:
                processes.send(pid, signal.SIGKILL)


def test_a_stopped_worker_is_replaced_and_the_program_keeps_its_pid(tmp_path: Path) -> None:
    with Supervisor(tmp_path, {"S": SLEEPER}, supervisor={"ping_s": 0.2, "ping_deadline_s": 0.4}) as supervisor:
        supervisor.await_state("S", State.RUNNING)
        pid, worker = supervisor.program_pid("S"), supervisor.worker_pid("S")
        processes.send(worker, signal.SIGSTOP)
        until(lambda: not processes.alive(worker), 8, lambda: f"the stopped worker is killed\n{supervisor.story()}")
        until(lambda: supervisor.row("S").worker_pid not in (0, worker), 8, lambda: f"another worker answers\n{supervisor.story()}")
        assert supervisor.program_pid("S") == pid
        assert supervisor.row("S").pid == pid


def test_a_core_that_was_itself_stopped_for_longer_than_every_deadline_replaces_nobody(tmp_path: Path) -> None:
    with Supervisor(tmp_path, {"S": SLEEPER, "T": SLEEPER}, supervisor={"ping_s": 0.2, "ping_deadline_s": 0.4}) as supervisor:
        for task in ("S", "T"):
            supervisor.await_state(task, State.RUNNING)
        workers = {task: supervisor.worker_pid(task) for task in ("S", "T")}
        processes.send(supervisor.core_pid, signal.SIGSTOP)
        until(lambda: _stopped(supervisor.core_pid), 5, "the Core is stopped")
        began = _clock()
        until(lambda: _clock() - began > 2.0, 10, "the gap is over")
        processes.send(supervisor.core_pid, signal.SIGCONT)
        began = _clock()
        until(lambda: supervisor.status() and _clock() - began > 1.0, 10, "the Core is judged after several pings")
        assert {task: supervisor.worker_pid(task) for task in ("S", "T")} == workers


def _stopped(pid: int) -> bool:
    process = processes.look(pid)
    return process is not None and process.state == "T"


def _clock() -> float:
    return float(Path("/proc/uptime").read_text().split()[0])


def test_a_killed_core_leaves_programs_and_states_as_they_were(tmp_path: Path) -> None:
    tasks = {"S": SLEEPER, "T": {**SLEEPER, "autostart": False}, "J": {"command": "true", "kind": "job"}, "B": {**SLEEPER}}
    with Supervisor(tmp_path, tasks) as supervisor:
        supervisor.await_state("S", State.RUNNING)
        supervisor.await_state("J", State.EXITED)
        supervisor.await_state("B", State.RUNNING)
        supervisor.trm("B")
        before = {name: (row.state, row.goal, row.pid, row.exit_status) for name, row in supervisor.status().items()}
        assert before["S"][2] > 1
        supervisor.kill_core()
        assert processes.alive(before["S"][2])
        supervisor.start()
        supervisor.await_state("S", State.RUNNING)
        until(
            lambda: {name: (row.state, row.goal, row.pid, row.exit_status) for name, row in supervisor.status().items()} == before,
            5,
            lambda: f"states are as before: {before}, now {supervisor.status()}\n{supervisor.story()}",
        )


def test_a_program_killed_while_the_core_is_dead_comes_back(tmp_path: Path) -> None:
    with Supervisor(tmp_path, {"S": SLEEPER}) as supervisor:
        supervisor.await_state("S", State.RUNNING)
        old = supervisor.program_pid("S")
        supervisor.kill_core()
        processes.send(old, signal.SIGKILL)
        new = until(lambda: (pid := supervisor.program_now("S")) not in (0, old) and pid, 10, "the worker alone restarts its program")
        supervisor.start()
        row = supervisor.await_state("S", State.RUNNING)
        assert row.pid == new
        assert supervisor.program_pid("S") == new


def test_core_and_worker_killed_together_leave_the_program_and_it_is_adopted(tmp_path: Path) -> None:
    with Supervisor(tmp_path, {"S": SLEEPER}) as supervisor:
        supervisor.await_state("S", State.RUNNING)
        pid, worker = supervisor.program_pid("S"), supervisor.worker_pid("S")
        for victim in (supervisor.core_pid, worker):
            processes.send(victim, signal.SIGKILL)
        supervisor.await_core_end()
        supervisor.start()
        row = supervisor.await_state("S", State.RUNNING)
        assert (row.pid, supervisor.program_pid("S")) == (pid, pid)
        assert row.worker_pid not in (0, worker)


def test_the_exit_status_is_known_although_the_worker_was_killed(tmp_path: Path) -> None:
    end = tmp_path / "end"
    tasks = {"E": {"command": program("ending", end, "code=37"), "kind": "job"}}
    with Supervisor(tmp_path, tasks) as supervisor:
        until(lambda: supervisor.output("E") == b"ready\n", 20, "the program is ready")
        old = supervisor.kill_worker("E")
        until(lambda: supervisor.row("E").worker_pid not in (0, old), 10, "another worker adopted it")
        end.touch()
        row = supervisor.await_state("E", State.EXITED)
        assert row.exit_known and row.exit_status is not None
        assert os.waitstatus_to_exitcode(row.exit_status) == 37


def test_the_exit_status_is_known_although_no_worker_lived_when_the_program_ended(tmp_path: Path) -> None:
    end = tmp_path / "end"
    tasks = {"E": {"command": program("ending", end, "code=41"), "kind": "job"}}
    with Supervisor(tmp_path, tasks) as supervisor:
        until(lambda: supervisor.output("E") == b"ready\n", 20, "the program is ready")
        pid = supervisor.program_pid("E")
        processes.send(supervisor.core_pid, signal.SIGSTOP)
        supervisor.kill_worker("E")
        end.touch()
        until(lambda: not processes.alive(pid), 10, "the program ended while nobody could see it")
        processes.send(supervisor.core_pid, signal.SIGCONT)
        row = supervisor.await_state("E", State.EXITED)
        assert row.exit_known and row.exit_status is not None
        assert os.waitstatus_to_exitcode(row.exit_status) == 41


def test_an_exit_status_that_nobody_could_collect_is_unknown_or_right_and_never_success(tmp_path: Path) -> None:
    end = tmp_path / "end"
    tasks = {"E": {"command": program("ending", end, "code=43"), "kind": "job"}}
    with Supervisor(tmp_path, tasks) as supervisor:
        until(lambda: supervisor.output("E") == b"ready\n", 20, "the program is ready")
        pid = supervisor.program_pid("E")
        for victim in (supervisor.core_pid, supervisor.worker_pid("E")):
            processes.send(victim, signal.SIGKILL)
        supervisor.await_core_end()
        end.touch()
        until(lambda: processes.look(pid) is None, 10, "the program ended and the machine's init reaped it")
        supervisor.start()
        row = supervisor.await_state("E", State.EXITED, State.FATAL)
        if row.exit_known:
            assert row.exit_status is not None
            assert os.waitstatus_to_exitcode(row.exit_status) == 43
        else:
            assert row.exit_status is None


def test_bytes_written_while_no_process_of_ours_lived_are_in_the_log(tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    script = 'echo before; while [ ! -e "$1" ]; do sleep 0.01; done; echo between; exec sleep 1000'
    with Supervisor(tmp_path, {"W": {"command": ["sh", "-c", script, "sh", str(gate)]}}) as supervisor:
        until(lambda: supervisor.output("W") == b"before\n", 20, lambda: supervisor.story())
        for victim in (supervisor.core_pid, supervisor.worker_pid("W")):
            processes.send(victim, signal.SIGKILL)
        supervisor.await_core_end()
        gate.touch()
        until(lambda: processes.command(supervisor.program_now("W"))[:1] == ["sleep"], 10, "the program has written")
        supervisor.start()
        until(lambda: supervisor.output("W") == b"before\nbetween\n", 10, lambda: f"{supervisor.output('W')!r}\n{supervisor.story()}")


def test_an_operators_stop_while_the_program_waits_in_backoff_is_a_stop(tmp_path: Path) -> None:
    tasks = {"F": {"command": "false", "startsecs": 5, "backoff_s": 30, "startretries": 100}}
    with Supervisor(tmp_path, tasks) as supervisor:
        supervisor.await_state("F", State.BACKOFF)
        assert all(outcome.ok for outcome in supervisor.trm("F").outcomes)
        row = supervisor.row("F")
        assert (row.state, row.goal) == (State.STOPPED, Goal.TRM)


def test_a_program_that_always_fails_becomes_fatal_and_says_so(tmp_path: Path) -> None:
    tasks = {"F": {"command": "false", "startsecs": 5, "backoff_s": 0.01, "startretries": 2}}
    with Supervisor(tmp_path, tasks) as supervisor:
        row = supervisor.await_state("F", State.FATAL)
        assert row.reason
        assert row.exit_status is not None and os.waitstatus_to_exitcode(row.exit_status) == 1


def test_a_worker_killed_again_and_again_never_costs_the_program_its_pid(tmp_path: Path) -> None:
    with Supervisor(tmp_path, {"S": SLEEPER}) as supervisor:
        supervisor.await_state("S", State.RUNNING)
        pid = supervisor.program_pid("S")
        for _ in range(5):
            old = supervisor.kill_worker("S")
            until(lambda: (worker := supervisor.workers().get("S")) and worker.pid != old, 10, lambda: f"a worker comes back\n{supervisor.story()}")  # noqa: B023
        supervisor.await_state("S", State.RUNNING)
        assert supervisor.program_pid("S") == pid
        assert supervisor.row("S").pid == pid


def test_shutdown_asked_while_workers_are_being_killed_still_ends_everything(tmp_path: Path) -> None:
    names = [f"S{number}" for number in range(5)]
    supervisor = Supervisor(tmp_path, dict.fromkeys(names, SLEEPER))
    with supervisor:
        for name in names:
            supervisor.await_state(name, State.RUNNING)
        processes.send(supervisor.core_pid, signal.SIGTERM)
        for name in names[:3]:
            worker = supervisor.workers().get(name)
            if worker:
                processes.send(worker.pid, signal.SIGKILL)
        status = supervisor.await_core_end(60)
        assert os.waitstatus_to_exitcode(status) == 0, supervisor.story()
        until(lambda: not supervisor.ours(), 2, lambda: f"{supervisor.leaks()}\n{supervisor.story()}")
        assert "killed by SIGKILL" not in (supervisor.var / "log" / "efsupervisord.log").read_text(), "every sleeper heard its stop signal"
        with contextlib.suppress(FileNotFoundError):
            assert not supervisor.zombies()


def test_a_stop_that_follows_a_start_at_once_never_waits_for_the_grace_period(tmp_path: Path) -> None:
    names = [f"S{number}" for number in range(8)]
    with Supervisor(tmp_path, {name: {**SLEEPER, "autostart": False} for name in names}) as supervisor:
        for _ in range(10):
            supervisor.act(*names, wait=False)
            assert all(outcome.ok for outcome in supervisor.trm(*names).outcomes)
        log = (supervisor.var / "log" / "efsupervisord.log").read_text()
        assert "killed by SIGKILL" not in log, log
        assert log.count("-> STOPPED (") == log.count("-> STOPPING (") > 0, "each step is said once"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_daemon_ends_in_order_on_the_usual_signals(tmp_path: Path, number: int) -> None:
    supervisor = Supervisor(tmp_path, {"S": SLEEPER})
    with supervisor:
        supervisor.await_state("S", State.RUNNING)
        processes.send(supervisor.core_pid, number)
        assert os.waitstatus_to_exitcode(supervisor.await_core_end()) == 0, supervisor.story()
        assert supervisor.ours() == []
