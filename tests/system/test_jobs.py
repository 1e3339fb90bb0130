"""Jobs run to completion: waited for, tried again, timed out, each once per wish, whoever is killed meanwhile."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from efsupervisor import messages
from efsupervisor.errors import Code
from efsupervisor.states import State
from tests.support.asking import ask, done, refused
from tests.support.supervisor import Supervisor
from tests.support.wait import until

JOB = {"kind": "job", "autostart": False, "backoff_s": 0.05, "backoff_max_s": 0.2}


def job(script: str, **keys: Any) -> dict[str, Any]:
    return {"command": ["sh", "-c", script], **JOB} | keys


def counted(folder: Path, script: str, **keys: Any) -> dict[str, Any]:
    """A job that leaves a line in the file `runs` each time; `n` is the number of this one."""
    runs = folder / "runs"
    return job(f"echo >> {runs}; n=$(wc -l < {runs}); {script}", **keys)


def times_run(folder: Path) -> int:
    path = folder / "runs"
    return path.read_text().count("\n") if path.exists() else 0


def complete(supervisor: Supervisor, *names: str, **more: Any) -> list[messages.Outcome]:
    return ask(supervisor, messages.ActRequest, messages.DoneReply, names=list(names), until="completed", **more).outcomes


def efctl(supervisor: Supervisor, *words: str) -> tuple[int, str, str]:
    """Exit status and what was said."""
    command = [sys.executable, "-m", "efsupervisor.cli", "--var", str(supervisor.var), *words]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=30, env=supervisor.clean_environment)
    return ended.returncode, ended.stdout, ended.stderr


def history(supervisor: Supervisor, *names: str) -> list[messages.RunRow]:
    """Oldest first."""
    return ask(supervisor, messages.HistoryRequest, messages.HistoryReply, names=list(names)).rows[::-1]


def test_act_until_completed_tells_how_a_job_ended(tmp_path: Path) -> None:
    tasks = {"good": job("sleep 0.3"), "bad": job("exit 3"), "web": {"command": ["sleep", "1000"], "startsecs": 0}}
    with Supervisor(tmp_path, tasks) as supervisor:
        (good,) = complete(supervisor, "good")
        assert (good.ok, good.sentence) == (True, "completed: exit status 0")
        (bad,) = complete(supervisor, "bad")
        assert (bad.ok, bad.code, bad.sentence) == (False, Code.TASK_FAILED, "EXITED: exit status 3")
        no = refused(supervisor, messages.ActRequest, names=["good", "web"], until="completed")
        assert no.code is Code.BAD_STATE and "web is a service and never completes" in no.sentence
        assert refused(supervisor, messages.ActRequest, names=["good"], until="ready").code is Code.USAGE
        assert len(history(supervisor, "good")) == 1, "what is refused starts nothing"


def test_a_job_that_fails_is_tried_again_and_each_attempt_has_a_row(tmp_path: Path) -> None:
    with Supervisor(tmp_path, {"flaky": counted(tmp_path, "echo try $n; test $n -ge 3", retries=4)}) as supervisor:
        (outcome,) = complete(supervisor, "flaky", asked_by="me")
        assert (outcome.ok, outcome.sentence) == (True, "completed: exit status 0, attempt 3")
        rows = history(supervisor, "flaky")
        assert [(row.attempt, row.exit_status, row.state) for row in rows] == [(1, 256, "BACKOFF"), (2, 256, "BACKOFF"), (3, 0, "EXITED")]
        assert {row.cause for row in rows} == {"me"} and len({row.ticket for row in rows}) == 1 and rows[0].ticket
        assert [(row.out_from, row.out_bytes, row.events_out) for row in rows] == [(0, 6, 1), (6, 6, 1), (12, 6, 1)]
        assert "exit status 1; attempt 1 of 5" in rows[0].reason
        complete(supervisor, "flaky")
        assert history(supervisor, "flaky")[-1].attempt == 1, "another run counts from one"


def test_a_job_gives_up_after_its_retries_at_once_where_the_status_says_so_and_after_its_time(tmp_path: Path) -> None:
    tasks = {
        "never": counted(tmp_path, "exit 1", retries=2),
        "usage": job("exit 64", retries=5, no_retry=64),
        "slow": job("sleep 100", retries=1, max_runtime_s=0.3, stopwaitsecs=1),
    }
    with Supervisor(tmp_path, tasks) as supervisor:
        outcomes = {outcome.task: outcome.sentence for outcome in complete(supervisor, *tasks)}
        assert outcomes["never"] == "EXITED: exit status 1; gave up after 3 attempts (retries: 2)"
        assert outcomes["usage"] == "EXITED: exit status 64; not tried again (no_retry)"
        assert outcomes["slow"].startswith("FATAL: ran longer than max_runtime_s (0.3 s)") and "gave up after 2 attempts" in outcomes["slow"]
        assert times_run(tmp_path) == 3
        assert [len(history(supervisor, name)) for name in tasks] == [3, 1, 2]
        assert all(supervisor.row(name).finished for name in tasks), "what failed for good has finished: nobody waits for more of it"


def test_attempts_go_on_counting_when_the_worker_is_killed(tmp_path: Path) -> None:
    with Supervisor(tmp_path, {"never": counted(tmp_path, "exit 1", retries=2, backoff_s=1.0, backoff_max_s=1.0)}) as supervisor:
        supervisor.act("never", wait=False)
        supervisor.await_state("never", State.BACKOFF)
        supervisor.kill_worker("never")
        until(lambda: "gave up after 3 attempts" in supervisor.row("never").reason, 20, supervisor.story)
        assert times_run(tmp_path) == 3


def test_a_job_whose_end_nobody_was_left_to_judge_is_not_run_again(tmp_path: Path) -> None:
    """Worker, or everything, is killed between the record of the end and the word of what follows from it."""
    armed = {"EFSUPERVISOR_FAULTS": "life:ended=1"}
    supervisor = Supervisor(tmp_path, {"once": counted(tmp_path, "sleep 0.3; exit 5")}, environment=armed)
    with supervisor:
        (outcome,) = complete(supervisor, "once")
        assert outcome.sentence == "EXITED: exit status 5"
        assert times_run(tmp_path) == 1
        (row,) = history(supervisor, "once")
        assert (row.exit_status, row.state) == (5 << 8, "EXITED")
        assert "died; a new one takes over" in supervisor.story(), "the worker was killed there"


def test_a_wish_that_is_repeated_after_a_crash_runs_a_job_once(tmp_path: Path) -> None:
    with Supervisor(tmp_path, {"once": counted(tmp_path, "sleep 0.5")}) as supervisor:
        supervisor.act("once", wait=False)
        until(lambda: times_run(tmp_path) == 1, 10, supervisor.story)
        supervisor.await_state("once", State.EXITED)
        (first,) = complete(supervisor, "once", id="mine")
        assert first.ok and times_run(tmp_path) == 2
        supervisor.kill_core()
        supervisor.start()
        (again,) = complete(supervisor, "once", id="mine")
        assert again == first, "whoever did not hear the answer gets it, and nothing runs"
        assert times_run(tmp_path) == 2
        done(supervisor, messages.ActRequest, names=["once"], until="completed", id="another")
        assert times_run(tmp_path) == 3


def test_a_job_that_runs_while_no_core_lives_is_recorded_once_and_not_run_again_by_a_clean_start(tmp_path: Path) -> None:
    with Supervisor(tmp_path, {"once": counted(tmp_path, "sleep 1; echo done")}) as supervisor:
        supervisor.act("once", wait=False)
        until(lambda: times_run(tmp_path) == 1, 10, supervisor.story)
        supervisor.kill_core()
        until(lambda: supervisor.output("once") == b"done\n", 20, "the job goes on without a Core")
        until(lambda: not supervisor.workers().get("once"), 20, "its worker ends")
        for _ in range(2):
            supervisor.start()
            supervisor.await_state("once", State.EXITED)
            (row,) = history(supervisor, "once")
            assert (row.exit_status, row.events_out, row.attempt) == (0, 1, 1) and row.cause.startswith("uid ")
            supervisor.stop()
        supervisor.start()
        assert times_run(tmp_path) == 1


def test_a_chain_of_jobs_is_run_by_its_last_and_says_where_it_stands(tmp_path: Path) -> None:
    tale = tmp_path / "tale"
    after = {"b": {"a": "completed_successfully"}, "c": {"b": "completed_successfully"}}
    tasks = {name: job(f"echo {name} >> {tale}; test ! -e {tmp_path}/broken-{name}", depends_on=after.get(name, {})) for name in "cba"}
    with Supervisor(tmp_path, tasks) as supervisor:
        assert complete(supervisor, "c", asked_by="me")[0].ok
        assert tale.read_text().split() == ["a", "b", "c"]
        assert [row.cause for row in history(supervisor, "a")] == ["me (for c)"]
        assert complete(supervisor, "c")[0].ok
        assert tale.read_text().split()[3:] == ["c"], "what is completed is not done again"
        assert complete(supervisor, "c", anew=True)[0].ok
        assert tale.read_text().split()[4:] == ["a", "b", "c"]
        (tmp_path / "broken-a").touch()
        (outcome,) = complete(supervisor, "c", anew=True)
        assert not outcome.ok and outcome.code is Code.TASK_FAILED and "waits for b" in outcome.sentence
        assert supervisor.row("b").reason == "waits for a (completed_successfully), which is EXITED: exit status 1"
        (tmp_path / "broken-a").unlink()
        assert complete(supervisor, "a")[0].ok
        supervisor.await_state("c", State.EXITED)
        assert tale.read_text().split()[7:] == ["a", "a", "b", "c"], "who waits goes on when it is mended"


def test_a_consumer_of_a_job_that_cannot_be_executed_comes_to_its_end(tmp_path: Path) -> None:
    tasks = {"none": job("", command=["/nonexistent/program"], startretries=0), "count": job("wc -l", input={"protocol": "stream"})}
    with Supervisor(tmp_path, tasks, {"f": {"from": "none", "to": "count"}}) as supervisor:
        outcomes = {outcome.task: outcome.ok for outcome in complete(supervisor, "none", "count")}
        assert outcomes == {"none": False, "count": True}
        assert supervisor.output("count").strip() == b"0"


def test_a_run_tells_what_came_in_and_out_of_each_part(tmp_path: Path) -> None:
    shout = 'while read -r line; do echo "$line!"; echo >&2; done'
    tasks = {
        "read": job("seq 1000"), "even": job("grep '[02468]$'", input={"protocol": "stream"}), "load": job(shout, input={"protocol": "event"}),
    }  # fmt: skip
    with Supervisor(tmp_path, tasks, {"a": {"from": "read", "to": "even"}, "b": {"from": "even", "to": "load"}}) as supervisor:
        for _ in range(2):
            assert all(outcome.ok for outcome in complete(supervisor, *tasks)), supervisor.story()
        rows = {name: history(supervisor, name)[1] for name in tasks}
        assert [(row.events_in, row.events_out) for row in rows.values()] == [(-1, 1000), (1000, 500), (500, 500)]
        assert rows["even"].in_bytes == rows["read"].out_bytes == len("".join(f"{n}\n" for n in range(1, 1001)))
        assert rows["load"].in_bytes == rows["even"].out_bytes
        assert os.WEXITSTATUS(rows["load"].exit_status or 0) == 0


def test_the_log_of_one_run_is_cut_out_and_the_history_is_a_table_and_a_document(tmp_path: Path) -> None:
    with Supervisor(tmp_path, {"say": counted(tmp_path, 'echo "run $n"; echo "trouble $n" >&2; test $n = 3', retries=2)}) as supervisor:
        assert efctl(supervisor, "act", "say", "--until", "completed") == (0, "say: completed: exit status 0, attempt 3\n", "")
        table = efctl(supervisor, "history", "say")[1].splitlines()
        assert table[0].split() == ["RUN", "TASK", "BEGAN", "TOOK", "IN", "OUT", "ERR", "EVENTS", "STATE", "CAUSE", "ENDED"]
        assert "attempt 3" in table[1] and "-/1" in table[1]
        rows = json.loads(efctl(supervisor, "history", "say", "--json")[1])
        assert [row["attempt"] for row in rows] == [3, 2, 1]
        number = str(rows[1]["number"])
        assert efctl(supervisor, "log", "say", "--run", number) == (0, "run 2\n", "")
        assert efctl(supervisor, "log", "say", "--run", number, "--stream", "err") == (0, "trouble 2\n", "")
        assert [row["text"] for row in json.loads(efctl(supervisor, "log", "say", "--run", number, "--json")[1])] == ["run 2"]
        status, _, said = efctl(supervisor, "log", "say", "--run", "99")
        assert status == 3 and said == "efctl: say has no run 99 that is remembered; `efctl history say` lists those that are\n"
        assert efctl(supervisor, "log", "say", "--run", number, "-f")[0] == 2


def test_efctl_exits_1_with_a_sentence_when_a_job_failed(tmp_path: Path) -> None:
    with Supervisor(tmp_path, {"bad": job("exit 3")}) as supervisor:
        status, out, err = efctl(supervisor, "act", "bad", "--until", "completed")
        assert status == 1 and "bad: EXITED: exit status 3" in out + err


def test_a_clean_start_runs_what_starts_by_itself_and_goes_on_with_what_a_shutdown_cut_off(tmp_path: Path) -> None:
    """A ticket is for repetitions of one wish: neither the next start nor the rest of the work is one."""
    tasks = {"boot": counted(tmp_path, ":", autostart=True), "long": job(f"echo begun >> {tmp_path}/long; sleep 3")}
    with Supervisor(tmp_path, tasks) as supervisor:
        supervisor.await_state("boot", State.EXITED)
        assert complete(supervisor, "boot")[0].ok and times_run(tmp_path) == 2
        supervisor.act("long", wait=False)
        until(lambda: (tmp_path / "long").exists(), 10, supervisor.story)
        supervisor.stop()
        supervisor.start()
        supervisor.await_state("long", State.EXITED)
        assert (tmp_path / "long").read_text() == "begun\n" * 2
        until(lambda: times_run(tmp_path) == 3, 10, supervisor.story)
