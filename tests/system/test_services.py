"""The service host and its siblings die, stop, hang and fail: who replaces them, how fast, and who notices nothing."""

from __future__ import annotations

import fcntl
import os
import random
import re
import signal
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest

from efsupervisor import messages
from efsupervisor.states import State
from tests.support import processes
from tests.support.supervisor import SUPPORT, Supervisor
from tests.support.wait import until

pytestmark = pytest.mark.alone

NAMES = ("middle", "web", "resource", "result")
EVERYBODY = ("host", *NAMES)
SLEEPER: dict[str, Any] = {"command": "sleep 100000", "startsecs": 0}
QUICK = {"heartbeat_s": 0.2, "heartbeat_deadline_s": 0.6}
REPLACED_S = 8.0
"""Limit for a hang; a death is seen at once."""


def supervisor(folder: Path, **settings: Any) -> Supervisor:
    made = Supervisor(folder, {"S": SLEEPER}, supervisor={"services": True, **settings}, launcher=SUPPORT / "launcher_siblings.py")
    made.var.mkdir(mode=0o700, exist_ok=True)
    return made


def pids(made: Supervisor) -> dict[str, int]:
    return {name: made.await_service(name) for name in EVERYBODY}


def since(moment: float) -> float:
    return time.monotonic() - moment


def untouched(made: Supervisor, program: int, worker: int) -> bool:
    return made.program_pid("S") == program and made.worker_pid("S") == worker


def test_each_sibling_that_is_killed_is_back_within_a_second_and_only_that_one(tmp_path: Path) -> None:
    with supervisor(tmp_path) as made:
        before, program, worker = pids(made), made.program_pid("S"), made.worker_pid("S")
        for name in NAMES:
            began = time.monotonic()
            processes.send(before[name], signal.SIGKILL)
            made.await_service(name, before[name])
            assert since(began) < 1.0
            assert made.services()[name].restarts == 1 and "SIGKILL" in made.services()[name].reason
        assert made.services()["host"].pid == before["host"]
        assert untouched(made, program, worker)


def test_a_host_that_is_killed_is_back_with_all_its_siblings_and_none_of_the_former_live(tmp_path: Path) -> None:
    with supervisor(tmp_path) as made:
        before, program, worker = pids(made), made.program_pid("S"), made.worker_pid("S")
        began = time.monotonic()
        processes.send(before["host"], signal.SIGKILL)
        after = {name: made.await_service(name, before[name]) for name in EVERYBODY}
        assert since(began) < 3.0
        assert [name for name in EVERYBODY if processes.alive(before[name])] == []
        assert not set(after.values()) & set(before.values())
        assert untouched(made, program, worker)


def test_siblings_that_are_stopped_are_replaced_within_eight_seconds_at_the_usual_rhythm(tmp_path: Path) -> None:
    with supervisor(tmp_path) as made:
        before, program, worker = pids(made), made.program_pid("S"), made.worker_pid("S")
        began = time.monotonic()
        for name in NAMES:
            processes.send(before[name], signal.SIGSTOP)
        for name in NAMES:
            made.await_service(name, before[name])
        assert since(began) < REPLACED_S
        assert made.services()["host"].pid == before["host"]
        assert "no sign of life" in made.services()["web"].reason
        assert untouched(made, program, worker)


def test_a_host_that_is_stopped_is_replaced_within_eight_seconds_at_the_usual_rhythm(tmp_path: Path) -> None:
    with supervisor(tmp_path) as made:
        before, program, worker = pids(made), made.program_pid("S"), made.worker_pid("S")
        began = time.monotonic()
        processes.send(before["host"], signal.SIGSTOP)
        for name in EVERYBODY:
            made.await_service(name, before[name])
        assert since(began) < REPLACED_S
        assert [name for name in EVERYBODY if processes.alive(before[name])] == []
        assert untouched(made, program, worker)


def test_a_sibling_whose_loop_hangs_leaves_its_stack_in_the_log_and_is_replaced(tmp_path: Path) -> None:
    with supervisor(tmp_path, **QUICK) as made:
        before = pids(made)
        (made.var / "hang.web").touch()
        until(lambda: not processes.alive(before["web"]), REPLACED_S, "the hanging sibling is ended")
        (made.var / "hang.web").unlink()
        made.await_service("web", before["web"])
        log = (made.var / "log" / "efsupervisord.log").read_text()
        assert "web: Fatal Python error: Aborted" in log
        assert re.search(r"web: +File .*sibling_programs\.py.* in look", log)
        assert {name: made.services()[name].pid for name in EVERYBODY if name != "web"} == {name: before[name] for name in EVERYBODY if name != "web"}


def test_a_core_and_host_that_were_stopped_themselves_replace_nobody(tmp_path: Path) -> None:
    with supervisor(tmp_path, **QUICK) as made:
        before = pids(made)
        stopped = [made.core_pid, *before.values()]
        for pid in stopped:
            processes.send(pid, signal.SIGSTOP)
        began = time.monotonic()
        until(lambda: since(began) > 2.5, 10, "a gap far longer than every deadline")
        for pid in stopped:
            processes.send(pid, signal.SIGCONT)
        began = time.monotonic()
        until(lambda: since(began) > 1.5, 10, "several deadlines have passed since")
        assert pids(made) == before


def test_a_sibling_that_fails_at_once_backs_off_says_why_and_recovers(tmp_path: Path) -> None:
    made = supervisor(tmp_path)
    (made.var / "fail.web").touch()
    with made:
        until(lambda: made.services().get("web", messages.ServiceRow(name="web")).restarts >= 4, 10, made.story)
        began, restarts = time.monotonic(), made.services()["web"].restarts
        until(lambda: since(began) > 1.5, 10, "some time")
        row = made.services()["web"]
        assert row.restarts - restarts <= 3, "it spins"
        assert row.state is State.BACKOFF and row.reason == "exit status 70: it was told to fail"
        assert [made.services()[name].state for name in ("host", "middle", "resource", "result")] == [State.RUNNING] * 4
        reply = made.ask(messages.ServicesRequest(id="1"))
        assert isinstance(reply, messages.ServicesReply) and reply.ailments == ["web: exit status 70: it was told to fail"]
        (made.var / "fail.web").unlink()
        made.await_service("web")


def test_without_services_there_is_no_host_and_everything_else_works(tmp_path: Path) -> None:
    with supervisor(tmp_path, services=False) as made:
        made.await_state("S", State.RUNNING)
        assert [row.state for row in made.services().values()] == [State.STOPPED]
        assert {process.name for process in made.ours()} == {"efsupervisord", "ef:S", "sleep"}


def test_a_shutdown_stops_tasks_first_and_siblings_last_and_leaves_nothing(tmp_path: Path) -> None:
    with supervisor(tmp_path) as made:
        before = pids(made)
        reply = made.ask(messages.ShutdownRequest(id="1"), 30.0)
        assert isinstance(reply, messages.DoneReply) and reply.outcomes[0].ok
        assert made.await_core_end() == 0
        assert [name for name in EVERYBODY if processes.alive(before[name])] == []
        log = (made.var / "log" / "efsupervisord.log").read_text()
        assert log.index("everything is stopped") < min(log.index(f"{name}: leaving") for name in NAMES)
        made.start()


def test_a_sibling_that_does_not_leave_cannot_hold_up_a_shutdown(tmp_path: Path) -> None:
    with supervisor(tmp_path) as made:
        before = pids(made)
        processes.send(before["web"], signal.SIGSTOP)
        began = time.monotonic()
        assert made.stop() == 0
        assert since(began) < 4.0
        made.start()


def test_a_host_that_is_stopped_cannot_hold_up_a_shutdown(tmp_path: Path) -> None:
    with supervisor(tmp_path) as made:
        before = pids(made)
        processes.send(before["host"], signal.SIGSTOP)
        began = time.monotonic()
        assert made.stop() == 0
        assert since(began) < 6.0
        assert [name for name in EVERYBODY if processes.alive(before[name])] == []
        made.start()


@pytest.mark.parametrize("stopped", [(), EVERYBODY], ids=["alive", "stopped"])
def test_when_the_core_is_killed_host_and_siblings_are_gone_within_a_second_and_the_next_core_has_new_ones(
    tmp_path: Path, stopped: tuple[str, ...]
) -> None:
    with supervisor(tmp_path) as made:
        before, program, worker = pids(made), made.program_pid("S"), made.worker_pid("S")
        for name in stopped:
            processes.send(before[name], signal.SIGSTOP)
        made.kill_core()
        until(lambda: not any(processes.alive(pid) for pid in before.values()), 1.0, "host and siblings are gone")
        made.start()
        after = pids(made)
        assert not set(after.values()) & set(before.values())
        assert untouched(made, program, worker)


def test_a_new_host_waits_for_the_lock_of_a_dying_one_and_says_so(tmp_path: Path) -> None:
    made = supervisor(tmp_path)
    (made.var / "run").mkdir(mode=0o700)
    lock = os.open(made.var / "run" / "services.lock", os.O_RDWR | os.O_CREAT, 0o600)
    fcntl.flock(lock, fcntl.LOCK_EX)
    try:
        with made:
            host = made.await_service("host")
            until(lambda: "earlier service host" in made.services()["host"].health, 5, "the host says what it waits for")
            assert made.services().keys() == {"host"}
            fcntl.flock(lock, fcntl.LOCK_UN)
            for name in NAMES:
                made.await_service(name)
            assert made.services()["host"].pid == host and made.services()["host"].health == ""
    finally:
        os.close(lock)


def test_signals_of_a_terminal_end_neither_host_nor_siblings(tmp_path: Path) -> None:
    with supervisor(tmp_path) as made:
        before = pids(made)
        for name in EVERYBODY:
            assert os.getsid(before[name]) != os.getsid(made.core_pid)
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT):
                processes.send(before[name], number)
        began = time.monotonic()
        until(lambda: since(began) > 0.5, 5, "the signals have arrived")
        assert pids(made) == before


def test_siblings_hold_only_what_is_theirs(tmp_path: Path) -> None:
    with supervisor(tmp_path) as made:
        before = pids(made)
        for name in NAMES:
            links = [os.readlink(path) for path in Path(f"/proc/{before[name]}/fd").iterdir()]
            assert len(links) <= 8, links
            assert [link for link in links if "core.sock" in link or link.endswith("/lock")] == []
            assert Path(f"/proc/{before[name]}/status").read_text().count("Threads:\t1\n") == 1


def change(made: Supervisor, key: str, value: str) -> None:
    reply = made.ask(messages.SetSettingRequest(id=f"{key}={value}", key=key, value=value))
    assert isinstance(reply, messages.DoneReply) and reply.outcomes[0].ok, reply


def test_settings_reach_every_sibling_while_it_runs_and_one_that_is_not_enabled_ends(tmp_path: Path) -> None:
    with supervisor(tmp_path) as made:
        before = pids(made)
        change(made, "web.port", "45678")
        log = made.var / "log" / "efsupervisord.log"
        until(lambda: log.read_text().count("configured: web.port 45678") == len(NAMES), 10, made.story)
        change(made, "web.enabled", "false")
        until(lambda: made.services()["web"].state is State.STOPPED, 10, made.story)
        assert not processes.alive(before["web"]) and "enabled is false" in made.services()["web"].reason
        change(made, "web.enabled", "true")
        made.await_service("web", before["web"])
        assert {name: made.services()[name].pid for name in EVERYBODY if name != "web"} == {name: before[name] for name in EVERYBODY if name != "web"}


def test_services_may_be_switched_off_and_on_while_it_runs(tmp_path: Path) -> None:
    with supervisor(tmp_path) as made:
        before, program = pids(made), made.program_pid("S")
        change(made, "services", "false")
        until(lambda: made.services()["host"].state is State.STOPPED, 10, made.story)
        assert [name for name in EVERYBODY if processes.alive(before[name])] == []
        change(made, "services", "true")
        after = pids(made)
        assert not set(after.values()) & set(before.values()) and made.program_pid("S") == program


RECORD = re.compile(r"^\S+ INFO  (\w+): (\d+) record (\d+) x{60}$")


def test_siblings_that_log_as_fast_as_they_can_and_are_killed_at_random_silence_nobody_and_lose_nothing(tmp_path: Path) -> None:
    made = supervisor(tmp_path, log_max_bytes=0)
    (made.var / "flood").touch()
    seed = random.randrange(1 << 32)
    chance = random.Random(seed)
    with made:
        pids(made)
        killed = set()
        for _ in range(25):
            name = chance.choice(NAMES)
            pid = made.await_service(name, deadline_s=10)
            processes.send(pid, signal.SIGKILL)
            killed.add(pid)
            made.await_service(name, pid, 10)
        living = {name: made.await_service(name) for name in NAMES}
        size = (made.var / "log" / "efsupervisord.log").stat().st_size
        until(lambda: (made.var / "log" / "efsupervisord.log").stat().st_size > size + 200_000, 10, "they go on logging")
        assert made.stop() == 0
        records: dict[tuple[str, int], list[int]] = defaultdict(list)
        for line in (made.var / "log" / "efsupervisord.log").read_text().splitlines():
            assert re.match(r"^\d{4}-\d\d-\d\dT\S+ (DEBUG|INFO |WARN |ERROR) ", line), f"torn (seed {seed}): {line}"
            assert "were lost" not in line
            if " record " in line:
                found = RECORD.match(line)
                assert found is not None, f"torn (seed {seed}): {line}"
                records[found[1], int(found[2])].append(int(found[3]))
        for who, numbers in records.items():
            assert numbers == list(range(len(numbers))), f"a gap (seed {seed}) in the records of {who}"
        for name, pid in living.items():
            count = int((made.var / f"{name}.{pid}.count").read_text())
            assert len(records[name, pid]) == count > 0, f"the end is missing (seed {seed})"
        assert len(records) >= len(NAMES) + len({pid for _name, pid in records} & killed)
        (made.var / "flood").unlink()
        made.start()
