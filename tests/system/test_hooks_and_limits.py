"""Hooks around a program's life, what it may use, its secrets, and a fork bomb that takes nobody down."""

from __future__ import annotations

import grp
import os
import shutil
import stat
import time
from pathlib import Path
from typing import Any

import pytest

from efsupervisor.messages import TrmRequest
from efsupervisor.states import State
from tests.support import processes
from tests.support.supervisor import Supervisor, program
from tests.support.wait import until

QUICK = {"startsecs": 0, "backoff_s": 0.05, "stopwaitsecs": 5}
CANARY = "c4n4ry-3f9a"


def task(*words: object, **more: Any) -> dict[str, Any]:
    return {"command": program("caring", *words), **QUICK, **more}


def writes(diary: Path, text: str) -> list[str]:
    return ["sh", "-c", f"echo {text} >> {diary}"]


def pages(diary: Path) -> list[str]:
    return diary.read_text().splitlines() if diary.exists() else []


# Hooks ----------------------------------------------------------------------------------------------------------------------------------------------


def test_hooks_run_in_the_order_of_a_life_and_know_whom_they_are_about(tmp_path: Path) -> None:
    diary = tmp_path / "diary"
    line = '$EFS_HOOK pid=$(test -n "$EFS_PID" && echo yes) status=$EFS_EXIT_STATUS $EFS_TASK $WORD'
    hooks = {name: writes(diary, line) for name in ("before_start", "after_start", "before_stop", "after_exit")}
    command = ["sh", "-c", f"echo program >> {diary}; trap 'echo signal >> {diary}; exit 7' TERM; while :; do sleep 0.02; done"]
    with Supervisor(tmp_path, {"A": {"command": command, **QUICK, "hooks": hooks, "environment": {"WORD": "w"}}}) as supervisor:
        supervisor.await_state("A", State.RUNNING)
        until(lambda: len(pages(diary)) >= 3, 10, "the hook after the start has run")
        supervisor.trm("A")
        lines = pages(diary)
        assert lines[0] == "before_start pid= status= A w"
        assert sorted(lines[1:3]) == ["after_start pid=yes status= A w", "program"]
        assert lines[3:] == ["before_stop pid=yes status= A w", "signal", "after_exit pid=yes status=7 A w"]


def test_a_hook_before_the_start_that_fails_is_a_failed_start_with_its_last_words(tmp_path: Path) -> None:
    hooks = {"before_start": ["sh", "-c", "echo no database >&2; exit 3"]}
    with Supervisor(tmp_path, {"A": task("wait:0", hooks=hooks, startretries=1)}) as supervisor:
        row = supervisor.await_state("A", State.FATAL)
        assert "hook before_start failed: exit status 3: no database; gave up after 2 failed starts" in row.reason
        assert row.incarnation == 0, "no life was begun"


def test_a_hook_that_cannot_be_executed_says_so(tmp_path: Path) -> None:
    with Supervisor(tmp_path, {"A": task("wait:0", hooks={"before_start": "no-such-hook"}, startretries=0)}) as supervisor:
        assert "'no-such-hook' cannot be executed: No such file or directory" in supervisor.await_state("A", State.FATAL).reason


@pytest.mark.alone
def test_other_hooks_that_fail_or_hang_are_alerts_and_hold_nobody_up(tmp_path: Path) -> None:
    hooks = {"after_start": "false", "before_stop": ["sleep", "1000"], "after_exit": ["sleep", "1001"], "timeout_s": 0.3}
    with Supervisor(tmp_path, {"A": task(f"note:{tmp_path}/n", hooks=hooks)}) as supervisor:
        supervisor.await_state("A", State.RUNNING)
        until(lambda: "hook after_start failed: exit status 1" in supervisor.story(), 10, "an alert")
        before = time.monotonic()
        supervisor.trm("A")
        assert time.monotonic() - before < 4
        story = supervisor.story()
        assert "hook before_stop failed: took longer than 0.3 s" in story and "hook after_exit failed: took longer than 0.3 s" in story
        assert supervisor.row("A").state is State.STOPPED
        assert [each for each in supervisor.ours() if each.name == "sleep"] == []


def test_a_stop_ends_a_hook_that_hangs_before_the_start_with_all_that_it_started(tmp_path: Path) -> None:
    hooks = {"before_start": ["sh", "-c", "setsid sh -c 'trap : TERM; sleep 1000; sleep 1000' & sleep 1000"], "timeout_s": "1h"}
    with Supervisor(tmp_path, {"A": task("wait:0", hooks=hooks)}) as supervisor:
        until(lambda: len([each for each in supervisor.ours() if each.name == "sleep"]) == 2, 10, "the hook runs")
        assert supervisor.row("A").state is State.STARTING
        supervisor.trm("A")
        assert [each for each in supervisor.ours() if each.name == "sleep"] == []


@pytest.mark.alone
def test_a_hook_before_the_stop_takes_at_most_half_of_the_grace_period(tmp_path: Path) -> None:
    diary = tmp_path / "diary"
    hooks = {"before_stop": ["sleep", "1000"], "timeout_s": "1h"}
    with Supervisor(tmp_path, {"A": task(f"note:{diary}", hooks=hooks, stopwaitsecs=2)}) as supervisor:
        supervisor.await_state("A", State.RUNNING)
        until(lambda: processes.command(supervisor.program_pid("A"))[-1:] == [f"note:{diary}"], 10, "it runs")
        before = time.monotonic()
        supervisor.trm("A")
        assert 0.9 < time.monotonic() - before < 2.5
        assert pages(diary) == ["signal"]


# What it may use ------------------------------------------------------------------------------------------------------------------------------------


def limit_of(pid: int, name: str) -> list[str]:
    line = next(line for line in Path(f"/proc/{pid}/limits").read_text().splitlines() if line.startswith(name))
    return line[26:].split()[:2]


def test_a_program_has_the_limits_that_were_written(tmp_path: Path) -> None:
    spec = {
        "limits": {"nofile": "100:200", "core": 0, "as": "4GiB"}, "nice": 7, "ionice": "idle", "cpu_affinity": "0", "oom_score_adj": 321,
    }  # fmt: skip
    with Supervisor(tmp_path, {"A": task("wait:0", **spec)}) as supervisor:
        pid = supervisor.await_state("A", State.RUNNING).pid
        assert limit_of(pid, "Max open files") == ["100", "200"]
        assert limit_of(pid, "Max core file size") == ["0", "0"]
        assert limit_of(pid, "Max address space") == [str(4 << 30)] * 2
        assert os.getpriority(os.PRIO_PROCESS, pid) == 7
        assert os.sched_getaffinity(pid) == {0}
        assert Path(f"/proc/{pid}/oom_score_adj").read_text().strip() == "321"


@pytest.mark.usefixtures("as_root")
def test_when_memory_is_short_programs_go_before_workers_and_workers_before_the_core(tmp_path: Path) -> None:
    with Supervisor(tmp_path, {"A": task("wait:0")}) as supervisor:
        pid = supervisor.await_state("A", State.RUNNING).pid
        found = [int(Path(f"/proc/{each}/oom_score_adj").read_text()) for each in (supervisor.core_pid, supervisor.worker_pid("A"), pid)]
        if found[0] >= 0:
            pytest.skip("here not even root may spare a process")
        assert found == [-900, -500, 0]


def test_a_limit_that_may_not_be_had_is_named(tmp_path: Path) -> None:
    with Supervisor(tmp_path, {"A": task("wait:0", cpu_affinity="8000", startretries=0)}) as supervisor:
        assert "cpu_affinity cannot be set: Invalid argument" in supervisor.await_state("A", State.FATAL).reason


@pytest.mark.usefixtures("as_root")
def test_groups_are_added_to_those_of_the_user(tmp_path: Path) -> None:
    adm = grp.getgrnam("adm").gr_gid
    with Supervisor(tmp_path, {"A": {"command": "sleep 1000", **QUICK, "user": "nobody", "groups": ["adm", "4242"]}}) as supervisor:
        pid = supervisor.await_state("A", State.RUNNING).pid
        line = next(line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("Groups:"))
        assert set(map(int, line.split()[1:])) == {65534, adm, 4242}


def test_variables_come_from_files_and_what_is_written_goes_over_them(tmp_path: Path) -> None:
    first = tmp_path / "first.env"
    first.write_text("# of the site\nA=1\nexport B='two words'\nC=3\n")
    spec = {"environment_files": [str(first), f"-{tmp_path}/absent.env"], "environment": {"C": "4"}}
    missing = task("wait:0", environment_files=f"{tmp_path}/absent.env", startretries=0)
    with Supervisor(tmp_path, {"A": task("wait:0", **spec), "B": missing}) as supervisor:
        pid = supervisor.await_state("A", State.RUNNING).pid
        until(lambda: processes.command(pid)[-1:] == ["wait:0"], 10, "it was executed")
        found = processes.environment(pid)
        assert (found[b"A"], found[b"B"], found[b"C"]) == (b"1", b"two words", b"4")
        assert f"{tmp_path}/absent.env cannot be read: No such file" in supervisor.await_state("B", State.FATAL).reason


@pytest.mark.parametrize("user", ["", "nobody"])
def test_a_secret_is_a_file_of_the_program_alone_and_in_nothing_that_is_shown(tmp_path: Path, user: str) -> None:
    if user and os.geteuid() != 0:
        pytest.skip("only root starts programs as another user")
    source = tmp_path / "key"
    source.write_text(CANARY)
    source.chmod(0o600)
    command = ["sh", "-c", 'test "$(cat $DB_FILE)" = "$(cat $CREDENTIALS_DIRECTORY/DB)" && echo same; exec sleep 1000']
    spec = {"command": command, **QUICK, "secrets": {"DB": str(source)}, **({"user": user} if user else {})}
    with Supervisor(tmp_path, {"A": spec}) as supervisor:
        pid = supervisor.await_state("A", State.RUNNING).pid
        until(lambda: supervisor.output("A") == b"same\n", 10, lambda: f"it reads its secret\n{supervisor.output('A', 'err')!r}")
        until(lambda: processes.command(pid) == ["sleep", "1000"], 10, "the shell is gone")
        found = until(lambda: processes.environment(pid), 10, "its variables are there")
        copy = Path(found[b"DB_FILE"].decode())
        uid = os.stat(f"/proc/{pid}").st_uid
        assert (copy.read_text(), stat.S_IMODE(copy.stat().st_mode), copy.stat().st_uid) == (CANARY, 0o400, uid)
        assert stat.S_IMODE(copy.parent.stat().st_mode) == 0o500
        shown = supervisor.efctl("--json", "shw", "task", "A").stdout + supervisor.efctl("status", "--json").stdout + supervisor.story().encode()
        shown += b"".join(found.values()) + " ".join(processes.command(pid)).encode()
        shown += b"".join(path.read_bytes() for path in supervisor.var.rglob("*") if path.is_file())
        assert CANARY.encode() not in shown and shown
        supervisor.trm("A")
        assert not copy.exists() and not copy.parent.parent.exists()


def test_a_secret_that_cannot_be_read_is_named_and_not_quoted(tmp_path: Path) -> None:
    with Supervisor(tmp_path, {"A": task("wait:0", secrets={"DB": str(tmp_path / "absent")}, startretries=0)}) as supervisor:
        assert f"secret DB: {tmp_path}/absent cannot be read: No such file or directory" in supervisor.await_state("A", State.FATAL).reason


@pytest.mark.skipif(os.path.exists("/sys/fs/cgroup/cgroup.controllers"), reason="this machine has cgroup v2")
def test_without_control_groups_a_task_runs_and_one_note_says_what_it_lacks(tmp_path: Path) -> None:
    with Supervisor(tmp_path, {"A": task("end:0", cgroup={"memory_max": "64MiB"}), "B": task("wait:0", cgroup={"pids_max": 10})}) as supervisor:
        row = supervisor.await_state("B", State.RUNNING)
        assert "runs without the limits of `cgroup`: this machine has no cgroup v2" in row.health
        until(lambda: supervisor.row("A").restarts > 2, 10, "A starts again and again")
        assert supervisor.story().count("A: runs without the limits") + supervisor.story().count("B: runs without the limits") <= 2


# A fork bomb ----------------------------------------------------------------------------------------------------------------------------------------


BOMB = ["perl", "-e", "$SIG{TERM} = 'IGNORE'; my $first = $$; while (1) { my $child = fork; if (!defined $child) "
        "{ select(undef, undef, undef, 0.002) } elsif ($child && $$ != $first && $$ % 3 == 0) { exit 0 } }"]  # fmt: skip
"""Forks without end, each copy too; some leave their copies behind."""


@pytest.mark.alone
@pytest.mark.skipif(shutil.which("perl", path="/usr/bin:/bin") is None, reason="the bomb is written in perl, which every user may execute")
@pytest.mark.usefixtures("as_root")
def test_a_fork_bomb_with_a_limit_takes_nobody_down_and_a_stop_leaves_nothing_of_it(tmp_path: Path) -> None:
    tasks = {
        "bomb": {**task(), "command": BOMB, "user": "games", "limits": {"nproc": 60}, "stopwaitsecs": 1, "autorestart": False},
        "good": task("wait:0"),
    }
    with Supervisor(tmp_path, tasks) as supervisor:
        good = supervisor.await_state("good", State.RUNNING).pid
        until(lambda: len(of_task("bomb")) > 40, 20, lambda: f"the bomb goes off: {len(of_task('bomb'))}\n{supervisor.story()}")
        slowest = 0.0
        for _ in range(20):
            before = time.monotonic()
            supervisor.row("good")
            slowest = max(slowest, time.monotonic() - before)
        assert slowest < 1
        before = time.monotonic()
        supervisor.trm("bomb")
        assert time.monotonic() - before < 8
        assert of_task("bomb") == []
        assert supervisor.row("good").pid == good


def of_task(name: str) -> list[int]:
    living = (each.pid for each in processes.everybody() if each.state not in "ZX")
    return [pid for pid in living if processes.environment(pid).get(b"EFS_TASK") == name.encode()]


# A worker that is killed at the wrong moment --------------------------------------------------------------------------------------------------------


def sleepers(supervisor: Supervisor) -> list[int]:
    return [each.pid for each in supervisor.ours() if each.name == "sleep"]


def test_a_worker_killed_while_a_hook_runs_before_the_start_leaves_no_second_hook(tmp_path: Path) -> None:
    go = tmp_path / "go"
    hooks = {"before_start": ["sh", "-c", f"test -e {go} || exec sleep 1000"], "timeout_s": "1h"}
    with Supervisor(tmp_path, {"A": task("wait:0", hooks=hooks)}) as supervisor:
        (first,) = until(lambda: sleepers(supervisor), 10, "the hook runs")
        supervisor.kill_worker("A")
        (second,) = until(lambda: [each for each in sleepers(supervisor) if each != first], 10, "the successor's hook runs")
        assert until(lambda: sleepers(supervisor) == [second], 5, "the first died with its worker")
        go.touch()
        processes.send(second, 9)
        supervisor.await_state("A", State.RUNNING)
        assert supervisor.row("A").incarnation == 1


def test_a_worker_killed_while_a_hook_runs_before_the_stop_stops_the_program_all_the_same(tmp_path: Path) -> None:
    diary = tmp_path / "diary"
    hooks = {"before_stop": ["sh", "-c", f"echo hook >> {diary}; exec sleep 1000"], "timeout_s": 1}
    with Supervisor(tmp_path, {"A": task(f"note:{diary}", hooks=hooks)}) as supervisor:
        supervisor.await_state("A", State.RUNNING)
        pid = supervisor.program_pid("A")
        until(lambda: processes.command(pid)[-1:] == [f"note:{diary}"], 10, "it was executed")
        worker = supervisor.worker_pid("A")
        supervisor.ask(TrmRequest(id="1", names=["A"], wait=False))
        until(lambda: sleepers(supervisor), 10, "the hook runs")
        processes.send(worker, 9)
        supervisor.await_state("A", State.STOPPED)
        assert pages(diary)[0] == "hook" and pages(diary)[-1] == "signal"
        assert sleepers(supervisor) == [] and not processes.alive(pid)


def test_a_successor_takes_away_the_secrets_of_a_program_that_died_with_its_worker(tmp_path: Path) -> None:
    diary, source = tmp_path / "diary", tmp_path / "key"
    source.write_text(CANARY)
    spec = {"secrets": {"DB": str(source)}, "hooks": {"after_exit": writes(diary, "$EFS_INCARNATION $EFS_EXIT_STATUS")}, "autorestart": False}
    with Supervisor(tmp_path, {"A": task("wait:0", **spec)}) as supervisor:
        pid = supervisor.await_state("A", State.RUNNING).pid
        until(lambda: b"DB_FILE" in processes.environment(pid), 10, "it was executed")
        copy = Path(processes.environment(pid)[b"DB_FILE"].decode())
        processes.send(supervisor.worker_pid("A"), 9)
        processes.send(pid, 9)
        supervisor.await_state("A", State.EXITED)
        assert not copy.exists() and not copy.parent.parent.exists()
        assert pages(diary) in (["1 137"], ["1"]), "where the kernel does not tell, how it ended is unknown"
