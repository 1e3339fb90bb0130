"""superlance's httpok, memmon and crashmail, unchanged, as event listeners beside real children."""

from __future__ import annotations

import http.server
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from efsupervisor.states import State
from tests.support.supervisorctl import Ctl, wheel
from tests.support.wait import until

pytestmark = pytest.mark.skipif(not wheel("superlance"), reason="the package superlance cannot be had")

BALLAST = "import time; block = bytearray(80 << 20); print('ready', flush=True); time.sleep(1000)"


def superlance(name: str, *words: str, events: str) -> dict[str, Any]:
    """A task that is one of superlance's listeners."""
    start = f"import sys, warnings; warnings.simplefilter('ignore'); from superlance.{name} import main; main()"
    return {"type": "eventlistener", "command": [sys.executable, "-c", start, *words], "events": [events], "startsecs": 0.2}


@pytest.fixture
def mailer(tmp_path: Path) -> Path:
    """A sendmail that keeps what it is given."""
    path = tmp_path / "sendmail"
    path.write_text(f"#!/bin/sh\ncat > {tmp_path}/mail.part && mv {tmp_path}/mail.part {tmp_path}/mail\n")
    path.chmod(0o755)
    return path


def mail(folder: Path) -> str:
    """What the sendmail was given, empty while nothing."""
    path = folder / "mail"
    return path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""


class Broken(http.server.BaseHTTPRequestHandler):
    """A web server that always fails."""

    def do_GET(self) -> None:
        self.send_response(503)
        self.end_headers()

    def log_message(self, *_words: Any) -> None:
        """Say nothing."""


@pytest.fixture
def broken() -> Iterator[int]:
    """The port of a server that answers 503."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Broken)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server.server_address[1]
    server.shutdown()
    thread.join()
    server.server_close()


def test_crashmail_tells_of_a_program_that_ended_unexpectedly(tmp_path: Path, mailer: Path) -> None:
    tasks = {
        "crashmail": superlance("crashmail", "-a", "-m", "ops@example.org", "-s", str(mailer), events="PROCESS_STATE_EXITED"),
        "frail": {"command": ["sh", "-c", "sleep 0.3; exit 9"], "autostart": False, "startsecs": 0, "autorestart": "false"},
    }
    with Ctl(tmp_path, tasks) as ctl:
        ctl.await_state("crashmail", State.RUNNING)
        ctl.supervisor.act("frail")
        text = until(lambda: mail(tmp_path), 20, lambda: f"crashmail sent a mail\n{ctl.supervisor.story()}")
        assert "To: ops@example.org" in text and "frail" in text and "unexpectedly" in text


def test_memmon_restarts_a_program_that_grew_too_large(tmp_path: Path, mailer: Path) -> None:
    tasks = {
        "memmon": superlance("memmon", "-p", "fat=40MB", "-m", "ops@example.org", "-s", str(mailer), events="TICK_5"),
        "fat": {"command": [sys.executable, "-c", BALLAST], "startsecs": 0.2},
    }
    with Ctl(tmp_path, tasks) as ctl:
        pid = ctl.supervisor.await_state("fat", State.RUNNING).pid
        until(
            lambda: ctl.supervisor.row("fat").pid not in (0, pid), 25,
            lambda: f"memmon restarts it\n{ctl.supervisor.output('memmon', 'err')!r}{ctl.supervisor.story()}",
        )  # fmt: skip


def test_httpok_restarts_a_program_whose_page_fails(tmp_path: Path, mailer: Path, broken: int) -> None:
    url = f"http://127.0.0.1:{broken}/"
    tasks = {
        "httpok": superlance("httpok", "-p", "site", "-t", "2", "-s", str(mailer), "-m", "ops@example.org", url, events="TICK_5"),
        "site": {"command": ["sleep", "1000"], "startsecs": 0.2},
    }
    with Ctl(tmp_path, tasks) as ctl:
        pid = ctl.supervisor.await_state("site", State.RUNNING).pid
        until(
            lambda: ctl.supervisor.row("site").pid not in (0, pid), 40,
            lambda: f"httpok restarts it\n{ctl.supervisor.output('httpok', 'err')!r}{ctl.supervisor.story()}",
        )  # fmt: skip
