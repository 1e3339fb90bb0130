"""Faults of processes that need the kernel's help: a namespace of their own, numbers that come back, programs that cannot be killed."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from efsupervisor.core.ending import EXIT_LEFT_BEHIND
from efsupervisor.states import State
from tests.support import processes
from tests.support.supervisor import ROOT, Supervisor, as_yaml
from tests.support.wait import until

SLEEPER = {"command": ["sleep", "1000"], "startsecs": 0}
FREEZER = Path("/sys/fs/cgroup/freezer")


# As PID 1 -----------------------------------------------------------------------------------------------------------------------------------------

ORPHANS = """\
import os, sys, time
for _ in range({count} // 100):  # each child leaves a hundred grandchildren behind and dies first
    if os.fork() == 0:
        for _ in range(100):
            if os.fork() == 0:
                time.sleep(0.02)
                os._exit(0)
        os._exit(0)
    os.wait()
time.sleep(0.5)
open(sys.argv[1], "w").write(str(time.time()))
time.sleep(1000)
"""


class Container:
    """A supervisor that is PID 1 of a namespace, as in a container; leaving it ends the namespace."""

    def __init__(self, folder: Path, tasks: dict[str, object]) -> None:
        self.folder = folder
        config = folder / "c.yaml"
        config.write_text(as_yaml({"supervisor": {"var": str(folder / "var"), "services": False}, "tasks": tasks}))
        config.chmod(0o644)
        command = [sys.executable, "-m", "efsupervisor.core.main", "-n", "-c", str(config)]
        self.process = subprocess.Popen(["unshare", "-fp", "--mount-proc", *command], stderr=subprocess.DEVNULL)
        self.efctl = [sys.executable, "-m", "efsupervisor.cli.main", "-c", str(config)]

    @property
    def core(self) -> int:
        """Its pid outside, 0 while there is none."""
        return next(iter(processes.children(self.process.pid)), 0)

    def zombies(self) -> list[int]:
        """Dead children of the Core that were not reaped."""
        core = self.core
        return [process.pid for process in processes.everybody() if process.parent == core and process.state == "Z"]

    def status(self) -> str:
        """What efctl says inside."""
        inside = ["nsenter", "-t", str(self.core), "-p", "-m", *self.efctl, "status"]
        return subprocess.run(inside, capture_output=True, text=True, timeout=20, check=False).stdout

    def __enter__(self) -> Container:
        until(lambda: self.core and (self.folder / "var" / "core.sock").exists(), 20, "the Core is there")
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            processes.send(self.core, signal.SIGKILL)
            self.process.wait(20)


def test_as_pid_1_ten_thousand_orphans_leave_no_zombie_a_second_after_the_last_death(as_root: None, tmp_path: Path) -> None:
    maker = tmp_path / "orphans.py"
    maker.write_text(ORPHANS.format(count=10_000))
    done = tmp_path / "done"
    with Container(tmp_path, {"orphans": {"command": [sys.executable, "-S", str(maker), str(done)], "startsecs": 0}}) as container:
        until(done.exists, 90, "the last orphan is dead")
        until(lambda: time.time() > float(done.read_text()) + 0.5, 5, "a second has passed since")  # it waited half of it itself
        assert container.zombies() == []
        assert "RUNNING" in container.status()


def test_as_pid_1_sigterm_ends_everything_in_order_and_the_status_is_0(as_root: None, tmp_path: Path) -> None:
    said = tmp_path / "said"
    polite = {"command": ["sh", "-c", f"trap 'echo heard > {said}; exit 0' TERM; while :; do sleep 0.05; done"], "startsecs": 0}
    daemon = {"command": ["sh", "-c", "setsid -f sleep 1000; sleep 1000"], "startsecs": 0}
    with Container(tmp_path, {"polite": polite, "leaver": daemon}) as container:
        until(lambda: container.status().count("RUNNING") == 2, 20, "both run")
        processes.send(container.core, signal.SIGTERM)
        assert container.process.wait(20) == 0
    assert said.read_text() == "heard\n"
    assert "everything is stopped" in (tmp_path / "var" / "log" / "efsupervisord.log").read_text()


def test_as_pid_1_an_upgrade_keeps_the_namespace_and_the_programs(as_root: None, tmp_path: Path) -> None:
    with Container(tmp_path, {"a": SLEEPER}) as container:
        until(lambda: "RUNNING" in container.status(), 20, "it runs")
        core, before = container.core, container.status().split()[9]
        inside = ["nsenter", "-t", str(core), "-p", "-m", *container.efctl, "daemon", "upgrade"]
        assert subprocess.run(inside, capture_output=True, timeout=40, check=False).returncode == 0
        assert (container.core, container.status().split()[9]) == (core, before)


# Numbers that come back ---------------------------------------------------------------------------------------------------------------------------

REUSE = """\
import os, signal, sys, time
sys.path.insert(0, {root!r})
from efsupervisor.core.peer import verified_pidfd
from efsupervisor.system import REAL, boot_id
from efsupervisor.task.record import ProgramRecord, program_is_alive

FIRST, MANY, TRIES = 5000, 100, {tries}

def processes():
    "As many processes with the same numbers each time: nobody else forks in this namespace."
    with open("/proc/sys/kernel/ns_last_pid", "w") as file:
        file.write(str(FIRST - 1))
    found = []
    for _ in range(MANY):
        pid = os.fork()
        if pid == 0:
            signal.pause()
            os._exit(0)
        found.append(pid)
    return found

def end(pids):
    for pid in pids:
        os.kill(pid, 9)
    for pid in pids:
        os.waitpid(pid, 0)

programs = processes()
boot = boot_id()
records = {{
    pid: ProgramRecord(incarnation=1, boot_id=boot, pid=pid, start_ticks=REAL.start_ticks(pid), started_wall=0.0) for pid in programs
}}
pidfds = {{pid: os.pidfd_open(pid) for pid in programs}}
assert all(program_is_alive(REAL, record) for record in records.values())
end(programs)
wrong = tries = 0
while tries < TRIES:
    time.sleep(0.011)  # the kernel counts start times in hundredths
    strangers = processes()
    for pid in strangers:
        if pid not in records:
            continue
        tries += 1
        wrong += program_is_alive(REAL, records[pid])
        wrong += REAL.pidfd_signal(pidfds[pid], 9)
        try:
            os.close(verified_pidfd(pid))
            wrong += 1
        except ProcessLookupError:
            pass
    wrong += sum(os.waitpid(pid, os.WNOHANG)[0] != 0 for pid in strangers)
    end(strangers)
print(tries, wrong)
"""


@pytest.mark.alone
def test_a_stranger_that_got_a_dead_programs_number_is_never_taken_for_it_nor_signalled(as_root: None, tmp_path: Path) -> None:
    script = tmp_path / "reuse.py"
    script.write_text(REUSE.format(root=str(ROOT), tries=10_000))
    done = subprocess.run(["unshare", "-fp", "--mount-proc", sys.executable, str(script)], capture_output=True, text=True, timeout=300, check=False)
    assert done.stdout.split() == ["10000", "0"], done.stdout + done.stderr


# Families -----------------------------------------------------------------------------------------------------------------------------------------


def test_fifty_daemons_that_are_deaf_to_sigterm_are_gone_after_a_stop(tmp_path: Path) -> None:
    ready = tmp_path / "ready"
    ready.mkdir()
    deaf = f"trap '' TERM HUP INT; : > {ready}/$$; while :; do sleep 1000; done"
    family = f'n=0; while [ $n -lt 50 ]; do n=$((n+1)); setsid -f sh -c "$DEAF"; done; : > {ready}/all; sleep 1000; true'
    tasks = {"D": {"command": ["sh", "-c", family], "environment": {"DEAF": deaf}, "startsecs": 0, "stopwaitsecs": 1}}
    with Supervisor(tmp_path, tasks) as supervisor:
        until(lambda: len(list(ready.iterdir())) == 51, 60, "fifty daemons are ready")
        everybody = [int(path.name) for path in ready.iterdir() if path.name.isdigit()]
        assert all(processes.alive(pid) for pid in everybody)
        assert supervisor.trm("D").outcomes[0].ok
        assert [pid for pid in everybody if processes.alive(pid)] == []
        until(lambda: len(supervisor.ours()) <= 2, 5, lambda: f"nothing is left of the family: {supervisor.leaks()}")


def test_the_whole_group_is_told_to_stop_and_not_only_its_shell(tmp_path: Path) -> None:
    said = tmp_path / "said"
    child = f"trap 'echo heard > {said}; exit 0' TERM; echo ready; while :; do sleep 0.02; done"
    tasks = {"G": {"command": ["sh", "-c", f'sh -c "{child}"; true'], "startsecs": 0, "stopwaitsecs": 30}}
    with Supervisor(tmp_path, tasks) as supervisor:
        until(lambda: supervisor.output("G") == b"ready\n", 20, "the child of the shell is ready")
        began = time.monotonic()
        assert supervisor.trm("G").outcomes[0].ok
        assert time.monotonic() - began < 20
        assert said.read_text() == "heard\n"


@pytest.mark.alone
def test_tasks_that_ignore_sigterm_are_stopped_side_by_side(tmp_path: Path) -> None:
    deaf = {"command": ["sh", "-c", "trap '' TERM; echo ready; while :; do sleep 1000; done"], "startsecs": 0, "stopwaitsecs": 2}
    names = [f"D{number}" for number in range(12)]
    with Supervisor(tmp_path, dict.fromkeys(names, deaf) | {f"R{number}": {**SLEEPER, "autostart": False} for number in range(30)}) as supervisor:
        until(lambda: all(supervisor.output(name) == b"ready\n" for name in names), 20, "all twelve are deaf")
        began = time.monotonic()
        assert all(outcome.ok for outcome in supervisor.trm("all").outcomes)
        took_s = time.monotonic() - began
        assert 2 <= took_s <= 2 + 1, "the grace period and a second, not twelve of them"


# Programs that cannot be killed -------------------------------------------------------------------------------------------------------------------


@pytest.fixture
def freezer(as_root: None) -> Iterator[Path]:
    """A cgroup whose members cannot even be killed while they are frozen (cgroup v1)."""
    group = FREEZER / f"efs-test-{os.getpid()}"
    try:
        group.mkdir()
    except OSError:
        pytest.skip("no cgroup v1 freezer here")
    yield group
    (group / "freezer.state").write_text("THAWED")
    for pid in (group / "cgroup.procs").read_text().split():
        with contextlib.suppress(ProcessLookupError):
            os.kill(int(pid), signal.SIGKILL)
    until(lambda: not (group / "cgroup.procs").read_text(), 10, "the cgroup is empty")
    group.rmdir()


def freeze(group: Path, pid: int) -> None:
    (group / "cgroup.procs").write_text(str(pid))
    (group / "freezer.state").write_text("FROZEN")
    until(lambda: (group / "freezer.state").read_text().strip() == "FROZEN", 5, "it is frozen")


@pytest.mark.alone
def test_a_program_that_cannot_be_killed_holds_up_nobody_and_the_shutdown_ends_at_its_limit_and_tells(freezer: Path, tmp_path: Path) -> None:
    tasks = {"stuck": {**SLEEPER, "stopwaitsecs": 0.3}, "other": {**SLEEPER, "stopwaitsecs": 0.3}}
    supervisor = Supervisor(tmp_path, tasks, supervisor={"shutdown_s": 1.5})
    supervisor.start()
    for task in tasks:
        supervisor.await_state(task, State.RUNNING)
    stuck = supervisor.program_pid("stuck")
    freeze(freezer, stuck)
    supervisor.trm("stuck", wait=False)
    supervisor.await_state("stuck", State.STOPPING)
    until(lambda: f"unkillable: pid {stuck}" in supervisor.row("stuck").health, 5, lambda: f"it is said: {supervisor.row('stuck')}")
    assert supervisor.trm("other").outcomes[0].ok
    assert supervisor.act("other").outcomes[0].ok
    began = time.monotonic()
    processes.send(supervisor.core_pid, signal.SIGTERM)
    assert os.waitstatus_to_exitcode(supervisor.await_core_end(20)) == EXIT_LEFT_BEHIND == 75
    assert time.monotonic() - began < 1.5 + 5 + 2
    assert "still running" in supervisor.story() and "stuck" in supervisor.story()
    (freezer / "freezer.state").write_text("THAWED")
    until(lambda: not processes.alive(stuck), 5, "what was sent takes effect")
    supervisor.start()
    assert supervisor.row("stuck").health == ""
    until(lambda: supervisor.row("stuck").pid not in (0, stuck) or supervisor.row("stuck").state is State.STOPPED, 5, "it is as it was wanted")
    supervisor.stop()
    supervisor.abandon()


@pytest.mark.alone
def test_a_second_signal_shortens_the_grace_of_all(tmp_path: Path) -> None:
    deaf = {"command": ["sh", "-c", "trap '' TERM; while :; do sleep 0.1; done"], "startsecs": 0, "stopwaitsecs": 60}
    supervisor = Supervisor(tmp_path, {"a": deaf, "b": deaf})
    supervisor.start()
    supervisor.await_state("a", State.RUNNING)
    supervisor.await_state("b", State.RUNNING)
    processes.send(supervisor.core_pid, signal.SIGTERM)
    supervisor.await_state("b", State.STOPPING)
    began = time.monotonic()
    processes.send(supervisor.core_pid, signal.SIGTERM)
    assert os.waitstatus_to_exitcode(supervisor.await_core_end(20)) == 0
    assert time.monotonic() - began < 5
    assert "no more grace: asked again by SIGTERM" in supervisor.story()
    until(lambda: not supervisor.ours(), 2, lambda: f"{supervisor.leaks()}")
    supervisor.abandon()
