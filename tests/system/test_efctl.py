"""efctl against a real supervisor with its siblings: on a terminal, in scripts, and with the middle interface dead or stopped."""

from __future__ import annotations

import json
import signal
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from efsupervisor.errors import TABLE, Code
from tests.support import processes
from tests.support.screen import Screen
from tests.support.supervisor import Supervisor
from tests.support.wait import until

LIMIT_S = 5.0
AT_ONCE_S = 0.2
TASKS: dict[str, Any] = {
    "clock": {"command": ["sh", "-c", "n=0; while :; do n=$((n+1)); echo tick $n; sleep 0.05; done"], "startsecs": 0},
    "shout": {"command": ["sh", "-c", 'while read -r line; do echo "$line!"; done'], "startsecs": 0, "input": {"protocol": "stream"}},
    "이벤트-작업": {"command": "sleep 100000", "startsecs": 0},
    "broken": {"command": ["sh", "-c", "printf 'oh\\033[2J no\\n'; exit 3"], "startsecs": 5, "startretries": 0},
}
SETTINGS: dict[str, Any] = {"services": True, "web": {"enabled": False}}


@pytest.fixture
def made(tmp_path: Path) -> Iterator[Supervisor]:
    with Supervisor(tmp_path, TASKS, {"ticks": {"from": "clock", "to": "shout"}}, supervisor=SETTINGS) as made:
        made.await_service("middle")
        yield made


def efctl(made: Supervisor, *words: str, status: int = 0, data: bytes | None = None) -> str:
    """stdout of efctl; it must end with this status, and with one sentence when it is an error."""
    done = made.efctl(*words, data=data)
    assert done.returncode == status, (words, done.stdout, done.stderr, made.story())
    assert b"Traceback" not in done.stderr
    return done.stdout.decode()


def start_s(made: Supervisor) -> float:
    """What an efctl that asks nobody takes on this machine now: the least of three, so that a limit measures the command and not the machine."""
    took = []
    for _ in range(3):
        began = time.monotonic()
        assert made.efctl("--version").returncode == 0
        took.append(time.monotonic() - began)
    return min(took)


def on_screen(made: Supervisor, *words: str, columns: int = 100, environment: dict[str, str] | None = None) -> Screen:
    command = [sys.executable, "-m", "efsupervisor.cli.main", "-c", str(made.config), *words]
    return Screen(command, made.clean_environment | {"TERM": "xterm"} | (environment or {}), made.folder, columns)


# What a person does -------------------------------------------------------------------------------------------------------------------------------


def test_a_task_is_added_by_command_joined_by_a_flow_grouped_looked_at_and_removed(made: Supervisor) -> None:
    program = ["sh", "-c", 'while read -r line; do echo "$line?"; done']
    assert efctl(made, "add", "loud", "startsecs=0", "input.protocol=stream", *program).startswith("loud: ")
    assert "ticks2" in efctl(made, "flow", "add", "ticks2", "from=clock", "to=loud")
    assert "loud" in efctl(made, "flow", "ls")
    until(lambda: "?" in efctl(made, "tail", "-n", "1", "loud"), 15, made.story)
    assert "noise" in efctl(made, "group", "set", "noise", "lou*,shout")
    assert [row["name"] for row in json.loads(efctl(made, "status", "--json", "noise"))] == ["loud", "shout"]
    assert "loud" in efctl(made, "trm", "noise")
    assert {row["state"] for row in json.loads(efctl(made, "status", "--json", "noise"))} == {"STOPPED"}
    assert "RUNNING -> STOPPING" in efctl(made, "events", "loud")
    assert "killed by SIGTERM" in efctl(made, "history", "loud")
    efctl(made, "flow", "del", "ticks2")
    efctl(made, "del", "loud")
    efctl(made, "status", "loud", status=TABLE[Code.NO_SUCH_TASK].exit_status)


def test_a_task_that_failed_says_why_and_its_log_does_not_drive_the_terminal(made: Supervisor) -> None:
    until(lambda: "FATAL" in efctl(made, "status", "broken"), 15, made.story)
    assert "exit status 3" in efctl(made, "status", "broken")
    assert "\x1b[2J" in efctl(made, "log", "broken")
    with on_screen(made, "log", "broken") as screen:
        assert screen.ended() == 0
        assert "oh^[[2J no" in screen.text
        assert "\x1b[2J" not in screen.raw


@pytest.mark.parametrize(
    "words",
    [
        ["status"], ["show"], ["flow", "ls"], ["group", "ls"], ["schedule", "ls"], ["queue", "ls"], ["history"], ["events"], ["conf", "show"],
        ["reread"], ["services"], ["version"], ["resource"], ["result"], ["exec", "shw task"], ["log", "daemon"], ["tail", "clock"],
    ],
    ids=" ".join,
)  # fmt: skip
def test_every_look_has_text_and_one_json_document(words: list[str], tmp_path: Path) -> None:
    with Supervisor(tmp_path, TASKS, supervisor=SETTINGS) as made:
        for name in ("middle", "resource", "result"):
            made.await_service(name)
        until(lambda: made.efctl(*words).returncode == 0, 15, made.story)
        assert efctl(made, *words)
        json.loads(efctl(made, words[0], "--json", *words[1:]) if words[0] in ("exec", "log", "tail") else efctl(made, *words, "--json"))


def test_events_are_followed_one_json_object_a_line(made: Supervisor) -> None:
    command = [sys.executable, "-m", "efsupervisor.cli.main", "-c", str(made.config), "events", "-f", "--json", "-n", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=made.clean_environment) as follower:
        assert follower.stdout is not None
        seen: list[dict[str, Any]] = []
        lines = follower.stdout
        reader = threading.Thread(target=lambda: seen.extend(json.loads(line) for line in lines), daemon=True)
        reader.start()
        try:
            until(lambda: efctl(made, "restart", "이벤트-작업") and any(row["after"] == "STOPPED" for row in seen), 30, made.story)
            follower.send_signal(signal.SIGINT)
            assert follower.wait(10) == 130
        finally:
            follower.kill()
        reader.join(10)
    assert {row["task"] for row in seen} == {"이벤트-작업"}
    assert [row["seq"] for row in seen] == sorted({row["seq"] for row in seen})


# The terminal -------------------------------------------------------------------------------------------------------------------------------------


def test_the_shell_has_a_prompt_both_languages_completion_and_a_private_history(made: Supervisor) -> None:
    with on_screen(made, environment={"XDG_STATE_HOME": str(made.folder / "state")}) as screen:
        screen.see("efctl> ")
        screen.type("shw status clo\t\n")
        screen.see("OK : clock ACT OK RUNNING")
        screen.type("status 이\t\n")
        assert "이벤트-작업" in screen.see("RUNNING")
        screen.type("tail -f clock\n")
        screen.see("tick")
        screen.type("\x03")
        screen.see("efctl> ")
        screen.type("nonsense\n")
        screen.see("No such command")
        screen.type("exit\n")
        assert screen.ended() == 0
    history = made.folder / "state" / "efsupervisor" / "history"
    assert stat.S_IMODE(history.stat().st_mode) == 0o600
    assert "tail -f clock\n" in history.read_text()


def test_colours_and_cut_reasons_are_for_a_terminal_and_never_for_a_pipe(made: Supervisor) -> None:
    until(lambda: "FATAL" in efctl(made, "status", "broken"), 15, made.story)
    whole = efctl(made, "status")
    assert "\x1b" not in whole
    with on_screen(made, "status", columns=70) as screen:
        assert screen.ended() == 0
        assert "\x1b[32mRUNNING\x1b[0m" in screen.raw
        assert "…" in screen.text
    with on_screen(made, "status", environment={"NO_COLOR": "1"}) as screen:
        assert screen.ended() == 0
        assert "\x1b[3" not in screen.raw


def test_long_work_shows_how_far_it_is_on_a_terminal(tmp_path: Path) -> None:
    slow = {f"t{number}": {"command": ["sh", "-c", "trap 'sleep 2; exit' TERM; while :; do sleep 0.1; done"], "startsecs": 0} for number in range(5)}
    with Supervisor(tmp_path, slow | {"quick": {"command": "sleep 1000", "startsecs": 0}}, supervisor=SETTINGS) as made:
        made.await_service("middle")
        for name in slow:
            made.program_pid(name)
        with on_screen(made, "trm", "all") as screen:
            screen.see("1 of 6 stopped")
            assert screen.ended(30) == 0
            assert "of 6 stopped" not in screen.text.splitlines()[-1]


def test_names_complete_from_the_live_supervisor(made: Supervisor) -> None:
    words = {"_EFCTL_COMPLETE": "bash_complete", "COMP_WORDS": f"efctl -c {made.config} act clo", "COMP_CWORD": "4"}
    done = made.efctl(environment=words)
    assert done.stdout.split() == [b"plain,clock"]


# Without the middle interface ---------------------------------------------------------------------------------------------------------------------


@pytest.mark.alone
def test_with_the_middle_interface_stopped_every_command_still_works_in_time_and_nothing_happens_twice(made: Supervisor) -> None:
    pid = made.await_service("middle")
    before = made.program_pid("이벤트-작업")
    processes.send(pid, signal.SIGSTOP)
    try:
        began = time.monotonic()
        efctl(made, "restart", "이벤트-작업")
        assert time.monotonic() - began < LIMIT_S + 4 * start_s(made)
    finally:
        processes.send(pid, signal.SIGCONT)
    after = made.program_pid("이벤트-작업")
    assert after != before
    until(lambda: efctl(made, "exec", "shw version"), 10, made.story)  # whatever had reached the old one has been dealt with
    assert made.program_pid("이벤트-작업") == after


@pytest.mark.alone
def test_with_the_middle_interface_killed_again_and_again_every_command_is_carried_out_once(made: Supervisor) -> None:
    for number in range(6):
        victim = made.await_service("middle")
        killer = threading.Timer(0.12 + 0.02 * number, processes.send, (victim, signal.SIGKILL))
        killer.start()
        began = time.monotonic()
        efctl(made, "add", f"new{number}", "startsecs=0", "sleep", "1000")
        took = time.monotonic() - began
        killer.join()
        assert took < LIMIT_S + 4 * start_s(made)
    assert len(json.loads(efctl(made, "status", "--json", "new*"))) == 6


@pytest.mark.alone
def test_a_stopped_core_is_said_within_five_seconds_with_its_own_exit_status(made: Supervisor) -> None:
    processes.send(made.core_pid, signal.SIGSTOP)
    try:
        for words in (["status"], ["show"], ["act", "all"], ["tail", "clock"]):
            began = time.monotonic()
            done = made.efctl(*words)
            assert (done.returncode, done.stdout) == (TABLE[Code.TIMEOUT].exit_status, b""), (words, done)
            took = time.monotonic() - began
            assert took < LIMIT_S + 4 * start_s(made)
    finally:
        processes.send(made.core_pid, signal.SIGCONT)


@pytest.mark.parametrize(
    ("closed", "status", "said"),
    [
        (">&-", TABLE[Code.SYSTEM].exit_status, b"efctl: the output could not be written: Bad file descriptor\n"),
        (">&- 2>&-", TABLE[Code.SYSTEM].exit_status, b""),
        ("<&-", 0, b""),
        (">/dev/full", TABLE[Code.SYSTEM].exit_status, b"efctl: the output could not be written: No space left on device\n"),
    ],
)
def test_a_standard_stream_that_is_closed_or_full_is_one_sentence_at_most(closed: str, status: int, said: bytes) -> None:
    command = ["sh", "-c", f'exec "$0" -m efsupervisor.cli.main help exit-statuses {closed}', sys.executable]
    done = subprocess.run(command, capture_output=True, timeout=30)
    assert (done.returncode, done.stderr) == (status, said)


@pytest.mark.alone
def test_no_supervisor_is_said_at_once(tmp_path: Path) -> None:
    made = Supervisor(tmp_path, TASKS)
    try:
        for words in (["status"], ["show"], ["trm", "all"], ["events"], ["resource"]):
            took = []
            for _ in range(3):
                began = time.monotonic()
                done = made.efctl(*words)
                took.append(time.monotonic() - began)
                assert done.returncode == TABLE[Code.NOT_RUNNING].exit_status
                assert done.stderr.count(b"\n") == 1
            assert min(took) < AT_ONCE_S + 2 * start_s(made)
    finally:
        made.abandon()


def test_the_supervisor_is_shut_down_by_command(tmp_path: Path) -> None:
    with Supervisor(tmp_path, TASKS, supervisor=SETTINGS) as made:
        made.await_service("middle")
        assert json.loads(efctl(made, "shutdown", "--json"))[0]["ok"] is True
        assert made.await_core_end() == 0
        efctl(made, "status", status=TABLE[Code.NOT_RUNNING].exit_status)


def test_a_log_is_looked_through_by_time_and_text_with_and_without_a_supervisor(made: Supervisor) -> None:
    until(lambda: "tick 30\n" in efctl(made, "log", "clock", "--grep", "tick 30$"), 20, made.story)
    rows = json.loads(efctl(made, "log", "clock", "--since", "1h", "--grep", r"tick \d$", "--json"))
    assert [row["text"] for row in rows] == [f"tick {number}" for number in range(1, 10)]
    assert efctl(made, "log", "clock", "--until", "1h") == ""
    assert len(efctl(made, "log", "all", "--grep", "tick 2[0-4]", "-n", "2").splitlines()) == 4
    efctl(made, "shutdown")
    until(lambda: made.efctl("status").returncode == TABLE[Code.NOT_RUNNING].exit_status, 15, made.story)
    assert efctl(made, "log", "clock", "--grep", r"tick \d$").splitlines() == [row["text"] for row in rows]
    assert efctl(made, "log", "clock", "-n", "1").startswith("tick ")


def test_what_waits_goes_to_a_file_and_back_and_what_passed_is_replayed(made: Supervisor) -> None:
    efctl(made, "trm", "shout")
    efctl(made, "put", "shout", "one", "two words", "\xe9 odd")
    file = made.folder / "waiting"
    assert efctl(made, "queue", "save", "shout", str(file)) == "shout: 3 events saved\n"
    assert file.read_text() == "one\ntwo words\n\xe9 odd\n"
    efctl(made, "queue", "clear", "shout")
    assert efctl(made, "queue", "load", "shout", str(file)) == "shout: 3 events put\n"
    efctl(made, "queue", "load", "shout", str(file), status=TABLE[Code.EXISTS].exit_status)
    efctl(made, "trm", "clock")
    assert efctl(made, "replay", "shout", "--from", "0", "--to", "14") == "shout: 2 events put\n"
    efctl(made, "act", "shout")
    until(lambda: b"tick 2!\n" in made.output("shout").partition(b"odd!\n")[2], 20, made.story)
    assert [made.output("shout").count(line) for line in (b"one!\n", b"two words!\n")] == [1, 1]
