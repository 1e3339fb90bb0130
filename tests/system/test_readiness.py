"""A program is RUNNING when it is ready, is restarted when it is not alive, and is ended when it takes too long or too much."""

from __future__ import annotations

import os
import re
import socket
import sys
from pathlib import Path
from typing import Any

import pytest

from efsupervisor.states import State
from tests.support import processes
from tests.support.supervisor import PROGRAMS, Supervisor, program
from tests.support.wait import until

QUICK = {"startsecs": 0, "backoff_s": 0.05, "stopwaitsecs": 5}


def caring(*words: object) -> list[str]:
    return program("caring", *words)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def task(*words: object, **more: Any) -> dict[str, Any]:
    return {"command": caring(*words), **QUICK, **more}


def restarted(supervisor: Supervisor, name: str, times: int = 1) -> None:
    until(lambda: supervisor.row(name).restarts >= times, 20, lambda: f"{name} is restarted\n{supervisor.story()}")


def test_a_program_that_notifies_is_starting_until_it_says_ready(tmp_path: Path) -> None:
    go = tmp_path / "go"
    words = ("say:STATUS=warming up", f"until:{go}", "say:READY=1\nSTATUS=serving")
    with Supervisor(tmp_path, {"A": task(*words, ready={"notify": True})}) as supervisor:
        until(lambda: supervisor.row("A").reason == "warming up", 10, lambda: f"its own words are shown\n{supervisor.row('A')}")
        assert supervisor.row("A").state is State.STARTING
        go.touch()
        supervisor.await_state("A", State.RUNNING)
        until(lambda: supervisor.row("A").reason == "serving", 10, "the reason says what it does")


def test_a_stranger_cannot_say_that_a_program_is_ready(tmp_path: Path) -> None:
    with Supervisor(tmp_path, {"A": task("wait:0", ready={"notify": True})}) as supervisor:
        pid = supervisor.program_pid("A")
        until(lambda: processes.environment(pid).get(b"NOTIFY_SOCKET"), 10, "it was executed")
        path = processes.environment(pid)[b"NOTIFY_SOCKET"].decode()
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as speaker:
            speaker.sendto(b"READY=1", path)
        for _ in range(20):  # a status answers behind what was said before: the worker is asked each time
            assert supervisor.row("A").state is State.STARTING
        until(lambda: supervisor.row("A").reason == "waits for notify", 10, "it waits")


def test_a_shells_short_lived_child_may_speak_for_the_program(tmp_path: Path) -> None:
    command = ["sh", "-c", f"{sys.executable} -S {PROGRAMS}/caring.py say:READY=1 end:0; sleep 1000"]
    with Supervisor(tmp_path, {"A": {"command": command, **QUICK, "ready": {"notify": True}}}) as supervisor:
        supervisor.await_state("A", State.RUNNING)


def test_a_program_is_ready_when_everything_that_is_asked_for_was_true(tmp_path: Path) -> None:
    tcp, http, go, status = free_port(), free_port(), tmp_path / "go", tmp_path / "status"
    status.write_text("503")
    script = f'"$@" http:{http}:{status} & until test -e {go}; do sleep 0.02; done; exec "$@" listen:{tcp} "print:now listening"'
    command = ["sh", "-c", script, "x", *caring()]
    ready = {
        "tcp": f"localhost:{tcp}", "http": f"http://127.0.0.1:{http}/health", "line": "^now l", "exec": ["test", "-e", str(go)], "interval_s": 0.05,
    }  # fmt: skip
    with Supervisor(tmp_path, {"A": {"command": command, **QUICK, "ready": ready}}) as supervisor:
        until(lambda: any(word in supervisor.row("A").reason for word in ("503", "refused", "test: exit")), 10, "it says what is missing")
        go.touch()
        until(lambda: "status 503" in supervisor.row("A").reason, 10, lambda: f"only http is missing\n{supervisor.row('A')}")
        assert supervisor.row("A").state is State.STARTING
        status.write_text("204")
        supervisor.await_state("A", State.RUNNING)


def test_a_program_that_is_not_ready_in_time_has_failed_and_the_reason_says_what_was_missing(tmp_path: Path) -> None:
    ready = {"tcp": f"127.0.0.1:{free_port()}", "start_timeout_s": 0.3, "interval_s": 0.05}
    with Supervisor(tmp_path, {"A": task("wait:0", ready=ready, startretries=1)}) as supervisor:
        row = supervisor.await_state("A", State.FATAL)
        assert "not ready within start_timeout_s (0.3 s): 127.0.0.1:" in row.reason and "Connection refused" in row.reason
        assert "gave up after 2 failed starts in a row" in row.reason


def test_a_program_that_asks_for_time_gets_it(tmp_path: Path) -> None:
    ready = {"notify": True, "start_timeout_s": 0.5}
    with Supervisor(tmp_path, {"A": task("say:EXTEND_TIMEOUT_USEC=20000000", "wait:1", "say:READY=1", ready=ready)}) as supervisor:
        row = supervisor.await_state("A", State.RUNNING)
        assert row.restarts == 0


def test_a_program_that_ends_before_it_is_ready_has_failed_whatever_its_status(tmp_path: Path) -> None:
    with Supervisor(tmp_path, {"A": task("end:0", ready={"notify": True}, startretries=0)}) as supervisor:
        assert "before it was ready" in supervisor.await_state("A", State.FATAL).reason


def test_a_program_that_fails_its_probes_is_restarted_and_the_reason_says_why(tmp_path: Path) -> None:
    port, status = free_port(), tmp_path / "status"
    status.write_text("200")
    alive = {"http": f"http://localhost:{port}/", "interval_s": 0.1, "failures": 3}
    ready = {"tcp": f"localhost:{port}", "interval_s": 0.05}
    with Supervisor(tmp_path, {"A": task(f"http:{port}:{status}", ready=ready, alive=alive)}) as supervisor:
        supervisor.await_state("A", State.RUNNING)
        first = supervisor.program_pid("A")
        status.write_text("500")
        until(lambda: "not alive" in supervisor.row("A").health or supervisor.row("A").restarts, 10, "its health says it before")
        restarted(supervisor, "A")
        status.write_text("200")
        until(lambda: supervisor.row("A").state is State.RUNNING and supervisor.row("A").pid != first, 10, "a new one runs")
        assert "not alive: 3 probes in a row failed, the last: localhost:" in supervisor.story()
        until(lambda: not supervisor.row("A").health, 10, "it is well again")


def test_a_probe_that_is_a_command_runs_as_an_errand_and_may_hang(tmp_path: Path) -> None:
    alive = {"exec": ["sleep", "1000"], "interval_s": 0.05, "timeout_s": 0.2, "failures": 2}
    with Supervisor(tmp_path, {"A": task("wait:0", alive=alive)}) as supervisor:
        restarted(supervisor, "A")
        assert "sleep: took longer than 0.2 s" in supervisor.story()


def test_a_program_whose_watchdog_is_silent_is_restarted(tmp_path: Path) -> None:
    with Supervisor(tmp_path, {"A": task("dog:0.1:15", alive={"watchdog_s": 0.6})}) as supervisor:
        supervisor.await_state("A", State.RUNNING)
        restarted(supervisor, "A")
        assert "not alive: no WATCHDOG=1 for 0.6 s (watchdog_s)" in supervisor.story()


def test_a_job_that_runs_too_long_has_failed_even_if_it_ends_with_status_0(tmp_path: Path) -> None:
    with Supervisor(tmp_path, {"J": task(f"note:{tmp_path}/n", kind="job", max_runtime_s=0.5)}) as supervisor:
        row = supervisor.await_state("J", State.FATAL)
        assert "ran longer than max_runtime_s (0.5 s); exit status 0" in row.reason
        assert row.finished


def test_a_tree_that_takes_too_much_memory_is_restarted(tmp_path: Path) -> None:
    eater = ["sh", "-c", '"$@" & wait', "x", *caring("eat:64")]
    with Supervisor(tmp_path, {"A": {"command": eater, **QUICK, "max_rss": "48MiB", "usage_s": 0.2}}) as supervisor:
        restarted(supervisor, "A")
        assert "bytes of memory, more than max_rss (50,331,648)" in supervisor.story()


def test_a_tree_that_takes_too_much_of_a_processor_is_restarted(tmp_path: Path) -> None:
    with Supervisor(tmp_path, {"A": task("burn", max_cpu=5, usage_s=0.5)}) as supervisor:
        restarted(supervisor, "A")
        assert re.search(r"uses \d+ % of a processor over 0\.\d s, more than max_cpu \(5\)", supervisor.story())


def test_a_successor_of_a_killed_worker_hears_that_the_program_is_ready_and_goes_on_watching(tmp_path: Path) -> None:
    go = tmp_path / "go"
    words = (f"until:{go}", "say:READY=1", "dog:0.2:10")
    with Supervisor(tmp_path, {"A": task(*words, ready={"notify": True}, alive={"watchdog_s": 1})}) as supervisor:
        until(lambda: supervisor.row("A").reason == "waits for notify", 10, "it waits")
        pid = supervisor.program_pid("A")
        former = supervisor.kill_worker("A")
        until(lambda: supervisor.row("A").worker_pid not in (0, former), 10, "another worker")
        until(lambda: supervisor.row("A").reason == "waits for notify", 10, lambda: f"it waits again {supervisor.row('A')}")
        go.touch()
        assert supervisor.await_state("A", State.RUNNING).pid == pid
        former = supervisor.kill_worker("A")
        until(lambda: supervisor.row("A").worker_pid not in (0, former), 10, "a third worker")
        assert supervisor.await_state("A", State.RUNNING).pid == pid
        until(lambda: supervisor.row("A").pid not in (0, pid), 20, "its watchdog is silent in the end")


def pss(pid: int) -> int:
    return int(re.findall(r"^Pss: +(\d+) kB", Path(f"/proc/{pid}/smaps_rollup").read_text(), re.MULTILINE)[0]) << 10


@pytest.mark.skipif(not os.path.exists("/proc/self/smaps_rollup"), reason="this kernel does not say who shares what")
def test_care_costs_a_worker_little_memory(tmp_path: Path) -> None:
    plain = {f"P{n}": task("wait:0") for n in range(8)}
    cared = {f"C{n}": task("say:READY=1", ready={"notify": True}, alive={"exec": ["true"], "interval_s": 1, "watchdog_s": 60}) for n in range(8)}
    with Supervisor(tmp_path, plain | cared) as supervisor:
        for name in (*plain, *cared):
            supervisor.await_state(name, State.RUNNING)
        sizes = {name: pss(supervisor.worker_pid(name)) for name in (*plain, *cared)}
        assert max(sizes[name] for name in cared) - max(sizes[name] for name in plain) < 256 << 10, sizes
