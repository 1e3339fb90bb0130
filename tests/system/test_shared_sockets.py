"""A listening socket that programs find as their stdin: shared, as its owner wants it, and open as long as anybody needs it, whoever dies."""

from __future__ import annotations

import os
import signal
import socket
import stat
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from efsupervisor.states import State
from tests.support.supervisor import Supervisor, program
from tests.support.wait import until
from tests.system.test_supervisord_conf import Run

DEADLINE_S = 30.0


def asked(path: Path) -> tuple[int, str]:
    """One connection: who answered, and the descriptors that it has.  OSError when nobody listens."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
        client.settimeout(DEADLINE_S)
        client.connect(str(path))
        pid, descriptors = client.makefile().readline().split()
        return int(pid), descriptors


def everybody(path: Path, number: int) -> set[int]:
    """The pids of all `number` servers that accept there."""
    found: set[int] = set()
    until(lambda: found.add(asked(path)[0]) or len(found) == number, DEADLINE_S, lambda: f"{number} servers answer: {found}")
    return found


class Knocking:
    """A client that connects again and again: how often it was answered, and what else it met."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._over = threading.Event()
        self.answered = 0
        self.met: list[OSError] = []
        self._thread = threading.Thread(target=self._knock)

    def _knock(self) -> None:
        while not self._over.is_set():
            try:
                asked(self._path)
                self.answered += 1
            except ValueError:
                continue  # the server was stopped while it answered
            except OSError as error:
                self.met.append(error)
            time.sleep(0.002)

    def __enter__(self) -> Knocking:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()


CONF = """
[supervisord]
nodaemon=true

[fcgi-program:php]
command={command}
socket=unix://%(here)s/php.sock
socket_mode=0770
socket_owner={owner}
socket_backlog=5
numprocs=2
process_name=%(program_name)s-%(process_num)d
stopasgroup=false
"""


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Run]:
    owner = "nobody:nogroup" if os.geteuid() == 0 else str(os.geteuid())
    made = Run(tmp_path, CONF.format(command=" ".join(program("accepts")), owner=owner))
    yield made
    if made.process.poll() is None:
        made.kill()


def test_processes_of_an_fcgi_program_share_its_socket_and_it_goes_with_the_last(tmp_path: Path, run: Run) -> None:
    path = tmp_path / "php.sock"
    run.await_text("success: php-1 entered RUNNING state")
    run.await_text("success: php-0 entered RUNNING state")
    assert len(everybody(path, 2)) == 2
    assert asked(path)[1].startswith("0,1,2,")  # what follows is the connection, and the listing itself
    found = path.stat()
    assert stat.S_IMODE(found.st_mode) == 0o770
    if os.geteuid() == 0:
        assert path.owner() == "nobody"
    assert run.efctl("stop", "php-0").returncode == 0
    assert len(everybody(path, 1)) == 1
    assert run.efctl("stop", "php-1").returncode == 0
    assert not path.exists()
    assert run.efctl("start", "php").returncode == 0  # the group
    assert len(everybody(path, 2)) == 2
    assert run.end() == 0
    assert not path.exists()


def test_no_connection_is_refused_while_programs_are_restarted_or_killed(tmp_path: Path) -> None:
    path = tmp_path / "web.sock"
    task = {"command": program("accepts"), "socket": f"unix://{path}", "startsecs": "0s", "backoff_s": "10ms"}
    with Supervisor(tmp_path, {"web": task}) as this:
        this.await_state("web", State.RUNNING)
        first = next(iter(everybody(path, 1)))
        with Knocking(path) as knocking:
            assert this.efctl("restart", "web").returncode == 0
            second = next(iter(everybody(path, 1)))
            os.kill(second, signal.SIGKILL)
            until(lambda: asked_or_none(path) not in (None, first, second), DEADLINE_S, "a third program answers")
        assert knocking.answered > 0
        assert [error for error in knocking.met if not isinstance(error, ConnectionResetError | BrokenPipeError)] == []


def asked_or_none(path: Path) -> int | None:
    """Who answers, None for one that died meanwhile."""
    try:
        return asked(path)[0]
    except (ValueError, ConnectionResetError):
        return None


@pytest.mark.parametrize("victims", ["core", "worker", "both"])
def test_the_socket_survives_core_and_worker(tmp_path: Path, victims: str) -> None:
    path = tmp_path / "web.sock"
    task = {"command": program("accepts"), "socket": f"unix://{path}", "startsecs": "0s"}
    with Supervisor(tmp_path, {"one": task, "two": task | {"autostart": False}}) as this:
        this.await_state("one", State.RUNNING)
        first = asked(path)[0]
        inode = path.stat().st_ino
        worker = this.worker_pid("one")
        if victims in ("core", "both"):
            this.kill_core()
        if victims in ("worker", "both"):
            os.kill(worker, signal.SIGKILL)
        if victims in ("core", "both"):
            this.start()
        this.await_state("one", State.RUNNING)
        until(lambda: this.worker_pid("one") not in (0, worker) or victims == "core", DEADLINE_S, "another worker")
        assert asked(path)[0] == first
        assert this.efctl("start", "two").returncode == 0  # shares it: nothing is opened anew
        assert first in everybody(path, 2)
        assert path.stat().st_ino == inode
        with Knocking(path) as knocking:
            assert this.efctl("restart", "one").returncode == 0
        assert [error for error in knocking.met if not isinstance(error, ConnectionResetError | BrokenPipeError)] == []
        assert first not in everybody(path, 2)
