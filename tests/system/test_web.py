"""The web of a whole supervisor: commands over HTTP, and a listener that is killed, stopped, moved and switched off at run time."""

from __future__ import annotations

import contextlib
import signal
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from efsupervisor.states import Role, State
from tests.support import processes
from tests.support.http import LISTENER, MIDDLE, MONITOR, Site, free_port, parsed, site, took_s
from tests.support.wait import until


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Site]:
    with site(tmp_path) as found:
        yield found


class Client:
    """A client that asks without a pause, until it is left; what it met."""

    def __init__(self, served: Site) -> None:
        self.statuses: list[int] = []
        self.errors: list[BaseException] = []
        self.longest_s = 0.0
        self._served = served
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        while not self._stop.is_set():
            begun = time.monotonic()
            try:
                self.statuses.append(self._served.get("/api/v1/openapi.json", Role.VIEW).status)
            except (OSError, ValueError) as error:
                self.errors.append(error)
            self.longest_s = max(self.longest_s, took_s(begun))

    def __enter__(self) -> Client:
        self._thread.start()
        until(lambda: len(self.statuses) > 5, 20, "the client is served")
        return self

    def __exit__(self, *_: object) -> None:
        count = len(self.statuses)
        with contextlib.suppress(AssertionError):
            until(lambda: len(self.statuses) > count + 5, 10, "the client is served again")
        self._stop.set()
        self._thread.join(30)


def refused(port: int) -> bool:
    """Whether nobody listens there."""
    with contextlib.suppress(ConnectionRefusedError), socket.create_connection(("127.0.0.1", port), 5):
        return False
    return True


# Commands -------------------------------------------------------------------------------------------------------------------------------------------


def test_tasks_are_stopped_and_started_over_http(served: Site) -> None:
    first = served.supervisor.program_pid("sleep")
    assert served.post({"verb": "trm", "fields": {"names": ["sleep"]}}, Role.OPERATE).status == 200
    assert served.supervisor.row("sleep").state is State.STOPPED
    assert not processes.alive(first)
    assert served.post({"line": "act sleep"}, Role.OPERATE).json["lines"][0].startswith("OK : ")
    assert served.get("/api/v1/tasks/sleep", Role.VIEW).json["status"]["pid"] == served.supervisor.program_pid("sleep")
    assert served.get("/api/v1/status", Role.VIEW).json["states"] == {"RUNNING": 1}


def test_roles_hold_all_the_way(served: Site) -> None:
    assert served.post({"verb": "trm", "fields": {"names": ["sleep"]}}, Role.VIEW).status == 403
    assert served.post({"line": "trm sleep"}, Role.VIEW).status == 403
    assert served.post({"line": "del task sleep"}, Role.OPERATE).status == 403
    assert b"hunter2" not in served.get("/api/v1/tasks/sleep", Role.OPERATE).body
    assert b"hunter2" not in served.post({"line": "shw task sleep"}, Role.OPERATE).body
    assert b"hunter2" in served.get("/api/v1/tasks/sleep", Role.ADMIN).body
    assert served.supervisor.program_now("sleep")


def test_a_command_that_comes_again_with_its_id_is_run_once(served: Site) -> None:
    command = {"verb": "restart", "fields": {"names": ["sleep"]}, "id": "once"}
    assert served.post(command).status == 200
    pid = served.supervisor.program_pid("sleep")
    assert served.post(command).status == 200
    assert served.supervisor.program_pid("sleep") == pid


def test_the_token_file_is_ours_alone_and_outlives_the_supervisor(served: Site) -> None:
    path = served.supervisor.var / "lib" / "web.token"
    tokens = served.tokens
    assert path.stat().st_mode & 0o777 == 0o600
    assert set(tokens) == set(Role)
    served.supervisor.kill_core()
    served.supervisor.start()
    served.await_service()
    assert served.tokens == tokens
    assert served.get().status == 200


def test_a_token_file_that_others_may_read_shuts_the_door_and_says_so(served: Site) -> None:
    path = served.supervisor.var / "lib" / "web.token"
    path.chmod(0o644)
    until(lambda: served.get().status == 401, 5, "nobody is let in")
    until(lambda: "0600" in served.health(), 5, "the health of the web says so")
    path.chmod(0o600)
    until(lambda: served.get().status == 200, 70, "the door is open again")


# Deaths ---------------------------------------------------------------------------------------------------------------------------------------------


def test_a_listener_that_is_killed_is_replaced_and_refuses_nobody(served: Site) -> None:
    with Client(served) as client:
        for _ in range(3):
            pid = served.pid()
            begun = time.monotonic()
            processes.send(pid, signal.SIGKILL)
            served.await_pid(LISTENER, pid)
            served.await_service()
            assert took_s(begun) < 2.0
    assert set(client.statuses) == {200}
    assert not [error for error in client.errors if isinstance(error, ConnectionRefusedError)]
    assert client.longest_s < 3.0


def test_a_listener_that_hangs_is_replaced_within_eight_seconds(served: Site) -> None:
    pid = served.pid()
    begun = time.monotonic()
    processes.send(pid, signal.SIGSTOP)
    served.await_pid(LISTENER, pid)
    served.await_service()
    assert took_s(begun) < 8.0
    assert not processes.alive(pid)


def test_a_monitor_that_is_killed_takes_its_listener_along_and_both_come_back(served: Site) -> None:
    monitor, listener, program = served.pid(MONITOR), served.pid(), served.supervisor.program_pid("sleep")
    processes.send(monitor, signal.SIGKILL)
    served.await_pid(MONITOR, monitor)
    served.await_pid(LISTENER, listener)
    served.await_service()
    assert not processes.alive(listener)
    assert served.supervisor.program_pid("sleep") == program


def test_a_middle_interface_that_hangs_is_said_within_the_deadline(served: Site) -> None:
    middle = served.pid(MIDDLE)
    processes.send(middle, signal.SIGSTOP)
    begun = time.monotonic()
    assert served.get().status in (503, 504)
    assert took_s(begun) < 6.5
    assert served.get("/api/v1/openapi.json").status == 200
    served.await_pid(MIDDLE, middle)
    until(lambda: served.get().status == 200, 10, "tasks are listed again")


def test_a_middle_interface_that_is_killed_is_waited_for(served: Site) -> None:
    processes.send(served.pid(MIDDLE), signal.SIGKILL)
    assert served.get().status == 200


# Settings -------------------------------------------------------------------------------------------------------------------------------------------


def set_to(served: Site, key: str, value: str) -> None:
    """Change a setting at run time."""
    done = served.supervisor.efctl("conf", "set", key, value)
    assert done.returncode == 0, done.stderr


def test_other_settings_are_served_by_another_listener_and_nobody_is_refused(served: Site) -> None:
    with Client(served) as client:
        for threads in ("4", "6"):
            pid = served.pid()
            set_to(served, "web.threads", threads)
            served.await_pid(LISTENER, pid)
            until(lambda pid=pid: not processes.alive(pid), 10, "the former listener ends")  # type: ignore[misc]
    assert set(client.statuses) == {200}
    assert client.errors == []


def test_the_port_moves_at_run_time(served: Site) -> None:
    former, new = served.port, free_port()
    set_to(served, "web.port", str(new))
    served.port = new
    served.await_service()
    assert refused(former)


def test_the_web_is_switched_off_and_on_at_run_time(served: Site) -> None:
    set_to(served, "web.enabled", "false")
    until(lambda: refused(served.port), 10, "the port is closed")
    until(lambda: not served.pid() and not served.pid(MONITOR), 10, "both processes end")
    set_to(served, "web.enabled", "true")
    served.await_service()


def test_a_port_that_is_taken_is_said_and_taken_when_it_is_free(served: Site) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        served.port = other.getsockname()[1]
        set_to(served, "web.port", str(served.port))
        until(lambda: "is taken by another program" in served.health(), 10, "the health of the web says so")
    served.await_service()
    until(lambda: served.health() == "", 10, "all is well again")


def test_what_others_could_reach_without_tls_is_refused(served: Site) -> None:
    done = served.supervisor.efctl("conf", "set", "web.host", "0.0.0.0")
    assert done.returncode != 0 and b"certificate" in done.stderr
    assert served.get().status == 200


# TLS ------------------------------------------------------------------------------------------------------------------------------------------------


def certificate(folder: Path) -> tuple[Path, Path]:
    """A certificate for 127.0.0.1 and its key."""
    names = [str(folder / "web.crt"), str(folder / "web.key")]
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-subj", "/CN=web"]
    command += ["-addext", "subjectAltName=IP:127.0.0.1", "-out", names[0], "-keyout", names[1]]
    try:
        done = subprocess.run(command, capture_output=True, check=False)
    except FileNotFoundError:
        pytest.skip("openssl is not installed")
    assert done.returncode == 0, done.stderr
    return Path(names[0]), Path(names[1])


def test_tls_serves_keeps_strangers_waiting_for_nothing_and_refuses_plain_http(tmp_path: Path) -> None:
    crt, key = certificate(tmp_path)
    context = ssl.create_default_context(cafile=str(crt))
    with site(tmp_path, context, certificate=str(crt), key=str(key), request_s="2s", idle_s="4s") as served:
        assert served.get().status == 200
        assert served.post({"line": "shw task"}, Role.VIEW).status == 200
        assert len(served.get("/api/v1/openapi.json").body) > 64 << 10
        own = {"Origin": f"https://127.0.0.1:{served.port}", "Content-Type": "application/json"}
        assert served.ask("POST", "/api/v1/commands", Role.VIEW, own, b'{"line": "shw task"}').status == 200
        served.context = None
        plain = served.raw(b"GET /api/v1/health HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        assert b"HTTP/1.1 200" not in plain
        with served.connect() as silent:
            begun = time.monotonic()
            assert silent.recv(1) == b""
            assert took_s(begun) < 4.0, "a handshake has request_s"
        served.context = context
        assert served.get().status == 200


def test_a_key_that_does_not_fit_is_said_and_the_former_listener_serves_on(tmp_path: Path) -> None:
    crt, key = certificate(tmp_path)
    context = ssl.create_default_context(cafile=str(crt))
    with site(tmp_path, context, certificate=str(crt), key=str(key)) as served:
        good, pid = key.read_text(), served.pid()
        key.write_text("no key")
        set_to(served, "web.threads", "4")
        until(lambda: "no certificate and its key" in served.health(), 10, lambda: f"the health says so\n{served.supervisor.story()}")
        assert (served.get().status, served.pid()) == (200, pid)
        key.write_text(good)
        served.await_pid(LISTENER, pid)
        served.await_service()
        until(lambda: served.health() == "", 10, "all is well again")


def test_the_answers_parser_of_these_tests_sees_what_is_none() -> None:
    with pytest.raises(ValueError, match="no answer"):
        parsed(b"HTTP/1.1 200 OK\r\n")
