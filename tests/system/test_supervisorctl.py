"""An unmodified supervisorctl 4.3, command by command, with its exit statuses."""

from __future__ import annotations

import hashlib
import re
import signal
import socket
import subprocess
import threading
import xmlrpc.client
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from efsupervisor.states import State
from tests.support.http import free_port
from tests.support.supervisorctl import SERVICES, Ctl, wheel
from tests.support.wait import until

pytestmark = pytest.mark.skipif(not wheel("supervisor"), reason="the package supervisor cannot be had")

SHELL = "trap 'echo caught $?' USR1; echo ready; echo wrong >&2; while :; do sleep 0.05; done"
TASKS: dict[str, dict[str, Any]] = {
    "web": {"command": ["sh", "-c", SHELL], "startsecs": 0.1, "stopwaitsecs": 2},
    "off": {"command": ["sleep", "1000"], "autostart": False, "startsecs": 0.1},
    "bad": {"command": ["sh", "-c", "exit 3"], "autostart": False, "startsecs": 1, "startretries": 1},
    "nowhere": {"command": ["/nowhere/program"], "autostart": False},
    "echo": {"command": ["cat"], "startsecs": 0, "input": {}},
}


@pytest.fixture(scope="module")
def ctl(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ctl]:
    with Ctl(tmp_path_factory.mktemp("ctl"), TASKS) as found:
        found.await_state("web", State.RUNNING)
        found.await_state("echo", State.RUNNING)
        yield found


def test_version_and_pid_are_told(ctl: Ctl) -> None:
    assert ctl.run("version") == (0, "4.3.0")
    assert ctl.run("pid") == (0, str(ctl.supervisor.core_pid))
    assert ctl.run("pid", "web") == (0, str(ctl.supervisor.row("web").pid))
    assert ctl.run("pid", "nobody")[0] == 1


def test_status_shows_each_task_and_exits_3_when_one_is_stopped(ctl: Ctl) -> None:
    status, text = ctl.run("status")
    assert status == 3
    assert re.search(r"^web +RUNNING +pid \d+, uptime 0:\d\d:\d\d$", text, re.MULTILINE)
    assert re.search(r"^nowhere +STOPPED +Not started$", text, re.MULTILINE)
    assert ctl.run("status", "web")[0] == 0
    status, text = ctl.run("status", "nobody")
    assert (status, text) == (4, "nobody: ERROR (no such process)")


def test_start_stop_and_restart_say_what_supervisord_says(ctl: Ctl) -> None:
    assert ctl.run("start", "off") == (0, "off: started")
    assert ctl.run("start", "off") == (0, "off: ERROR (already started)")
    assert ctl.run("restart", "off") == (0, "off: stopped\noff: started")
    assert ctl.run("stop", "off") == (0, "off: stopped")
    assert ctl.run("stop", "off") == (0, "off: ERROR (not running)")
    assert ctl.supervisor.row("off").state is State.STOPPED


def test_a_program_that_cannot_be_started_is_told_with_its_exit_status(ctl: Ctl) -> None:
    assert ctl.run("start", "bad") == (7, "bad: ERROR (spawn error)")
    assert ctl.run("start", "nowhere") == (1, "nowhere: ERROR (no such file)")
    assert ctl.run("start", "nobody") == (1, "nobody: ERROR (no such process)")
    assert ctl.run("start", "nogroup:*")[0] == 2
    assert ctl.run("start")[0] == 2
    ctl.run("stop", "bad")


def test_groups_are_said_with_a_star(ctl: Ctl) -> None:
    assert ctl.run("stop", "off:*", "web:*")[1].splitlines() == ["web: stopped"]
    assert ctl.run("start", "web:*") == (0, "web: started")


def test_a_signal_reaches_the_program(ctl: Ctl) -> None:
    assert ctl.run("signal", "USR1", "web") == (0, "web: signalled")
    until(lambda: b"caught" in ctl.supervisor.output("web"), 10, "the program says that it caught the signal")
    assert ctl.run("signal", "NOSUCH", "web") == (1, "web: ERROR (bad signal name)")
    assert ctl.run("signal", "HUP", "off") == (7, "off: ERROR (not running)")


def test_logs_are_read_followed_and_cleared(ctl: Ctl) -> None:
    until(lambda: b"ready" in ctl.supervisor.output("web"), 10, "the program wrote")
    assert ctl.run("tail", "web")[1].startswith("ready")
    assert ctl.run("tail", "web", "stderr")[1].endswith("wrong")
    assert ctl.run("tail", "-6", "web", "stderr")[1] == "wrong"
    assert "efsupervisord" in ctl.run("maintail", "-100000")[1]
    assert ctl.run("clear", "web") == (0, "web: cleared")
    assert ctl.run("tail", "web") == (0, "")
    assert ctl.run("tail", "nobody")[0] == 1
    ctl.supervisor.act("off")
    assert sorted(ctl.run("clear", "all")[1].splitlines()) == [f"{name}: cleared" for name in sorted(TASKS)]
    ctl.run("stop", "off")


@pytest.mark.parametrize("words", [("tail", "-f", "web"), ("maintail", "-f")])
def test_a_log_is_followed_until_the_reader_has_enough(ctl: Ctl, words: tuple[str, ...]) -> None:
    process = subprocess.Popen(
        ctl.command(*words), cwd=ctl.supervisor.folder, env=ctl.supervisor.clean_environment | {"PYTHONUNBUFFERED": "1"}, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )  # fmt: skip
    assert process.stdout is not None
    said = bytearray()
    reader = threading.Thread(target=lambda: [said.extend(line) for line in process.stdout], daemon=True)
    reader.start()
    wanted = b"caught" if words[0] == "tail" else b"signal 10"

    def told() -> bool:
        ctl.run("signal", "USR1", "web")
        return wanted in said

    until(told, 20, lambda: f"{words} shows {wanted!r}; it said {bytes(said)!r}")
    process.send_signal(signal.SIGINT)
    process.wait(10)
    reader.join(10)
    process.stdout.close()


def test_fg_sends_lines_to_a_program_and_shows_what_it_says(ctl: Ctl) -> None:
    process = subprocess.Popen(
        ctl.command("fg", "echo"), cwd=ctl.supervisor.folder, env=ctl.supervisor.clean_environment | {"PYTHONUNBUFFERED": "1"},
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    assert process.stdin is not None
    process.stdin.write("안녕 fg\n".encode())
    process.stdin.flush()
    until(lambda: "안녕 fg\n".encode() in ctl.supervisor.output("echo"), 15, "the program got the line")
    process.kill()
    process.communicate()


def test_avail_lists_what_is_configured(ctl: Ctl) -> None:
    status, text = ctl.run("avail")
    assert status == 0
    assert re.search(r"^web +in use +auto +999:999$", text, re.MULTILINE)
    assert re.search(r"^off +in use +manual +999:999$", text, re.MULTILINE)


def test_a_server_that_is_not_there_has_the_documented_exit_statuses(ctl: Ctl, tmp_path: Path) -> None:
    assert ctl.run("status", url=f"unix://{tmp_path}/none.sock")[0] == 4
    assert ctl.run("pid", url=f"unix://{tmp_path}/none.sock")[0] == 7
    assert ctl.run("pid", url=f"http://127.0.0.1:{free_port()}")[0] == 4


def test_an_escape_sequence_of_a_task_makes_no_answer_unreadable(ctl: Ctl) -> None:
    ctl.supervisor.efctl("put", "echo", "\x1b[31mred\x1b[0m")
    until(lambda: b"\x1b[31m" in ctl.supervisor.output("echo"), 10, "the program wrote an escape sequence")
    assert "\ufffd[31mred\ufffd[0m" in ctl.call("supervisor.readProcessStdoutLog", "echo", -200, 0)


def test_no_name_reaches_anything_but_a_method(ctl: Ctl) -> None:
    for name in ("supervisor.supervisord.options", "supervisor.__class__", "supervisor.house.system.fork", "system", "a.b.c"):
        with pytest.raises(xmlrpc.client.Fault) as raised:
            ctl.call(name)
        assert (raised.value.faultCode, raised.value.faultString) == (1, "UNKNOWN_METHOD")


def test_a_file_that_changed_is_reread_and_updated_group_by_group(tmp_path: Path) -> None:
    with Ctl(tmp_path, TASKS) as ctl:
        supervisor = ctl.supervisor
        ctl.await_state("web", State.RUNNING)
        assert ctl.run("reread") == (0, "No config updates to processes")
        echo = supervisor.row("echo").pid
        tasks = {name: task for name, task in TASKS.items() if name != "nowhere"}
        tasks["web"] = {**tasks["web"], "command": ["sleep", "2000"]}
        tasks["new"] = {"command": ["sleep", "3000"], "startsecs": 0.1}
        supervisor.write(tasks, {}, SERVICES)
        assert ctl.run("reread") == (0, "new: available\nnowhere: disappeared\nweb: changed")
        assert ctl.run("add", "new") == (0, "new: added process group")
        ctl.await_state("new", State.RUNNING)
        assert "new" in ctl.run("avail")[1]
        assert ctl.run("add", "new")[1] == "ERROR: process group already active"
        status, text = ctl.run("update")
        assert status == 0, text
        assert "web: updated process group" in text and "nowhere: removed process group" in text
        ctl.await_state("web", State.RUNNING)
        assert supervisor.row("echo").pid == echo
        assert ctl.run("status", "nowhere")[0] == 4
        assert ctl.run("remove", "web")[1] == "ERROR: process/group still running: web"
        ctl.run("stop", "web")
        assert ctl.run("remove", "web") == (0, "web: removed process group")
        assert ctl.run("status", "web")[0] == 4
        assert ctl.run("add", "web") == (0, "web: added process group")
        ctl.await_state("web", State.RUNNING)
        supervisor.config.write_text("tasks: {")
        assert ctl.run("reread")[0] == 1
        assert supervisor.row("web").state is State.RUNNING


def test_reload_starts_everything_anew_and_shutdown_ends_it(tmp_path: Path) -> None:
    with Ctl(tmp_path, {name: TASKS[name] for name in ("web", "off")}) as ctl:
        supervisor = ctl.supervisor
        ctl.await_state("web", State.RUNNING)
        supervisor.act("off")
        before = supervisor.row("web").pid
        assert ctl.run("reload") == (0, "Restarted supervisord")
        until(lambda: supervisor.row("web").pid not in (0, before) and supervisor.row("off").state is State.STOPPED, 15, "everything began anew")
        assert ctl.run("shutdown") == (0, "Shut down")
        until(lambda: not ctl.socket.exists() or ctl.run("pid")[0] in (4, 7, 1), 15, "it is gone")
        supervisor.core_pid = 0


def test_over_http_a_password_is_asked_for(tmp_path: Path) -> None:
    port = free_port()
    hashed = "{SHA}" + hashlib.sha1(b"open sesame").hexdigest()
    settings = {"xmlrpc": {"enabled": True, "port": port, "user": "admin", "password": hashed}}
    with Ctl(tmp_path, {"off": TASKS["off"]}, supervisor=settings) as ctl:
        url = f"http://127.0.0.1:{port}"
        assert ctl.run("-u", "admin", "-p", "open sesame", "pid", url=url) == (0, str(ctl.supervisor.core_pid))
        status, text = ctl.run("-u", "admin", "-p", "wrong", "pid", url=url)
        assert (status, text.splitlines()[0]) == (1, "Server requires authentication")
        with socket.create_connection(("127.0.0.1", port), 5) as sock:
            sock.sendall(b"POST /RPC2 HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n")
            assert sock.recv(100).startswith(b"HTTP/1.1 401 ")
