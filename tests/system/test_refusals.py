"""What is refused: broken configurations and a second daemon.  Each gets a clear error and an exit status of its own, and nothing that runs is
disturbed."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from efsupervisor.errors import TABLE, Code
from efsupervisor.states import State
from tests.support import processes
from tests.support.supervisor import Supervisor, as_yaml

CONFIG = TABLE[Code.CONFIG].exit_status
GOOD = {"command": "sleep 1000"}


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Supervisor, int]]:
    """A supervisor with one task, and the pid of its program, which nothing below may change."""
    with Supervisor(tmp_path_factory.mktemp("running"), {"S": {"command": "sleep 100000", "startsecs": 0}}) as supervisor:
        supervisor.await_state("S", State.RUNNING)
        pid = supervisor.program_pid("S")
        yield supervisor, pid
        assert supervisor.program_pid("S") == pid


def bomb() -> str:
    """A small file that aliases make immense."""
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 12)]
    return "\n".join(lines) + "\n"


def tasks(**named: object) -> str:
    """A configuration with these tasks."""
    return as_yaml({"tasks": named})


WRONG = {
    "broken YAML": ("tasks:\n  A: {command: [sleep\n", ["tried.yaml", ":"]),
    "a tab for indentation": ("tasks:\n\tA: 1\n", ["tried.yaml:2"]),
    "unknown key": (tasks(A={"comand": "sleep 1"}), ["comand", "command"]),
    "unknown section": (as_yaml({"task": {"A": GOOD}}), ["task", "tasks"]),
    "a bomb of aliases": (bomb(), ["tried.yaml:1"]),
    "a bomb of brackets": ("tasks: " + "[" * 100_000, ["tried.yaml"]),
    "a file that is too large": ("# " + "x" * (2 << 20) + "\n", ["tried.yaml"]),
    "a tag": ("tasks:\n  A: {command: !!python/object/apply:os.system ['touch /tmp/never']}\n", ["tried.yaml:2"]),
    "a merge key": ("tasks:\n  A: {command: sleep 1}\n  B: {<<: {command: sleep 1}}\n", ["tried.yaml:3"]),
    "a duplicate key": ("tasks:\n  A: {command: sleep 1}\n  A: {command: sleep 2}\n", ["tried.yaml:3", "A"]),
    "names that look alike": (tasks(Straße=GOOD, STRASSE=GOOD), ["STRASSE"]),
    "a missing command": (tasks(A={"kind": "job"}), ["command", "A"]),
    "an empty command": (tasks(A={"command": []}), ["command"]),
    "a bad name": (tasks(**{"../etc": GOOD}), ["../etc"]),
    "a name that is too long": (tasks(**{"x" * 65: GOOD}), ["64"]),
    "a wrong type": (tasks(A={"command": "sleep 1", "startsecs": "soon"}), ["startsecs"]),
    "an unknown protocol": (tasks(A={"command": "cat", "input": {"protocol": "events"}}), ["events", "event"]),
    "a window out of bounds": (tasks(A={"command": "cat", "input": {"protocol": "event", "window": 2000}}), ["window", "1,024"]),
    "an unknown signal": (tasks(A={"command": "cat", "stopsignal": "TREM"}), ["TREM", "TERM"]),
    "redirect_stderr with event": (tasks(A={"command": "cat", "redirect_stderr": True, "input": {"protocol": "event"}}), ["redirect_stderr"]),
    "a flow from nowhere": (
        as_yaml({"tasks": {"producer": GOOD, "B": GOOD}, "flows": {"f": {"from": "producr", "to": "B"}}}),
        ["producr", "producer"],
    ),
    "a cycle of flows": (
        as_yaml({"tasks": {"A": GOOD, "B": GOOD}, "flows": {"f": {"from": "A", "to": "B"}, "g": {"from": "B", "to": "A"}}}),
        ["cycle"],
    ),
    "bytes that are no text": ("tasks: \udcff\n", ["tried.yaml"]),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_configuration_is_refused_with_a_clear_error(running: tuple[Supervisor, int], case: str) -> None:
    supervisor, pid = running
    text, wanted = WRONG[case]
    supervisor.config.with_name("tried.yaml").write_bytes(text.encode("utf-8", "surrogateescape"))
    done = supervisor.run_daemon(supervisor.config.with_name("tried.yaml"), deadline_s=15)
    said = done.stdout + done.stderr
    assert done.returncode == CONFIG, said
    assert "Traceback" not in said
    assert [word for word in wanted if word not in said] == [], said
    assert len(said.splitlines()) < 120, "a person has to read this"
    assert processes.alive(pid)
    assert supervisor.row("S").pid == pid


def test_a_configuration_that_is_not_there_is_refused(running: tuple[Supervisor, int]) -> None:
    supervisor, _ = running
    done = supervisor.run_daemon(supervisor.folder / "absent.yaml")
    assert done.returncode == CONFIG, done
    assert "absent.yaml" in done.stderr and "Traceback" not in done.stderr


def test_a_second_daemon_is_refused_and_says_who_runs(running: tuple[Supervisor, int]) -> None:
    supervisor, pid = running
    done = supervisor.run_daemon()
    assert done.returncode == TABLE[Code.ALREADY_RUNNING].exit_status, done
    assert str(supervisor.core_pid) in done.stderr and "Traceback" not in done.stderr
    assert supervisor.row("S").pid == pid
    assert len([process for process in supervisor.ours() if process.name == "sleep"]) == 1


def test_a_second_daemon_is_refused_even_while_the_first_is_stopped(running: tuple[Supervisor, int]) -> None:
    supervisor, pid = running
    processes.send(supervisor.core_pid, signal.SIGSTOP)
    try:
        done = supervisor.run_daemon(deadline_s=5)
    finally:
        processes.send(supervisor.core_pid, signal.SIGCONT)
    assert done.returncode == TABLE[Code.ALREADY_RUNNING].exit_status, done
    assert supervisor.row("S").pid == pid


def test_commands_for_a_task_that_does_not_exist_name_the_nearest(running: tuple[Supervisor, int]) -> None:
    supervisor, pid = running
    for verb in ("act", "trm"):
        done = supervisor.efctl(verb, "nosuch")
        assert done.returncode == TABLE[Code.NO_SUCH_TASK].exit_status, done
        assert b"nosuch" in done.stdout + done.stderr and b"Traceback" not in done.stderr
    assert supervisor.row("S").pid == pid


def test_frames_that_are_no_messages_cost_only_their_own_connection(running: tuple[Supervisor, int]) -> None:
    supervisor, pid = running
    for frame in (
        b"\x01",
        b"\x01{}",
        b"\x01[]",
        b"\x01null",
        b"\x02{}",
        b"\xff" * 100,
        b"\x01" + b"[" * 60_000,
        b'\x01{"kind":"StatusRequest","id":1}',
        b"\x01" + b"9" * 50_000,
    ):
        with supervisor.connect(5) as client:
            client.send(frame)
            client.recv(1 << 17)  # an answer or the end, never silence
    assert supervisor.row("S").pid == pid


def test_efctl_says_in_a_sentence_that_no_daemon_runs(tmp_path: Path) -> None:
    supervisor = Supervisor(tmp_path, {"S": GOOD})
    try:
        done = supervisor.efctl("status", deadline_s=10)
    finally:
        supervisor.abandon()
    assert done.returncode == TABLE[Code.NOT_RUNNING].exit_status, done
    assert b"Traceback" not in done.stderr and done.stderr
